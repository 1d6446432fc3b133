"""What both trainings do alike: the learning rate's course, the running average of the weights, and checkpoints.

A checkpoint holds the weights, their running average (which is what is exported), the optimiser and the step, and is
replaced whole or not at all, so that a training may be killed at any moment and goes on from its last one.
"""

import argparse
import copy
import math
import pickle
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

LARGEST_GRADIENT = 10.0
WEIGHT_DECAY = 0.02
LAST_RATE_RATIO = 0.01


class OtherNetwork(Exception):
    """A checkpoint cannot be taken up by this network; the message says what to do."""


def read_checkpoint(path: Path, *networks: tuple[nn.Module, str]) -> dict[str, Any]:
    """Return a checkpoint after giving each network the weights of this name. Raises OtherNetwork, OSError."""
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        for network, name in networks:
            network.load_state_dict(saved[name])
        saved["step"] = int(saved["step"])
    except (RuntimeError, KeyError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise OtherNetwork(
            f"{path}: no checkpoint of the network that the code has now; move it away to begin anew"
        ) from error
    return saved


def begin(description: str, *, checkpoint: str, steps: int) -> argparse.Namespace:
    """Return the options of a trainer (data, checkpoint, steps, seed), with the seed and the threads set by them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--checkpoint", type=Path, default=Path(checkpoint))
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    cv2.setNumThreads(1)  # two pools of threads on the same cores would wait for each other
    return options


class Training:
    """One network on its way from `step` to `steps`, with its average and its optimiser."""

    def __init__(
        self,
        net: nn.Module,
        checkpoint: Path,
        *,
        steps: int,
        peak_rate: float,
        warm_up_steps: int,
        decay: float,
    ) -> None:
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net)
        self.steps, self.step = steps, 0
        self._checkpoint, self._peak_rate, self._warm_up_steps, self._decay = (
            checkpoint,
            peak_rate,
            warm_up_steps,
            decay,
        )
        self._optimiser = torch.optim.AdamW(self.net.parameters(), lr=peak_rate, weight_decay=WEIGHT_DECAY)
        if checkpoint.exists():
            try:
                saved = read_checkpoint(checkpoint, (self.net, "net"), (self.average, "average"))
            except OtherNetwork as error:
                print(f"train: {error}", file=sys.stderr)
                sys.exit(2)
            self._optimiser.load_state_dict(saved["optimiser"])
            self.step = saved["step"]
            print(f"{checkpoint}: goes on at step {self.step} of {steps}; remove it to begin anew", flush=True)

    def rate(self) -> float:
        """Return the learning rate of this step: a linear warm-up, then a cosine down to a hundredth."""
        if self.step < self._warm_up_steps:
            return self._peak_rate * (self.step + 1) / self._warm_up_steps
        along = min(1.0, (self.step - self._warm_up_steps) / max(1, self.steps - self._warm_up_steps))
        return self._peak_rate * (LAST_RATE_RATIO + (1 - LAST_RATE_RATIO) * 0.5 * (1 + math.cos(math.pi * along)))

    def learn(self, loss: torch.Tensor) -> None:
        """Take one step down `loss`, and let the average follow."""
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), LARGEST_GRADIENT)
        self._optimiser.step()
        self.step += 1
        decay = min(self._decay, self.step / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
                if kept.dtype.is_floating_point:
                    kept.lerp_(new, 1 - decay)

    def save(self) -> None:
        """Replace the checkpoint."""
        partial = self._checkpoint.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        state = {"net": self.net.state_dict(), "average": self.average.state_dict(), "step": self.step}
        torch.save({**state, "optimiser": self._optimiser.state_dict()}, partial)
        partial.replace(self._checkpoint)


class Progress:
    """A progress bar with the running mean of named losses, and a line for the log each `every` steps."""

    def __init__(self, training: Training, names: tuple[str, ...], batch: int, every: int = 100) -> None:
        self._training, self._names, self._batch, self._every = training, names, batch, every
        self._bar = tqdm(total=training.steps, initial=training.step, unit="step", dynamic_ncols=True)
        self._losses: list[tuple[float, ...]] = []
        self._started_s = time.monotonic()

    def show(self, losses: tuple[float, ...]) -> None:
        """Note the losses of the step just taken."""
        self._bar.update(1)
        self._losses.append(losses)
        if len(self._losses) == self._every:
            means = " ".join(
                f"{name} {mean:.4f}" for name, mean in zip(self._names, np.nanmean(self._losses, axis=0), strict=True)
            )
            speed = self._batch * self._every / (time.monotonic() - self._started_s)
            tqdm.write(f"step {self._training.step}/{self._training.steps} {means} {speed:.0f} pictures/s")
            self._losses.clear()
            self._started_s = time.monotonic()

    def tell(self, line: str) -> None:
        """Print one line above the bar; the time until now does not count for the speed."""
        tqdm.write(line)
        self._started_s = time.monotonic()


def rounds(training: Training, evaluate_every: int) -> Iterator[bool]:
    """Yield once a step until the end; True where the step should end with a checkpoint and an evaluation."""
    while training.step < training.steps:
        following = training.step + 1
        yield following % evaluate_every == 0 or following == training.steps

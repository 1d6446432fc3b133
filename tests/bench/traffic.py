"""Whether a unit keeps up with traffic: `python -m tests.bench.traffic [--minutes N] [--per-minute N] [--slower N]`.

Vehicles at mixed speeds follow each other as closely as asked. The stage that reads is charged what it really costs:
each of its steps takes as much virtual time as it took CPU time, `--slower` times over, and frames go on arriving
meanwhile. Printed are the frames that were given up, what was captured and read, and for each read the CPU time of that
stage from the vehicle's last frame to the sealed read on disk. Prints; asserts nothing, is no test.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
from tqdm import tqdm

from firmware.reading import ReadingStage
from hw_sim.grid import AHEAD_S, counted_of, passed_of
from hw_sim.light import Conditions, LightLevel
from hw_sim.road import Road
from hw_sim.scoring import scored
from hw_sim.traffic import EvenGaps
from hw_sim.virtual_unit import START_S, VirtualUnit

MODELS = Path(__file__).resolve().parents[2] / "models"
SHORTEST_OF_MEAN, LONGEST_OF_MEAN = 0.85, 1.15
SECONDS_A_ROUND = 10.0


class Paced:
    """The reading stage, taking as much virtual time as it took CPU time, so many times over."""

    def __init__(self, stage: ReadingStage, slower: float) -> None:
        self.name, self.wake = stage.name, stage.wake
        self.steps: list[tuple[float, float]] = []  # when each began, and its CPU time in seconds
        self.sealed: list[int] = []  # for each read, the place of the step that sealed it
        self._stage, self._slower = stage, slower
        self._busy_until_s = 0.0

    def step(self, now_s: float) -> float:
        if now_s < self._busy_until_s:
            return self._busy_until_s
        before, started = self._stage.reads_sealed, time.process_time()
        next_s = self._stage.step(now_s)
        cost_s = time.process_time() - started
        self.sealed += [len(self.steps)] * (self._stage.reads_sealed - before)
        self.steps.append((now_s, cost_s))
        self._busy_until_s = now_s + cost_s * self._slower
        return max(next_s, self._busy_until_s)

    def close(self) -> None:
        self._stage.close()

    def cost_s(self, read: int, since_s: float) -> float:
        """Return the CPU time from monotonic `since_s` until the read of this number was sealed and stored."""
        return sum(cost_s for began_s, cost_s in self.steps[: self.sealed[read] + 1] if began_s >= since_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether a unit keeps up with traffic.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--per-minute", type=float, default=50.0)
    parser.add_argument("--light", type=LightLevel, default=LightLevel.DAY)
    parser.add_argument("--slower", type=float, default=1.0, help="how many times slower than this machine")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    mean_s = 60.0 / options.per_minute
    vehicles = round(options.minutes * options.per_minute)
    road = Road(
        options.seed,
        conditions=Conditions(light=options.light),
        schedule=EvenGaps(shortest_s=SHORTEST_OF_MEAN * mean_s, longest_s=LONGEST_OF_MEAN * mean_s, ahead_s=AHEAD_S),
    )
    counted, end_s = counted_of(road, vehicles)
    with tempfile.TemporaryDirectory() as folder:
        stages: list[Paced] = []

        def paced(stage: ReadingStage) -> Paced:
            stages.append(Paced(stage, options.slower))
            return stages[0]

        unit = VirtualUnit(road, MODELS, Path(folder), seed=options.seed, as_run=paced)
        with tqdm(total=round(end_s), unit="s of road") as bar:
            while bar.n < end_s:
                bar.update(min(SECONDS_A_ROUND, end_s - bar.n))
                unit.time.run_until(START_S + bar.n)
        told = unit.told()
        capture, reading, steps = unit.capture, unit.reading, stages[0]
        unit.close()
    own, others = passed_of(road, counted, end_s)
    score = scored(own, told, others=others)
    costs_ms = sorted(1e3 * steps.cost_s(place, START_S + read.to_s) for place, read in enumerate(told))
    print(f"{score.passes} vehicles in {end_s / 60:.1f} minutes: {score.captured} captured, {score.read} read")
    print(f"false {score.false_plates}, double {score.duplicates}, partial {score.partial}")
    print(f"frames: {capture.frames_seen} seen, {capture.frames_sent} sent to be read, {reading.frames_read} read")
    print(f"  given up because too many waited: {reading.frames.dropped}")
    print(f"  passed over, their vehicle being read well already: {reading.frames_passed_over}")
    print(f"CPU of the stage that reads, a vehicle: {1e3 * sum(cost for _, cost in steps.steps) / score.passes:.0f} ms")
    print(
        f"CPU from last frame to sealed read on disk: median {statistics.median(costs_ms):.0f} ms, "
        f"95th percentile {costs_ms[round(0.95 * (len(costs_ms) - 1))]:.0f} ms"
    )


if __name__ == "__main__":
    main()

"""Train the plate detector: `python -m models.train_detect --data DIR`. Stop it when you like; it goes on."""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from firmware.detect import decode, letterbox
from firmware.records import Box
from models.data import load_rows
from models.detect_net import DetectNet, box_loss, score_loss
from models.detect_scenes import Scene, SceneSource, load_plates, load_scenes
from models.detect_targets import targets_of
from models.figures import BoxFate
from models.measuring import judged
from models.training import Progress, Training, begin, rounds

BATCH = 12
PEAK_RATE = 1.5e-3
WARM_UP_STEPS = 300
AVERAGE_DECAY = 0.998
EVALUATE_EVERY = 500
THRESHOLDS = (0.2, 0.3, 0.4, 0.5)


def losses_of(net: nn.Module, source: SceneSource) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the score, box and corner losses of one drawn batch."""
    pictures, targets = [], []
    for _ in range(BATCH):
        drawn = source.picture()
        pictures.append(drawn.image)
        targets.append(targets_of(drawn.corners_px, drawn.cornered, drawn.doubtful_px))
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        score, box, corner = net(batch.float() / 255)
    wanted_score, asked = (
        torch.from_numpy(np.stack([getattr(t, name) for t in targets])) for name in ("score", "asked")
    )
    score_part = score_loss(score.float(), wanted_score, asked)
    cells = torch.from_numpy(
        np.concatenate([np.column_stack([np.full(len(t.cells), place), t.cells]) for place, t in enumerate(targets)])
    )
    picked = cells[:, 0], slice(None), cells[:, 1], cells[:, 2]
    weights = torch.from_numpy(np.concatenate([t.weights for t in targets]))
    box_part = box_loss(box.float()[picked], torch.from_numpy(np.concatenate([t.boxes for t in targets])), weights)
    known = weights * torch.from_numpy(np.concatenate([t.cornered for t in targets]))
    wanted = torch.from_numpy(np.concatenate([t.corners for t in targets]))
    distance = F.smooth_l1_loss(corner.float()[picked], wanted, reduction="none", beta=0.05).sum(-1)
    return score_part, box_part, (distance * known).sum() / known.sum().clamp(min=1)


def evaluate(net: nn.Module, scenes: list[Scene]) -> str:
    """Return recall at IoU 0.5 and false boxes a picture, at several thresholds, as one line."""
    net.eval()
    found: dict[float, Counter[BoxFate]] = {threshold: Counter() for threshold in THRESHOLDS}
    plates = sum(len(scene.corners_px) for scene in scenes)
    for scene in scenes:
        canvas, fit = letterbox(scene.image)
        with torch.no_grad():
            tensor = torch.from_numpy(canvas[None]).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            maps = [m[0].permute(1, 2, 0).numpy() for m in net(tensor.float() / 255)]
        scores, boxes, _ = decode(np.ascontiguousarray(maps[0][..., 0]), maps[1], maps[2], min(THRESHOLDS))
        boxes[:, :2] = fit.to_picture(boxes[:, :2])
        boxes[:, 2:] /= fit.scale
        boxes_found = [
            Box(x_px=x, y_px=y, w_px=w, h_px=h, score_ratio=score)
            for (x, y, w, h), score in zip(boxes.tolist(), scores.tolist(), strict=True)
        ]
        labels, doubtful = (
            [
                (*low, *size)
                for low, size in zip(quads.min(axis=1).tolist(), np.ptp(quads, axis=1).tolist(), strict=True)
            ]
            for quads in (scene.corners_px, scene.doubtful_px)
        )
        for threshold, fates in found.items():
            sure = [box for box in boxes_found if box.score_ratio >= threshold]
            fates.update(answer.fate for answer in judged(Path(), sure, labels, doubtful))
    net.train()
    return " | ".join(
        f"{t}: recall {100 - 100 * fates[BoxFate.MISSED] / plates:.1f} false {fates[BoxFate.FALSE] / len(scenes):.3f}"
        for t, fates in found.items()
    )


def main() -> None:
    """Train from the newest checkpoint to --steps."""
    options = begin("Train the plate detector.", checkpoint="build/detector.pt", steps=14000)
    rows = load_rows(options.data / "plates.csv")
    scenes, validation = load_scenes(options.data, rows, "train"), load_scenes(options.data, rows, "val")
    taught = load_rows(options.data / "taught.csv") if (options.data / "taught.csv").exists() else []
    aside, plates = load_scenes(options.data, taught, "train"), load_plates(options.data, rows)
    print(
        f"{len(scenes)} and {len(aside)} pictures to train on, {len(validation)} to validate, "
        f"{len(plates)} plates to lay in",
        flush=True,
    )
    training = Training(
        DetectNet(),
        options.checkpoint,
        steps=options.steps,
        peak_rate=PEAK_RATE,
        warm_up_steps=WARM_UP_STEPS,
        decay=AVERAGE_DECAY,
    )
    source = SceneSource(scenes, aside, plates, options.seed + training.step)
    progress = Progress(training, ("score", "box", "corners"), BATCH)
    for is_last_of_round in rounds(training, EVALUATE_EVERY):
        score, box, corner = losses_of(training.net, source)
        training.learn(score + 4 * box + corner)
        progress.show((score.item(), box.item(), corner.item()))
        if is_last_of_round:
            training.save()
            progress.tell("val " + evaluate(training.average, validation))


if __name__ == "__main__":
    main()

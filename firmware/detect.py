"""From a whole picture to plate boxes: letterbox, run the network, decode its maps, keep the peaks.

Training, evaluation and the device all call `letterbox` of this file. The network answers one cell for each 8 x 8
input pixels: a plate score, the box around the cell's centre, and the plate's four corners within that box.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from firmware.pictures import halved
from firmware.records import Box, Image
from firmware.tflite import Model

Float = npt.NDArray[np.float32]

WIDTH_PX, HEIGHT_PX = 512, 384
STRIDE_PX = 8
COLUMNS, ROWS = WIDTH_PX // STRIDE_PX, HEIGHT_PX // STRIDE_PX
FILL = 114  # grey of the bars beside a picture of another shape
OVERLAP_RATIO = 0.3  # two plates do not overlap by more; two answers for one plate do
INSIDE_RATIO = 0.6  # of the smaller of two boxes: a plate's frame and its writing are no plates of their own
LARGEST_COUNT = 20
HALVE_FROM = 1.6  # times as wide as the input: bilinear sampling of more than that would miss pixels


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture was fitted into the network's input: scale, then shift in input pixels."""

    scale: float
    left_px: float
    top_px: float

    def to_picture(self, points: Float) -> Float:
        """Return points (..., 2) of the input as points of the picture."""
        return np.asarray((points - (self.left_px, self.top_px)) / self.scale, np.float32)


def letterbox(image: Image) -> tuple[Image, Fit]:
    """Return `image` uint8 (H, W, 3) scaled into (384, 512, 3) with grey bars, and how it was fitted."""
    height, width = image.shape[:2]
    scale = min(WIDTH_PX / width, HEIGHT_PX / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), FILL, np.uint8)
    left, top = (WIDTH_PX - size[0]) // 2, (HEIGHT_PX - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = _resized(image, size)
    return canvas, Fit(scale, left, top)


def _resized(image: Image, size: tuple[int, int]) -> Image:
    """Return `image` at this (width, height).

    Halving exactly, then bilinear: six times faster than averaging over areas of a broken size, and as good to find in.
    """
    while image.shape[1] >= HALVE_FROM * size[0] and image.shape[0] >= 4:
        image = halved(image)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)


def decode(score_logits: Float, boxes: Float, corners: Float, threshold_ratio: float) -> tuple[Float, Float, Float]:
    """Return scores (N,), boxes (N, 4) as x, y, w, h and corners (N, 4, 2), all in input pixels, best first.

    `score_logits` is (48, 64), `boxes` (48, 64, 4): centre offset in cells and the logarithm of width and height in
    cells; `corners` (48, 64, 8): each corner relative to the box's own corner, in units of the box's width and height.
    """
    scores = np.asarray(1 / (1 + np.exp(-np.clip(score_logits, -30, 30))), np.float32)
    peaks = cv2.dilate(scores, np.ones((3, 3), np.uint8)) <= scores
    rows, columns = np.nonzero(peaks & (scores >= threshold_ratio))
    order = np.argsort(-scores[rows, columns], kind="stable")[: 4 * LARGEST_COUNT]
    rows, columns = rows[order], columns[order]
    # In float64, whose exponential rounds to the same float32 on every processor.
    offset_x, offset_y, log_w, log_h = boxes[rows, columns].T.astype(np.float64)
    w, h = (np.exp(np.clip(log, -3, 5)) * STRIDE_PX for log in (log_w, log_h))
    x = (columns + 0.5 + offset_x) * STRIDE_PX - w / 2
    y = (rows + 0.5 + offset_y) * STRIDE_PX - h / 2
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    places = unit + corners[rows, columns].reshape(-1, 4, 2)
    points = np.stack([x, y], -1)[:, None] + places * np.stack([w, h], -1)[:, None]
    found = np.stack([x, y, w, h], -1).astype(np.float32)
    kept = _without_overlap(found)
    return scores[rows, columns][kept], found[kept], points[kept].astype(np.float32)


def overlap(a: Float, b: Float) -> Float:
    """Return the intersection over union of boxes `a` (N, 4) with `b` (M, 4), each x, y, w, h, as (N, M)."""
    shared = _shared(a, b)
    union = a[:, None, 2:].prod(axis=-1) + b[None, :, 2:].prod(axis=-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _shared(a: Float, b: Float) -> Float:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=-1), np.float32)


def _without_overlap(boxes: Float) -> list[int]:
    """Return the places of the boxes, best first, that neither overlap a better one nor lie inside or around it."""
    kept: list[int] = []
    areas = np.maximum(boxes[:, 2:].prod(axis=-1), 1e-9)
    for place in range(len(boxes)):
        box, better = boxes[place : place + 1], boxes[kept]
        inside = _shared(box, better)[0] / np.minimum(areas[place], areas[kept])
        if not ((overlap(box, better)[0] >= OVERLAP_RATIO) | (inside >= INSIDE_RATIO)).any():
            kept.append(place)
        if len(kept) == LARGEST_COUNT:
            break
    return kept


class PlateDetector:
    """The detector network with its decoder."""

    def __init__(self, model: Model, threshold_ratio: float) -> None:
        self._model = model
        self._threshold_ratio = threshold_ratio

    @classmethod
    def load(cls, folder: Path, threshold_ratio: float) -> Self:
        """Load `detector.tflite` of the model folder. Raises DeviceFault(MODEL_REFUSED)."""
        return cls(Model.load(folder, "detector.tflite"), threshold_ratio)

    def detect(self, image: Image) -> list[Box]:
        """Return the plates in `image` uint8 (H, W, 3) BGR, best first, in pixels of that image."""
        canvas, fit = letterbox(image)
        outputs = self._model.run(canvas[None].astype(np.float32) * np.float32(1 / 255))
        maps = (outputs[name].reshape(ROWS, COLUMNS, -1) for name in ("score", "box", "corners"))
        score, box, corners = maps
        scores, boxes, points = decode(score[..., 0], box, corners, self._threshold_ratio)
        found = []
        for ratio, (x, y, w, h), quad in zip(scores, boxes, points, strict=True):
            left, top = fit.to_picture(np.array([x, y], np.float32))
            places = fit.to_picture(quad)
            found.append(
                Box(
                    x_px=float(left),
                    y_px=float(top),
                    w_px=float(w) / fit.scale,
                    h_px=float(h) / fit.scale,
                    score_ratio=float(ratio),
                    corners_px=tuple((float(px), float(py)) for px, py in places),
                )
            )
        return found

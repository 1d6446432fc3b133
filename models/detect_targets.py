"""What the detector should answer for a picture: the score map, and for the cells near a plate its box and corners."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.detect import COLUMNS, HEIGHT_PX, ROWS, STRIDE_PX, WIDTH_PX
from firmware.ocr import corners_of_box

Float = npt.NDArray[np.float32]

SMALLEST_PX = 5.0  # a plate narrower than this in the network's input is not asked for
SEEN_RATIO = 0.6  # of its width and of its height: a plate of which less is in view is not asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Score and where it is asked for (1, 48, 64); for N cells their index, box, corners and weights."""

    score: Float
    asked: Float  # 0 in doubtful areas
    cells: npt.NDArray[np.int64]  # (N, 2) row, column
    boxes: Float  # (N, 4)
    corners: Float  # (N, 8)
    weights: Float  # (N,)
    cornered: Float  # (N,) 1 where the corners are known


def targets_of(corners: Float, cornered: npt.NDArray[np.bool_], doubtful: Float | None = None) -> Targets:
    """Return the targets of one input picture with plates at `corners` (N, 4, 2) in input pixels.

    Nothing is asked inside `doubtful` (M, 4, 2), nor where a plate is mostly out of sight or too small.
    """
    score, asked = np.zeros((ROWS, COLUMNS), np.float32), np.ones((ROWS, COLUMNS), np.float32)
    cells, boxes, places, weights, known = [], [], [], [], []
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32) + 0.5
    for quad in () if doubtful is None else doubtful:
        _blank(asked, quad)
    clear = []
    for quad, has_corners in zip(corners, cornered, strict=True):
        low, high = quad.min(axis=0), quad.max(axis=0)
        clipped_low, clipped_high = np.maximum(low, 0), np.minimum(high, (WIDTH_PX, HEIGHT_PX))
        if ((clipped_high - clipped_low) < SEEN_RATIO * (high - low)).any() or high[0] - low[0] < SMALLEST_PX:
            _blank(asked, quad)
            continue
        cut = (clipped_low != low).any() or (clipped_high != high).any()
        (w, h), (x, y) = (clipped_high - clipped_low) / STRIDE_PX, (clipped_high + clipped_low) / 2 / STRIDE_PX
        sigma_x, sigma_y = max(0.45, w / 8), max(0.45, h / 8)
        heat = np.exp(-((columns - x) ** 2) / (2 * sigma_x**2) - (rows - y) ** 2 / (2 * sigma_y**2))
        column, row = min(COLUMNS - 1, int(x)), min(ROWS - 1, int(y))
        np.maximum(score, heat, out=score)
        score[row, column] = 1.0
        clear.append(heat > 0.05)
        near = np.argwhere(heat > 0.4)
        near = near if len(near) else np.array([[row, column]])
        for r, c in near:
            cells.append((r, c))
            boxes.append((x - c - 0.5, y - r - 0.5, np.log(w), np.log(h)))
            places.append(((quad - clipped_low) / (clipped_high - clipped_low) - corners_of_box(0, 0, 1, 1)).reshape(8))
            weights.append(heat[r, c] / len(near) ** 0.75)
            known.append(float(has_corners and not cut))
    for near_plate in clear:
        asked[near_plate] = 1.0
    return Targets(
        score=score[None],
        asked=asked[None],
        cells=np.array(cells, np.int64).reshape(-1, 2),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        corners=np.array(places, np.float32).reshape(-1, 8),
        weights=np.array(weights, np.float32),
        cornered=np.array(known, np.float32),
    )


def _blank(asked: Float, quad: Float) -> None:
    """Set the cells that a plate at `quad` (4, 2) could answer from to 0."""
    low = np.clip(np.floor(quad.min(axis=0) / STRIDE_PX), 0, (COLUMNS, ROWS)).astype(int)
    high = np.clip(np.ceil(quad.max(axis=0) / STRIDE_PX), 0, (COLUMNS, ROWS)).astype(int)
    asked[low[1] : high[1], low[0] : high[0]] = 0.0

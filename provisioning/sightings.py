"""What one picture says of the plates in it and of its light: places, widths, contrast, blur. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from firmware.detect import WIDTH_PX as INPUT_WIDTH_PX
from firmware.exposure import BLACK_LEVEL, SATURATED_LEVEL
from firmware.lane import Point, lane_mask
from firmware.ocr import corners_of
from firmware.records import Box, Frame, Grey
from provisioning import focus

SPARE_INPUT_PX = 3.7
"""By so much the detector's corners make a plate wider than it is, in pixels of the network's input: 10.5 of 1456,
measured on 554 drawn plates of 60 to 250 px against the road's truth (the rest is noise of 5 px)."""

_AROUND = 0.15  # of its width: the plate's own edges and a little more
_RIM_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One plate in one picture. Levels are grey levels 0..255; `blur_px` is None where it shows no edge."""

    at_s: float
    x_px: float  # of its middle
    y_px: float
    width_px: float
    ground_level: float
    contrast_levels: float
    blur_px: float | None
    exposure_us: float
    infrared: bool
    is_in_lane: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LightShares:
    """Which shares of a picture are washed out and black, and the level of its middle pixel."""

    saturated_ratio: float
    black_ratio: float
    median_level: float


def sighted(frame: Frame, boxes: Sequence[Box], lane: Sequence[Point]) -> list[Sighting]:
    """Return the plates that the detector found in `frame` and that are wholly in the picture."""
    grey = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8)
    height, width = grey.shape
    inside = lane_mask(lane, height // 8, width // 8)
    found = []
    for box in boxes:
        quad = corners_of(box)
        if (quad < _RIM_PX).any() or (quad >= (width - _RIM_PX, height - _RIM_PX)).any():
            continue
        edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
        x, y = (float(value) for value in quad.mean(axis=0))
        low, high = np.percentile(_cut(grey, box, -_AROUND / 2), (10, 90))
        found.append(
            Sighting(
                at_s=frame.at_s,
                x_px=x,
                y_px=y,
                width_px=max(1.0, float(edges[0] + edges[2]) / 2.0 - SPARE_INPUT_PX * width / INPUT_WIDTH_PX),
                ground_level=float(high),
                contrast_levels=float(high - low),
                blur_px=focus.blur_px(_cut(grey, box, _AROUND)),
                exposure_us=frame.exposure_us,
                infrared=frame.infrared,
                is_in_lane=bool(inside[min(int(y) // 8, height // 8 - 1), min(int(x) // 8, width // 8 - 1)]),
            )
        )
    return found


def light_shares(small: Grey) -> LightShares:
    """Return how a small picture, uint8 (h, w), is lit."""
    return LightShares(
        saturated_ratio=float(np.mean(small >= SATURATED_LEVEL)),
        black_ratio=float(np.mean(small <= BLACK_LEVEL)),
        median_level=float(np.median(small)),
    )


def _cut(grey: Grey, box: Box, around: float) -> Grey:
    """Return the box and so much of its width around it, or within it where that is negative; one pixel or more."""
    spare_x, spare_y = around * box.w_px, around * (box.w_px if around > 0 else box.h_px)
    left, top = max(0, int(box.x_px - spare_x)), max(0, int(box.y_px - spare_y))
    right = max(left + 1, int(np.ceil(box.x_px + box.w_px + spare_x)))
    bottom = max(top + 1, int(np.ceil(box.y_px + box.h_px + spare_y)))
    return grey[min(top, grey.shape[0] - 1) : bottom, min(left, grey.shape[1] - 1) : right]

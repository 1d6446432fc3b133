"""The picture of a vehicle's rear: which part of a frame it is, what of it nobody can recognise, how it is packed.

Pure: arrays in, arrays and bytes out.

The one idea: what must not be seen is not in the picture at all. Not far over the plate begins the rear window, and
behind it sit people; New Hampshire's law on number plate scanners (RSA 261:75-b) wants devices that cannot picture
occupants. So above CLEAR_HEIGHTS over the plate one colour is kept for each square of CELL_WIDTHS (0.15 m: a head is
one or two), a mean over it that is taken the moment the frame is looked at: no later step has more, and none can bring
it back. What stays is colour and outline of the vehicle, and in the clear its lamps, bumper and badges.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from firmware.records import MAX_VEHICLE_BYTES, Box, Image, Picture, PictureCoding

WIDTHS_BESIDE: Final = 2.5
"""Plate widths (of 0.305 m) to both sides of the plate: 1.8 m in all, as wide as a car."""

WIDTHS_ABOVE, WIDTHS_BELOW = 4.0, 1.0

CLEAR_HEIGHTS: Final = 0.5
CLEAR_WIDTHS_AT_MOST: Final = 0.25
"""How far over the plate the picture is clear: half a height of the plate, 8 cm of a US one. On hatchbacks and vans the
window begins so near; with three heights most of it was in the clear on five of eight vehicles of the simulated road. A
box that is too high must not lift the line into the window, so that the plate's width is asked too."""

CELL_WIDTHS: Final = 0.5
"""The least side of a square that has one colour."""

LINEAR_SCALE: Final = 0.5
"""Down to half the size, every pixel still counts when four neighbours are mixed, in a tenth of the time of a mean."""

WIDTH_PX: Final = 480
"""Of a picture that the frame does not cut: the plate in it is 80 px wide and can still be read."""

CELL_SAMPLING: Final = 4
"""Every fourth pixel of every fourth row goes into a cell's colour: some 250 of them, in a tenth of the time."""

JPEG_QUALITIES: Final = (80, 65, 50, 35, 20)
"""JPEG costs 2 ms a vehicle where AVIF would cost 30 to 50."""


@dataclass(frozen=True, slots=True)
class Rear:
    """What may be seen of a vehicle: `clear` uint8 (h, w, 3) BGR, and over it `blurred_px` rows.

    Of these rows `cells` uint8 (rows, columns, 3) has one colour for each square of CELL_WIDTHS or more (a strip lower
    than that is one row); None where the frame ends below.
    """

    clear: Image = field(repr=False)
    cells: "Image | None" = field(repr=False)
    blurred_px: int


def rear_around(image: Image, plate: Box) -> Rear:
    """Return the rear of the vehicle whose plate is at `plate` in `image` uint8 (H, W, 3) BGR."""
    height_px, width_px = image.shape[:2]
    unit_px = max(1.0, plate.w_px)
    left = int(np.clip(plate.x_px - WIDTHS_BESIDE * unit_px, 0, width_px - 1))
    right = int(np.clip(math.ceil(plate.x_px + (1 + WIDTHS_BESIDE) * unit_px), left + 1, width_px))
    top = int(np.clip(plate.y_px - WIDTHS_ABOVE * unit_px, 0, height_px - 1))
    bottom = int(np.clip(math.ceil(plate.y_px + plate.h_px + WIDTHS_BELOW * unit_px), top + 1, height_px))
    clear_over_px = min(CLEAR_HEIGHTS * max(1.0, plate.h_px), CLEAR_WIDTHS_AT_MOST * unit_px)
    line = int(np.clip(math.ceil(plate.y_px - clear_over_px), top, bottom - 1))
    scale = min(1.0, WIDTH_PX / ((1 + 2 * WIDTHS_BESIDE) * unit_px))
    clear = _shrunk(image[line:bottom, left:right], scale)
    if line == top:
        return Rear(clear, None, 0)
    cells = tuple(max(1, int(side / (CELL_WIDTHS * unit_px))) for side in (line - top, right - left))
    above = np.ascontiguousarray(image[top:line:CELL_SAMPLING, left:right:CELL_SAMPLING])
    means = np.asarray(cv2.resize(above, cells[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return Rear(clear, means, max(1, round((line - top) * scale)))


def picture_of(rear: Rear) -> Image:
    """Return `rear` as one picture, uint8 (h, w, 3) BGR, at most WIDTH_PX wide."""
    if rear.cells is None:
        return rear.clear
    size_px = (rear.clear.shape[1], rear.blurred_px)
    blurred = np.asarray(cv2.resize(rear.cells, size_px, interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.vstack([blurred, rear.clear])


def packed(rear: Rear) -> Picture | None:
    """Return `rear` as JPEG of at most MAX_VEHICLE_BYTES, as good as fits, in memory; None if that cannot be."""
    image = picture_of(rear)
    for quality in JPEG_QUALITIES:
        is_packed, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if is_packed and data.size <= MAX_VEHICLE_BYTES:
            return Picture(PictureCoding.JPEG, data.tobytes())
    return None


def _shrunk(part: Image, scale: float) -> Image:
    """Return a copy of `part` at `scale`, which is at most 1; each side is one pixel or more."""
    height_px, width_px = (min(WIDTH_PX, max(1, round(side * scale))) for side in part.shape[:2])
    how = cv2.INTER_LINEAR if scale > LINEAR_SCALE else cv2.INTER_AREA
    return np.array(cv2.resize(part, (width_px, height_px), interpolation=how), np.uint8)

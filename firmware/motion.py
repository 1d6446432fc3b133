"""Whether something drives through the lane, and how fast: the sensor's small grey copy against a running background.

Pure: pictures and times in, a share and a pace out. What a motion is worth is `firmware.capture`'s to decide.

The one idea: brightness is not compared, but how it differs from its own surroundings. A cloud, a new exposure or
the glow of headlights on the road multiplies a place and its surroundings alike; an edge of a vehicle does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firmware.lane import Point, lane_mask
from firmware.records import Grey

GRID_HEIGHT_PX = 136
"""Half of the small copy: a cell is eight by eight of the sensor's pixels and averages their noise away; a plate of
130 px is sixteen cells wide."""

SURROUNDINGS_CELLS = 15
"""What a cell is compared with: a plate and its bumper. Light that changes over a longer way is no structure."""

DARK_LEVELS = 16.0
"""Added to every brightness, so that the noise of a black road is no structure: one level of noise in 16 is 6 %."""

SCALE = 100.0
"""Contrast is kept in per cent of the surroundings, so that 8 bits hold a change of up to 255."""

CHANGED_PERCENT = 16.0
"""A cell has changed if its contrast differs by more: the edge of a plate makes 50, asphalt under a moving sun 5, and
the noise of a black road at the largest gain (20 levels in a pixel, 64 pixels in a cell) 12 now and then."""

SMALLEST_THING_CELLS = 24
"""A change that is not this large in one piece, after lines of two cells' width are opened away, is rain or an insect:
a raindrop falls 1.5 mm in 200 us and is a dot or a short line, a twentieth of a plate."""

TIME_CONSTANT_S = 0.15
"""How fast the background follows. A vehicle may fill the whole picture: with a constant of seconds it would leave a
ghost of itself that looks like motion long after; with this the ghost is gone after 0.3 s, and so is a parked car."""

COARSE_HEIGHT_PX = GRID_HEIGHT_PX // 2
"""Pace is measured on cells of sixteen pixels, of which a vehicle at 5 mph moves half of one between shots."""

STILL_CELLS = 0.1
"""What moved by less between two looks has changed and stands: a car that parked, or the road that one has left."""

QUICK_CELLS = 1.4
"""From this way on between two looks the pace is no longer measured, only that it is quick."""

NOISE_LEVELS = 3
"""A coarse cell averages 256 pixels; a smaller difference of it is noise even at the largest gain."""

_OPENING = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What moved. `crossing_s`: how long it takes through the picture's height at this pace.

    0 for what is too quick to be measured, infinite if nothing moved.
    """

    changed_ratio: float
    crossing_s: float


class MotionGate:
    """Keeps a running background and says what share of the lane differs from it."""

    def __init__(self, lane: Sequence[Point]) -> None:
        """Look at `lane` only, a polygon in shares of the picture."""
        self._lane = tuple(lane)
        self._mask: Grey = np.zeros((0, 0), np.uint8)
        self._lane_cells = 0
        self._background: npt.NDArray[np.float32] | None = None
        self._coarse: Grey | None = None
        self._seen_s = 0.0

    def look(self, small: Grey, at_s: float) -> Motion:
        """Return what moved in `small`, uint8 (h, w), since the background was seen, and take it into the background.

        The first picture counts as changed altogether, so that what stands in view at the start is looked at once.
        """
        cells = _shrunk(small, GRID_HEIGHT_PX)
        coarse = _shrunk(cells, COARSE_HEIGHT_PX)
        contrast = _contrast_percent(cells)
        elapsed_s, self._seen_s = max(0.0, at_s - self._seen_s), at_s
        before, self._coarse = self._coarse, coarse
        if self._background is None or before is None or contrast.shape != self._background.shape:
            self._begin(contrast)
            return Motion(changed_ratio=1.0, crossing_s=0.0)
        difference = cv2.convertScaleAbs(cv2.subtract(contrast, self._background))
        cv2.bitwise_and(difference, self._mask, dst=difference)
        things = _things(difference)
        share = 1.0 - math.exp(-elapsed_s / TIME_CONSTANT_S)
        cv2.accumulateWeighted(contrast, self._background, share)
        changed_cells = cv2.countNonZero(things)
        moved_cells = _moved_cells(before, coarse, things) if changed_cells else 0.0
        if moved_cells < STILL_CELLS:
            return Motion(changed_ratio=0.0, crossing_s=math.inf)
        crossing_s = 0.0 if moved_cells > QUICK_CELLS else elapsed_s * coarse.shape[0] / moved_cells
        return Motion(changed_ratio=changed_cells / self._lane_cells, crossing_s=crossing_s)

    def _begin(self, contrast: npt.NDArray[np.float32]) -> None:
        rows, columns = contrast.shape
        self._background = contrast
        self._mask = lane_mask(self._lane, rows, columns)
        self._lane_cells = max(1, cv2.countNonZero(self._mask))


def _shrunk(grey: Grey, height_px: int) -> Grey:
    """Return `grey` averaged to `height_px` rows, in its own proportions; as it is if it has no more rows."""
    rows, columns = grey.shape
    if rows <= height_px:
        return grey
    size_px = (max(1, round(columns * height_px / rows)), height_px)
    return np.asarray(cv2.resize(grey, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def _contrast_percent(cells: Grey) -> npt.NDArray[np.float32]:
    """Return each cell's brightness as per cent of its surroundings' mean, float32: free of a factor of light."""
    raised = cv2.add(cells.astype(np.float32), DARK_LEVELS)
    around = cv2.blur(raised, (SURROUNDINGS_CELLS, SURROUNDINGS_CELLS), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.divide(raised, around, scale=SCALE), np.float32)


def _things(difference: Grey) -> Grey:
    """Return uint8 (h, w), 255 where the contrast has changed over a piece as large as a thing."""
    _, changed = cv2.threshold(difference, CHANGED_PERCENT, 255, cv2.THRESH_BINARY)
    changed = cv2.morphologyEx(changed, cv2.MORPH_OPEN, _OPENING)
    if cv2.countNonZero(changed) < SMALLEST_THING_CELLS:
        return np.zeros_like(difference)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(changed, connectivity=8, ltype=cv2.CV_16U)
    is_thing = statistics[:, cv2.CC_STAT_AREA] >= SMALLEST_THING_CELLS
    is_thing[0] = False  # the background's own label
    return np.asarray(np.where(is_thing[labels], np.uint8(255), np.uint8(0)), np.uint8)


def _moved_cells(before: Grey, now: Grey, things: Grey) -> float:
    """Return how many cells things moved between two coarse pictures, well measured up to about QUICK_CELLS.

    Sum of the differences between the pictures over sum of the differences between neighbours within one (Limb and
    Murphy, "Estimating the velocity of moving images in television signals", Computer Graphics and Image Processing 4,
    1975).
    """
    where = cv2.resize(things, (now.shape[1], now.shape[0]), interpolation=cv2.INTER_AREA)
    _, over_time = cv2.threshold(cv2.absdiff(now, before), NOISE_LEVELS, 255, cv2.THRESH_TOZERO)
    across = cv2.convertScaleAbs(cv2.Sobel(now, cv2.CV_16S, 1, 0, ksize=1), alpha=0.5)
    down = cv2.convertScaleAbs(cv2.Sobel(now, cv2.CV_16S, 0, 1, ksize=1), alpha=0.5)
    steepness = cv2.mean(cv2.max(across, down), mask=where)[0]
    return float(cv2.mean(over_time, mask=where)[0] / max(1.0, steepness))

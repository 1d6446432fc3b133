"""Whether something moves in the picture: a small grey copy of it against a running background.

Pure: pictures and times in, a ratio out. It does not decide what a motion is worth; `firmware.capture` does.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image

GRID_WIDTH_PX = 160
GRID_HEIGHT_PX = 90
"""The small copy has one size whatever the sensor's; a cell of it averages away the noise of its 60 or so pixels."""

CHANGED_GREY_LEVELS = 18.0
"""A cell that differs by more than this has changed; noise of a cell is about one grey level, a plate's paint fifty."""

TIME_CONSTANT_S = 0.15
"""How fast the background follows. A vehicle may fill the whole picture: with a constant of seconds it would leave a
ghost of itself that looks like motion long after; with this the ghost is gone after 0.3 s, and so is a parked car."""

LARGEST_GAIN = 4.0
"""A global change of light beyond this factor is not corrected; it counts as a change of the scene."""


class MotionGate:
    """Keeps a running background and says what share of a picture differs from it."""

    def __init__(self) -> None:
        self._background: npt.NDArray[np.float32] | None = None
        self._seen_s = 0.0

    def changed_ratio(self, image: Image, at_s: float) -> float:
        """Return the share of `image` (uint8 (H, W, 3) BGR) that changed, 0..1, and take it into the background.

        The first picture counts as changed altogether, so that what stands in view at the start is looked at once.
        """
        small, background = _small_grey(image), self._background
        if background is None:
            self._background, self._seen_s = small, at_s
            return 1.0
        changed = np.abs(_light_corrected(small, background) - background) > CHANGED_GREY_LEVELS
        share = 1.0 - math.exp(-max(0.0, at_s - self._seen_s) / TIME_CONSTANT_S)
        self._background = np.asarray(background + share * (small - background), dtype=np.float32)
        self._seen_s = at_s
        return float(changed.mean())


def _small_grey(image: Image) -> npt.NDArray[np.float32]:
    """Return `image` as float32 (GRID_HEIGHT_PX, GRID_WIDTH_PX) grey levels 0..255."""
    small = cv2.resize(image, (GRID_WIDTH_PX, GRID_HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.float32)


def _light_corrected(small: npt.NDArray[np.float32], background: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return `small` scaled to the background's light.

    The factor is the ratio of medians: a vehicle that fills less than half of the picture does not move a median.
    """
    gain = float(np.median(background)) / max(1.0, float(np.median(small)))
    if not 1.0 / LARGEST_GAIN < gain < LARGEST_GAIN:
        return small
    return np.asarray(np.minimum(small * gain, 255.0), dtype=np.float32)

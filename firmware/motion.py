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

QUIET_TIME_CONSTANT_S = 3.0
"""How fast unchanged cells follow the light: clouds take seconds."""

CHANGED_TIME_CONSTANT_S = 10.0
"""How fast changed cells become background: a car that parks is forgotten, one that passes leaves no ghost."""

RELEARN_RATIO = 0.5
"""When this share changed at once it was the light or the camera itself, and the picture is the new background."""

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
        small = _small_grey(image)
        if self._background is None:
            self._background, self._seen_s = small, at_s
            return 1.0
        changed = np.abs(_light_corrected(small, self._background) - self._background) > CHANGED_GREY_LEVELS
        ratio = float(changed.mean())
        self._background = small if ratio > RELEARN_RATIO else self._blend(small, changed, at_s)
        self._seen_s = at_s
        return ratio

    def _blend(
        self, small: npt.NDArray[np.float32], changed: npt.NDArray[np.bool_], at_s: float
    ) -> npt.NDArray[np.float32]:
        """Return the background moved towards `small`, exponentially in time, slowly where it changed."""
        elapsed_s = max(0.0, at_s - self._seen_s)
        quiet = 1.0 - math.exp(-elapsed_s / QUIET_TIME_CONSTANT_S)
        slow = 1.0 - math.exp(-elapsed_s / CHANGED_TIME_CONSTANT_S)
        share = np.where(changed, np.float32(slow), np.float32(quiet))
        background = self._background if self._background is not None else small
        return np.asarray(background + share * (small - background), dtype=np.float32)


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

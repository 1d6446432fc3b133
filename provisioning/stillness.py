"""Whether the camera still looks the same way, and what in its picture is washed out and stays so. Pure.

While nothing drives past, two small pictures of one view differ by light and noise alone. A shift between them is the
technician's hand on the bracket.
"""

import math
from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from firmware.exposure import SATURATED_LEVEL
from firmware.records import Grey

LOOKED_AT_EVERY_S = 0.25
SHIFT_PX = 2.0
"""Of a picture a quarter as wide: 8 px of the sensor's, a tenth of a degree behind a 16 mm lens."""

SURE_RATIO = 0.15
"""Height of the peak of a phase correlation: 1 for the same picture, hundredths for noise alone."""

GLARE_LOOKS = 6
HALO_FACTOR = 1.12
"""Around a light in view it is so much brighter, in levels, than elsewhere in the picture; around paint it is not."""

SMALLEST_SPOT_RATIO = 0.001

_HALO_PX = (9, 25)


class Stillness:
    """Compares quiet pictures with the first one since the camera was turned."""

    def __init__(self) -> None:
        self.glare_ratio = 0.0
        self._before: npt.NDArray[np.float32] | None = None
        self._looked_s = -math.inf
        self._levels: deque[Grey] = deque(maxlen=GLARE_LOOKS)

    def see(self, small: Grey, at_s: float, *, moves: bool) -> bool:
        """Take in a small picture, uint8 (h, w); return True if the camera looks another way than before.

        `glare_ratio` is then the share of it that was saturated in all of the last looks, moving things left out.
        """
        if at_s - self._looked_s < LOOKED_AT_EVERY_S:
            return False
        self._looked_s = at_s
        if self._levels and self._levels[-1].shape != small.shape:
            self._levels.clear()
            self._before = None
        self._levels.append(small.copy())
        if len(self._levels) == GLARE_LOOKS:
            self.glare_ratio = _glare_ratio(np.stack(self._levels).min(axis=0))
        if moves:
            return False
        structure = _structure(small)
        before, self._before = self._before, self._before if self._before is not None else structure
        if before is None:
            return False
        window = cv2.createHanningWindow((small.shape[1], small.shape[0]), cv2.CV_32F)
        (x, y), sure = cv2.phaseCorrelate(before, structure, window)
        if sure < SURE_RATIO or math.hypot(x, y) < SHIFT_PX:
            return False
        self._before = structure
        self._levels.clear()
        return True


def _glare_ratio(still: Grey) -> float:
    """Return the share that is washed out in round spots from which light spreads over their surroundings.

    Paint on the road is long and thin and has no such halo.
    """
    washed = np.asarray(still >= SATURATED_LEVEL, np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(washed, connectivity=8, ltype=cv2.CV_16U)
    width, height, area = (boxes[:, column].astype(float) for column in (2, 3, 4))
    is_spot = (area >= SMALLEST_SPOT_RATIO * still.size) & (area >= 0.5 * width * height)
    is_spot &= (width <= 2.5 * height) & (height <= 2.5 * width)
    is_spot[0] = False  # the ground's own label
    spots = np.asarray(is_spot[labels], np.uint8)
    near, far = (cv2.dilate(spots, np.ones((size, size), np.uint8)) for size in _HALO_PX)
    halo = still[(far > 0) & (near == 0)]
    if not halo.size or float(np.median(halo)) < HALO_FACTOR * float(np.median(still)):
        return 0.0
    return float(spots.mean())


def _structure(small: Grey) -> npt.NDArray[np.float32]:
    """Return what of a picture is neither its light nor its noise."""
    seen = np.log1p(small.astype(np.float32))
    return np.asarray(cv2.GaussianBlur(seen, (0, 0), 1.0) - cv2.GaussianBlur(seen, (0, 0), 8.0), np.float32)

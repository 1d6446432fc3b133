"""Units that were hung up wrongly, for those who learn to aim one and for the tests of the tool that tells.

Owns the ways of being wrong: the camera turned away, out of focus, its iris shut, a light in its eye.
"""

import dataclasses
import enum
import functools

import numpy as np
import numpy.typing as npt

from firmware.records import Grey, Image, Light
from hw_sim.camera import Scene
from hw_sim.scene_around import SceneAround
from hw_sim.world import Mount


class Amiss(enum.StrEnum):
    """What is wrong with a unit."""

    LEFT = "left"
    RIGHT = "right"
    HIGH = "high"
    LOW = "low"
    FOCUS = "focus"
    DARK = "dark"
    GLARE = "glare"


FAR_TURN_DEG = 15.0
TILT_DEG = 9.0
DEFOCUS_PX = 3.0
SHUT_FACTOR = 1500.0
"""An iris that is shut as far as it goes, and a dirty window: ten stops."""

_GAMMA = 2.2
_SPOT_RATIO = 0.035  # of the picture's width: the radius of what is washed out
_HALO = 0.09
_GLARE_US = 400.0  # of exposure at gain 1, at which the disc is three times as bright as white


def hung(amiss: Amiss | None, mount: Mount | None = None) -> Mount:
    """Return the mount with what is wrong in how it hangs; else as it is."""
    mount = mount or Mount()
    match amiss:
        case Amiss.LEFT:
            return mount.turned(right_deg=-FAR_TURN_DEG)
        case Amiss.RIGHT:
            return mount.turned(right_deg=FAR_TURN_DEG)
        case Amiss.HIGH:
            return mount.turned(up_deg=TILT_DEG)
        case Amiss.LOW:
            return mount.turned(up_deg=-TILT_DEG)
        case Amiss.FOCUS:
            return dataclasses.replace(mount, defocus_px=DEFOCUS_PX)
        case _:
            return mount


class AmissScene(SceneAround):
    """A scene through an iris that is shut, or with a light in view; else the scene itself."""

    def __init__(self, inside: Scene, amiss: Amiss | None) -> None:
        super().__init__(inside)
        self._amiss = amiss

    def picture_at(self, elapsed_s: float, light: Light) -> Image:
        """Return the exposure, uint8 (H, W, 3) BGR."""
        return self._with_glare(super().picture_at(elapsed_s, self._through_iris(light)), light)

    def small_at(self, elapsed_s: float, light: Light) -> Grey:
        """Return the small picture of the same exposure, uint8 (H / 4, W / 4)."""
        return self._with_glare(super().small_at(elapsed_s, self._through_iris(light)), light)

    def _through_iris(self, light: Light) -> Light:
        """Return the light of which as many electrons come as through the iris: a shorter time has the same noise."""
        if self._amiss is not Amiss.DARK:
            return light
        return dataclasses.replace(light, exposure_us=light.exposure_us / SHUT_FACTOR)

    def _with_glare(self, picture: npt.NDArray[np.uint8], light: Light) -> npt.NDArray[np.uint8]:
        """Return the picture with a lamp in its upper right part, whose halo lies over all of it."""
        if self._amiss is not Amiss.GLARE:
            return picture
        rows, columns = picture.shape[:2]
        glow = _glow(rows, columns) * min(4.0, light.exposure_us * light.gain / _GLARE_US)
        linear = (picture / np.float32(255.0)) ** _GAMMA + (glow if picture.ndim == 2 else glow[:, :, None])
        return np.asarray(np.clip(linear, 0.0, 1.0) ** (1.0 / _GAMMA) * 255.0, np.uint8)


@functools.lru_cache(maxsize=2)
def _glow(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Return the light of a bare lamp: a disc that saturates, and around it the glare of lens and window."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    distance = np.hypot(x - 0.8 * columns, y - 0.2 * rows) / columns
    return np.asarray(_HALO / (1.0 + (distance / 0.12) ** 2) + 3.0 * (distance < _SPOT_RATIO), np.float32)

"""What rain does to a picture: streaks in the air, spray behind wheels, and drops on the camera's window.

Owns the look of water between vehicle and lens; the wet road is scenery.
"""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image

FALL_M_S = 7.5
"""How fast drops of 2 to 3 mm fall (Gunn and Kinzer 1949)."""

_DROPS_PER_FRAME = 260
_WINDOW_CHANGES_S = 6.0
_DROP_SHAPES = 48

_Plane = npt.NDArray[np.float32]


class Rain:
    """Rain of one strength before one view. Everything is a function of the time and the seed."""

    def __init__(self, rain_ratio: float, seed: int, size: tuple[int, int], focal_px: float, *, is_grey: bool) -> None:
        self.rain_ratio, self._is_grey = rain_ratio, is_grey
        self._seed, self._size, self._focal_px = seed, size, focal_px
        self._drops = functools.lru_cache(maxsize=8)(self._drawn_drops)

    def window_number(self, at_s: float) -> int:
        """Return which state of the window it is at `at_s`: it changes every few seconds."""
        return int(at_s / _WINDOW_CHANGES_S)

    def window(self, number: int) -> _Plane:
        """Return how much of each pixel's light the drops on the window spread, float32 (H, W).

        The window is a few centimetres before a lens that is focused at ten metres: a drop there is no drop in the
        picture but a soft patch of less contrast. The patches change as drops run down.
        """
        generator = np.random.default_rng([self._seed, 41, number])
        rows, columns = self._size[1] // 16 + 1, self._size[0] // 16 + 1
        spread = np.full((rows, columns), 0.05 * self.rain_ratio, np.float32)
        for _ in range(int(4 + 9 * self.rain_ratio)):
            centre = (int(generator.integers(columns)), int(generator.integers(rows)))
            patch = np.zeros_like(spread)
            cv2.circle(patch, centre, int(generator.integers(4, 11)) * columns // 91 + 1, 1.0, -1, cv2.LINE_AA)
            spread += cv2.GaussianBlur(patch, (0, 0), 1.6) * np.float32(generator.uniform(0.05, 0.2))
        full = cv2.resize(np.minimum(spread, 0.4), self._size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(full, np.float32)

    def streak(self, picture: Image, at_s: float, exposure_us: float, lamp_linear: float) -> None:
        """Draw the drops that fall through one exposure into the coded picture, in place.

        By day a drop is a faint bright line, as long as it falls while the shutter is open; in the lamp's light the
        near ones shine as pale discs, out of focus.
        """
        if self.rain_ratio == 0.0:
            return
        drops = self._drops(round(exposure_us / 50.0), round(min(1.0, lamp_linear * 12.0), 1))
        rows, columns = picture.shape[:2]
        count = int(_DROPS_PER_FRAME * self.rain_ratio * max(0.35, columns / 1456.0))
        generator = np.random.default_rng([self._seed, 43, round(abs(at_s) * 1e6)])
        which = generator.integers(len(drops), size=count).tolist()
        places = (generator.random((count, 2)) * (rows, columns)).astype(int).tolist()
        for index, (top, left) in zip(which, places, strict=True):
            window = picture[top : top + drops[index].shape[0], left : left + drops[index].shape[1]]
            cv2.add(window, drops[index][: window.shape[0], : window.shape[1]], dst=window)

    def _drawn_drops(self, exposure_50us: int, lamp: float) -> list[Image]:
        """Return drops as they are added to a coded picture: short lines and, out of focus, soft discs."""
        generator = np.random.default_rng([self._seed, 44])
        drops = []
        for _ in range(_DROP_SHAPES):
            distance_m = float(generator.uniform(1.0, 14.0))
            length_px = FALL_M_S * exposure_50us * 50e-6 * self._focal_px / distance_m
            width_px = max(0.6, 0.0025 * self._focal_px / distance_m)
            blur_px = max(0.5, 0.012 * self._focal_px * abs(1.0 / distance_m - 0.1))  # out of focus nearer than 10 m
            reach = int(np.ceil(width_px / 2.0 + 2.2 * blur_px)) + 1
            shape = np.zeros((2 * reach + int(length_px) + 1, 2 * reach + 1), np.float32)
            aslant_px = round(length_px * float(generator.uniform(-0.15, 0.15)))
            end = (reach + aslant_px, shape.shape[0] - 1 - reach)
            cv2.line(shape, (reach, reach), end, 1.0, max(1, round(width_px)), cv2.LINE_AA)
            shape = np.asarray(cv2.GaussianBlur(shape, (0, 0), blur_px), np.float32)
            shape *= min(1.0, 1.0 / max(0.3, float(np.max(shape)))) ** 0.5
            strength = float(generator.uniform(5.0, 26.0)) * (1.0 + 2.2 * lamp)
            light = cv2.convertScaleAbs(shape, alpha=strength)
            drops.append(np.asarray(light if self._is_grey else cv2.merge([light, light, light]), np.uint8))
        return drops


def spray(generator: np.random.Generator, thickness: float) -> _Plane:
    """Return the opacity of the mist behind a vehicle, float32 (24, 32): thick behind the wheels, thin above."""
    noise = cv2.GaussianBlur(generator.random((24, 32), dtype=np.float32), (0, 0), 2.2)
    noise = (noise - noise.min()) / max(1e-6, float(np.ptp(noise)))
    down = np.linspace(0.0, 1.0, 24, dtype=np.float32)[:, None]
    across = np.abs(np.linspace(-1.0, 1.0, 32, dtype=np.float32))[None, :]
    wheels = np.exp(-(((across - 0.62) / 0.3) ** 2)) + 0.35
    edge = (
        np.clip((1.0 - across) / 0.35, 0.0, 1.0) * np.clip(down / 0.3, 0.0, 1.0) * np.clip((1.0 - down) / 0.3, 0.0, 1.0)
    )
    share = thickness * edge * (0.35 + 0.65 * down**1.5) * np.minimum(1.0, wheels) * (0.45 + 0.75 * noise)
    return np.asarray(np.clip(share, 0.0, 0.85), np.float32)

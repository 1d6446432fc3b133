"""The lens and the sensor of the simulated camera: blur, glare, noise and the curve from electrons to levels.

Owns what happens to light between the window and the buffer; what the light comes from is others' business. Pictures
are linear, in shares of what saturates the converter at the gain in use, until `level_of` codes them.
The sensor is the IMX296: a full well of about 10,000 electrons and 2.5 electrons of read noise.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image, Light

Linear = npt.NDArray[np.float32]
"""float32 (H, W, 4), blue, green, red; 1.0 saturates the converter. OpenCV works on four planes twice as fast as on
three; the fourth is for opacity, or for nothing. A grey picture is float32 (H, W)."""

FULL_WELL_E = 10_000.0
READ_NOISE_E = 2.5
OPTICS_SIGMA_PX = 0.6
"""The lens, a little out of focus in infrared light, and the Bayer pattern together."""

_TOE = 0.004
_ROOT, _STRAIGHT = 1.212 * 255.0, -0.138 * 255.0
_ROOT_OF_TOE = _ROOT * math.sqrt(_TOE)
_NOISE_SPARE_PX = 96
_SIGMA_SCALE = 8.0  # noise is kept in eighths of a level
_GREY_SIGMA_SCALE = 32.0  # that of grey pictures, which are averages, is less
_TILE_SCALE = 32.0
_ROUNDING_VARIANCE = 1.0 / 6.0  # of a level: it was rounded to a whole one, and so was its noise
_SMEAR_STEPS = 9
_STRIP_PX = 1 << 15
_LUMA: npt.NDArray[np.float32] = np.array([[0.114, 0.587, 0.299, 0.0]], np.float32)  # ITU-R BT.601
_REFLECTANCE: npt.NDArray[np.float32] = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)  # IEC 61966-2-1, nearly


class Scratch:
    """Memory that is used again from exposure to exposure: fresh pages cost more than the work done on them."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype[np.generic]], npt.NDArray[np.generic]] = {}

    def floats(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Return a float32 array with any content; the next one of this name takes its place."""
        return self._array(name, shape, np.dtype(np.float32)).view(np.float32)

    def bytes(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Return a uint8 array with any content; the next one of this name takes its place."""
        return self._array(name, shape, np.dtype(np.uint8)).view(np.uint8)

    def _array(self, name: str, shape: tuple[int, ...], kind: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
        size = math.prod(shape)
        if (name, kind) not in self._buffers or self._buffers[name, kind].size < size:
            self._buffers[name, kind] = np.empty(size, kind)
        return self._buffers[name, kind][:size].reshape(shape)


def saturation_e(gain: float) -> float:
    """Return how many electrons give the highest level."""
    return FULL_WELL_E / gain


def linear_per_electron_us(light: Light) -> float:
    """Return what one electron per microsecond becomes in the linear picture."""
    return light.exposure_us / saturation_e(light.gain)


def level_of(linear: Linear, scratch: Scratch) -> Image:
    """Return the levels, uint8 (H, W, 3) or (H, W), of a linear picture, which is spent, in scratch memory.

    The curve is 1.212 (sqrt(x + t) - sqrt(t)) - 0.138 x with t = 0.004. That is within a hundredth the tone curve of
    Raspberry Pi's tuning files for libcamera (rpi.contrast) in the dark, and the curve of IEC 61966-2-1 (sRGB) above
    it; a root takes a sixth of a power's time.
    """
    is_grey = linear.ndim == 2
    coded = scratch.bytes("coded", linear.shape if is_grey else (*linear.shape[:2], 3))
    for rows in strips(linear.shape):
        strip = linear[rows]
        root = scratch.floats("root", strip.shape)
        levels = coded[rows] if is_grey else scratch.bytes("levels", strip.shape)
        np.minimum(strip, np.float32(1.0), out=strip)
        np.add(strip, np.float32(_TOE), out=root)  # cv2.add would take a number for four pixels
        cv2.sqrt(root, dst=root)
        cv2.addWeighted(root, _ROOT, strip, _STRAIGHT, -_ROOT_OF_TOE, dst=levels, dtype=cv2.CV_8U)
        if not is_grey:
            cv2.cvtColor(levels, cv2.COLOR_BGRA2BGR, dst=coded[rows])
    return coded


def grey_of(linear: Linear) -> Linear:
    """Return the light, float32 (H, W), whose level is the luma of the levels of `linear`, whatever the exposure.

    Nearly: it takes the curve of levels for a root, which has no scale.
    """
    root = cv2.transform(cv2.sqrt(cv2.max(linear, (0.0, 0.0, 0.0, 0.0))), _LUMA)
    return np.asarray(cv2.multiply(root, root), np.float32)


def reflectance_of(coded: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the linear reflectance 0..1 of sRGB-coded values, (h, w) or (h, w, channels)."""
    return np.asarray(cv2.LUT(coded, _REFLECTANCE), np.float32)


def smear(picture: Linear, way_px: npt.NDArray[np.float64], optics_px: float) -> None:
    """Blur `picture` in place by the lens, and draw it out along its way (x, y) in the exposure."""
    across, down = _line_kernel(way_px[0], optics_px), _line_kernel(way_px[1], optics_px)
    if max(across.size, down.size) <= 5 or min(abs(way_px[0]), abs(way_px[1])) < 0.5:
        # So short a line differs from the box around it by less than the optics, and the box is three times faster.
        cv2.sepFilter2D(picture, -1, across, down, dst=picture, borderType=cv2.BORDER_REPLICATE)
    else:
        kernel = _slanted_kernel(way_px, optics_px)
        picture[:] = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def veil_of(picture: Linear, strength: float, shrink: int, scratch: Scratch) -> Linear:
    """Return the glare of lens and window: two percent of the light lands in a wide halo around where it belongs.

    After the glare spread functions of McCann and Rizzi, The Art and Science of HDR Imaging: a sharp core on a low,
    wide foot; here the sum of two Gaussians, worked out on pixels `shrink` times as large. In scratch memory.
    """
    rows, columns = picture.shape[:2]
    size = (max(2, columns // shrink), max(2, rows // shrink))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    near, far = cv2.GaussianBlur(small, (0, 0), 1.2), cv2.GaussianBlur(small, (0, 0), 7.0)
    halo = cv2.addWeighted(near, 0.6 * strength, far, 0.4 * strength, 0.0)
    wide = scratch.floats("veil", picture.shape)
    cv2.resize(halo, (columns, rows), dst=wide, interpolation=cv2.INTER_LINEAR)
    return wide


@dataclass(frozen=True, slots=True)
class NoiseTiles:
    """What noise adds to a picture and what it takes away, larger than the picture: each frame cuts its part."""

    lighter: Image
    darker: Image
    scale: float  # of its product with a sigma

    def window(self, generator: np.random.Generator, shape: tuple[int, ...]) -> tuple[Image, Image]:
        """Return a random part of `shape`, (H, W, 3) or (H, W)."""
        top, left = (int(offset) for offset in generator.integers(0, _NOISE_SPARE_PX, 2))
        part = (slice(top, top + shape[0]), slice(left, left + shape[1]))
        return self.lighter[part], self.darker[part]


@functools.lru_cache(maxsize=4)
def noise_tiles(rows: int, columns: int, *, is_grey: bool = False) -> NoiseTiles:
    """Draw the noise of pixels that lie under a Bayer pattern: its colours are interpolated, so its grains are too.

    The noise of a grey picture is what is left of it in the luma.
    """
    generator = np.random.default_rng([rows, columns])
    size = ((rows + _NOISE_SPARE_PX + 1) // 2 * 2, (columns + _NOISE_SPARE_PX + 1) // 2 * 2)
    middle, unit = 32768.0, 4000.0
    raw = np.clip(middle + unit * generator.standard_normal(size, dtype=np.float32), 0, 65535).astype(np.uint16)
    noise = (cv2.cvtColor(raw, cv2.COLOR_BayerBG2BGR).astype(np.float32) - middle) * (_TILE_SCALE / unit)
    if is_grey:
        noise = np.asarray(cv2.transform(noise, _LUMA[:, :3]), np.float32)
    scale = 1.0 / ((_GREY_SIGMA_SCALE if is_grey else _SIGMA_SCALE) * _TILE_SCALE)
    return NoiseTiles(np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8), scale)


@functools.lru_cache(maxsize=16)
def sigma_table(gain: float, averaged: int, *, is_grey: bool = False) -> npt.NDArray[np.uint8]:
    """Return the noise of each level: shot noise and read noise, through the curve of levels.

    It is in eighths of a level, that of a grey picture in 32nds. `averaged` pixels were averaged in each direction. The
    read noise falls a little as the gain rises (datasheet). A grey picture has the noise of three colours that each
    were rounded to a level before their luma was.
    """
    shares = np.linspace(0.0, 1.0, 4096)
    electrons = saturation_e(gain)
    read_e = READ_NOISE_E * (0.85 + 0.15 / gain)
    noise = np.sqrt(shares * electrons + read_e**2) / electrons / averaged

    def level(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        share = np.clip(share, 0.0, 1.0)
        return np.asarray(_ROOT * np.sqrt(share + _TOE) + _STRAIGHT * share - _ROOT_OF_TOE, np.float64)

    levels = level(shares)
    spread = (level(shares + noise) - level(shares - noise)) / 2.0
    by_level = np.interp(np.arange(256), levels, spread)
    if is_grey:
        by_level = np.hypot(by_level, math.sqrt(_ROUNDING_VARIANCE))
    by_level[255] = 0.0  # what is saturated shows no noise
    scale = _GREY_SIGMA_SCALE if is_grey else _SIGMA_SCALE
    return np.asarray(np.clip(np.round(by_level * scale), 0, 255), np.uint8)


def add_noise(
    picture: Image, sigma: Image, generator: np.random.Generator, tiles: NoiseTiles, scratch: Scratch
) -> Image:
    """Add noise of `sigma`, as `sigma_table` tells it, to `picture` in place, and return it."""
    lighter, darker = tiles.window(generator, picture.shape)
    scale = tiles.scale
    for rows in strips(picture.shape):
        strip = picture[rows]
        noise = scratch.bytes("noise", strip.shape)
        cv2.add(strip, cv2.multiply(sigma[rows], lighter[rows], dst=noise, scale=scale), dst=strip)
        cv2.subtract(strip, cv2.multiply(sigma[rows], darker[rows], dst=noise, scale=scale), dst=strip)
    return picture


def strips(shape: tuple[int, ...], pixels: int = _STRIP_PX) -> list[slice]:
    """Return rows that fit into the processor's cache: what is done to them in turn is done there."""
    step = max(1, pixels // shape[1])
    return [slice(first, first + step) for first in range(0, shape[0], step)]


def _line_kernel(way_px: float, optics_px: float) -> npt.NDArray[np.float32]:
    """Return a normalised kernel of one axis: the lens's Gaussian, drawn out over `way_px`."""
    radius = max(1, math.ceil(abs(way_px) / 2.0 + 1.6 * optics_px - 0.25))
    offsets = np.arange(-radius, radius + 1)
    steps = np.linspace(-0.5, 0.5, max(_SMEAR_STEPS, 4 * radius)) * way_px
    kernel = np.exp(-((offsets[None, :] - steps[:, None]) ** 2) / (2.0 * optics_px**2)).sum(axis=0)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _slanted_kernel(way_px: npt.NDArray[np.float64], optics_px: float) -> npt.NDArray[np.float32]:
    """Return a normalised square kernel: the lens's Gaussian, drawn out along a line in any direction."""
    radius = math.ceil(float(np.abs(way_px).max()) / 2.0 + optics_px)
    offsets = np.arange(-radius, radius + 1)
    steps = np.linspace(-0.5, 0.5, max(_SMEAR_STEPS, 4 * radius))[:, None] * way_px[None, :]
    across = np.exp(-((offsets[None, :] - steps[:, :1]) ** 2) / (2.0 * optics_px**2))
    down = np.exp(-((offsets[None, :] - steps[:, 1:]) ** 2) / (2.0 * optics_px**2))
    kernel = np.einsum("ni,nj->ij", down, across)
    return np.asarray(kernel / kernel.sum(), np.float32)

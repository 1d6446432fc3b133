"""The still background of the simulated road: asphalt, lane lines, verge, hills and sky, as one picture.

Owns the look of what does not move. It is computed once per mount by following each pixel's ray to the ground, so that
any mount gives a picture, and it is never drawn again.
"""

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image
from hw_sim.world import View

LANE_HALF_WIDTH_M = 1.75
"""Half of 3.5 m, near the 12 feet of US highway lanes (AASHTO Green Book)."""

_LINE_WIDTH_M = 0.12
_SHOULDER_END_M = LANE_HALF_WIDTH_M + 1.1
_FAR_LANE_END_M = -3.0 * LANE_HALF_WIDTH_M
_TILE_M = 8.0
_TILE_PX = 1024

_Map = npt.NDArray[np.float32]


def draw_scenery(view: View, seed: int) -> Image:
    """Return the empty road in even daylight, uint8 (H, W, 3) BGR; the same for the same view and seed."""
    generator = np.random.default_rng(seed)
    rays = view.rays()
    is_sky = rays[:, :, 2] > -0.004
    distance = view.position_m[2] / np.maximum(-rays[:, :, 2], 0.004)
    x_m = (view.position_m[0] + rays[:, :, 0] * distance).astype(np.float32)
    y_m = (rays[:, :, 1] * distance).astype(np.float32)
    ground = _ground(x_m, y_m, _tile(generator, 2.0), _tile(generator, 14.0))
    haze = np.clip((y_m - 60.0) / 300.0, 0.0, 0.75)[:, :, None]
    ground = ground * (1.0 - haze) + np.array([214, 206, 196], np.float32) * haze
    picture = np.where(is_sky[:, :, None], _sky(rays), ground)
    picture = cv2.GaussianBlur(np.clip(picture, 0, 255).astype(np.uint8), (0, 0), 0.6)
    return np.asarray(picture, np.uint8)


def _tile(generator: np.random.Generator, grain_px: float) -> _Map:
    """Return a repeating tile of noise with mean 0 and deviation 1, float32."""
    noise = generator.standard_normal((_TILE_PX, _TILE_PX)).astype(np.float32)
    spectrum = np.fft.rfft2(noise)
    rows = np.fft.fftfreq(_TILE_PX)[:, None]
    columns = np.fft.rfftfreq(_TILE_PX)[None, :]
    spectrum *= np.exp(-2.0 * (np.pi * grain_px) ** 2 * (rows**2 + columns**2) / 4.0)
    smooth = np.fft.irfft2(spectrum, s=(_TILE_PX, _TILE_PX))
    return np.asarray(smooth / smooth.std(), np.float32)


def _sample(tile: _Map, x_m: _Map, y_m: _Map) -> _Map:
    scale = np.float32(_TILE_PX / _TILE_M)
    # remap takes whole coordinates up to 32767 only, so the tile is repeated here.
    return np.asarray(
        cv2.remap(tile, np.mod(x_m * scale, _TILE_PX - 1), np.mod(y_m * scale, _TILE_PX - 1), cv2.INTER_LINEAR),
        np.float32,
    )


def _stripe(x_m: _Map, centre_m: float, width_m: float, softness_m: float = 0.008) -> _Map:
    """Return 1 on a stripe along the road and 0 beside it, with soft edges."""
    return np.asarray(np.clip((width_m / 2.0 - np.abs(x_m - centre_m)) / softness_m + 0.5, 0.0, 1.0), np.float32)


def _ground(x_m: _Map, y_m: _Map, fine: _Map, coarse: _Map) -> npt.NDArray[np.float32]:
    """Return colours, float32 (H, W, 3), of ground points."""
    grain = _sample(fine, x_m, y_m)
    patches = _sample(coarse, x_m * 0.6 + 3.0, y_m * 0.6)
    asphalt = 104.0 + 5.0 * grain + 4.0 * patches
    for wheel_track_m in (-0.75, 0.75):
        asphalt -= 9.0 * np.exp(-(((x_m - wheel_track_m) / 0.28) ** 2))
    asphalt += 5.0 * np.exp(-((x_m / 0.3) ** 2)) * (0.5 + 0.2 * patches)
    colours = asphalt[:, :, None] * np.array([1.01, 1.0, 0.985], np.float32)
    crack = np.clip(1.0 - np.abs(x_m + 1.28 + 0.02 * _sample(coarse, y_m * 0.25, y_m * 0.11)) / 0.007, 0.0, 1.0)
    colours *= (1.0 - 0.45 * crack)[:, :, None]
    wear = np.clip(0.86 + 0.09 * patches + 0.05 * grain, 0.4, 1.0)
    is_dash = np.clip(np.abs(np.mod(y_m + 2.0, 12.0) - 6.0) * -60.0 + 92.0, 0.0, 1.0)  # 3 m of paint in every 12 m
    lines = (
        (_stripe(x_m, LANE_HALF_WIDTH_M, _LINE_WIDTH_M), (226, 230, 230)),
        (_stripe(x_m, -LANE_HALF_WIDTH_M, _LINE_WIDTH_M) * is_dash, (226, 230, 230)),
        (_stripe(x_m, _FAR_LANE_END_M, _LINE_WIDTH_M), (62, 176, 216)),
    )
    for line, colour_bgr in lines:
        alpha = (line * wear)[:, :, None]
        colours = colours * (1.0 - alpha) + np.array(colour_bgr, np.float32) * alpha
    gravel = (128.0 + 15.0 * grain + 4.0 * patches)[:, :, None] * np.array([0.88, 0.97, 1.02], np.float32)
    colours = _beyond(colours, gravel, x_m - _SHOULDER_END_M + 0.05 * patches, 0.05)
    blades = _sample(fine, x_m * 1.3, y_m * 0.7)
    grass = (92.0 + 17.0 * blades + 12.0 * patches)[:, :, None] * np.array([0.46, 1.0, 0.78], np.float32)
    colours = _beyond(colours, grass, x_m - _SHOULDER_END_M - 0.5 + 0.05 * patches + 0.03 * grain, 0.15)
    return _beyond(colours, grass, _FAR_LANE_END_M - 0.6 - x_m + 0.05 * patches + 0.03 * grain, 0.15)


def _beyond(
    near: npt.NDArray[np.float32], far: npt.NDArray[np.float32], over_m: _Map, softness_m: float
) -> npt.NDArray[np.float32]:
    alpha = np.clip(over_m / softness_m + 0.5, 0.0, 1.0)[:, :, None]
    return np.asarray(near * (1.0 - alpha) + far * alpha, np.float32)


def _sky(rays: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return sky colours: pale at the horizon, blue above it, with a line of hills."""
    level = np.hypot(rays[:, :, 0], rays[:, :, 1])
    rise = rays[:, :, 2] / np.maximum(level, 1e-3)
    mix = np.clip(rise / 0.35, 0.0, 1.0)[:, :, None] ** 0.7
    sky = np.array([232, 222, 208], np.float32) * (1.0 - mix) + np.array([214, 158, 96], np.float32) * mix
    bearing = np.arctan2(rays[:, :, 0], rays[:, :, 1])
    hills = 0.02 + 0.012 * np.sin(bearing * 9.0 + 1.0) + 0.006 * np.sin(bearing * 31.0)
    alpha = np.clip((hills - rise) / 0.0015, 0.0, 1.0)[:, :, None]
    return np.asarray(sky * (1.0 - alpha) + np.array([148, 140, 118], np.float32) * alpha, np.float32)

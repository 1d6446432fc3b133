"""The still ground of the simulated road: asphalt, lane lines, verge, hills and sky, dry or wet, in any light.

Owns the look of what does not move. It is computed once per view by following each pixel's ray to the ground, so that
any mount gives a picture; how much of it is seen in one exposure is a weighted sum of its two lights.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.light import (
    DAY_INFRARED_RATIO,
    INFRARED_TINT,
    LAMP_HALF_ANGLE_DEG,
    LAMP_REFERENCE_M,
    LUMINANCE,
    MATT_PER_LAMP,
    MATT_PER_LUX,
    Sky,
)
from hw_sim.optics import OPTICS_SIGMA_PX, Linear, grey_of, reflectance_of
from hw_sim.world import Mount, View

LANE_HALF_WIDTH_M = 1.75
"""Half of 3.5 m, near the 12 feet of US highway lanes (AASHTO Green Book)."""

_LINE_WIDTH_M = 0.12
_SHOULDER_END_M = LANE_HALF_WIDTH_M + 1.1
_FAR_LANE_END_M = -3.0 * LANE_HALF_WIDTH_M
_TILE_M = 8.0
_TILE_PX = 1024
_WET_DARKENING = 0.55

_Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scenery:
    """Electrons per microsecond of each pixel, in the hour's light, and added by the full lamp.

    float32 (H, W, 4), or (H, W) if it is grey.
    """

    ambient: Linear
    lamp: Linear

    def reduced(self, by: int) -> "Scenery":
        """Return what pixels see of it that are `by` times as wide and high: the mean of theirs."""
        size = (self.ambient.shape[1] // by, self.ambient.shape[0] // by)
        shrunk = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (self.ambient, self.lamp)]
        return Scenery(*(np.asarray(each, np.float32) for each in shrunk))

    def grey(self) -> "Scenery":
        """Return the same for a grey picture."""
        return Scenery(grey_of(self.ambient), grey_of(self.lamp))


@dataclass(frozen=True, slots=True)
class _Ground:
    """What each pixel's ray meets, whatever the light: float32 (H, W), but `rays` and `visible` (H, W, 3)."""

    rays: _Map
    is_sky: npt.NDArray[np.bool_]
    distance_m: _Map
    y_m: _Map
    visible: _Map
    infrared: _Map
    pool: _Map


def draw_scenery(view: View, sky: Sky, seed: int) -> Scenery:
    """Return the empty road; the same for the same view, sky and seed."""
    ground = _met(view.mount, seed)
    rays, pool, rain = ground.rays, ground.pool * np.float32(sky.rain_ratio), sky.rain_ratio
    wet = np.float32(1.0 - (1.0 - _WET_DARKENING) * min(1.0, 2.0 * rain))
    visible, infrared = ground.visible * wet, ground.infrared * wet
    ambient = visible * (_daylight(sky) * MATT_PER_LUX)
    ambient += infrared[:, :, None] * (INFRARED_TINT * np.float32(sky.ground_lux * MATT_PER_LUX * DAY_INFRARED_RATIO))
    if rain > 0:
        fresnel = 0.02 + 0.98 * (1.0 + np.minimum(rays[:, :, 2], 0.0)) ** 5
        film = fresnel * (0.15 + 0.85 * pool) * np.float32(min(1.0, 3.0 * rain) * sky.sky_lux / np.pi * LUMINANCE)
        ambient += film[:, :, None] * np.array(sky.sky_bgr, np.float32)
    haze = np.clip((ground.y_m - 60.0) / (300.0 - 200.0 * rain), 0.0, 0.85)[:, :, None]
    if np.any(haze):
        level = np.array(sky.sky_bgr, np.float32) * np.float32(sky.ground_lux / np.pi * 0.8 * LUMINANCE)
        ambient = ambient * (1.0 - haze) + level * haze
    if np.any(ground.is_sky):
        ambient = np.where(ground.is_sky[:, :, None], _sky_luminance(rays, sky) * np.float32(LUMINANCE), ambient)
    lamp = np.where(ground.is_sky, 0.0, infrared * (1.0 - 0.5 * pool)) * _lamp_map(view, rays, ground.distance_m)
    lamp = lamp[:, :, None] * INFRARED_TINT
    sigma_px = math.hypot(OPTICS_SIGMA_PX, view.mount.defocus_px)
    soft = [cv2.GaussianBlur(each.astype(np.float32), (0, 0), sigma_px) for each in (ambient, lamp)]
    return Scenery(*(np.asarray(cv2.cvtColor(each, cv2.COLOR_BGR2BGRA), np.float32) for each in soft))


@functools.lru_cache(maxsize=2)
def _met(mount: Mount, seed: int) -> _Ground:
    """Follow each pixel's ray to the ground. Kept, because one site is looked at in many lights."""
    view, generator = View(mount), np.random.default_rng(seed)
    rays = view.rays()
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    distance = view.position_m[2] / np.maximum(-rays[:, :, 2], 0.004)
    x_m = (view.position_m[0] + rays[:, :, 0] * distance).astype(np.float32)
    y_m = (rays[:, :, 1] * distance).astype(np.float32)
    fine, coarse = _tile(generator, 2.2), _tile(generator, 14.0)
    visible, infrared = _reflectances(x_m, y_m, fine, coarse)
    return _Ground(
        rays=rays, is_sky=rays[:, :, 2] > -0.004, distance_m=np.asarray(distance, np.float32), y_m=y_m,
        visible=visible, infrared=infrared, pool=_pools(x_m, y_m, coarse),
    )  # fmt: skip


def _daylight(sky: Sky) -> npt.NDArray[np.float32]:
    """Return the illuminance of level ground in blue, green and red."""
    sun = sky.sun_lux * max(0.0, sky.towards_sun[2]) * np.array(sky.sun_bgr)
    return np.asarray(sky.sky_lux * np.array(sky.sky_bgr) + sun, np.float32)


def _lamp_map(view: View, rays: _Map, distance: _Map) -> _Map:
    """Return the electrons per microsecond of matt white ground in the full lamp's light."""
    off_deg = np.degrees(np.arccos(np.clip(rays @ view.forward.astype(np.float32), -1.0, 1.0)))
    beam = 0.5 ** ((off_deg / LAMP_HALF_ANGLE_DEG) ** 2)
    slope = np.maximum(0.0, -rays[:, :, 2])
    return np.asarray(MATT_PER_LAMP * beam * slope * (LAMP_REFERENCE_M / distance) ** 2, np.float32)


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


def _pools(x_m: _Map, y_m: _Map, coarse: _Map) -> _Map:
    """Return where water stands: in the wheel tracks, in patches."""
    tracks = np.exp(-(((np.abs(x_m) - 0.75) / 0.35) ** 2))
    patches = 0.6 * _sample(coarse, x_m * 0.25 + 1.0, y_m * 0.09 + 2.0) + 0.12 * _sample(coarse, x_m, y_m * 0.5)
    return np.asarray(np.clip(0.35 + 0.3 * tracks + 0.22 * patches, 0.05, 1.0), np.float32)


def _reflectances(x_m: _Map, y_m: _Map, fine: _Map, coarse: _Map) -> tuple[_Map, _Map]:
    """Return the reflectance of ground points: of daylight, float32 (H, W, 3), and of infrared light, (H, W).

    Drawn in sRGB levels, as one sees it. Plants are bright in infrared light (the red edge of chlorophyll).
    """
    grain = 0.6 * _sample(fine, x_m, y_m) + 0.9 * _sample(fine, x_m * 2.9 + 1.0, y_m * 2.9)
    patches = _sample(coarse, x_m * 0.6 + 3.0, y_m * 0.6)
    asphalt = 96.0 + 9.0 * grain + 4.0 * patches
    for wheel_track_m in (-0.75, 0.75):
        asphalt -= 8.0 * np.exp(-(((x_m - wheel_track_m) / 0.28) ** 2))
    asphalt -= 9.0 * np.exp(-((x_m / 0.25) ** 2)) * (0.8 + 0.3 * patches)  # what drips from engines
    colours = asphalt[:, :, None] * np.array([0.98, 1.0, 1.01], np.float32)
    seam = x_m + 1.28 + 0.03 * _sample(coarse, y_m * 0.25, y_m * 0.11) + 0.008 * grain
    crack = np.clip(1.0 - np.abs(seam) / 0.012, 0.0, 1.0)
    across = np.abs(np.mod(y_m + 0.2 * x_m + 0.05 * _sample(coarse, x_m * 0.3, x_m * 0.1), 7.3) - 3.0)
    crack = np.maximum(crack, np.clip(1.0 - across / 0.016, 0.0, 1.0) * (patches > -0.2))
    colours *= (1.0 - 0.5 * crack)[:, :, None]
    wear = np.clip(0.80 + 0.12 * patches + 0.09 * grain, 0.25, 1.0)
    is_dash = np.clip(np.abs(np.mod(y_m + 2.0, 12.0) - 6.0) * -60.0 + 92.0, 0.0, 1.0)  # 3 m of paint in every 12 m
    lines = (
        (_stripe(x_m, LANE_HALF_WIDTH_M, _LINE_WIDTH_M), (212, 216, 216)),
        (_stripe(x_m, -LANE_HALF_WIDTH_M, _LINE_WIDTH_M) * is_dash, (212, 216, 216)),
        (_stripe(x_m, _FAR_LANE_END_M, _LINE_WIDTH_M), (58, 160, 200)),
    )
    paint = np.zeros_like(x_m)
    for line, colour_bgr in lines:
        alpha = (line * wear)[:, :, None]
        colours = colours * (1.0 - alpha) + np.array(colour_bgr, np.float32) * alpha
        paint = np.maximum(paint, line * wear)
    gravel = (118.0 + 26.0 * grain + 4.0 * patches)[:, :, None] * np.array([0.88, 0.97, 1.02], np.float32)
    is_verge = x_m - _SHOULDER_END_M + 0.05 * patches
    colours = _mixed(colours, gravel, is_verge, 0.05)
    blades = _sample(fine, x_m * 1.3, y_m * 0.7)
    grass = (84.0 + 24.0 * blades + 13.0 * patches)[:, :, None] * np.array([0.46, 1.0, 0.82], np.float32)
    colours = _mixed(colours, grass, np.asarray(is_verge - 0.5 + 0.03 * grain, np.float32), 0.15)
    far = np.asarray(_FAR_LANE_END_M - 0.6 - x_m + 0.05 * patches + 0.03 * grain, np.float32)
    colours = _mixed(colours, grass, far, 0.15)
    plants = np.maximum(np.clip((is_verge - 0.5) / 0.15 + 0.5, 0, 1), np.clip(far / 0.15 + 0.5, 0, 1))
    visible = reflectance_of(np.clip(colours, 0, 255).astype(np.uint8))
    infrared = visible.mean(axis=2) * (1.05 + 0.9 * paint) + 0.28 * plants  # glass beads in the paint
    return visible, np.asarray(infrared, np.float32)


def _mixed(near: _Map, far: _Map, over_m: _Map, softness_m: float) -> _Map:
    alpha = np.clip(over_m / softness_m + 0.5, 0.0, 1.0)[:, :, None]
    return np.asarray(near * (1.0 - alpha) + far * alpha, np.float32)


def _sky_luminance(rays: _Map, sky: Sky) -> _Map:
    """Return cd/m2 of the sky, float32 (H, W, 3): pale at the horizon, deeper above it, with a line of hills."""
    rise = rays[:, :, 2]
    mix = np.clip(rise / 0.35, 0.0, 1.0)[:, :, None] ** 0.7
    colour = np.array(sky.sky_bgr, np.float32)
    light = (sky.sky_lux / np.pi) * ((1.0 - mix) * 1.25 * np.sqrt(colour) + mix * 0.7 * colour**1.6)
    bearing = np.arctan2(rays[:, :, 0], rays[:, :, 1])
    hills = 0.02 + 0.012 * np.sin(bearing * 9.0 + 1.0) + 0.006 * np.sin(bearing * 31.0)
    alpha = np.clip((hills - rise) / 0.0015, 0.0, 1.0)[:, :, None]
    shade = np.array([0.10, 0.09, 0.07], np.float32) * sky.ground_lux / np.pi
    return np.asarray(light * (1.0 - alpha) + shade * alpha, np.float32)

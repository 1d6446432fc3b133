"""How the simulated sensor's picture of road and vehicles comes about, exposure by exposure.

Owns the order of things: still ground, shadows and reflections, vehicles from far to near, spray, glare, sensor. idea: the still ground is summed and coded once per light, and all further work is done where something moves.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image, Light
from hw_sim.light import MATT_PER_LAMP, MATT_PER_LUX, Sky, lamp_ratio_at, retro_coefficient
from hw_sim.optics import (
    OPTICS_SIGMA_PX,
    Linear,
    add_noise,
    add_veil,
    level_of,
    linear_per_electron_us,
    noise_tiles,
    sigma_table,
    smear,
)
from hw_sim.scenery import ASPHALT_REFLECTANCE, draw_scenery
from hw_sim.skins import Canvas, Weights
from hw_sim.traffic import PassingVehicle
from hw_sim.vehicles import Part, VehicleArt
from hw_sim.weather import Rain, spray, spread_light
from hw_sim.world import NEAREST_M, Mount, Placed, Sheet, View, angle_deg

HEADLAMP_CD = 9_000.0
"""Of one low beam, a little below its edge (FMVSS 108 asks for 8,000 to 20,000 cd there)."""

POOL_REACH_M = 26.0
"""So far ahead of a vehicle its headlamps light the road visibly."""

_HEADLAMP_HEIGHT_M = 0.75
_LONG_SMEAR_PX = 1.5  # from here on what stands still must be kept out of the blur
_VEIL = 0.022
_VEIL_MARGIN_PX = 64
_WET_RETRO_LOSS = 0.25
_STILLS_KEPT = 3

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """A vehicle in view with its panels."""

    vehicle: PassingVehicle
    art: VehicleArt


@dataclass(frozen=True, slots=True)
class _Still:
    """The road without vehicles in one light: linear before the window, its mean, coded, and its noise."""

    linear: Linear
    mean: npt.NDArray[np.float32]
    coded: Image
    sigma: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exposure:
    """What all steps need to know of one exposure."""

    at_s: float
    seconds: float
    per_electron_us: float
    ambient_ratio: float
    lamp_ratio: float


class Renderer:
    """One view of the road in one hour's light; `averaged` of the sensor's pixels make one of the picture's."""

    def __init__(self, mount: Mount, sky: Sky, seed: int, *, averaged: int = 1) -> None:
        self.view = View(mount)
        self._sky, self._seed, self._averaged = sky, seed, averaged
        self._scenery = draw_scenery(self.view, sky, seed)
        self._rain = Rain(sky.rain_ratio, seed, (mount.width_px, mount.height_px), mount.focal_px)
        self._tiles = noise_tiles(mount.height_px, mount.width_px)
        self._pool = _headlamp_pool()
        self._still = functools.lru_cache(maxsize=_STILLS_KEPT)(self._summed)
        self._drops = functools.lru_cache(maxsize=2)(self._rain.window)

    def picture(
        self, at_s: float, light: Light, passing: Sequence[Passing], followers: Sequence[PassingVehicle]
    ) -> Image:
        """Return what the sensor delivers, uint8 (H, W, 3) BGR.

        `passing` are the vehicles in view, farthest first; `followers` all whose headlamps may light what is in view.
        """
        exposure = _Exposure(
            at_s=at_s, seconds=light.exposure_us * 1e-6, per_electron_us=linear_per_electron_us(light),
            ambient_ratio=self._sky.ambient_ratio(at_s), lamp_ratio=light.lamp_ratio,
        )  # fmt: skip
        number = self._rain.window_number(at_s) if self._rain.rain_ratio > 0 else 0
        still = self._still(
            exposure.per_electron_us * exposure.ambient_ratio, exposure.per_electron_us * light.lamp_ratio, light.gain,
            number,
        )  # fmt: skip
        picture, sigma = still.coded.copy(), still.sigma
        box = self._busy_box(exposure, passing, followers)
        if box is not None:
            left, top, right, bottom = box
            window = self._window(exposure, still.linear, box, passing, followers)
            if self._rain.rain_ratio > 0:
                spread_light(window, self._drops(number)[top:bottom, left:right], still.mean)
            coded = level_of(window)
            picture[top:bottom, left:right] = coded
            sigma = sigma.copy()
            sigma[top:bottom, left:right] = cv2.LUT(coded, sigma_table(light.gain, self._averaged))
        lamp_linear = exposure.per_electron_us * light.lamp_ratio * MATT_PER_LAMP
        self._rain.streak(picture, at_s, light.exposure_us, lamp_linear)
        return add_noise(picture, sigma, self._generator(at_s, 7), self._tiles)

    def _summed(self, ambient: float, lamp: float, gain: float, number: int) -> _Still:
        """Sum the still ground of one light behind the window's drops `number`."""
        linear = np.asarray(cv2.addWeighted(self._scenery.ambient, ambient, self._scenery.lamp, lamp, 0.0), np.float32)
        seen, mean = linear.copy(), np.asarray(linear[::16, ::16].mean(axis=(0, 1)), np.float32)
        if self._rain.rain_ratio > 0:
            spread_light(seen, self._drops(number), mean)
        coded = level_of(seen)
        return _Still(linear, mean, coded, np.asarray(cv2.LUT(coded, sigma_table(gain, self._averaged)), np.uint8))

    def _window(
        self, exposure: _Exposure, linear: Linear, box: Box, passing: Sequence[Passing],
        followers: Sequence[PassingVehicle],
    ) -> Linear:  # fmt: skip
        """Return the part of the linear picture in which something moves."""
        left, top, right, bottom = box
        window = linear[top:bottom, left:right].copy()
        canvas = Canvas(window, np.zeros(window.shape[:2], np.uint8), left, top)
        for each in passing:
            self._darken(exposure, canvas, each)
        if self._sky.headlamps:
            for follower in followers:
                self._light_road(exposure, canvas, follower)
        for each in passing:
            self._draw(exposure, canvas, each, self._headlight_lux(exposure, each.vehicle, followers))
        if self._sky.headlamps:
            add_veil(window, _VEIL)
        return window

    def _busy_box(
        self, exposure: _Exposure, passing: Sequence[Passing], followers: Sequence[PassingVehicle]
    ) -> Box | None:
        """Return the box around all that moves, None if nothing does."""
        shown = [placed.box for each in passing for placed in self._outlines(exposure, each)]
        if self._sky.headlamps:
            pools = [self.view.place(_pool_sheet(follower, exposure.at_s)) for follower in followers]
            shown += [placed.box for placed in pools if placed is not None]
        if not shown:
            return None
        boxes = np.array(shown)
        spare = _VEIL_MARGIN_PX // self._averaged if self._sky.headlamps else 4
        mount = self.view.mount
        return (
            max(0, int(boxes[:, 0].min()) - spare), max(0, int(boxes[:, 1].min()) - spare),
            min(mount.width_px, int(boxes[:, 2].max()) + spare), min(mount.height_px, int(boxes[:, 3].max()) + spare),
        )  # fmt: skip

    def _outlines(self, exposure: _Exposure, each: Passing) -> list[Placed]:
        """Return where the vehicle's panels and its shadow are in the picture."""
        shift = _place_of(each.vehicle, exposure.at_s)
        sheets = [part.sheet for part in each.art.parts(each.vehicle.x_m, self.view.mount.camera_x_m)]
        sheets.append(each.art.shadow.sheet)
        if self._sky.rain_ratio > 0:
            sheets += [each.art.rear.sheet.mirrored(2), *_spray_sheets(each.vehicle)]
        placed = [self.view.place(sheet.moved(shift)) for sheet in sheets]
        return [one for one in placed if one is not None]

    def _darken(self, exposure: _Exposure, canvas: Canvas, each: Passing) -> None:
        """Lay shadow and, on a wet road, the mirror image of the rear on the ground."""
        shift = _place_of(each.vehicle, exposure.at_s)
        placed = self.view.place(each.art.shadow.sheet.moved(shift))
        if placed is not None:
            canvas.tint(placed, each.art.shadow.shares, None)
        placed = self.view.place(each.art.rear.sheet.mirrored(2).moved(shift))
        if self._sky.rain_ratio > 0 and placed is not None:
            part = each.art.rear
            seen = part.skin.at(40.0, 16.0).sum(self._weights(exposure, part, each.vehicle, 0.0))
            mirror = cv2.GaussianBlur(cv2.resize(seen, (48, 20), interpolation=cv2.INTER_AREA), (0, 0), 1.2)
            fade = np.zeros((20, 48), np.float32)
            fade[1:-1, 2:-2] = 1.0
            fade = cv2.GaussianBlur(fade, (0, 0), 1.5) * np.float32(min(1.0, 2.0 * self._sky.rain_ratio))
            light = np.asarray(mirror * (fade * np.float32(0.13))[:, :, None], np.float32)
            canvas.tint(placed, np.asarray(fade * np.float32(0.45), np.float32), light)

    def _light_road(self, exposure: _Exposure, canvas: Canvas, follower: PassingVehicle) -> None:
        """Add the light of a vehicle's headlamps to the road before it."""
        placed = self.view.place(_pool_sheet(follower, exposure.at_s))
        if placed is not None:
            weight = exposure.per_electron_us * ASPHALT_REFLECTANCE * MATT_PER_LUX
            light = np.asarray(cv2.merge([self._pool * np.float32(weight)] * 3), np.float32)
            canvas.tint(placed, None, light)

    def _draw(self, exposure: _Exposure, canvas: Canvas, each: Passing, headlight_lux: float) -> None:
        """Draw a vehicle into `window` as it moves through the exposure, and the spray behind it."""
        vehicle, view = each.vehicle, self.view
        shift = _place_of(vehicle, exposure.at_s)
        way_px_s = self._way_px_s(vehicle, exposure.at_s)
        way_px = way_px_s * exposure.seconds
        is_long = float(np.abs(way_px).max()) > _LONG_SMEAR_PX
        before = canvas.picture.copy() if is_long else None
        canvas.covered[:] = 0
        shear = view.shear(way_px_s)
        for part in each.art.parts(vehicle.x_m, view.mount.camera_x_m):
            placed = view.place(part.sheet.moved(shift), shear)
            if placed is not None:
                weights = self._weights(exposure, part, vehicle, headlight_lux)
                canvas.lay(placed, part.skin, weights)
        self._blur(canvas, before, way_px)
        if self._sky.rain_ratio > 0:
            self._spray(exposure, canvas, vehicle)

    def _blur(self, canvas: Canvas, before: Linear | None, way_px: npt.NDArray[np.float64]) -> None:
        """Blur what the vehicle covers, in place; `before` is what stands still behind it."""
        window, covered = canvas.picture, canvas.covered
        x, y, width, height = cv2.boundingRect(covered)
        if width == 0:
            return
        spare = 2 + math.ceil(float(np.abs(way_px).max()))
        rows = slice(max(0, y - spare), y + height + spare)
        columns = slice(max(0, x - spare), x + width + spare)
        blurred = smear(window[rows, columns], way_px, max(0.35, OPTICS_SIGMA_PX / math.sqrt(self._averaged)))
        if before is None:
            window[rows, columns] = blurred
            return
        reach = np.ones(
            (1 + 2 * math.ceil(abs(way_px[1]) / 2 + 1), 1 + 2 * math.ceil(abs(way_px[0]) / 2 + 1)), np.uint8
        )
        window[:] = before
        cv2.copyTo(blurred, cv2.dilate(covered[rows, columns], reach), window[rows, columns])

    def _spray(self, exposure: _Exposure, canvas: Canvas, vehicle: PassingVehicle) -> None:
        """Lay the mist behind a vehicle on a wet road; it grows with the square of the speed."""
        shift = _place_of(vehicle, exposure.at_s)
        generator = self._generator(exposure.at_s, vehicle.vehicle_id)
        thickness = 0.34 * self._sky.rain_ratio * min(1.5, (vehicle.speed_m_s / 33.5) ** 2)
        lux = self._sky.ground_lux * exposure.ambient_ratio / math.pi * 0.75
        for sheet in _spray_sheets(vehicle):
            placed = self.view.place(sheet.moved(shift))
            if placed is None:
                continue
            shares = spray(generator, thickness)
            lamp = exposure.lamp_ratio * self._lamp_ratio(sheet.moved(shift)) * MATT_PER_LAMP * 0.1
            level = exposure.per_electron_us * (math.pi * MATT_PER_LUX * lux + lamp)
            light = np.asarray(cv2.merge([shares * np.float32(level)] * 3), np.float32)
            canvas.tint(placed, shares, light)

    def _weights(self, exposure: _Exposure, part: Part, vehicle: PassingVehicle, headlight_lux: float) -> Weights:
        sheet = part.sheet.moved(_place_of(vehicle, exposure.at_s))
        lamp = exposure.lamp_ratio * self._lamp_ratio(sheet)
        retro = 0.0
        if lamp > 0:
            towards = self.view.position_m - sheet.middle_m()
            entrance = angle_deg(np.cross(sheet.down_m, sheet.across_m), towards)
            retro = lamp * retro_coefficient(float(np.linalg.norm(towards)), min(entrance, 180.0 - entrance))
            retro *= 1.0 - _WET_RETRO_LOSS * self._sky.rain_ratio
        headlight = headlight_lux * MATT_PER_LUX / MATT_PER_LAMP
        return Weights(
            ambient=exposure.per_electron_us * exposure.ambient_ratio,
            lamp=exposure.per_electron_us * (lamp + headlight),
            retro=exposure.per_electron_us * retro,
        )

    def _lamp_ratio(self, sheet: Sheet) -> float:
        return lamp_ratio_at(sheet.middle_m(), self.view.position_m, self.view.forward)

    def _headlight_lux(
        self, exposure: _Exposure, vehicle: PassingVehicle, followers: Sequence[PassingVehicle]
    ) -> float:
        """Return what the headlamps of the nearest vehicle behind throw on the rear of `vehicle`."""
        if not self._sky.headlamps:
            return 0.0
        rear_m = vehicle.rear_y_m(exposure.at_s)
        gaps_m = [rear_m - other.rear_y_m(exposure.at_s) - other.body.length_m for other in followers]
        behind_m = [gap_m for gap_m in gaps_m if gap_m > 0]
        return 2.0 * HEADLAMP_CD / max(3.0, min(behind_m)) ** 2 if behind_m else 0.0

    def _way_px_s(self, vehicle: PassingVehicle, at_s: float) -> npt.NDArray[np.float64]:
        """Return how fast the plate moves in the picture, (x, y) pixels a second."""
        rear_m, step_s = max(2.0, vehicle.rear_y_m(at_s)), 1e-3
        point = np.array([vehicle.x_m, rear_m, vehicle.body.plate_z_m])
        begin, end = self.view.project(np.stack([point, point + np.array([0.0, vehicle.speed_m_s * step_s, 0.0])]))
        return np.asarray((end - begin) / step_s, np.float64)

    def _generator(self, at_s: float, salt: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, round(abs(at_s) * 1e6), salt])


def _place_of(vehicle: PassingVehicle, at_s: float) -> npt.NDArray[np.float64]:
    return np.array([vehicle.x_m, vehicle.rear_y_m(at_s), 0.0])


def _pool_sheet(vehicle: PassingVehicle, at_s: float) -> Sheet:
    """Return the part of the road that a vehicle's headlamps light."""
    front_m = vehicle.rear_y_m(at_s) + vehicle.body.length_m
    near_m = max(NEAREST_M + 0.1, front_m + 1.0)
    return Sheet(
        origin_m=np.array([vehicle.x_m - 4.0, max(near_m + 0.5, front_m + POOL_REACH_M), 0.0]),
        across_m=np.array([8.0, 0.0, 0.0]),
        down_m=np.array([0.0, near_m - max(near_m + 0.5, front_m + POOL_REACH_M), 0.0]),
    )


def _headlamp_pool() -> npt.NDArray[np.float32]:
    """Return the illuminance on the road before two headlamps, lux, float32 (50, 32): far edge first."""
    y = np.linspace(POOL_REACH_M, 1.0, 50, dtype=np.float32)[:, None]
    x = np.linspace(-4.0, 4.0, 32, dtype=np.float32)[None, :]
    lux = np.zeros((50, 32), np.float32)
    for lamp_x in (-0.65, 0.65):
        distance = np.sqrt(y**2 + (x - lamp_x) ** 2 + _HEADLAMP_HEIGHT_M**2)
        beside = np.exp(-((np.arctan2(x - lamp_x, y) / 0.35) ** 2))
        lux += HEADLAMP_CD * np.minimum(1.0, (y / 9.0) ** 1.5) * beside * _HEADLAMP_HEIGHT_M / distance**3
    lux *= np.clip((4.0 - np.abs(x)) / 1.5, 0.0, 1.0) * np.clip((POOL_REACH_M - y) / 6.0, 0.0, 1.0)
    return np.asarray(lux, np.float32)


def _spray_sheets(vehicle: PassingVehicle) -> list[Sheet]:
    """Return where the mist behind a vehicle hangs: two upright sheets; its rear end is at (0, 0)."""
    half = vehicle.body.width_m / 2.0 + 0.15
    return [
        Sheet(
            origin_m=np.array([-half, -behind_m, height_m]),
            across_m=np.array([2.0 * half, 0.0, 0.0]),
            down_m=np.array([0.0, 0.0, -height_m]),
        )
        for behind_m, height_m in ((0.4, 1.15), (1.6, 0.9))
    ]

"""How the simulated sensor's picture of road and vehicles comes about, exposure by exposure.

Owns the order of things: still ground, shadows and reflections, vehicles from far to near, spray, glare, sensor. The
one idea: the still ground is summed and coded once per light, and all further work is done where something moves.
"""

import functools
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image, Light
from hw_sim.light import ASPHALT_REFLECTANCE, MATT_PER_LAMP, MATT_PER_LUX, Sky, lamp_ratio_at, retro_coefficient
from hw_sim.optics import (
    OPTICS_SIGMA_PX,
    Linear,
    Scratch,
    add_noise,
    add_veil,
    level_of,
    linear_per_electron_us,
    noise_tiles,
    sigma_table,
    smear,
)
from hw_sim.scenery import Scenery
from hw_sim.skins import Canvas, Weights
from hw_sim.traffic import PassingVehicle
from hw_sim.vehicles import Part, VehicleArt
from hw_sim.weather import Rain, spray
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
_UNSEEN = 4e-4  # so little light is less than one level

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """A vehicle in view with its panels."""

    vehicle: PassingVehicle
    art: VehicleArt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Still:
    """The road without vehicles in one light: linear before the window, coded behind it, and the noise of its levels.

    Where drops are on the window, a pixel keeps `kept` of its light and gets the rest of `mean`.
    """

    linear: Linear
    kept: Linear | None
    mean: tuple[float, ...]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A vehicle as it appears in one exposure: its panels from far to near, and what it does to the road."""

    vehicle: PassingVehicle
    art: VehicleArt
    way_px: npt.NDArray[np.float64]
    headlight_lux: float  # of the next vehicle's headlamps on its rear
    parts: list[tuple[Part, Placed]]
    shadow: Placed | None
    mirror: Placed | None
    mist: list[Placed]

    def boxes(self) -> list[Box]:
        """Return the boxes of all that is drawn."""
        extra = [placed.box for placed in (self.shadow, self.mirror, *self.mist) if placed is not None]
        return [placed.box for _, placed in self.parts] + extra


class Renderer:
    """One view of the road in one hour's light; `averaged` of the sensor's pixels make one of the picture's."""

    def __init__(self, mount: Mount, sky: Sky, seed: int, scenery: Scenery, *, averaged: int = 1) -> None:
        self.view = View(mount)
        self._sky, self._seed, self._averaged = sky, seed, averaged
        self._scenery = scenery
        self._rain = Rain(sky.rain_ratio, seed, (mount.width_px, mount.height_px), mount.focal_px)
        self._tiles = noise_tiles(mount.height_px, mount.width_px)
        self._pool = _headlamp_pool()
        self._still = functools.lru_cache(maxsize=_STILLS_KEPT)(self._summed)
        self._kept = functools.lru_cache(maxsize=1)(self._kept_by_drops)
        self._scratch = Scratch()
        self._lock = threading.Lock()  # the scratch memory serves one picture at a time

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
        with self._lock:
            number = self._rain.window_number(at_s) if self._rain.rain_ratio > 0 else 0
            still = self._still(
                exposure.per_electron_us * exposure.ambient_ratio, exposure.per_electron_us * light.lamp_ratio,
                light.gain, number,
            )  # fmt: skip
            picture, sigma = still.coded.copy(), still.sigma
            shown = [self._shown(exposure, each, followers) for each in passing]
            pools = self._lit_roads(exposure, followers)
            box = self._busy_box(shown, pools)
            if box is not None:
                coded = self._coded_window(exposure, still, box, shown, pools)
                part = (slice(box[1], box[3]), slice(box[0], box[2]))
                picture[part] = coded
                sigma = self._scratch.bytes("sigma", picture.shape)
                sigma[:] = still.sigma
                cv2.LUT(coded, sigma_table(light.gain, self._averaged), dst=sigma[part])
            lamp_linear = exposure.per_electron_us * light.lamp_ratio * MATT_PER_LAMP
            self._rain.streak(picture, at_s, light.exposure_us, lamp_linear)
            return add_noise(picture, sigma, self._generator(at_s, 7), self._tiles, self._scratch)

    def _summed(self, ambient: float, lamp: float, gain: float, number: int) -> _Still:
        """Sum the still ground of one light behind the window's drops `number`."""
        linear = np.asarray(cv2.addWeighted(self._scenery.ambient, ambient, self._scenery.lamp, lamp, 0.0), np.float32)
        mean = tuple(float(each) for each in linear[::16, ::16].mean(axis=(0, 1)))
        kept = self._kept(number) if self._rain.rain_ratio > 0 else None
        seen = linear.copy()
        if kept is not None:
            _spread_light(seen, kept, mean)
        coded = level_of(seen, self._scratch).copy()
        sigma = np.asarray(cv2.LUT(coded, sigma_table(gain, self._averaged)), np.uint8)
        return _Still(linear=linear, kept=kept, mean=mean, coded=coded, sigma=sigma)

    def _kept_by_drops(self, number: int) -> Linear:
        return np.asarray(cv2.merge([1.0 - self._rain.window(number)] * 4), np.float32)

    def _coded_window(
        self, exposure: _Exposure, still: _Still, box: Box, shown: Sequence[_Shown], pools: Sequence[Placed]
    ) -> Image:
        """Return the levels of the part of the picture in which something moves, in scratch memory."""
        left, top, right, bottom = box
        part = (slice(top, bottom), slice(left, right))
        window = self._scratch.floats("window", (bottom - top, right - left, 4))
        window[:] = still.linear[part]
        canvas = Canvas(window, self._scratch.bytes("covered", window.shape[:2]), left, top, self._scratch)
        for each in shown:
            self._darken(exposure, canvas, each)
        for pool in pools:
            light = np.asarray(cv2.merge([self._pool * np.float32(_road_weight(exposure))] * 4), np.float32)
            canvas.tint(pool, None, light)
        for each in shown:
            self._draw(exposure, canvas, each)
        if self._sky.headlamps:
            add_veil(window, _VEIL, self._scratch)
        if still.kept is not None:
            _spread_light(window, still.kept[part], still.mean)
        return level_of(window, self._scratch)

    def _shown(self, exposure: _Exposure, each: Passing, followers: Sequence[PassingVehicle]) -> _Shown:
        """Return where everything of a vehicle is in the picture."""
        view, vehicle, art = self.view, each.vehicle, each.art
        shift = _place_of(vehicle, exposure.at_s)
        way_px_s = self._way_px_s(vehicle, exposure.at_s)
        shear = view.shear(way_px_s)
        parts = []
        for part in art.parts(vehicle.x_m, view.mount.camera_x_m):
            placed = view.place(part.sheet.moved(shift), shear)
            if placed is not None:
                parts.append((part, placed))
        mist: list[Placed] = []
        mirror = None
        if self._sky.rain_ratio > 0:
            mirror = view.place(art.rear.sheet.mirrored(2).moved(shift))
            hanging = [view.place(sheet.moved(shift)) for sheet in _spray_sheets(vehicle)]
            mist = [placed for placed in hanging if placed is not None]
        return _Shown(
            vehicle=vehicle, art=art, way_px=way_px_s * exposure.seconds, parts=parts,
            headlight_lux=self._headlight_lux(exposure, vehicle, followers),
            shadow=view.place(art.shadow.sheet.moved(shift)), mirror=mirror, mist=mist,
        )  # fmt: skip

    def _busy_box(self, shown: Sequence[_Shown], pools: Sequence[Placed]) -> Box | None:
        """Return the box around all that moves, None if nothing does."""
        boxes = [box for each in shown for box in each.boxes()] + [pool.box for pool in pools]
        if not boxes:
            return None
        left, top, right, bottom = zip(*boxes, strict=True)
        spare = _VEIL_MARGIN_PX // self._averaged if self._sky.headlamps else 4
        mount = self.view.mount
        return (
            max(0, min(left) - spare), max(0, min(top) - spare),
            min(mount.width_px, max(right) + spare), min(mount.height_px, max(bottom) + spare),
        )  # fmt: skip

    def _darken(self, exposure: _Exposure, canvas: Canvas, each: _Shown) -> None:
        """Lay shadow and, on a wet road, the mirror image of the rear on the ground."""
        if each.shadow is not None:
            canvas.tint(each.shadow, each.art.shadow.shares, None)
        if each.mirror is not None:
            part = each.art.rear
            seen = part.skin.at(40.0, 16.0).sum(self._weights(exposure, part, each.vehicle, 0.0))
            mirror = cv2.GaussianBlur(cv2.resize(seen, (48, 20), interpolation=cv2.INTER_AREA), (0, 0), 1.2)
            fade = np.zeros((20, 48), np.float32)
            fade[1:-1, 2:-2] = 1.0
            fade = cv2.GaussianBlur(fade, (0, 0), 1.5) * np.float32(min(1.0, 2.0 * self._sky.rain_ratio))
            light = np.asarray(mirror * (fade * np.float32(0.13))[:, :, None], np.float32)
            canvas.tint(each.mirror, np.asarray(fade * np.float32(0.45), np.float32), light)

    def _lit_roads(self, exposure: _Exposure, followers: Sequence[PassingVehicle]) -> list[Placed]:
        """Return where the headlamps of vehicles light the road so that one sees it."""
        weight = _road_weight(exposure)
        if not self._sky.headlamps or weight * float(np.max(self._pool)) < max(
            _UNSEEN, weight * self._sky.ground_lux / 20
        ):
            return []
        lit = [self.view.place(_pool_sheet(follower, exposure.at_s)) for follower in followers]
        return [placed for placed in lit if placed is not None]

    def _draw(self, exposure: _Exposure, canvas: Canvas, each: _Shown) -> None:
        """Draw a vehicle on the canvas as it moves through the exposure, and the spray behind it."""
        is_long = float(np.abs(each.way_px).max()) > _LONG_SMEAR_PX
        before = canvas.picture.copy() if is_long else None
        canvas.covered[:] = 0
        for part, placed in each.parts:
            canvas.lay(placed, part.skin, self._weights(exposure, part, each.vehicle, each.headlight_lux))
        self._blur(canvas, before, each.way_px)
        self._spray(exposure, canvas, each)

    def _blur(self, canvas: Canvas, before: Linear | None, way_px: npt.NDArray[np.float64]) -> None:
        """Blur what the vehicle covers, in place; `before` is what stands still behind it."""
        window, covered = canvas.picture, canvas.covered
        x, y, width, height = cv2.boundingRect(covered)
        if width == 0:
            return
        spare = 2 + math.ceil(float(np.abs(way_px).max()))
        part = (slice(max(0, y - spare), y + height + spare), slice(max(0, x - spare), x + width + spare))
        smear(window[part], way_px, max(0.35, OPTICS_SIGMA_PX / math.sqrt(self._averaged)))
        if before is not None:
            reach = tuple(1 + 2 * math.ceil(abs(float(way)) / 2 + 1) for way in way_px[::-1])
            still = cv2.bitwise_not(cv2.dilate(covered[part], np.ones(reach, np.uint8)))
            cv2.copyTo(before[part], still, window[part])

    def _spray(self, exposure: _Exposure, canvas: Canvas, each: _Shown) -> None:
        """Lay the mist behind a vehicle on a wet road; it grows with the square of the speed."""
        generator = self._generator(exposure.at_s, each.vehicle.vehicle_id)
        thickness = 0.34 * self._sky.rain_ratio * min(1.5, (each.vehicle.speed_m_s / 33.5) ** 2)
        lux = self._sky.ground_lux * exposure.ambient_ratio / math.pi * 0.75
        lamp = exposure.lamp_ratio * self._lamp_ratio(each.art.rear.sheet.moved(_place_of(each.vehicle, exposure.at_s)))
        level = exposure.per_electron_us * (math.pi * MATT_PER_LUX * lux + lamp * MATT_PER_LAMP * 0.1)
        for placed in each.mist:
            shares = spray(generator, thickness)
            canvas.tint(placed, shares, np.asarray(cv2.merge([shares * np.float32(level)] * 4), np.float32))

    def _weights(self, exposure: _Exposure, part: Part, vehicle: PassingVehicle, headlight_lux: float) -> Weights:
        ambient = exposure.per_electron_us * exposure.ambient_ratio
        headlight = headlight_lux * MATT_PER_LUX / MATT_PER_LAMP
        if exposure.lamp_ratio == 0.0:
            return Weights(ambient=ambient, lamp=exposure.per_electron_us * headlight, retro=0.0)
        sheet = part.sheet.moved(_place_of(vehicle, exposure.at_s))
        lamp = exposure.lamp_ratio * self._lamp_ratio(sheet)
        retro = 0.0
        if part.skin.is_retro:
            towards = self.view.position_m - sheet.middle_m()
            entrance = angle_deg(np.cross(sheet.down_m, sheet.across_m), towards)
            retro = lamp * retro_coefficient(float(np.linalg.norm(towards)), min(entrance, 180.0 - entrance))
        return Weights(
            ambient=ambient,
            lamp=exposure.per_electron_us * (lamp + headlight),
            retro=exposure.per_electron_us * retro * (1.0 - _WET_RETRO_LOSS * self._sky.rain_ratio),
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
        way_m = np.array([0.0, vehicle.speed_m_s * step_s, 0.0])
        begin, end = self.view.project(np.stack([point, point + way_m]))
        return np.asarray((end - begin) / step_s, np.float64)

    def _generator(self, at_s: float, salt: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, round(abs(at_s) * 1e6), salt])


def _spread_light(picture: Linear, kept: Linear, mean: tuple[float, ...]) -> None:
    """Let drops on the window spread the light of `picture` in place."""
    cv2.subtract(picture, mean, dst=picture)
    cv2.multiply(picture, kept, dst=picture)
    cv2.add(picture, mean, dst=picture)


def _road_weight(exposure: _Exposure) -> float:
    """Return what one lux on the road becomes in the linear picture."""
    return exposure.per_electron_us * ASPHALT_REFLECTANCE * MATT_PER_LUX


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

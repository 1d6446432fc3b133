"""What moves on the simulated road, laid into a linear picture: shadows, pools of light, vehicles, mist.

Owns how one vehicle changes the light of one exposure; the still ground, the window and the sensor are others'
business. What is placed in a view can be painted at that view's size or at a multiple of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.light import ASPHALT_REFLECTANCE, MATT_PER_LAMP, MATT_PER_LUX, Sky, lamp_ratio_at, retro_coefficient
from hw_sim.optics import Linear, smear
from hw_sim.skins import Canvas, Weights
from hw_sim.traffic import PassingVehicle
from hw_sim.vehicles import Part, VehicleArt
from hw_sim.weather import spray
from hw_sim.world import NEAREST_M, Placed, Sheet, View, angle_deg

HEADLAMP_CD = 9_000.0
"""Of one low beam, a little below its edge (FMVSS 108 asks for 8,000 to 20,000 cd there)."""

POOL_REACH_M = 26.0
"""So far ahead of a vehicle its headlamps light the road visibly."""

_HEADLAMP_HEIGHT_M = 0.75
_LONG_SMEAR_PX = 1.5  # from here on what stands still must be kept out of the blur
_WET_RETRO_LOSS = 0.25
_UNSEEN = 4e-4  # so little light is less than one level

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """A vehicle in view with its panels."""

    vehicle: PassingVehicle
    art: VehicleArt


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What all steps need to know of one exposure."""

    at_s: float
    seconds: float
    per_electron_us: float
    ambient_ratio: float
    lamp_ratio: float

    @property
    def ambient_weight(self) -> float:
        """What an electron a microsecond of the hour's light becomes in the linear picture."""
        return self.per_electron_us * self.ambient_ratio

    @property
    def lamp_weight(self) -> float:
        """The same of the full lamp's light."""
        return self.per_electron_us * self.lamp_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A vehicle as it appears in one exposure: its panels from far to near, and what it does to the road."""

    vehicle: PassingVehicle
    art: VehicleArt
    way_px: npt.NDArray[np.float64]
    parts: list[tuple[Part, Placed, Weights]]
    plate: Placed | None
    shadow: Placed | None
    mirror: Placed | None
    mist: list[Placed]

    def boxes(self) -> list[Box]:
        """Return the boxes of all that is drawn."""
        extra = [placed.box for placed in (self.shadow, self.mirror, *self.mist) if placed is not None]
        return [placed.box for _, placed, _ in self.parts] + extra

    def enlarged(self, by: int) -> "Shown":
        """Return the same in a view whose pixels are so many times smaller."""
        return replace(
            self, way_px=self.way_px * by,
            parts=[(part, placed.enlarged(by), weights) for part, placed, weights in self.parts],
            plate=self.plate and self.plate.enlarged(by), shadow=self.shadow and self.shadow.enlarged(by),
            mirror=self.mirror and self.mirror.enlarged(by), mist=[placed.enlarged(by) for placed in self.mist],
        )  # fmt: skip


class Painter:
    """Places what moves in one view, in one hour's light, and paints it on a part of the picture."""

    def __init__(self, view: View, sky: Sky, seed: int) -> None:
        self._view, self._sky, self._seed = view, sky, seed
        self._pool = _headlamp_pool()

    def shown(self, exposure: Exposure, each: Passing, followers: Sequence[PassingVehicle]) -> Shown:
        """Return where everything of a vehicle is in the picture."""
        view, vehicle, art = self._view, each.vehicle, each.art
        shift = _place_of(vehicle, exposure.at_s)
        way_px_s = self._way_px_s(vehicle, exposure.at_s)
        shear = view.shear(way_px_s)
        headlight_lux = self._headlight_lux(exposure, vehicle, followers)
        parts: list[tuple[Part, Placed, Weights]] = []
        plate: Placed | None = None
        for part in art.parts(vehicle.x_m, view.mount.camera_x_m):
            placed = view.place(part.sheet.moved(shift), shear)
            if placed is not None:
                parts.append((part, placed, self._weights(exposure, part, vehicle, headlight_lux)))
                if part is art.plate:
                    plate = placed
        mist: list[Placed] = []
        mirror = None
        if self._sky.rain_ratio > 0:
            mirror = view.place(art.rear.sheet.mirrored(2).moved(shift))
            hanging = [view.place(sheet.moved(shift)) for sheet in _spray_sheets(vehicle)]
            mist = [placed for placed in hanging if placed is not None]
        return Shown(
            vehicle=vehicle, art=art, way_px=way_px_s * exposure.seconds, parts=parts, plate=plate,
            shadow=view.place(art.shadow.sheet.moved(shift)), mirror=mirror, mist=mist,
        )  # fmt: skip

    def lit_roads(self, exposure: Exposure, followers: Sequence[PassingVehicle]) -> list[Placed]:
        """Return where the headlamps of vehicles light the road so that one sees it."""
        weight = _road_weight(exposure)
        if not self._sky.headlamps or weight * float(np.max(self._pool)) < max(
            _UNSEEN, weight * self._sky.ground_lux / 20
        ):
            return []
        lit = [self._view.place(_pool_sheet(follower, exposure.at_s)) for follower in followers]
        return [placed for placed in lit if placed is not None]

    def paint(
        self, exposure: Exposure, canvas: Canvas, shown: Sequence[Shown], pools: Sequence[Placed], optics_px: float
    ) -> None:
        """Paint all that moves on `canvas`, which holds the still ground; `optics_px` is the blur of the lens there."""
        for each in shown:
            self._darken(exposure, canvas, each)
        for pool in pools:
            canvas.tint(pool, None, np.asarray(self._pool * np.float32(_road_weight(exposure)), np.float32))
        for each in shown:
            self._draw(exposure, canvas, each, optics_px)

    def _darken(self, exposure: Exposure, canvas: Canvas, each: Shown) -> None:
        """Lay shadow and, on a wet road, the mirror image of the rear on the ground."""
        if each.shadow is not None:
            canvas.tint(each.shadow, each.art.shadow.shares, None)
        if each.mirror is not None:
            part = each.art.rear
            seen = part.skin.at(40.0, 16.0, is_grey=canvas.is_grey).sum(
                self._weights(exposure, part, each.vehicle, 0.0)
            )
            mirror = cv2.GaussianBlur(cv2.resize(seen, (48, 20), interpolation=cv2.INTER_AREA), (0, 0), 1.2)
            fade = np.zeros((20, 48), np.float32)
            fade[1:-1, 2:-2] = 1.0
            fade = cv2.GaussianBlur(fade, (0, 0), 1.5) * np.float32(min(1.0, 2.0 * self._sky.rain_ratio))
            share = fade * np.float32(0.13)
            light = np.asarray(mirror * (share if canvas.is_grey else share[:, :, None]), np.float32)
            canvas.tint(each.mirror, np.asarray(fade * np.float32(0.45), np.float32), light)

    def _draw(self, exposure: Exposure, canvas: Canvas, each: Shown, optics_px: float) -> None:
        """Draw a vehicle on the canvas as it moves through the exposure, and the spray behind it."""
        is_long = float(np.abs(each.way_px).max()) > _LONG_SMEAR_PX
        before = canvas.picture.copy() if is_long else None
        canvas.covered[:] = 0
        for part, placed, weights in each.parts:
            canvas.lay(placed, part.skin, weights)
        _blur(canvas, before, each.way_px, optics_px)
        self._spray(exposure, canvas, each)

    def _spray(self, exposure: Exposure, canvas: Canvas, each: Shown) -> None:
        """Lay the mist behind a vehicle on a wet road; it grows with the square of the speed."""
        generator = np.random.default_rng([self._seed, round(abs(exposure.at_s) * 1e6), each.vehicle.vehicle_id])
        thickness = 0.34 * self._sky.rain_ratio * min(1.5, (each.vehicle.speed_m_s / 33.5) ** 2)
        lux = self._sky.ground_lux * exposure.ambient_ratio / math.pi * 0.75
        lamp = exposure.lamp_ratio * self._lamp_ratio(each.art.rear.sheet.moved(_place_of(each.vehicle, exposure.at_s)))
        level = exposure.per_electron_us * (math.pi * MATT_PER_LUX * lux + lamp * MATT_PER_LAMP * 0.1)
        for placed in each.mist:
            shares = spray(generator, thickness)
            canvas.tint(placed, shares, np.asarray(shares * np.float32(level), np.float32))

    def _weights(self, exposure: Exposure, part: Part, vehicle: PassingVehicle, headlight_lux: float) -> Weights:
        ambient = exposure.per_electron_us * exposure.ambient_ratio
        headlight = headlight_lux * MATT_PER_LUX / MATT_PER_LAMP
        if exposure.lamp_ratio == 0.0:
            return Weights(ambient=ambient, lamp=exposure.per_electron_us * headlight, retro=0.0)
        sheet = part.sheet.moved(_place_of(vehicle, exposure.at_s))
        lamp = exposure.lamp_ratio * self._lamp_ratio(sheet)
        retro = 0.0
        if part.skin.is_retro:
            towards = self._view.position_m - sheet.middle_m()
            entrance = angle_deg(np.cross(sheet.down_m, sheet.across_m), towards)
            retro = lamp * retro_coefficient(float(np.linalg.norm(towards)), min(entrance, 180.0 - entrance))
        return Weights(
            ambient=ambient,
            lamp=exposure.per_electron_us * (lamp + headlight),
            retro=exposure.per_electron_us * retro * (1.0 - _WET_RETRO_LOSS * self._sky.rain_ratio),
        )

    def _lamp_ratio(self, sheet: Sheet) -> float:
        return lamp_ratio_at(sheet.middle_m(), self._view.position_m, self._view.forward)

    def _headlight_lux(self, exposure: Exposure, vehicle: PassingVehicle, followers: Sequence[PassingVehicle]) -> float:
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
        begin, end = self._view.project(np.stack([point, point + way_m]))
        return np.asarray((end - begin) / step_s, np.float64)


def _blur(canvas: Canvas, before: Linear | None, way_px: npt.NDArray[np.float64], optics_px: float) -> None:
    """Blur what the vehicle covers, in place; `before` is what stands still behind it."""
    window, covered = canvas.picture, canvas.covered
    x, y, width, height = cv2.boundingRect(covered)
    if width == 0:
        return
    spare = 2 + math.ceil(float(np.abs(way_px).max()))
    part = (slice(max(0, y - spare), y + height + spare), slice(max(0, x - spare), x + width + spare))
    smear(window[part], way_px, optics_px)
    if before is not None:
        reach = tuple(1 + 2 * math.ceil(abs(float(way)) / 2 + 1) for way in way_px[::-1])
        still = cv2.bitwise_not(cv2.dilate(covered[part], np.ones(reach, np.uint8)))
        cv2.copyTo(before[part], still, window[part])


def _road_weight(exposure: Exposure) -> float:
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

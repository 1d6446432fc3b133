"""The simulated road: seeded vehicles that drive past the camera, what the sensor sees of them, and the truth.

Owns what is asked at which time; traffic draws the vehicles, rendering the pictures. Everything is a pure function of
the seed and of the seconds since the road began, so that a failure repeats exactly. Vehicles drive away from the camera
and show their rear plates.
"""

import bisect
import functools
import math
import threading
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware.records import Grey, Image, Light
from hw_sim.light import Conditions, draw_sky
from hw_sim.painting import POOL_REACH_M, Passing
from hw_sim.plate_faces import DrawnPlates, PlateSource
from hw_sim.rendering import Renderer
from hw_sim.scenery import Scenery, draw_scenery
from hw_sim.sensors import Subject
from hw_sim.traffic import LONGEST_VEHICLE_M, TRIGGER_LINE_M, EvenGaps, PassingVehicle, Schedule, Traffic
from hw_sim.vehicles import VehicleArt, plate_sheet
from hw_sim.world import NEAREST_M, SMALL_DIVISOR, Mount, View

_AFTERMATH_S = 1.5  # the empty road after the last vehicle, so that its passage can come to an end
_BEHIND_M = 14.0  # the longest shadow and the spray reach into the picture from so far under the camera
_ART_KEPT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class VisiblePlate:
    """A plate that lies wholly inside the picture; corners from the top left one clockwise."""

    text: str = field(repr=False)
    region: str | None
    corners_px: tuple[tuple[float, float], ...]
    vehicle_id: int
    is_readable: bool

    @property
    def width_px(self) -> float:
        """The length of its upper edge."""
        (left_x, left_y), (right_x, right_y) = self.corners_px[:2]
        return math.hypot(right_x - left_x, right_y - left_y)


class Road:
    """A one-lane site with traffic. `passes` ends the traffic after so many vehicles; None goes on for ever."""

    def __init__(
        self,
        seed: int,
        passes: int | None = None,
        *,
        mount: Mount | None = None,
        conditions: Conditions | None = None,
        mph: float | None = None,
        plates: PlateSource | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """Draw sky and empty road. All vehicles drive `mph`, or between 25 and 75 if it is None.

        Without a `schedule`, two to four seconds lie between two rear ends. Raises ValueError for less than one pass
        and for a speed outside 1 to 150 mph.
        """
        if passes is not None and passes < 1:
            raise ValueError("a road needs at least one vehicle, or None for endless traffic")
        if mph is not None and not 1.0 <= mph <= 150.0:
            raise ValueError("vehicles drive 1 to 150 miles per hour")
        self._seed, self._passes = seed, passes
        self._mount = mount or Mount()
        self.view = View(self._mount)
        self.sky = draw_sky(conditions or Conditions(), seed)
        self._farthest_m = self.view.farthest_m()
        self._traffic = Traffic(
            seed=seed, sky=self.sky, schedule=schedule or EvenGaps(), mph=mph, plates=plates or DrawnPlates(),
            farthest_m=self._farthest_m,
        )  # fmt: skip
        self._drawing = threading.Lock()
        self._lock = threading.Lock()  # the camera's thread and a summary on another may ask at the same time
        self._vehicles: list[PassingVehicle] = []
        self._art = functools.lru_cache(maxsize=_ART_KEPT)(self._drawn)

    @property
    def slowest_m_s(self) -> float:
        """The lowest speed of its traffic."""
        return self._traffic.slowest_m_s

    @property
    def end_s(self) -> float:
        """When the last vehicle has gone and the road has been empty for a moment; infinite for endless traffic."""
        if self._passes is None:
            return math.inf
        return max(vehicle.rear_at_s(self._farthest_m) for vehicle in self.vehicles) + _AFTERMATH_S

    @property
    def vehicles(self) -> tuple[PassingVehicle, ...]:
        """All vehicles, by the time at which they pass. Raises ValueError for endless traffic."""
        if self._passes is None:
            raise ValueError("endless traffic has no list of all vehicles; ask for those of a time")
        return self.vehicles_between(0.0, math.inf)

    def vehicles_between(self, from_s: float, to_s: float) -> tuple[PassingVehicle, ...]:
        """Return the vehicles with from_s <= passes_s < to_s, in order. Raises ValueError for an endless answer."""
        if self._passes is None and math.isinf(to_s):
            raise ValueError("endless traffic is asked for until a certain time")
        with self._lock:
            while len(self._vehicles) != self._passes and (not self._vehicles or self._vehicles[-1].passes_s < to_s):
                before = self._vehicles[-1] if self._vehicles else None
                self._vehicles.append(self._traffic.after(before, len(self._vehicles)))
            low = bisect.bisect_left(self._vehicles, from_s, key=lambda vehicle: vehicle.passes_s)
            high = bisect.bisect_left(self._vehicles, to_s, key=lambda vehicle: vehicle.passes_s)
            return tuple(self._vehicles[low:high])

    def truth(self, at_s: float) -> list[VisiblePlate]:
        """Return the plates that lie wholly inside the picture at `at_s`, nearest vehicle first."""
        plates = []
        for vehicle in reversed(self._between_m(at_s, NEAREST_M, self._farthest_m)):
            if vehicle.face is None:
                continue
            rear_m = vehicle.rear_y_m(at_s)
            sheet = plate_sheet(vehicle.body, vehicle.plate_roll_rad, vehicle.x_m, rear_m, vehicle.face)
            corners = self.view.project(sheet.corners_m())
            if self.view.holds(corners):
                plates.append(
                    VisiblePlate(
                        text=vehicle.text,
                        region=vehicle.region,
                        corners_px=tuple((float(x), float(y)) for x, y in corners),
                        vehicle_id=vehicle.vehicle_id,
                        is_readable=vehicle.face.is_readable,
                    )
                )
        return plates

    def expose(self, at_s: float, light: Light) -> Image:
        """Return what the sensor delivers of an exposure around `at_s`, uint8 (H, W, 3) BGR.

        `light` is the exposure and gain in use and the lamp's actual output. Raises ValueError for impossible light.
        """
        return self._seen(self._large, at_s, light)

    def small(self, at_s: float, light: Light) -> Grey:
        """Return the small picture of the same exposure, uint8 (H / 4, W / 4): its brightness."""
        return self._seen(self._small, at_s, light)

    @functools.cached_property
    def _large(self) -> Renderer:
        return Renderer(self._mount, self.sky, self._seed, self._scenery)

    @functools.cached_property
    def _small(self) -> Renderer:
        small, scenery = self._mount.reduced(SMALL_DIVISOR), self._scenery.reduced(SMALL_DIVISOR).grey()
        return Renderer(small, self.sky, self._seed, scenery, averaged=SMALL_DIVISOR)

    @functools.cached_property
    def _scenery(self) -> Scenery:
        return draw_scenery(self.view, self.sky, self._seed)

    def _seen(self, renderer: Renderer, at_s: float, light: Light) -> npt.NDArray[np.uint8]:
        if light.exposure_us <= 0 or light.gain <= 0 or not 0.0 <= light.lamp_ratio <= 1.0:
            raise ValueError("exposure and gain are above zero, and the lamp is a ratio")
        near = self._between_m(at_s, -POOL_REACH_M, self._farthest_m)
        passing = [
            Passing(vehicle=vehicle, art=self._art(vehicle.vehicle_id))
            for vehicle in near
            if vehicle.rear_y_m(at_s) + vehicle.body.length_m > -_BEHIND_M * (self.sky.sun_lux > 0) - 2.0
        ]
        with self._drawing:
            return renderer.picture(at_s, light, passing, near)

    def _drawn(self, vehicle_id: int) -> VehicleArt:
        """Return the vehicle's panels; they are drawn when it is under the camera, and kept while it is in view."""
        vehicle = self._vehicles[vehicle_id]
        lens_m = self.view.position_m - (vehicle.x_m, 0.0, 0.0)
        return VehicleArt(
            vehicle.body, vehicle.paint, vehicle.trim, vehicle.face, vehicle.plate_roll_rad, lens_m=lens_m, sky=self.sky
        )

    def _between_m(self, at_s: float, nearest_m: float, farthest_m: float) -> list[PassingVehicle]:
        """Return the vehicles that reach beyond `nearest_m` and begin before `farthest_m`, farthest first."""
        slowest_m_s = self.slowest_m_s
        earliest_s = at_s - max(0.0, farthest_m - TRIGGER_LINE_M) / slowest_m_s
        latest_s = at_s + (TRIGGER_LINE_M - min(0.0, nearest_m) + LONGEST_VEHICLE_M) / slowest_m_s
        near = [
            vehicle
            for vehicle in self.vehicles_between(max(0.0, earliest_s), max(0.0, latest_s))
            if nearest_m < vehicle.rear_y_m(at_s) + vehicle.body.length_m and vehicle.rear_y_m(at_s) < farthest_m
        ]
        return sorted(near, key=lambda vehicle: vehicle.rear_y_m(at_s), reverse=True)


class RoadScene:
    """The road as what stands before the camera's sensor: its picture, and what passes the trigger line."""

    unreadable = 0  # a drawn picture can always be shown

    def __init__(self, road: Road) -> None:
        self._road = road
        self.end_s = road.end_s

    def picture_at(self, elapsed_s: float, light: Light) -> Image:
        """Return the exposure, uint8 (H, W, 3) BGR."""
        return self._road.expose(elapsed_s, light)

    def small_at(self, elapsed_s: float, light: Light) -> Grey:
        """Return the small picture of the same exposure, uint8 (H / 4, W / 4)."""
        return self._road.small(elapsed_s, light)

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:
        """Return the vehicles whose fronts reach the trigger line in from_s <= t < to_s, in that order."""
        longest_s = LONGEST_VEHICLE_M / self._road.slowest_m_s
        vehicles = self._road.vehicles_between(max(0.0, from_s), max(0.0, to_s) + longest_s)
        passing = [Subject(at_s=vehicle.front_passes_s, until_s=vehicle.passes_s) for vehicle in vehicles]
        return sorted((each for each in passing if from_s <= each.at_s < to_s), key=lambda each: each.at_s)

    def close(self) -> None:
        """Do nothing: a road holds nothing that must be given back."""

"""The simulated road: seeded vehicles that drive past the camera, their picture and the truth at any time.

Owns the schedule and what the sensor would see; the camera decides when to look. Everything is a pure function of the
seed and of the seconds since the road began, so that a failure repeats exactly. Vehicles drive away from the camera and
show their rear plates. By day only; light, weather and infrared belong here when they come.
"""

import bisect
import functools
import math
import threading
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image
from hw_sim.bodywork import BODIES, PAINTS_BGR, Body
from hw_sim.plate_art import LOOKS, Colour, PlateLook, random_plate_text
from hw_sim.scenery import draw_scenery
from hw_sim.sensors import Subject
from hw_sim.vehicles import VehicleArt, plate_corners_m
from hw_sim.world import NEAREST_M, Layer, Mount, View

TRIGGER_LINE_M = 8.0
"""How far from the camera's foot the light beam crosses the road."""

SLOWEST_M_S = 25.0 * 0.44704
FASTEST_M_S = 75.0 * 0.44704
"""25 and 75 miles per hour: the range that the product promises to read."""

SHORTEST_GAP_S = 2.0
LONGEST_GAP_S = 4.0
"""Between two rear ends at the trigger line. In 2 s the fastest vehicle does not reach the slowest inside a picture."""

DAYLIGHT_EXPOSURE_US = 250.0
"""The exposure that shows the road at its natural brightness with gain 1: about 1 px of blur at 75 mph."""

_AFTERMATH_S = 1.5  # the empty road after the last vehicle, so that its passage can come to an end
_NOISE_LEVELS = 1.6
_NOISE_SPARE_PX = 64
_OPTICS_SIGMA_PX = 0.55
_LONGEST_VEHICLE_M = max(body.length_m for body in BODIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassingVehicle:
    """One vehicle's drive. Its front reaches the trigger line at `front_passes_s`, its rear end at `passes_s`."""

    vehicle_id: int
    text: str = field(repr=False)
    passes_s: float
    speed_m_s: float
    x_m: float
    body: Body
    paint_bgr: Colour
    look: PlateLook
    plate_roll_rad: float

    @property
    def front_passes_s(self) -> float:
        """When the front reaches the trigger line."""
        return self.passes_s - self.body.length_m / self.speed_m_s

    def rear_y_m(self, at_s: float) -> float:
        """Return where the rear end is along the road."""
        return TRIGGER_LINE_M + (at_s - self.passes_s) * self.speed_m_s


@dataclass(frozen=True, slots=True, kw_only=True)
class VisiblePlate:
    """A plate that lies wholly inside the picture; corners from the top left one clockwise."""

    text: str = field(repr=False)
    corners_px: tuple[tuple[float, float], ...]
    vehicle_id: int


class Road:
    """A one-lane site with traffic. `passes` ends the traffic after so many vehicles; None goes on for ever."""

    def __init__(
        self,
        seed: int,
        passes: int | None = None,
        *,
        mount: Mount | None = None,
        exposure_us: float = DAYLIGHT_EXPOSURE_US,
        gain: float = 1.0,
    ) -> None:
        """Draw the empty road. Raises ValueError for less than one pass, or for light that no sensor gathers."""
        if passes is not None and passes < 1:
            raise ValueError("a road needs at least one vehicle, or None for endless traffic")
        if exposure_us <= 0 or gain <= 0:
            raise ValueError("exposure and gain are above zero")
        self.exposure_us, self.gain = exposure_us, gain
        self.view = View(mount or Mount())
        self._seed = seed
        self._passes = passes
        self._lock = threading.Lock()  # the camera's thread and a summary on another may ask at the same time
        self._vehicles: list[PassingVehicle] = []
        self._farthest_m = self.view.farthest_m()
        self._scenery = draw_scenery(self.view, seed)
        self._lighter, self._darker = _noise(seed, gain, self._scenery.shape)
        self._brightness = _brightness(exposure_us * gain / DAYLIGHT_EXPOSURE_US)

    @property
    def end_s(self) -> float:
        """When the last vehicle has gone and the road has been empty for a moment; infinite for endless traffic."""
        if self._passes is None:
            return math.inf
        return max(self._gone_s(vehicle) for vehicle in self.vehicles) + _AFTERMATH_S

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
                self._vehicles.append(self._next_vehicle())
            low = bisect.bisect_left(self._vehicles, from_s, key=lambda vehicle: vehicle.passes_s)
            high = bisect.bisect_left(self._vehicles, to_s, key=lambda vehicle: vehicle.passes_s)
            return tuple(self._vehicles[low:high])

    def truth(self, at_s: float) -> list[VisiblePlate]:
        """Return the plates that lie wholly inside the picture at `at_s`, nearest vehicle first."""
        plates = []
        for vehicle in reversed(self._in_view(at_s)):
            rear_m = vehicle.rear_y_m(at_s)
            if rear_m <= NEAREST_M:  # under the camera there is nothing to project
                continue
            corners_m = plate_corners_m(vehicle.body, vehicle.plate_roll_rad, vehicle.x_m, rear_m)
            corners = self.view.project(corners_m)
            if self.view.holds(corners):
                corners_px = tuple((float(x), float(y)) for x, y in corners)
                plates.append(VisiblePlate(text=vehicle.text, corners_px=corners_px, vehicle_id=vehicle.vehicle_id))
        return plates

    def render(self, at_s: float) -> Image:
        """Return what the sensor sees in an exposure around `at_s`, uint8 (H, W, 3) BGR."""
        picture = self._scenery.copy()
        for vehicle in self._in_view(at_s):
            panels = _art(vehicle).panels(vehicle.x_m, vehicle.rear_y_m(at_s), self.view.mount.camera_x_m)
            layer = Layer(self.view, panels)
            layer.smear(self._way_px(vehicle, at_s), _OPTICS_SIGMA_PX)
            layer.put_on(picture)
        if self._brightness is not None:
            picture = np.asarray(cv2.LUT(picture, self._brightness), np.uint8)
        return self._with_noise(picture, at_s)

    def _next_vehicle(self) -> PassingVehicle:
        vehicle_id = len(self._vehicles)
        generator = np.random.default_rng([self._seed, vehicle_id])
        before_s = self._vehicles[-1].passes_s if self._vehicles else 0.0
        return PassingVehicle(
            vehicle_id=vehicle_id,
            text=random_plate_text(generator),
            passes_s=before_s + float(generator.uniform(SHORTEST_GAP_S, LONGEST_GAP_S)),
            speed_m_s=float(generator.uniform(SLOWEST_M_S, FASTEST_M_S)),
            x_m=float(generator.uniform(-0.3, 0.3)),
            body=BODIES[int(generator.integers(len(BODIES)))],
            paint_bgr=PAINTS_BGR[int(generator.integers(len(PAINTS_BGR)))],
            look=LOOKS[int(generator.integers(len(LOOKS)))],
            plate_roll_rad=float(np.clip(generator.normal(0.0, 0.012), -0.035, 0.035)),
        )

    def _gone_s(self, vehicle: PassingVehicle) -> float:
        return vehicle.passes_s + (self._farthest_m - TRIGGER_LINE_M) / vehicle.speed_m_s

    def _in_view(self, at_s: float) -> list[PassingVehicle]:
        """Return the vehicles between the camera's foot and the end of the picture, farthest first."""
        earliest_s = at_s - max(0.0, self._farthest_m - TRIGGER_LINE_M) / SLOWEST_M_S
        latest_s = at_s + (TRIGGER_LINE_M + _LONGEST_VEHICLE_M) / SLOWEST_M_S
        near = [
            vehicle
            for vehicle in self.vehicles_between(max(0.0, earliest_s), max(0.0, latest_s))
            if -vehicle.body.length_m < vehicle.rear_y_m(at_s) < self._farthest_m
        ]
        return sorted(near, key=lambda vehicle: vehicle.rear_y_m(at_s), reverse=True)

    def _way_px(self, vehicle: PassingVehicle, at_s: float) -> npt.NDArray[np.float64]:
        """Return how far the rear end moves in the picture during one exposure, (x, y)."""
        rear_m = max(2.0, vehicle.rear_y_m(at_s))
        moved_m = vehicle.speed_m_s * self.exposure_us * 1e-6
        begin, end = self.view.project(
            np.array(
                [[vehicle.x_m, rear_m, vehicle.body.plate_z_m], [vehicle.x_m, rear_m + moved_m, vehicle.body.plate_z_m]]
            )
        )
        return np.asarray(end - begin, np.float64)

    def _with_noise(self, picture: Image, at_s: float) -> Image:
        """Add noise. In a gamma-coded picture shot noise is the same at all levels, as the square root evens it out."""
        rows, columns = picture.shape[:2]
        generator = np.random.default_rng([self._seed, round(abs(at_s) * 1e6)])
        top, left = (int(offset) for offset in generator.integers(0, _NOISE_SPARE_PX, 2))
        window = (slice(top, top + rows), slice(left, left + columns))
        picture = cv2.add(picture, self._lighter[window], dst=picture)
        return np.asarray(cv2.subtract(picture, self._darker[window], dst=picture), np.uint8)


class RoadScene:
    """The road as what stands before the camera's sensor: its picture, and what passes the trigger line."""

    unreadable = 0  # a drawn picture can always be shown

    def __init__(self, road: Road) -> None:
        self._road = road
        self.end_s = road.end_s

    def picture_at(self, elapsed_s: float) -> Image:
        """Render the road, uint8 (H, W, 3) BGR."""
        return self._road.render(elapsed_s)

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:
        """Return the vehicles whose fronts reach the trigger line in from_s <= t < to_s, in that order."""
        longest_s = _LONGEST_VEHICLE_M / SLOWEST_M_S
        vehicles = self._road.vehicles_between(max(0.0, from_s), max(0.0, to_s) + longest_s)
        passing = [Subject(at_s=vehicle.front_passes_s, until_s=vehicle.passes_s) for vehicle in vehicles]
        return sorted((each for each in passing if from_s <= each.at_s < to_s), key=lambda each: each.at_s)

    def close(self) -> None:
        """Do nothing: a road holds nothing that must be given back."""


@functools.lru_cache(maxsize=8)
def _art(vehicle: PassingVehicle) -> VehicleArt:
    """Return the vehicle's panels; they are drawn when it is still under the camera, and kept while it is in view."""
    return VehicleArt(vehicle.body, vehicle.paint_bgr, vehicle.text, vehicle.look, vehicle.plate_roll_rad)


def _brightness(light_ratio: float) -> npt.NDArray[np.uint8] | None:
    """Return the table from natural brightness to that of an exposure with `light_ratio` times the light.

    Pictures are gamma coded with 2.2, as sRGB is (IEC 61966-2-1, nearly), so light acts by its 2.2th root.
    """
    if math.isclose(light_ratio, 1.0):
        return None
    levels = np.arange(256, dtype=np.float64) * light_ratio ** (1.0 / 2.2)
    return np.asarray(np.clip(np.round(levels), 0, 255), np.uint8)


def _noise(seed: int, gain: float, shape: tuple[int, ...]) -> tuple[Image, Image]:
    """Return what noise adds and what it takes away, both larger than a picture: each frame cuts its part."""
    generator = np.random.default_rng([seed, 1])
    size = (shape[0] + _NOISE_SPARE_PX, shape[1] + _NOISE_SPARE_PX, 3)
    noise = np.round(generator.standard_normal(size, dtype=np.float32) * (_NOISE_LEVELS * math.sqrt(gain)))
    return np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8)

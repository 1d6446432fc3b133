"""The traffic of the simulated road: who passes when, how fast, and with what plate.

Owns the schedule; everything is drawn from the road's seed. Vehicles keep their speed while they are in view and never
overlap: who is about to run into the one before keeps behind it, as drivers do.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hw_sim.bodywork import BODIES, PAINTS, Body
from hw_sim.drawing import Material
from hw_sim.light import Sky
from hw_sim.plate_faces import PlateFace, PlateSource
from hw_sim.rear_faces import Trim, draw_trim

TRIGGER_LINE_M = 8.0
"""How far from the camera's foot the light beam crosses the road."""

M_S_PER_MPH = 0.44704
SLOWEST_MPH = 25.0
FASTEST_MPH = 75.0
"""The range of mixed traffic."""

SHORTEST_GAP_S = 2.0
LONGEST_GAP_S = 4.0
LEAST_GAP_M = 3.0
"""What is left of the road between a front and the rear end before it."""

LONGEST_VEHICLE_M = max(body.length_m for body in BODIES)


class Schedule(Protocol):
    """How long after one vehicle the next one comes."""

    def gap_s(self, after_s: float, generator: np.random.Generator) -> float:
        """Return the seconds from the rear end that passes at `after_s` to the next."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EvenGaps:
    """Gaps drawn evenly between two bounds; before the first vehicle the road is empty for `ahead_s` more."""

    shortest_s: float = SHORTEST_GAP_S
    longest_s: float = LONGEST_GAP_S
    ahead_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.shortest_s <= self.longest_s:
            raise ValueError("gaps are above zero, the shortest first")

    def gap_s(self, after_s: float, generator: np.random.Generator) -> float:
        """Return a gap."""
        gap_s = float(generator.uniform(self.shortest_s, self.longest_s))
        return gap_s + (self.ahead_s if after_s == 0.0 else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfTraffic:
    """2,400 vehicles a day, by hour, with platoons of up to 50 a minute behind traffic lights.

    The share of each hour is that of an ordinary weekday on an urban street (FHWA Traffic Monitoring Guide: peaks at
    8 and 17 hours). A platoon is a run of short gaps; between platoons the road lies empty for longer.
    """

    starts_at_hour: float
    vehicles_per_day: float = 2_400.0
    platoon_gap_s: float = 60.0 / 50.0
    platoon_vehicles: float = 6.0

    def gap_s(self, after_s: float, generator: np.random.Generator) -> float:
        """Return a gap: short inside a platoon, else as long as keeps the hour's rate."""
        per_s = self.vehicles_per_s(after_s)
        if generator.random() < 1.0 - 1.0 / self.platoon_vehicles:
            return float(self.platoon_gap_s * generator.uniform(0.85, 1.25))
        between_s = self.platoon_vehicles / per_s - self.platoon_gap_s * (self.platoon_vehicles - 1.0)
        return float(max(self.platoon_gap_s, generator.exponential(max(self.platoon_gap_s, between_s))))

    def vehicles_per_s(self, at_s: float) -> float:
        """Return the mean rate at a time since the beginning."""
        hour = int(self.starts_at_hour + at_s / 3600.0) % 24
        return self.vehicles_per_day * HOUR_SHARES[hour] / sum(HOUR_SHARES) / 3600.0


HOUR_SHARES = (0.9, 0.6, 0.5, 0.5, 0.8, 1.8, 4.0, 6.4, 6.9, 5.4, 5.0, 5.2, 5.5, 5.5, 5.8, 6.6, 7.6, 7.9, 6.2, 4.7, 3.8,
                3.2, 2.3, 1.5)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PassingVehicle:
    """One vehicle's drive. Its front reaches the trigger line at `front_passes_s`, its rear end at `passes_s`."""

    vehicle_id: int
    passes_s: float
    speed_m_s: float
    x_m: float
    body: Body
    paint: Material
    trim: Trim
    plate_roll_rad: float
    face: PlateFace | None = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """What stands on its plate; empty if it has none."""
        return "" if self.face is None else self.face.text

    @property
    def region(self) -> str | None:
        """The state of its plate, as US-CA."""
        return None if self.face is None else self.face.region

    @property
    def front_passes_s(self) -> float:
        """When the front reaches the trigger line."""
        return self.passes_s - self.body.length_m / self.speed_m_s

    def rear_y_m(self, at_s: float) -> float:
        """Return where the rear end is along the road."""
        return TRIGGER_LINE_M + (at_s - self.passes_s) * self.speed_m_s

    def rear_at_s(self, y_m: float) -> float:
        """Return when the rear end is at `y_m` along the road."""
        return self.passes_s + (y_m - TRIGGER_LINE_M) / self.speed_m_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What draws one vehicle after the other. `mph` None: mixed speeds."""

    seed: int
    sky: Sky
    schedule: Schedule
    mph: float | None
    plates: PlateSource
    farthest_m: float

    @property
    def slowest_m_s(self) -> float:
        """The lowest speed of the road."""
        return (SLOWEST_MPH if self.mph is None else self.mph) * M_S_PER_MPH

    def after(self, before: PassingVehicle | None, vehicle_id: int) -> PassingVehicle:
        """Draw the vehicle that follows `before`."""
        generator = np.random.default_rng([self.seed, vehicle_id])
        body = BODIES[int(generator.choice(len(BODIES), p=_SHARES))]
        speed_m_s = float(generator.uniform(SLOWEST_MPH, FASTEST_MPH) if self.mph is None else self.mph) * M_S_PER_MPH
        before_s = 0.0 if before is None else before.passes_s
        passes_s = before_s + self.schedule.gap_s(before_s, generator)
        if before is not None:
            passes_s, speed_m_s = self._kept_behind(before, passes_s, speed_m_s, body)
        trim = draw_trim(body, generator, headlamps=self.sky.headlamps, rain_ratio=self.sky.rain_ratio)
        return PassingVehicle(
            vehicle_id=vehicle_id,
            passes_s=passes_s,
            speed_m_s=speed_m_s,
            x_m=float(np.clip(generator.normal(0.0, 0.16), -0.35, 0.35)),
            body=body,
            paint=PAINTS[int(generator.integers(len(PAINTS)))],
            trim=trim,
            plate_roll_rad=float(np.clip(generator.normal(0.0, 0.012), -0.035, 0.035)),
            face=self.plates.face(generator),
        )

    def _kept_behind(
        self, before: PassingVehicle, passes_s: float, speed_m_s: float, body: Body
    ) -> tuple[float, float]:
        """Return time and speed that keep the front behind the rear end before it until that has left the view."""
        room_m = body.length_m + LEAST_GAP_M
        gone_s = before.rear_at_s(self.farthest_m)
        if passes_s < gone_s and speed_m_s > before.speed_m_s:
            most_m_s = (self.farthest_m - room_m - TRIGGER_LINE_M) / (gone_s - passes_s)
            speed_m_s = max(before.speed_m_s, min(speed_m_s, most_m_s))
        # Where the slower one of two comes second, they are nearest when the first one appears.
        appears_s = TRIGGER_LINE_M / before.speed_m_s if speed_m_s < before.speed_m_s else 0.0
        least_s = max(room_m / speed_m_s, (TRIGGER_LINE_M + room_m) / speed_m_s - appears_s if appears_s else 0.0)
        return max(passes_s, before.passes_s + least_s), speed_m_s


_SHARES = np.array([body.share for body in BODIES]) / math.fsum(body.share for body in BODIES)

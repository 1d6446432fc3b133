"""Where the sun stands, and how much of its light a tilted panel gets. Pure: moments and places in, degrees out.

Owns the formulas: Michalsky, "The Astronomical Almanac's algorithm for approximate solar position (1950-2050)", Solar
Energy 40 (1988), good to a hundredth of a degree; refraction after Saemundsson; Erbs, Klein and Duffie 1982 for a
month's share of diffuse light; Liu and Jordan's even sky on a tilted panel (Duffie and Beckman, Solar Engineering of
Thermal Processes).
"""

import datetime as dt
import itertools
import math
from dataclasses import dataclass, field

SOLAR_CONSTANT_W_M2 = 1361.0
"""Kopp and Lean, Geophysical Research Letters 38 (2011)."""

GROUND_REFLECTANCE = 0.2
STEP_MINUTES = 10
_J2000 = dt.datetime(2000, 1, 1, 12, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Degrees (WGS 84), north and east positive."""

    latitude_deg: float = field(repr=False)
    longitude_deg: float = field(repr=False)


@dataclass(frozen=True, slots=True)
class Direction:
    """Azimuth from north over east, 0..360, and elevation above level ground, degrees."""

    azimuth_deg: float
    elevation_deg: float

    def apart_deg(self, other: "Direction") -> float:
        """Return the angle between two directions."""
        one, two = math.radians(self.elevation_deg), math.radians(other.elevation_deg)
        turn = math.radians(self.azimuth_deg - other.azimuth_deg)
        cosine = math.sin(one) * math.sin(two) + math.cos(one) * math.cos(two) * math.cos(turn)
        return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


@dataclass(frozen=True, slots=True)
class Horizon:
    """What stands in the sun's way: azimuth and elevation of its edge, in degrees, any order; empty: level ground."""

    points: tuple[tuple[float, float], ...] = ()

    def elevation_deg(self, azimuth_deg: float) -> float:
        """Return how high the edge is there, straight from one point to the next, all around."""
        if not self.points:
            return 0.0
        around = sorted((azimuth % 360.0, elevation) for azimuth, elevation in self.points)
        around = [(around[-1][0] - 360.0, around[-1][1]), *around, (around[0][0] + 360.0, around[0][1])]
        azimuth_deg %= 360.0
        for (left, low), (right, high) in itertools.pairwise(around):
            if left <= azimuth_deg <= right:
                return low if right == left else low + (high - low) * (azimuth_deg - left) / (right - left)
        return 0.0

    def hides(self, sun: Direction) -> bool:
        """Say whether the sun is behind it."""
        return sun.elevation_deg <= self.elevation_deg(sun.azimuth_deg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """How a solar panel hangs. `facing_deg` is its azimuth, `tilt_deg` 0 for flat."""

    facing_deg: float
    tilt_deg: float


def sun_at(place: Place, moment: dt.datetime) -> Direction:
    """Return where the sun appears, refraction included. `moment` has a time zone; good from 1950 to 2050."""
    days = (moment - _J2000) / dt.timedelta(days=1)
    mean_deg = 280.460 + 0.9856474 * days
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(mean_deg + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 0.0000004 * days)
    ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    sidereal_deg = 280.46062 + 360.9856474 * days + place.longitude_deg
    hour = math.radians(sidereal_deg) - ascension
    north = math.radians(place.latitude_deg)
    sine = math.sin(declination) * math.sin(north) + math.cos(declination) * math.cos(north) * math.cos(hour)
    elevation_deg = math.degrees(math.asin(min(1.0, max(-1.0, sine))))
    azimuth = math.atan2(-math.sin(hour), math.tan(declination) * math.cos(north) - math.sin(north) * math.cos(hour))
    return Direction(math.degrees(azimuth) % 360.0, elevation_deg + _refraction_deg(elevation_deg))


def day_path(place: Place, day: dt.date, *, step_minutes: int = STEP_MINUTES) -> list[tuple[dt.datetime, Direction]]:
    """Return the sun over one day of the place's own solar time, midnight to midnight, with each moment in UTC."""
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC) - dt.timedelta(hours=place.longitude_deg / 15.0)
    moments = (noon + dt.timedelta(minutes=minutes) for minutes in range(-720, 721, step_minutes))
    return [(moment, sun_at(place, moment)) for moment in moments]


def peak_sun_hours(place: Place, day: dt.date, horizon: Horizon, panel: Panel, clearness_ratio: float) -> float:
    """Return kWh/m2 on a panel over a mean day of the month of `day`.

    `clearness_ratio` is the month's: what of the light outside the air comes to level ground, clear days and dull ones.
    """
    distance = 1.0 + 0.033 * math.cos(2.0 * math.pi * day.timetuple().tm_yday / 365.0)
    tilt = math.radians(panel.tilt_deg)
    total_wh = 0.0
    path = [sun for _, sun in day_path(place, day) if sun.elevation_deg > 0.0]
    diffuse_ratio = _diffuse_ratio(clearness_ratio, len(path) * STEP_MINUTES / 60.0)
    for sun in path:
        sine = math.sin(math.radians(sun.elevation_deg))
        level_w = SOLAR_CONSTANT_W_M2 * distance * sine * clearness_ratio
        on_panel = math.cos(math.radians(sun.apart_deg(Direction(panel.facing_deg, 90.0 - panel.tilt_deg))))
        beam_w = 0.0 if horizon.hides(sun) else level_w * (1.0 - diffuse_ratio) * max(0.0, on_panel) / max(sine, 0.05)
        sky_w = level_w * diffuse_ratio * (1.0 + math.cos(tilt)) / 2.0
        ground_w = level_w * GROUND_REFLECTANCE * (1.0 - math.cos(tilt)) / 2.0
        total_wh += (beam_w + sky_w + ground_w) * STEP_MINUTES / 60.0
    return total_wh / 1000.0


def _diffuse_ratio(clearness_ratio: float, daylight_h: float) -> float:
    """Return which share of a month's light comes from the whole sky (Erbs, Klein and Duffie, Solar Energy 28, 1982).

    A month's mean is not an hour's: a month of 30 % has days of bright sun among the dull ones, and a third of its
    light is the sun's own; an hour of 30 % has none. The two seasons part where the sun sets 81.4 degrees from noon.
    """
    k = clearness_ratio
    if daylight_h * 15.0 / 2.0 <= 81.4:
        return min(1.0, 1.391 - 3.560 * k + 4.189 * k**2 - 2.137 * k**3)
    return min(1.0, 1.311 - 3.022 * k + 3.427 * k**2 - 1.821 * k**3)


def _refraction_deg(elevation_deg: float) -> float:
    """Return by how much the air lifts the sun (Saemundsson, Sky and Telescope 72, 1986); nothing well below ground."""
    if elevation_deg < -1.0:
        return 0.0
    return 1.02 / math.tan(math.radians(elevation_deg + 10.3 / (elevation_deg + 5.11))) / 60.0

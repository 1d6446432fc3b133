"""What can be known of a site before anything hangs there: line of sight, sun in the lens, panel and battery. Pure.

Owns the figures and which of them are good enough; says nothing in words. The panel's figure is a first one: one mean
clearness of the air for the year, no snow, no dirt beyond the usual losses.
"""

import datetime as dt
import enum
import math
from dataclasses import dataclass, field

from firmware.config import MountConfig, SiteConfig
from firmware.exposure import PLATE_WIDTH_M
from provisioning import pinhole
from provisioning.aim_advice import ANGLE_AT_MOST_DEG, FARTHEST_M
from provisioning.aiming import WANTED_PX
from provisioning.pinhole import Pinhole
from provisioning.signal_log import SignalSummary
from provisioning.sun import Direction, Horizon, Panel, Place, day_path, peak_sun_hours

NARROWEST_PX, WIDEST_PX = 130.0, 215.0
"""Of a plate in the picture's middle: below, too little is read; above, a lane does not fit into the picture."""

STEEPEST_DEG = 25.0
"""The lens's tilt: looking down more, roofs and boots hide plates, and characters are squeezed by a tenth (cos 25)."""

FLARE_DEG = 25.0
"""So near the lens's axis the sun shines on the front glass of a unit with a hood as long as it is wide."""

LOAD_W = 2.5
AUTONOMY_DAYS = 5.0
PANEL_EFFICIENCY_RATIO = 0.75
DISCHARGE_RATIO = 0.8
"""Charge controller, heat, dust, cable; and what of a battery may be used (wiki.meshamerica.com)."""

DAYS_APART = 7


class SightFlaw(enum.StrEnum):
    """What is wrong with a line of sight."""

    ANGLE_TOO_WIDE = "angle-too-wide"
    TOO_STEEP = "too-steep"
    PLATES_TOO_SMALL = "plates-too-small"
    PLATES_TOO_LARGE = "plates-too-large"
    BEYOND_LAMP = "beyond-lamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOfSight:
    """From the lens to the plate in the middle of the lane. `fitting_lens_mm` makes that plate 150 px wide."""

    distance_m: float
    angle_deg: float
    tilt_deg: float
    plate_px: float
    fitting_lens_mm: float
    flaws: tuple[SightFlaw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SunSpell:
    """Days on which the sun stands in or near the picture: first and last one looked at, and the longest of them.

    Times are UTC, of the longest day's spell. `in_picture`: in the picture itself, not only on the front glass.
    """

    first: dt.date
    last: dt.date
    begins_utc: dt.datetime
    ends_utc: dt.datetime
    nearest_deg: float
    in_picture: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFigure:
    """What a unit of this load needs in the worst month. `sun_hours` are kWh/m2 a day of each month on the panel."""

    load_w: float
    panel: Panel
    clearness_ratio: float
    sun_hours: tuple[float, ...]
    worst_month: int
    panel_w: float
    battery_wh: float
    autonomy_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that is known of a site beforehand. `signal` None: nobody listened."""

    site: SiteConfig = field(repr=False)
    mount: MountConfig
    horizon: Horizon
    sight: LineOfSight
    sun: tuple[SunSpell, ...]
    power: PowerFigure
    signal: SignalSummary | None
    year: int


def line_of_sight(mount: MountConfig) -> LineOfSight:
    """Return what the lens will see of a plate `ahead_m` along the road, and what is wrong with that."""
    camera = Pinhole.planned(mount, pinhole.SENSOR_WIDTH_PX, pinhole.SENSOR_HEIGHT_PX)
    down_m = mount.height_m - pinhole.PLATE_HEIGHT_M
    distance_m = math.hypot(mount.beside_m, mount.ahead_m, down_m)
    angle_deg = camera.beside_travel_deg(camera.middle_px)
    across_ratio = PLATE_WIDTH_M * math.cos(math.radians(camera.pose.right_deg)) / distance_m
    plate_px, tilt_deg = camera.focal_px * across_ratio, camera.pose.down_deg
    wrong = {
        SightFlaw.ANGLE_TOO_WIDE: angle_deg > ANGLE_AT_MOST_DEG,
        SightFlaw.TOO_STEEP: tilt_deg > STEEPEST_DEG,
        SightFlaw.PLATES_TOO_SMALL: plate_px < NARROWEST_PX,
        SightFlaw.PLATES_TOO_LARGE: plate_px > WIDEST_PX,
        SightFlaw.BEYOND_LAMP: distance_m > FARTHEST_M,
    }
    return LineOfSight(
        distance_m=distance_m, angle_deg=angle_deg, tilt_deg=tilt_deg, plate_px=plate_px,
        fitting_lens_mm=WANTED_PX / across_ratio * pinhole.PITCH_MM,
        flaws=tuple(flaw for flaw, is_so in wrong.items() if is_so),
    )  # fmt: skip


def sun_spells(place: Place, bearing_deg: float, mount: MountConfig, horizon: Horizon, year: int) -> list[SunSpell]:
    """Return when in a year the sun stands above the horizon and before the lens, by weeks, joined where they touch."""
    camera = Pinhole.planned(mount, pinhole.SENSOR_WIDTH_PX, pinhole.SENSOR_HEIGHT_PX)
    axis = Direction(bearing_deg, -camera.pose.down_deg)
    half_diagonal_deg = math.degrees(math.atan2(math.hypot(*camera.middle_px), camera.focal_px))
    spells: list[SunSpell] = []
    for number in range(0, 366, DAYS_APART):
        day = dt.date(year, 1, 1) + dt.timedelta(days=number)
        before = [
            (moment, axis.apart_deg(sun))
            for moment, sun in day_path(place, day)
            if sun.elevation_deg > 0 and not horizon.hides(sun) and axis.apart_deg(sun) <= FLARE_DEG
        ]
        if not before:
            continue
        nearest_deg = min(apart for _, apart in before)
        spell = SunSpell(
            first=day, last=day, begins_utc=before[0][0], ends_utc=before[-1][0],
            nearest_deg=nearest_deg, in_picture=nearest_deg <= half_diagonal_deg,
        )  # fmt: skip
        if spells and (day - spells[-1].last).days <= DAYS_APART:
            spells[-1] = _joined(spells[-1], spell)
        else:
            spells.append(spell)
    return spells


def power_figure(
    place: Place, horizon: Horizon, *, clearness_ratio: float, load_w: float = LOAD_W, days: float = AUTONOMY_DAYS
) -> PowerFigure:
    """Return panel and battery: Wh a day over sun hours of the worst month and losses; Wh over what may be used.

    The panel faces the equator and stands 15 degrees steeper than the latitude, for the winter.
    """
    panel = Panel(
        facing_deg=180.0 if place.latitude_deg >= 0 else 0.0, tilt_deg=min(75.0, abs(place.latitude_deg) + 15.0)
    )
    hours = tuple(
        peak_sun_hours(place, dt.date(2026, month, 15), horizon, panel, clearness_ratio) for month in range(1, 13)
    )
    day_wh, worst = load_w * 24.0, min(hours)
    return PowerFigure(
        load_w=load_w, panel=panel, clearness_ratio=clearness_ratio, sun_hours=hours,
        worst_month=hours.index(worst) + 1,
        panel_w=day_wh / (max(worst, 1e-3) * PANEL_EFFICIENCY_RATIO),
        battery_wh=day_wh * days / DISCHARGE_RATIO, autonomy_days=days,
    )  # fmt: skip


def _joined(one: SunSpell, other: SunSpell) -> SunSpell:
    longer = max(one, other, key=lambda spell: spell.ends_utc - spell.begins_utc)
    return SunSpell(
        first=one.first, last=other.last, begins_utc=longer.begins_utc, ends_utc=longer.ends_utc,
        nearest_deg=min(one.nearest_deg, other.nearest_deg), in_picture=one.in_picture or other.in_picture,
    )  # fmt: skip

"""What `survey` says, in one place: sentences for each flaw, and the lines of its summary."""

import calendar
import datetime as dt

from provisioning.aim_advice import ANGLE_AT_MOST_DEG, FARTHEST_M
from provisioning.signal_log import USABLE_DBM, Reception, SignalSummary
from provisioning.surveying import (
    DISCHARGE_RATIO,
    NARROWEST_PX,
    PANEL_EFFICIENCY_RATIO,
    STEEPEST_DEG,
    LineOfSight,
    PowerFigure,
    SightFlaw,
    SunSpell,
    Survey,
)

_SIGHT = {
    SightFlaw.ANGLE_TOO_WIDE: f"The angle to the traffic is {{angle:.0f}} degrees, {ANGLE_AT_MOST_DEG:.0f} at most: "
    "the pole is too near for so wide an offset; look farther along the road, or take a pole nearer to the lane.",
    SightFlaw.TOO_STEEP: f"The lens looks down by {{tilt:.0f}} degrees, {STEEPEST_DEG:.0f} at most: hang the unit "
    "lower, or look farther along the road.",
    SightFlaw.PLATES_TOO_SMALL: f"Plates will be {{px:.0f}} px wide, {NARROWEST_PX:.0f} at least: fit a lens of "
    "{lens:.0f} mm, or look at a nearer place.",
    SightFlaw.PLATES_TOO_LARGE: "Plates will be {px:.0f} px wide, so that the lane does not fit into the picture: fit "
    "a lens of {lens:.0f} mm, or look at a farther place.",
    SightFlaw.BEYOND_LAMP: f"The plates are {{distance:.0f}} m away, and the lamp reaches {FARTHEST_M:.0f} m: look at "
    "a nearer place.",
}

_RECEPTION = {
    Reception.GOOD: "good",
    Reception.USABLE: "usable; an antenna outside the box would save energy",
    Reception.POOR: f"poor (below {USABLE_DBM:.0f} dBm, or lost at times): use a directional antenna or another "
    "carrier",
    Reception.NONE: "no cell at all: take another carrier or another pole",
    Reception.UNTOLD: "there is a cell, but the modem does not say how strong it is: go by whether reads arrive",
}


def sight_lines(sight: LineOfSight) -> list[str]:
    """Return a sentence for each flaw, or one that says that there is none."""
    if not sight.flaws:
        return [
            f"Line of sight is good: {sight.distance_m:.1f} m, {sight.angle_deg:.0f} degrees aside, plates "
            f"{sight.plate_px:.0f} px wide."
        ]
    return [
        _SIGHT[flaw].format(
            angle=sight.angle_deg,
            tilt=sight.tilt_deg,
            px=sight.plate_px,
            lens=sight.fitting_lens_mm,
            distance=sight.distance_m,
        )
        for flaw in sight.flaws
    ]


def sun_lines(spells: tuple[SunSpell, ...], utc_offset_h: float) -> list[str]:
    """Return a sentence for each spell of the sun before the lens, in the site's standard time."""
    if not spells:
        return ["The sun never stands before the lens."]
    return [_spell(spell, utc_offset_h) for spell in spells]


def power_lines(power: PowerFigure) -> list[str]:
    """Return panel and battery, and what they rest on."""
    month, panel = calendar.month_name[power.worst_month], power.panel
    return [
        f"Panel {_ceiling(power.panel_w, 5)} W or more, battery {_ceiling(power.battery_wh, 25)} Wh or more, for "
        f"{power.load_w:g} W and {power.autonomy_days:g} days without sun.",
        f"Worst month {month}: {min(power.sun_hours):.1f} sun hours a day on a panel facing "
        f"{_compass(panel.facing_deg)}, tilted {panel.tilt_deg:.0f} degrees, with {power.clearness_ratio:.0%} of the "
        f"light through the air, {PANEL_EFFICIENCY_RATIO:.0%} of it used, {DISCHARGE_RATIO:.0%} of the battery.",
    ]


def signal_line(signal: SignalSummary | None) -> str:
    """Return how the cellular signal was."""
    if signal is None:
        return "Cellular signal: not measured."
    if signal.median_dbm is None:
        return f"Cellular signal over {signal.over_s / 60:.0f} min: {_RECEPTION[signal.reception]}."
    return (
        f"Cellular signal over {signal.over_s / 60:.0f} min ({signal.technology}, {signal.samples} looks): median "
        f"{signal.median_dbm:.0f} dBm, worst tenth {signal.worst_dbm:.0f} dBm, lost {signal.lost_ratio:.0%}: "
        f"{_RECEPTION[signal.reception]}."
    )


def all_lines(survey: Survey, utc_offset_h: float) -> list[str]:
    """Return the whole summary."""
    return [
        *sight_lines(survey.sight),
        *sun_lines(survey.sun, utc_offset_h),
        *power_lines(survey.power),
        signal_line(survey.signal),
    ]


def clock(moment: dt.datetime, utc_offset_h: float) -> str:
    """Return the site's standard time of day."""
    return f"{moment.astimezone(dt.timezone(dt.timedelta(hours=utc_offset_h))):%H:%M}"


def _spell(spell: SunSpell, utc_offset_h: float) -> str:
    where = "stands in the picture" if spell.in_picture else "shines on the front glass"
    days = f"{spell.first:%d %b} to {spell.last:%d %b}" if spell.first != spell.last else f"about {spell.first:%d %b}"
    return (
        f"{days}, at its longest {clock(spell.begins_utc, utc_offset_h)} to {clock(spell.ends_utc, utc_offset_h)}: the "
        f"sun {where} ({spell.nearest_deg:.0f} degrees from its middle); turn the unit, or use the hood."
    )


def _ceiling(value: float, step: int) -> int:
    return step * -int(-value // step)


def _compass(azimuth_deg: float) -> str:
    return ("north", "east", "south", "west")[round(azimuth_deg / 90.0) % 4]

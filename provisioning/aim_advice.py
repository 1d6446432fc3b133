"""The one thing to change next: an ordered table of what may be wrong, the first that is answers. Pure.

Owns the bounds of what is good. Light comes before the turn only where plates cannot be found because of it; focus,
mask and angle are put right when plates pass through the middle of the picture.
"""

import enum
from dataclasses import dataclass

from firmware.exposure import Phase
from provisioning import focus

OFF_AT_MOST_DEG = 1.6
"""So far from the middle is near enough: a twelfth of a 16 mm lens's picture, as far as traffic strays in its lane."""

BLUR_AT_MOST_PX = 1.5
ANGLE_AT_MOST_DEG = 30.0
"""Between the lens and the direction of travel (Trassir; Eocortex says 35)."""

FARTHEST_M = 22.0
"""Beyond, a lamp of 30 W/sr throws too little back: its light falls with the square of the way, there and back."""

CONTRAST_AT_LEAST = 40.0
DARKEST_GROUND, BRIGHTEST_GROUND = 60.0, 250.0
"""Grey levels. A stroke needs 15 levels against its ground (Milestone); a plate of 40 is read in rain and dirt too."""

BLACK_MEDIAN, WHITE_RATIO = 8.0, 0.3
GLARE_RATIO = 0.004
"""Share of the picture that is washed out and stays so: of 1456 x 1088 a spot of 80 px across, larger than a marker."""

IN_LANE_AT_LEAST = 0.8
FEWEST_VEHICLES, FEWEST_SIGHTS = 2, 6
LOOKED_FOR_S = 4.0
"""So long something moved and no plate was found, before that is believed."""

EMPTY_NIGHT_S = 30.0
"""A black picture at night is that of an empty road, until so long nothing at all has passed."""

FEWEST_SHOTS, FEWEST_MOVING = 60, 8
ASIDE_RATIO = 0.2
UP_RATIO = 0.3
"""Where motion is all over the picture and no plate in it, the camera looks too near: up by this share of its height.
"""


class Advice(enum.StrEnum):
    """What to do next."""

    WAIT = "wait"
    GOOD = "good"
    TURN_LEFT = "turn-left"
    TURN_RIGHT = "turn-right"
    TURN_UP = "turn-up"
    TURN_DOWN = "turn-down"
    FARTHER = "farther"
    NEARER = "nearer"
    FOCUS = "focus"
    TOO_DARK = "too-dark"
    TOO_BRIGHT = "too-bright"
    NO_LAMP = "no-lamp"
    GLARE = "glare"
    LANE_MASK = "lane-mask"
    SET_ANGLE = "set-angle"
    SLOWER_ONLY = "slower-only"


class Basis(enum.StrEnum):
    """What an advice rests on."""

    NOTHING = "nothing"
    MOTION = "motion"
    PLATES = "plates"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """An advice, what it rests on, and degrees where it has some."""

    advice: Advice
    basis: Basis
    amount_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPlates:
    """What the plates found say. Off the middle: where plates of the wanted width pass, to the right and up.

    `angle_deg`, `blur_px` and `good_for_mph` are None while no vehicle's way was clear.
    """

    off_right_deg: float
    off_up_deg: float
    middle_level: float
    darker_level: float  # of the darker half, for exposures may alternate
    best_contrast: float
    in_lane_ratio: float
    distance_m: float
    angle_deg: float | None
    blur_px: float | None
    good_for_mph: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FromPicture:
    """What the picture says without plates. Motion is -1..1: all on the left or above, to all on the right or below."""

    phase: Phase
    has_lamp: bool
    shots: int
    seen_s: float
    moving_shots: int
    moving_s: float
    motion_right_ratio: float
    motion_low_ratio: float
    wide_deg: float
    high_deg: float
    median_level: float
    saturated_ratio: float
    glare_ratio: float
    focus_px: float | None


def advised(picture: FromPicture, plates: FromPlates | None, posted_mph: float) -> Advised:
    """Return what to do next; `plates` is None as long as too few were found."""
    return _without_plates(picture) if plates is None else _with_plates(picture, plates, posted_mph)


def _with_plates(picture: FromPicture, plates: FromPlates, posted_mph: float) -> Advised:
    off_deg = max(abs(plates.off_right_deg), abs(plates.off_up_deg))
    turn = _turn(plates.off_right_deg, plates.off_up_deg)
    angle_deg, blur_px, limit_mph = plates.angle_deg or 0.0, plates.blur_px or 0.0, plates.good_for_mph
    is_dark = plates.best_contrast < CONTRAST_AT_LEAST or plates.middle_level < DARKEST_GROUND
    is_unlit = picture.phase is Phase.NIGHT and not picture.has_lamp
    is_glared, is_slow = picture.glare_ratio > GLARE_RATIO, limit_mph is not None and limit_mph < posted_mph
    table = (
        (limit_mph is None and is_glared, Advice.GLARE, 0.0),
        (off_deg > OFF_AT_MOST_DEG, turn, off_deg),
        (plates.darker_level >= BRIGHTEST_GROUND, Advice.TOO_BRIGHT, 0.0),
        (is_glared, Advice.GLARE, 0.0),
        (is_dark, Advice.NO_LAMP if is_unlit else Advice.TOO_DARK, 0.0),
        ((picture.focus_px or 0.0) > focus.SOFT_PX, Advice.FOCUS, 0.0),
        (plates.in_lane_ratio < IN_LANE_AT_LEAST, Advice.LANE_MASK, 0.0),
        (limit_mph is None, Advice.WAIT, 0.0),
        (angle_deg > ANGLE_AT_MOST_DEG, Advice.FARTHER, 0.0),
        (plates.distance_m > FARTHEST_M, Advice.NEARER, 0.0),
        (blur_px > BLUR_AT_MOST_PX, Advice.SET_ANGLE, angle_deg),
        (is_slow and off_deg > OFF_AT_MOST_DEG / 4, turn, off_deg),
        (is_slow, Advice.SLOWER_ONLY, 0.0),
        (True, Advice.GOOD, 0.0),
    )
    advice, amount_deg = next((advice, amount) for holds, advice, amount in table if holds)
    return Advised(advice=advice, basis=Basis.PLATES, amount_deg=amount_deg)


def _without_plates(picture: FromPicture) -> Advised:
    has_motion = picture.moving_shots >= FEWEST_MOVING
    is_black = picture.shots >= FEWEST_SHOTS and picture.median_level < BLACK_MEDIAN and not has_motion
    is_day = picture.phase is not Phase.NIGHT
    table = (
        (not is_day and not picture.has_lamp, Advice.NO_LAMP),
        (picture.glare_ratio > GLARE_RATIO and picture.moving_s > LOOKED_FOR_S, Advice.GLARE),
        (is_black and (is_day or picture.seen_s > EMPTY_NIGHT_S), Advice.TOO_DARK),
        (picture.shots >= FEWEST_SHOTS and picture.saturated_ratio > WHITE_RATIO, Advice.TOO_BRIGHT),
        ((picture.focus_px or 0.0) > 2.0 * focus.SOFT_PX, Advice.FOCUS),
    )
    for holds, advice in table:
        if holds:
            return Advised(advice=advice, basis=Basis.PICTURE)
    if not has_motion or picture.moving_s < LOOKED_FOR_S:
        return Advised(advice=Advice.WAIT, basis=Basis.NOTHING)
    right_deg = picture.motion_right_ratio * picture.wide_deg / 2.0
    up_deg = -picture.motion_low_ratio * picture.high_deg / 2.0
    if max(abs(picture.motion_right_ratio), abs(picture.motion_low_ratio)) < ASIDE_RATIO:
        right_deg, up_deg = 0.0, UP_RATIO * picture.high_deg
    return Advised(advice=_turn(right_deg, up_deg), basis=Basis.MOTION, amount_deg=max(abs(right_deg), abs(up_deg)))


def _turn(right_deg: float, up_deg: float) -> Advice:
    """Return the larger of two turns."""
    if abs(right_deg) >= abs(up_deg):
        return Advice.TURN_RIGHT if right_deg > 0 else Advice.TURN_LEFT
    return Advice.TURN_UP if up_deg > 0 else Advice.TURN_DOWN

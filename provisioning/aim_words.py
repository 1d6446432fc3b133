"""What `aim` says, in one place: a verdict of two or three words, what to do, and the numbers with their names."""

from dataclasses import dataclass

from firmware.exposure import PLATE_PX
from firmware.faults import DeviceFault, FaultCode
from provisioning import focus
from provisioning.aim_advice import (
    ANGLE_AT_MOST_DEG,
    BLUR_AT_MOST_PX,
    FARTHEST_M,
    FEWEST_VEHICLES,
    Advice,
    Basis,
)
from provisioning.aiming import FRAMES_AT_LEAST, Aim, WidthAt
from provisioning.signal_log import GOOD_DBM, USABLE_DBM, SignalSample
from provisioning.tongue import Tongue

BARS_DBM = (-118.0, USABLE_DBM, GOOD_DBM, -90.0)
"""From how strong a cell each bar counts: barely held, usable, good, and better than is needed."""


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict to be read from two metres away, and one sentence on what to do."""

    verdict: str
    sentence: str


_TURNS = {
    Advice.TURN_LEFT: ("LEFT", "left"),
    Advice.TURN_RIGHT: ("RIGHT", "right"),
    Advice.TURN_UP: ("UP", "up"),
    Advice.TURN_DOWN: ("DOWN", "down"),
}

_RESTS_ON = {
    Basis.PLATES: "the plates pass beside the middle of the picture",
    Basis.MOTION: "traffic moves on that side, and no plate is in view yet",
    Basis.PICTURE: "the picture shows it",
    Basis.NOTHING: "too little was seen",
}

_FIXED = {
    Advice.FARTHER: (
        "LOOK FARTHER",
        f"The lens looks at plates from more than {ANGLE_AT_MOST_DEG:.0f} degrees aside: fit a longer lens, or move "
        "the unit nearer to the lane.",
    ),
    Advice.NEARER: (
        "COME NEARER",
        f"Plates are large enough only beyond {FARTHEST_M:.0f} m, where the lamp is too weak: fit a shorter lens, or "
        "move the unit nearer.",
    ),
    Advice.FOCUS: (
        "FOCUS",
        "Turn the focus ring slowly until the focus number stops rising, then back to its best, and lock the ring.",
    ),
    Advice.TOO_DARK: (
        "TOO DARK",
        "Take off the lens cap, open the iris, clean the window, and at night check the lamp's cable; if nothing has "
        "driven past yet, wait for it.",
    ),
    Advice.TOO_BRIGHT: (
        "TOO BRIGHT",
        "Close the iris by a stop, and look whether the lamp shines on something white nearby.",
    ),
    Advice.NO_LAMP: (
        "NO LAMP",
        "It is dark and the unit has no lamp: connect it and name its pin as capture.lamp_pin.",
    ),
    Advice.GLARE: (
        "GLARE",
        "A light shines into the lens: turn away from it, hang the unit elsewhere, or shade the lens with its hood.",
    ),
    Advice.LANE_MASK: (
        "LANE MASK",
        "Plates pass outside the lane mask: set capture.lane to the corners below.",
    ),
}  # fmt: skip


def spoken(aim: Aim, signal: str, tongue: Tongue) -> tuple[Said, list[tuple[str, str]]]:
    """Return verdict, sentence and numbers in the tongue's language."""
    words = said(aim)
    pairs = [(tongue.said(name), tongue.said(value)) for name, value in numbers(aim, signal)]
    return Said(tongue.said(words.verdict), tongue.said(words.sentence)), pairs


def said(aim: Aim) -> Said:
    """Return the verdict and what to do next."""
    advice, amount_deg = aim.advised.advice, aim.advised.amount_deg
    if advice in _FIXED:
        return Said(*_FIXED[advice])
    if advice in _TURNS:
        verdict, side = _TURNS[advice]
        why = _RESTS_ON[aim.advised.basis]
        return Said(f"{verdict} {max(1.0, amount_deg):.0f} DEG", f"Turn the camera {side}: {why}.")
    measured = {
        Advice.GOOD: Said(
            f"GOOD FOR {aim.posted_mph:.0f} MPH", "Tighten the bracket, lock the focus ring, and look once more."
        ),
        Advice.SLOWER_ONLY: Said(
            f"ONLY {5 * int((aim.good_for_mph or 0.0) / 5)} MPH",
            f"Faster plates are in fewer than {FRAMES_AT_LEAST} pictures at {PLATE_PX:.0f} px: hang the unit nearer to "
            "the lane, or fit a longer lens.",
        ),
        Advice.SET_ANGLE: Said(
            f"SET ANGLE {amount_deg:.0f}",
            f"Plates blur by more than {BLUR_AT_MOST_PX:g} px: set capture.angle_deg to {amount_deg:.0f} in the site's "
            "file.",
        ),
    }
    return measured.get(advice) or _waiting(aim)


def _waiting(aim: Aim) -> Said:
    if aim.plates:
        return Said(
            "WAIT",
            f"Only {aim.vehicles} vehicles so far; {FEWEST_VEHICLES} with a clear way through the picture are needed.",
        )
    return Said("WAIT", "No plate yet: let traffic pass. If none is in the picture, turn the camera towards the lane.")


def numbers(aim: Aim, signal: str) -> list[tuple[str, str]]:
    """Return names and values, none longer than 33 characters together."""
    pose = aim.pose
    return [
        ("seen", f"{aim.vehicles} vehicles, {aim.plates} plates"),
        ("plate near", _width(aim.near)),
        ("plate mid", _width(aim.mid)),
        ("plate far", _width(aim.far)),
        ("angle", "-" if aim.angle_deg is None else f"{aim.angle_deg:.0f} deg (at most {ANGLE_AT_MOST_DEG:.0f})"),
        ("tilt down", "-" if pose is None else f"{pose.down_deg:.1f} deg (plan {aim.planned_pose.down_deg:.1f})"),
        ("turn", "-" if pose is None else f"{_side(pose.right_deg)} (plan {_side(aim.planned_pose.right_deg)})"),
        ("focus", _focus(aim)),
        ("blur", "-" if aim.exposure_blur_px is None else f"{aim.exposure_blur_px:.1f} px at {aim.posted_mph:.0f} mph"),
        ("shutter", f"{aim.exposure_us:.0f} us, gain {aim.gain:.1f}, {aim.phase}"),
        ("white/black", f"{aim.saturated_ratio:.1%}, {aim.black_ratio:.0%}"),
        ("glare", f"{aim.glare_ratio:.1%}"),
        ("cell", signal),
        ("contrast", "-" if aim.plate_contrast is None else f"{aim.plate_contrast:.0f} of 255"),
        ("shine", {None: "-", True: "yes", False: "no"}[aim.retro_reflects]),
        ("in mask", "-" if aim.in_lane_ratio is None else f"{aim.in_lane_ratio:.0%}"),
    ]


def signal_value(sample: SignalSample | None, fault: DeviceFault | None) -> str:
    """Return the cell's signal in bars; `sample` is the newest that the modem has told, `fault` why it tells none."""
    if fault is not None:
        return {FaultCode.MODEM_ABSENT: "no modem", FaultCode.MODEM_SILENT: "no answer"}.get(fault.code, "modem fault")
    if sample is None:
        return "-"
    if not sample.is_registered:
        return "not registered"
    if sample.rsrp_dbm is None:
        return f"{sample.technology}, level not told"
    bars = sum(sample.rsrp_dbm >= least_dbm for least_dbm in BARS_DBM)
    return f"{sample.technology} {sample.rsrp_dbm:.0f} dBm {bars}/{len(BARS_DBM)} bars"


def lane_line(aim: Aim) -> str:
    """Return the lane mask that fits the traffic, as the configuration has it; empty while there is none."""
    if not aim.lane_found:
        return ""
    corners = ", ".join(f"[{x:g}, {y:g}]" for x, y in aim.lane_found)
    return f'"lane": [{corners}]'


def _width(at: WidthAt) -> str:
    measured = "-" if at.measured_px is None else f"{at.measured_px:.0f} px"
    return f"{measured} (geometry {'-' if at.geometry_px is None else f'{at.geometry_px:.0f}'})"


def _side(right_deg: float) -> str:
    return f"{abs(right_deg):.1f} R" if right_deg > 0 else f"{abs(right_deg):.1f} L"


def _focus(aim: Aim) -> str:
    if aim.focus_px is None:
        return "-"
    best = focus.score_ratio(aim.best_focus_px or aim.focus_px)
    return f"{100 * focus.score_ratio(aim.focus_px):.0f} (best {100 * best:.0f})"

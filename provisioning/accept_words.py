"""What `accept` and `verify` say, in one place: refusals, progress, and the words of the page. Whole sentences."""

from typing import Final

from cloud.handover import Step
from provisioning.handover_sources import HOURS_AT_MOST, Flaw, Shortcoming
from provisioning.round_trip import RoundTrip

NOT_REAR_ONLY: Final = (
    "it is not confirmed that the camera sees the rears of vehicles only; look at `kestrel-provision aim`: if it shows "
    "fronts or faces, turn the unit, else say --rear-plates-only yes. Rear plates and no faces were promised, "
    "and New Hampshire (RSA 261:75-b) forbids to picture who sits in a vehicle"
)

_RUN: Final = {
    Step.SURVEY: "run `kestrel-provision survey --unit UNIT`",
    Step.CHECK: "run `kestrel-provision check UNIT`",
    Step.AIM: "run `kestrel-provision aim --config UNIT/config.json`",
}

_FLAWS: Final = {
    (Step.SURVEY, Flaw.MISSING): "The site was not surveyed",
    (Step.CHECK, Flaw.MISSING): "The unit was not checked",
    (Step.AIM, Flaw.MISSING): "The camera was not aimed",
    (Step.SURVEY, Flaw.UNREADABLE): "The file of the survey cannot be read",
    (Step.CHECK, Flaw.UNREADABLE): "The file of the check cannot be read",
    (Step.AIM, Flaw.UNREADABLE): "The file of the aim cannot be read",
    (Step.SURVEY, Flaw.FROM_THE_FUTURE): "The survey is dated after now, so that a clock is or was wrong",
    (Step.CHECK, Flaw.FROM_THE_FUTURE): "The check is dated after now, so that a clock is or was wrong",
    (Step.AIM, Flaw.FROM_THE_FUTURE): "The aim is dated after now, so that a clock is or was wrong",
    (Step.CHECK, Flaw.OTHER_UNIT): "The check is of another unit",
    (Step.SURVEY, Flaw.OTHER_PLACE): "The survey is of another place than the unit's configuration",
}

SEALING: Final = "The record is signed by the unit."
LOOKING: Final = "Looking through the unit's camera."
CONFIRMED: Final = "The receiver has the hand-over record and has confirmed it: the unit is handed over."


def shortcoming(one: Shortcoming) -> str:
    """Return what is amiss with the answer of a step, as the record and its page have it."""
    if one.flaw is Flaw.OLD:
        return _old(one.step, one.hours)
    if one.flaw is Flaw.FAILED:
        return _failed(one.step, one.parts)
    return _FLAWS[one.step, one.flaw]


def refused(shortcomings: tuple[Shortcoming, ...], *, can_be_accepted: bool) -> str:
    """Return why the unit is not handed over: all that is amiss, and what to run."""
    said = "; ".join(f"{shortcoming(one)}: {_RUN[one.step]}" for one in shortcomings)
    if not can_be_accepted:
        return f"the unit is not handed over. {said}"
    return f"the unit is not handed over. {said}. Where that cannot be mended, say why: --despite REASON"


def outcome(trip: RoundTrip) -> str:
    """Return what became of the record."""
    if trip.confirmed_s is not None:
        return CONFIRMED
    return f"The unit is handed over and its record is kept, but no receiver has confirmed it: {trip.hint}."


def _old(step: Step, hours: float) -> str:
    age = f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
    at_most = HOURS_AT_MOST[step]
    limit = f"{at_most:.0f} hours" if at_most < 72 else f"{at_most / 24:.0f} days"
    match step:
        case Step.SURVEY:
            return f"The survey is {age} old, {limit} at most"
        case Step.CHECK:
            return f"The check is {age} old, {limit} at most"
        case Step.AIM:
            return f"The aim is {age} old, {limit} at most"


def _failed(step: Step, parts: tuple[str, ...]) -> str:
    names = ", ".join(parts)
    match step:
        case Step.SURVEY:
            return f"The survey found flaws in the line of sight ({names})"
        case Step.CHECK:
            return f"The check found parts that fail ({names})"
        case Step.AIM:
            return f"The aim was not good when it ended ({names})"

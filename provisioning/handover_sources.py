"""What the hand-over rests on: the answers of survey, check and aim in the unit's folder, and what is amiss with them.

Pure but for reading the files. An answer counts if it is there, was good, is new enough, and is this unit's and this
place's. What is missing or bad may be accepted with a reason; another unit's or another place's never.
"""

import datetime as dt
import enum
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cloud.handover import Checked, Number, Source, Step
from cloud.registry import UTC_FORMAT, moment
from firmware import strict_json
from firmware.config import DeviceConfig, SiteConfig
from firmware.faults import DocumentRejected
from provisioning import handover_folder
from provisioning.aim_advice import Advice
from provisioning.places import nearest_km, place_of

HOURS_AT_MOST: Final = {Step.SURVEY: 24.0 * 366, Step.CHECK: 12.0, Step.AIM: 48.0}
"""A site stays as it is for a season or two; an aim holds from one day's work to the next; a check is of today."""

FUTURE_HOURS: Final = 1.0
SAME_PLACE_KM: Final = 0.5

_Figure = float | None


class Flaw(enum.StrEnum):
    """What is amiss with an answer."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    OLD = "old"
    FROM_THE_FUTURE = "from-the-future"
    FAILED = "failed"
    OTHER_UNIT = "other-unit"
    OTHER_PLACE = "other-place"


NEVER_ACCEPTED: Final = frozenset({Flaw.OTHER_UNIT, Flaw.OTHER_PLACE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcoming:
    """Something amiss with the answer of a step; `parts` are those that failed in a check, `hours` how old it is."""

    step: Step
    flaw: Flaw
    parts: tuple[str, ...] = ()
    hours: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the answers say, as the record has it, and what is amiss with them."""

    sources: tuple[Source, ...]
    checks: tuple[Checked, ...]
    aim: tuple[Number, ...]
    survey: tuple[Number, ...]
    shortcomings: tuple[Shortcoming, ...]


class _Part(msgspec.Struct, frozen=True):
    part: str
    state: str
    found: str
    cause: str = ""
    next_step: str = ""
    measured: dict[str, float | int | bool | str | None] = {}


class _Check(msgspec.Struct, frozen=True):
    device_id: str
    made_utc: str
    parts: Annotated[list[_Part], Meta(min_length=1)]


class _Advised(msgspec.Struct, frozen=True):
    advice: Advice


class _Width(msgspec.Struct, frozen=True):
    measured_px: _Figure


class _Pose(msgspec.Struct, frozen=True):
    right_deg: float
    down_deg: float


class _Aim(msgspec.Struct, frozen=True):
    advised: _Advised
    posted_mph: float
    good_for_mph: _Figure
    near: _Width
    mid: _Width
    far: _Width
    pose: _Pose | None
    angle_deg: _Figure
    exposure_blur_px: _Figure
    exposure_us: float
    gain: float
    phase: str
    glare_ratio: float
    in_lane_ratio: _Figure
    vehicles: int
    plates: int


class _Sight(msgspec.Struct, frozen=True):
    distance_m: float
    angle_deg: float
    plate_px: float
    flaws: list[str]


class _Power(msgspec.Struct, frozen=True):
    panel_w: float
    battery_wh: float
    autonomy_days: float


class _Signal(msgspec.Struct, frozen=True):
    median_dbm: _Figure
    worst_dbm: _Figure
    lost_ratio: float
    technology: str


class _Survey(msgspec.Struct, frozen=True):
    site: SiteConfig
    sight: _Sight
    power: _Power
    signal: _Signal | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """One step's file, as far as it could be read."""

    step: Step
    content: _Survey | _Check | _Aim | None
    made: dt.datetime
    sha256: str


_KINDS: Final[dict[Step, type[_Survey] | type[_Check] | type[_Aim]]] = {
    Step.SURVEY: _Survey,
    Step.CHECK: _Check,
    Step.AIM: _Aim,
}


def gather(unit_folder: Path, settings: DeviceConfig, now: dt.datetime) -> Gathered:
    """Return what the steps have left in the unit's folder, judged at `now`. Raises OSError if the disk refuses."""
    answers: dict[Step, _Answer] = {}
    shortcomings: list[Shortcoming] = []
    for step in Step:
        answer = _read(handover_folder.answer_path(unit_folder, step), step)
        if answer is None:
            shortcomings.append(Shortcoming(step=step, flaw=Flaw.MISSING))
            continue
        found = _judged(answer, settings, now)
        shortcomings += found
        if not any(one.flaw in {Flaw.UNREADABLE, *NEVER_ACCEPTED} for one in found):
            answers[step] = answer
    check, aim, survey = (
        answers[step].content if step in answers else None for step in (Step.CHECK, Step.AIM, Step.SURVEY)
    )
    failed = {one.step for one in shortcomings}
    return Gathered(
        sources=tuple(
            Source(
                name=step,
                made_utc=answer.made.strftime(UTC_FORMAT),
                sha256=answer.sha256,
                passed=step not in failed,
            )
            for step, answer in answers.items()
        ),
        checks=tuple(_checked(part) for part in check.parts) if isinstance(check, _Check) else (),
        aim=_aim_numbers(aim) if isinstance(aim, _Aim) else (),
        survey=_survey_numbers(survey) if isinstance(survey, _Survey) else (),
        shortcomings=tuple(shortcomings),
    )


def _read(path: Path, step: Step) -> _Answer | None:
    """Return the answer at `path`, None if there is none; its content is None if it is not what the step writes."""
    try:
        data = path.read_bytes()
        made = dt.datetime.fromtimestamp(path.stat().st_mtime, tz=dt.UTC)
    except FileNotFoundError:
        return None
    content: _Survey | _Check | _Aim | None = None
    try:
        content = strict_json.decoded(data, _KINDS[step])
        if isinstance(content, _Check):
            made = moment(content.made_utc)
            _ = [_checked(part) for part in content.parts]
    except (DocumentRejected, msgspec.ValidationError, ValueError):
        content = None
    return _Answer(step, content, made, hashlib.sha256(data).hexdigest())


def _judged(answer: _Answer, settings: DeviceConfig, now: dt.datetime) -> list[Shortcoming]:
    """Return what is amiss with an answer that is there."""
    step, content, found = answer.step, answer.content, []
    hours = (now - answer.made).total_seconds() / 3600
    if hours > HOURS_AT_MOST[step]:
        found.append(Shortcoming(step=step, flaw=Flaw.OLD, hours=hours))
    if hours < -FUTURE_HOURS:
        found.append(Shortcoming(step=step, flaw=Flaw.FROM_THE_FUTURE, hours=hours))
    match content:
        case None:
            return [Shortcoming(step=step, flaw=Flaw.UNREADABLE)]
        case _Check(device_id=device_id) if device_id != settings.device_id:
            found.append(Shortcoming(step=step, flaw=Flaw.OTHER_UNIT))
        case _Check(parts=parts) if failed := tuple(one.part for one in parts if one.state == "fail"):
            found.append(Shortcoming(step=step, flaw=Flaw.FAILED, parts=failed))
        case _Aim(advised=advised) if advised.advice is not Advice.GOOD:
            found.append(Shortcoming(step=step, flaw=Flaw.FAILED, parts=(advised.advice.value,)))
        case _Survey(site=site) if nearest_km(place_of(site), [place_of(settings.site)]) > SAME_PLACE_KM:
            found.append(Shortcoming(step=step, flaw=Flaw.OTHER_PLACE))
        case _Survey(sight=sight) if sight.flaws:
            found.append(Shortcoming(step=step, flaw=Flaw.FAILED, parts=tuple(sight.flaws)))
    return found


def _checked(part: _Part) -> Checked:
    """Return a part's report as the record has it. Raises ValidationError if it does not fit."""
    return msgspec.convert(msgspec.to_builtins(part), Checked)


def _aim_numbers(aim: _Aim) -> tuple[Number, ...]:
    return _numbers(
        ("Good for traffic of", _with_unit(aim.good_for_mph, "mph")),
        ("Posted speed", _with_unit(aim.posted_mph, "mph")),
        ("Plate width near", _with_unit(aim.near.measured_px, "px")),
        ("Plate width middle", _with_unit(aim.mid.measured_px, "px")),
        ("Plate width far", _with_unit(aim.far.measured_px, "px")),
        ("Angle to the traffic", _with_unit(aim.angle_deg, "deg")),
        ("Tilt down", _with_unit(None if aim.pose is None else aim.pose.down_deg, "deg", 1)),
        ("Turn to the right", _with_unit(None if aim.pose is None else aim.pose.right_deg, "deg", 1)),
        ("Motion blur", _with_unit(aim.exposure_blur_px, "px", 1)),
        ("Shutter", _with_unit(aim.exposure_us, "us")),
        ("Gain", _with_unit(aim.gain, "", 1)),
        ("Light", aim.phase),
        ("Glare", _with_unit(100 * aim.glare_ratio, "%", 1)),
        ("Plates within the lane mask", _with_unit(aim.in_lane_ratio and 100 * aim.in_lane_ratio, "%")),
        ("Vehicles seen", str(aim.vehicles)),
        ("Plates seen", str(aim.plates)),
    )


def _survey_numbers(survey: _Survey) -> tuple[Number, ...]:
    sight, power, signal = survey.sight, survey.power, survey.signal
    return _numbers(
        ("Lens to plate", _with_unit(sight.distance_m, "m", 1)),
        ("Planned angle", _with_unit(sight.angle_deg, "deg")),
        ("Planned plate width", _with_unit(sight.plate_px, "px")),
        ("Panel at least", _with_unit(power.panel_w, "W")),
        ("Battery at least", _with_unit(power.battery_wh, "Wh")),
        ("Days without sun", _with_unit(power.autonomy_days, "", 1)),
        ("Signal, median", "" if signal is None else _with_unit(signal.median_dbm, "dBm")),
        ("Signal, worst tenth", "" if signal is None else _with_unit(signal.worst_dbm, "dBm")),
        ("Technology", "" if signal is None else signal.technology[:40]),
    )


def _numbers(*pairs: tuple[str, str]) -> tuple[Number, ...]:
    """Return those that were measured."""
    return tuple(Number(name=name, value=value) for name, value in pairs if value)


def _with_unit(value: _Figure, unit: str, digits: int = 0) -> str:
    return "" if value is None else f"{value:.{digits}f} {unit}".rstrip()

"""What happens to a link in each scenario of `python -m hw_sim link`, as timelines. Pure and seeded."""

import dataclasses
import enum
import math
from dataclasses import dataclass
from random import Random
from typing import Final

from firmware.records import MessageClass
from hw_sim.cell import Conditions, Coverage

PEAK_PER_MINUTE: Final = 50.0
"""Reads while a peak lasts. A day of 2,400 reads is mostly gaps; they are left out, the peak's own rate is kept."""

ALERT_RATIO: Final = 0.02
OUTAGE_S: Final = 72 * 3600.0
PEAK_SHARE: Final = 0.25  # of a day's reads, in its peaks
PEAK_READS: Final = 100
DRAIN_ALERT_EVERY_S: Final = 30.0
THROTTLED_BIT_S: Final = 64_000.0  # what carriers leave of a plan that is used up

FLAKY_GOOD_S: Final = (5.0, 40.0)
FLAKY_BAD_S: Final = (2.0, 15.0)


class Scenario(enum.StrEnum):
    """What the link suffers."""

    OUTAGE_72H = "outage72h"
    FLAKY = "flaky"
    BLACK_HOLE = "blackhole"
    THROTTLE = "throttle"
    NAT_RESET = "natreset"


DEFAULT_S: Final = {
    Scenario.OUTAGE_72H: 240.0,
    Scenario.FLAKY: 600.0,
    Scenario.BLACK_HOLE: 240.0,
    Scenario.THROTTLE: 300.0,
    Scenario.NAT_RESET: 600.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that the carrier does at a moment: other conditions, or a NAT that forgets."""

    at_s: float
    conditions: Conditions | None = None
    nat_reset: str | None = None  # "silent" or "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A read that the unit captures at a moment."""

    at_s: float
    message_class: MessageClass = MessageClass.READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of a run. It ends when the outbox is empty: after its last capture, or at once if it `is_drain`."""

    acts: tuple[Act, ...]
    captures: tuple[Capture, ...]
    healed_s: float = 0.0  # when its last fault is over
    is_drain: bool = False

    def length_s(self) -> float:
        """Return when all has happened of which the end is known beforehand; the rest is waiting."""
        moments = [act.at_s for act in self.acts] + [one.at_s for one in self.captures if not self.is_drain]
        return max(moments, default=0.0)


def backlog(reads: int, seed: int) -> list[tuple[float, MessageClass]]:
    """Return, for the reads of an outage, how long before its end each was captured and its class, oldest first.

    A quarter comes in peaks of PEAK_PER_MINUTE, at hours by chance; the rest is spread evenly.
    """
    random = Random(seed)
    peaks = round(reads * PEAK_SHARE)
    ages: list[float] = []
    while len(ages) < peaks:
        begins_s = random.uniform(PEAK_READS * 60.0 / PEAK_PER_MINUTE, OUTAGE_S)
        count = min(PEAK_READS, peaks - len(ages))
        ages += [begins_s - place * 60.0 / PEAK_PER_MINUTE for place in range(count)]
    ages += [random.uniform(0.0, OUTAGE_S) for _ in range(reads - len(ages))]
    return [(age_s, _class_by_chance(random)) for age_s in sorted(ages, reverse=True)]


def phases(scenario: Scenario, good: Conditions, *, seconds: float, seed: int) -> tuple[Phase, ...]:
    """Return what happens once the unit has a bearer. The last phase is the one whose latency is told."""
    random = Random(seed)
    captures = _peak(seconds, random)
    if scenario is Scenario.OUTAGE_72H:
        drain = Phase(
            acts=(Act(at_s=0.0, conditions=good),),
            captures=tuple(
                Capture(at_s=place * DRAIN_ALERT_EVERY_S, message_class=MessageClass.ALERT) for place in range(1, 1000)
            ),
            is_drain=True,
        )
        return (drain, Phase(acts=(), captures=captures))
    acts = (Act(at_s=0.0, conditions=good), *_troubles(scenario, good, seconds, random))
    return (Phase(acts=acts, captures=captures, healed_s=acts[-1].at_s),)


def _troubles(scenario: Scenario, good: Conditions, seconds: float, random: Random) -> list[Act]:
    begins_s, ends_s = 0.15 * seconds, 0.7 * seconds
    match scenario:
        case Scenario.BLACK_HOLE:
            return _spell(begins_s, ends_s, good, dataclasses.replace(good, coverage=Coverage.BLACK_HOLE))
        case Scenario.THROTTLE:
            return _spell(begins_s, ends_s, good, dataclasses.replace(good, rate_bit_s=THROTTLED_BIT_S))
        case Scenario.NAT_RESET:
            kinds = ("silent", "reset")
            return [Act(at_s=seconds * (place + 0.5) / 6, nat_reset=kinds[place % len(kinds)]) for place in range(6)]
        case _:
            return _flaky(good, seconds, random)


def _flaky(good: Conditions, seconds: float, random: Random) -> list[Act]:
    """Return good spells and bad ones by turns: no bearer, silence, a trickle, a NAT that forgets."""
    acts: list[Act] = []
    at_s = random.uniform(*FLAKY_GOOD_S)
    while at_s < seconds:
        until_s = at_s + random.uniform(*FLAKY_BAD_S)
        match random.randrange(5):
            case 0 | 1:
                acts += _spell(at_s, until_s, good, dataclasses.replace(good, coverage=Coverage.NONE))
            case 2:
                acts += _spell(at_s, until_s, good, dataclasses.replace(good, coverage=Coverage.SILENT))
            case 3:
                acts += _spell(at_s, until_s, good, dataclasses.replace(good, rate_bit_s=THROTTLED_BIT_S))
            case _:
                acts.append(Act(at_s=at_s, nat_reset=random.choice(("silent", "reset"))))
        at_s = until_s + random.uniform(*FLAKY_GOOD_S)
    return acts


def _spell(from_s: float, until_s: float, good: Conditions, bad: Conditions) -> list[Act]:
    return [Act(at_s=from_s, conditions=bad), Act(at_s=until_s, conditions=good)]


def _peak(seconds: float, random: Random) -> tuple[Capture, ...]:
    """Return the reads of a peak: PEAK_PER_MINUTE of them, at moments by chance as vehicles come (Poisson)."""
    captures: list[Capture] = []
    at_s = 0.0
    while True:
        at_s += -math.log(1.0 - random.random()) * 60.0 / PEAK_PER_MINUTE
        if at_s >= seconds:
            return tuple(captures)
        captures.append(Capture(at_s=at_s, message_class=_class_by_chance(random)))


def _class_by_chance(random: Random) -> MessageClass:
    return MessageClass.ALERT if random.random() < ALERT_RATIO else MessageClass.READ

"""The simulated trigger sensors and the lamp: PIR, beam and radar drive mock pins of gpiozero, and the lamp obeys one.

Owns what happens outside the pin and the parts' own rules; the firmware's adapter has the other side of the same pin.
Nothing here reads a clock: whoever owns the time announces subjects and calls `deliver`.
"""

import enum
import heapq
import math
import threading
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from firmware.stage import NEVER_S

STALE_S = 1.0
"""A pulse that was over so long ago, before anybody let time pass, is history: it is not played back on the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that passes: it reaches the sensors' line at `at_s` and has left it at `until_s`."""

    at_s: float
    until_s: float


class DrivenPin(Protocol):
    """The world's side of a pin, as gpiozero's MockPin has it."""

    def drive_high(self) -> None:
        """Set the line high."""
        ...

    def drive_low(self) -> None:
        """Set the line low."""
        ...


class Sensor(Protocol):
    """What the world needs of a sensor."""

    @property
    def next_change_s(self) -> float:
        """When `deliver` has something to do; NEVER_S if nothing is due."""
        ...

    def notice(self, subject: Subject) -> None:
        """Let `subject` pass. It may be announced a moment late, never twice."""
        ...

    def deliver(self, now_s: float) -> None:
        """Drive the line as far as `now_s`."""
        ...


class Stuck(enum.StrEnum):
    """How a sensor can fail for good."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class PirRules:
    """How one PIR behaves; the times of an HC-SR501, whose trimmers set hold and dead time."""

    lag_s: tuple[float, float] = (0.1, 1.0)  # shortest and longest; FIELD: 0.1 to 1 s
    hold_s: float = 2.0
    dead_s: float = 2.5
    missed_ratio: float = 0.0  # of bodies that pass: a hot road, rain, a body that comes head on
    false_per_hour: float = 0.0  # sun on a bush, an insect on the lens
    stuck: Stuck | None = None

    def __post_init__(self) -> None:
        """Refuse times and shares that cannot be. Raises ValueError."""
        shortest_s, longest_s = self.lag_s
        if not 0.0 <= shortest_s <= longest_s or min(self.hold_s, self.dead_s, self.false_per_hour) < 0.0:
            raise ValueError("a PIR's times and rates are not below zero")
        if not 0.0 <= self.missed_ratio <= 1.0:
            raise ValueError("a share lies between 0 and 1")


class FalseAlarms:
    """Moments at which a sensor answers to nothing: seeded, at random, at an average rate (a Poisson process)."""

    def __init__(self, per_hour: float, generator: np.random.Generator) -> None:
        self._mean_s = 3600.0 / per_hour if per_hour > 0.0 else math.inf
        self._generator = generator
        self.next_s = NEVER_S

    def begin(self, at_s: float) -> None:
        """Draw the first moment after `at_s`, and the next one whenever one has come."""
        self.next_s = at_s + float(self._generator.exponential(self._mean_s)) if self._mean_s < math.inf else NEVER_S


class SimPir:
    """A passive infrared sensor of the HC-SR501 class, set to single trigger. World face: notice, power_on, deliver.

    Its rules: after power comes on it is blind while it warms up, but for one glitch; it answers with a lag; its
    output stays high for the hold time whatever happens; after the fall it is blind again for the dead time.
    """

    WARM_UP_S = 30.0
    GLITCH_AFTER_S = 1.0
    GLITCH_S = 0.3

    def __init__(self, pin: DrivenPin, *, seed: int, powered_at_s: float, rules: PirRules | None = None) -> None:
        """Power comes on at `powered_at_s`; a time long past makes a sensor that is warm and quiet."""
        self.rules = rules or PirRules()
        self.ignored = 0
        self._pin = pin
        self._generator = np.random.default_rng(seed)
        self._false = FalseAlarms(self.rules.false_per_hour, np.random.default_rng([seed, 1]))
        self._lock = threading.Lock()
        self._answers_s: list[float] = []
        self._falls_at_s = NEVER_S
        self._blind_until_s = 0.0
        self._warm_at_s = 0.0
        self.power_on(powered_at_s)

    @property
    def next_change_s(self) -> float:
        """When the line may change next."""
        with self._lock:
            return min(self._falls_at_s, self._next_answer_s())

    def power_on(self, at_s: float) -> None:
        """Let the power come on (again): the sensor forgets everything and warms up."""
        with self._lock:
            self._answers_s = [] if self.rules.stuck else [at_s + self.GLITCH_AFTER_S]
            self._falls_at_s = NEVER_S
            self._blind_until_s = at_s
            self._warm_at_s = at_s + self.WARM_UP_S
            if not self.rules.stuck:
                self._false.begin(self._warm_at_s)
        (self._pin.drive_high if self.rules.stuck is Stuck.HIGH else self._pin.drive_low)()

    def notice(self, subject: Subject) -> None:
        """Let a warm body pass; the sensor answers after its lag, unless it misses it or is blind by then."""
        lag_s = float(self._generator.uniform(*self.rules.lag_s))
        is_missed = float(self._generator.random()) < self.rules.missed_ratio
        with self._lock:
            if is_missed or self.rules.stuck or subject.at_s < self._warm_at_s:
                self.ignored += 1
                return
            heapq.heappush(self._answers_s, subject.at_s + lag_s)

    def deliver(self, now_s: float) -> None:
        """Drive the line as far as `now_s`, change by change."""
        while self.next_change_s <= now_s:
            with self._lock:
                if self._falls_at_s <= self._next_answer_s():
                    self._blind_until_s = self._falls_at_s + self.rules.dead_s
                    self._falls_at_s = NEVER_S
                    drive = self._pin.drive_low
                else:
                    answer_s = self._take_answer()
                    if self._falls_at_s < NEVER_S or answer_s < self._blind_until_s:
                        self.ignored += 1
                        continue
                    is_glitch = answer_s < self._warm_at_s
                    self._falls_at_s = answer_s + (self.GLITCH_S if is_glitch else self.rules.hold_s)
                    if self._falls_at_s < now_s - STALE_S:
                        continue
                    drive = self._pin.drive_high
            drive()  # outside the lock: the listener's code runs in here

    def _next_answer_s(self) -> float:
        return min(self._false.next_s, self._answers_s[0] if self._answers_s else NEVER_S)

    def _take_answer(self) -> float:
        answer_s = self._next_answer_s()
        if answer_s == self._false.next_s:
            self._false.begin(answer_s)
            return answer_s
        return heapq.heappop(self._answers_s)


@dataclass(slots=True)
class _Presence:
    """How many things are before a sensor, as a list of moments at which the count changes."""

    changes: list[tuple[float, int]] = field(default_factory=list)
    count: int = 0

    @property
    def next_s(self) -> float:
        return self.changes[0][0] if self.changes else NEVER_S

    def add(self, from_s: float, to_s: float) -> None:
        heapq.heappush(self.changes, (from_s, 1))
        heapq.heappush(self.changes, (to_s, -1))

    def step(self) -> None:
        self.count += heapq.heappop(self.changes)[1]


class SimIrBeam:
    """A break-beam receiver across the road, open collector. World face: notice, power_on, deliver.

    Its rules: the line is released, so that the pull-up holds it high, while light arrives, and pulled low at once and
    for as long as something stands in the beam. It is also low for a moment after power comes on, until it has locked
    to the sender; without power it pulls nothing.
    """

    LOCK_S = 0.05

    def __init__(self, pin: DrivenPin, *, powered_at_s: float) -> None:
        """Power comes on at `powered_at_s`."""
        self._pin = pin
        self._lock = threading.Lock()
        self.power_on(powered_at_s)

    @property
    def next_change_s(self) -> float:
        """When the line may change next."""
        with self._lock:
            return self._presence.next_s

    def power_on(self, at_s: float) -> None:
        """Let the power come on (again): the receiver forgets everything and locks to its sender."""
        with self._lock:
            self._powered_at_s = at_s
            self._presence = _Presence()
            self._presence.add(at_s, at_s + self.LOCK_S)
        self._pin.drive_high()

    def notice(self, subject: Subject) -> None:
        """Let something pass through the beam."""
        begins_s = max(subject.at_s, self._powered_at_s)
        if begins_s < subject.until_s:
            with self._lock:
                self._presence.add(begins_s, subject.until_s)

    def deliver(self, now_s: float) -> None:
        """Drive the line as far as `now_s`, change by change."""
        while self.next_change_s <= now_s:
            with self._lock:
                self._presence.step()
                if self._presence.next_s < now_s - STALE_S:
                    continue
                drive = self._pin.drive_low if self._presence.count else self._pin.drive_high
            drive()  # outside the lock: the listener's code runs in here


@dataclass(frozen=True, slots=True, kw_only=True)
class RadarRules:
    """How one radar sensor behaves; the report interval of a 24 GHz Doppler module with a detection output."""

    report_s: float = 0.1
    hold_s: float = 0.3
    missed_ratio: float = 0.0  # of vehicles: a small rear end, a wet antenna
    false_per_hour: float = 0.0  # rain, leaves, a fan


class SimRadar:
    """A Doppler radar's detection output, high while something moves within its range. World face: notice, deliver.

    Its rules: it knows of a vehicle only at its next report, and the output falls with the first report that is a hold
    time after the vehicle has gone. Two vehicles close together are one pulse.
    """

    def __init__(self, pin: DrivenPin, *, seed: int, powered_at_s: float, rules: RadarRules | None = None) -> None:
        """Report every `rules.report_s` from `powered_at_s` on."""
        self.rules = rules or RadarRules()
        self._pin = pin
        self._powered_at_s = powered_at_s
        self._generator = np.random.default_rng(seed)
        self._false = FalseAlarms(self.rules.false_per_hour, np.random.default_rng([seed, 1]))
        self._false.begin(powered_at_s)
        self._lock = threading.Lock()
        self._presence = _Presence()
        pin.drive_low()

    @property
    def next_change_s(self) -> float:
        """When the line may change next."""
        with self._lock:
            return min(self._presence.next_s, self._false.next_s)

    def notice(self, subject: Subject) -> None:
        """Let a vehicle drive through the beam, unless it is missed."""
        if float(self._generator.random()) >= self.rules.missed_ratio and subject.until_s > self._powered_at_s:
            with self._lock:
                self._add(max(subject.at_s, self._powered_at_s), subject.until_s)

    def deliver(self, now_s: float) -> None:
        """Drive the line as far as `now_s`, change by change."""
        while self.next_change_s <= now_s:
            with self._lock:
                if self._false.next_s <= self._presence.next_s:
                    false_s = self._false.next_s
                    self._false.begin(false_s)
                    self._add(false_s, false_s)
                    continue
                before = self._presence.count
                self._presence.step()
                is_stale = self._presence.next_s < now_s - STALE_S
                if is_stale or (before > 0) == (self._presence.count > 0):
                    continue
                drive = self._pin.drive_high if self._presence.count else self._pin.drive_low
            drive()  # outside the lock: the listener's code runs in here

    def _add(self, from_s: float, to_s: float) -> None:
        self._presence.add(self._report_after(from_s), self._report_after(to_s + self.rules.hold_s))

    def _report_after(self, at_s: float) -> float:
        reports = math.ceil((at_s - self._powered_at_s) / self.rules.report_s - 1e-9)
        return self._powered_at_s + reports * self.rules.report_s


class LampPin(Protocol):
    """The lamp driver's side of a line, as gpiozero's MockPWMPin has it."""

    @property
    def function(self) -> str:
        """`output` while somebody drives the line."""
        ...

    @property
    def state(self) -> float:
        """The duty cycle, 0 to 1."""
        ...


class SimLamp:
    """The infrared lamp and its driver: armed by the line's duty cycle, flashing with the sensor's strobe.

    Its rules: light is the duty cycle, and a line that nobody drives is pulled low. It knows nothing of leases: if the
    firmware does not let the line fall, the lamp burns.
    """

    def __init__(self, pin: LampPin) -> None:
        self._pin = pin

    @property
    def ratio(self) -> float:
        """The share of full power with which it flashes at this moment."""
        return float(self._pin.state) if self._pin.function == "output" else 0.0

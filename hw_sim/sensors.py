"""The simulated trigger sensors: a PIR and an infrared light beam that drive the pins of gpiozero's mock.

Owns what happens outside the pin and the parts' own rules; the firmware's adapter listens on the other side of the same
pin. Nothing here reads a clock: whoever owns the time announces subjects and calls `deliver`.
"""

import heapq
import threading
from dataclasses import dataclass
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


class SimPir:
    """A passive infrared sensor of the HC-SR501 class, set to single trigger. World face: notice, power_on, deliver.

    Its rules: after power comes on it is blind while it warms up, but for one glitch; it answers with a lag; its
    output stays high for the hold time whatever happens; after the fall it is blind again for the dead time.
    """

    WARM_UP_S = 30.0
    GLITCH_AFTER_S = 1.0
    GLITCH_S = 0.3
    LAG_SHORTEST_S = 0.1
    LAG_LONGEST_S = 1.0
    HOLD_S = 2.0
    DEAD_S = 2.5

    def __init__(self, pin: DrivenPin, *, seed: int, powered_at_s: float) -> None:
        """Power comes on at `powered_at_s`; a time long past makes a sensor that is warm and quiet."""
        self._pin = pin
        self._generator = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._answers_s: list[float] = []
        self._falls_at_s = NEVER_S
        self._blind_until_s = 0.0
        self._warm_at_s = 0.0
        self.ignored = 0
        self.power_on(powered_at_s)

    @property
    def next_change_s(self) -> float:
        """When the line may change next."""
        with self._lock:
            return min(self._falls_at_s, self._answers_s[0] if self._answers_s else NEVER_S)

    def power_on(self, at_s: float) -> None:
        """Let the power come on (again): the sensor forgets everything and warms up."""
        with self._lock:
            self._answers_s = [at_s + self.GLITCH_AFTER_S]
            self._falls_at_s = NEVER_S
            self._blind_until_s = at_s
            self._warm_at_s = at_s + self.WARM_UP_S
        self._pin.drive_low()

    def notice(self, subject: Subject) -> None:
        """Let a warm body pass; the sensor answers after its lag, if it is not blind by then."""
        lag_s = float(self._generator.uniform(self.LAG_SHORTEST_S, self.LAG_LONGEST_S))
        with self._lock:
            if subject.at_s < self._warm_at_s:
                self.ignored += 1
                return
            heapq.heappush(self._answers_s, subject.at_s + lag_s)

    def deliver(self, now_s: float) -> None:
        """Drive the line as far as `now_s`, change by change."""
        while self.next_change_s <= now_s:
            with self._lock:
                if self._falls_at_s <= (self._answers_s[0] if self._answers_s else NEVER_S):
                    self._blind_until_s = self._falls_at_s + self.DEAD_S
                    self._falls_at_s = NEVER_S
                    drive = self._pin.drive_low
                else:
                    answer_s = heapq.heappop(self._answers_s)
                    if self._falls_at_s < NEVER_S or answer_s < self._blind_until_s:
                        self.ignored += 1
                        continue
                    is_glitch = answer_s < self._warm_at_s
                    self._falls_at_s = answer_s + (self.GLITCH_S if is_glitch else self.HOLD_S)
                    if self._falls_at_s < now_s - STALE_S:
                        continue
                    drive = self._pin.drive_high
            drive()  # outside the lock: the listener's code runs in here


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
        self._changes: list[tuple[float, int]] = []  # when, and by how much the count of obstacles changes
        self._obstacles = 0
        self.power_on(powered_at_s)

    @property
    def next_change_s(self) -> float:
        """When the line may change next."""
        with self._lock:
            return self._changes[0][0] if self._changes else NEVER_S

    def power_on(self, at_s: float) -> None:
        """Let the power come on (again): the receiver forgets everything and locks to its sender."""
        with self._lock:
            self._powered_at_s = at_s
            self._obstacles = 0
            self._changes = [(at_s, 1), (at_s + self.LOCK_S, -1)]
        self._pin.drive_high()

    def notice(self, subject: Subject) -> None:
        """Let something pass through the beam."""
        begins_s = max(subject.at_s, self._powered_at_s)
        if begins_s < subject.until_s:
            with self._lock:
                heapq.heappush(self._changes, (begins_s, 1))
                heapq.heappush(self._changes, (subject.until_s, -1))

    def deliver(self, now_s: float) -> None:
        """Drive the line as far as `now_s`, change by change."""
        while self.next_change_s <= now_s:
            with self._lock:
                self._obstacles += heapq.heappop(self._changes)[1]
                if self._changes and self._changes[0][0] < now_s - STALE_S:
                    continue
                drive = self._pin.drive_low if self._obstacles else self._pin.drive_high
            drive()  # outside the lock: the listener's code runs in here

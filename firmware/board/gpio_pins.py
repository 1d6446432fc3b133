"""What hangs on the GPIO header: triggers, tamper contact, lamp, the modem's supply. It translates, nothing else."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from gpiozero import DigitalInputDevice, OutputDevice, PWMOutputDevice
from gpiozero.exc import GPIOZeroError

from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock
from firmware.records import TriggerEdge, TriggerSource
from firmware.stage import drained

EDGES_WAITING = 64
"""A line that chatters faster than it is asked forgets its oldest edges; one edge a burst would do."""

LAMP_PWM_HZ = 1000
"""The driver's dimming input smooths this to a level; lgpio makes it in software, 10 kHz is its limit."""

LONGEST_LEASE_S = 1.0
"""A lamp that nobody renews is dark after this time at the latest."""

LONGEST_CUT_S = 60.0
"""A modem's capacitors are empty after a few seconds; a longer cut would be an outage of our own making."""


class Timer(Protocol):
    """What a lease needs of `threading.Timer`."""

    def start(self) -> None:
        """Let the time run from now."""
        ...

    def cancel(self) -> None:
        """Stop it, if it is not too late."""
        ...


class GpioTrigger:
    """A trigger input on one line. An edge is always the rise of the line.

    A PIR drives its line high when it sees heat. A beam sensor's open collector holds its line low while the beam is
    broken, so the line rises when the rear end has left it: the very moment at which a rear plate shows.

    No software debounce: gpiozero's drops edges, and the capture stage merges what comes close together anyway.
    """

    def __init__(
        self,
        pin: int,
        source: TriggerSource,
        clock: Clock,
        *,
        is_pulled_up: bool = False,
        pin_factory: Any = None,
    ) -> None:
        """Take BCM line `pin`, by gpiozero's own choice of driver if no `pin_factory` is given.

        `is_pulled_up` switches the pull-up on, which an open collector needs, in place of the pull-down.
        """
        self._pin = pin
        self._source = source
        self._clock = clock
        self._is_pulled_up = is_pulled_up
        self._pin_factory = pin_factory
        self._edges: deque[TriggerEdge] = deque(maxlen=EDGES_WAITING)
        self._line: Any = None

    def listen(self, wake: threading.Event) -> None:
        """Open the line; set `wake` whenever it rises. Raises DeviceFault(TRIGGER_ABSENT)."""

        def note_edge() -> None:  # runs on gpiozero's thread: append and wake, nothing else
            self._edges.append(TriggerEdge(source=self._source, at_s=self._clock.monotonic_s()))
            wake.set()

        try:
            self._line = DigitalInputDevice(self._pin, pull_up=self._is_pulled_up, pin_factory=self._pin_factory)
            if self._is_pulled_up:
                self._line.when_deactivated = note_edge  # gpiozero calls a pulled-up line active while it is low
            else:
                self._line.when_activated = note_edge
        except (GPIOZeroError, OSError) as error:
            raise self._absent(error) from error

    @property
    def source(self) -> TriggerSource:
        """What hangs on the line."""
        return self._source

    def is_triggered(self) -> bool:
        """Say whether the line is as it is while something passes. Raises DeviceFault(TRIGGER_ABSENT)."""
        try:
            return bool(self._line.is_active)  # high, and of a pulled-up line low: the beam is broken
        except (GPIOZeroError, OSError) as error:
            raise self._absent(error) from error

    def edges(self) -> list[TriggerEdge]:
        """Return and forget the edges since the last call, oldest first."""
        return drained(self._edges)

    def close(self) -> None:
        """Give the line back."""
        if self._line is not None:
            self._line.close()

    def _absent(self, error: Exception) -> DeviceFault:
        what = f"the {self._source} line, BCM {self._pin}, cannot be opened ({type(error).__name__})"
        hint = f"{what}; check that python3-lgpio is installed and that no overlay or other program holds the line"
        return DeviceFault(FaultCode.TRIGGER_ABSENT, hint)


class GpioContact:
    """A tamper contact to ground on one line, pulled up. No debounce here: whoever asks looks more than once."""

    def __init__(self, pin: int, *, tampered_when_open: bool, pin_factory: Any = None) -> None:
        """Take BCM line `pin` when listening begins, by gpiozero's own choice of driver if no factory is given."""
        self._pin = pin
        self._tampered_when_open = tampered_when_open
        self._pin_factory = pin_factory
        self._line: Any = None

    def listen(self, wake: threading.Event) -> None:
        """Open the line; set `wake` whenever it changes. Raises DeviceFault(TAMPER_ABSENT)."""
        try:
            self._line = DigitalInputDevice(self._pin, pull_up=True, pin_factory=self._pin_factory)
            self._line.when_activated = self._line.when_deactivated = wake.set  # on gpiozero's thread
        except (GPIOZeroError, OSError) as error:
            raise self._absent(error) from error

    def is_tampered(self) -> bool:
        """Say whether the contact is now as it is while the unit is open. Raises DeviceFault(TAMPER_ABSENT)."""
        try:
            is_closed = bool(self._line.is_active)  # gpiozero calls a pulled-up line active while it is low
        except (GPIOZeroError, OSError) as error:
            raise self._absent(error) from error
        return is_closed != self._tampered_when_open

    def close(self) -> None:
        """Give the line back."""
        if self._line is not None:
            self._line.close()

    def _absent(self, error: Exception) -> DeviceFault:
        what = f"the tamper contact's line, BCM {self._pin}, cannot be read ({type(error).__name__})"
        hint = f"{what}; check that python3-lgpio is installed and that no overlay or other program holds the line"
        return DeviceFault(FaultCode.TAMPER_ABSENT, hint)


class GpioLamp:
    """The infrared lamp's driver on one line: its duty cycle sets the power of the flashes.

    The line only arms the driver. When to flash is the hardware's business: the sensor's strobe output gates the driver
    (raspberrypi/linux pull request 7606), so that the lamp is lit for 0.2 ms of 33 and in step with the shutter to the
    microsecond, which no program on Linux could be.

    The lease ends on a timer's own thread, so the lamp falls although every stage may hang. When the process dies, the
    kernel takes the line back and the driver's pull-down darkens the lamp.
    """

    def __init__(
        self,
        pin: int,
        *,
        pin_factory: Any = None,
        make_timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
    ) -> None:
        """Take BCM line `pin` at the first renewal. `make_timer(delay_s, call)` makes what ends a lease."""
        self._pin = pin
        self._pin_factory = pin_factory
        self._make_timer = make_timer
        self._lock = threading.Lock()
        self._line: Any = None
        self._lease: Timer | None = None

    def renew(self, lamp_ratio: float, for_s: float) -> None:
        """Flash with this share of the lamp's power for `for_s` from now, then fall dark unless renewed.

        Raises DeviceFault(LAMP_ABSENT), and ValueError for a share outside 0..1 or a lease of more than
        LONGEST_LEASE_S.
        """
        if not 0.0 <= lamp_ratio <= 1.0 or not 0.0 < for_s <= LONGEST_LEASE_S:
            raise ValueError(f"a lamp is leased for {LONGEST_LEASE_S} s at most, with 0..1 of its power")
        with self._lock:
            self._end_lease()
            try:
                if self._line is None:
                    self._line = PWMOutputDevice(self._pin, frequency=LAMP_PWM_HZ, pin_factory=self._pin_factory)
                self._line.value = lamp_ratio
            except (GPIOZeroError, OSError) as error:
                what = f"the lamp's line, BCM {self._pin}, cannot be driven ({type(error).__name__})"
                hint = f"{what}; check that python3-lgpio is installed and that no overlay or other program holds it"
                raise DeviceFault(FaultCode.LAMP_ABSENT, hint) from error
            lease = self._make_timer(for_s, lambda: self._fall(lease))
            self._lease = lease
            lease.start()

    def close(self) -> None:
        """Fall dark and give the line back."""
        with self._lock:
            self._end_lease()
            if self._line is not None:
                self._line.close()  # gpiozero drives it low first
                self._line = None

    def _fall(self, lease: Timer) -> None:
        """Let the lamp fall, unless `lease` was renewed while its timer was already ending."""
        with self._lock:
            if self._lease is lease and self._line is not None:
                self._line.value = 0.0
                self._lease = None

    def _end_lease(self) -> None:
        if self._lease is not None:
            self._lease.cancel()
            self._lease = None


class GpioRail:
    """A load switch in the modem's supply, on one line. Driven it is off; left alone its own pull keeps it on.

    Why a pin: a USB port's own switch (uhubctl's, or `disable` of a port in /sys) is ganged over all ports of a Pi 4,
    does not cut the 5 V of a HAT, and is root's to write. A HAT's supply enable, or a switch before a stick's VBUS,
    hangs on a pin, which the service may drive. When the process dies, the kernel takes the line back and the modem has
    its supply again.
    """

    def __init__(
        self,
        pin: int,
        *,
        off_when_high: bool,
        pin_factory: Any = None,
        make_timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
    ) -> None:
        """Take BCM line `pin` at the first cut. `make_timer(delay_s, call)` makes what ends one."""
        self._pin = pin
        self._off_when_high = off_when_high
        self._pin_factory = pin_factory
        self._make_timer = make_timer
        self._lock = threading.Lock()
        self._line: Any = None
        self._lease: Timer | None = None

    def cut(self, for_s: float) -> None:
        """Take the supply away for `for_s` from now; it comes back by itself.

        Raises DeviceFault(RAIL_ABSENT), and ValueError for a cut of more than LONGEST_CUT_S.
        """
        if not 0.0 < for_s <= LONGEST_CUT_S:
            raise ValueError(f"a supply is cut for {LONGEST_CUT_S} s at most")
        with self._lock:
            if self._lease is not None:
                self._lease.cancel()
            try:
                if self._line is None:
                    self._line = OutputDevice(
                        self._pin, active_high=self._off_when_high, initial_value=False, pin_factory=self._pin_factory
                    )
                self._line.on()
            except (GPIOZeroError, OSError) as error:
                what = f"the line of the modem's supply, BCM {self._pin}, cannot be driven ({type(error).__name__})"
                hint = f"{what}; check modem.power_pin, and that no overlay or other program holds the line"
                raise DeviceFault(FaultCode.RAIL_ABSENT, hint) from error
            self._lease = self._make_timer(for_s, self._give_back)
            self._lease.start()

    def close(self) -> None:
        """Give the supply back at once, and then the line."""
        with self._lock:
            if self._lease is not None:
                self._lease.cancel()
                self._lease = None
        self._give_back()

    def _give_back(self) -> None:
        """Let the line go: the switch's own pull holds it from here on."""
        with self._lock:
            if self._line is not None:
                self._line.off()
                self._line.close()
                self._line = None

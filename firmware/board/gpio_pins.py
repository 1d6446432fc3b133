"""Trigger lines on the GPIO header, through gpiozero. It translates edges and nothing else."""

import threading
from collections import deque
from typing import Any

from gpiozero import DigitalInputDevice
from gpiozero.exc import GPIOZeroError

from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock
from firmware.records import TriggerEdge, TriggerSource
from firmware.stage import drained

EDGES_WAITING = 64
"""A line that chatters faster than it is asked forgets its oldest edges; one edge a burst would do."""


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
            what = f"the {self._source} line, BCM {self._pin}, cannot be opened ({type(error).__name__})"
            hint = f"{what}; check that python3-lgpio is installed and that no overlay or other program holds the line"
            raise DeviceFault(FaultCode.TRIGGER_ABSENT, hint) from error

    def edges(self) -> list[TriggerEdge]:
        """Return and forget the edges since the last call, oldest first."""
        return drained(self._edges)

    def close(self) -> None:
        """Give the line back."""
        if self._line is not None:
            self._line.close()

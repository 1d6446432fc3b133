"""Ends a simulated run: when the source is exhausted and every read is confirmed, the process is asked to stop.

It asks as a service manager does, with SIGTERM to itself, so that a run that ends by itself stops like any other.
"""

import os
import signal
import threading
from typing import Protocol

from firmware.app import Machine
from firmware.stage import NEVER_S

LOOK_EVERY_S = 0.25

SETTLE_S = 2.0
"""After the last frame: the frame that is being read and the track that is about to end need this long."""

DRAIN_LIMIT_S = 20.0
"""How long the broker and the receiver are given to confirm what is in the outbox."""


class Source(Protocol):
    """The world face of a simulated camera, as far as this stage looks at it."""

    @property
    def finished(self) -> bool:
        """Whether all that there is has been shown."""
        ...


class ClosingTime:
    """A stage that watches the others from outside and ends the run."""

    def __init__(self, source: Source, machine: Machine) -> None:
        self.name = "closing-time"
        self.wake = threading.Event()
        self.waiting = 0  # reads without a receipt when the run ended
        self._source = source
        self._machine = machine
        self._finished_s: float | None = None

    def step(self, now_s: float) -> float:
        """Look whether the run is over; ask to stop once."""
        if self._finished_s is None:
            self._finished_s = now_s if self._source.finished else None
        if self._finished_s is None or not self._is_over(now_s - self._finished_s):
            return now_s + LOOK_EVERY_S
        os.kill(os.getpid(), signal.SIGTERM)
        return NEVER_S

    def close(self) -> None:
        """Count what waits for the next run; the outbox is closed after the last stage."""
        self.waiting = self._machine.outbox.count()

    def _is_over(self, elapsed_s: float) -> bool:
        reading = self._machine.reading
        is_idle = len(reading.frames) == 0 and reading.tracker.next_end_s() == NEVER_S
        is_drained = is_idle and self._machine.outbox.count() == 0
        return elapsed_s >= SETTLE_S and (is_drained or elapsed_s >= DRAIN_LIMIT_S)

"""Real time that stands still while a picture is drawn: a sensor exposes without the processor that the drawing takes.

Without it a slow or busy machine would lose frames that no camera loses. It makes a run in real time slower, never
kinder to the device's own work: that goes on being measured by the same clock.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from firmware.ports import Clock


class PausingClock:
    """The clock port of a board that runs in real time. World face: `standing`, `timer`."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock that never stands."""
        self._clock = clock
        self._lock = threading.Lock()
        self._drawings = 0
        self._stood_from_s = 0.0
        self._stood_s = 0.0

    def monotonic_s(self) -> float:
        """Return the seconds of the world."""
        with self._lock:
            return (self._stood_from_s if self._drawings else self._clock.monotonic_s()) - self._stood_s

    def utc_ms(self) -> int:
        """Return the wall clock in milliseconds since 1970."""
        return self._clock.utc_ms()

    def is_trusted(self) -> bool:
        """Say whether the wall clock counts as set."""
        return self._clock.is_trusted()

    def boot_id(self) -> bytes:
        """Return 8 bytes that no other start has."""
        return self._clock.boot_id()

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Let the world stand for as long as the block runs."""
        with self._lock:
            if self._drawings == 0:
                self._stood_from_s = self._clock.monotonic_s()
            self._drawings += 1
        try:
            yield
        finally:
            with self._lock:
                self._drawings -= 1
                if self._drawings == 0:
                    self._stood_s += self._clock.monotonic_s() - self._stood_from_s

    def timer(self, delay_s: float, call: Callable[[], None]) -> "PausingTimer":
        """Return a timer like `threading.Timer` that counts the seconds of the world."""
        return PausingTimer(self, delay_s, call)


class PausingTimer:
    """Calls once the world has gone on so far. Made by `PausingClock.timer`."""

    def __init__(self, clock: PausingClock, delay_s: float, call: Callable[[], None]) -> None:
        self._clock, self._delay_s, self._call = clock, delay_s, call
        self._lock = threading.Lock()
        self._due_s = 0.0
        self._is_cancelled = False
        self._waiting: threading.Timer | None = None

    def start(self) -> None:
        """Let the time run from now."""
        self._due_s = self._clock.monotonic_s() + self._delay_s
        self._wait(self._delay_s)

    def cancel(self) -> None:
        """Stop it, if it is not too late."""
        with self._lock:
            self._is_cancelled = True
            if self._waiting is not None:
                self._waiting.cancel()

    def _wait(self, for_s: float) -> None:
        with self._lock:
            if not self._is_cancelled:
                self._waiting = threading.Timer(for_s, self._look)
                self._waiting.start()

    def _look(self) -> None:
        """Call if the world has come so far, else wait for the rest, during which it may stand again."""
        rest_s = self._due_s - self._clock.monotonic_s()
        if rest_s > 0.0:
            self._wait(max(rest_s, 0.001))
        else:
            self._call()

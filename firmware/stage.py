"""Stages and the two ways in which they hand work to each other.

A stage never sleeps, never reads a clock and never owns a thread: it is stepped with the time and says when it wants to
be stepped again. `StageThread` does that on a device; hw_sim steps the same objects in virtual time.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
NEVER_S = math.inf
"""A stage that returns this wants to run only when it is woken."""

LOG = logging.getLogger(__name__)


def drained(waiting: deque[T]) -> list[T]:
    """Return and remove what waits, oldest first. A foreign thread may append all the while."""
    taken = []
    while waiting:
        taken.append(waiting.popleft())
    return taken


class Stage(Protocol):
    """One named piece of the machine, stepped by whoever owns the time."""

    name: str
    wake: threading.Event  # set by whoever gives this stage work

    def step(self, now_s: float) -> float:
        """Do all work that is due at monotonic `now_s`. Return when to be called again (NEVER_S: only when woken)."""
        ...

    def close(self) -> None:
        """Release what the stage holds. Called once, on the stage's own thread."""
        ...


class Mailbox(Generic[T]):
    """A bounded hand-over between two stages: drops the oldest, counts the drops, wakes the taker."""

    def __init__(self, wake: threading.Event, capacity: int) -> None:
        self.dropped = 0
        self._wake = wake
        self._lock = threading.Lock()
        self._items: deque[T] = deque(maxlen=capacity)

    def put(self, item: T) -> None:
        """Append `item`; if the box is full its oldest item is gone and counted in `dropped`."""
        with self._lock:
            self.dropped += len(self._items) == self._items.maxlen
            self._items.append(item)
        self._wake.set()

    def take(self) -> T | None:
        """Return and remove the oldest item, or None if the box is empty."""
        with self._lock:
            return self._items.popleft() if self._items else None

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)


class Latest(Generic[T]):
    """A hand-over in which only the newest value counts. Reading it never blocks and never empties it."""

    def __init__(self, value: T) -> None:
        self._value = value

    def set(self, value: T) -> None:
        """Replace the value."""
        self._value = value

    def get(self) -> T:
        """Return the newest value."""
        return self._value


class StageThread:
    """Runs one stage on one thread until asked to stop. The only place that catches everything; it never swallows."""

    LONGEST_WAIT_S = 1.0  # a stage that waits for ever still shows a heartbeat

    def __init__(
        self, stage: Stage, monotonic_s: Callable[[], float], on_bug: Callable[[str, BaseException], None]
    ) -> None:
        self.stage = stage
        self.heartbeat_s = monotonic_s()
        self._monotonic_s = monotonic_s
        self._on_bug = on_bug
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=stage.name, daemon=False)

    def start(self) -> None:
        """Start stepping."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ask for an end after the step that is running. Does not block."""
        self._stopping.set()
        self.stage.wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; return whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._step_until_stopped()
        except BaseException as bug:  # noqa: BLE001  the one place: report it, and the whole process stops
            self._on_bug(self.stage.name, bug)
        finally:
            self._close()

    def _step_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self.stage.wake.clear()
            next_s = self.stage.step(self._monotonic_s())
            self.heartbeat_s = self._monotonic_s()
            wait_s = min(max(0.0, next_s - self.heartbeat_s), self.LONGEST_WAIT_S)
            while not self.stage.wake.wait(wait_s) and not self._stopping.is_set():
                self.heartbeat_s = self._monotonic_s()
                if self.heartbeat_s >= next_s:
                    break
                wait_s = min(max(0.0, next_s - self.heartbeat_s), self.LONGEST_WAIT_S)

    def _close(self) -> None:
        try:
            self.stage.close()
        except BaseException as bug:  # noqa: BLE001  a stage that cannot close must not keep the others from closing
            self._on_bug(self.stage.name, bug)

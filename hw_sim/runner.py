"""Virtual time: the very stages of the device, stepped on one thread without waiting.

A day runs in seconds, and a failure repeats exactly, because nothing here reads a clock.
"""

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence

from firmware.stage import NEVER_S, Stage

EPOCH_UTC_MS = 1_767_225_600_000
"""Where the wall clock starts unless told otherwise: 2026-01-01 00:00 UTC."""

STEPS_WITHOUT_PROGRESS = 10_000
"""So many rounds at one instant mean that two stages wake each other for ever."""


class VirtualClock:
    """The clock port of simulated boards. World face: `advance_to`, `step_wall_clock`, `distrust`."""

    def __init__(self, *, start_s: float = 0.0, utc_ms: int = EPOCH_UTC_MS, boot_id: bytes = bytes(8)) -> None:
        self._now_s = start_s
        self._utc_offset_ms = utc_ms - round(start_s * 1000)
        self._trusted = True
        self._boot_id = boot_id

    def monotonic_s(self) -> float:
        """Return the virtual seconds."""
        return self._now_s

    def utc_ms(self) -> int:
        """Return the virtual wall clock in milliseconds since 1970."""
        return self._utc_offset_ms + round(self._now_s * 1000)

    def is_trusted(self) -> bool:
        """Say whether the wall clock counts as set."""
        return self._trusted

    def boot_id(self) -> bytes:
        """Return what this run of the unit was started with."""
        return self._boot_id

    def advance_to(self, now_s: float) -> None:
        """Let time pass until `now_s`. Raises ValueError if that is in the past."""
        if now_s < self._now_s:
            raise ValueError("time does not go backwards")
        self._now_s = now_s

    def step_wall_clock(self, by_ms: int) -> None:
        """Set the wall clock forward or back, as NTP does after a boot; monotonic time does not notice."""
        self._utc_offset_ms += by_ms

    def distrust(self) -> None:
        """Act as a board that booted without a network: the wall clock is a guess."""
        self._trusted = False

    def trust(self) -> None:
        """Act as a board whose wall clock NTP has just set."""
        self._trusted = True


class VirtualTimers:
    """Timers like `threading.Timer`, but of virtual time: a stage in the table calls what is due."""

    def __init__(self, clock: VirtualClock) -> None:
        self.name = "timers"
        self.wake = threading.Event()
        self._clock = clock
        self._running: list[tuple[float, int, VirtualTimer]] = []
        self._order = itertools.count()

    def timer(self, delay_s: float, call: Callable[[], None]) -> "VirtualTimer":
        """Return a timer that calls `call` so long after its start."""
        return VirtualTimer(self, delay_s, call)

    def run(self, timer: "VirtualTimer") -> None:
        """Let `timer` run from now on."""
        heapq.heappush(self._running, (self._clock.monotonic_s() + timer.delay_s, next(self._order), timer))
        self.wake.set()

    def step(self, now_s: float) -> float:
        """Call what is due; return when the next timer is."""
        while self._running and self._running[0][0] <= now_s:
            heapq.heappop(self._running)[2].end()
        return self._running[0][0] if self._running else NEVER_S

    def close(self) -> None:
        """Forget all timers."""
        self._running.clear()


class VirtualTimer:
    """One timer of virtual time. Made by `VirtualTimers.timer`."""

    def __init__(self, timers: VirtualTimers, delay_s: float, call: Callable[[], None]) -> None:
        self.delay_s = delay_s
        self._timers, self._call = timers, call
        self._is_cancelled = False

    def start(self) -> None:
        """Let the time run from now."""
        self._timers.run(self)

    def cancel(self) -> None:
        """Stop it."""
        self._is_cancelled = True

    def end(self) -> None:
        """Call, unless it was cancelled."""
        if not self._is_cancelled:
            self._call()


class VirtualTime:
    """Steps stages deterministically: those due or woken, in list order; else jumps to the next due time.

    The world (a road, a broker) takes part as stages of its own, in front of the list.
    """

    def __init__(self, stages: Sequence[Stage], clock: VirtualClock) -> None:
        self._stages = list(stages)
        self._clock = clock
        self._due_s = {stage.name: clock.monotonic_s() for stage in self._stages}
        if len(self._due_s) != len(self._stages):
            raise ValueError("two stages have one name")

    def run_until(self, end_s: float) -> None:
        """Run to `end_s`. Raises RuntimeError when the stages never come to rest at one instant."""
        rounds = 0
        while True:
            now_s = self._clock.monotonic_s()
            ready = [stage for stage in self._stages if stage.wake.is_set() or self._due_s[stage.name] <= now_s]
            for stage in ready:
                stage.wake.clear()
                self._due_s[stage.name] = stage.step(now_s)
            if ready:
                rounds += 1
                if rounds > STEPS_WITHOUT_PROGRESS:
                    raise RuntimeError(f"no rest at {now_s} s: {', '.join(stage.name for stage in ready)}")
                continue
            if now_s >= end_s:
                return
            rounds = 0
            self._clock.advance_to(min(end_s, *self._due_s.values()))

    def close(self) -> None:
        """Close all stages in list order."""
        for stage in self._stages:
            stage.close()

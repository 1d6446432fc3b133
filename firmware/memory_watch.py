"""Whether memory runs out: how fast the process grows and the camera's pool shrinks. Pure: samples in, a fault out.

picamera2 and the kernel have leaked buffers before, as users of picamera2 report, a little with each frame, until the
sensor stops after half a day. Such a leak is a slope that does not end; a cache that fills is a step.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from firmware.faults import DeviceFault, FaultCode
from firmware.records import MemoryUse

SAMPLE_EVERY_S = 60.0

SAMPLES = 60
"""An hour: a leak of a page a frame is 440 MB in that time, one of a byte a frame drowns and does no harm."""

RESIDENT_LIMIT_BYTES = 450_000_000
"""Nearly half of a unit with 1 GB. With networks, ring and mailbox full, the service needs half as much."""

EXHAUSTED_WITHIN_S = 12 * 3600.0
"""Somebody who is told now can still choose when the unit restarts."""

SMALLEST_GROWTH_BYTES = 4_000_000
"""In an hour. Less is the allocator's own business."""


class MemoryWatch:
    """Keeps the last hour of memory samples."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, MemoryUse]] = deque(maxlen=SAMPLES)

    def is_due(self, now_s: float) -> bool:
        """Say whether the next sample is wanted."""
        return not self._samples or now_s - self._samples[-1][0] >= SAMPLE_EVERY_S

    def note(self, use: MemoryUse, now_s: float) -> DeviceFault | None:
        """Take in a sample; return DeviceFault(MEMORY_GROWS) if memory will be exhausted within hours."""
        self._samples.append((now_s, use))
        if len(self._samples) < SAMPLES:
            return None
        times_s = [at_s for at_s, _ in self._samples]
        resident = steady_growth(times_s, [float(use.resident_bytes) for _, use in self._samples])
        pool_bytes = [use.pool_free_bytes for _, use in self._samples if use.pool_free_bytes is not None]
        taken = steady_growth(times_s, [-float(free) for free in pool_bytes]) if len(pool_bytes) == SAMPLES else 0.0
        if _is_too_fast(resident, RESIDENT_LIMIT_BYTES - use.resident_bytes):
            return _fault("the service's memory grows", resident)
        if use.pool_free_bytes is not None and _is_too_fast(taken, use.pool_free_bytes):
            return _fault("the camera's memory pool (CmaFree) shrinks", taken)
        return None


def steady_growth(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Return how much `values` grow a second at least: the smaller least-squares slope of the halves, 0 or more."""
    half = len(values) // 2
    slopes = [
        float(np.polyfit(np.asarray(times_s[part]) - times_s[0], np.asarray(values[part]), 1)[0])
        for part in (slice(None, half), slice(half, None))
    ]
    return max(0.0, min(slopes))


def _is_too_fast(bytes_a_second: float, left_bytes: float) -> bool:
    grows = bytes_a_second * SAMPLES * SAMPLE_EVERY_S >= SMALLEST_GROWTH_BYTES
    return grows and left_bytes < bytes_a_second * EXHAUSTED_WITHIN_S


def _fault(what: str, bytes_a_second: float) -> DeviceFault:
    megabytes = bytes_a_second * 3600 / 1e6
    hint = f"{what} by {megabytes:.0f} MB an hour and will be exhausted; restart the service and report it"
    return DeviceFault(FaultCode.MEMORY_GROWS, hint)

"""The frames of the last moments, of which a trigger picks those it wants, and how many may be picked. Pure."""

from collections import deque
from collections.abc import Callable

from firmware.records import Frame

RING_BYTES = 64 * 1024 * 1024
"""Memory of the ring at most: 13 frames of 1456x1088, which is 1.5 s. The newest frame is always kept."""


class FrameRing:
    """Keeps frames that nobody has wanted yet, for `span_s` and within RING_BYTES."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def oldest_s(self) -> float | None:
        """When the oldest frame was taken; None for an empty ring."""
        return self._frames[0].at_s if self._frames else None

    def put(self, frame: Frame) -> None:
        """Keep `frame`, and forget those that no trigger can ask for any more or for which there is no memory."""
        self._frames.append(frame)
        self._bytes += frame.image.nbytes
        while len(self._frames) > 1 and (self._frames[0].at_s < frame.at_s - self._span_s or self._bytes > RING_BYTES):
            self._forget_oldest()

    def take(self, is_wanted: Callable[[Frame], bool]) -> list[Frame]:
        """Return and forget the wanted frames, oldest first, and forget all that are older than the last of them.

        So frames leave in order and none twice.
        """
        wanted = [frame for frame in self._frames if is_wanted(frame)]
        while wanted and self._frames and self._frames[0].at_s <= wanted[-1].at_s:
            self._forget_oldest()
        return wanted

    def _forget_oldest(self) -> None:
        self._bytes -= self._frames.popleft().image.nbytes


class Allowance:
    """So many at once, and so many a second in the long run (a token bucket)."""

    def __init__(self, at_once: float, a_second: float) -> None:
        self._at_once, self._a_second = at_once, a_second
        self._left = at_once
        self._seen_s: float | None = None

    def take(self, at_s: float) -> bool:
        """Use one up, if one is left at `at_s`."""
        if self._seen_s is not None:
            self._left = min(self._at_once, self._left + max(0.0, at_s - self._seen_s) * self._a_second)
        self._seen_s = at_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

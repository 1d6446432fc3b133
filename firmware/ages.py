"""How old messages are, and how much longer they are of use: by the wall clock, which may be wrong, and may be set.

The monotonic clock goes on during suspend and never jumps, so within one run of the process the two drift apart only
when somebody sets the wall clock: a wrong time server, a spoofed one, or the correction that follows. Such a jump is
not taken for time that went by.
"""

from typing import Final

from firmware.ports import Clock
from firmware.records import MessageClass

HEALTH_RETENTION_S: Final = 7 * 86_400.0
"""How a unit fared longer ago than this helps nobody."""

JUMP_MS: Final = 3_600_000
"""What counts as a jump. Smaller steps do no harm where days are counted, and clocks that drift are no jump."""


class Ages:
    """What the clock says about messages that are kept for `retention_s`. Not thread-safe."""

    def __init__(self, clock: Clock, retention_s: float) -> None:
        self.retention_s = dict.fromkeys(MessageClass, retention_s)
        """After how many seconds a message of a class is forgotten, delivered or not."""
        self.retention_s[MessageClass.HEALTH] = min(retention_s, HEALTH_RETENTION_S)
        self._clock = clock
        self._looked: tuple[int, float] | None = None  # at the last trusted look: wall clock ms, monotonic s

    def look(self) -> tuple[int | None, int]:
        """Return the wall clock in ms since 1970, None if it cannot be trusted, and by how many ms it has jumped.

        The first trusted look of a run knows of no jump.
        """
        if not self._clock.is_trusted():
            return None, 0
        utc_ms, monotonic_s = self._clock.utc_ms(), self._clock.monotonic_s()
        jump_ms = 0
        if self._looked is not None:
            utc_before_ms, monotonic_before_s = self._looked
            jump_ms = utc_ms - utc_before_ms - round((monotonic_s - monotonic_before_s) * 1000)
        self._looked = (utc_ms, monotonic_s)
        return utc_ms, jump_ms if abs(jump_ms) >= JUMP_MS else 0

    def left_s(self, message_class: MessageClass, since_utc_ms: int | None, now_utc_ms: int | None) -> int:
        """Return how many whole seconds of its retention a message has left, 1 at least; all while no age is known."""
        age_s = 0.0 if since_utc_ms is None or now_utc_ms is None else max(0, now_utc_ms - since_utc_ms) / 1000
        return max(1, int(self.retention_s[message_class] - age_s))

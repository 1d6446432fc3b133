"""Whether the wall clock may be believed. A unit has no battery-backed clock: it wakes with a guess.

Two sources can set it right: NTP, through the system's clock, and the cellular network, through the modem. Monotonic
time is the base and never jumps: what is kept of either source is its difference to it. A source counts within bounds
only (no clock of a unit is right before this firmware was made, or after 2099). Two sources that are more than an hour
apart, or one that jumps by more while nobody confirms it, are a dispute: the time goes on as it was, and it is not
trusted until the dispute is over, so that nothing expires and no certificate is judged by it.
"""

import threading
from dataclasses import dataclass
from typing import Final

from firmware.ports import Clock

EARLIEST_UTC_MS: Final = 1_767_225_600_000
"""2026-01-01, before this firmware was made. Raised with each release."""

LATEST_UTC_MS: Final = 4_102_444_800_000  # 2100-01-01

AGREES_WITHIN_MS: Final = 3_600_000.0
"""A network that sends its local time as UTC, or without summer time, is wrong by a whole hour and more."""

OUT_OF_BOUNDS: Final = (
    "the wall clock was set to before this firmware was made or to after 2099; check the time servers"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    utc_ms: int
    is_trusted: bool
    dispute: str = ""


class JudgedClock:
    """The BoardClock port over a clock that NTP sets. Safe to use from every thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._believed_ms: float | None = None  # wall clock less monotonic time, when it was last believed
        self._network_ms: float | None = None  # the same by the network's last word

    def monotonic_s(self) -> float:
        """Return seconds that never jump."""
        return self._clock.monotonic_s()

    def boot_id(self) -> bytes:
        """Return 8 bytes that no other start has."""
        return self._clock.boot_id()

    def utc_ms(self) -> int:
        """Return the best guess at the time, milliseconds since 1970."""
        return self._judged().utc_ms

    def is_trusted(self) -> bool:
        """Say whether NTP or the network has said the time since the start, and nothing speaks against it."""
        return self._judged().is_trusted

    def dispute(self) -> str:
        """Return what speaks against a time that was set, in one sentence; empty if nothing does."""
        return self._judged().dispute

    def hear(self, utc_ms: int, at_s: float) -> None:
        """Take the network's time at monotonic `at_s`; what is out of bounds is passed over."""
        if _is_sane(utc_ms):
            with self._lock:
                self._network_ms = utc_ms - at_s * 1000

    def _judged(self) -> _Judgement:
        wall_ms, now_ms, is_set = self._clock.utc_ms(), self._clock.monotonic_s() * 1000, self._clock.is_trusted()
        by_ntp_ms = wall_ms - now_ms if is_set and _is_sane(wall_ms) else None
        with self._lock:
            dispute = OUT_OF_BOUNDS if is_set and by_ntp_ms is None else self._disputed(by_ntp_ms)
            heard_ms = self._network_ms if by_ntp_ms is None else by_ntp_ms
            if heard_ms is not None and not dispute:
                self._believed_ms = heard_ms
            believed_ms = self._believed_ms
        utc_ms = wall_ms if believed_ms is None else max(0, round(believed_ms + now_ms))
        return _Judgement(utc_ms=utc_ms, is_trusted=believed_ms is not None and not dispute, dispute=dispute)

    def _disputed(self, by_ntp_ms: float | None) -> str:
        """Return why what is heard now cannot be believed, in one sentence, or nothing."""
        network_ms, before_ms = self._network_ms, self._believed_ms
        if by_ntp_ms is not None and network_ms is not None:
            if _agree(by_ntp_ms, network_ms):
                return ""
            return "NTP and the cellular network are more than an hour apart; check the time servers and the network"
        heard_ms = network_ms if by_ntp_ms is None else by_ntp_ms
        if heard_ms is None or before_ms is None or _agree(heard_ms, before_ms):
            return ""
        who = "cellular network's time" if by_ntp_ms is None else "wall clock"
        return f"the {who} jumped by more than an hour; if it is right now, restart the service to take it"


def _is_sane(utc_ms: int) -> bool:
    return EARLIEST_UTC_MS <= utc_ms < LATEST_UTC_MS


def _agree(one_ms: float, other_ms: float) -> bool:
    return abs(one_ms - other_ms) <= AGREES_WITHIN_MS

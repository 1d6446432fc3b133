"""What a unit is asked to send again: numbers that are missing between those that came, and all from a silent unit.

A unit sends by itself what has no receipt, after minutes at first and after hours when nobody has answered for long.
Asking makes that seconds where a broker has lost what it had acknowledged. Nothing depends on an answer, and a unit
does not say which numbers it never used or gave up: so a gap is asked for a few times, further and further apart, then
given up, counted and never asked for again. A gap that shrinks is on its way and is left in peace.

A unit from which nothing comes after the receiver's start may have all its window out, acknowledged by a broker that
has lost it, and send nothing new for hours: it is asked once for whatever is above what is stored.

Receivers that share the work share one store, or each takes what the other has for gaps.

No network, no clock. What is open is kept in memory; after a restart a gap is noticed again when something arrives
above it.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cloud.confirmed import Range
from cloud.store import REORDER_WINDOW_MS, ReadStore
from firmware.receipts import MAX_ASKED_RANGES
from firmware.wire import MAX_SEQUENCE

ASK_AFTER_S: Final = (30.0, 600.0, 7200.0)
"""From when a gap was noticed to the first question, and from each question to the next. A message overtakes others by
seconds: by the unit's window, by the receivers that share the work."""

GIVE_UP_AFTER_S: Final = 86_400.0
"""From the last question on: a question waits that long at the broker for a unit that is offline."""

ROLL_CALL_AFTER_S: Final = 60.0
"""After its start a receiver first takes what the broker has kept for it."""


@dataclass(slots=True)
class _Open:
    """A gap that may be filled yet: how often the unit was asked, and when something is to be done."""

    asked: int
    due_s: float


class Gaps:
    """The open gaps of all units, and which unit is to be asked what."""

    def __init__(self, store: ReadStore) -> None:
        self.questions = 0  # ranges that units were asked for
        self.given_up = 0  # numbers that they did not answer for
        self._store = store
        self._open: dict[str, dict[Range, _Open]] = {}
        self._agenda: list[tuple[float, str]] = []  # a heap
        self._to_ask: dict[str, set[Range]] = {}
        self._heard: set[str] = set()
        self._roll_call_at_s: float | None = None  # None before anything was asked of this object

    def notice(self, device_id: str, sequences: Iterable[int], now_s: float) -> None:
        """Note the gaps below the ranges in which these numbers now are."""
        self._heard.add(device_id)
        for sequence in sequences:
            if (gap := self._store.gap_below(device_id, sequence)) is not None:
                self._watch(device_id, gap, now_s)

    def due(self, now_s: float, now_utc_ms: int) -> list[str]:
        """Return the units that are to be asked something; what, tells `questions_for`. Raises StoreRefused."""
        if self._roll_call_at_s is None:
            self._roll_call_at_s = now_s + ROLL_CALL_AFTER_S
        if now_s >= self._roll_call_at_s:
            self._roll_call_at_s = math.inf
            self._call_the_silent(now_utc_ms)
        while self._agenda and self._agenda[0][0] <= now_s:
            _, device_id = heapq.heappop(self._agenda)
            self._look_again(device_id, now_s)
        return list(self._to_ask)

    def questions_for(self, device_id: str) -> tuple[Range, ...]:
        """Return, ascending and apart, what the unit is to be asked for now, and forget it."""
        asked = sorted(self._to_ask.pop(device_id, ()))[-MAX_ASKED_RANGES:]
        self.questions += len(asked)
        return tuple(asked)

    def _watch(self, device_id: str, gap: Range, now_s: float) -> None:
        watched = self._open.setdefault(device_id, {})
        if gap not in watched and len(watched) < MAX_ASKED_RANGES:
            watched[gap] = _Open(asked=0, due_s=now_s + ASK_AFTER_S[0])
            heapq.heappush(self._agenda, (watched[gap].due_s, device_id))

    def _look_again(self, device_id: str, now_s: float) -> None:
        """Ask for the gaps of a unit that are due and as they were; give up those that were asked for often enough."""
        watched = self._open.get(device_id, {})
        for gap in [gap for gap, state in watched.items() if state.due_s <= now_s]:
            state = watched.pop(gap)
            present = self._store.gap_below(device_id, gap[1] + 1)
            if present != gap:  # filled, or shrinking
                if present is not None:
                    self._watch(device_id, present, now_s)
            elif state.asked == len(ASK_AFTER_S):
                self._store.give_up(device_id, gap)
                self.given_up += gap[1] - gap[0] + 1
            else:
                self._to_ask.setdefault(device_id, set()).add(gap)
                wait_s = (*ASK_AFTER_S[1:], GIVE_UP_AFTER_S)[state.asked]
                watched[gap] = _Open(asked=state.asked + 1, due_s=now_s + wait_s)
                heapq.heappush(self._agenda, (watched[gap].due_s, device_id))
        if not watched:
            self._open.pop(device_id, None)

    def _call_the_silent(self, now_utc_ms: int) -> None:
        for device_id in self._store.units_since(now_utc_ms - REORDER_WINDOW_MS):
            if device_id not in self._heard and (newest := self._store.newest_ranges(device_id, 1)):
                self._to_ask.setdefault(device_id, set()).add((newest[0][1] + 1, MAX_SEQUENCE))

"""What a cell does to packets: coverage, delay, jitter, loss and rate, by time. Pure; seeded; no socket and no clock.

The cell in virtual time, the TUN link and the TCP relay all read their weather from here.
"""

import enum
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

QUEUE_BYTES: Final = 128_000
"""What a base station holds for one modem before it drops: a second at 1 Mbit/s, as measured of LTE ("bufferbloat")."""

UNLIMITED_BIT_S: Final = 1e9


class Coverage(enum.StrEnum):
    """What becomes of what is sent."""

    SERVED = "served"
    NONE = "none"  # no bearer: whoever wants to connect is told so at once, connections that were there hang
    SILENT = "silent"  # a bearer through which nothing comes and goes
    BLACK_HOLE = "black-hole"  # takes everything, acknowledges it to TCP, and forgets it
    CAPTIVE = "captive"  # somebody else answers, with a page of his own (on a TUN link: nobody does)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What one link does at one moment, the same each way."""

    coverage: Coverage = Coverage.SERVED
    delay_s: float = 0.0  # one way
    jitter_s: float = 0.0  # at most, on top of the delay
    loss_ratio: float = 0.0  # of packets
    rate_bit_s: float = UNLIMITED_BIT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """The conditions from a moment on."""

    from_s: float
    conditions: Conditions


def conditions_at(spells: Sequence[Spell], now_s: float) -> Conditions:
    """Return the conditions of the last of the ascending `spells` that has begun; before the first there is no cell."""
    current = Conditions(coverage=Coverage.NONE)
    for spell in spells:
        if spell.from_s > now_s:
            break
        current = spell.conditions
    return current


class OneWay:
    """One direction of a link: a queue before a slow line, which keeps the order, as a modem's does (RLC, TS 36.322).

    Counts in `bytes` what went on the air, lost there or not, and not what the full queue had no room for.
    """

    def __init__(self, random: Random) -> None:
        self.bytes = 0
        self._random = random
        self._free_s = -math.inf  # when the line has sent all that waits before it
        self._latest_s = -math.inf  # when the last one comes out

    def admit(self, size_bytes: int, now_s: float, conditions: Conditions) -> float | None:
        """Return when a packet that enters now comes out at the other end; None if it never does."""
        begins_s = max(now_s, self._free_s)
        if (begins_s - now_s) * conditions.rate_bit_s / 8 > QUEUE_BYTES:
            return None
        self._free_s = begins_s + 8 * size_bytes / conditions.rate_bit_s
        self.bytes += size_bytes
        if self._random.random() < conditions.loss_ratio:
            return None
        due_s = self._free_s + conditions.delay_s + self._random.uniform(0.0, conditions.jitter_s)
        self._latest_s = max(self._latest_s, due_s)
        return self._latest_s

    def flush(self) -> None:
        """Forget what waits: the modem has lost its bearer."""
        self._free_s = self._latest_s = -math.inf


class SocketCell(Protocol):
    """A cell for real sockets between a unit and a broker of this machine. A context manager of its own."""

    name: str
    host: str  # by which name or address the unit and the receiver call the broker
    broker_address: str  # on which it listens

    def at_unit(self) -> AbstractContextManager[None]:
        """Be where the unit is for as long as the block runs; threads and processes that it starts stay there."""
        ...

    def at_broker(self) -> AbstractContextManager[None]:
        """Be where the broker is, in the same way."""
        ...

    def begin(self, broker_port: int) -> int:
        """Begin to carry; return the port that the unit calls. The broker need not be there yet."""
        ...

    def apply(self, conditions: Conditions) -> None:
        """Let these conditions hold from now on."""
        ...

    def reset_nat(self, *, silent: bool) -> None:
        """Forget all connections, as a carrier's NAT does: from then on silence, or a reset to whoever sends."""
        ...

    def counted(self) -> tuple[int, int]:
        """Return how many bytes went up and how many down, with IP and TCP headers."""
        ...

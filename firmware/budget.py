"""What a data plan is spent on. Pure: counts at the interface, dates and what waits in; what may be sent out.

Bytes are counted where the carrier counts them, at the modem's interface, both ways, with all that is not ours. A month
begins at midnight UTC of `budget.first_day`; only a clock that can be trusted turns it.

What a customer buys is every read, soon, with its picture. So pictures give way first (smaller, then none), then health
becomes rare, and at last reads wait in the outbox, where nothing is lost, until the next month or until what is left
grows with the month's end. Alerts are never asked. Each rule answers to the month's bytes with what waits in the
outbox, which is as good as spent:

- a picture of a vehicle that somebody asked for goes while reads have pictures, and else waits;
- a picture is small from 80 % of the month on, and gone from 90 %; health is rare from 95 %;
- a day has its share of those 90 %, and what a day leaves the later ones have. When the days so far have spent more
  than the shares of these and of BORROWED_DAYS to come, pictures go; from 90 % of that on they are small. So a month
  that is too busy for pictures loses some on each day, and not all in its last week, and has room for its last reads;
- reads wait when READS_RATIO of the month is spent, which grows to LAST_READS_RATIO at its end. The rest is for alerts,
  health and keeping the connection.
"""

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from firmware.config import BudgetConfig
from firmware.evidence import FULL_PICTURE, SMALL_PICTURE
from firmware.health_report import Thrift
from firmware.records import PictureSize, Traffic

BYTES_PER_MB: Final = 1_000_000

MESSAGE_OVERHEAD_BYTES: Final = 700
"""What a message costs on air beside its envelope: MQTT, TLS, TCP and IP of it, of its PUBACK and of its receipt
(tests/bench/bytes_on_air.py)."""

BARE_READ_BYTES: Final = 350
"""The envelope of a read without a picture."""

SMALL_RATIO, NO_PICTURE_RATIO, RARE_HEALTH_RATIO = 0.80, 0.90, 0.95
READS_RATIO, LAST_READS_RATIO = 0.97, 0.99
"""15 MB of the default month for what must go on, 5 MB at its very end: a thousand alerts with their pictures."""

SMALL_OF_SHARE_RATIO: Final = 0.90
BORROWED_DAYS: Final = 2
RARE_HEALTH_FACTOR: Final = 4
"""Health every twelve hours instead of three."""

COUNTER_WRAPS_AT: Final = 2**32
"""Some drivers count in 32 bits."""


Day = Annotated[int, Meta(ge=1, le=3_652_059)]
Count = Annotated[int, Meta(ge=0, le=2**62)]


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was spent, and what the interface's counters were when that was reckoned. Days are proleptic ordinals."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    month: Day | None = None  # its first day; None until the clock could be trusted
    day: Day | None = None
    month_bytes: Count = 0
    day_bytes: Count = 0
    counted: Traffic | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in the outbox."""

    messages: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be sent. `reads_bytes`: of reads, before somebody asks again."""

    thrift: Thrift
    reads_bytes: int

    @property
    def picture(self) -> PictureSize | None:
        """Return how large a picture goes with a read that is sealed now."""
        match self.thrift:
            case Thrift.PLENTY:
                return FULL_PICTURE
            case Thrift.SMALL_PICTURES:
                return SMALL_PICTURE
            case _:
                return None

    @property
    def has_room_for_requests(self) -> bool:
        """Say whether what somebody asks for may be sent: as long as reads still have their pictures."""
        return self.thrift <= Thrift.SMALL_PICTURES

    @property
    def health_factor(self) -> int:
        """Return how many times rarer than usual health goes."""
        return RARE_HEALTH_FACTOR if self.thrift >= Thrift.RARE_HEALTH else 1


def added_bytes(before: Traffic | None, now: Traffic) -> int:
    """Return how many bytes went both ways between two looks at an interface's counters.

    Another start of the machine or another device (a modem that was plugged in anew) counts from nothing. Else a
    counter that is less than it was has gone round at 2**32.
    """
    if before is None or (before.boot_id, before.device) != (now.boot_id, now.device):
        return now.received_bytes + now.sent_bytes
    return _advance(before.received_bytes, now.received_bytes) + _advance(before.sent_bytes, now.sent_bytes)


def _advance(before: int, now: int) -> int:
    return now - before if now >= before else (now - before) % COUNTER_WRAPS_AT


def reckoned(ledger: Ledger, traffic: Traffic | None, utc_ms: int | None, first_day: int) -> Ledger:
    """Return `ledger` with what the counters say now. `utc_ms` is None while the clock cannot be trusted.

    A month that has not begun yet becomes this one; a date before it was a mistake, and is no reason to forget.
    """
    if utc_ms is not None:
        today = _date(utc_ms)
        month, day = _first_of_month(today, first_day).toordinal(), today.toordinal()
        if ledger.month is not None and month > ledger.month:
            ledger = msgspec.structs.replace(ledger, month_bytes=0)
        if ledger.day is not None and day > ledger.day:
            ledger = msgspec.structs.replace(ledger, day_bytes=0)
        ledger = msgspec.structs.replace(ledger, month=month, day=day)
    if traffic is None:
        return ledger
    added = added_bytes(ledger.counted, traffic)
    return msgspec.structs.replace(
        ledger, month_bytes=ledger.month_bytes + added, day_bytes=ledger.day_bytes + added, counted=traffic
    )


def allowance(config: BudgetConfig, ledger: Ledger, backlog: Backlog) -> Allowance:
    """Return what may be sent, by what was spent and what waits. Without a date it is the first day of a month."""
    month_bytes = config.month_mb * BYTES_PER_MB
    days, passed = _month_of(ledger)
    due = ledger.month_bytes + backlog.size_bytes + backlog.messages * MESSAGE_OVERHEAD_BYTES
    share = NO_PICTURE_RATIO * month_bytes * min(1.0, (passed + 1 + BORROWED_DAYS) / days)
    ceiling = month_bytes * (READS_RATIO + (LAST_READS_RATIO - READS_RATIO) * passed / max(1, days - 1))
    reads_bytes = max(0, int(ceiling) - ledger.month_bytes)
    if not reads_bytes:
        thrift = Thrift.READS_WAIT
    elif due >= RARE_HEALTH_RATIO * month_bytes:
        thrift = Thrift.RARE_HEALTH
    elif due >= share:
        thrift = Thrift.NO_PICTURES
    elif due >= min(SMALL_OF_SHARE_RATIO * share, SMALL_RATIO * month_bytes) or not _fits(config, days):
        thrift = Thrift.SMALL_PICTURES
    else:
        thrift = Thrift.PLENTY
    return Allowance(thrift=thrift, reads_bytes=reads_bytes)


def _fits(config: BudgetConfig, days: int) -> bool:
    """Say whether the reads that are expected all have room for a full picture."""
    read_bytes = config.month_mb * BYTES_PER_MB / days / config.reads_a_day
    return read_bytes >= BARE_READ_BYTES + MESSAGE_OVERHEAD_BYTES + FULL_PICTURE.limit_bytes


def _month_of(ledger: Ledger) -> tuple[int, int]:
    """Return how many days the month of `ledger` has, and how many of them are over."""
    if ledger.month is None or ledger.day is None:
        return 31, 0
    begin = dt.date.fromordinal(ledger.month)
    days = calendar.monthrange(begin.year, begin.month)[1]  # up to the same day of the next month
    return days, min(days - 1, max(0, ledger.day - ledger.month))


def _date(utc_ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(utc_ms / 1000, tz=dt.UTC).date()


def _first_of_month(day: dt.date, first_day: int) -> dt.date:
    """Return the day on which the month of the data plan began that holds `day`."""
    if day.day >= first_day:
        return day.replace(day=first_day)
    year, month = (day.year, day.month - 1) if day.month > 1 else (day.year - 1, 12)
    return dt.date(year, month, first_day)

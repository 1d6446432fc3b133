"""The data plan: what is counted, when a month turns, and what gives way first."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import budget
from firmware.budget import Backlog, Ledger, added_bytes, allowance, reckoned
from firmware.config import BudgetConfig
from firmware.evidence import FULL_PICTURE, SMALL_PICTURE
from firmware.health_report import Thrift
from firmware.records import Traffic

CONFIG = BudgetConfig()
MB = 1_000_000
NOTHING = Backlog(messages=0, size_bytes=0)


def traffic(received=0, sent=0, *, boot="a", device=3):
    return Traffic(boot_id=boot, device=device, received_bytes=received, sent_bytes=sent)


def utc_ms(*date):
    return int(dt.datetime(*date, tzinfo=dt.UTC).timestamp() * 1000)


def ledger_at(day, spent_mb, *, month=dt.date(2027, 1, 1)):
    return Ledger(month=month.toordinal(), day=month.toordinal() + day, month_bytes=round(spent_mb * MB))


@pytest.mark.parametrize(
    ("before", "now", "added"),
    [
        (None, traffic(30, 40), 70),
        (traffic(10, 20), traffic(30, 40), 40),
        (traffic(10, 20), traffic(10, 20), 0),
        (traffic(10, 20), traffic(5, 6, boot="b"), 11),
        (traffic(10, 20), traffic(5, 6, device=4), 11),
        (traffic(2**32 - 5, 20), traffic(7, 30), 22),
        (traffic(2**40, 20), traffic(2**40 + 1, 20), 1),
    ],
)
def test_counters_that_wrap_or_begin_anew(before, now, added):
    assert added_bytes(before, now) == added


@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 3)), max_size=30))
def test_no_byte_is_forgotten_however_the_counters_jump(steps):
    """The world sends; now and then the counter is of 32 bits and goes round, or the modem or the machine starts."""
    ledger, boot, device, counter, in_all = Ledger(), 0, 1, 0, 0
    for sent, event in steps:
        if event == 1:
            boot, counter = boot + 1, 0
        elif event == 2:
            device, counter = device + 1, 0
        counter, in_all = (counter + sent) % 2**32, in_all + sent
        ledger = reckoned(ledger, traffic(0, counter, boot=str(boot), device=device), utc_ms(2027, 1, 5), 1)
        assert ledger.month_bytes == in_all


def test_only_a_trusted_date_turns_the_month_and_only_forwards():
    ledger = reckoned(Ledger(), traffic(0, 5), None, 1)
    assert (ledger.month, ledger.month_bytes) == (None, 5)
    ledger = reckoned(ledger, traffic(0, 7), utc_ms(2027, 1, 31, 23, 59), 1)
    assert (ledger.month, ledger.month_bytes, ledger.day_bytes) == (dt.date(2027, 1, 1).toordinal(), 7, 7)
    ledger = reckoned(ledger, traffic(0, 8), None, 1)
    assert ledger.month_bytes == 8
    ledger = reckoned(ledger, traffic(0, 9), utc_ms(2027, 2, 1), 1)
    assert (ledger.month_bytes, ledger.day_bytes) == (1, 1)
    ledger = reckoned(ledger, traffic(0, 12), utc_ms(2026, 1, 1), 1)
    assert (ledger.month, ledger.month_bytes) == (dt.date(2026, 1, 1).toordinal(), 4)
    assert reckoned(ledger, None, utc_ms(2027, 2, 1), 1).month_bytes == 0


@pytest.mark.parametrize(
    ("date", "first_day", "begins"),
    [
        ((2027, 3, 14), 15, (2027, 2, 15)),
        ((2027, 3, 15), 15, (2027, 3, 15)),
        ((2027, 1, 27), 28, (2026, 12, 28)),
        ((2028, 2, 29), 1, (2028, 2, 1)),
    ],
)
def test_a_month_begins_on_the_plan_s_day(date, first_day, begins):
    assert reckoned(Ledger(), None, utc_ms(*date), first_day).month == dt.date(*begins).toordinal()


@pytest.mark.parametrize(
    ("day", "spent_mb", "thrift"),
    [
        (0, 0, Thrift.PLENTY),
        (0, 39.1, Thrift.PLENTY),  # three days' shares are 43.5 MB
        (0, 39.2, Thrift.SMALL_PICTURES),
        (0, 43.6, Thrift.NO_PICTURES),
        (3, 78, Thrift.PLENTY),
        (3, 79, Thrift.SMALL_PICTURES),
        (3, 88, Thrift.NO_PICTURES),
        (29, 399, Thrift.PLENTY),
        (29, 400, Thrift.SMALL_PICTURES),
        (29, 449, Thrift.SMALL_PICTURES),
        (29, 450, Thrift.NO_PICTURES),
        (29, 475, Thrift.RARE_HEALTH),
        (30, 494.9, Thrift.RARE_HEALTH),
        (30, 495, Thrift.READS_WAIT),
        (0, 485, Thrift.READS_WAIT),
        (15, 489.9, Thrift.RARE_HEALTH),
        (15, 490, Thrift.READS_WAIT),
        (30, 10_000, Thrift.READS_WAIT),
    ],
)
def test_each_step_begins_where_it_is_said(day, spent_mb, thrift):
    assert allowance(CONFIG, ledger_at(day, spent_mb), NOTHING).thrift is thrift


def test_what_waits_is_as_good_as_spent_but_holds_no_read_back():
    waiting = Backlog(messages=7200, size_bytes=30 * MB)
    assert allowance(CONFIG, ledger_at(0, 0), waiting).thrift is Thrift.PLENTY
    assert allowance(CONFIG, ledger_at(0, 6), waiting).thrift is Thrift.SMALL_PICTURES
    assert allowance(CONFIG, ledger_at(0, 20), waiting).thrift is Thrift.NO_PICTURES
    much = Backlog(messages=90_000, size_bytes=600 * MB)
    assert allowance(CONFIG, ledger_at(0, 20), much) == budget.Allowance(
        thrift=Thrift.RARE_HEALTH, reads_bytes=465 * MB
    )


def test_what_each_step_allows():
    allowed = [budget.Allowance(thrift=one, reads_bytes=0) for one in Thrift]
    assert [one.picture for one in allowed] == [FULL_PICTURE, SMALL_PICTURE, None, None, None]
    assert [one.health_factor for one in allowed] == [1, 1, 1, 4, 4]


@pytest.mark.parametrize(
    ("month_mb", "reads_a_day", "thrift"),
    [(500, 2400, Thrift.PLENTY), (500, 3300, Thrift.PLENTY), (500, 3600, Thrift.SMALL_PICTURES),
     (100, 2400, Thrift.SMALL_PICTURES), (100, 400, Thrift.PLENTY)],
)  # fmt: skip
def test_a_plan_too_small_for_full_pictures_begins_with_small_ones(month_mb, reads_a_day, thrift):
    config = BudgetConfig(month_mb=month_mb, reads_a_day=reads_a_day)
    assert allowance(config, ledger_at(0, 0), NOTHING).thrift is thrift


@given(st.integers(0, 30), st.integers(0, 600 * MB), st.integers(0, 200 * MB))
def test_more_spent_never_allows_more(day, spent_bytes, more_bytes):
    ledger = ledger_at(day, 0)
    less, more = (
        allowance(CONFIG, dataclass_with(ledger, spent), NOTHING) for spent in (spent_bytes, spent_bytes + more_bytes)
    )
    assert more.thrift >= less.thrift
    assert more.reads_bytes <= less.reads_bytes
    assert less.reads_bytes + spent_bytes <= max(spent_bytes, 495 * MB)


def dataclass_with(ledger, spent_bytes):
    return Ledger(month=ledger.month, day=ledger.day, month_bytes=spent_bytes)

"""A read whose unit did not know the time gets it from another read of the same start, whichever comes first."""

import contextlib
import dataclasses
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reads import START_UTC_MS, STARTED_UTC_MS, made_read

from cloud.boot_times import TimeSource
from cloud.receiver import line
from cloud.store import ReadStore

WRONG_UTC_MS = 86_400_000 * 365 * 47  # the clock woke in 2016
OTHER_BOOT = b"\xff" * 8
NUMBERS = itertools.count(1)


@contextlib.contextmanager
def a_store():
    with tempfile.TemporaryDirectory() as folder, ReadStore(Path(folder) / "reads.db") as store:
        yield store


@pytest.fixture
def store():
    with a_store() as one:
        yield one


def read_at(boot_ms, *, trusted, utc_ms=None, **changes):
    """A read so long after the start of its unit, which began at STARTED_UTC_MS."""
    true_utc_ms = STARTED_UTC_MS + boot_ms
    says_utc_ms = utc_ms if utc_ms is not None else true_utc_ms if trusted else WRONG_UTC_MS + boot_ms
    read = made_read(next(NUMBERS), at_utc_ms=says_utc_ms, picture=b"")
    passage = dataclasses.replace(read.passage, last_boot_ms=boot_ms, clock_trusted=trusted)
    return dataclasses.replace(read, passage=passage, **changes)


def put(store, *reads, received_utc_ms=START_UTC_MS + 10**9):
    for read in reads:
        store.put(read, received_utc_ms, read.read_id.bytes)


def times(store):
    """By time since the start: what the store says when that was, and who says so."""
    rows = store._connection.execute("SELECT sequence, last_boot_ms FROM reads").fetchall()
    assert len(rows) == len(store.reads(1000))
    by_time = store._connection.execute(
        "SELECT last_boot_ms, COALESCE(corrected_utc_ms, last_utc_ms), clock_trusted, corrected_utc_ms FROM reads"
    )
    return {
        boot_ms: (utc_ms, "unit" if trusted else "unset" if corrected is None else "corrected")
        for boot_ms, utc_ms, trusted, corrected in by_time
    }


def test_a_later_read_that_knows_the_time_sets_those_before_it_right(store):
    put(store, read_at(1_000, trusted=False), read_at(2_000, trusted=False))
    assert [read.time_source for read in store.reads(10)] == [TimeSource.UNSET] * 2
    put(store, read_at(50_000, trusted=True))
    assert times(store) == {
        1_000: (STARTED_UTC_MS + 1_000, "corrected"),
        2_000: (STARTED_UTC_MS + 2_000, "corrected"),
        50_000: (STARTED_UTC_MS + 50_000, "unit"),
    }
    assert {read.time_source for read in store.reads(10)} == {TimeSource.UNIT, TimeSource.CORRECTED}


def test_what_the_unit_said_is_kept_beside_it(store):
    read = read_at(1_000, trusted=False)
    put(store, read, read_at(50_000, trusted=True))
    (row,) = store._connection.execute(
        "SELECT last_utc_ms, clock_trusted, corrected_utc_ms FROM reads WHERE sequence = ?", (read.sequence,)
    )
    assert row == (WRONG_UTC_MS + 1_000, 0, STARTED_UTC_MS + 1_000)


@settings(max_examples=20)
@given(st.permutations([(1_000, False), (2_000, False), (50_000, True), (90_000, True), (95_000, False)]))
def test_in_whatever_order_they_come_the_answer_is_the_same(order):
    """Alerts overtake a backlog. The clock strays: at 90 s the unit was 3 s ahead of what it had been at 50 s."""
    strayed = STARTED_UTC_MS + 90_000 + 3_000
    with a_store() as store:
        for boot_ms, trusted in order:
            put(store, read_at(boot_ms, trusted=trusted, utc_ms=strayed if boot_ms == 90_000 else None))
        assert times(store) == {
            1_000: (STARTED_UTC_MS + 1_000, "corrected"),
            2_000: (STARTED_UTC_MS + 2_000, "corrected"),
            95_000: (STARTED_UTC_MS + 95_000, "corrected"),
            50_000: (STARTED_UTC_MS + 50_000, "unit"),
            90_000: (strayed, "unit"),
        }


@pytest.mark.parametrize("change", [{"boot_id": OTHER_BOOT}, {"device_id": "k-other001"}])
def test_another_start_and_another_unit_tell_nothing(store, change):
    put(store, read_at(1_000, trusted=False), read_at(50_000, trusted=True, **change))
    assert times(store)[1_000] == (WRONG_UTC_MS + 1_000, "unset")


@pytest.mark.parametrize("boot_ms", [2**48 - 1, 0])
def test_a_time_that_no_calendar_shows_is_not_made(store, boot_ms):
    reads = [read_at(boot_ms, trusted=False, utc_ms=5_000), read_at(50_000, trusted=True, utc_ms=40_000)]
    put(store, *reads, received_utc_ms=50_000)
    assert times(store)[boot_ms] == (5_000, "unset")


def test_what_a_receiver_tells_people(store):
    said = []
    for reads in ([read_at(1_000, trusted=False)], [read_at(50_000, trusted=True)]):
        put(store, *reads)
        said.append([line(read) for read in store.reads(10)])
    ((unset,), (corrected, known)) = said
    assert unset[8] == "?"
    assert unset.endswith("?  ")
    assert (corrected[8], known[8]) == ("~", " ")
    assert corrected.endswith(" s")

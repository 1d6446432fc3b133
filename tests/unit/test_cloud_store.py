"""The receiving end without a broker: each read once, the right receipts, and nothing that a message can break."""

import contextlib
import dataclasses
import itertools
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reads import PLATE, START_UTC_MS, made_read, made_sealer, registry_entry

from cloud.__main__ import main
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiver import line
from cloud.receiving import RECEIPT_PERIOD_S, Receiving
from cloud.registry import Registry
from cloud.store import Outcome, ReadStore, StoreRefused
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import RejectionCause
from firmware.receipts import MAX_RANGES, verify_receipt
from firmware.records import Direction
from firmware.topics import read_topic
from firmware.wire import MAX_CALENDAR_UTC_MS

DEVICE = "k-test0001"
DEVICE_KEY = Ed25519PrivateKey.generate()
AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
RING = OpeningKeys([AGENCY_KEY])
RECEIPT_KEY = Ed25519PrivateKey.generate()
MANY = 1000


@contextlib.contextmanager
def store_of_one_example():
    """A store for property tests, whose examples must not see each other's reads."""
    with tempfile.TemporaryDirectory() as folder, ReadStore(Path(folder) / "reads.db") as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with ReadStore(tmp_path / "reads.db") as opened:
        yield opened


@pytest.fixture
def registry_path(tmp_path):
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / f"{DEVICE}.json").write_bytes(registry_entry(DEVICE, DEVICE_KEY))
    return folder


@pytest.fixture
def receiving(registry_path, store):
    return Receiving(Registry(registry_path), store, RING, RECEIPT_KEY)


def wire_of(read, *, device_key=DEVICE_KEY, agency_key=AGENCY_KEY):
    return sealing.to_wire(made_sealer(device_key, agency_key, device_id=read.device_id).seal(read))


def put(store, read, received_utc_ms):
    return store.put(read, received_utc_ms, wire_of(read))


def take(receiving, read, **keys):
    return receiving.take(read_topic(read.device_id), wire_of(read, **keys), START_UTC_MS + 400)


def ranges_of(receipt):
    return verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE).ranges


def test_a_read_is_stored_with_all_that_it_says(store, tmp_path):
    read = made_read(5)
    assert put(store, read, START_UTC_MS + 400) is Outcome.STORED
    (row,) = store.reads(10)
    assert (row.device_id, row.site_name, row.plate, row.region) == (DEVICE, "Test Street", PLATE, "CA")
    assert row.received_utc_ms - row.last_utc_ms == 400
    assert (row.partial, row.direction) == (True, Direction.AWAY)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("reads.db*")} == {0o600}


def test_a_read_that_comes_again_is_stored_once(store):
    read = made_read(5)
    envelope = wire_of(read)
    assert [store.put(read, START_UTC_MS, envelope) for _ in range(3)] == [
        Outcome.STORED,
        Outcome.DUPLICATE,
        Outcome.DUPLICATE,
    ]
    assert (store.count(), store.counters()) == (1, {"duplicate": 2})


def test_a_time_that_no_calendar_shows_is_rejected_and_ends_nothing(receiving):
    assert take(receiving, made_read(7, at_utc_ms=MAX_CALENDAR_UTC_MS + 1)) is None
    assert receiving.stored == 0
    assert take(receiving, made_read(8, at_utc_ms=MAX_CALENDAR_UTC_MS)).outcome is Outcome.STORED


def test_another_read_with_a_used_number_is_told_apart_from_a_repetition(store):
    put(store, made_read(5), START_UTC_MS)
    assert put(store, made_read(5), START_UTC_MS) is Outcome.SEQUENCE_REUSED
    assert put(store, made_read(5, device_id="k-other001"), START_UTC_MS) is Outcome.STORED
    assert store.count() == 3  # an alarm is no reason to lose a read
    assert store.counters() == {"sequence-reused": 1}


def test_a_read_that_retention_deleted_is_still_recognised(store):
    read = made_read(5)
    envelope = wire_of(read)
    store.put(read, START_UTC_MS, envelope)
    with store._connection:
        store._connection.execute("DELETE FROM reads")
    assert store.put(read, START_UTC_MS, envelope) is Outcome.DUPLICATE


def test_counts_and_reads_are_there_after_a_restart(tmp_path):
    path = tmp_path / "again.db"
    with ReadStore(path) as store:
        put(store, made_read(5), START_UTC_MS)
        store.count_rejected(RejectionCause.MALFORMED)
    with ReadStore(path) as store:
        assert (store.count(), store.counters()) == (1, {"malformed": 1})
        assert store.newest_ranges(DEVICE, 10) == [(5, 5)]


@settings(max_examples=15, deadline=None)  # each one writes a database
@given(st.permutations(list(range(12))), st.sets(st.integers(0, 11)))
def test_ranges_are_the_stored_numbers_in_whatever_order_they_came(order, missing):
    with store_of_one_example() as store:
        kept = [sequence for sequence in order if sequence not in missing]
        for sequence in kept:
            put(store, made_read(sequence, picture=b""), START_UTC_MS)
        ranges = store.newest_ranges(DEVICE, 100)[::-1]
        assert [number for low, high in ranges for number in range(low, high + 1)] == sorted(kept)
        assert all(later[0] >= earlier[1] + 2 for earlier, later in itertools.pairwise(ranges))


def test_a_number_is_found_in_its_range_and_a_missing_one_in_none(store):
    for sequence in (1, 2, 3, 7, 9):
        put(store, made_read(sequence, picture=b""), START_UTC_MS)
    assert store.ranges_around(DEVICE, {9, 2, 3, 5}) == [(1, 3), (9, 9)]
    assert store.newest_ranges(DEVICE, 2) == [(9, 9), (7, 7)]
    assert store.ranges_around("k-other001", {9}) == store.newest_ranges("k-other001", 2) == []


def test_a_message_becomes_a_stored_read_and_a_receipt_at_once(receiving):
    taken = take(receiving, made_read(5))
    assert (taken.outcome, taken.received_utc_ms, taken.read.passage.plate.text) == (
        Outcome.STORED,
        START_UTC_MS + 400,
        PLATE,
    )
    assert PLATE not in repr(taken)
    receipts = receiving.due_receipts(100.0, START_UTC_MS, MANY)
    assert ranges_of(receipts[DEVICE]) == ((5, 5),)
    assert receiving.next_receipt_s() == float("inf")


def test_a_busy_unit_gets_one_receipt_a_second(receiving):
    take(receiving, made_read(1))
    assert list(receiving.due_receipts(100.0, START_UTC_MS, MANY)) == [DEVICE]
    take(receiving, made_read(2))
    take(receiving, made_read(3))
    assert receiving.due_receipts(100.5, START_UTC_MS, MANY) == {}
    assert receiving.next_receipt_s() == 100.0 + RECEIPT_PERIOD_S
    receipts = receiving.due_receipts(101.0, START_UTC_MS, MANY)
    assert ranges_of(receipts[DEVICE]) == ((1, 3),)


def test_a_receiver_that_ends_pays_what_it_owes(receiving):
    take(receiving, made_read(1))
    receiving.due_receipts(100.0, START_UTC_MS, MANY)
    take(receiving, made_read(2))
    assert ranges_of(receiving.all_receipts(100.1, START_UTC_MS)[DEVICE]) == ((1, 2),)


def test_a_duplicate_gets_its_receipt_again(receiving):
    envelope = wire_of(made_read(1))
    receiving.take(read_topic(DEVICE), envelope, START_UTC_MS)
    receiving.due_receipts(100.0, START_UTC_MS, MANY)
    assert receiving.take(read_topic(DEVICE), envelope, START_UTC_MS).outcome is Outcome.DUPLICATE
    assert ranges_of(receiving.due_receipts(200.0, START_UTC_MS, MANY)[DEVICE]) == ((1, 1),)
    assert (receiving.stored, receiving.duplicates) == (1, 1)


def test_an_old_number_gets_its_receipt_however_many_gaps_there_are(receiving):
    for sequence in range(0, 40, 2):
        take(receiving, made_read(sequence, picture=b""))
    receiving.due_receipts(100.0, START_UTC_MS, MANY)
    take(receiving, made_read(4, picture=b""))  # another read of that number
    assert ranges_of(receiving.due_receipts(200.0, START_UTC_MS, MANY)[DEVICE]) == ((4, 4), (36, 36), (38, 38))


def test_ranges_beyond_what_a_unit_takes_come_in_later_receipts(receiving):
    numbers = range(0, 2 * (2 * MAX_RANGES + 20), 2)
    for sequence in numbers:
        take(receiving, made_read(sequence, picture=b""))
    told = [ranges_of(receiving.due_receipts(at_s, START_UTC_MS, MANY)[DEVICE]) for at_s in (100.0, 101.0, 102.0)]
    assert [len(ranges) for ranges in told] == [MAX_RANGES, MAX_RANGES, 20]
    assert sorted(low for ranges in told for low, _ in ranges) == list(numbers)
    assert receiving.due_receipts(103.0, START_UTC_MS, MANY) == {}


def test_no_more_receipts_at_a_time_than_the_broker_takes(receiving, registry_path):
    others = [f"k-other{number:03}" for number in range(5)]
    for name in others:
        (registry_path / f"{name}.json").write_bytes(registry_entry(name, DEVICE_KEY))
        take(receiving, made_read(device_id=name))
    told = [list(receiving.due_receipts(100.0, START_UTC_MS, 2)) for _ in range(4)]
    assert [len(names) for names in told] == [2, 2, 1, 0]
    assert sorted(name for names in told for name in names) == others


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: (read_topic(DEVICE), b"junk"), "malformed"),
        (lambda: (read_topic("k-other001"), wire_of(made_read())), "other-device"),
        (lambda: ("somewhere/else", wire_of(made_read())), "other-device"),
        (
            lambda: (read_topic("k-other001"), wire_of(made_read(device_id="k-other001"))),
            "unknown-device",
        ),
        (
            lambda: (read_topic(DEVICE), wire_of(made_read(), device_key=Ed25519PrivateKey.generate())),
            "wrong-signature",
        ),
        (
            lambda: (read_topic(DEVICE), wire_of(made_read(), agency_key=OpeningKey.generate(SuiteNumber.X25519))),
            "other-agency",
        ),
    ],
)
def test_what_is_no_read_is_counted_by_cause_and_owed_no_receipt(receiving, store, make, cause):
    topic, payload = make()
    assert receiving.take(topic, payload, START_UTC_MS) is None
    assert receiving.rejected == {cause: 1}
    assert store.counters() == {cause: 1}
    assert receiving.all_receipts(1.0, START_UTC_MS) == {}


def test_a_broken_registry_entry_rejects_that_unit_only(receiving, registry_path):
    (registry_path / "k-other001.json").write_bytes(b"{")
    assert take(receiving, made_read(device_id="k-other001")) is None
    assert take(receiving, made_read()).outcome is Outcome.STORED


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_no_message_kills_the_receiver(data):
    with store_of_one_example() as store:
        receiving = Receiving(Registry(Path("nowhere")), store, RING, RECEIPT_KEY)
        assert receiving.take(read_topic(DEVICE), data, START_UTC_MS) is None


def test_a_store_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(StoreRefused, match="check the disk and the folder"):
        ReadStore(tmp_path / "nowhere" / "reads.db")
    (tmp_path / "spoilt.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreRefused, match="not a database"):
        ReadStore(tmp_path / "spoilt.db")


def test_a_store_of_another_version_is_refused_and_left_as_it_was(tmp_path):
    path = tmp_path / "reads.db"
    with ReadStore(path) as store:
        put(store, made_read(5), START_UTC_MS)
        store._connection.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreRefused, match="another version"):
        ReadStore(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM reads").fetchone() == (1,)


def test_a_full_store_keeps_the_message_unacknowledged(receiving, store):
    store._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreRefused, match="full"):
        fill(receiving)


def fill(receiving):
    for sequence in range(200):
        take(receiving, made_read(sequence, picture=bytes(8000)))


def test_the_list_shows_stored_reads_as_lines(store, tmp_path, capsys):
    put(store, made_read(5), START_UTC_MS + 400)
    put(store, made_read(6, plate=None), START_UTC_MS + 1400)
    assert main(["list", "--folder", str(tmp_path), "--store", str(tmp_path / "reads.db")]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.index("plate") == lines[0].index(PLATE)
    assert heading.index("region") == lines[0].index("CA")
    assert len({len(text) for text in lines}) == 1
    assert "Test Street" in lines[0]
    assert PLATE in lines[0]
    assert " 80%     0.4 s" in lines[0]
    assert heading.index("read") == lines[0].index("partial")
    assert heading.index("went") == lines[0].index("away")
    assert "(no plate)  none " in lines[1]
    assert [line(read) for read in store.reads(1)] == lines[1:]


def test_a_unit_cannot_steer_the_terminal_of_who_reads_its_lines(store):
    read = made_read(5)
    site = dataclasses.replace(read.site, name="\x1b[2J" + "x" * 70)
    put(store, dataclasses.replace(read, site=site), START_UTC_MS)
    (shown,) = map(line, store.reads(1))
    assert shown.isprintable()
    assert "?[2Jxxx" in shown


def test_the_command_line_says_what_is_missing(tmp_path, capsys):
    assert main(["receive", "--folder", str(tmp_path)]) == 2
    assert "kestrel-provision fleet init" in capsys.readouterr().err
    assert main(["list", "--folder", str(tmp_path)]) == 2
    assert "there is no store yet" in capsys.readouterr().err

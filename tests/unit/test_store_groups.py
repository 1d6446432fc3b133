"""Reads that arrive together are one commit: whole or not at all, and never acknowledged or confirmed before it."""

import contextlib
import sqlite3
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import START_UTC_MS, made_read, made_sealer, registry_entry

from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import Outcome, ReadStore, StoreRefused
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import RejectionCause
from firmware.receipts import verify_receipt
from firmware.topics import read_topic

DEVICE = "k-test0001"
DEVICE_KEY = Ed25519PrivateKey.generate()
AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
RECEIPT_KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reads.db"


@pytest.fixture
def store(path):
    with ReadStore(path) as opened:
        yield opened


def receiving_into(store, folder):
    folder.mkdir(exist_ok=True)
    (folder / f"{DEVICE}.json").write_bytes(registry_entry(DEVICE, DEVICE_KEY))
    return Receiving(Registry(folder), store, OpeningKeys([AGENCY_KEY]), RECEIPT_KEY)


@pytest.fixture
def receiving(store, tmp_path):
    return receiving_into(store, tmp_path / "registry")


def message(sequence):
    sealed = made_sealer(DEVICE_KEY, AGENCY_KEY).seal(made_read(sequence))
    return read_topic(DEVICE), sealing.to_wire(sealed)


def put(store, sequence):
    read = made_read(sequence)
    return store.put(read, START_UTC_MS, read.read_id.bytes)


def count_by_another(path):
    """Return how many reads others can see: what has been committed."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT COUNT(*) FROM reads").fetchone()[0]


def test_a_group_is_seen_by_others_only_when_it_ends(store, path):
    with store.group():
        put(store, 1)
        put(store, 2)
        assert count_by_another(path) == 0
    assert count_by_another(path) == 2


def test_a_group_that_breaks_off_leaves_nothing(store, path):
    def break_off():
        put(store, 1)
        raise KeyError

    with pytest.raises(KeyError), store.group():
        break_off()
    assert count_by_another(path) == 0
    assert not store.ranges_around(DEVICE, {1})
    assert put(store, 1) is Outcome.STORED


def test_a_group_tells_new_from_known_and_from_broken(receiving):
    first, second = message(1), message(2)
    broken = (first[0], b"not an envelope")
    taken = receiving.take_all([first, broken, second, first], START_UTC_MS + 400)
    assert [one and one.outcome for one in taken] == [Outcome.STORED, None, Outcome.STORED, Outcome.DUPLICATE]
    assert (receiving.stored, receiving.duplicates) == (2, 1)
    assert receiving.rejected == {RejectionCause.MALFORMED: 1}


def test_a_disk_that_refuses_the_commit_leaves_nothing_counted_and_nobody_owed(receiving, path):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON newest BEGIN SELECT RAISE(FAIL, 'full'); END")
    with pytest.raises(StoreRefused):
        receiving.take_all([message(1), message(2)], START_UTC_MS + 400)
    assert count_by_another(path) == 0
    assert (receiving.stored, receiving.rejected) == (0, {})
    assert receiving.all_receipts(0.0, START_UTC_MS) == {}


def test_two_receivers_on_one_store_take_each_read_once(store, path, tmp_path):
    """Both get every message, at the same time, in groups that lie across each other."""
    messages = [message(sequence) for sequence in range(120)]
    outcomes = []
    both_ready = threading.Barrier(2)

    def receive(size):
        with ReadStore(path) as own:
            receiving = receiving_into(own, tmp_path / f"registry{size}")
            both_ready.wait(10)
            for first in range(0, len(messages), size):
                taken = receiving.take_all(messages[first : first + size], START_UTC_MS + 400)
                outcomes.extend(one.outcome for one in taken)
            (receipt,) = receiving.all_receipts(0.0, START_UTC_MS).values()
            ranges.append(verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE).ranges)

    ranges = []
    threads = [threading.Thread(target=receive, args=(size,)) for size in (7, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == [Outcome.DUPLICATE] * 120 + [Outcome.STORED] * 120
    assert ranges == [((0, 119),)] * 2
    assert count_by_another(path) == 120

"""Lost, repeated, re-ordered and replayed receipts, messages and restarts: nothing is lost, nothing is stored twice.

A real outbox and a real receiver; between them a network and a broker that do what Hypothesis thinks of.
"""

import contextlib
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reads import START_UTC_MS, KernelRandom, SetClock, made_read, made_sealer, registry_entry

from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import ReadStore
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.outbox import Outbox
from firmware.receipts import verify_receipt
from firmware.records import MessageClass
from firmware.topics import read_topic

DEVICE = "k-test0001"
DEVICE_KEY, RECEIPT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OPENING_KEY = OpeningKey.generate(SuiteNumber.X25519)
SEALER = made_sealer(DEVICE_KEY, OPENING_KEY)


class Way:
    """A unit, a receiver and what lies between them. A step is given a number below 100, which says what exactly."""

    def __init__(self, folder):
        self.now_s = 0.0
        self.sent, self.under_way, self.receipts, self.old_receipts = {}, [], [], []
        self._folder = folder
        (folder / "registry").mkdir()
        (folder / "registry" / f"{DEVICE}.json").write_bytes(registry_entry(DEVICE, DEVICE_KEY))
        self._open_unit()
        self._open_receiver()

    def _open_unit(self):
        self.outbox = Outbox(
            self._folder / "outbox.db", capacity_bytes=10**7, retention_s=1e6, clock=SetClock(), system=KernelRandom()
        )

    def _open_receiver(self):
        self.store = ReadStore(self._folder / "reads.db")
        registry = Registry(self._folder / "registry")
        self.receiving = Receiving(registry, self.store, OpeningKeys([OPENING_KEY]), RECEIPT_KEY)

    def put(self, number):
        self._put(MessageClass.ALERT if number < 20 else MessageClass.READ)

    def send(self, number):
        self._send(1 + number % 10, is_acknowledged=number % 3 > 0)

    def deliver(self, number):
        if self.under_way:
            self._take(self.under_way.pop(number % len(self.under_way)))

    def repeat_a_message(self, number):
        if self.under_way:
            self._take(self.under_way[number % len(self.under_way)])

    def lose_a_message(self, number):
        if self.under_way:
            del self.under_way[number % len(self.under_way)]

    def issue_receipts(self, number):
        self._issue()

    def hear_a_receipt(self, number):
        if self.receipts:
            self._hear(self.receipts.pop(number % len(self.receipts)))

    def lose_a_receipt(self, number):
        if self.receipts:
            del self.receipts[number % len(self.receipts)]

    def replay_a_receipt(self, number):
        if self.old_receipts:
            self._hear(self.old_receipts[number % len(self.old_receipts)])

    def lose_the_connection(self, number):
        self.outbox.connection_lost()

    def lose_the_session(self, number):
        self.outbox.session_lost()

    def restart_the_unit(self, number):
        self.outbox._connection.close()  # as a crash does
        self._open_unit()

    def restart_the_receiver(self, number):
        self.store.close()
        self._open_receiver()

    def pass_time(self, number):
        self.now_s += 10.0 * number

    def _take(self, wire):
        assert self.receiving.take(read_topic(DEVICE), wire, START_UTC_MS) is not None

    def _put(self, message_class):
        sealed = SEALER.seal(made_read(self.outbox.reserve_sequence(), jpeg=b""), message_class=message_class)
        self.outbox.put(sealed)
        self.sent[sealed.sequence] = sealing.to_wire(sealed)
        return sealed.sequence

    def _send(self, limit, *, is_acknowledged):
        for waiting in self.outbox.next_unsent(limit, self.now_s):
            self.outbox.mark_sent(waiting.token)
            self.under_way.append(waiting.wire)
            if is_acknowledged:
                self.outbox.acked(waiting.token, self.now_s)

    def _issue(self):
        self.now_s += 1.0
        issued = self.receiving.due_receipts(self.now_s, START_UTC_MS + round(1000 * self.now_s), 10)
        self.receipts += issued.values()
        self.old_receipts += issued.values()

    def _hear(self, receipt):
        self.outbox.confirm(verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE))

    def stored(self):
        rows = self.store._connection.execute("SELECT sequence FROM reads")
        return Counter(sequence for (sequence,) in rows)

    def kept(self):
        return {sequence for (sequence,) in self.outbox._connection.execute("SELECT sequence FROM messages")}

    def check(self):
        stored = self.stored()
        assert set(self.sent) == set(stored) | self.kept()
        assert set(stored.values()) <= {1}

    def come_to_rest(self):
        """From now on the network is kind, and time passes."""
        for _ in range(60):
            if self.outbox.count() == 0:
                return
            self.now_s += 6 * 3600.0
            self.outbox.connection_lost()
            self._send(1000, is_acknowledged=True)
            while self.under_way:
                self._take(self.under_way.pop(0))
            self._issue()
            while self.receipts:
                self._hear(self.receipts.pop(0))

    def close(self):
        self.outbox._connection.close()
        self.store.close()


STEPS = [
    Way.put, Way.put, Way.send, Way.send, Way.deliver, Way.deliver, Way.repeat_a_message, Way.lose_a_message,
    Way.issue_receipts, Way.hear_a_receipt, Way.hear_a_receipt, Way.lose_a_receipt, Way.replay_a_receipt,
    Way.lose_the_connection, Way.lose_the_session, Way.restart_the_unit, Way.restart_the_receiver, Way.pass_time,
]  # fmt: skip


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 99)), max_size=120))
def test_whatever_is_lost_repeated_or_out_of_order_all_is_stored_once_and_the_outbox_empties(steps):
    with tempfile.TemporaryDirectory() as folder:
        way = Way(Path(folder))
        try:
            for step, number in steps:
                step(way, number)
                way.check()
            way.come_to_rest()
            way.check()
            assert way.outbox.count() == 0
            assert way.stored() == Counter(dict.fromkeys(way.sent, 1))
        finally:
            way.close()


def test_a_store_that_is_brought_back_makes_no_unit_forget_and_the_loss_is_known_by_number(tmp_path):
    way = Way(tmp_path)
    numbers = [way._put(MessageClass.READ) for _ in range(12)]

    def send_and_store(count):
        way._send(count, is_acknowledged=True)
        while way.under_way:
            way._take(way.under_way.pop(0))
        way._issue()

    send_and_store(4)
    way._hear(way.receipts.pop())
    with contextlib.closing(sqlite3.connect(tmp_path / "yesterday.db")) as copy:
        way.store._connection.backup(copy)
    send_and_store(3)
    way._hear(way.receipts.pop())  # 4 to 6 are forgotten by the unit, and in no copy
    send_and_store(2)  # 7 and 8 are stored, but this receipt has not reached the unit
    way.store.close()
    for name in ("reads.db", "reads.db-wal", "reads.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "yesterday.db").rename(tmp_path / "reads.db")
    way._open_receiver()

    way.receipts.clear()  # as the operator does who removes the broker's memory
    way.outbox.session_lost()
    send_and_store(100)
    way._hear(way.receipts.pop())
    assert way.outbox.count() == 0
    assert sorted(way.stored()) == numbers[:4] + numbers[7:]
    for later_s in (31, 601, 7201, 86_401):
        way.now_s += later_s
        way._issue()
    assert way.store.counters()["missing"] == 3
    asked = [verify_receipt(one, RECEIPT_KEY.public_key(), DEVICE).asked_again for one in way.old_receipts]
    assert [one for one in asked if one] == [((numbers[4], numbers[6]),)] * 3
    way.close()

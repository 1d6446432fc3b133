"""A receiver that is away for a week, in virtual time: nothing is lost, the data plan is not spent, it ends quickly.

The unit's own outbox and uplink, the receiver's own judgement and store; between them a broker that acknowledges all.
"""

import tempfile
import threading
from collections import deque
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import KernelRandom, made_read, made_sealer, registry_entry

from cloud.gaps import ROLL_CALL_AFTER_S
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import ReadStore
from firmware.agency_keys import SuiteNumber
from firmware.config import UplinkConfig
from firmware.faults import FaultBook
from firmware.outbox import UNRECEIPTED_MAX, Outbox
from firmware.records import Acked, Connected, Received
from firmware.stage import NEVER_S, Mailbox
from firmware.topics import receipt_topic
from firmware.uplink import UplinkStage
from hw_sim.runner import VirtualClock, VirtualTime

DEVICE = "k-test0001"
DEVICE_KEY, RECEIPT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OPENING_KEY = OpeningKey.generate(SuiteNumber.X25519)
SEALER = made_sealer(DEVICE_KEY, OPENING_KEY)
DAY_S = 86_400.0
READ_EVERY_S = 360.0  # a tenth of 2,400 a day: what is sent again does not depend on it
CROP_BYTES = 4000
MONTH_BYTES = 500e6


class KeepingBroker:
    """The Link port to a broker that acknowledges at once. World face: what it keeps, and how much it was sent."""

    def __init__(self):
        self.kept = deque()
        self.sends, self.sent_bytes = 0, 0
        self._events = deque()

    def listen(self, wake):
        self._wake = wake

    def connect(self):
        self.tell(Connected(session_present=True, receive_maximum=100, maximum_packet_bytes=131_072))

    def publish(self, topic, payload, token, expiry_s):
        self.kept.append((topic, payload))
        self.sends += 1
        self.sent_bytes += len(payload)
        self.tell(Acked(token))
        return True

    def tell(self, event):
        self._events.append(event)
        self._wake.set()

    def events(self):
        events, self._events = list(self._events), deque()
        return events

    def disconnect(self):
        self._events.clear()


class Road:
    """Puts a read into the outbox every so often."""

    name = "road"

    def __init__(self, outbox, clock):
        self.wake, self.put, self.until_s = threading.Event(), 0, NEVER_S
        self._outbox, self._clock = outbox, clock

    def step(self, now_s):
        if now_s >= self.until_s:
            return NEVER_S
        read = made_read(
            self._outbox.reserve_sequence(),
            at_utc_ms=self._clock.utc_ms(),
            jpeg=b"\xff\xd8" + bytes(CROP_BYTES - 4) + b"\xff\xd9",
        )
        self._outbox.put(SEALER.seal(read))
        self.put += 1
        return now_s + READ_EVERY_S

    def close(self):
        pass


class ReceiverOnceBack:
    """The receiver's own parts, once a second from `back_at_s` on."""

    name = "receiver"

    def __init__(self, folder, broker, clock):
        self.wake, self.back_at_s = threading.Event(), NEVER_S
        (folder / "registry").mkdir()
        (folder / "registry" / f"{DEVICE}.json").write_bytes(registry_entry(DEVICE, DEVICE_KEY))
        self.store = ReadStore(folder / "reads.db")
        self._registry = Registry(folder / "registry")
        self._broker, self._clock = broker, clock
        self.start()

    def start(self):
        self.receiving = Receiving(self._registry, self.store, OpeningKeys([OPENING_KEY]), RECEIPT_KEY)

    def step(self, now_s):
        if now_s < self.back_at_s:
            return self.back_at_s
        while self._broker.kept:
            assert self.receiving.take(*self._broker.kept.popleft(), self._clock.utc_ms()) is not None
        for receipt in self.receiving.due_receipts(now_s, self._clock.utc_ms(), 100).values():
            self._broker.tell(Received(receipt_topic(DEVICE), receipt))
        return now_s + 1.0

    def close(self):
        self.store.close()


class Week:
    """A unit, a broker and a receiver, in virtual time."""

    def __init__(self, folder):
        self.clock, self.broker = VirtualClock(start_s=1000.0), KeepingBroker()
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**9, retention_s=30 * DAY_S, clock=self.clock, system=KernelRandom()
        )
        uplink = UplinkStage(
            self.broker,
            self.outbox,
            UplinkConfig(host="localhost"),
            device_id=DEVICE,
            receipt_key=RECEIPT_KEY.public_key(),
            commands=Mailbox(threading.Event(), 8),
            system=KernelRandom(),
            faults=FaultBook(),
        )
        self.road = Road(self.outbox, self.clock)
        self.receiver = ReceiverOnceBack(folder, self.broker, self.clock)
        self.time = VirtualTime([self.road, uplink, self.receiver], self.clock)

    def pass_days(self, days):
        self.time.run_until(self.clock.monotonic_s() + days * DAY_S)

    def seconds_until_empty(self):
        begun_s = self.clock.monotonic_s()
        while self.outbox.count() and self.clock.monotonic_s() < begun_s + DAY_S:
            self.time.run_until(self.clock.monotonic_s() + 10.0)
        return self.clock.monotonic_s() - begun_s

    def come_back(self):
        """Start the receiver anew, and let no vehicle pass: what is there must go by itself."""
        self.receiver.start()
        self.receiver.back_at_s = self.clock.monotonic_s()
        self.receiver.wake.set()
        self.road.until_s = self.clock.monotonic_s()


@pytest.fixture
def week():
    # nobody pulls the plug here, and some ten thousand commits need wait for no disk
    memory = Path("/dev/shm")  # noqa: S108  a fresh folder is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = Week(Path(folder))
        made.receiver.back_at_s = 0.0
        made.pass_days(0.1)  # an ordinary day first
        made.receiver.back_at_s = NEVER_S
        yield made
        made.outbox.close()
        made.receiver.close()


def test_a_receiver_away_for_a_week_costs_a_part_of_the_data_plan_and_no_read(week):
    before = week.broker.sent_bytes
    week.pass_days(7)
    waiting = week.outbox.count()
    assert waiting > 1600
    sends_of_each = (len(week.broker.kept)) / UNRECEIPTED_MAX
    assert 30 < sends_of_each < 40  # after 2, 4, 8 ... 256 minutes, then every 6 hours: 29 MB
    assert week.broker.sent_bytes - before < 0.07 * MONTH_BYTES
    week.come_back()
    assert week.seconds_until_empty() < 60
    assert week.receiver.store.count() == week.road.put
    assert week.receiver.receiving.stored == waiting
    assert week.receiver.receiving.reused == 0


def test_a_broker_that_forgot_meanwhile_what_it_had_acknowledged_delays_it_by_the_roll_call_only(week):
    week.pass_days(7)
    week.broker.kept.clear()
    week.come_back()
    assert ROLL_CALL_AFTER_S - 1 < week.seconds_until_empty() < ROLL_CALL_AFTER_S + 60
    assert week.receiver.store.count() == week.road.put


def test_what_a_broker_forgot_while_others_came_is_asked_for(week):
    week.receiver.back_at_s = 0.0
    week.receiver.wake.set()
    week.pass_days(0.01)
    week.receiver.back_at_s = NEVER_S
    week.pass_days(0.5)
    week.broker.kept.clear()  # some hours of reads, all acknowledged: each now waits for hours until it is sent again
    waiting = week.outbox.count()
    week.receiver.back_at_s = 0.0
    week.receiver.wake.set()
    week.pass_days(0.01)  # two vehicles pass
    assert waiting > 100
    assert week.outbox.count() == 0
    assert week.receiver.receiving.gaps.questions >= 1
    assert week.receiver.store.count() == week.road.put

"""The stage that keeps the data plan's account, over a real outbox and a real file; the test turns the meter."""

import dataclasses
import json
import os

import pytest
from kept_messages import sealed
from made_reads import KernelRandom, SetClock

from firmware import spending as spending_module
from firmware.budget import MESSAGE_OVERHEAD_BYTES
from firmware.config import BudgetConfig
from firmware.evidence import FULL_PICTURE
from firmware.faults import FaultBook, FaultCode
from firmware.health_report import Thrift
from firmware.outbox import Outbox
from firmware.records import MessageClass, Traffic
from firmware.spending import LOOK_EVERY_S, WRITE_AFTER_BYTES, WRITE_EVERY_S, SpendingStage

MB = 1_000_000


class TurnedMeter:
    """A TrafficMeter. World face: `traffic`."""

    def __init__(self):
        self.traffic = Traffic(boot_id="a", device=1, received_bytes=0, sent_bytes=0)

    def read(self):
        return self.traffic

    def send(self, size_bytes):
        self.traffic = dataclasses.replace(self.traffic, sent_bytes=self.traffic.sent_bytes + size_bytes)


class Bench:
    def __init__(self, folder):
        self.path, self.meter, self.faults = folder / "data-plan.json", TurnedMeter(), FaultBook()
        self.clock = SetClock()  # 15 January 2027
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**8, retention_s=1e7, clock=self.clock, system=KernelRandom()
        )
        self.now_s = 0.0
        self.stage = self.started()

    def started(self):
        return SpendingStage(self.meter, self.outbox, BudgetConfig(), self.path, clock=self.clock, faults=self.faults)

    def step(self, after_s=LOOK_EVERY_S):
        self.now_s += after_s
        assert self.stage.step(self.now_s) == self.now_s + LOOK_EVERY_S

    def spent(self):
        return self.stage.spent.get()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


def test_the_account_outlives_the_service_and_a_counter_that_begins_anew(bench):
    bench.meter.send(5 * MB)
    bench.step()
    bench.stage.close()
    bench.meter.send(2 * MB)  # while the service was away
    bench.stage = bench.started()
    bench.step()
    assert bench.spent().month_bytes == 7 * MB
    bench.stage.close()
    bench.meter.traffic = Traffic(boot_id="b", device=1, received_bytes=MB, sent_bytes=0)
    bench.stage = bench.started()
    bench.step()
    assert bench.spent().month_bytes == 8 * MB


def test_what_a_power_cut_forgets_is_little_and_what_a_card_suffers_too(bench, monkeypatch):
    writes = []
    real_write = spending_module.durable_files.write
    monkeypatch.setattr(spending_module.durable_files, "write", lambda *words: (writes.append(1), real_write(*words)))
    bench.step()
    writes.clear()
    for _ in range(100):
        bench.meter.send(WRITE_AFTER_BYTES // 10)
        bench.step()
        told = json.loads(bench.path.read_bytes())
        assert bench.spent().month_bytes - told["month_bytes"] < WRITE_AFTER_BYTES
    assert 8 <= len(writes) <= 12
    bench.meter.send(1)
    bench.step(WRITE_EVERY_S)
    assert json.loads(bench.path.read_bytes())["month_bytes"] == bench.spent().month_bytes


def test_a_new_month_begins_with_nothing_spent(bench):
    bench.meter.send(490 * MB)
    bench.step()
    assert bench.spent().thrift is Thrift.READS_WAIT
    bench.clock.now_utc_ms += 20 * 86_400_000
    bench.step()
    assert (bench.spent().month_bytes, bench.spent().thrift) == (0, Thrift.PLENTY)
    assert bench.stage.picture.get() is FULL_PICTURE


def test_a_clock_that_nobody_has_set_turns_nothing(bench):
    bench.meter.send(490 * MB)
    bench.step()
    bench.clock.now_utc_ms += 20 * 86_400_000
    bench.clock.trusted = False
    bench.step()
    assert (bench.spent().month_bytes, bench.spent().thrift) == (490 * MB, Thrift.READS_WAIT)
    assert bench.stage.picture.get() is None
    assert bench.stage.health_factor.get() == 4


def test_when_the_plan_is_spent_reads_wait_and_alerts_and_health_go(bench):
    for message_class in MessageClass:
        bench.outbox.put(sealed(bench.outbox.reserve_sequence(), message_class))
    bench.meter.send(490 * MB)
    bench.step()
    assert classes(bench) == [MessageClass.PAPER, MessageClass.ALERT, MessageClass.HEALTH]
    bench.meter.traffic = Traffic(boot_id="b", device=1, received_bytes=0, sent_bytes=0)
    bench.clock.now_utc_ms += 20 * 86_400_000
    bench.outbox.listen(bench.stage.wake)
    bench.stage.wake.clear()
    bench.step()
    assert bench.stage.wake.is_set()  # who sends must hear that reads may go again
    assert classes(bench) == sorted(MessageClass, reverse=True)


def test_what_somebody_asks_for_waits_when_reads_have_no_pictures_any_more(bench):
    assert bench.stage.has_room.get()
    for spent_mb, has_room in ((5, True), (455, False)):
        bench.meter.send(spent_mb * MB)
        bench.step()
        assert bench.stage.has_room.get() is has_room
        assert (bench.stage.picture.get() is not None) is has_room


def classes(bench):
    return [one.message_class for one in bench.outbox.next_unsent(100, bench.now_s)]


def test_no_more_reads_go_than_the_ration_allows(bench):
    for _ in range(40):
        bench.outbox.put(sealed(bench.outbox.reserve_sequence(), picture=os.urandom(3000)))
    bench.outbox.ration_reads(20_000)
    sent_bytes = 0
    while batch := bench.outbox.next_unsent(1, 0.0):
        bench.outbox.mark_sent(batch[0].token)
        sent_bytes += len(batch[0].wire) + MESSAGE_OVERHEAD_BYTES
    assert 20_000 <= sent_bytes < 25_000
    assert bench.outbox.count() == 40
    bench.outbox.connection_lost()
    assert bench.outbox.next_unsent(1, 0.0) == []
    bench.outbox.ration_reads(20_000)
    assert len(bench.outbox.next_unsent(100, 0.0)) == 40


def test_a_read_that_is_held_back_does_not_make_the_uplink_spin(bench):
    bench.outbox.put(sealed(bench.outbox.reserve_sequence()))
    (waiting,) = bench.outbox.next_unsent(1, 0.0)
    bench.outbox.mark_sent(waiting.token)
    bench.outbox.acked(waiting.token, 0.0)
    assert bench.outbox.next_due_s() < 1e6
    bench.outbox.ration_reads(0)
    assert bench.outbox.next_due_s() == float("inf")
    assert bench.outbox.next_unsent(1, 1e6) == []


def test_without_an_interface_nothing_is_held_back(bench, caplog):
    bench.meter.traffic = None
    bench.step()
    bench.step()
    assert [line.getMessage() for line in caplog.records if "budget.interface" in line.getMessage()] == [
        "the data plan's interface is not there, so nothing is counted; check budget.interface"
    ]
    assert bench.spent() is None
    bench.outbox.put(sealed(bench.outbox.reserve_sequence()))
    assert classes(bench) == [MessageClass.READ]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"month_bytes": -1}', b'{"strange": 1}', os.urandom(100)],
    ids=["empty", "half", "negative", "strange", "noise"],
)
def test_a_damaged_account_begins_anew(tmp_path, content):
    (tmp_path / "data-plan.json").write_bytes(content)
    bench = Bench(tmp_path)
    bench.meter.send(MB)
    bench.step()
    bench.stage.close()
    assert bench.spent().month_bytes == MB
    assert json.loads(bench.path.read_bytes())["month_bytes"] == MB
    bench.outbox.close()


def test_a_disk_that_refuses_is_a_fault_and_stops_no_counting(bench, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spending_module.durable_files, "write", refuse)
    bench.meter.send(MB)
    bench.step()
    assert [one.code for one in bench.faults.reports()] == [FaultCode.STORAGE_REFUSED]
    assert bench.spent().month_bytes == MB

"""Whole months of a unit, played against the governor: what is spent, and who goes without.

The outbox is played as a queue of sizes, which the governor sees as it sees a real one; the link sends one megabit a
second. Sizes on air are those that tests/bench/bytes_on_air.py measures.
"""

import datetime as dt
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from firmware.budget import BARE_READ_BYTES, MESSAGE_OVERHEAD_BYTES, Backlog, Ledger, allowance, reckoned
from firmware.config import BudgetConfig
from firmware.health_report import MAX_HEALTH_BYTES, Thrift
from firmware.records import MessageClass, Traffic

CONFIG = BudgetConfig()
PLAN_BYTES = 500_000_000
DAYS, STEP_S = 31, 600
LINK_BYTES = 125_000 * STEP_S
IDLE_BYTES = 2_500_000 // (DAYS * 86_400 // STEP_S)
START = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


@dataclass
class Month:
    """One month and what became of it."""

    reads_a_day: int = 2400
    peak_days: dict[int, int] = field(default_factory=dict)  # that many reads instead
    offline_days: tuple[int, ...] = ()
    alerts_a_day: int = 20
    picture_fill_ratio: float = 0.87  # of its limit, as measured
    foreign_mb_a_day: float = 0.0  # what somebody else sends over the same modem
    spent_bytes: int = 0
    sent: Counter = field(default_factory=Counter)
    made: Counter = field(default_factory=Counter)
    thrifts: Counter = field(default_factory=Counter)  # of reads
    waiting: deque = field(default_factory=deque)
    waiting_bytes: int = 0

    def play(self, seed=1):
        random, ledger, alerts = np.random.default_rng(seed), Ledger(), deque()
        for step in range(DAYS * 86_400 // STEP_S):
            now = START + dt.timedelta(seconds=step * STEP_S)
            ledger = reckoned(ledger, self._traffic(), int(now.timestamp() * 1000), 1)
            backlog = Backlog(messages=len(self.waiting), size_bytes=self.waiting_bytes)
            allowed = allowance(CONFIG, ledger, backlog)
            day = step * STEP_S // 86_400
            rush = 1.0 + 0.8 * np.sin(2 * np.pi * (now.hour - 6) / 24)
            reads = random.poisson(self.peak_days.get(day, self.reads_a_day) * rush * STEP_S / 86_400)
            size = BARE_READ_BYTES
            if allowed.picture is not None:
                size += round(allowed.picture.limit_bytes * self.picture_fill_ratio)
            self.waiting.extend([size] * reads)
            self.waiting_bytes += size * reads
            self.thrifts[allowed.thrift] += reads
            new_alerts = random.poisson(self.alerts_a_day * STEP_S / 86_400)
            alerts.extend([size] * new_alerts)
            self.made.update({MessageClass.READ: reads, MessageClass.ALERT: new_alerts})
            self.spent_bytes += round(self.foreign_mb_a_day * 1e6 * STEP_S / 86_400)
            if day not in self.offline_days:
                self._send(alerts, allowed.reads_bytes, step % (12 * allowed.health_factor) == 0)
        return self

    def _traffic(self):
        return Traffic(boot_id="a", device=1, received_bytes=0, sent_bytes=self.spent_bytes)

    def _send(self, alerts, reads_bytes, with_health):
        room_bytes = LINK_BYTES
        self.spent_bytes += IDLE_BYTES + with_health * (MAX_HEALTH_BYTES + MESSAGE_OVERHEAD_BYTES)
        while alerts:
            self.spent_bytes += alerts.popleft() + MESSAGE_OVERHEAD_BYTES
            self.sent[MessageClass.ALERT] += 1
        while self.waiting and reads_bytes > 0 and room_bytes > 0:
            self.waiting_bytes -= self.waiting[0]
            size = self.waiting.popleft() + MESSAGE_OVERHEAD_BYTES
            self.spent_bytes += size
            reads_bytes, room_bytes = reads_bytes - size, room_bytes - size
            self.sent[MessageClass.READ] += 1


def kept_the_rules(month):
    assert month.spent_bytes <= PLAN_BYTES
    assert month.sent[MessageClass.ALERT] == month.made[MessageClass.ALERT]
    assert month.sent[MessageClass.READ] + len(month.waiting) == month.made[MessageClass.READ]


def test_a_usual_month_sends_every_read_with_its_full_picture():
    month = Month().play()
    kept_the_rules(month)
    assert month.made[MessageClass.READ] > 31 * 2300
    assert not month.waiting
    assert set(month.thrifts) <= {Thrift.PLENTY, Thrift.SMALL_PICTURES}
    assert month.thrifts[Thrift.PLENTY] > 0.99 * month.made[MessageClass.READ]


def test_peaks_and_three_days_without_a_network_cost_no_read():
    for offline in ((0, 1, 2), (9, 10, 11), (27, 28, 29)):
        month = Month(peak_days={4: 6000, 5: 6000, 18: 8000}, offline_days=offline).play()
        kept_the_rules(month)
        assert not month.waiting
        assert month.thrifts[Thrift.PLENTY] + month.thrifts[Thrift.SMALL_PICTURES] > 0.75 * month.thrifts.total()


@pytest.mark.parametrize("reads_a_day", [3600, 5000, 10_000, 12_000])
def test_a_bad_month_loses_pictures_and_no_read(reads_a_day):
    month = Month(reads_a_day=reads_a_day).play()
    kept_the_rules(month)
    assert not month.waiting
    assert month.thrifts[Thrift.PLENTY] < 0.75 * month.thrifts.total()


@pytest.mark.parametrize("alerts_a_day", [20, 100])
def test_in_the_worst_month_reads_wait_and_alerts_go(alerts_a_day):
    month = Month(reads_a_day=24_000, alerts_a_day=alerts_a_day).play()
    kept_the_rules(month)
    assert month.waiting
    assert month.thrifts[Thrift.READS_WAIT] > 0


def test_somebody_else_s_bytes_count_too():
    month = Month(foreign_mb_a_day=12.0).play()
    kept_the_rules(month)
    assert month.thrifts[Thrift.NO_PICTURES] > 0
    assert not month.waiting

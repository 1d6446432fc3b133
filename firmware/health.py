"""The stage that says how the unit fares, by a health message every now and then.

One goes soon after the start, one each `health.period_s`, and one when a fault is new. This file only collects:
health_report.py says what the message holds and how it is kept short; the outbox brings it out like a read, after them.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from firmware import VERSION
from firmware.config import DeviceConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.health_report import ByClass, FaultWord, Health, KeyPlace, ModemReport, PowerState, Spent
from firmware.modem_records import (
    ModemStatus,
)
from firmware.outbox import Outbox
from firmware.ports import Clock, System
from firmware.records import MessageClass, PowerSample
from firmware.sealing import Sealer, uuid7
from firmware.stage import Latest

LOG = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0
FIRST_AFTER_S: Final = 60.0
"""A unit that has just started has seen its camera, its broker and maybe the time by then."""

NEW_FAULT_AFTER_S: Final = 900.0
"""A fault that is new is told at once, but a unit whose parts come and go does not talk all day."""

HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the other stages have counted since the start."""

    frames_read: int
    frames_given_up: int
    reads_sealed: int
    reads_lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the stage asks. `causes`: how often the link was refused or lost, by cause."""

    model_version: str
    counts: Callable[[], Counts]
    causes: Callable[[], Mapping[str, int]]
    spent: Latest[Spent | None]
    power: Latest[PowerSample | None]
    modem: Callable[[], ModemStatus | None]
    factor: Latest[int]  # how many times rarer than usual


class HealthStage:
    """Collects, seals and puts in the outbox."""

    name = "health"

    def __init__(
        self,
        sealer: Sealer,
        outbox: Outbox,
        config: DeviceConfig,
        sources: Sources,
        *,
        clock: Clock,
        system: System,
        faults: FaultBook,
    ) -> None:
        self.wake = threading.Event()
        self._sealer = sealer
        self._outbox = outbox
        self._config = config
        self._sources = sources
        self._clock = clock
        self._system = system
        self._faults = faults
        self._started_s = math.nan
        self._told_s = -math.inf
        self._told_codes: frozenset[FaultCode] = frozenset()
        self._sealed: deque[tuple[float, int]] = deque()  # when, and how many reads were sealed by then

    def step(self, now_s: float) -> float:
        """Note how many reads there were; make a message if one is due."""
        if math.isnan(self._started_s):
            self._started_s = now_s
        self._note_reads(now_s)
        if self._is_due(now_s):
            try:
                self._tell(now_s)
            except DeviceFault as fault:  # the disk, or the token that holds the key: the next minute tries again
                self._faults.tell(fault, now_s, LOG)
        return now_s + LOOK_EVERY_S

    def close(self) -> None:
        """Hold nothing, release nothing."""

    def report(self, now_s: float) -> Health:
        """Return how the unit fares at monotonic `now_s`. Raises DeviceFault(STORAGE_REFUSED)."""
        counts, outbox, board = self._sources.counts(), self._outbox, self._system.board_state()
        utc_ms, is_trusted = self._clock.utc_ms(), self._clock.is_trusted()
        oldest_utc_ms = outbox.oldest_utc_ms()
        return Health(
            made_utc_ms=utc_ms,
            clock_trusted=is_trusted,
            uptime_s=round(now_s - self._started_s),
            firmware_version=VERSION,
            model_version=self._sources.model_version,
            config_version=self._config.version,
            key_place=KeyPlace.FILE if self._config.token is None else KeyPlace.TOKEN,
            waiting=outbox.count(),
            waiting_bytes=outbox.waiting_bytes(),
            oldest_s=None if oldest_utc_ms is None or not is_trusted else max(0, utc_ms - oldest_utc_ms) // 1000,
            dropped=_by_class(outbox.dropped),
            expired=_by_class(outbox.expired),
            frames_read=counts.frames_read,
            frames_given_up=counts.frames_given_up,
            reads_sealed=counts.reads_sealed,
            reads_lost=counts.reads_lost,
            reads_last_hour=counts.reads_sealed - self._sealed[0][1],
            spent=self._sources.spent.get(),
            board_decidegrees=None if board.board_c is None else round(10 * board.board_c),
            throttled=board.throttled,
            power=_power_state(self._sources.power.get()),
            modem=_modem_report(self._sources.modem()),
            faults=tuple(
                FaultWord(code=one.code.value, since_s=round(now_s - one.first_s), count=one.count, hint=one.hint)
                for one in self._faults.reports()
            ),
            causes=dict(self._sources.causes()),
        )

    def _note_reads(self, now_s: float) -> None:
        self._sealed.append((now_s, self._sources.counts().reads_sealed))
        while self._sealed[0][0] < now_s - HOUR_S:
            self._sealed.popleft()

    def _is_due(self, now_s: float) -> bool:
        if math.isinf(self._told_s):
            return now_s >= self._started_s + FIRST_AFTER_S
        if now_s >= self._told_s + self._config.health.period_s * self._sources.factor.get():
            return True
        return now_s >= self._told_s + NEW_FAULT_AFTER_S and not self._codes() <= self._told_codes

    def _codes(self) -> frozenset[FaultCode]:
        return frozenset(report.code for report in self._faults.reports())

    def _tell(self, now_s: float) -> None:
        """Seal a message and store it. Raises DeviceFault."""
        codes, health = self._codes(), self.report(now_s)
        read_id = uuid7(health.made_utc_ms, self._system.random_bytes(10))
        sealed = self._sealer.seal_health(health, read_id=read_id, sequence=self._outbox.reserve_sequence())
        self._outbox.put(sealed)
        self._told_s, self._told_codes = now_s, codes


def _by_class(counted: Mapping[MessageClass, int]) -> ByClass:
    return ByClass(
        health=counted.get(MessageClass.HEALTH, 0),
        reads=counted.get(MessageClass.READ, 0),
        alerts=counted.get(MessageClass.ALERT, 0),
    )


def _power_state(sample: PowerSample | None) -> PowerState | None:
    if sample is None:
        return None
    return PowerState(
        battery_mv=_thousandths(sample.battery_v),
        battery_ma=_thousandths(sample.battery_a),
        panel_mw=_thousandths(sample.panel_w),
    )


def _thousandths(value: float | None) -> int | None:
    return None if value is None else round(1000 * value)


def _modem_report(status: ModemStatus | None) -> ModemReport | None:
    """Return what is worth telling of a modem: RSRP where the network has it, else RSSI."""
    if status is None:
        return None
    signal_dbm = status.rssi_dbm if status.rsrp_dbm is None else status.rsrp_dbm
    return ModemReport(
        registration=status.registration,
        technology=status.technology,
        signal_dbm=None if signal_dbm is None else round(signal_dbm),
    )

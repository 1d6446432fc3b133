"""The stage that keeps account of the data plan and says what may be sent. budget.py decides; this asks and writes.

The account lies in a small file of the unit's folder, written whole or not at all: once so much has been spent that a
power cut would forget it (WRITE_AFTER_BYTES), at the latest after an hour, and in the end. What it says of the
interface's counters makes good for a service that was away, but not for a machine that was.
"""

import logging
import threading
from pathlib import Path
from typing import Final

import msgspec

from firmware import budget, durable_files, strict_json
from firmware.budget import BYTES_PER_MB, Allowance, Backlog, Ledger
from firmware.config import BudgetConfig
from firmware.evidence import FULL_PICTURE
from firmware.faults import DeviceFault, DocumentRejected, FaultBook, FaultCode
from firmware.health_report import Spent, Thrift
from firmware.log_lines import Phrase
from firmware.outbox import Outbox
from firmware.ports import Clock, TrafficMeter
from firmware.records import PictureSize
from firmware.stage import NEVER_S, Latest

LOG = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0
WRITE_AFTER_BYTES: Final = 250_000
"""2,000 writes of 4 KiB in a month of 500 MB; a power cut each day would forget 7 MB of it."""

WRITE_EVERY_S: Final = 3600.0

_WHAT_FOLLOWS: Final = {
    Thrift.PLENTY: "every read has its picture",
    Thrift.SMALL_PICTURES: "pictures are small",
    Thrift.NO_PICTURES: "reads go without pictures",
    Thrift.RARE_HEALTH: "reads go without pictures, and health is rare",
    Thrift.READS_WAIT: "reads wait, alerts go",
}


class SpendingStage:
    """Looks at the counters each minute. `picture`, `has_room`, `spent`, `health_factor` and the outbox follow."""

    name = "spending"

    def __init__(
        self,
        meter: TrafficMeter | None,
        outbox: Outbox,
        config: BudgetConfig,
        path: Path,
        *,
        clock: Clock,
        faults: FaultBook,
    ) -> None:
        """Take up the account at `path`. Without a meter nothing is counted and nothing held back."""
        self.wake = threading.Event()
        self.picture: Latest[PictureSize | None] = Latest(FULL_PICTURE)
        self.has_room: Latest[bool] = Latest(True)  # noqa: FBT003  for what somebody asks for
        self.spent: Latest[Spent | None] = Latest(None)
        self.health_factor: Latest[int] = Latest(1)
        self._meter = meter
        self._outbox = outbox
        self._config = config
        self._path = path
        self._clock = clock
        self._faults = faults
        self._ledger = self._written = _load(path)
        self._written_s = 0.0
        self._thrift = Thrift.PLENTY
        self._has_said = False

    def step(self, now_s: float) -> float:
        """Count, decide, and write down what must not be forgotten."""
        if self._meter is None:
            return NEVER_S
        utc_ms = self._clock.utc_ms() if self._clock.is_trusted() else None
        traffic = self._meter.read()
        self._ledger = budget.reckoned(self._ledger, traffic, utc_ms, self._config.first_day)
        if self._ledger.counted is None:
            self._say_that_nothing_is_counted()
            return now_s + LOOK_EVERY_S
        try:
            self._apply(self._allowance())
            self._write_if_due(now_s)
        except DeviceFault as fault:
            self._faults.tell(fault, now_s, LOG)
        return now_s + LOOK_EVERY_S

    def close(self) -> None:
        """Write the account down. What the disk refuses now was not spent on much."""
        try:
            self._write()
        except DeviceFault as fault:
            LOG.warning("%s", fault)

    def _say_that_nothing_is_counted(self) -> None:
        if not self._has_said:
            self._has_said = True
            LOG.warning("the data plan's interface is not there, so nothing is counted; check budget.interface")

    def _allowance(self) -> Allowance:
        backlog = Backlog(messages=self._outbox.count(), size_bytes=self._outbox.waiting_bytes())
        return budget.allowance(self._config, self._ledger, backlog)

    def _apply(self, allowance: Allowance) -> None:
        ledger = self._ledger
        self.picture.set(allowance.picture)
        self.has_room.set(allowance.has_room_for_requests)
        self.health_factor.set(allowance.health_factor)
        self.spent.set(Spent(day_bytes=ledger.day_bytes, month_bytes=ledger.month_bytes, thrift=allowance.thrift))
        self._outbox.ration_reads(allowance.reads_bytes)
        if allowance.thrift is not self._thrift:
            self._thrift = allowance.thrift
            spent_mb = ledger.month_bytes / BYTES_PER_MB
            LOG.info("%.0f MB of this month are spent: %s", spent_mb, Phrase(_WHAT_FOLLOWS[self._thrift]))

    def _write_if_due(self, now_s: float) -> None:
        """Write the account if it is new enough. Raises DeviceFault(STORAGE_REFUSED)."""
        now, before = self._ledger, self._written
        has_turned = (now.month, now.day) != (before.month, before.day)
        is_much = abs(now.month_bytes - before.month_bytes) >= WRITE_AFTER_BYTES
        if has_turned or is_much or now_s - self._written_s >= WRITE_EVERY_S:
            self._written_s = now_s
            self._write()

    def _write(self) -> None:
        if self._ledger == self._written:
            return
        try:
            durable_files.write(self._path, msgspec.json.encode(self._ledger) + b"\n")
        except OSError as error:
            hint = f"{self._path} cannot be written ({error.strerror}); check the folder, its owner and the card"
            raise DeviceFault(FaultCode.STORAGE_REFUSED, hint) from error
        self._written = self._ledger


def _load(path: Path) -> Ledger:
    """Return the account at `path`; a new one where there is none, or none that can be read."""
    try:
        return strict_json.read(path, Ledger)
    except FileNotFoundError:
        return Ledger()
    except (OSError, DocumentRejected):
        LOG.warning("%s cannot be read; the account of the data plan begins anew", path)
        return Ledger()

"""The error families of the camera, and the book in which faults are latched.

Three families, three fates: a rejected document is counted and dropped, a device fault is latched and reported, and
anything else is a bug that stops the process so that systemd starts it again.
"""

import enum
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every command begins with this module, and most of them log nothing
    import logging


class KestrelError(Exception):
    """Everything that this product raises on purpose."""


class ConfigRejected(KestrelError):
    """A configuration file is missing, unreadable or out of bounds. The message names the key and what to do."""


class RejectionCause(enum.StrEnum):
    """Why a message was refused, in one stable word for counters. README says of each what it means."""

    MALFORMED = "malformed"
    OTHER_SCHEMA = "other-schema"
    OTHER_DEVICE = "other-device"
    UNKNOWN_DEVICE = "unknown-device"
    UNUSABLE_ENTRY = "unusable-entry"
    NOT_ACTIVE = "not-active"
    UNSIGNED = "unsigned"
    WRONG_SIGNATURE = "wrong-signature"
    OTHER_AGENCY = "other-agency"
    CANNOT_OPEN = "cannot-open"
    BAD_PAYLOAD = "bad-payload"
    READ_ID_REUSED = "read-id-reused"
    STALE = "stale"
    REORDERED = "reordered"


class DocumentRejected(KestrelError):
    """Bytes from outside are not what they should be. The message never holds the bytes themselves."""

    def __init__(self, message: str, cause: RejectionCause = RejectionCause.MALFORMED) -> None:
        super().__init__(message)
        self.cause = cause


class Retired(KestrelError):
    """The unit has been erased and does not run again. The message says why, and how to make a new one."""


class FaultCode(enum.StrEnum):
    """What can be wrong with a unit. The value is what the health report carries."""

    CAMERA_SILENT = "camera-silent"
    CAMERA_ABSENT = "camera-absent"
    CAMERA_NONSENSE = "camera-nonsense"
    LAMP_ABSENT = "lamp-absent"
    TRIGGER_ABSENT = "trigger-absent"
    TAMPER_ABSENT = "tamper-absent"
    MODEL_REFUSED = "model-refused"
    STORAGE_REFUSED = "storage-refused"
    BROKER_REFUSED = "broker-refused"
    BROKER_UNREACHABLE = "broker-unreachable"
    STAGE_STUCK = "stage-stuck"
    MEMORY_GROWS = "memory-grows"
    KEY_UNUSABLE = "key-unusable"
    CERTIFICATE_EXPIRING = "certificate-expiring"
    MODEM_ABSENT = "modem-absent"
    MODEM_SILENT = "modem-silent"
    MODEM_REFUSED = "modem-refused"
    MODEM_NONSENSE = "modem-nonsense"
    RAIL_ABSENT = "rail-absent"
    METER_ABSENT = "meter-absent"
    METER_NONSENSE = "meter-nonsense"
    REBOOT_REFUSED = "reboot-refused"
    CLOCK_DISPUTED = "clock-disputed"


class DeviceFault(KestrelError):
    """A part of this device does not do its work."""

    def __init__(self, code: FaultCode, hint: str) -> None:
        super().__init__(f"{code}: {hint}")  # the hint tells a technician what to check
        self.code, self.hint = code, hint


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """One latched fault: since when (monotonic seconds), how often, and what a technician should check."""

    code: FaultCode
    first_s: float
    count: int
    hint: str


class FaultBook:
    """Latches faults until they are cleared by name. Safe to call from every stage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reports: dict[FaultCode, FaultReport] = {}

    def latch(self, fault: DeviceFault, now_s: float) -> bool:
        """Note `fault`; return True if it is new, so that the caller logs it once and not a thousand times."""
        with self._lock:
            known = self._reports.get(fault.code)
            self._reports[fault.code] = FaultReport(
                code=fault.code,
                first_s=known.first_s if known else now_s,
                count=known.count + 1 if known else 1,
                hint=fault.hint,
            )
            return known is None

    def tell(self, fault: DeviceFault, now_s: float, log: "logging.Logger") -> None:
        """Latch `fault`; if it is new, log it as an error of the caller's `log`."""
        if self.latch(fault, now_s):
            log.error("%s", fault)

    def clear(self, code: FaultCode) -> bool:
        """Forget `code` because its part works again; return True if it had been latched."""
        with self._lock:
            return self._reports.pop(code, None) is not None

    def reports(self) -> list[FaultReport]:
        """Return the latched faults, oldest first."""
        with self._lock:
            return sorted(self._reports.values(), key=lambda report: report.first_s)

"""The stage that watches the unit's certificates run out: a unit that is not renewed in time falls silent for good.

It says so in the log 30 days before, and latches a fault from 7 days before. A clock that nobody has set is not
believed: it would cry out on every start without a network.
"""

import logging
import threading
from typing import Final

from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.identity import EXPIRY_WARN_DAYS, RENEW, days_left
from firmware.ports import Clock

LOG = logging.getLogger(__name__)

FAULT_DAYS: Final = 7
LOOK_EVERY_S: Final = 3600.0
WARN_EVERY_S: Final = 86_400.0
UNTRUSTED_LOOK_EVERY_S: Final = 60.0


class ExpiryStage:
    """Compares the date with the end of the unit's certificates, each hour."""

    name = "expiry"

    def __init__(self, not_after_utc_ms: int, clock: Clock, faults: FaultBook) -> None:
        self.wake = threading.Event()
        self._not_after_utc_ms = not_after_utc_ms
        self._clock = clock
        self._faults = faults
        self._warn_at_s = 0.0

    def step(self, now_s: float) -> float:
        """Look at the date if it can be believed."""
        if not self._clock.is_trusted():
            return now_s + UNTRUSTED_LOOK_EVERY_S
        left = days_left(self._not_after_utc_ms, self._clock.utc_ms())
        if left <= FAULT_DAYS:
            self._faults.tell(DeviceFault(FaultCode.CERTIFICATE_EXPIRING, _sentence(left)), now_s, LOG)
        elif left <= EXPIRY_WARN_DAYS and now_s >= self._warn_at_s:
            self._warn_at_s = now_s + WARN_EVERY_S
            LOG.warning("%s", _sentence(left))
        if left > FAULT_DAYS:  # somebody has put a wrong date right
            self._faults.clear(FaultCode.CERTIFICATE_EXPIRING)
        return now_s + LOOK_EVERY_S

    def close(self) -> None:
        """Hold nothing, release nothing."""


def _sentence(left: float) -> str:
    state = "has run out" if left <= 0 else f"runs out in {left:.0f} days"
    return f"the unit's certificate {state}; {RENEW}"

"""The stage that tells of a disputed wall clock. Who is right a technician must find out; nothing is decided here."""

import logging
import threading
from typing import Final

from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.ports import BoardClock

LOG = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0


class ClockStage:
    """Asks the clock each minute whether its sources agree."""

    name = "clock"

    def __init__(self, clock: BoardClock, faults: FaultBook) -> None:
        self.wake = threading.Event()
        self._clock = clock
        self._faults = faults

    def step(self, now_s: float) -> float:
        """Latch a dispute, clear one that is over."""
        if sentence := self._clock.dispute():
            self._faults.tell(DeviceFault(FaultCode.CLOCK_DISPUTED, sentence), now_s, LOG)
        else:
            self._faults.clear(FaultCode.CLOCK_DISPUTED)
        return now_s + LOOK_EVERY_S

    def close(self) -> None:
        """Hold nothing, release nothing."""

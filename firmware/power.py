"""The stage that looks at battery and panel each minute and says how they are. It decides nothing yet."""

import logging
import threading
from typing import Final

from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.ports import PowerMeter
from firmware.records import PowerSample
from firmware.stage import NEVER_S, Latest

LOG = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0

FAULTS: Final = (FaultCode.METER_ABSENT, FaultCode.METER_NONSENSE)


class PowerStage:
    """Takes samples. The newest is in `sample`: None before the first one, and while the meter is at fault."""

    name = "power"

    def __init__(self, meter: PowerMeter | None, *, faults: FaultBook) -> None:
        """Take the meter, or None for a unit without one, of which nothing is known."""
        self.wake = threading.Event()
        self.sample: Latest[PowerSample | None] = Latest(None)
        self._meter = meter
        self._faults = faults

    def step(self, now_s: float) -> float:
        """Take a sample. Without one the camera goes on: nothing but health depends on it."""
        if self._meter is None:
            return NEVER_S
        try:
            sample = self._meter.sample()
        except DeviceFault as fault:
            self.sample.set(None)
            self._forget_all_but(fault.code)
            self._faults.tell(fault, now_s, LOG)
        else:
            self.sample.set(sample)
            self._forget_all_but(None)
        return now_s + LOOK_EVERY_S

    def close(self) -> None:
        """Hold nothing, release nothing."""

    def _forget_all_but(self, latched: FaultCode | None) -> None:
        cleared = [self._faults.clear(code) for code in FAULTS if code is not latched]
        if latched is None and any(cleared):
            LOG.info("battery and panel are measured again")

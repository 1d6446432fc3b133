"""The cellular signal at a site, over minutes: one look says little, because cells breathe and trucks pass.

Owns the seam to whatever listens (`SignalSource`), the one that asks a board's modem, and what is made of many looks.
"""

import dataclasses
import enum
import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from firmware.faults import DeviceFault, FaultCode
from firmware.modem_records import AccessTechnology, ModemOrder, ModemStatus, ModemTrouble, Registration
from firmware.ports import Modem
from firmware.recovery import FAULT_CODES

GOOD_DBM, USABLE_DBM = -100.0, -112.0
"""RSRP (3GPP TS 36.214) of the worst tenth of the looks. LTE is held down to -120 dBm or so; each 3 dB less doubles
what it costs to send."""

QUIETEST_DBM, LOUDEST_DBM = -156.0, -31.0
"""What a modem may report (3GPP TS 36.133 and 38.133)."""

ANSWER_LIMIT_S = 30.0
"""For one look: ModemManager is asked four things, and gives up on each after ten seconds."""

REGISTERED = frozenset({Registration.HOME, Registration.ROAMING})


class Reception(enum.StrEnum):
    """What a signal is good for."""

    GOOD = "good"
    USABLE = "usable"
    POOR = "poor"
    NONE = "none"
    UNTOLD = "untold"  # there is a cell, and the modem does not say how strong it is


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSample:
    """One look: RSRP in dBm (None: not told), the technology's name, such as LTE, and whether a network has us."""

    at_s: float
    rsrp_dbm: float | None
    technology: str
    is_registered: bool


class SignalSource(Protocol):
    """Something that knows the modem's signal."""

    def sample(self, at_s: float) -> SignalSample:
        """Return the signal now; `at_s` are seconds since the log began. Raises DeviceFault where there is no modem."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSummary:
    """Many looks. `worst_dbm` is what nine tenths of them are above; `lost_ratio` the share without a cell."""

    samples: int
    over_s: float
    median_dbm: float | None
    worst_dbm: float | None
    best_dbm: float | None
    lost_ratio: float
    technology: str
    reception: Reception


def summary_of(samples: Sequence[SignalSample]) -> SignalSummary:
    """Return what the looks say together; a figure that no modem can report counts as none. One look or more."""
    registered = [sample for sample in samples if sample.is_registered]
    heard = sorted(
        sample.rsrp_dbm
        for sample in registered
        if sample.rsrp_dbm is not None and QUIETEST_DBM <= sample.rsrp_dbm <= LOUDEST_DBM
    )
    lost_ratio = 1.0 - len(registered) / len(samples)
    names = [sample.technology for sample in registered if sample.technology]
    worst = heard[len(heard) // 10] if heard else None
    return SignalSummary(
        samples=len(samples),
        over_s=samples[-1].at_s - samples[0].at_s,
        median_dbm=statistics.median(heard) if heard else None,
        worst_dbm=worst,
        best_dbm=heard[-1] if heard else None,
        lost_ratio=lost_ratio,
        technology=statistics.mode(names) if names else "",
        reception=_reception(worst, lost_ratio),
    )


class ModemSignal:
    """The signal as a board's modem tells it. Nobody else may ask that modem meanwhile: its answers come once."""

    def __init__(self, modem: Modem, *, answer_limit_s: float = ANSWER_LIMIT_S) -> None:
        """Begin to ask `modem`; `sample` waits for so long."""
        self.newest: SignalSample | None = None
        self.fault: DeviceFault | None = None  # why the newest look came to nothing
        self._modem = modem
        self._answer_limit_s = answer_limit_s
        self._wake = threading.Event()
        modem.listen(self._wake)

    def ask(self) -> None:
        """Ask for a look, unless one is under way. Never waits."""
        self._modem.ask(ModemOrder.LOOK)

    def heard(self) -> bool:
        """Take in what the modem has said; return whether there was anything. Never waits."""
        self._wake.clear()
        events = self._modem.events()
        for event in events:
            match event:
                case ModemStatus():
                    self.newest, self.fault = _sample_of(event), None
                case ModemTrouble(flaw=flaw, hint=hint):
                    self.fault = DeviceFault(FAULT_CODES[flaw], hint)
        return bool(events)

    def sample(self, at_s: float) -> SignalSample:
        """Return the signal now. Raises DeviceFault(MODEM_...) where no modem has answered yet.

        One that has answered before and does not now has lost its cell for all that anybody can tell.
        """
        self.ask()
        while not self.heard():
            if not self._wake.wait(self._answer_limit_s):
                hint = "the modem has not answered; check its supply and its plug: `mmcli -m any`"
                self.fault = DeviceFault(FaultCode.MODEM_SILENT, hint)
                break
        if self.fault is None and self.newest is not None:
            return dataclasses.replace(self.newest, at_s=at_s)
        if self.fault is not None and self.newest is None:
            raise self.fault
        return SignalSample(at_s=at_s, rsrp_dbm=None, technology="", is_registered=False)

    def close(self) -> None:
        """Ask no more."""
        self._modem.close()


def _sample_of(status: ModemStatus) -> SignalSample:
    is_registered = status.registration in REGISTERED
    return SignalSample(
        at_s=status.at_s,
        rsrp_dbm=status.rsrp_dbm if is_registered else None,
        technology="" if status.technology is AccessTechnology.NONE else status.technology.value.upper(),
        is_registered=is_registered,
    )


def _reception(worst_dbm: float | None, lost_ratio: float) -> Reception:
    if worst_dbm is None:
        return Reception.NONE if lost_ratio == 1.0 else Reception.UNTOLD
    if worst_dbm < USABLE_DBM or lost_ratio > 0.1:
        return Reception.POOR
    return Reception.GOOD if worst_dbm >= GOOD_DBM and lost_ratio == 0.0 else Reception.USABLE

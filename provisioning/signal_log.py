"""The cellular signal at a site, over minutes: one look says little, because cells breathe and trucks pass.

Owns the seam to whatever listens (`SignalSource`), a simulated one for practice, and what is made of many looks.
"""

import enum
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

GOOD_DBM, USABLE_DBM = -100.0, -112.0
"""RSRP (3GPP TS 36.214) of the worst tenth of the looks. LTE is held down to -120 dBm or so; each 3 dB less doubles
what it costs to send."""

QUIETEST_DBM, LOUDEST_DBM = -156.0, -31.0
"""What a modem may report (3GPP TS 36.133 and 38.133)."""


class Reception(enum.StrEnum):
    """What a signal is good for."""

    GOOD = "good"
    USABLE = "usable"
    POOR = "poor"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSample:
    """One look: RSRP in dBm (None: no cell), and the technology's name, such as LTE or NR."""

    at_s: float
    rsrp_dbm: float | None
    technology: str


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
    heard = sorted(
        sample.rsrp_dbm
        for sample in samples
        if sample.rsrp_dbm is not None and QUIETEST_DBM <= sample.rsrp_dbm <= LOUDEST_DBM
    )
    lost_ratio = 1.0 - len(heard) / len(samples)
    names = [sample.technology for sample in samples if sample.technology]
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


class SimulatedSignal:
    """A cell whose signal fades: slowly as clouds of people move, and quickly as vehicles pass; seeded."""

    def __init__(self, seed: int, *, mean_dbm: float = -97.0, lost_ratio: float = 0.0) -> None:
        self._generator = np.random.default_rng([seed, 36])
        self._mean_dbm, self._lost_ratio = mean_dbm, lost_ratio
        self._phase = float(self._generator.uniform(0.0, 2.0 * math.pi))

    def sample(self, at_s: float) -> SignalSample:
        """Return the next look."""
        slow_db = 3.0 * math.sin(at_s / 40.0 + self._phase)
        quick_db, chance = float(self._generator.normal(0.0, 1.8)), float(self._generator.random())
        is_lost = chance < self._lost_ratio
        level = None if is_lost else round(self._mean_dbm + slow_db + quick_db, 1)
        return SignalSample(at_s=at_s, rsrp_dbm=level, technology="" if is_lost else "LTE")


def _reception(worst_dbm: float | None, lost_ratio: float) -> Reception:
    if worst_dbm is None:
        return Reception.NONE
    if worst_dbm < USABLE_DBM or lost_ratio > 0.1:
        return Reception.POOR
    return Reception.GOOD if worst_dbm >= GOOD_DBM and lost_ratio == 0.0 else Reception.USABLE

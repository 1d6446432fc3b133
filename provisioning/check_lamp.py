"""The infrared lamp: whether lit pictures are brighter than dark ones that were taken between them.

Lit and dark take turns, so that clouds and vehicles cancel out. What remains is compared with how much turns of one
kind differ among themselves. By day the lamp is a few thousandths of the light, and may drown.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from firmware.exposure import Phase
from firmware.faults import DeviceFault
from firmware.ports import IrLamp
from firmware.records import Light
from provisioning.check_camera import has_pictures
from provisioning.check_eyes import Eyes
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench
from provisioning.part_reports import PartName, PartReport

TURNS = 8
"""Of each kind."""

SHOTS_A_TURN = 9
"""Those that are on their way when the lamp changes, and three that are looked at."""

LOOKED_AT = 3
LEASE_S = 1.0
LEAST_RATIO = 6.0
"""Signal to noise from which the lamp is believed: by chance alone it comes once in thousands of checks."""

LEAST_LEVELS = 0.5
LEAST_NOISE_LEVELS = 0.05
SIGMA_PER_SPREAD = 1.4826
"""Of the normal distribution: headlamps that pass spoil a turn or two, which the median leaves out."""

DARK_EXPOSURE_US, DARK_GAIN = 4000.0, 8.0


def look(eyes: Eyes, bench: Bench) -> PartReport:
    """Light the lamp by turns and say whether the picture shows it."""
    if eyes.lamp is None:
        return said(Finding.LAMP_ABSENT)
    if not has_pictures(eyes):
        return said(Finding.NO_PICTURES, PartName.LAMP)
    phase = eyes.first_look().phase
    bench.light_phase = phase
    try:
        lit, dark = _by_turns(eyes, eyes.lamp, phase)
    except DeviceFault as fault:
        if fault.code.startswith("lamp"):
            return said(Finding.LAMP_NOT_THERE, **halves(fault.hint))
        return said(Finding.NO_PICTURES, PartName.LAMP)
    return lamp_of(lit, dark, phase)


def lamp_of(lit: Sequence[float], dark: Sequence[float], phase: str) -> PartReport:
    """Return what the mean levels of the turns say, those of one kind in order. Pure."""
    gains = [one - other for one, other in zip(lit, dark, strict=True)]
    gain_levels = statistics.median(gains)
    spread = statistics.median(abs(one - gain_levels) for one in gains)
    signal_ratio = gain_levels / max(SIGMA_PER_SPREAD * spread / math.sqrt(len(gains)), LEAST_NOISE_LEVELS)
    values = {"gain_levels": gain_levels, "signal_ratio": signal_ratio, "least_ratio": LEAST_RATIO}
    if signal_ratio >= LEAST_RATIO and gain_levels >= LEAST_LEVELS:
        return said(Finding.LAMP_GOOD, **values)
    return said(Finding.LAMP_DARK if phase == Phase.NIGHT else Finding.LAMP_DROWNS, **values)


def _by_turns(eyes: Eyes, lamp: IrLamp, phase: str) -> tuple[list[float], list[float]]:
    """Return the mean levels of lit and dark turns. Raises DeviceFault."""
    settled = eyes.first_look().glances[-1].light
    eyes.ask(settled if phase == Phase.DAY else Light(exposure_us=DARK_EXPOSURE_US, gain=DARK_GAIN))
    eyes.take(2 * SHOTS_A_TURN)
    turns: dict[float, list[float]] = {1.0: [], 0.0: []}
    for _ in range(TURNS):
        for lamp_ratio, levels in turns.items():
            lamp.renew(lamp_ratio, LEASE_S)
            glances = eyes.take(SHOTS_A_TURN)[-LOOKED_AT:]
            levels.append(statistics.fmean(float(np.mean(one.small)) for one in glances))
    lamp.renew(0.0, LEASE_S)
    eyes.ask(settled)
    return turns[1.0], turns[0.0]

"""Meter, battery and panel: whether what is measured can be, and whether the unit will live through the night.

Limits are those of LiFePO4 cells, four in series as a rule. One is charged to 3.65 V and discharged to 2.5 V at most
(data sheets of such cells, as EVE's LF105), and holds a quarter of its charge or less below 3.2 V at rest, a tenth
below 3.0 V. A battery's own protection opens below and above.
"""

import datetime as dt

from firmware.exposure import Phase
from firmware.faults import DeviceFault
from firmware.records import PowerSample
from provisioning.check_words import AT_REST, CHARGING, DISCHARGING, Finding, halves, said
from provisioning.checking import Bench, Look
from provisioning.part_reports import PartName, PartReport
from provisioning.places import place_of
from provisioning.sun import sun_at

CELL_MOST_V, CELL_LOW_V, CELL_EMPTY_V = 3.7, 3.2, 3.0

UNIT_TAKES_AT_MOST_W = 8.0
"""A Raspberry Pi 4 at work, a modem that sends and the lamp; what a panel gives beyond goes into the battery."""

STILL_A = 0.05
"""Less than this is no flow: the offset of a shunt amplifier."""

DAY_DEG = 10.0
"""The sun's elevation from which even a clouded panel gives something."""

LEAST_W = 0.3
LIT_V = 10.0
"""A panel that is lit has nearly its open voltage, whoever takes its power."""


class PowerLooks:
    """Asks the meter once, for all three parts."""

    def __init__(self) -> None:
        self._sample: PowerSample | None = None
        self._fault = ""
        self._was_asked = False

    def looks(self) -> dict[PartName, Look]:
        """Return how meter, battery and panel are looked at."""
        return {
            PartName.METER: self._meter,
            PartName.BATTERY: lambda bench: self._judged(bench, PartName.BATTERY),
            PartName.PANEL: lambda bench: self._judged(bench, PartName.PANEL),
        }

    def _meter(self, bench: Bench) -> PartReport:
        if bench.board.power is None:
            return said(Finding.METER_ABSENT)
        sample = self._sampled(bench)
        return said(Finding.METER_FAULT, **halves(self._fault)) if sample is None else meter_of(sample)

    def _judged(self, bench: Bench, part: PartName) -> PartReport:
        is_battery = part is PartName.BATTERY
        if bench.board.power is None:
            return said(Finding.BATTERY_ABSENT if is_battery else Finding.PANEL_ABSENT)
        sample = self._sampled(bench)
        if sample is None:
            return said(Finding.BATTERY_UNSEEN if is_battery else Finding.PANEL_UNSEEN)
        if not is_battery:
            return panel_of(sample, is_day=_is_day(bench))
        power = bench.settings.power
        return battery_of(sample) if power is None else battery_of(sample, power.battery_cells)

    def _sampled(self, bench: Bench) -> PowerSample | None:
        if not self._was_asked and bench.board.power is not None:
            self._was_asked = True
            try:
                self._sample = bench.board.power.sample()
            except DeviceFault as fault:
                self._fault = fault.hint
        return self._sample


def meter_of(sample: PowerSample) -> PartReport:
    """Return what the meter measures. Pure."""
    shown = {
        "battery_v": (sample.battery_v, "battery {:.2f} V"),
        "battery_a": (sample.battery_a, "battery {:+.2f} A"),
        "panel_v": (sample.panel_v, "panel {:.1f} V"),
        "panel_w": (sample.panel_w, "panel {:.1f} W"),
        "board_c": (sample.board_c, "{:.0f} degrees C beside it"),
    }
    values = ", ".join(words.format(value) for value, words in shown.values() if value is not None)
    return said(Finding.METER_GOOD, values=values, **{name: value for name, (value, _) in shown.items()})


def battery_of(sample: PowerSample, cells: int = 4) -> PartReport:
    """Return how a battery of so many cells in series is. Pure."""
    volts, amperes, panel_w = sample.battery_v, sample.battery_a, sample.panel_w
    if volts is None:
        return said(Finding.BATTERY_ABSENT)
    values = {"battery_v": volts, "battery_a": amperes, "panel_w": panel_w}
    most_v, low_v, empty_v = (cells * cell_v for cell_v in (CELL_MOST_V, CELL_LOW_V, CELL_EMPTY_V))
    is_charging = amperes is not None and amperes > STILL_A
    is_discharging = amperes is not None and amperes < -STILL_A
    gives_plenty = panel_w is not None and panel_w > UNIT_TAKES_AT_MOST_W
    flaws = (
        (volts > most_v, Finding.BATTERY_HIGH, most_v),
        (volts < empty_v, Finding.BATTERY_EMPTY, empty_v),
        (gives_plenty and is_discharging, Finding.BATTERY_REVERSED, low_v),
        (volts < low_v and not is_charging, Finding.BATTERY_LOW, low_v),
    )
    for holds, finding, limit_v in flaws:
        if holds:
            return said(finding, **values, limit_v=limit_v)
    if amperes is None:
        return said(Finding.BATTERY_VOLTS_ONLY, **values)
    flow = CHARGING if is_charging else DISCHARGING if is_discharging else AT_REST
    return said(Finding.BATTERY_GOOD, **values, flow=flow)


def panel_of(sample: PowerSample, *, is_day: bool) -> PartReport:
    """Return how the panel is. Pure."""
    volts, watts = sample.panel_v, sample.panel_w
    if watts is None:
        return said(Finding.PANEL_ABSENT)
    values = {"panel_v": volts, "panel_w": watts}
    if watts < LEAST_W:
        if not is_day:
            return said(Finding.PANEL_AT_NIGHT, **values)
        return said(Finding.PANEL_IDLE if volts is not None and volts > LIT_V else Finding.PANEL_DARK, **values)
    return said(Finding.PANEL_GOOD, panel_v=0.0 if volts is None else volts, panel_w=watts)


def _is_day(bench: Bench) -> bool:
    """Say whether it is day: by the camera if it was asked, else by the sun over the site."""
    if bench.light_phase:
        return bench.light_phase == Phase.DAY
    if not bench.board.clock.is_trusted():
        return False
    moment = dt.datetime.fromtimestamp(bench.board.clock.utc_ms() / 1000, tz=dt.UTC)
    return sun_at(place_of(bench.settings.site), moment).elevation_deg > DAY_DEG

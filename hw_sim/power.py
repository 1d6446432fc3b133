"""The simulated supply: panel, charger, battery and load in the light of the world, and the chips that measure them.

Device face: `read`, the files by which the kernel's driver answers (drivers/hwmon/ina2xx.c). World face:
`fail`, `charge_ratio`, `energy`. It obeys the parts' own rules: a chip rounds to its steps and ends at its full scale,
a full battery takes nothing more, an empty one gives nothing, and every watt-hour that comes from the panel is used,
stored or lost, and counted as such. Seeded; nothing here reads a clock but the one that it is given.
"""

import enum
import errno
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from firmware.board.power_meter import FULL_SCALE_MV, place
from firmware.config import MeterConfig, PowerConfig
from firmware.ports import Clock
from hw_sim.light import Sky

LUX_PER_W_M2: Final = 115.0
"""Luminous efficacy of daylight (Littlefair, Lighting Research and Technology 17 (1985): 105 to 125 for all skies)."""

FULL_SUN_W_M2: Final = 1000.0
LEAST_SUN_W_M2: Final = 5.0
"""Below it the charger sleeps."""

CELL_CHARGE, CELL_V = (
    (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0),
    (2.5, 3.0, 3.13, 3.22, 3.26, 3.28, 3.29, 3.31, 3.32, 3.33, 3.34, 3.37, 3.45),
)
"""Voltage of a resting LiFePO4 cell against its charge, as makers' data sheets draw it at 25 degrees."""

CELL_OHM: Final = 0.008
STEP_S: Final = 60.0
LOW_CHARGE_RATIO: Final = 0.04

BUS_STEP_MV: Final = {"ina219": 4.0, "ina220": 4.0}  # else 1.25
SHUNT_STEP_UV: Final = {"ina219": 10.0, "ina220": 10.0}  # else 2.5
HUNG_MV: Final = 81_919
"""0xFFFF of an INA226: what a bus reads whose data line is stuck high."""

Irradiance = Callable[[float], float]
"""Monotonic seconds -> W/m2 on the panel."""


class PowerAmiss(enum.StrEnum):
    """What is wrong with a unit's supply or its meters."""

    ABSENT = "absent"
    NONSENSE = "nonsense"
    BATTERY_LOW = "battery-low"
    PANEL_DARK = "panel-dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRules:
    """The parts of the supply. `battery_wh` is what it holds at the voltage of its resting cells."""

    panel_w: float = 53.0  # in full sun
    panel_v: float = 18.0  # there, of the panel's 36 cells
    panel_kept_ratio: float = 0.9  # after dirt, heat and mismatch
    charger_ratio: float = 0.95
    battery_wh: float = 375.0
    begins_at_ratio: float = 0.8
    load_w: float = 2.5


@dataclass(slots=True, kw_only=True)
class EnergyCount:
    """Watt-hours since the start: harvested = used + lost + what the battery has more now. `unserved`: it was empty."""

    harvested_wh: float = 0.0
    used_wh: float = 0.0
    lost_wh: float = 0.0
    unserved_wh: float = 0.0


def irradiance_of(sky: Sky) -> Irradiance:
    """Return the light of the pictures' sky on a flat panel, clouds included."""
    return lambda at_s: sky.ground_lux * sky.ambient_ratio(at_s) / LUX_PER_W_M2


class SimPower:
    """A panel, a charger, a battery, a load of 2.5 W and the monitors that a configuration names."""

    def __init__(
        self,
        config: PowerConfig,
        clock: Clock,
        irradiance: Irradiance,
        *,
        seed: int = 1,
        rules: PowerRules = PowerRules(),
    ) -> None:
        """Begin now, with the battery as charged as the rules say."""
        self.amiss: PowerAmiss | None = None
        self.energy = EnergyCount()
        self._config, self._clock, self._irradiance, self._rules = config, clock, irradiance, rules
        self._generator = np.random.default_rng([seed, 226])
        self._stored_wh = rules.begins_at_ratio * rules.battery_wh
        self._at_s = clock.monotonic_s()
        self._battery_a = self._panel_w = 0.0
        self._settle(0.0)

    @property
    def charge_ratio(self) -> float:
        """How full the battery was when it was last looked at."""
        return self._stored_wh / self._rules.battery_wh

    def fail(self, amiss: PowerAmiss | None) -> None:
        """Let this be wrong from now on; None: nothing, but only the panel charges a battery that is low."""
        self.advance()
        self.amiss = amiss
        if amiss is PowerAmiss.BATTERY_LOW:
            self._stored_wh = LOW_CHARGE_RATIO * self._rules.battery_wh
        self._settle(0.0)

    def read(self, at: str, name: str) -> str:
        """Return what the kernel's file says now. Raises OSError."""
        meters = {"battery": self._config.battery, "panel": self._config.panel}
        for what, meter in meters.items():
            if meter is None or place(meter) != at or self.amiss is PowerAmiss.ABSENT:
                continue
            if name not in {"in1_input", "curr1_input"}:
                continue
            self.advance()
            volts, amperes = self._battery() if what == "battery" else self._panel()
            number = self._bus_mv(meter, volts) if name.startswith("in") else self._current_ma(meter, amperes)
            return f"{number}\n"
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{at}/{name}")

    def advance(self) -> None:
        """Let charge flow until now."""
        now_s = self._clock.monotonic_s()
        while self._at_s < now_s:
            duration_s = min(STEP_S, now_s - self._at_s)
            self._settle(duration_s)
            self._at_s += duration_s

    def _settle(self, duration_s: float) -> None:
        """Balance the powers of this moment, and let them flow for so long."""
        rules, hours = self._rules, duration_s / 3600.0
        available_w, load_w = self._sunlit_w(self._at_s + duration_s / 2.0), rules.load_w
        unserved_w = 0.0
        flow_a = self._current_of(available_w * rules.charger_ratio - load_w)
        room_wh = rules.battery_wh - self._stored_wh
        if flow_a > 0.0 and self._rest_v() * flow_a * hours >= room_wh:
            # the charger takes from the panel no more than what is used: a battery that is full stays so
            flow_a = room_wh / hours / self._rest_v() if hours else 0.0
            available_w = (flow_a * (self._rest_v() + flow_a * self._ohm()) + load_w) / rules.charger_ratio
        elif flow_a < 0.0 and self._rest_v() * -flow_a * hours >= self._stored_wh:
            unserved_w = max(0.0, load_w - available_w * rules.charger_ratio)
            load_w, flow_a = load_w - unserved_w, 0.0
        self._battery_a, self._panel_w = flow_a, available_w
        self._stored_wh = min(rules.battery_wh, max(0.0, self._stored_wh + self._rest_v() * flow_a * hours))
        self.energy.harvested_wh += available_w * hours
        self.energy.used_wh += load_w * hours
        self.energy.unserved_wh += unserved_w * hours
        self.energy.lost_wh += ((1.0 - rules.charger_ratio) * available_w + flow_a**2 * self._ohm()) * hours

    def _sunlit_w(self, at_s: float) -> float:
        light = self._light(at_s)
        if light < LEAST_SUN_W_M2:
            return 0.0
        return self._rules.panel_w * self._rules.panel_kept_ratio * light / FULL_SUN_W_M2

    def _light(self, at_s: float) -> float:
        return 0.0 if self.amiss is PowerAmiss.PANEL_DARK else self._irradiance(at_s)

    def _rest_v(self) -> float:
        return self._config.battery_cells * float(np.interp(self.charge_ratio, CELL_CHARGE, CELL_V))

    def _ohm(self) -> float:
        return self._config.battery_cells * CELL_OHM

    def _current_of(self, net_w: float) -> float:
        """Return the current at which so many watts flow into the battery's terminals: V I with V = rest + I R."""
        rest_v, ohm = self._rest_v(), self._ohm()
        return (math.sqrt(max(0.0, rest_v**2 + 4.0 * ohm * net_w)) - rest_v) / (2.0 * ohm)

    def _battery(self) -> tuple[float, float]:
        return self._rest_v() + self._battery_a * self._ohm(), self._battery_a

    def _panel(self) -> tuple[float, float]:
        """Return the panel's volts, which fall with the logarithm of the light, and the amperes of its watts."""
        light = self._light(self._at_s)
        if light <= 0.0:
            return 0.0, 0.0
        volts = max(0.0, self._rules.panel_v * (1.0 + 0.06 * math.log(light / FULL_SUN_W_M2)))
        return volts, self._panel_w / volts if volts else 0.0

    def _bus_mv(self, meter: MeterConfig, volts: float) -> int:
        if self.amiss is PowerAmiss.NONSENSE:
            return HUNG_MV
        step_mv = BUS_STEP_MV.get(meter.chip, 1.25)
        return round(max(0, round(volts * 1000.0 / step_mv + self._generator.normal(0.0, 0.5))) * step_mv)

    def _current_ma(self, meter: MeterConfig, amperes: float) -> int:
        if self.amiss is PowerAmiss.NONSENSE:
            return -1
        step_uv = SHUNT_STEP_UV.get(meter.chip, 2.5)
        across_uv = amperes * meter.shunt_mohm * 1000.0 * (-1.0 if meter.is_reversed else 1.0)
        steps = round(across_uv / step_uv + self._generator.normal(0.0, 0.5))
        most = round(FULL_SCALE_MV[meter.chip] * 1000.0 / step_uv)
        return round(min(most, max(-most, steps)) * step_uv / meter.shunt_mohm)

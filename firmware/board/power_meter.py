"""Battery and panel through power monitors on the I2C bus, by the kernel's own drivers (hwmon). It translates only.

Why the kernel's driver: `ina2xx` is kept, knows each chip's registers, calibrates for the shunt, and calibrates again
when a supply that dipped has made the chip forget; no library for Python does that last thing. It answers in files that
every user may read, so the service needs no bus and no device node. `card install` has udev tell the kernel which chip
sits at which address. Raspberry Pi's own kernel has the driver, since 2016 (Debian's has another one for these chips).
Files and units: Documentation/hwmon/ina2xx.rst and sysfs-interface.rst of Linux.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware.board.linux import SYS
from firmware.config import MeterConfig, PowerConfig
from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock
from firmware.records import PowerSample

BUS: Final = 1
"""The I2C bus on pins 3 and 5 of the header, on every Pi since 2012."""

FULL_SCALE_MV: Final = {"ina219": 320.0, "ina220": 320.0, "ina226": 81.92, "ina230": 81.92, "ina231": 81.92}
"""The most that each chip can measure across its shunt, by its datasheet (INA219: with the driver's gain)."""

SATURATED_RATIO: Final = 0.998
HIGHEST_V: Final = 36.0
"""What the chips bear (INA226; INA219 26 V). A bus that hangs reads as 0xFFFF, which would be 82 V."""

HIGHEST_CELL_V: Final = 4.2
"""A charger for LiFePO4 ends at 3.65 V a cell; well beyond that it is another battery, or the number is mistaken."""

REVERSED_PANEL_W: Final = -0.5
"""At night a panel without a diode takes some milliwatts; more is a shunt that is wired the other way round."""

ReadText = Callable[[str, str], str]
"""(place, name) -> the text of that file of the chip at that place, such as `1-0040`. Raises OSError."""


def place(meter: MeterConfig) -> str:
    """Return how the kernel calls the chip: bus and address, such as `1-0040`."""
    return f"{BUS}-{int(meter.address, 16):04x}"


def read_hwmon(at: str, name: str, *, sys: Path = SYS) -> str:
    """Return the text of file `name` of the hwmon device of the I2C chip at `at`. Raises OSError."""
    folder = sys / "bus" / "i2c" / "devices" / at / "hwmon"
    device = min(folder.iterdir(), default=folder / "hwmon0")  # its number changes with each start
    return (device / name).read_text()


class HwmonMeter:
    """The PowerMeter port over hwmon."""

    def __init__(self, config: PowerConfig, clock: Clock, *, read: ReadText = read_hwmon) -> None:
        """Take what is measured where. Nothing is read yet."""
        self._config = config
        self._clock = clock
        self._read = read

    def sample(self) -> PowerSample:
        """Return battery and panel as they are now. Raises DeviceFault(METER_ABSENT, METER_NONSENSE)."""
        battery, panel = self._config.battery, self._config.panel
        at_s = self._clock.monotonic_s()
        battery_v, battery_a = (None, None) if battery is None else self._measured("battery", battery)
        if battery_v is not None and battery_v > self._config.battery_cells * HIGHEST_CELL_V:
            found = f"{battery_v:.1f} V is more than {self._config.battery_cells} cells of LiFePO4 can have"
            raise _nonsense("battery", found, "check power.battery_cells and how many cells are in series")
        panel_v, panel_a = (None, None) if panel is None else self._measured("panel", panel)
        panel_w = None if panel_v is None or panel_a is None else panel_v * panel_a
        if panel_w is not None and panel_w < REVERSED_PANEL_W:
            hint = "swap the two wires of its shunt, or set power.panel.is_reversed"
            raise _nonsense("panel", f"it seems to take {-panel_w:.1f} W", hint)
        return PowerSample(
            at_s=at_s,
            battery_v=battery_v,
            battery_a=battery_a,
            panel_v=panel_v,
            panel_w=None if panel_w is None else max(0.0, panel_w),
            board_c=None,  # these chips have no thermometer
        )

    def _measured(self, what: str, meter: MeterConfig) -> tuple[float, float]:
        """Return volts and amperes. Raises DeviceFault(METER_ABSENT, METER_NONSENSE)."""
        volts = self._number(what, meter, "in1_input") / 1000.0
        amperes = self._number(what, meter, "curr1_input") / 1000.0
        if not -0.1 <= volts <= HIGHEST_V:
            raise _nonsense(what, f"{volts:.1f} V is out of its range", "check its wires: `i2cdetect -y 1`")
        if abs(amperes) * meter.shunt_mohm >= SATURATED_RATIO * FULL_SCALE_MV[meter.chip]:
            found = f"{amperes:.1f} A is at the end of what its shunt can measure"
            raise _nonsense(
                what, found, f"check what hangs on it, and power.{what}.shunt_mohm against the shunt's print"
            )
        return max(0.0, volts), -amperes if meter.is_reversed else amperes

    def _number(self, what: str, meter: MeterConfig, name: str) -> int:
        try:
            return int(self._read(place(meter), name))
        except ValueError as error:
            raise _nonsense(what, "it answers no number", "check its wires: `i2cdetect -y 1`") from error
        except OSError as error:
            found = f"the {what}'s meter, an {meter.chip} at {meter.address}, does not answer ({type(error).__name__})"
            hint = f"{found}; check its plug and supply, `i2cdetect -y 1`, and that `card install` knew of power.{what}"
            raise DeviceFault(FaultCode.METER_ABSENT, hint) from error


def _nonsense(what: str, found: str, hint: str) -> DeviceFault:
    return DeviceFault(FaultCode.METER_NONSENSE, f"the {what}'s meter: {found}; {hint}")

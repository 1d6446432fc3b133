"""A tree of files as the kernel's hwmon driver makes it under /sys for power monitors on the I2C bus.

Files, names and units are those of drivers/hwmon/ina2xx.c; numbers are rounded as the chip's registers round them
(INA226: 1.25 mV a step of the bus voltage).
"""

from pathlib import Path


class HwmonTree:
    """A /sys in a folder. World face: `ina226`, `write`, `unplug`."""

    def __init__(self, sys: Path) -> None:
        self.sys = sys
        self._devices = 0

    def ina226(self, at: str, volts: float, amperes: float, *, shunt_uohm: int = 2000) -> Path:
        step_mv = 1.25
        return self._chip(
            at,
            "ina226",
            {
                "in0_input": round(amperes * shunt_uohm / 1000),
                "in1_input": round(round(volts * 1000 / step_mv) * step_mv),
                "curr1_input": round(amperes * 1000),
                "power1_input": round(abs(volts * amperes) * 1000 / 25) * 25_000,
                "shunt_resistor": shunt_uohm,
                "update_interval": 35,
            },
        )

    def write(self, at: str, name: str, text: str) -> None:
        (self._folder(at) / name).write_text(text)

    def unplug(self, at: str) -> None:
        """The chip has gone, and its driver with it."""
        folder = self._folder(at)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    def _chip(self, at: str, chip: str, files: dict[str, int]) -> Path:
        """Make the device's folder and the link of its class, as the driver core does."""
        device = self.sys / "devices/platform/soc/fe804000.i2c/i2c-1" / at
        folder = device / f"hwmon/hwmon{self._devices + 2}"  # 0 and 1 are the processor's and the supply's
        self._devices += 1
        folder.mkdir(parents=True)
        for name, number in files.items():
            (folder / name).write_text(f"{number}\n")
        (folder / "name").write_text(f"{chip}\n")
        bus, of_class = self.sys / "bus/i2c/devices", self.sys / "class/hwmon"
        for links, name, target in ((bus, at, device), (of_class, folder.name, folder)):
            links.mkdir(parents=True, exist_ok=True)
            (links / name).symlink_to(target)
        return folder

    def _folder(self, at: str) -> Path:
        (folder,) = (self.sys / "bus/i2c/devices" / at / "hwmon").iterdir()
        return folder

"""The byte counters of a network interface: /sys/class/net/NAME/statistics (sysfs-class-net-statistics)."""

from pathlib import Path

from firmware.board.linux import PROC, SYS
from firmware.records import Traffic


class InterfaceMeter:
    """What went through one interface. It may come and go, as a modem's does."""

    def __init__(self, name: str, *, sys: Path = SYS, proc: Path = PROC) -> None:
        self._interface = sys / "class" / "net" / name
        self._boot_id = proc / "sys" / "kernel" / "random" / "boot_id"

    def read(self) -> Traffic | None:
        """Return what the kernel counts now, or None while there is no such interface."""
        try:
            return Traffic(
                boot_id=self._boot_id.read_text().strip(),
                device=self._number("ifindex"),
                received_bytes=self._number("statistics/rx_bytes"),
                sent_bytes=self._number("statistics/tx_bytes"),
            )
        except (OSError, ValueError):  # it went away between two files
            return None

    def _number(self, name: str) -> int:
        return int((self._interface / name).read_text())

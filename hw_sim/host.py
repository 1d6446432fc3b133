"""The machine under a simulated unit: the one that the simulator runs on, but for what must not happen to it."""

from collections.abc import Callable

from firmware.board.linux import LinuxSystem
from firmware.records import BoardState, MemoryUse


class SimHost:
    """The System port. World face: `reboots`, how often the unit asked for one."""

    def __init__(self, notify_socket: str = "", on_reboot: Callable[[], None] = lambda: None) -> None:
        """Take where the service manager listens, and what a reboot does to the simulated parts."""
        self.reboots = 0
        self._here = LinuxSystem(notify_socket)
        self._on_reboot = on_reboot

    def notify(self, state: str) -> None:
        """Tell the service manager of the real machine."""
        self._here.notify(state)

    def random_bytes(self, count: int) -> bytes:
        """Return `count` bytes of the kernel's generator."""
        return self._here.random_bytes(count)

    def memory(self) -> MemoryUse:
        """Return what the real process holds."""
        return self._here.memory()

    def board_state(self) -> BoardState:
        """Return how warm the real machine is."""
        return self._here.board_state()

    def reboot(self) -> None:
        """Note that the unit wants to be rebooted, and let the simulated parts feel it; the real machine stays up."""
        self.reboots += 1
        self._on_reboot()

"""Time, randomness and the service manager as Linux offers them. The only file of the firmware that reads a clock."""

import ctypes
import os
import resource
import socket
import time
import uuid
from pathlib import Path

from firmware.board import logind
from firmware.board.system_bus import SYSTEM_BUS
from firmware.records import BoardState, MemoryUse

TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches this file when it has set the clock (systemd-timesyncd.service(8))."""

TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""

TIMEX_BYTES = 512
"""More than `struct timex` needs on any Linux (208 bytes on 64 bit). All zero means: change nothing, only tell."""

PROC = Path("/proc")

BOOT_ID_BYTES = 8
"""Of the kernel's 16 (random(4)): no two starts of a fleet are alike."""
SYS = Path("/sys")

THERMAL_ZONE = Path("class/thermal/thermal_zone0/temp")
"""The processor's, on a Raspberry Pi and elsewhere, in thousandths of a degree (sysfs-class-thermal)."""

THROTTLED = "devices/platform/soc*/soc*:firmware/get_throttled"
"""Of drivers/firmware/raspberrypi.c in Raspberry Pi's kernel: the bits of `vcgencmd get_throttled`, hexadecimal."""

PR_SET_DUMPABLE = 4
"""prctl(2)."""


def forbid_dumps() -> None:
    """Keep this process's memory, where reads are in the clear, out of core files and of other processes' reach.

    RLIMIT_CORE does not hold where a program takes the cores (core(5)); PR_SET_DUMPABLE does, and besides keeps out
    ptrace(2) by processes of the same user. Raises OSError if the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) is refused")


class LinuxClock:
    """Monotonic time that goes on during suspend, and the wall clock."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def monotonic_s(self) -> float:
        """Return CLOCK_BOOTTIME in seconds."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def utc_ms(self) -> int:
        """Return the wall clock in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def is_trusted(self) -> bool:
        """Say whether the kernel counts the clock as synchronised, or systemd-timesyncd says that it has set it.

        A sandbox may forbid adjtimex even to ask; then it answers -1 and only the mark counts.
        """
        state = int(self._libc.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
        return 0 <= state < TIME_ERROR or TIMESYNC_MARK.exists()

    def boot_id(self) -> bytes:
        """Return what the kernel drew by lot when it started (proc_sys_kernel(5))."""
        return uuid.UUID((PROC / "sys/kernel/random/boot_id").read_text().strip()).bytes[-BOOT_ID_BYTES:]


class LinuxSystem:
    """The service manager, by the protocol of sd_notify(3), the kernel's random generator, and its count of memory."""

    def __init__(
        self, notify_socket: str = "", *, proc: Path = PROC, sys: Path = SYS, bus_address: str = SYSTEM_BUS
    ) -> None:
        """Take the address in $NOTIFY_SOCKET; an empty one means that no service manager listens."""
        self._proc = proc
        self._sys = sys
        self._bus_address = bus_address
        self._address = "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket

    def notify(self, state: str) -> None:
        """Send `state` to the service manager; nothing without one. Raises OSError when the manager is gone."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(1.0)
            line.sendto(state.encode(), self._address)

    def random_bytes(self, count: int) -> bytes:
        """Return `count` bytes of the kernel's generator."""
        return os.urandom(count)

    def memory(self) -> MemoryUse:
        """Return resident memory (proc_pid_statm(5), pages) and the free part of the contiguous memory allocator.

        libcamera's buffers come from that pool (CmaFree of proc_meminfo(5)); a kernel without one has no such line.
        """
        resident_pages = int((self._proc / "self" / "statm").read_text().split()[1])
        lines = (self._proc / "meminfo").read_text().splitlines()
        free_kb = [int(line.split()[1]) for line in lines if line.startswith("CmaFree:")]
        return MemoryUse(
            resident_bytes=resident_pages * os.sysconf("SC_PAGE_SIZE"),
            pool_free_bytes=free_kb[0] * 1024 if free_kb else None,
        )

    def reboot(self) -> None:
        """Ask systemd-logind for a restart of the machine. Raises DeviceFault(REBOOT_REFUSED)."""
        logind.reboot(self._bus_address)

    def board_state(self) -> BoardState:
        """Return what the kernel says of the processor's warmth and of the supply; None where it says nothing."""
        thousandths = _number_in(self._sys / THERMAL_ZONE, 10)
        throttled = next((_number_in(path, 16) for path in sorted(self._sys.glob(THROTTLED))), None)
        return BoardState(board_c=None if thousandths is None else thousandths / 1000, throttled=throttled)


def _number_in(path: Path, base: int) -> int | None:
    """Return the number in a file of the kernel, or None if it has none to give."""
    try:
        return int(path.read_text(), base)
    except (OSError, ValueError):
        return None

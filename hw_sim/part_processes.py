"""Parts of a run that are processes of their own: started, told to end, and what each has cost so far.

What a process cost is Linux's own account (proc(5): /proc/PID/stat and status), so that a part pays for its threads
and for the kernel's work in its name, and for nobody else's.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.faults import KestrelError

STOP_LIMIT_S: Final = 60.0
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


class PartEnded(KestrelError):
    """A process of a run ended when it should not have. It has said why on the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process has used since it began; all zero if it is gone."""

    cpu_s: float = 0.0  # user and system, all threads
    peak_rss_mb: float = 0.0  # highest resident memory, MB of 10^6 bytes


@contextmanager
def child(command: list[str], *, stdout: int | None) -> Iterator[subprocess.Popen[str]]:
    """Run a part in a process group of its own, so that Ctrl-C reaches only this process, which stops all in order."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603  our own modules, no shell
        command, stdin=subprocess.DEVNULL, stdout=stdout, text=True, env=environment, process_group=0
    ) as part:
        try:
            yield part
        finally:
            stop(part, STOP_LIMIT_S)


def stop(part: subprocess.Popen[str], limit_s: float) -> None:
    """Ask a part to end, and end it if it does not."""
    if part.poll() is None:
        part.terminate()
        try:
            part.wait(limit_s)
        except subprocess.TimeoutExpired:
            part.kill()
            part.wait()


def cost_of(pid: int) -> Cost:
    """Return what process `pid` has used so far."""
    try:
        # the name in brackets may hold blanks; what follows it are fields 3, 4, ...
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        status = (_PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return Cost()
    peak_kib = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return Cost(cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S, peak_rss_mb=peak_kib * 1024 / 1e6)


def machine_cpu_s() -> float:
    """Return the CPU seconds that all processes of this machine have used since it was started."""
    user, nice, system, _idle, _waiting, irq, softirq, *_ = (
        int(field) for field in (_PROC / "stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS_PER_S

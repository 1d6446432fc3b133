"""The disk: room, permission, how long a durable write takes, how worn the card is, and whether the outbox opens."""

import os
import re
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from firmware import identity, sole_use
from firmware.budget import BYTES_PER_MB
from firmware.faults import DeviceFault
from firmware.outgoing import open_outbox
from firmware.self_check import DiskFacts, State
from provisioning.check_words import READ_ONLY, UNKNOWN, WRITABLE, Finding, halves, said
from provisioning.checking import Bench
from provisioning.part_reports import PartReport

WRITES = 9
WRITE_BYTES = 8192
"""A sealed read with its picture, twice."""

SLOW_MS = 400.0
"""Fifty vehicles a minute at the busiest leave 1.2 s for each; a good card takes 5 to 50 ms."""

MOUNTS = Path("/proc/mounts")
CARD = Path("/sys/block/mmcblk0/device")
ALL = "all"
WORN_OUT = 0x0A  # EXT_CSD_DEVICE_LIFE_TIME_EST of JESD84-B51: 90 to 100 % used; 0x0B: beyond


def look(bench: Bench) -> PartReport:
    """Judge the disk by the self-check, then write to it, and open the outbox."""
    check, facts = bench.enforced["disk"], bench.facts.disk
    if isinstance(facts, DiskFacts) and facts.is_read_only:
        return said(Finding.DISK_READ_ONLY, detail=check.found)
    if check.state is State.FAIL:
        return said(Finding.DISK_FULL, detail=check.found, hint=check.hint)
    wear = wear_of(CARD)
    if wear == ALL:
        return said(Finding.DISK_WORN, wear=wear)
    try:
        write_ms, waiting = durable_write_ms(bench.folder, bench.board.clock.monotonic_s), _waiting(bench)
    except DeviceFault as fault:
        return said(Finding.OUTBOX_UNUSABLE, **halves(fault.hint))
    except OSError as error:
        return said(Finding.DISK_READ_ONLY, detail=error.strerror or type(error).__name__)
    return _judged(bench, write_ms=write_ms, waiting=waiting, wear=wear)


def _judged(bench: Bench, *, write_ms: float, waiting: int, wear: str) -> PartReport:
    """Return what is to be thought of a disk that can be used."""
    check, facts = bench.enforced["disk"], bench.facts.disk
    if write_ms > SLOW_MS:
        return said(Finding.DISK_SLOW, write_ms=write_ms, limit_ms=SLOW_MS)
    if check.state in {State.WARN, State.UNKNOWN}:
        return said(Finding.DISK_NOTED, detail=check.found, hint=check.hint)
    free_mb = facts.free_bytes / BYTES_PER_MB if isinstance(facts, DiskFacts) else 0.0
    root = root_of(MOUNTS.read_text())
    return said(Finding.DISK_GOOD, free_mb=free_mb, write_ms=write_ms, waiting=waiting, system=root, wear=wear)


def durable_write_ms(folder: Path, monotonic_s: Callable[[], float]) -> float:
    """Return how long a write takes that a pulled plug does not undo, the middle of some. Raises OSError."""
    times_s = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(WRITES):
            begun_s = monotonic_s()
            file.write(os.urandom(WRITE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            times_s.append(monotonic_s() - begun_s)
    return statistics.median(times_s) * 1000


def wear_of(card: Path) -> str:
    """Return how much of its life an eMMC says that it has used (JESD84-B51); an SD card does not say."""
    try:
        steps = [int(number, 16) for number in (card / "life_time").read_text().split()]
    except (OSError, ValueError):
        return "the card does not say"
    if not steps or max(steps) == 0:
        return "the card does not say"
    return ALL if max(steps) > WORN_OUT else f"{max(steps) * 10} % at most"


def root_of(mounts: str) -> str:
    """Return how the system's own file system is mounted, from the lines of proc_mounts(5)."""
    for line in reversed(mounts.splitlines()):
        fields = line.split()
        if len(fields) >= 4 and fields[1] == "/":
            is_read_only = "ro" in fields[3].split(",") or re.fullmatch("overlay|overlayroot", fields[2]) is not None
            return READ_ONLY if is_read_only else WRITABLE
    return UNKNOWN


def _waiting(bench: Bench) -> int:
    """Open the outbox as the service does; return how many messages wait in it. Raises DeviceFault."""
    board = bench.board
    with sole_use.held(bench.folder / identity.OUTBOX_NAME):
        outbox = open_outbox(bench.folder, bench.settings.uplink, clock=board.clock, system=board.system)
        try:
            return outbox.count()
        finally:
            outbox.close()

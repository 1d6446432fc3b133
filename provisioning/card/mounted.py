"""A card's system as it lies mounted somewhere: what it is, and whether it is one that can become a unit's."""

import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioning.card.findings import Refusal
from provisioning.card.wording import CardRefused

SUITES: Final = {"12": "bookworm", "13": "trixie"}
PYTHONS: Final = {"bookworm": "3.11", "trixie": "3.13"}
GLIBCS: Final = {"bookworm": 36, "trixie": 41}
"""What each Debian has: VERSION_ID of os-release(5), Python, and 2.N of the C library."""

MACHINES: Final = {62: "amd64", 183: "arm64"}
"""e_machine of elf(5), EM_X86_64 and EM_AARCH64, as Debian calls them."""

ELF_HEADER: Final = struct.Struct("<4sB13xH")  # magic, class (1: 32 bits), then type (part of the pad), e_machine
PROBE: Final = "usr/bin/dpkg"
NEEDED: Final = ("etc/os-release", PROBE, "var/lib/dpkg/status", "etc/passwd", "etc/shadow")
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card's system below `root`."""

    root: Path
    suite: str
    architecture: str

    @property
    def python(self) -> str:
        """Return the Python of its suite, such as 3.11."""
        return PYTHONS[self.suite]

    @property
    def is_running(self) -> bool:
        """Return whether it is the system that this program runs on."""
        return self.root == Path("/")

    def free_mb(self) -> int:
        """Return what is free for root, MB. Raises OSError."""
        return shutil.disk_usage(self.root).free // MB


def look(root: Path) -> Card:
    """Return the card mounted at `root`. Raises CardRefused if it is none, half written, or of another kind."""
    root = root.resolve()
    if not root.is_dir():
        raise CardRefused(Refusal.NO_ROOT, root=str(root))
    for name in NEEDED:
        if not (root / name).is_file() or not (root / name).stat().st_size:
            raise CardRefused(Refusal.HALF_WRITTEN, root=str(root), what=name)
    return Card(root=root, suite=_suite(root), architecture=_architecture(root))


def is_overlaid(mounts: str) -> bool:
    """Return whether the running system's root is an overlay, by the text of /proc/mounts (proc_pid_mounts(5))."""
    kinds = [line.split()[2] for line in mounts.splitlines() if line.split()[1:2] == ["/"]]
    return kinds[-1:] == ["overlay"]


def _suite(root: Path) -> str:
    text = (root / "etc/os-release").read_text(encoding="utf-8", errors="replace")
    words = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    system, version = (words.get(name, "").strip('"') for name in ("ID", "VERSION_ID"))
    if system != "debian":
        raise CardRefused(Refusal.NOT_DEBIAN, root=str(root), what=words.get("PRETTY_NAME", system).strip('"'))
    if version not in SUITES:
        raise CardRefused(Refusal.OTHER_SUITE, root=str(root), what=version)
    return SUITES[version]


def _architecture(root: Path) -> str:
    with (root / PROBE).open("rb") as file:
        header = file.read(ELF_HEADER.size)
    if len(header) < ELF_HEADER.size or header[:4] != b"\x7fELF":
        raise CardRefused(Refusal.HALF_WRITTEN, root=str(root), what=f"whole {PROBE}")
    _, bits, machine = ELF_HEADER.unpack(header)
    if bits == 1:
        raise CardRefused(Refusal.THIRTY_TWO_BIT, root=str(root))
    if machine not in MACHINES:
        raise CardRefused(Refusal.OTHER_ARCHITECTURE, root=str(root), what=f"machine number {machine}")
    return MACHINES[machine]


def require_superuser() -> None:
    """Return if this is root. Raises CardRefused."""
    if os.geteuid() != 0:
        raise CardRefused(Refusal.NOT_THE_SUPERUSER)

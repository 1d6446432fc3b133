"""A card's system as it lies mounted somewhere: what it is, and whether it is one that can become a unit's."""

import errno
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioning.card.findings import Refusal
from provisioning.card.wording import CardRefused

SUITES: Final = {"12": "bookworm", "13": "trixie"}
PYTHONS: Final = {"bookworm": "3.11", "trixie": "3.13"}
GLIBCS: Final = {"bookworm": 36, "trixie": 41}
"""What each Debian has: VERSION_ID of os-release(5), Python, and 2.N of the C library."""

PROCESSORS: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""What Debian's architectures are called by the kernel, and so by Python."""

MACHINES: Final = {62: "amd64", 183: "arm64"}
"""e_machine of elf(5), EM_X86_64 and EM_AARCH64, as Debian calls them."""

ELF_HEADER: Final = struct.Struct("<4sB13xH")  # magic, class (1: 32 bits), then type (part of the pad), e_machine
PROBE: Final = "usr/bin/dpkg"
NEEDED: Final = ("etc/os-release", PROBE, "var/lib/dpkg/status", "etc/passwd", "etc/shadow")
MB: Final = 1_000_000
SILENT: Final = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EROFS, errno.ENODEV, errno.ENXIO})
"""What the kernel says of a disk that is gone, of a file system that is not whole, and of one that was made read-only
for that (errno(3); ext4's EFSCORRUPTED is EUCLEAN, its EFSBADCRC is EBADMSG)."""

OF_PROGRAMS: Final = frozenset({Refusal.COMMAND_FAILED, Refusal.CANNOT_RUN})
"""What is refused where one of the card's programs did not end well, for whatever reason."""


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
        if not (root / name).is_file() or not _is_written(root / name):
            raise CardRefused(Refusal.HALF_WRITTEN, root=str(root), what=f"whole {name}")
    return Card(root=root, suite=_suite(root), architecture=_architecture(root))


@contextmanager
def answering(root: Path) -> Iterator[None]:
    """Say of work on the card at `root` that fails because the card no longer answers that it does not.

    Raises CardRefused (CARD_SILENT) in place of what the work raised, which may be a program of the card that failed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in SILENT:
            raise
        raise CardRefused(Refusal.CARD_SILENT, root=str(root), tail=os.strerror(error.errno)) from error
    except CardRefused as refused:
        if refused.refusal in OF_PROGRAMS and (why := _silence(root)):
            raise CardRefused(Refusal.CARD_SILENT, root=str(root), tail=why) from refused
        raise


def _silence(root: Path) -> str:
    """Return why nothing can be kept on the card, or an empty string. Memory still has what was read: so it writes."""
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(bytes(1))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return os.strerror(error.errno) if error.errno in SILENT else ""
    return ""


def is_overlaid(mounts: str) -> bool:
    """Return whether the running system's root is an overlay, by the text of /proc/mounts (proc_pid_mounts(5))."""
    kinds = [line.split()[2] for line in mounts.splitlines() if line.split()[1:2] == ["/"]]
    return kinds[-1:] == ["overlay"]


def _is_written(path: Path) -> bool:
    """Return whether the file begins with something: what was not written to the card's end is empty or zeros."""
    with path.open("rb") as file:
        return file.read(1) not in {b"", b"\0"}


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

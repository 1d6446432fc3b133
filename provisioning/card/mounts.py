"""What of a card is mounted, and how: no swap; and, if asked for, everything read-only but the unit's folder.

Read-only is what Raspberry Pi OS itself offers (raspi-config, "Overlay File System"): the package overlayroot, switched
on by a word of the kernel's command line, so that it can be switched off on any laptop. `recurse=0` leaves other mounts
as fstab has them: a partition labelled STATE_LABEL, on which keys and outbox last. Logs are then kept in memory only.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from provisioning import durable_files
from provisioning.card.findings import Finding, Flaw, Part, Refusal
from provisioning.card.mounted import Card
from provisioning.card.wording import CardRefused
from provisioning.host import UNIT_FOLDER
from provisioning.host.install import BEGIN, BOOT_COMMAND, END, FSTAB

VOLATILE_LOG: Final = PurePosixPath("etc/systemd/journald.conf.d/kestrel-read-only.conf")
VOLATILE_LOG_TEXT: Final = """# The card is read-only: the log stays in memory until the next start. journald.conf(5).
[Journal]
Storage=volatile
RuntimeMaxUse=32M
"""
STATE_LABEL: Final = "kestrel-state"
LABELS: Final = Path("/dev/disk/by-label")
SWITCH: Final = "overlayroot="
ON: Final = "overlayroot=tmpfs:recurse=0"
STATE_LINE: Final = f"LABEL={STATE_LABEL} /{UNIT_FOLDER} ext4 nodev,nosuid,noexec,noatime 0 2\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountsStep:
    """fstab, the overlay's switch, and where the log goes."""

    card: Card
    is_read_only: bool
    labels: Path = LABELS
    part: Part = Part.MOUNTS

    def missing(self) -> list[Finding]:
        """Return what is mounted as swap, and which files do not say what was asked for. Raises OSError."""
        swaps = [line.split()[0] for line in self._text(FSTAB).splitlines() if _is_swap(line)]
        return [Finding(part=self.part, flaw=Flaw.SWAP_MOUNTED, what=name) for name in swaps] + [
            Finding(part=self.part, flaw=Flaw.READ_ONLY_DIFFERS, what=str(path))
            for path, text in self._wanted().items()
            if text != self._text(path) and not (path == FSTAB and swaps)
        ]

    def do(self) -> None:
        """Write what is not as it should be. Raises CardRefused, OSError."""
        if self.is_read_only and STATE_LINE not in self._text(FSTAB):
            self._require_state_partition()
        for path, text in self._wanted().items():
            place = self.card.root / path
            if text == self._text(path):
                continue
            if not text:
                durable_files.remove(place)
            else:
                durable_files.publish(place, text.encode(), like=place.stat() if place.exists() else None)

    def _require_state_partition(self) -> None:
        """Return if the partition is there and hides no unit. Raises CardRefused, OSError."""
        if not (self.labels / STATE_LABEL).exists():
            raise CardRefused(Refusal.NO_STATE_PARTITION, what=STATE_LABEL)
        folder = self.card.root / UNIT_FOLDER
        if folder.is_dir() and not os.path.ismount(folder) and any(folder.iterdir()):
            raise CardRefused(Refusal.STATE_WOULD_HIDE, what=f"/{UNIT_FOLDER}")

    def _wanted(self) -> dict[PurePosixPath, str]:
        """Return the text that each file should have; empty if it should not be there."""
        wanted = {
            FSTAB: fstab(self._text(FSTAB), is_read_only=self.is_read_only),
            VOLATILE_LOG: VOLATILE_LOG_TEXT if self.is_read_only else "",
        }
        if (self.card.root / BOOT_COMMAND).exists():
            wanted[BOOT_COMMAND] = switched(self._text(BOOT_COMMAND), is_read_only=self.is_read_only)
        return wanted

    def _text(self, path: PurePosixPath) -> str:
        place = self.card.root / path
        return place.read_text(encoding="utf-8") if place.exists() else ""


def fstab(text: str, *, is_read_only: bool) -> str:
    """Return the table without swap, and with the unit's partition in a block of our own if the card is read-only."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    others = before + rest.partition(f"{END}\n")[2] if begin else text
    kept = "".join(line for line in others.splitlines(keepends=True) if not _is_swap(line))
    if not is_read_only:
        return kept
    return f"{kept}{'' if kept.endswith(chr(10)) or not kept else chr(10)}{BEGIN}\n{STATE_LINE}{END}\n"


def switched(text: str, *, is_read_only: bool) -> str:
    """Return the kernel's command line with the overlay switched on or off."""
    words = [word for word in text.split() if not word.startswith(SWITCH)]
    return " ".join([ON, *words] if is_read_only else words) + "\n"


def _is_swap(line: str) -> bool:
    words = line.split()
    return len(words) > 2 and words[2] == "swap" and not line.lstrip().startswith("#")

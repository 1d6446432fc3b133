"""Our programs on a card: a virtual environment with the bundle's wheels, made beside the one in use, then switched.

`/opt/kestrel` is a link to `/opt/kestrel-releases/NAME`; a release is whole when its mark is there. NAME holds the
start of the lock's digest, so that another version or another dependency is another release.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from firmware import durable_files
from provisioning.card.bundle import LOCK_NAME, WHEELS, Bundle
from provisioning.card.findings import Finding, Flaw, Part, Refusal
from provisioning.card.inside import Inside
from provisioning.card.mounted import Card
from provisioning.card.wording import CardRefused

LINK: Final = PurePosixPath("opt/kestrel")
RELEASES: Final = PurePosixPath("opt/kestrel-releases")
MARK: Final = "whole"
PROGRAMS: Final = ("kestrel", "kestrel-provision")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsStep:
    """The virtual environment in /opt/kestrel."""

    card: Card
    bundle: Bundle | None
    inside: Inside
    part: Part = Part.PROGRAMS

    def missing(self) -> list[Finding]:
        """Return what is wrong with /opt/kestrel: not whole, or not the bundle's. Raises OSError."""
        name = installed_release(self.card)
        if name is None:
            return [Finding(part=self.part, flaw=Flaw.PROGRAMS_MISSING, what=f"/{LINK}")]
        if self.bundle is not None and name != self.bundle.release:
            return [Finding(part=self.part, flaw=Flaw.PROGRAMS_DIFFER, what=f"/{LINK}")]
        return []

    def do(self) -> None:
        """Make the bundle's release unless it is whole, and switch to it. Raises CardRefused, OSError."""
        if self.bundle is None:
            raise CardRefused(Refusal.NO_BUNDLE, what="our programs")
        link = self.card.root / LINK
        if link.exists() and not link.is_symlink():
            raise CardRefused(Refusal.PROGRAMS_IN_THE_WAY, what=f"/{LINK}")
        if not is_whole(self.card, self.bundle.release):
            self._make(self.bundle.release)
        successor = link.with_name(f".{link.name}.new")
        successor.unlink(missing_ok=True)
        successor.symlink_to(f"/{RELEASES / self.bundle.release}")
        successor.replace(link)
        durable_files.synchronise_folder(link.parent)
        self._remove_others(self.bundle.release)

    def _make(self, release: str) -> None:
        place = RELEASES / release
        folder = self.card.root / place
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.inside.run(["python3", "-m", "venv", "--system-site-packages", f"/{place}"])
        self.inside.run([
            f"/{place}/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed",
            "--require-hashes", "--disable-pip-version-check", "--no-cache-dir", "--root-user-action=ignore",
            f"--find-links={self.inside.bundle}/{WHEELS}", f"--requirement={self.inside.bundle}/{LOCK_NAME}",
        ])  # fmt: skip
        os.sync()  # thousands of files: all of them before the mark
        durable_files.write(folder / MARK, b"")

    def _remove_others(self, release: str) -> None:
        for folder in (self.card.root / RELEASES).iterdir():
            if folder.name != release:
                (folder / MARK).unlink(missing_ok=True)
                shutil.rmtree(folder)


def installed_release(card: Card) -> str | None:
    """Return the release that /opt/kestrel is, or None if it is none or not whole. Raises OSError."""
    link = card.root / LINK
    if not link.is_symlink():
        return None
    name = Path(link.readlink()).name
    return name if is_whole(card, name) else None


def is_whole(card: Card, release: str) -> bool:
    """Return whether this release was made to its end and still has its programs."""
    folder = card.root / RELEASES / release
    return (folder / MARK).is_file() and all((folder / "bin" / name).is_file() for name in PROGRAMS)

"""A bundle: a folder with everything that a card needs, made with a network and used without one.

`bundle.json` is written last: a bundle without it was not finished. It names each file with its digest, so that a stick
that was pulled out too early is seen before anything is installed. Who can write the bundle decides what a unit runs.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from firmware import strict_json
from firmware.faults import DocumentRejected
from provisioning import durable_files
from provisioning.card.findings import Refusal
from provisioning.card.mounted import Card
from provisioning.card.processes import Tick
from provisioning.card.wording import CardRefused

NAME: Final = "bundle.json"
LOCK_NAME: Final = "lock.txt"
WHEELS, DEBIAN = "wheels", "debian"
BEGIN_NAME: Final = "begin.sh"


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle says of itself."""

    version: int
    product: str
    suite: str
    architecture: str
    wheels: dict[str, str]  # Python packages by name, with their versions
    packages: dict[str, str]  # Debian packages likewise
    absent: list[str]  # Debian packages that would be of use and that the sources do not have
    needed_mb: int  # on a card that has none of it
    files: dict[str, str]  # SHA-256 by path


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle whose files are all there and whole."""

    folder: Path
    contents: Contents

    @property
    def release(self) -> str:
        """Return the name of the programs that it installs: the version, and the start of the lock's digest."""
        return f"{self.contents.product}-{self.contents.files[LOCK_NAME][:12]}"


def write(folder: Path, contents: Contents) -> Bundle:
    """Finish the bundle in `folder`. Raises OSError."""
    durable_files.publish(folder / NAME, msgspec.json.format(msgspec.json.encode(contents), indent=2) + b"\n")
    return Bundle(folder=folder, contents=contents)


def load(folder: Path, tick: Tick = lambda: None) -> Bundle:
    """Return the bundle in `folder`, with every file compared with its digest; `tick` is called before each.

    Raises CardRefused, OSError.
    """
    folder = folder.resolve()
    try:
        contents = strict_json.read(folder / NAME, Contents)
    except (FileNotFoundError, NotADirectoryError, DocumentRejected) as error:
        raise CardRefused(Refusal.BUNDLE_UNFINISHED, bundle=str(folder)) from error
    for name, digest in contents.files.items():
        tick()
        path = folder / name
        if not path.resolve().is_relative_to(folder) or not path.is_file() or digest_of(path) != digest:
            raise CardRefused(Refusal.BUNDLE_DAMAGED, what=name)
    return Bundle(folder=folder, contents=contents)


def load_for(folder: Path, card: Card, tick: Tick = lambda: None) -> Bundle:
    """Return the bundle in `folder` if it is one for `card`; `tick` as for `load`. Raises CardRefused, OSError."""
    found = load(folder, tick)
    given = found.contents
    if given.architecture != card.architecture:
        raise CardRefused(Refusal.BUNDLE_OTHER_ARCHITECTURE, given=given.architecture, what=card.architecture)
    if given.suite != card.suite:
        raise CardRefused(Refusal.BUNDLE_OTHER_SUITE, given=given.suite, what=card.suite)
    return found


def digest_of(path: Path) -> str:
    """Return SHA-256 of a file, hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

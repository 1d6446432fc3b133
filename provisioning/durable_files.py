"""The technician's files: firmware.durable_files writes them, and what is there already is left alone."""

import os
import re
from pathlib import Path
from typing import Final

from firmware.durable_files import erase, synchronise_folder, write

__all__ = [
    "PRIVATE_FOLDER",
    "erase",
    "erase_unfinished",
    "give_folder",
    "make_folder",
    "publish",
    "remove",
    "write",
]

PRIVATE_FOLDER: Final = 0o700
READABLE: Final = 0o644
UNFINISHED: Final = re.compile(r"\..+\.[a-z0-9_]{8}")
"""What `write` calls a file that is not yet in its place: its name, and eight characters of `tempfile`."""


def make_folder(path: Path) -> None:
    """Make `path` for its owner only, and what is above it as usual; what is there is left as it is. Raises OSError."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


def give_folder(path: Path) -> None:
    """Give a folder that root has just made to whom the folder above belongs, such as a unit's service."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def publish(path: Path, data: bytes, *, like: os.stat_result | None = None) -> None:
    """Write `data` to `path`, whole or not at all, for all to read; or with owner and mode of `like`.

    Raises OSError.
    """
    successor = path.with_name(f".{path.name}.kestrel")
    write(successor, data)
    if like is not None:
        os.chown(successor, like.st_uid, like.st_gid)
    successor.chmod(READABLE if like is None else like.st_mode & 0o7777)
    successor.replace(path)
    synchronise_folder(path.parent)


def erase_unfinished(folder: Path) -> None:
    """Overwrite and remove what a `write` that was killed has left in `folder`: it may be a key. Raises OSError."""
    for path in sorted(folder.glob(".*")):
        if UNFINISHED.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            erase(path)


def remove(path: Path) -> None:
    """Remove the file at `path` durably. Raises OSError."""
    path.unlink()
    synchronise_folder(path.parent)

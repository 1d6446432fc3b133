"""The technician's files: firmware.durable_files writes them, and what is there already is left alone."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from firmware.durable_files import synchronise_folder, write
from firmware.faults import ConfigRejected

__all__ = ["PRIVATE_FOLDER", "give_folder", "make_folder", "publish", "refuse_to_replace", "remove", "write"]

PRIVATE_FOLDER: Final = 0o700
READABLE: Final = 0o644


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


def remove(path: Path) -> None:
    """Remove the file at `path` durably. Raises OSError."""
    path.unlink()
    synchronise_folder(path.parent)


def refuse_to_replace(paths: Iterable[Path]) -> None:
    """Return if none of `paths` is there. Raises ConfigRejected: a key that is overwritten is gone for ever."""
    for path in paths:
        if path.exists():
            raise ConfigRejected(f"{path} is there already, from an earlier attempt; move it away first")

"""Files that are there whole or not at all, and that nobody but their owner can read.

A technician's laptop loses power too: each file is written beside its place, synchronised, and renamed.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from firmware.faults import ConfigRejected

PRIVATE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


def make_folder(path: Path) -> None:
    """Make `path` for its owner only, and what is above it as usual; what is there is left as it is. Raises OSError."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


def refuse_to_replace(paths: Iterable[Path]) -> None:
    """Return if none of `paths` is there. Raises ConfigRejected: a key that is overwritten is gone for ever."""
    for path in paths:
        if path.exists():
            raise ConfigRejected(f"{path} is there already, from an earlier attempt; move it away first")


def write(path: Path, data: bytes) -> None:
    """Write `data` to `path`, mode 0600, replacing what was there at once and durably. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _synchronise_folder(path.parent)


def _synchronise_folder(folder: Path) -> None:
    """Make a rename durable: it is the folder that changed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The technician's files: firmware.durable_files writes them, and what is there already is left alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from firmware.durable_files import write
from firmware.faults import ConfigRejected

__all__ = ["PRIVATE_FOLDER", "make_folder", "refuse_to_replace", "write"]

PRIVATE_FOLDER: Final = 0o700


def make_folder(path: Path) -> None:
    """Make `path` for its owner only, and what is above it as usual; what is there is left as it is. Raises OSError."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


def refuse_to_replace(paths: Iterable[Path]) -> None:
    """Return if none of `paths` is there. Raises ConfigRejected: a key that is overwritten is gone for ever."""
    for path in paths:
        if path.exists():
            raise ConfigRejected(f"{path} is there already, from an earlier attempt; move it away first")

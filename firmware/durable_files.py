"""Files that are there whole or not at all, that nobody but their owner can read, and that leave when they are told to.

Power may go at any instant: each file is written beside its place, synchronised, and renamed.
"""

import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write `data` to `path`, mode 0600, replacing what was there at once and durably. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner_of(path.parent, file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    synchronise_folder(path.parent)


def give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Give a file that root has just made in `folder` to whom the folder belongs. Raises OSError.

    What a technician's tool writes with `sudo` in a unit's folder, the unit's service must be able to read and replace.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def erase(path: Path) -> None:
    """Overwrite the file at `path`, remove it, and make both durable; nothing if there is none. Raises OSError.

    A flash card may keep the old cells behind its controller's back: where that matters, the key belongs in a token.
    """
    try:
        with path.open("r+b") as file:
            _overwrite(file.fileno())
    except FileNotFoundError:
        return
    path.unlink()
    synchronise_folder(path.parent)


def replace_and_erase(path: Path, successor: Path) -> None:
    """Move `successor` to `path` at once and durably, then overwrite what was at `path`. Raises OSError."""
    try:
        file = path.open("r+b")  # holds on to the old content, which has no name after the move
    except FileNotFoundError:
        successor.replace(path)
        synchronise_folder(path.parent)
        return
    with file:
        successor.replace(path)
        synchronise_folder(path.parent)
        _overwrite(file.fileno())


def synchronise_folder(folder: Path) -> None:
    """Make a rename or a removal durable: it is the folder that changed. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    os.pwrite(descriptor, bytes(size), 0)
    os.fsync(descriptor)

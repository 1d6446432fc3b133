"""Erasing a unit: its key, its reads, its configuration. The one place where a device key is destroyed.

The order makes a power cut harmless. First a mark that says what was begun, so that the next start goes on; then the
key, without which nobody can speak for the unit; then the rest, which is sealed anyway. What is erased is every file
that bears the name of one of the unit's files with anything before or behind it: SQLite's side files, a copy that was
half written or moved aside. Files of other names and folders are not ours.

A card wears level, so that old cells may keep what was overwritten: overwriting serves the storage that obeys, and what
protects a backlog is that no key on the unit ever opened it.
"""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firmware.faults import DeviceFault, FaultCode, Retired
from firmware.identity import AUTHORITY_NAME, CERTIFICATE_NAME, CONFIG_NAME, KEY_NAME, OUTBOX_NAME
from firmware.retirement import Cause

MARK_NAME: Final = "retired"

OTHER_NAMES: Final = (OUTBOX_NAME, CERTIFICATE_NAME, AUTHORITY_NAME, CONFIG_NAME)
"""In this order: what the agency would miss least goes last."""

LOG = logging.getLogger(__name__)

_WHY: Final = {
    Cause.TAMPER: "its tamper contact opened or closed",
    Cause.COMMAND: "its fleet told it to",
    Cause.TECHNICIAN: "a technician retired it",
}


def erase(folder: Path, cause: Cause) -> None:
    """Erase the unit in `folder` and leave a mark that says why; what is erased already is no error.

    Raises DeviceFault(STORAGE_REFUSED) if something of it cannot be erased; a later call goes on.
    """
    try:
        with contextlib.suppress(OSError):  # a full disk must not save the key; the mark is tried again below
            leave_mark(folder, cause)
        destroy_key(folder)
        for name in OTHER_NAMES:
            _remove(folder, name, overwrite=False)
        leave_mark(folder, cause)
    except OSError as error:
        hint = f"the unit in {folder} cannot be erased ({error.strerror}); take its card out and destroy it"
        raise DeviceFault(FaultCode.STORAGE_REFUSED, hint) from error


def leave_mark(folder: Path, cause: Cause) -> None:
    """Write the mark in `folder`, durably, unless there is one: the first cause counts. Raises OSError."""
    path = folder / MARK_NAME
    if _is_whole(path):
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{cause}: {_sentence(cause)}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    _synchronise(folder)


def destroy_key(folder: Path) -> None:
    """Overwrite and remove the device key in `folder`, durably. Raises OSError."""
    _remove(folder, KEY_NAME, overwrite=True)


@contextlib.contextmanager
def unless_retired(folder: Path) -> Iterator[None]:
    """Let the unit in `folder` run if it was not retired; if that happens meanwhile, erase what it left in the end.

    Raises Retired in both cases, and DeviceFault(STORAGE_REFUSED) if something cannot be erased.
    """
    _refuse_if_retired(folder)
    try:
        yield
    finally:
        _refuse_if_retired(folder)


def _refuse_if_retired(folder: Path) -> None:
    mark = folder / MARK_NAME
    if not mark.exists():
        return
    erase(folder, _cause_in(mark))
    raise Retired(f"{folder}: {_sentence(_cause_in(mark))}")


def _is_whole(mark: Path) -> bool:
    return mark.exists() and mark.read_bytes().endswith(b"\n")


def _cause_in(mark: Path) -> Cause:
    """Return the cause that a mark names; one that a power cut left empty is a mark too, and the worst is assumed."""
    word = mark.read_bytes().partition(b":")[0].decode(errors="replace")
    return Cause(word) if word in set(Cause) else Cause.TAMPER


def _sentence(cause: Cause) -> str:
    return (
        f"this unit was retired because {_WHY[cause]}; its key and its reads are erased and it will not run again, "
        "so make a new unit with `kestrel-provision unit new`"
    )


def _remove(folder: Path, name: str, *, overwrite: bool) -> None:
    """Remove every file of `folder` whose name holds `name`, then make that durable."""
    found = [path for path in folder.iterdir() if name in path.name and not stat.S_ISDIR(path.lstat().st_mode)]
    for path in found:
        if overwrite and stat.S_ISREG(path.lstat().st_mode):
            _overwrite(path)
        path.unlink(missing_ok=True)
    if found:
        _synchronise(folder)


def _overwrite(path: Path) -> None:
    """Write zeros over a file, in place and durably. A file that its owner may not write is made writable first."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def _synchronise(folder: Path) -> None:
    """Make it durable that files came or went: it is the folder that changed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

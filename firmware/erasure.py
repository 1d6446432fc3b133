"""Erasing a unit: its key, its reads, its configuration. The one place where a device key is destroyed.

The order makes a power cut harmless. First a mark that says what was begun, so that the next start goes on; then the
key, without which nobody can speak for the unit; then the rest, which is sealed anyway. What is erased is every file
that bears the name of one of the unit's files with anything before or behind it: SQLite's side files, a copy that was
half written or moved aside; the technician's folder, which names the place; and the sealed pictures of vehicles. Files
of other names and other folders are not ours.

A card wears level, so that old cells may keep what was overwritten: overwriting serves the storage that obeys, and what
protects a backlog is that no key on the unit ever opened it.
"""

import contextlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from firmware import durable_files
from firmware.faults import DeviceFault, FaultCode, Retired
from firmware.identity import (
    ACCOUNT_NAME,
    AUTHORITY_NAME,
    CERTIFICATE_NAME,
    CONFIG_NAME,
    HANDOVER_FOLDER,
    OUTBOX_NAME,
    REBOOTED_NAME,
    SIGNING_CERTIFICATE_NAME,
    UPDATE_ROOT_NAME,
    VEHICLES_FOLDER,
)
from firmware.key_files import KEY_NAME, NEXT_KEY_NAME
from firmware.retirement import Cause

if TYPE_CHECKING:
    from firmware.ports import KeyStore

MARK_NAME: Final = "retired"

OTHER_NAMES: Final = (
    OUTBOX_NAME,
    ACCOUNT_NAME,
    CERTIFICATE_NAME,
    SIGNING_CERTIFICATE_NAME,
    AUTHORITY_NAME,
    UPDATE_ROOT_NAME,
    REBOOTED_NAME,
)
"""In this order: what the agency would miss least goes last. After them the configuration, which knows of the token."""

LOG = logging.getLogger(__name__)

_WHY: Final = {
    Cause.TAMPER: "its tamper contact opened or closed",
    Cause.COMMAND: "its fleet told it to",
    Cause.TECHNICIAN: "a technician retired it",
}


def erase(folder: Path, cause: Cause, keys: "KeyStore | None" = None) -> None:
    """Erase the unit in `folder` and leave a mark that says why; what is erased already is no error.

    `keys` is where its key lies, if that is elsewhere. Raises DeviceFault (STORAGE_REFUSED, or KEY_UNUSABLE for a token
    that does not answer) if something of it cannot be erased; all else is, and a later call goes on.
    """
    try:
        with contextlib.suppress(OSError):  # a full disk must not save the key; the mark is tried again below
            leave_mark(folder, cause)
        destroy_key(folder)
        fault = _fault_of(keys)
        _remove_folder(folder, HANDOVER_FOLDER)
        for name in OTHER_NAMES if fault else (*OTHER_NAMES, CONFIG_NAME):
            _remove(folder, name, overwrite=False)
        _remove_folder(folder, VEHICLES_FOLDER)
        leave_mark(folder, cause)
    except OSError as error:
        hint = f"the unit in {folder} cannot be erased ({error.strerror}); take its card out and destroy it"
        raise DeviceFault(FaultCode.STORAGE_REFUSED, hint) from error
    if fault is not None:
        raise fault


def _fault_of(keys: "KeyStore | None") -> DeviceFault | None:
    """End the keys of a store; return what its token had to say against that."""
    try:
        if keys is not None:
            keys.erase()
    except DeviceFault as fault:
        return fault
    return None


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
    durable_files.synchronise_folder(folder)


def destroy_key(folder: Path) -> None:
    """Overwrite and remove the keys in `folder`, the one that waits to be certified too, durably. Raises OSError."""
    for name in (KEY_NAME, NEXT_KEY_NAME):
        _remove(folder, name, overwrite=True)


@contextlib.contextmanager
def unless_retired(folder: Path, keys_of: Callable[[Path], "KeyStore | None"] = lambda _folder: None) -> Iterator[None]:
    """Let the unit in `folder` run if it was not retired; if that happens meanwhile, erase what it left in the end.

    `keys_of` finds where the key of the unit in a folder lies. Raises Retired in both cases, and DeviceFault
    (STORAGE_REFUSED, KEY_UNUSABLE) if something cannot be erased.
    """
    _refuse_if_retired(folder, keys_of)
    try:
        yield
    finally:
        _refuse_if_retired(folder, keys_of)


def _refuse_if_retired(folder: Path, keys_of: Callable[[Path], "KeyStore | None"]) -> None:
    mark = folder / MARK_NAME
    if not mark.exists():
        return
    erase(folder, _cause_in(mark), keys_of(folder))
    raise Retired(f"{folder}: {_sentence(_cause_in(mark))}")


def _is_whole(mark: Path) -> bool:
    return mark.exists() and mark.read_bytes().endswith(b"\n")


def _cause_in(mark: Path) -> Cause:
    """Return the cause that a mark names; one that a power cut left empty is a mark too, and the worst is assumed."""
    word = mark.read_bytes().partition(b":")[0].decode(errors="replace")
    return Cause(word) if word in set(Cause) else Cause.TAMPER


def _sentence(cause: Cause) -> str:
    return (
        f"this unit was retired because {_WHY[cause]}; its key and its reads are erased and it will not run again; "
        "make a new unit with `kestrel-provision unit new`"
    )


def _remove(folder: Path, name: str, *, overwrite: bool) -> None:
    """Remove every file of `folder` whose name holds `name`, then make that durable."""
    found = [path for path in folder.iterdir() if name in path.name and not stat.S_ISDIR(path.lstat().st_mode)]
    for path in found:
        if overwrite and stat.S_ISREG(path.lstat().st_mode):
            path.chmod(0o600)  # one that its owner may not write
            durable_files.erase(path)
        path.unlink(missing_ok=True)
    if found:
        durable_files.synchronise_folder(folder)


def _remove_folder(folder: Path, name: str) -> None:
    """Remove `name` in `folder` with all that is in it, then make that durable; a link goes, and not what it names."""
    path = folder / name
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    else:
        return
    durable_files.synchronise_folder(folder)

"""One program at a time works as a unit: its service, or a technician's tool. The kernel ends what a dead one held.

Two would have one name at the broker and throw each other out, and each would send what the other has on its way.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firmware import durable_files
from firmware.faults import DeviceFault, FaultCode

SUFFIX: Final = ".in-use"
"""Behind the outbox's name, so that the file goes when the unit is erased."""

_BUSY: Final = (
    "another program works as this unit; stop its service with `sudo systemctl stop kestrel`, or end the tool that "
    "is open in another window"
)


@contextlib.contextmanager
def held(outbox_path: Path) -> Iterator[None]:
    """Have the unit of this outbox to oneself.

    Raises DeviceFault(STORAGE_REFUSED) at once if another program has it or the folder cannot be written.
    """
    path = outbox_path.with_name(outbox_path.name + SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = f"{path} cannot be used ({error.strerror}); check the folder, its owner and the card"
        raise DeviceFault(FaultCode.STORAGE_REFUSED, hint) from error
    try:
        durable_files.give_to_owner_of(path.parent, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeviceFault(FaultCode.STORAGE_REFUSED, f"{path.parent}: {_BUSY}") from None
        yield
    finally:
        os.close(descriptor)

"""What a guided run remembers between two starts: answers, the unit's name before it has a key, what was skipped.

Owns the file in the unit's folder and the lock beside it. What is done is not remembered here but seen on the disk.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from firmware import strict_json
from firmware.config import DEVICE_ID_PATTERN, SiteConfig
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning import durable_files

HANDOVER_FOLDER: Final = "handover"
STATE_NAME, LOCK_NAME = "guide.json", ".guide.lock"

Person = Annotated[str, Meta(max_length=60)]
Reason = Annotated[str, Meta(min_length=3, max_length=200)]


class GuideState(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One guided run. `doing` names the step that was begun last and has not come to its end."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)] | None = None
    site: SiteConfig | None = None
    others: dict[str, Any] = {}  # what a site file says besides
    by: Person = ""
    rear_plates_only: bool = False  # somebody has looked and said so
    photos: tuple[str, ...] = ()
    skipped: dict[str, Reason] = {}
    doing: str = ""


class StateFile:
    """The state of one unit's guided run, on its disk whole or not at all; its owner's alone, for it names a place."""

    def __init__(self, unit_folder: Path) -> None:
        """Take the unit's folder, which need not be there yet. Raises ConfigRejected for a file that is no state."""
        self.folder = unit_folder / HANDOVER_FOLDER
        self._path = self.folder / STATE_NAME
        self.was_begun = self._path.exists()
        try:
            self.state = strict_json.read(self._path, GuideState)
        except FileNotFoundError:
            self.state = GuideState()
        except DocumentRejected as error:
            raise ConfigRejected(
                f"{self._path}: {error}; remove that file and start again: only typed answers are lost"
            ) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody else guide this unit for as long as the block runs. Raises ConfigRejected, and OSError."""
        durable_files.make_folder(self.folder.parent)
        durable_files.make_folder(self.folder)
        descriptor = os.open(self.folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it, however the process ends
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigRejected(
                f"{self.folder.parent}: somebody else guides this unit just now; end that guide, or go on there"
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def change(self, **values: Any) -> None:
        """Keep these values durably. Raises ConfigRejected if one is out of bounds, and OSError."""
        changed = msgspec.structs.replace(self.state, **values)
        try:
            checked = msgspec.convert(msgspec.to_builtins(changed), GuideState)
        except msgspec.ValidationError as error:
            raise ConfigRejected(f"{error}; correct that answer") from error
        if checked != self.state:
            durable_files.write(self._path, msgspec.json.format(msgspec.json.encode(checked), indent=2) + b"\n")
            self.state = checked

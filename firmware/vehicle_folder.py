"""The folder of vehicles' pictures: sealed, bounded in bytes and in age, and of no weight against reads.

A file holds the envelope of one picture and is named by the id of its read, a UUIDv7, so that names are in the order of
time. The oldest goes first: when the folder is full, when it is too old, and when the disk has so little room left that
reads could be next. What cannot be written is counted and forgotten; what cannot be read as what it was written is
removed and counted. A picture of before the clock was set bears a false time and may go too early, which costs a
picture.
"""

import errno
import heapq
import logging
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware import durable_files, sealing
from firmware.budget import BYTES_PER_MB
from firmware.config import PicturesConfig
from firmware.faults import DocumentRejected
from firmware.log_lines import Phrase
from firmware.outbox_file import KEPT_FREE_BYTES
from firmware.records import MessageClass, SealedRead

LOG = logging.getLogger(__name__)

MS_PER_HOUR: Final = 3_600_000

LEFT_FREE_BYTES: Final = 4 * KEPT_FREE_BYTES
"""Pictures leave the disk this much: four times what the outbox needs to work at all."""

BLOCK_BYTES: Final = 4096
"""A file takes whole blocks, and about one more for its name and place."""

REMOVED_AT_ONCE: Final = 64
"""So that a step stays short; the next picture makes more room."""

ENDING: Final = ".sealed"


class VehicleFolder:
    """The pictures of one unit. Used from one stage.

    Counters: `damaged` files removed, `refused` writes that the disk did not take, `displaced` by newer ones.
    """

    def __init__(self, path: Path, config: PicturesConfig, device_id: str, public_key: Ed25519PublicKey) -> None:
        self.damaged = self.refused = self.displaced = 0
        self._path = path
        self._config = config
        self._device_id = device_id
        self._public_key = public_key
        self._sizes: dict[uuid.UUID, int] = {}
        self._order: list[uuid.UUID] = []  # a heap; may name what has gone
        self._bytes = 0

    def open(self) -> None:
        """Make the folder or take up what is in it; without pictures by configuration, erase it. Never raises."""
        try:
            if not self._config.vehicle_hours:
                shutil.rmtree(self._path, ignore_errors=True)
                return
            self._path.mkdir(mode=0o700, exist_ok=True)
            with os.scandir(self._path) as entries:
                for entry in entries:
                    self._take_up(entry)
        except OSError as error:
            self._refuse(error)

    def put(self, sealed: SealedRead) -> None:
        """Keep `sealed`, whole or not at all; older ones make room. What the disk refuses is counted."""
        data = sealing.to_wire(sealed)
        try:
            self._make_room(_taken_bytes(len(data)))
            durable_files.write(self._file(sealed.read_id), data)
        except OSError as error:
            self._refuse(error)
            return
        self._note(sealed.read_id, _taken_bytes(len(data)))

    def find(self, read_id: uuid.UUID) -> bytes | None:
        """Return the envelope of a read's picture, its signature verified; None if there is none that is whole."""
        if read_id not in self._sizes:
            return None
        try:
            with self._file(read_id).open("rb") as file:
                data = file.read(sealing.MAX_WIRE_BYTES + 1)
            self._check(data, read_id)
        except (OSError, DocumentRejected):
            self.damaged += 1
            self._remove(read_id)
            return None
        return data

    def expire(self, now_utc_ms: int) -> None:
        """Remove what is older than the configuration says."""
        oldest_ms = now_utc_ms - self._config.vehicle_hours * MS_PER_HOUR
        while (read_id := self._oldest()) is not None and taken_utc_ms(read_id) < oldest_ms:
            self._remove(read_id)

    def may_have_had(self, read_id: uuid.UUID, now_utc_ms: int) -> bool:
        """Say whether a picture of this read, were there one, would be gone by now: by its age, or for newer ones."""
        if not self._config.vehicle_hours:
            return False
        is_old = taken_utc_ms(read_id) < now_utc_ms - self._config.vehicle_hours * MS_PER_HOUR
        oldest = self._oldest()
        return is_old or (self.displaced > 0 and oldest is not None and read_id < oldest)

    def __len__(self) -> int:
        return len(self._sizes)

    def _check(self, data: bytes, read_id: uuid.UUID) -> None:
        """Return if `data` is the envelope of this unit's picture of this read. Raises DocumentRejected."""
        sealed = sealing.from_wire(data)
        sealing.verify(sealed, self._public_key)
        found = (sealed.device_id, sealed.read_id, sealed.message_class)
        if found != (self._device_id, read_id, MessageClass.PICTURE):
            raise DocumentRejected("picture: it is another one")

    def _take_up(self, entry: "os.DirEntry[str]") -> None:
        """Note one file; what a power cut left half written, and what is not ours, goes."""
        try:
            read_id = uuid.UUID(entry.name.removesuffix(ENDING))
            is_ours = entry.name == f"{read_id}{ENDING}" and entry.is_file(follow_symlinks=False)
        except ValueError:
            is_ours = False
        if is_ours:
            self._note(read_id, _taken_bytes(entry.stat(follow_symlinks=False).st_size))
            return
        self.damaged += 1
        if not entry.is_dir(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)

    def _make_room(self, size_bytes: int) -> None:
        """Remove the oldest, REMOVED_AT_ONCE at most, until `size_bytes` more are within bounds. Raises OSError."""
        for _ in range(REMOVED_AT_ONCE):
            is_full = self._bytes + size_bytes > self._config.vehicle_mb * BYTES_PER_MB
            is_disk_full = shutil.disk_usage(self._path).free < LEFT_FREE_BYTES + size_bytes
            oldest = self._oldest()
            if not (is_full or is_disk_full):
                return
            if oldest is None:
                break
            self._remove(oldest)
            self.displaced += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _note(self, read_id: uuid.UUID, size_bytes: int) -> None:
        if read_id not in self._sizes:
            heapq.heappush(self._order, read_id)
        self._bytes += size_bytes - self._sizes.get(read_id, 0)
        self._sizes[read_id] = size_bytes

    def _oldest(self) -> uuid.UUID | None:
        while self._order and self._order[0] not in self._sizes:
            heapq.heappop(self._order)
        return self._order[0] if self._order else None

    def _remove(self, read_id: uuid.UUID) -> None:
        """Forget a picture, and remove its file if the disk lets it."""
        self._bytes -= self._sizes.pop(read_id)
        try:
            self._file(read_id).unlink(missing_ok=True)
        except OSError as error:
            self._refuse(error)

    def _file(self, read_id: uuid.UUID) -> Path:
        return self._path / f"{read_id}{ENDING}"

    def _refuse(self, error: OSError) -> None:
        self.refused += 1
        if self.refused == 1:
            LOG.warning(
                "pictures of vehicles cannot be kept in %s (%s); reads go on", self._path, Phrase(error.strerror)
            )


def taken_utc_ms(read_id: uuid.UUID) -> int:
    """Return the moment that a UUIDv7 begins with, milliseconds since 1970 (RFC 9562, section 5.7)."""
    return read_id.int >> 80


def _taken_bytes(size_bytes: int) -> int:
    """Return what a file of `size_bytes` takes on the disk."""
    return (-(-size_bytes // BLOCK_BYTES) + 1) * BLOCK_BYTES

"""The outbox's file: its tables, how it is opened, and what a refusing disk means. outbox.py fills it."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firmware.durable_files import give_to_owner_of, synchronise_folder
from firmware.faults import DeviceFault, FaultCode

KEPT_FREE_BYTES: Final = 16_000_000
"""A message that would leave the disk less than this is refused. To forget what a receipt confirms, something has to be
written first: the log, up to 1,000 pages of 4 KiB, and as much again when it is moved into the file. On a disk that it
had filled to the last byte an outbox could forget nothing, ever."""

_SCHEMA_VERSION: Final = 2
"""SQLite's user_version of an outbox with these tables."""

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY,
    class INTEGER NOT NULL,  -- records.MessageClass
    kept_since_utc_ms INTEGER,  -- NULL until the clock could be trusted
    wire BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS messages_in_order ON messages (class DESC, sequence);
CREATE TABLE IF NOT EXISTS numbering (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    given INTEGER NOT NULL,  -- how many numbers in all
    reserved_below INTEGER NOT NULL
) STRICT;
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""

_FLIGHTS: Final = """
CREATE TEMP TABLE flights (
    sequence INTEGER PRIMARY KEY,
    class INTEGER NOT NULL,
    sends INTEGER NOT NULL,
    due_s REAL  -- when to send again without a receipt; NULL while the broker has not acknowledged
) STRICT;
"""


def open_file(path: Path) -> sqlite3.Connection:
    """Open or make the outbox at `path`, for its owner's eyes only. SQLite gives its other two files the same mode.

    Raises DeviceFault(STORAGE_REFUSED) for the tables of another version, and what `refusals_translated` translates.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        give_to_owner_of(path.parent, descriptor)
    finally:
        os.close(descriptor)
    # psow=0: a card may spoil the whole sector that it is writing when the power goes. SQLite then fills up the sector
    # of each commit, so that no later write touches it (sqlite.org/psow.html)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?psow=0", uri=True, timeout=5.0, check_same_thread=False)
    try:
        is_new = _is_new(connection, path)
        connection.execute("PRAGMA temp_store = MEMORY")  # `flights` must not wear the card
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # what the last run left in the log goes into the file first: a cut may have spoilt the sector that filled it up
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executescript(_SCHEMA + _FLIGHTS if is_new else _FLIGHTS)  # on a full disk an old one opens too
        # SQLite syncs the folder too when it has made the log, but goes on when that fails (os_unix.c, unixSync): all
        # that is then written to the log would be gone with its name
        synchronise_folder(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_if_nearly_full(connection: sqlite3.Connection, path: Path, size_bytes: int) -> None:
    """Return if `size_bytes` more leave the disk the room that it takes to forget. Raises DeviceFault(STORAGE_REFUSED).

    What was forgotten before has left pages in the file; into these only the log needs room.
    """
    free_pages, page_bytes = (
        connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("freelist_count", "page_size")
    )
    is_there_room_within = free_pages * page_bytes > 2 * size_bytes + KEPT_FREE_BYTES // 100
    kept_free_bytes = KEPT_FREE_BYTES // 2 if is_there_room_within else KEPT_FREE_BYTES
    if shutil.disk_usage(path.parent).free < kept_free_bytes + size_bytes:
        raise DeviceFault(FaultCode.STORAGE_REFUSED, _full(path))


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether there are no tables yet. Raises DeviceFault for another version's: only that one can send them."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_empty and version != _SCHEMA_VERSION:
        hint = f"{path} was made by another version of this firmware; let that one deliver it, or move the file away"
        raise DeviceFault(FaultCode.STORAGE_REFUSED, hint)
    return bool(is_empty)


@contextlib.contextmanager
def refusals_translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say of the outbox at `path` into one fault with a hint."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a bug of this program, not a fault of the disk
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise DeviceFault(FaultCode.STORAGE_REFUSED, _hint(path, error)) from error


def _full(path: Path) -> str:
    return f"the disk of {path} is full; free space, or lower uplink.outbox_mb"


def whole_number(connection: sqlite3.Connection, path: Path, query: str, *values: int) -> int:
    """Return the number that `query` asks for. Raises DeviceFault(STORAGE_REFUSED) if what is there is none."""
    row = connection.execute(query, values).fetchone()
    if row is None or type(row[0]) is not int:  # not what this program wrote
        raise damaged(path)
    return row[0]


def damaged(path: Path) -> DeviceFault:
    """Return what is said of an outbox whose content is not what was written."""
    return DeviceFault(FaultCode.STORAGE_REFUSED, _damaged(path))


def _damaged(path: Path) -> str:
    return f"{path} is damaged; move it away, keep it for recovery, check the card, and start again"


def _hint(path: Path, error: Exception) -> str:
    """Return the sentence that tells a technician what to do.

    No statement of the outbox can break a constraint of its own tables, and Python fails to decode SQLite's message
    where that quotes changed bytes: both mean tables that are no longer what was written.
    """
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return _full(path)
    damages = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT}
    if primary in damages or isinstance(error, UnicodeDecodeError):
        return _damaged(path)
    if primary == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written; check the owner of the folder, and the card: a worn one turns read-only"
    cause = error.strerror if isinstance(error, OSError) else getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{path} cannot be used ({cause}); check the folder, its owner and the card"

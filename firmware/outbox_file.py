"""The outbox's file: its tables, how it is opened, and what a refusing disk means. outbox.py fills it."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firmware.faults import DeviceFault, FaultCode

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
    first_sequence INTEGER NOT NULL,
    reserved_below INTEGER NOT NULL
) STRICT;
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
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
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    # psow=0: a card may spoil the whole sector that it is writing when the power goes. SQLite then fills up the sector of
    # each commit, so that no later write touches it (sqlite.org/psow.html)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?psow=0", uri=True, timeout=5.0, check_same_thread=False)
    try:
        _refuse_another_version(connection, path)
        connection.execute("PRAGMA temp_store = MEMORY")  # `flights` must not wear the card
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # what the last run left in the log goes into the file first: a cut may have spoilt the sector that filled it up
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_another_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise DeviceFault for the tables of another version; what waits in them can only be sent by that version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_empty and version != _SCHEMA_VERSION:
        hint = f"{path} was made by another version of this firmware; let that one deliver it, or move the file away"
        raise DeviceFault(FaultCode.STORAGE_REFUSED, hint)


@contextlib.contextmanager
def refusals_translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say of the outbox at `path` into one fault with a hint."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # a bug of this program, not a fault of the disk
    except (sqlite3.Error, OSError) as error:
        raise DeviceFault(FaultCode.STORAGE_REFUSED, _hint(path, error)) from error


def _hint(path: Path, error: Exception) -> str:
    """Return the sentence that tells a technician what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return f"the disk of {path} is full; free space, or lower uplink.outbox_mb"
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"{path} is damaged; move it away, keep it for recovery, check the card, and start again"
    if primary == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written; check the owner of the folder, and the card: a worn one turns read-only"
    return f"{path} cannot be used ({error}); check the folder, its owner and the card"

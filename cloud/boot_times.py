"""When a read was taken whose unit did not know the time: by a read of the same start of the unit that did.

A unit without a battery-backed clock wakes with a guess. Each read says, sealed and signed, how many milliseconds after
which start it was taken; that clock never jumps. The first read of a start that was taken under a trusted clock tells
when that start was, and so sets right all those before it, whichever comes here first. What was sealed stays as it
came; the time that is found stands beside it, in a column of its own. A unit's clock strays by a few seconds a day, so
that the earliest trusted read, the nearest in time, is the one that counts.
"""

import enum
import sqlite3
from typing import Final

from firmware.records import Read
from firmware.wire import MAX_CALENDAR_UTC_MS

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS starts (
    device_id TEXT NOT NULL,
    boot_id BLOB NOT NULL,
    said_at_boot_ms INTEGER NOT NULL,  -- when, after the start, the unit said the time
    offset_ms INTEGER NOT NULL,  -- that time less said_at_boot_ms: when the start was
    PRIMARY KEY (device_id, boot_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reads_without_time ON reads (device_id, boot_id) WHERE NOT clock_trusted;
"""


class TimeSource(enum.StrEnum):
    """Who says when a read was taken."""

    UNIT = "unit"  # the unit, whose clock had been set
    CORRECTED = "corrected"  # counted back by a later read of the same start
    UNSET = "unset"  # a clock that nobody had set: a guess


def source_of(*, clock_trusted: bool, corrected_utc_ms: int | None) -> TimeSource:
    """Return who says when a read was taken."""
    if clock_trusted:
        return TimeSource.UNIT
    return TimeSource.UNSET if corrected_utc_ms is None else TimeSource.CORRECTED


def corrected_utc_ms(connection: sqlite3.Connection, read: Read) -> int | None:
    """Return the last moment of a read whose unit did not know the time; None if it did, or if nothing tells."""
    if read.passage.clock_trusted:
        return None
    row = connection.execute(
        "SELECT offset_ms FROM starts WHERE device_id = ? AND boot_id = ?", (read.device_id, read.boot_id)
    ).fetchone()
    found = None if row is None else int(row[0]) + read.passage.last_boot_ms
    return found if found is not None and 0 <= found <= MAX_CALENDAR_UTC_MS else None


def learn(connection: sqlite3.Connection, read: Read) -> None:
    """Take from `read`, if its unit knew the time, when its start was; set the stored reads of that start right."""
    passage = read.passage
    if not passage.clock_trusted:
        return
    offset_ms = passage.last_utc_ms - passage.last_boot_ms
    learnt = connection.execute(
        """INSERT INTO starts VALUES (?, ?, ?, ?) ON CONFLICT (device_id, boot_id) DO UPDATE
           SET said_at_boot_ms = excluded.said_at_boot_ms, offset_ms = excluded.offset_ms
           WHERE excluded.said_at_boot_ms < said_at_boot_ms""",
        (read.device_id, read.boot_id, passage.last_boot_ms, offset_ms),
    )
    if learnt.rowcount:
        connection.execute(
            """UPDATE reads SET corrected_utc_ms = last_boot_ms + ?
               WHERE device_id = ? AND boot_id = ? AND NOT clock_trusted AND last_boot_ms + ? BETWEEN 0 AND ?""",
            (offset_ms, read.device_id, read.boot_id, offset_ms, MAX_CALENDAR_UTC_MS),
        )

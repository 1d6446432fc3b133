"""Which units are at the broker and since when: one row a unit, in the receiver's store, whose transactions these are.

A birth counts always, a will only for the session of the newest birth (firmware.presence says why).
"""

import sqlite3
from typing import Final

from firmware.presence import Status

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS presence (
    device_id TEXT PRIMARY KEY,
    session INTEGER NOT NULL,  -- of the newest birth
    is_here INTEGER NOT NULL,
    since_utc_ms INTEGER NOT NULL  -- when this receiver heard of it
) STRICT, WITHOUT ROWID;
"""


def note(connection: sqlite3.Connection, status: Status, received_utc_ms: int) -> bool:
    """Note that a unit is here or gone; return whether it came back, or went, by this.

    A unit that is heard of for the first time has not come back.
    """
    if not status.is_here:
        gone = connection.execute(
            "UPDATE presence SET is_here = 0, since_utc_ms = ? WHERE device_id = ? AND session = ? AND is_here = 1",
            (received_utc_ms, status.device_id, status.session),
        )
        return gone.rowcount == 1
    before = connection.execute("SELECT is_here FROM presence WHERE device_id = ?", (status.device_id,)).fetchone()
    connection.execute(
        """INSERT INTO presence VALUES (?, ?, 1, ?) ON CONFLICT (device_id) DO UPDATE SET
               since_utc_ms = IIF(is_here, since_utc_ms, excluded.since_utc_ms),
               session = excluded.session, is_here = 1""",
        (status.device_id, status.session, received_utc_ms),
    )
    return before is not None and not before[0]


def units(connection: sqlite3.Connection) -> dict[str, tuple[bool, int]]:
    """Return of each unit that was ever heard of whether it is here, and since when (ms since 1970)."""
    rows = connection.execute("SELECT device_id, is_here, since_utc_ms FROM presence").fetchall()
    return {device_id: (bool(is_here), since_utc_ms) for device_id, is_here, since_utc_ms in rows}

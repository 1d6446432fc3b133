"""The health of units in the receiver's store: the newest of each, and what it was for 30 days.

A table of `cloud.store`, which owns connection and transaction. What is stored is the payload as the unit made it; who
reads it checks it again, so that a damaged store is found and not shown.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from firmware import health_report
from firmware.health_report import Health

KEPT_MS: Final = 30 * 86_400_000

TABLE: Final = """
CREATE TABLE IF NOT EXISTS health (
    device_id TEXT NOT NULL,
    read_id BLOB NOT NULL,
    at_utc_ms INTEGER NOT NULL,  -- when it was made, or came if the unit did not know the time
    received_utc_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (device_id, read_id)
) STRICT;
CREATE INDEX IF NOT EXISTS health_by_time ON health (device_id, at_utc_ms);
CREATE INDEX IF NOT EXISTS health_by_arrival ON health (received_utc_ms);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHealth:
    """How a unit fared, and when that came."""

    device_id: str
    at_utc_ms: int
    received_utc_ms: int
    health: Health


def insert(
    connection: sqlite3.Connection, device_id: str, read_id: bytes, health: Health, received_utc_ms: int
) -> None:
    """Keep `health`, and forget what came more than KEPT_MS before it."""
    at_utc_ms = min(health.made_utc_ms, received_utc_ms) if health.clock_trusted else received_utc_ms
    connection.execute("DELETE FROM health WHERE received_utc_ms < ?", (received_utc_ms - KEPT_MS,))
    connection.execute(
        "INSERT INTO health VALUES (?, ?, ?, ?, ?)",
        (device_id, read_id, at_utc_ms, received_utc_ms, health_report.payload(health)),
    )


def newest(connection: sqlite3.Connection, device_id: str, limit: int) -> list[StoredHealth]:
    """Return the newest `limit` of a unit, newest first. Raises DocumentRejected if the store is damaged."""
    rows = connection.execute(
        """SELECT at_utc_ms, received_utc_ms, payload FROM health
           WHERE device_id = ? ORDER BY at_utc_ms DESC, received_utc_ms DESC LIMIT ?""",
        (device_id, limit),
    ).fetchall()
    return [
        StoredHealth(
            device_id=device_id, at_utc_ms=at_ms, received_utc_ms=received_ms, health=health_report.parse(data)
        )
        for at_ms, received_ms, data in rows
    ]

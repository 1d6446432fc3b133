"""Which sequence numbers of each unit are stored, as ranges: two tables of the store's file, for receipts and gaps.

A number that is missing between two stored ones was lost on the way, was given up by its unit, or was never used. Only
the unit knows; `gap_below` finds what it can be asked for, and `give_up` remembers what it did not answer.
"""

import sqlite3
from typing import Final

Range = tuple[int, int]
"""First and last number, both inclusive."""

GAP_AT_MOST: Final = 100_000
"""More than all that a unit keeps (30 days of 2,400 reads). More numbers than that are no gap: the unit has started
anew, which leaves out up to 2**44 (firmware/outbox.py), fewer than this once in 170 million starts."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS confirmed (
    device_id TEXT NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    PRIMARY KEY (device_id, first_sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unanswered (  -- gaps that a unit was asked for in vain
    device_id TEXT NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    PRIMARY KEY (device_id, first_sequence, last_sequence)
) STRICT, WITHOUT ROWID;
"""


class Confirmed:
    """The ranges of all units. The caller holds the transaction, and translates what SQLite raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def around(self, device_id: str, sequence: int) -> Range | None:
        """Return the range of stored numbers that holds `sequence`, or None."""
        row = self._last_from(device_id, sequence)
        return row if row and sequence <= row[1] else None

    def newest(self, device_id: str, limit: int) -> list[Range]:
        """Return the highest `limit` ranges of a unit, highest first."""
        return self._connection.execute(
            """SELECT first_sequence, last_sequence FROM confirmed
               WHERE device_id = ? ORDER BY first_sequence DESC LIMIT ?""",
            (device_id, limit),
        ).fetchall()

    def add(self, device_id: str, sequence: int) -> None:
        """Add one number, joining it with the ranges that it touches."""
        before = self.around(device_id, sequence - 1)
        after = self.around(device_id, sequence + 1)
        for neighbour in (before, after):
            if neighbour:
                self._connection.execute(
                    "DELETE FROM confirmed WHERE device_id = ? AND first_sequence = ?", (device_id, neighbour[0])
                )
        first, last = before[0] if before else sequence, after[1] if after else sequence
        self._connection.execute("INSERT INTO confirmed VALUES (?, ?, ?)", (device_id, first, last))

    def gap_below(self, device_id: str, sequence: int) -> Range | None:
        """Return the numbers that are missing below the range that holds `sequence`, if the unit can be asked for them.

        None if there is no range around it or below it, if as many are missing as a start of the unit leaves out, or
        if the unit was asked for them in vain.
        """
        upper = self.around(device_id, sequence)
        lower = self._last_from(device_id, upper[0] - 1) if upper else None
        if upper is None or lower is None or upper[0] - lower[1] - 1 > GAP_AT_MOST:
            return None
        gap = (lower[1] + 1, upper[0] - 1)
        given_up = self._connection.execute(
            """SELECT 1 FROM unanswered
               WHERE device_id = ? AND first_sequence BETWEEN ? AND ? AND last_sequence >= ? LIMIT 1""",
            (device_id, gap[0] - GAP_AT_MOST, gap[0], gap[1]),
        ).fetchone()
        return None if given_up else gap

    def give_up(self, device_id: str, gap: Range) -> None:
        """Remember that the unit was asked for these numbers in vain."""
        self._connection.execute("INSERT OR IGNORE INTO unanswered VALUES (?, ?, ?)", (device_id, *gap))

    def _last_from(self, device_id: str, sequence: int) -> Range | None:
        """Return the highest range that begins at `sequence` or below."""
        row = self._connection.execute(
            """SELECT first_sequence, last_sequence FROM confirmed
               WHERE device_id = ? AND first_sequence <= ? ORDER BY first_sequence DESC LIMIT 1""",
            (device_id, sequence),
        ).fetchone()
        return (row[0], row[1]) if row else None

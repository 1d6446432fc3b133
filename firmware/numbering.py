"""The sequence numbers of one unit: given out in blocks that are on the disk first, so never twice.

What crashes loses the rest of a block; what is copied, or set back, goes on a leap further. A table of
`firmware.outbox`, which owns file, connection and lock and says what a refusal of SQLite is.
"""

import sqlite3
from pathlib import Path
from typing import Final

from firmware.outbox_file import damaged, whole_number
from firmware.ports import System
from firmware.wire import MAX_SEQUENCE

SEQUENCE_BLOCK: Final = 256
"""Numbers are persisted ahead in blocks of this size: one write for 256 reads, and a crash loses less than two."""

SEQUENCES_IN_HAND: Final = 128
"""A new block is asked for when fewer are left, so that reads can be numbered for a while on a disk that refuses."""

SEQUENCE_LEAP_BITS: Final = 44
"""The first block after each start begins up to 2**44 further on, by chance. What lies on a card cannot tell a card
from its copy, nor from itself of last week; two that go on from the same number meet again with a chance of n / 2**43
after n reads each, which is one in nine million for a million. 262,000 starts fit before the numbers begin again from
below."""


class Numbering:
    """The numbers of one outbox. Used under its owner's lock; raises sqlite3.Error as the disk does."""

    def __init__(self, connection: sqlite3.Connection, path: Path, system: System) -> None:
        """Make the numbering of a new outbox, somewhere below 2**61, and choose the leap of this start.

        A unit whose card was replaced or emptied keeps its name but loses its numbering. Starting elsewhere, it does
        not reuse numbers that the receiver has already stored under that name. Raises DeviceFault(STORAGE_REFUSED) if
        what is in the file is no numbering.
        """
        self._connection = connection
        self._path = path
        self._next = 0
        self._reserved_below = 0  # nothing is reserved before the first read: a start that reads nothing costs none
        with connection:
            first = int.from_bytes(system.random_bytes(8), "big") >> 3
            connection.execute("INSERT OR IGNORE INTO numbering VALUES (0, 0, ?)", (first,))
        if not 0 <= self._number("SELECT reserved_below FROM numbering") <= MAX_SEQUENCE:
            raise damaged(path)
        self._leap = 1 + (int.from_bytes(system.random_bytes(8), "big") >> (64 - SEQUENCE_LEAP_BITS))

    def take(self) -> int:
        """Return the next number; never twice, whatever crashes or is copied."""
        in_hand = self._reserved_below - self._next
        if in_hand < SEQUENCES_IN_HAND:
            try:
                self._reserve_block()
            except sqlite3.OperationalError:
                if not in_hand:
                    raise  # else the `put` that follows meets the same disk, and tells
        self._next += 1
        return self._next - 1

    def given(self) -> int:
        """Return how many numbers were ever given out; up to two blocks too many after a crash."""
        return self._number("SELECT given FROM numbering") - (self._reserved_below - self._next)

    def give_back(self) -> None:
        """Take the numbers that nobody used out of the count; none may be taken after this."""
        with self._connection:
            unused = self._reserved_below - self._next
            self._connection.execute("UPDATE numbering SET given = given - ?", (unused,))

    def _reserve_block(self) -> None:
        """Reserve the next block from what is on the disk on. The first of a start lies a leap further."""
        with self._connection:
            rows = self._connection.execute(
                """UPDATE numbering SET given = given + ?,
                       reserved_below = (reserved_below + ?) % ? + ? RETURNING reserved_below""",
                (SEQUENCE_BLOCK, self._leap, MAX_SEQUENCE + 1 - SEQUENCE_BLOCK, SEQUENCE_BLOCK),
            ).fetchall()
            if len(rows) != 1 or type(rows[0][0]) is not int:  # not the one row that this program wrote
                raise damaged(self._path)
        reserved_below = rows[0][0]
        begins_at = reserved_below - SEQUENCE_BLOCK
        if begins_at != self._reserved_below:  # after a leap, or from below again
            self._next = begins_at
        self._reserved_below, self._leap = reserved_below, 0

    def _number(self, query: str) -> int:
        return whole_number(self._connection, self._path, query)

"""The outbox: sealed reads on disk until the receiver's receipt. Disk first, whole or not at all.

SQLite with WAL and synchronous=FULL, so what `put` returned for survives a pulled battery. It takes only SealedRead:
nothing readable ever lies here. What is on its way (sent, acknowledged by the broker) is kept in memory only: after a
restart everything without a receipt goes again, and the receiver counts it once.

Used from two stages. One connection, one lock around each transaction; no call waits for the network.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware import sealing
from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock, System
from firmware.records import Receipt, SealedRead
from firmware.wire import MAX_SEQUENCE

SEQUENCE_BLOCK: Final = 32
"""Numbers are persisted ahead in blocks of this size: one write for 32 reads, and at most 31 lost in a crash."""

RECEIPT_WAIT_S: Final = 120.0
"""A receipt usually follows the PUBACK within seconds. Without one a read goes again after this, doubling each time."""

RECEIPT_WAIT_LIMIT_S: Final = 6 * 3600.0

UNRECEIPTED_MAX: Final = 200
"""More than this on its way without a receipt and only urgent reads go: a dead receiver must not cost the data plan."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reads (
    sequence INTEGER PRIMARY KEY,
    urgent INTEGER NOT NULL,
    kept_since_utc_ms INTEGER,  -- NULL until the clock could be trusted
    wire BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS reads_in_order ON reads (urgent DESC, sequence);
CREATE TABLE IF NOT EXISTS numbering (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    first_sequence INTEGER NOT NULL,
    reserved_below INTEGER NOT NULL
) STRICT;
CREATE TEMP TABLE flights (
    sequence INTEGER PRIMARY KEY,
    sends INTEGER NOT NULL,
    due_s REAL  -- when to send again without a receipt; NULL while the broker has not acknowledged
) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One read to be sent: `token` names it to the link and back, `wire` is the envelope."""

    token: int
    urgent: bool
    wire: bytes = field(repr=False)


class Outbox:
    """The sealed reads of one unit that the receiver has not yet confirmed. Safe to use from several stages."""

    def __init__(self, path: Path, *, capacity_bytes: int, retention_s: float, clock: Clock, system: System) -> None:
        """Open or make the outbox at `path`. Raises DeviceFault(STORAGE_REFUSED)."""
        self.dropped = 0  # reads given up because the outbox was full
        self.expired = 0  # reads given up because they were older than the retention time
        self._path = path
        self._capacity_bytes = capacity_bytes
        self._retention_ms = int(retention_s * 1000)
        self._clock = clock
        self._wake: threading.Event | None = None
        self._lock = threading.Lock()
        with self._translated(), contextlib.ExitStack() as unless_whole:
            self._connection = _open(path)
            unless_whole.callback(self._connection.close)
            self._open_numbering(system)
            self._bytes = self._number("SELECT COALESCE(SUM(LENGTH(wire)), 0) FROM reads")
            unless_whole.pop_all()

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every `put` from now on."""
        self._wake = wake

    def reserve_sequence(self) -> int:
        """Return the next sequence number; never twice, whatever crashes. Raises DeviceFault(STORAGE_REFUSED)."""
        with self._lock, self._translated():
            if self._next_sequence == self._reserved_below:
                with self._connection:
                    self._reserve_below(self._next_sequence + SEQUENCE_BLOCK)
                self._reserved_below += SEQUENCE_BLOCK
            self._next_sequence += 1
            return self._next_sequence - 1

    def put(self, sealed: SealedRead) -> bool:
        """Keep `sealed`; when this returns True it is on the disk.

        If the outbox would grow above its capacity, the oldest reads of the lowest class make room and are counted in
        `dropped`; that may be `sealed` itself, and then this returns False.
        Raises DeviceFault(STORAGE_REFUSED): nothing kept before is lost.
        """
        if not isinstance(sealed, SealedRead):
            raise TypeError("the outbox takes sealed reads only")
        wire = sealing.to_wire(sealed)
        kept_since = self._clock.utc_ms() if self._clock.is_trusted() else None
        row = (sealed.sequence, int(sealed.urgent), kept_since, wire)
        with self._lock, self._translated():
            victims = self._victims(self._bytes + len(wire) - self._capacity_bytes, row[1])
            if victims is None:
                self.dropped += 1
                return False
            with self._connection:
                self._connection.executemany("DELETE FROM reads WHERE sequence = ?", [(token,) for token in victims])
                # a `put` that is tried again after a fault may find its own row: an error after the commit
                kept = self._connection.execute("INSERT INTO reads VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
                self._connection.executemany("DELETE FROM flights WHERE sequence = ?", [(token,) for token in victims])
            self._bytes += len(wire) * kept.rowcount - sum(victims.values())
            self.dropped += len(victims)
        if self._wake:
            self._wake.set()
        return True

    def next_unsent(self, limit: int, now_s: float) -> list[Waiting]:
        """Return up to `limit` reads that should be sent now, urgent ones first, then in order of sequence.

        Raises DeviceFault(STORAGE_REFUSED).
        """
        with self._lock, self._translated():
            on_their_way = self._number("SELECT COUNT(*) FROM flights")
            again = self._connection.execute(
                "SELECT sequence, urgent, wire FROM flights JOIN reads USING (sequence) WHERE due_s <= ?", (now_s,)
            )
            anew = self._connection.execute(
                """SELECT sequence, urgent, wire FROM reads
                   WHERE urgent >= ? AND sequence NOT IN (SELECT sequence FROM flights)
                   ORDER BY urgent DESC, sequence LIMIT ?""",
                (int(on_their_way >= UNRECEIPTED_MAX), limit),
            )
            waiting = [Waiting(token=token, urgent=bool(urgent), wire=wire) for token, urgent, wire in (*again, *anew)]
        return sorted(waiting, key=lambda read: (not read.urgent, read.token))[:limit]

    def mark_sent(self, token: int) -> None:
        """Note that this read was handed to the link: it is not sent again until the outcome is known."""
        with self._lock, self._translated(), self._connection:
            self._connection.execute(
                """INSERT INTO flights VALUES (?, 1, NULL)
                   ON CONFLICT (sequence) DO UPDATE SET sends = sends + 1, due_s = NULL""",
                (token,),
            )

    def acked(self, token: int, now_s: float) -> None:
        """Note the broker's PUBACK. The read stays: it goes again if no receipt comes in time."""
        with self._lock, self._translated(), self._connection:
            self._connection.execute(
                "UPDATE flights SET due_s = ? + MIN(?, ? * (1 << MIN(sends - 1, 20))) WHERE sequence = ?",
                (now_s, RECEIPT_WAIT_LIMIT_S, RECEIPT_WAIT_S, token),
            )

    def postpone(self, token: int, until_s: float) -> None:
        """Note that the broker refused this read: it stays, and goes again at `until_s` at the earliest."""
        with self._lock, self._translated(), self._connection:
            self._connection.execute("UPDATE flights SET due_s = ? WHERE sequence = ?", (until_s, token))

    def connection_lost(self) -> None:
        """Note that what the broker has not acknowledged is lost and must go again."""
        with self._lock, self._translated(), self._connection:
            self._connection.execute("DELETE FROM flights WHERE due_s IS NULL")

    def session_lost(self) -> None:
        """Note that the broker has forgotten this unit, and maybe what it had acknowledged: all must go again."""
        with self._lock, self._translated(), self._connection:
            self._connection.execute("DELETE FROM flights")

    def confirm(self, receipt: Receipt) -> int:
        """Forget the reads that `receipt` (already verified) names; return how many. Raises DeviceFault."""
        with self._lock, self._translated(), self._connection:
            return sum(
                self._forget("DELETE FROM reads WHERE sequence BETWEEN ? AND ? RETURNING sequence, LENGTH(wire)", *pair)
                for pair in receipt.ranges
            )

    def expire(self) -> int:
        """Forget the reads older than the retention time; return how many. Raises DeviceFault(STORAGE_REFUSED).

        Age counts from when the clock could be trusted, or a unit that wakes with a wrong date would forget all.
        """
        if not self._clock.is_trusted():
            return 0
        now_utc_ms = self._clock.utc_ms()
        with self._lock, self._translated(), self._connection:
            self._connection.execute(
                "UPDATE reads SET kept_since_utc_ms = ? WHERE kept_since_utc_ms IS NULL", (now_utc_ms,)
            )
            expired = self._forget(
                "DELETE FROM reads WHERE kept_since_utc_ms < ? RETURNING sequence, LENGTH(wire)",
                now_utc_ms - self._retention_ms,
            )
            self.expired += expired
            return expired

    def next_due_s(self) -> float:
        """Return when the next read without a receipt goes again (monotonic seconds); infinity if none waits."""
        with self._lock, self._translated():
            (due_s,) = self._connection.execute("SELECT MIN(due_s) FROM flights").fetchone()
            return float("inf") if due_s is None else float(due_s)

    def count(self) -> int:
        """Return how many reads wait for their receipt."""
        with self._lock, self._translated():
            return self._number("SELECT COUNT(*) FROM reads")

    def reserved(self) -> int:
        """Return how many sequence numbers this outbox has ever given out (after a crash: up to a block too many)."""
        with self._lock, self._translated():
            return self._next_sequence - self._number("SELECT first_sequence FROM numbering")

    def close(self) -> None:
        """Give back the numbers that were reserved and not used, and close the file. Nothing works after this."""
        with self._lock, self._translated():
            try:
                with self._connection:
                    self._reserve_below(self._next_sequence)
            finally:
                self._connection.close()

    def _open_numbering(self, system: System) -> None:
        """Find the next sequence number; a new outbox starts at a random multiple of 2**32.

        A unit whose card was replaced keeps its name but loses its numbering. Starting elsewhere, it does not reuse
        numbers that the receiver has already stored under that name.
        """
        with self._connection:
            first = int.from_bytes(system.random_bytes(4), "big") >> 2 << 32  # below 2**62
            self._connection.execute("INSERT OR IGNORE INTO numbering VALUES (0, ?, ?)", (first, first))
        self._reserved_below = self._number("SELECT reserved_below FROM numbering")
        if not 0 <= self._reserved_below <= MAX_SEQUENCE - SEQUENCE_BLOCK:
            raise DeviceFault(FaultCode.STORAGE_REFUSED, _damaged(self._path))
        self._next_sequence = self._reserved_below

    def _reserve_below(self, sequence: int) -> None:
        self._connection.execute("UPDATE numbering SET reserved_below = ?", (sequence,))

    def _victims(self, excess_bytes: int, newcomer_urgent: int) -> dict[int, int] | None:
        """Return sequence and bytes of the reads that make room for `excess_bytes`: oldest of the lowest class first.

        An urgent read never gives way to a newcomer that is not urgent; None if so no room can be made.
        """
        victims: dict[int, int] = {}
        for urgent in range(newcomer_urgent + 1):
            if excess_bytes <= 0:
                break
            rows = self._connection.execute(
                "SELECT sequence, LENGTH(wire) FROM reads WHERE urgent = ? ORDER BY sequence", (urgent,)
            )
            while excess_bytes > 0 and (row := rows.fetchone()):
                victims[row[0]] = row[1]
                excess_bytes -= row[1]
            rows.close()
        return victims if excess_bytes <= 0 else None

    def _forget(self, deletion: str, *values: int) -> int:
        """Run a DELETE ... RETURNING sequence, LENGTH(wire) and keep the books; return how many rows went."""
        gone = self._connection.execute(deletion, values).fetchall()
        self._connection.executemany("DELETE FROM flights WHERE sequence = ?", [row[:1] for row in gone])
        self._bytes -= sum(size_bytes for _, size_bytes in gone)
        return len(gone)

    def _number(self, query: str, *values: int) -> int:
        row = self._connection.execute(query, values).fetchone()
        if row is None or type(row[0]) is not int:  # not what this program wrote
            raise DeviceFault(FaultCode.STORAGE_REFUSED, _damaged(self._path))
        return row[0]

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into one fault with a hint."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a bug of this program, not a fault of the disk
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise DeviceFault(FaultCode.STORAGE_REFUSED, _hint(self._path, error)) from error


def _open(path: Path) -> sqlite3.Connection:
    """Open or make the database, for its owner's eyes only. SQLite gives its other two files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")  # `flights` must not wear the card
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _damaged(path: Path) -> str:
    return f"{path} is damaged; move it away, keep it for recovery, check the card, and start again"


def _hint(path: Path, error: Exception) -> str:
    """Return the sentence that tells a technician what to do.

    No statement of this file can break a constraint of its own tables, and Python fails to decode SQLite's message
    where that quotes changed bytes: both mean tables that are no longer what was written.
    """
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return f"the disk of {path} is full; free space, or lower uplink.outbox_mb"
    damages = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT}
    if primary in damages or isinstance(error, UnicodeDecodeError):
        return _damaged(path)
    if primary == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written; check the owner of the folder, and the card: a worn one turns read-only"
    cause = error.strerror if isinstance(error, OSError) else getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{path} cannot be used ({cause}); check the folder, its owner and the card"

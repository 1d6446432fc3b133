"""The receiver's store: each read, health report and paper once, and which numbers a receipt may confirm.

SQLite with WAL and synchronous=FULL: a receipt is sent only after the commit. The table `reads` is in the clear, on the
agency's own disk, for its owner's eyes only. `confirmed` (confirmed.py) and `seen` outlive the reads and hold no plate,
so that what retention deletes later is still recognised when it comes again. All is told apart by unit: no unit can use
up another's read ids.

What protects against replay is that nothing is forgotten, not that things come in order. A read that comes again, bit
for bit, is a duplicate however late it comes: counted, confirmed, and not stored twice. Honest reads come in any order
(alerts before a month's backlog, a new card's numbers below the old card's), so that a window over sequence numbers
would lose them. The window is one of time, for reads whose unit knew the time:

- reordered: taken more than REORDER_WINDOW_MS before the newest read that is stored of the same unit. A unit forgets
  after 30 days (uplink.retention_days) and a broker hands on in order, so that only somebody who held a message back
  can bring one; this needs no true clock here.
- stale: taken more than STALE_AFTER_MS before now. 30 days on the unit and 30 in a broker's queue (message expiry) are
  the longest way that an honest read can take; what is older has been withheld, or lay in a unit that nobody switched
  on.

A unit whose clock was never set says so in the read, sealed and signed; such a read has no age and is never too late.
An entry of `seen` is forgotten when its read would be stale, and never if it has no age. `newest` never runs ahead of
this receiver's clock: a unit whose clock was set to next year cannot make its later reads look late.
"""

import contextlib
import enum
import hashlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cloud import boot_times, health_rows, paper_rows, picture_rows, presence, read_rows
from cloud.answers import OpenedAnswer
from cloud.confirmed import SCHEMA, Confirmed, Range
from cloud.health_rows import StoredHealth
from cloud.paper_rows import StoredDocument
from cloud.picture_rows import PictureRows
from cloud.read_rows import StoredRead
from firmware.faults import DocumentRejected, KestrelError, RejectionCause
from firmware.health_report import Health
from firmware.papers import Paper, PaperKind
from firmware.presence import Status
from firmware.records import Read, SealedRead

DAY_MS: Final = 86_400_000

REORDER_WINDOW_MS: Final = 31 * DAY_MS
"""The longest retention of a unit, and a day for the last sending."""

STALE_AFTER_MS: Final = 61 * DAY_MS
"""The longest retention of a unit, as long again in the broker's queue, and a day for clocks and the last sending."""

MISSING: Final = "missing"
"""What numbers are counted as that a unit was asked for in vain."""

_FINGERPRINT_BYTES: Final = 16

_SCHEMA = f"""{read_rows.TABLE}
CREATE TABLE IF NOT EXISTS seen (
    device_id TEXT NOT NULL,
    read_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,  -- of the envelope, which is encrypted: it says nothing of what was read
    forget_after_utc_ms INTEGER,  -- NULL: never
    PRIMARY KEY (device_id, read_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_age ON seen (forget_after_utc_ms);
CREATE TABLE IF NOT EXISTS newest (
    device_id TEXT PRIMARY KEY,
    taken_utc_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (cause TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
{health_rows.TABLE}{paper_rows.TABLE}"""

_SCHEMA_VERSION = 4
"""SQLite's user_version of a store with these tables."""


_CAUSES = {
    "SQLITE_NOTADB": "it is not a database",
    "SQLITE_CORRUPT": "it is damaged: bring it back from a copy",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it cannot be written",
    "SQLITE_CANTOPEN": "it cannot be opened",
}


class StoreRefused(KestrelError):
    """The store cannot be opened or written. The message says what to do."""


class Outcome(enum.StrEnum):
    """What became of a read."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # this very message was taken before: sent again, or replayed
    SEQUENCE_REUSED = "sequence-reused"  # stored, but another read of this unit had this number: a copied card


@dataclass(frozen=True, slots=True)
class _Message:
    """What tells a message apart and how old it is, whatever is in it."""

    device_id: str
    read_id: uuid.UUID
    sequence: int
    taken_utc_ms: int
    clock_trusted: bool


class ReadStore:
    """The reads of a fleet in one file. Used from one thread. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make the store at `path`, mode 0600. Raises StoreRefused."""
        self._path = path
        with self._translated(), contextlib.ExitStack() as unless_whole:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
            self._connection = sqlite3.connect(path, timeout=10.0)
            unless_whole.callback(self._connection.close)
            self._confirmed = Confirmed(self._connection)
            self.pictures = PictureRows(self._connection, self.group)  # of vehicles
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._make_tables()
            unless_whole.pop_all()

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """Make all that is put and counted in this block one commit, on the disk when the block ends, or nothing of it.

        Syncing is what storing costs, and a hundred reads sync as quickly as one. The lock is taken before anything is
        looked up, so that several receivers may share the file: each waits for the other's group. Raises StoreRefused.
        """
        if self._connection.in_transaction:  # within a group that has begun, whose end commits
            yield
            return
        with self._translated(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    def put(self, read: Read, received_utc_ms: int, envelope: bytes) -> Outcome:
        """Store `read`, which came in `envelope`, if it is new; once this returns, or its group ends, it is on disk.

        A reused number is an alarm, and no reason to lose a read: a card that was set back sends new reads under it.
        Raises DocumentRejected (READ_ID_REUSED, STALE, REORDERED; see above), and StoreRefused.
        """
        passage = read.passage
        message = _Message(read.device_id, read.read_id, read.sequence, passage.last_utc_ms, passage.clock_trusted)

        def insert() -> None:
            read_rows.insert(self._connection, read, received_utc_ms)

        return self._put(message, received_utc_ms, envelope, insert)

    def put_health(self, sealed: SealedRead, health: Health, received_utc_ms: int, envelope: bytes) -> Outcome:
        """Store `health`, which came in `sealed`, as `put` does a read."""
        device_id, read_id = sealed.device_id, sealed.read_id
        message = _Message(device_id, read_id, sealed.sequence, health.made_utc_ms, health.clock_trusted)

        def insert() -> None:
            health_rows.insert(self._connection, device_id, read_id.bytes, health, received_utc_ms)

        return self._put(message, received_utc_ms, envelope, insert)

    def health(self, device_id: str, limit: int = 1) -> list[StoredHealth]:
        """Return how a unit fared, the newest `limit` reports of 30 days, newest first. Raises StoreRefused."""
        try:
            with self._translated():
                return health_rows.newest(self._connection, device_id, limit)
        except DocumentRejected:
            raise self._damaged() from None

    def put_paper(
        self,
        sealed: SealedRead,
        paper: Paper,
        received_utc_ms: int,
        envelope: bytes,
        check: Callable[[PaperKind, bytes], None],
    ) -> tuple[Outcome, StoredDocument | None]:
        """Store `paper`, which came in `sealed`, as `put` does a read; return also its document if it is now whole.

        `check` raises DocumentRejected for a document that must not be kept.
        """
        device_id = sealed.device_id
        message = _Message(device_id, sealed.read_id, sealed.sequence, paper.made_utc_ms, paper.clock_trusted)
        whole: list[StoredDocument | None] = [None]

        def insert() -> None:
            whole[0] = paper_rows.insert(self._connection, device_id, paper, received_utc_ms, check)

        return self._put(message, received_utc_ms, envelope, insert), whole[0]

    def put_answer(self, sealed: SealedRead, answer: OpenedAnswer, received_utc_ms: int, envelope: bytes) -> Outcome:
        """Store what a unit has answered to a request for a picture, which came in `sealed`, as `put` does a read."""
        device_id, paper = sealed.device_id, answer.paper
        message = _Message(device_id, sealed.read_id, sealed.sequence, paper.made_utc_ms, paper.clock_trusted)

        def insert() -> None:
            self.pictures.keep(device_id, answer.answer.read_id, answer.answer.outcome, answer.picture)

        return self._put(message, received_utc_ms, envelope, insert)

    def documents(self, kind: PaperKind) -> list[StoredDocument]:
        """Return the whole documents of a kind, oldest first. Raises StoreRefused."""
        try:
            with self._translated():
                return paper_rows.stored(self._connection, kind)
        except DocumentRejected:
            raise self._damaged() from None

    def _put(self, message: "_Message", received_utc_ms: int, envelope: bytes, insert: Callable[[], None]) -> Outcome:
        """Take in a message once, with all that is remembered of it."""
        with self.group():
            fingerprint = hashlib.sha256(envelope).digest()[:_FINGERPRINT_BYTES]
            outcome = self._outcome(message, fingerprint, received_utc_ms)
            if outcome is not Outcome.DUPLICATE:
                insert()
                self._remember(message, fingerprint, received_utc_ms)
            if outcome is Outcome.STORED:
                self._confirmed.add(message.device_id, message.sequence)
            else:
                self._count(outcome)
        return outcome

    def count_rejected(self, cause: RejectionCause) -> None:
        """Count a message that was no read. Raises StoreRefused."""
        with self.group():
            self._count(cause)

    def corrected_utc_ms(self, read: Read) -> int | None:
        """Return the last moment of `read`, if its unit did not know the time and another read tells it."""
        with self._translated():
            return boot_times.corrected_utc_ms(self._connection, read)

    def note_status(self, status: Status, received_utc_ms: int) -> bool:
        """Note that a unit is here or gone; return whether it came back, or went, by this. Raises StoreRefused."""
        with self.group():
            return presence.note(self._connection, status, received_utc_ms)

    def units(self) -> dict[str, tuple[bool, int]]:
        """Return of each unit that was ever heard of whether it is here, and since when. Raises StoreRefused."""
        with self._translated():
            return presence.units(self._connection)

    def ranges_around(self, device_id: str, sequences: Iterable[int]) -> list[Range]:
        """Return the ranges of a unit's stored numbers that hold one of `sequences`, ascending, not touching."""
        with self._translated():
            found = (self._confirmed.around(device_id, sequence) for sequence in sequences)
            return sorted({one for one in found if one})

    def newest_ranges(self, device_id: str, limit: int) -> list[Range]:
        """Return the highest `limit` ranges of a unit's stored numbers, highest first."""
        with self._translated():
            return self._confirmed.newest(device_id, limit)

    def gap_below(self, device_id: str, sequence: int) -> Range | None:
        """Return what is missing below the range that holds `sequence`, if the unit can be asked for it."""
        with self._translated():
            return self._confirmed.gap_below(device_id, sequence)

    def give_up(self, device_id: str, gap: Range) -> None:
        """Remember that the unit did not answer for these numbers, and count them. Raises StoreRefused."""
        with self._translated(), self._connection:
            self._confirmed.give_up(device_id, gap)
            self._count(MISSING, gap[1] - gap[0] + 1)

    def units_since(self, utc_ms: int) -> list[str]:
        """Return the units whose newest read was taken at `utc_ms` or later."""
        with self._translated():
            rows = self._connection.execute("SELECT device_id FROM newest WHERE taken_utc_ms >= ?", (utc_ms,))
            return [device_id for (device_id,) in rows]

    def newest_utc_ms(self) -> dict[str, int]:
        """Return of each unit when the newest of what it said was taken (ms since 1970). Raises StoreRefused."""
        with self._translated():
            return dict(self._connection.execute("SELECT device_id, taken_utc_ms FROM newest").fetchall())

    def reads(self, limit: int) -> list[StoredRead]:
        """Return the newest `limit` reads, oldest first. Raises StoreRefused."""
        try:
            with self._translated():
                return read_rows.newest(self._connection, limit)
        except DocumentRejected:
            raise self._damaged() from None

    def count(self) -> int:
        """Return how many reads are stored."""
        with self._translated():
            return int(self._connection.execute("SELECT COUNT(*) FROM reads").fetchone()[0])

    def counters(self) -> dict[str, int]:
        """Return how many messages were more than a new read, by cause, since the store was made."""
        with self._translated():
            return dict(self._connection.execute("SELECT cause, count FROM counters ORDER BY cause").fetchall())

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _damaged(self) -> StoreRefused:
        return StoreRefused(f"{self._path}: the store is damaged; bring it back from a copy")

    def _make_tables(self) -> None:
        """Make the tables in an empty file. Raises StoreRefused for the tables of another version."""
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        is_empty = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
        if not is_empty and version != _SCHEMA_VERSION:
            raise StoreRefused(
                f"{self._path}: the store was made by another version of this receiver; move it to another folder"
            )
        schema = f"{_SCHEMA}{SCHEMA}{presence.SCHEMA}{boot_times.SCHEMA}{picture_rows.SCHEMA}"
        self._connection.executescript(f"{schema} PRAGMA user_version = {_SCHEMA_VERSION};")

    def _outcome(self, message: "_Message", fingerprint: bytes, received_utc_ms: int) -> Outcome:
        """Return what `message` is to this store. Raises DocumentRejected."""
        known = self._connection.execute(
            "SELECT fingerprint FROM seen WHERE device_id = ? AND read_id = ?",
            (message.device_id, message.read_id.bytes),
        ).fetchone()
        if known:
            if known[0] == fingerprint:
                return Outcome.DUPLICATE
            raise DocumentRejected("store: the unit used this read id for another read", RejectionCause.READ_ID_REUSED)
        if message.clock_trusted:
            self._check_age(message, received_utc_ms)
        is_used = self._confirmed.around(message.device_id, message.sequence) is not None
        return Outcome.SEQUENCE_REUSED if is_used else Outcome.STORED

    def _check_age(self, message: "_Message", received_utc_ms: int) -> None:
        """Return if `message` is not too late. Raises DocumentRejected."""
        if message.taken_utc_ms < received_utc_ms - STALE_AFTER_MS:
            raise DocumentRejected("store: taken longer ago than a read can be on its way", RejectionCause.STALE)
        newest = self._connection.execute(
            "SELECT taken_utc_ms FROM newest WHERE device_id = ?", (message.device_id,)
        ).fetchone()
        if newest and message.taken_utc_ms < newest[0] - REORDER_WINDOW_MS:
            raise DocumentRejected(
                "store: taken longer before the unit's newest read than a unit keeps one", RejectionCause.REORDERED
            )

    def _remember(self, message: "_Message", fingerprint: bytes, received_utc_ms: int) -> None:
        """Note that `message` was here, for as long as it may come again, and how far its unit has got."""
        taken_utc_ms = message.taken_utc_ms
        forget_after = max(taken_utc_ms, received_utc_ms) + STALE_AFTER_MS if message.clock_trusted else None
        self._connection.execute("DELETE FROM seen WHERE forget_after_utc_ms < ?", (received_utc_ms,))
        self._connection.execute(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?)",
            (message.device_id, message.read_id.bytes, message.sequence, fingerprint, forget_after),
        )
        if message.clock_trusted:
            self._connection.execute(
                """INSERT INTO newest VALUES (?, ?) ON CONFLICT (device_id)
                   DO UPDATE SET taken_utc_ms = MAX(taken_utc_ms, excluded.taken_utc_ms)""",
                (message.device_id, min(taken_utc_ms, received_utc_ms)),
            )

    def _count(self, cause: str, number: int = 1) -> None:
        self._connection.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (cause) DO UPDATE SET count = count + excluded.count",
            (str(cause), number),
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into one sentence."""
        try:
            yield
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreRefused(
                f"{self._path}: the store cannot be used ({_cause(error)}); check the disk and the folder"
            ) from None  # SQLite's own words may quote what is stored


def _cause(error: Exception) -> str:
    """Return what is wrong in words that quote nothing of the file.

    UnicodeDecodeError is what Python makes of a message of SQLite that quotes changed bytes.
    """
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    name = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
    return _CAUSES.get(name, name)

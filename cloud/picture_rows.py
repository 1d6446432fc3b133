"""Pictures of vehicles in the receiver's store: who wanted to see which and why, what units were asked, what came.

Tables of `cloud.store`, which owns connection and transaction. `picture_looks` is the audit: one row for each request
and for each picture shown, with case, reason and name; the database itself refuses to change or delete one.
`picture_errands` is what units are asked and have answered; several receivers share it, and the one that takes an
errand sets when it is due again in the same transaction, so that a request goes out once at a time.
"""

import enum
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from firmware.faults import DocumentRejected
from firmware.picture_requests import PictureOutcome
from firmware.records import Picture, PictureCoding

SEND_AGAIN_MS: Final = (60_000, 600_000, 7_200_000, 43_200_000)
"""From each request to the next, the last one from then on, until the unit answers. It does within seconds, unless it
is offline or has used up its data plan; what waits for it at the broker expires when the next one goes."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS picture_looks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_utc_ms INTEGER NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('asked', 'shown')),
    device_id TEXT NOT NULL,
    read_id BLOB NOT NULL,
    case_number TEXT NOT NULL,
    reason TEXT NOT NULL,
    name TEXT NOT NULL  -- of who looks
) STRICT;
CREATE TRIGGER IF NOT EXISTS picture_looks_stay BEFORE DELETE ON picture_looks
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS picture_looks_stay_as_they_are BEFORE UPDATE ON picture_looks
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TABLE IF NOT EXISTS picture_errands (
    device_id TEXT NOT NULL,
    read_id BLOB NOT NULL,
    sends INTEGER NOT NULL,
    due_utc_ms INTEGER,  -- when the unit is asked (again); NULL once it has answered
    outcome INTEGER,  -- picture_requests.PictureOutcome; NULL until it has answered
    coding INTEGER,  -- records.PictureCoding
    picture BLOB,
    PRIMARY KEY (device_id, read_id)
) STRICT;
CREATE INDEX IF NOT EXISTS picture_errands_by_time ON picture_errands (due_utc_ms) WHERE due_utc_ms IS NOT NULL;
"""


class Look(enum.StrEnum):
    """What somebody did. The words are the store's."""

    ASKED = "asked"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Why somebody looks: all three must be said."""

    case_number: str
    reason: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLook:
    """One row of the audit, and how the unit answered (None: it has not yet)."""

    at_utc_ms: int
    what: Look
    device_id: str
    read_id: uuid.UUID
    purpose: Purpose = field(repr=False)
    outcome: PictureOutcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A unit is to be asked now for the picture of a read's vehicle. `again_ms`: until it is asked again."""

    device_id: str
    read_id: uuid.UUID
    again_ms: int


class PictureRows:
    """The tables, each call one transaction. `group` is the store's, which translates what the disk says."""

    def __init__(self, connection: sqlite3.Connection, group: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._group = group

    def unit_of(self, read_id: uuid.UUID) -> str | None:
        """Return the unit of a stored read, None if there is no such read. Raises StoreRefused."""
        with self._group():
            row = self._connection.execute("SELECT device_id FROM reads WHERE read_id = ?", (read_id.bytes,)).fetchone()
        return row and str(row[0])

    def ask(self, device_id: str, read_id: uuid.UUID, purpose: Purpose, now_utc_ms: int) -> PictureOutcome | None:
        """Log the request, and let the receiver ask the unit, unless it has answered: then return what.

        Raises StoreRefused.
        """
        with self._group():
            self._log(Look.ASKED, device_id, read_id, purpose, now_utc_ms)
            self._connection.execute(
                "INSERT INTO picture_errands VALUES (?, ?, 0, ?, NULL, NULL, NULL) ON CONFLICT DO NOTHING",
                (device_id, read_id.bytes, now_utc_ms),
            )
            (outcome,) = self._connection.execute(
                "SELECT outcome FROM picture_errands WHERE device_id = ? AND read_id = ?", (device_id, read_id.bytes)
            ).fetchone()
        return None if outcome is None else PictureOutcome(outcome)

    def take_due(self, now_utc_ms: int, limit: int) -> list[Errand]:
        """Return at most `limit` errands that are due, oldest first, and set when each is due again."""
        with self._group():
            rows = self._connection.execute(
                """SELECT device_id, read_id, sends FROM picture_errands
                   WHERE due_utc_ms <= ? ORDER BY due_utc_ms LIMIT ?""",
                (now_utc_ms, limit),
            ).fetchall()
            due = [
                Errand(
                    device_id=device_id,
                    read_id=uuid.UUID(bytes=read_id),
                    again_ms=SEND_AGAIN_MS[min(sends, len(SEND_AGAIN_MS) - 1)],
                )
                for device_id, read_id, sends in rows
            ]
            self._connection.executemany(
                "UPDATE picture_errands SET sends = sends + 1, due_utc_ms = ? WHERE device_id = ? AND read_id = ?",
                [(now_utc_ms + one.again_ms, one.device_id, one.read_id.bytes) for one in due],
            )
        return due

    def keep(self, device_id: str, read_id: uuid.UUID, outcome: PictureOutcome, picture: Picture | None) -> None:
        """Keep what a unit has answered, asked or not; that it has none does not take away what came before."""
        coding, data = (None, None) if picture is None else (int(picture.coding), picture.data)
        with self._group():
            self._connection.execute(
                """INSERT INTO picture_errands VALUES (?, ?, 0, NULL, ?, ?, ?) ON CONFLICT (device_id, read_id)
                   DO UPDATE SET due_utc_ms = NULL, outcome = excluded.outcome, coding = excluded.coding,
                                 picture = excluded.picture WHERE picture IS NULL""",
                (device_id, read_id.bytes, int(outcome), coding, data),
            )

    def outcome(self, device_id: str, read_id: uuid.UUID) -> PictureOutcome | None:
        """Return what the unit has answered for this read, None if nothing. Raises StoreRefused."""
        with self._group():
            row = self._connection.execute(
                "SELECT outcome FROM picture_errands WHERE device_id = ? AND read_id = ?", (device_id, read_id.bytes)
            ).fetchone()
        return None if row is None or row[0] is None else PictureOutcome(row[0])

    def show(self, device_id: str, read_id: uuid.UUID, purpose: Purpose, now_utc_ms: int) -> Picture | None:
        """Return the picture of this read's vehicle if it is here; that it was shown, and why, is logged first."""
        with self._group():
            row = self._connection.execute(
                """SELECT coding, picture FROM picture_errands
                   WHERE device_id = ? AND read_id = ? AND picture IS NOT NULL""",
                (device_id, read_id.bytes),
            ).fetchone()
            if row is not None:
                self._log(Look.SHOWN, device_id, read_id, purpose, now_utc_ms)
        return None if row is None else Picture(PictureCoding(row[0]), row[1])

    def looks(self) -> list[LoggedLook]:
        """Return the audit, oldest first. Raises StoreRefused, and DocumentRejected if the store is damaged."""
        with self._group():
            rows = self._connection.execute(
                """SELECT at_utc_ms, what, device_id, read_id, case_number, reason, name, outcome
                   FROM picture_looks LEFT JOIN picture_errands USING (device_id, read_id) ORDER BY number"""
            ).fetchall()
        try:
            return [
                LoggedLook(
                    at_utc_ms=at_utc_ms,
                    what=Look(what),
                    device_id=device_id,
                    read_id=uuid.UUID(bytes=read_id),
                    purpose=Purpose(case_number=case_number, reason=reason, name=name),
                    outcome=None if outcome is None else PictureOutcome(outcome),
                )
                for at_utc_ms, what, device_id, read_id, case_number, reason, name, outcome in rows
            ]
        except ValueError:
            raise DocumentRejected("store: a row of the audit is not one that was written") from None

    def _log(self, what: Look, device_id: str, read_id: uuid.UUID, purpose: Purpose, now_utc_ms: int) -> None:
        self._connection.execute(
            """INSERT INTO picture_looks (at_utc_ms, what, device_id, read_id, case_number, reason, name)
               VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (now_utc_ms, what.value, device_id, read_id.bytes, purpose.case_number, purpose.reason, purpose.name),
        )

"""Papers of units in the receiver's store: parts until their document is whole, and documents that are kept.

Tables of `cloud.store`, which owns connection and transaction. A test read is kept for a day, so that a technician on
the telephone can be told that it came; parts of a document whose others never come are forgotten when nothing can come
any more. A hand-over record stays until somebody deletes it.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from firmware import papers
from firmware.faults import DocumentRejected, RejectionCause
from firmware.papers import Paper, PaperKind

TEST_KEPT_MS: Final = 86_400_000
PARTS_KEPT_MS: Final = 61 * 86_400_000
"""As long as a part may be on its way: `store.STALE_AFTER_MS`."""

TABLE: Final = """
CREATE TABLE IF NOT EXISTS paper_parts (
    device_id TEXT NOT NULL,
    digest BLOB NOT NULL,  -- SHA-256 of the whole document
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    kind INTEGER NOT NULL,  -- papers.PaperKind
    received_utc_ms INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (device_id, digest, part)
) STRICT;
CREATE INDEX IF NOT EXISTS paper_parts_by_arrival ON paper_parts (received_utc_ms);
CREATE TABLE IF NOT EXISTS documents (
    device_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    kind INTEGER NOT NULL,
    made_utc_ms INTEGER NOT NULL,
    received_utc_ms INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (device_id, digest)
) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A whole document, and when its last part came."""

    device_id: str
    kind: PaperKind
    made_utc_ms: int
    received_utc_ms: int
    content: bytes = field(repr=False)


def insert(
    connection: sqlite3.Connection,
    device_id: str,
    paper: Paper,
    received_utc_ms: int,
    check: Callable[[PaperKind, bytes], None],
) -> StoredDocument | None:
    """Keep `paper`; return its document if it is whole with this part and was not before, else None.

    `check` raises DocumentRejected for a document that must not be kept; then nothing is.
    """
    _forget(connection, received_utc_ms)
    whole = _joined(connection, device_id, paper)
    if whole is None:
        connection.execute(
            "INSERT OR REPLACE INTO paper_parts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (device_id, paper.digest, paper.part, paper.parts, int(paper.kind), received_utc_ms, paper.content),
        )
        return None
    check(paper.kind, whole)
    connection.execute("DELETE FROM paper_parts WHERE device_id = ? AND digest = ?", (device_id, paper.digest))
    kept = connection.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (device_id, paper.digest, int(paper.kind), paper.made_utc_ms, received_utc_ms, whole),
    )
    if not kept.rowcount:
        return None  # sent a second time, sealed anew
    return StoredDocument(
        device_id=device_id,
        kind=paper.kind,
        made_utc_ms=paper.made_utc_ms,
        received_utc_ms=received_utc_ms,
        content=whole,
    )


def stored(connection: sqlite3.Connection, kind: PaperKind) -> list[StoredDocument]:
    """Return the documents of a kind, oldest first. Raises DocumentRejected if the store is damaged."""
    rows = connection.execute(
        """SELECT device_id, made_utc_ms, received_utc_ms, content, digest FROM documents
           WHERE kind = ? ORDER BY received_utc_ms, device_id""",
        (int(kind),),
    ).fetchall()
    if any(papers.digest_of(row[3]) != row[4] for row in rows):
        raise DocumentRejected("store: a document is not the one that came")
    return [
        StoredDocument(device_id=row[0], kind=kind, made_utc_ms=row[1], received_utc_ms=row[2], content=row[3])
        for row in rows
    ]


def _joined(connection: sqlite3.Connection, device_id: str, paper: Paper) -> bytes | None:
    """Return the document of which `paper` is the missing part, or None. Raises DocumentRejected."""
    rows = connection.execute(
        "SELECT part, parts, kind, content FROM paper_parts WHERE device_id = ? AND digest = ?",
        (device_id, paper.digest),
    ).fetchall()
    if any((row[1], row[2]) != (paper.parts, int(paper.kind)) for row in rows):
        raise DocumentRejected("payload: the parts of a document disagree on what it is", RejectionCause.BAD_PAYLOAD)
    contents = {row[0]: row[3] for row in rows} | {paper.part: paper.content}
    if len(contents) < paper.parts:
        return None
    whole = b"".join(contents[part] for part in range(paper.parts))
    if papers.digest_of(whole) != paper.digest:
        raise DocumentRejected("payload: the parts are not those of their document", RejectionCause.BAD_PAYLOAD)
    return whole


def _forget(connection: sqlite3.Connection, now_utc_ms: int) -> None:
    connection.execute("DELETE FROM paper_parts WHERE received_utc_ms < ?", (now_utc_ms - PARTS_KEPT_MS,))
    connection.execute(
        "DELETE FROM documents WHERE kind = ? AND received_utc_ms < ?",
        (int(PaperKind.TEST), now_utc_ms - TEST_KEPT_MS),
    )

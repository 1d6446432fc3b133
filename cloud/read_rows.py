"""The reads in the receiver's store, in the clear: a table of `cloud.store`, which owns connection and transaction."""

import sqlite3
import uuid
from dataclasses import dataclass, field
from typing import Final

from cloud import boot_times
from cloud.boot_times import TimeSource
from firmware.faults import DocumentRejected
from firmware.records import Direction, Picture, PictureCoding, Read

TABLE: Final = """
CREATE TABLE IF NOT EXISTS reads (
    read_id BLOB NOT NULL,
    device_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    received_utc_ms INTEGER NOT NULL,
    first_utc_ms INTEGER NOT NULL,
    last_utc_ms INTEGER NOT NULL,
    boot_id BLOB NOT NULL,
    last_boot_ms INTEGER NOT NULL,
    clock_trusted INTEGER NOT NULL,  -- 0: first_utc_ms and last_utc_ms are a guess
    corrected_utc_ms INTEGER,  -- last_utc_ms set right, where clock_trusted is 0 and a later read tells; else NULL
    plate TEXT,
    character_scores BLOB NOT NULL,  -- one byte a character, 255 is certain
    score_ratio REAL NOT NULL,
    region TEXT,
    region_score_ratio REAL NOT NULL,
    frames INTEGER NOT NULL,
    infrared INTEGER NOT NULL,
    partial INTEGER NOT NULL,  -- too little agrees: nothing may be done on it alone
    direction TEXT,  -- away or towards; NULL: unsure
    site_name TEXT NOT NULL,
    latitude_deg REAL NOT NULL,
    longitude_deg REAL NOT NULL,
    bearing_deg REAL NOT NULL,
    model_version TEXT NOT NULL,
    config_version INTEGER NOT NULL,
    picture_coding INTEGER,  -- records.PictureCoding; NULL: none
    picture BLOB,
    PRIMARY KEY (device_id, read_id)
) STRICT;
CREATE INDEX IF NOT EXISTS reads_by_sequence ON reads (device_id, sequence);
CREATE INDEX IF NOT EXISTS reads_by_arrival ON reads (received_utc_ms);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRead:
    """One row, as far as lists show it."""

    read_id: uuid.UUID
    received_utc_ms: int
    last_utc_ms: int  # the best that is known, as time_source says
    time_source: TimeSource
    device_id: str
    site_name: str
    plate: str | None = field(repr=False)
    region: str | None
    score_ratio: float
    partial: bool
    direction: Direction | None
    picture: Picture | None = None


def insert(connection: sqlite3.Connection, read: Read, received_utc_ms: int) -> None:
    """Keep `read`, and what it says of the time of others."""
    passage, site = read.passage, read.site
    row = (
        read.read_id.bytes,
        read.device_id,
        read.sequence,
        received_utc_ms,
        passage.first_utc_ms,
        passage.last_utc_ms,
        read.boot_id,
        passage.last_boot_ms,
        passage.clock_trusted,
        boot_times.corrected_utc_ms(connection, read),
        passage.plate.text if passage.plate else None,
        bytes(round(255 * score) for score in passage.character_scores),
        passage.score_ratio,
        passage.region,
        passage.region_score_ratio,
        passage.frames,
        passage.infrared,
        passage.partial,
        passage.direction,
        site.name,
        site.latitude_deg,
        site.longitude_deg,
        site.bearing_deg,
        read.model_version,
        read.config_version,
        passage.picture and int(passage.picture.coding),
        passage.picture and passage.picture.data,
    )
    connection.execute(f"INSERT INTO reads VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
    boot_times.learn(connection, read)


def newest(connection: sqlite3.Connection, limit: int) -> list[StoredRead]:
    """Return the newest `limit` reads, oldest first. Raises DocumentRejected if the store is damaged."""
    rows = connection.execute(
        """SELECT read_id, received_utc_ms, COALESCE(corrected_utc_ms, last_utc_ms), device_id, site_name, plate,
                  region, score_ratio, partial, direction, picture_coding, picture, clock_trusted, corrected_utc_ms
           FROM reads ORDER BY received_utc_ms DESC LIMIT ?""",
        (limit,),
    ).fetchall()
    try:
        return [
            StoredRead(
                read_id=uuid.UUID(bytes=row[0]),
                received_utc_ms=row[1],
                last_utc_ms=row[2],
                time_source=boot_times.source_of(clock_trusted=bool(row[12]), corrected_utc_ms=row[13]),
                device_id=row[3],
                site_name=row[4],
                plate=row[5],
                region=row[6],
                score_ratio=row[7],
                partial=bool(row[8]),
                direction=None if row[9] is None else Direction(row[9]),
                picture=None if row[10] is None else Picture(PictureCoding(row[10]), row[11]),
            )
            for row in reversed(rows)
        ]
    except ValueError:
        raise DocumentRejected("store: a read has a direction or a picture that nobody wrote") from None

"""The hand-over records that a receiver has kept: a table for people, and files to hand on."""

import hashlib
from pathlib import Path

from cloud import handover
from cloud.handover import SignedHandover
from cloud.store import ReadStore
from firmware import durable_files
from firmware.log_lines import printable
from firmware.papers import PaperKind

_HEADING = f"{'unit':<28}  {'accepted (UTC)':<20}  {'site':<20}  {'by':<20}  {'shortcomings':>12}  record"


def all_records(store: ReadStore) -> list[tuple[SignedHandover, bytes, bytes]]:
    """Return each record with the files of record and page, oldest first. Raises StoreRefused, DocumentRejected.

    All were verified when they came: what is in the store is signed by the unit that it names.
    """
    files = [handover.unpacked(one.content) for one in store.documents(PaperKind.HANDOVER)]
    return [(handover.decode(record), record, page) for record, page in files]


def table(records: list[SignedHandover]) -> str:
    """Return a table of the records; the last column begins the record's SHA-256, as its page has it."""
    return "".join(f"{text}\n" for text in (_HEADING, *map(_line, records)))


def write_files(folder: Path, records: list[tuple[SignedHandover, bytes, bytes]]) -> list[Path]:
    """Write each record and page into `folder`, named by unit and date, for their owner's eyes only. Raises OSError.

    A second record of the same unit and second has the page's digest in its name, too.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written: list[Path] = []
    for signed, record_file, page in records:
        moment = signed.record.accepted_utc.replace("-", "").replace(":", "")
        stem = f"{signed.record.device_id}-{moment}"
        if folder / f"{stem}.json" in written:
            stem += f"-{hashlib.sha256(page).hexdigest()[:8]}"
        for ending, data in ((".json", record_file), (".pdf", page)):
            written.append(folder / f"{stem}{ending}")
            durable_files.write(written[-1], data)
    return written


def _line(signed: SignedHandover) -> str:
    record = signed.record
    return (
        f"{record.device_id:<28}  {record.accepted_utc:<20}  {printable(record.site.name):<20.20}  "
        f"{printable(record.accepted_by):<20.20}  {len(record.despite):>12}  "
        f"{handover.record_sha256(record)[:16]}"
    )

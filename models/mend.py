"""Mend the labels of a table of plates: `python -m models.mend TABLE --out OUT [--mends models/mends.csv]`.

The list of mends is kept with the product, the table is not, and TABLE is never changed. A mend names its picture by a
hash, since file names of some sets hold the plate's text, and corrects single characters by their place: neither a
plate's text nor a photograph stands in the list. What would take more than two corrections is `unread`. The copy may
hold rows of kind `doubtful`: areas where there may be a plate that nobody can be asked to find.
"""

import argparse
import csv
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from models.data import DataMissing, refuse_versioned

MENDS = Path(__file__).parent / "mends.csv"
BOX = ("x", "y", "w", "h")
COLUMNS = ("set", "split", "kind", "image", *BOX, "text", "region", "flags")
CORRECTION = re.compile(r"(\d+):([A-Z0-9]?)>([A-Z0-9]?)")
CORRECTIONS_AT_MOST = 2  # of one plate: more would spell it
Record = dict[str, str]


class MendRefused(Exception):
    """A mend does not fit the table; the message names its line and what to do."""


def picture_key(image: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a picture's name as the table writes it."""
    return hashlib.sha256(image.encode()).hexdigest()[:16]


def spelled(text: str, corrections: str) -> str:
    """Return `text` with corrections `place:old>new` (0-based, all counted in the old text, two at most, by spaces).

    An empty `old` inserts before the place, an empty `new` deletes. Raises ValueError when a place does not hold `old`.
    """
    characters = list(text)
    if len(corrections.split()) > CORRECTIONS_AT_MOST:
        raise ValueError(f"more than {CORRECTIONS_AT_MOST} corrections spell the plate; say unread")
    for correction in corrections.split():
        match = CORRECTION.fullmatch(correction)
        if match is None:
            raise ValueError("a correction is place:old>new, one character for one")
        at, old, new = int(match[1]), match[2], match[3]
        if old and text[at : at + 1] != old:
            raise ValueError(f"place {at} does not hold the character to be replaced")
        if not old and at == len(text):
            characters.append(new)
        elif not old:
            characters[at] = new + characters[at]
        else:
            characters[at] = characters[at][:-1] + new
    return "".join(characters)


def mended(records: list[Record], mends: list[Record]) -> Iterator[Record]:
    """Yield the table's rows as they should be. Raises MendRefused when a mend fits no row, or its row only in part."""
    by_picture: dict[str, list[Record]] = {}
    for record in records:
        by_picture.setdefault(picture_key(record["image"]), []).append(record)
    changes: dict[int, list[Record]] = {}
    added: list[Record] = []
    for line, mend in enumerate(mends, 2):
        rows = by_picture.get(mend["picture"])
        if rows is None:
            continue  # a town's own table need not hold our pictures
        same = [row for row in rows if row["kind"] == "plate" and all(row[name] == mend[name] for name in BOX)]
        if mend["mend"] == "plate" or (mend["mend"] == "doubtful" and not same):
            plain = {**rows[0], "text": "", "region": "", "flags": "", **{name: mend[name] for name in BOX}}
            added.append({**plain, "kind": mend["mend"]})
        elif len(same) != 1:
            hint = "correct it" if same else "correct it, or the table is mended already"
            raise MendRefused(f"line {line} of the mends: fits {len(same)} rows of the table, and must fit one; {hint}")
        else:
            changes.setdefault(id(same[0]), []).append({**mend, "line": str(line)})
    for record in records:
        row: Record | None = dict(record)
        for mend in changes.get(id(record), ()):
            row = row and _changed(row, mend)
        if row:
            yield row
    yield from added


def _changed(row: Record, mend: Record) -> Record | None:
    """Return the row with one mend made, or None where it says that there is no plate."""
    value = mend["value"]
    try:
        match mend["mend"]:
            case "wrong":
                return None
            case "doubtful":
                return {**row, "kind": "doubtful"}
            case "box":
                x, y, w, h = value.split()
                return {**row, "x": x, "y": y, "w": w, "h": h}
            case "unread":
                return {**row, "text": ""}
            case "text":
                return {**row, "text": spelled(row["text"], value)}
            case "region":
                old, _, new = value.partition(">")
                reason = "the row has another region"
                if row["region"] == old:
                    return {**row, "region": new}
            case _:
                reason = "no such mend; it is plate, doubtful, wrong, box, unread, text or region"
    except (ValueError, IndexError) as error:
        raise MendRefused(f"line {mend['line']} of the mends: {error}; correct it") from error
    raise MendRefused(f"line {mend['line']} of the mends: {reason}; correct it")


def read_table(path: Path, columns: tuple[str, ...]) -> list[Record]:
    """Return the rows of a CSV file that has these columns. Raises DataMissing."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataMissing(f"{path}: no column {', '.join(missing)}; see the data layout in models/README.md")
            return [{name: value or "" for name, value in record.items()} for record in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise DataMissing(f"{path}: cannot be read ({error}); give a table of plates") from error


def check_place(out: Path, table: Path) -> None:
    """Return if the mended copy of `table` may be written to `out`. Raises DataMissing."""
    if out.resolve() == table.resolve():
        raise DataMissing(f"{out}: is the table itself, which stays as it is; choose another --out")
    refuse_versioned(out.parent)


def write_table(path: Path, columns: tuple[str, ...], rows: list[Record]) -> None:
    """Write a CSV file whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def main() -> int:
    """Write the mended copy; return the exit code: 2 for wrong input, 1 where it cannot be written."""
    parser = argparse.ArgumentParser(description="Write a mended copy of a table of plates.")
    parser.add_argument("table", type=Path, help="plates.csv as it was collected")
    parser.add_argument("--mends", type=Path, default=MENDS)
    parser.add_argument("--out", type=Path, required=True, help="where the mended copy goes; never in git")
    options = parser.parse_args()
    try:
        check_place(options.out, options.table)
        records = read_table(options.table, COLUMNS)
        mends = read_table(options.mends, ("picture", *BOX, "mend", "value"))
        rows = list(mended(records, mends))
        write_table(options.out, COLUMNS, rows)
    except (DataMissing, MendRefused) as error:
        print(f"mend: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mend: {error.filename}: {error.strerror}; choose another --out", file=sys.stderr)
        return 1
    known = {picture_key(record["image"]) for record in records}
    made = sum(mend["picture"] in known for mend in mends)
    print(f"{options.out}: {len(rows)} rows, {made} of {len(mends)} mends made")
    return 0


if __name__ == "__main__":
    sys.exit(main())

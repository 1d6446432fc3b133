"""Lay out whole photographs for `models.evaluate scenes`: `python -m models.labelled_scenes CSV --root DIR --out DIR`.

Taken are the pictures of one split with a plate that has a text and is wide enough to be read; other plates in them,
and areas where there may be one, are laid out without a text and not asked for.
"""

import argparse
import shutil
import sys
from itertools import chain
from pathlib import Path

from models.data import CROP_SETS, DataMissing, Row, load_rows, refuse_versioned

NARROWEST_PX = 40.0
LIST = "laid_out"  # the file that names all that lies in the folder because of us


def readable_pictures(rows: list[Row], split: str) -> dict[str, list[Row]]:
    """Return the plates and doubtful areas of each such picture of `split`, by the picture's name in the table."""
    by_image: dict[str, list[Row]] = {}
    for row in rows:
        if row.split == split and row.kind in ("plate", "doubtful") and row.set not in CROP_SETS and row.box_px:
            by_image.setdefault(row.image, []).append(row)
    return {name: plates for name, plates in by_image.items() if any(is_asked(row) for row in plates)}


def asked_pictures(table: Path, split: str) -> dict[str, list[Row]]:
    """Return the readable pictures of a table's split. Raises DataMissing where there is none."""
    pictures = readable_pictures(load_rows(table), split)
    if not pictures:
        raise DataMissing(
            f"{table}: no picture of split {split} has a plate with a text and {NARROWEST_PX:.0f} px; choose another"
        )
    return pictures


def is_asked(row: Row) -> bool:
    """Return whether somebody can be asked to read this plate."""
    return bool(row.kind == "plate" and row.text and row.box_px and row.box_px[2] >= NARROWEST_PX)


def cleared(out: Path) -> None:
    """Make the folder, without what an earlier run laid out there. Raises DataMissing where it holds other things."""
    out.mkdir(parents=True, exist_ok=True)
    known = out / LIST
    ours = {LIST, *known.read_text(encoding="utf-8").splitlines()} if known.is_file() else set()
    there = list(out.iterdir())
    if others := [path for path in there if path.name not in ours]:
        raise DataMissing(f"{out}: holds {len(others)} things that were not laid out here; choose an empty folder")
    for path in there:
        path.unlink()


def lay_out(pictures: dict[str, list[Row]], root: Path, out: Path) -> None:
    """Copy the pictures to `out`, each with its labels in a .txt beside it, in place of an earlier run's.

    Raises DataMissing, OSError.
    """
    cleared(out)
    numbered = sorted(pictures.items())
    copies = [out / f"{number:04}{Path(name).suffix}" for number, (name, _) in enumerate(numbered)]
    names = [name for copy in copies for name in (copy.name, copy.with_suffix(".txt").name)]
    (out / LIST).write_text("\n".join(names) + "\n", encoding="utf-8")
    for copy, (name, plates) in zip(copies, numbered, strict=True):
        shutil.copyfile(root / name, copy)
        lines = [
            "\t".join([copy.name, *(f"{edge:g}" for edge in row.box_px or ()), row.text * is_asked(row)])
            for row in plates
        ]
        copy.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Lay out what the options name; return the exit code."""
    parser = argparse.ArgumentParser(description="Lay out whole photographs with text for models.evaluate.")
    parser.add_argument("table", type=Path, metavar="CSV")
    parser.add_argument("--root", type=Path, required=True, help="folder that the table's picture names start from")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and labels; never in git")
    parser.add_argument("--split", default="val")
    options = parser.parse_args(arguments)
    try:
        refuse_versioned(options.out)
        pictures = asked_pictures(options.table, options.split)
        lay_out(pictures, options.root, options.out)
    except DataMissing as error:
        print(f"labelled_scenes: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"labelled_scenes: {error.filename}: {error.strerror}; check the folders", file=sys.stderr)
        return 1
    print(f"{options.out}: {len(pictures)} pictures, {sum(map(is_asked, chain(*pictures.values())))} plates to read")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The labelled photographs: where they lie, which rows count for what, and how a row becomes a crop.

The folder holds plates.csv (set, split, kind, image, x, y, w, h, text, region, flags) and the pictures that it names.
Splits are kept as they are: no row ever moves from val to train.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.ocr import REGIONS, corners_of_box
from firmware.plates import normalised
from firmware.records import Image

Float = npt.NDArray[np.float32]

BUILD = "build"  # the folder of a git tree that git ignores
CROP_SETS = ("us_plates", "eu_crops", "br_gate")
EUROPE = {"EU", "RO", "PL", "DE", "FR", "GB", "UK", "ES", "IT", "NL", "BE", "AT", "CH", "CZ", "SK", "HU", "GR", "SE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of plates.csv. `box_px` is x, y, w, h in the picture; None means that the whole picture is the plate."""

    set: str
    split: str
    kind: str
    image: str
    box_px: tuple[float, float, float, float] | None
    text: str
    region: str
    flags: str
    track: str = ""  # pictures of one plate that passed, one after the other, have this in common


class DataMissing(Exception):
    """The folder has no usable plates.csv or lacks a picture; the message says which and what to do."""


def refuse_versioned(folder: Path) -> None:
    """Return if plates may be written to this folder. Raises DataMissing inside of a git tree, except under its build/.

    Photographs of plates and their texts are personal data, and what is versioned is passed on.
    """
    whole = folder.resolve()
    for parent in (whole, *whole.parents):
        if (parent / ".git").exists():
            if whole.relative_to(parent).parts[:1] != (BUILD,):
                raise DataMissing(
                    f"{folder}: what is to be written shows plates, which are personal data, and this is inside of the "
                    f"git tree {parent}; choose a folder outside or under {parent / BUILD}"
                )
            return


def load_rows(table: Path) -> list[Row]:
    """Return all rows of a table that has at least the column `image`. Raises DataMissing."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return [_row(record) for record in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        reason = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise DataMissing(
            f"{table}: not a readable table of plates ({reason}); see the data layout in models/README.md"
        ) from error


def load_rows_to_read(folder: Path) -> list[Row]:
    """Return the rows of DIR/plates.csv and, if it is there, of DIR/read.csv: plates whose text was read by eye later.

    A plate of both tables has its text in the second only. Raises DataMissing.
    """
    later = folder / "read.csv"
    return load_rows(folder / "plates.csv") + (load_rows(later) if later.exists() else [])


def _row(record: dict[str, str]) -> Row:
    numbers = [record.get(name) or "" for name in ("x", "y", "w", "h")]
    box = None if numbers[2] == "" else tuple(float(number) for number in numbers)
    return Row(
        set=record.get("set") or "",
        split=record.get("split") or "",
        kind=record.get("kind") or "plate",
        image=record["image"],
        box_px=(box[0], box[1], box[2], box[3]) if box else None,
        text=normalised(record.get("text") or ""),
        region=record.get("region") or "",
        flags=record.get("flags") or "",
        track=record.get("track") or "",
    )


def read_image(path: Path) -> Image:
    """Return a picture as uint8 (H, W, 3) BGR. Raises DataMissing."""
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise DataMissing(f"{path}: missing, or not a picture that can be decoded; replace it or remove its row")
    return np.asarray(image, np.uint8)


def load_designs(root: Path) -> list[tuple[Image, int]]:
    """Return the official designs in DIR/us_designs (files named by state, XX_001.webp) and their regions' indices."""
    found = [(path, region_index(f"US-{path.name[:2]}")) for path in sorted((root / "us_designs").glob("??_*.*"))]
    return [(read_image(path), region) for path, region in found if region >= 0]


@cache
def region_index(region: str) -> int:
    """Return the region's place in REGIONS, or -1 where it is unknown or has no class of its own."""
    name = "EU" if region in EUROPE else region
    return REGIONS.index(name) if name in REGIONS else -1


_IWPOD_CORNERS = re.compile(r"_(\d+-\d+_\d+-\d+)-(\d+)-(\d+)_(\d+)-(\d+)_(\d+)-(\d+)_(\d+)-(\d+)-")


def labelled_corners(row: Row) -> Float | None:
    """Return the plate's corners (4, 2), clockwise from the top left, where the file name carries them, else None.

    Names of the set iwpod64 follow CCPD (Xu et al., ECCV 2018): area-tilt-box-corners-..., the first
    corner being the bottom right one.
    """
    match = _IWPOD_CORNERS.search(row.image) if row.set == "iwpod64" else None
    if match is None:
        return None
    numbers = np.array([float(group) for group in match.groups()[1:]], np.float32).reshape(4, 2)
    corners = numbers[[2, 3, 0, 1]]
    x, y, w, h = row.box_px or (0, 0, 0, 0)
    inside = (
        np.abs(corners.min(axis=0) - (x, y)).max() < 0.2 * w
        and np.abs(corners.max(axis=0) - (x + w, y + h)).max() < 0.2 * w
    )
    return corners if inside else None


def corners_of_row(row: Row, image: Image) -> tuple[Float, bool]:
    """Return the plate's corners (4, 2) in `image`, and whether they are labelled and not just those of its box."""
    known = labelled_corners(row)
    if known is not None:
        return known, True
    return corners_of_box(*(row.box_px or (0, 0, image.shape[1], image.shape[0]))), False


def text_rows(rows: list[Row], split: str) -> Iterator[Row]:
    """Yield the plates whose text is known and can be read out by this alphabet (2 to 10 characters)."""
    for row in rows:
        if row.split == split and row.kind == "plate" and 2 <= len(row.text) <= 10:
            yield row

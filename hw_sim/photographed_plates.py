"""Photographs of real plates for the vehicles of the simulated road, from a table that stays outside the repository.

Owns the table's reading, the order in which its rows are used and what infrared and retro-reflection are made of a
photograph. The one idea: a photograph has its own wear in it already, so that it is taken as it is; what it cannot show
is estimated from the one thing known of all plates, that their serial can be told from its ground.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.faults import ConfigRejected
from firmware.plates import normalised
from firmware.records import Grey, Image
from hw_sim.plate_faces import PlateFace
from hw_sim.plate_paint import HEIGHT_INCHES, INCH_M, WIDTH_INCHES

Float = npt.NDArray[np.float32]

COLUMNS = ("image", "text", "region")
_CUT = ("x", "y", "w", "h")  # pixels; all four or none

MAX_TABLE_BYTES = 64_000_000
"""Some hundred thousand rows."""

WIDTH_PX_MAX = 400
"""Larger photographs are reduced: a camera sees a plate at 130 to 250 pixels."""
_SMALLEST_PX = 24
_STROKE_RATIO = 0.085  # of the plate's width: more than a stroke is wide, less than a character
_JOINT_RATIO = 0.15  # more than any character's solid part is wide
_CONTRAST_MIN = 24.0
_GROUND_INFRARED, _INK_INFRARED = 205.0, 55.0  # sRGB-coded reflectances of sheeting and of a serial's paint
_GROUND_RETRO = 235.0
_BRIGHTEST_SHEETING = 215.0  # sRGB-coded: two thirds of the light that falls on it


class BadPlateTable(ConfigRejected):
    """A table of photographed plates cannot be used; the message names the row and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    number: int  # of the line in the file; the header is 1
    path: Path
    cut: tuple[int, int, int, int] | None  # left, top, width, height in pixels
    text: str = field(repr=False)
    region: str | None


class PhotographedPlates:
    """Each vehicle carries one photograph of the table; all rows are used once before any is used again."""

    def __init__(self, csv_path: Path, root: Path) -> None:
        """Read the table; images are named relative to `root`. Raises BadPlateTable for the first row that is wrong."""
        self._rows = _read(csv_path, root)
        self._left: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def face(self, generator: np.random.Generator) -> PlateFace:
        """Return the next photograph as a plate; the order is the generator's. Raises BadPlateTable."""
        if not self._left:
            self._left = [int(index) for index in generator.permutation(len(self._rows))]
        row = self._rows[self._left.pop()]
        image = _photograph(row)
        infrared, retro = seen_in_infrared(image)
        return PlateFace(
            text=row.text,
            region=row.region,
            visible=image,
            infrared=infrared,
            retro=retro,
            alpha=np.full(image.shape[:2], 255, np.uint8),
            width_m=WIDTH_INCHES * INCH_M,
            height_m=HEIGHT_INCHES * INCH_M,
            is_readable=True,
        )


def seen_in_infrared(image: Image) -> tuple[Grey, Grey]:
    """Estimate what a plate's photograph uint8 (H, W, 3) BGR looks like at 850 nm: reflectance and retro, uint8 (H, W).

    Graphics pale in infrared, and what a serial is painted with does not. What differs from the ground close by and is
    no wider than a stroke is taken for ink: a black-hat transform, or a top-hat where characters are lighter than
    their ground (Serra, Image Analysis and Mathematical Morphology, 1982). Where strokes meet, as in a bold W, ink is
    wider: it is also what lies between strokes and is of their colour. The ground is what most of the plate's middle
    is, parted by Otsu's threshold (1979).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    middle = (slice(round(0.27 * height), round(0.73 * height)), slice(width // 12, width - width // 12))
    threshold, parted = cv2.threshold(grey[middle], 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    is_dark_on_light = float(parted.mean()) >= 0.5
    operation = cv2.MORPH_BLACKHAT if is_dark_on_light else cv2.MORPH_TOPHAT
    marks = cv2.morphologyEx(grey, operation, _disc(_STROKE_RATIO * width)).astype(np.float32)
    strokes = np.clip(1.3 * marks / max(_CONTRAST_MIN, float(np.percentile(marks[middle], 90))) - 0.15, 0.0, 1.0)
    between = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, _disc(_JOINT_RATIO * width))
    ink = np.maximum(strokes, np.minimum(between, _likeness_to_ink(image, strokes, middle)))
    light = 1.0 - ink if is_dark_on_light else ink
    ground = _GROUND_INFRARED * (0.75 + 0.25 * grey.astype(np.float32) / max(1.0, threshold + 60.0)).clip(0.0, 1.0)
    infrared = ground * light + _INK_INFRARED * (1.0 - light)
    return infrared.astype(np.uint8), (_GROUND_RETRO * light).astype(np.uint8)


def _likeness_to_ink(image: Image, strokes: Float, middle: tuple[slice, slice]) -> Float:
    """Return how alike each pixel's colour is to that of the strokes in the plate's middle, 0..1; the ground's is 0."""
    colours = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    inked, bare = (colours[middle][chosen] for chosen in (strokes[middle] > 0.8, strokes[middle] < 0.1))
    if not len(inked) or not len(bare):
        return np.zeros_like(strokes)
    ink, ground = np.median(inked, axis=0), np.median(bare, axis=0)
    apart = max(1.0, float(np.linalg.norm(ink - ground)))
    return np.asarray(np.clip(1.5 - 3.0 * np.linalg.norm(colours - ink, axis=2) / apart, 0.0, 1.0), np.float32)


def _disc(width_px: float) -> npt.NDArray[np.uint8]:
    """Return a round structuring element of this width, an odd number of pixels."""
    side = max(3, round(width_px)) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _read(csv_path: Path, root: Path) -> tuple[_Row, ...]:
    try:
        if csv_path.stat().st_size > MAX_TABLE_BYTES:
            raise BadPlateTable(f"{csv_path.name} is longer than {MAX_TABLE_BYTES} bytes; take rows out")
        with csv_path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise BadPlateTable(f"{csv_path.name} has no column {missing[0]!r}; its first line must name "
                                    f"{', '.join(COLUMNS)}")  # fmt: skip
            rows = tuple(_row(number, cells, root) for number, cells in enumerate(table, start=2))
    except OSError as error:
        raise BadPlateTable(f"{csv_path.name} or an image of it cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error):
        raise BadPlateTable(f"{csv_path.name} cannot be read as a table; save it as UTF-8 with commas") from None
    if not rows:
        raise BadPlateTable(f"{csv_path.name} has no rows; each names a plate's image, text and region")
    return rows


def _row(number: int, cells: dict[str, str], root: Path) -> _Row:
    text = normalised(cells["text"] or "")
    if not text:
        raise BadPlateTable(f"row {number} has no text; write what stands on its plate, or take the row out")
    if not cells["image"]:
        raise BadPlateTable(f"row {number} names no image; take the row out")
    path = root / cells["image"]
    if not path.is_file():
        raise BadPlateTable(f"row {number}: its image does not exist; give the images' folder, or take the row out")
    return _Row(number=number, path=path, cut=_cut_of(number, cells), text=text, region=cells["region"] or None)


def _cut_of(number: int, cells: dict[str, str]) -> tuple[int, int, int, int] | None:
    given = [cells.get(name) or "" for name in _CUT]
    if not any(given):
        return None
    try:
        left, top, width, height = (round(float(value)) for value in given)
    except (ValueError, OverflowError) as error:
        raise BadPlateTable(f"row {number}: x, y, w and h must be four numbers of pixels, or all be empty") from error
    if min(width, height) < _SMALLEST_PX:
        raise BadPlateTable(f"row {number}: the plate is smaller than {_SMALLEST_PX} pixels; take the row out")
    return left, top, width, height


def _photograph(row: _Row) -> Image:
    """Return the plate of a row, uint8 (H, W, 3) BGR, cut out and reduced to the shape of a plate's sheet."""
    whole = cv2.imread(str(row.path), cv2.IMREAD_COLOR)
    if whole is None:
        raise BadPlateTable(f"row {row.number}: its image is no picture that can be read; take the row out")
    image = np.asarray(whole, np.uint8)
    if row.cut is not None:
        left, top, width, height = row.cut
        image = image[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if min(image.shape[:2]) < _SMALLEST_PX:
        raise BadPlateTable(f"row {row.number}: its plate does not lie in the picture; mend x, y, w and h")
    width_px = min(WIDTH_PX_MAX, image.shape[1])
    size = (width_px, max(_SMALLEST_PX, round(width_px * HEIGHT_INCHES / WIDTH_INCHES)))
    return _as_reflectance(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))


def _as_reflectance(photograph: Image) -> Image:
    """Darken a photograph whose highlights are brighter than any sheeting is: its own light is taken off it."""
    highlight = float(np.percentile(photograph.max(axis=2), 95))
    if highlight <= _BRIGHTEST_SHEETING:
        return photograph
    return np.asarray(photograph * (_BRIGHTEST_SHEETING / highlight), np.uint8)

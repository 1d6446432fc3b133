"""The lettering of the simulated plates: digits, capitals and a few marks as vector strokes of our own.

Owns the shapes and their anti-aliased drawing; knows nothing of plates. The one idea: a character is a few centre lines
drawn with a round pen, as an embossing die presses them, so that one set of numbers serves every size and weight.
The look is that of condensed US embossing. What may be mistaken differs as it does there: 0 is narrower and rounder
than O, 1 has a flag and I has serifs, 8 is waisted and B has a square back, Q has a tail.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
"""uint8 (H, W): 0 is paper, 255 is ink."""

PEN_UNITS = 14.0
"""Width of the default pen: a seventh of the 100 units from the top to the bottom of a capital's ink."""

_SPAN = 100.0 - PEN_UNITS  # the centre lines run from y = 0 to y = 86; the pen adds seven units on each side
_SUPERSAMPLING = 4
_SUBPIXEL_BITS = 4
_ARC_STEP_DEG = 5.0

Step = tuple[float, ...]
"""A point (x, y), or an arc (centre x, centre y, radius x, radius y, from, to) in degrees: 0 is right, 90 is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyph:
    """Centre lines of one character; x runs from 0 to `width_units`, y from 0 (top) to 86 (bottom)."""

    width_units: float
    strokes: tuple[tuple[Step, ...], ...]


def _glyph(width_units: float, *strokes: tuple[Step, ...]) -> Glyph:
    return Glyph(width_units=width_units, strokes=strokes)


GLYPHS: dict[str, Glyph] = {
    "0": _glyph(31, ((15.5, 16, 15.5, 16, 180, 360), (15.5, 70, 15.5, 16, 0, 180), (0, 16))),
    "1": _glyph(14, ((0, 17), (14, 0), (14, 86))),
    "2": _glyph(34, ((17, 18, 16.5, 18, 168, 392), (0, 86), (34, 86))),
    "3": _glyph(
        34, ((17, 20, 15.5, 20, 192, 405), (20, 41), (11, 41)), ((20, 41), (17, 63, 17, 23, 300, 528))
    ),
    "4": _glyph(36, ((27, 86), (27, 0), (0, 60), (36, 60))),
    "5": _glyph(34, ((31, 0), (4, 0), (1.5, 42), (16.5, 59, 17.5, 27, 217, 526))),
    "6": _glyph(34, ((17, 17, 16.5, 17, 342, 180), (0, 62)), ((17, 61, 17, 25, 0, 360),)),
    "7": _glyph(33, ((0, 0), (33, 0), (12, 86))),
    "8": _glyph(34, ((17, 20, 15, 20, 90, 450),), ((17, 63, 17, 23, 270, 630),)),
    "9": _glyph(34, ((17, 69, 16.5, 17, 162, 0), (34, 24)), ((17, 25, 17, 25, 0, 360),)),
    "A": _glyph(37, ((0, 86), (16.5, 0), (20.5, 0), (37, 86)), ((6, 59), (31, 59))),
    "B": _glyph(
        35,
        ((0, 0), (16, 20.5, 17, 20.5, 270, 450), (0, 41)),
        ((0, 0), (0, 86), (16, 63.5, 19, 22.5, 90, -90)),
    ),
    "C": _glyph(34, ((34, 24), (17, 17, 17, 17, 0, -180), (17, 69, 17, 17, 180, 0), (34, 62))),
    "D": _glyph(36, ((0, 0), (15, 21, 21, 21, 270, 360), (15, 65, 21, 21, 0, 90), (0, 86), (0, 0))),
    "E": _glyph(31, ((31, 0), (0, 0), (0, 86), (31, 86)), ((0, 42), (25, 42))),
    "F": _glyph(31, ((31, 0), (0, 0), (0, 86)), ((0, 43), (25, 43))),
    "G": _glyph(35, ((35, 22), (17.5, 17, 17.5, 17, 0, -180), (17.5, 69, 17.5, 17, 180, 0), (35, 48), (21, 48))),
    "H": _glyph(35, ((0, 0), (0, 86)), ((35, 0), (35, 86)), ((0, 42), (35, 42))),
    "I": _glyph(18, ((9, 0), (9, 86)), ((0, 0), (18, 0)), ((0, 86), (18, 86))),
    "J": _glyph(32, ((32, 0), (16, 70, 16, 16, 0, 178))),
    "K": _glyph(36, ((0, 0), (0, 86)), ((34, 0), (0, 52)), ((13, 34), (36, 86))),
    "L": _glyph(30, ((0, 0), (0, 86), (30, 86))),
    "M": _glyph(42, ((0, 86), (0, 0), (21, 52), (42, 0), (42, 86))),
    "N": _glyph(35, ((0, 86), (0, 0), (35, 86), (35, 0))),
    "O": _glyph(38, ((13, 13, 13, 13, 180, 270), (25, 13, 13, 13, 270, 360), (25, 73, 13, 13, 0, 90),
                     (13, 73, 13, 13, 90, 180), (0, 13))),
    "P": _glyph(34, ((0, 86), (0, 0), (15, 23, 19, 23, 270, 450), (0, 46))),
    "Q": _glyph(38, ((13, 13, 13, 13, 180, 270), (25, 13, 13, 13, 270, 360), (25, 73, 13, 13, 0, 90),
                     (13, 73, 13, 13, 90, 180), (0, 13)), ((20, 62), (39, 88))),
    "R": _glyph(35, ((0, 86), (0, 0), (15, 22.5, 19, 22.5, 270, 450), (0, 45)), ((15, 45), (35, 86))),
    "S": _glyph(34, ((17, 20.5, 16, 20.5, 340, 112), (17, 63.5, 17, 22.5, 294, 525))),
    "T": _glyph(34, ((0, 0), (34, 0)), ((17, 0), (17, 86))),
    "U": _glyph(35, ((0, 0), (17.5, 69, 17.5, 17, 180, 0), (35, 0))),
    "V": _glyph(37, ((0, 0), (18.5, 86), (37, 0))),
    "W": _glyph(50, ((0, 0), (11, 86), (25, 22), (39, 86), (50, 0))),
    "X": _glyph(36, ((0, 0), (36, 86)), ((36, 0), (0, 86))),
    "Y": _glyph(37, ((0, 0), (18.5, 46), (37, 0)), ((18.5, 46), (18.5, 86))),
    "Z": _glyph(34, ((0, 0), (34, 0), (0, 86), (34, 86))),
    " ": _glyph(2),
    "-": _glyph(15, ((0, 43), (15, 43))),
    "·": _glyph(1, ((0, 43), (1, 43))),
    ".": _glyph(1, ((0, 86), (1, 86))),
}  # fmt: skip
"""Every character that can be drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterStyle:
    """How a line is set: weight, gaps and proportions, all in ratios of the letter height."""

    pen_ratio: float = PEN_UNITS / 100.0
    gap_ratio: float = 0.10  # paper between the ink of two characters
    stretch_ratio: float = 1.0  # of the widths; the pen keeps its own
    cell_ratio: float = 0.0  # > 0: each letter and digit in a cell of at least this width, as plates are pressed


def ink_width_ratio(text: str, style: LetterStyle) -> float:
    """Return the width of `text` divided by its height. Raises ValueError if a character has no shape."""
    cells = [_cell_ratio(char, style) for char in text]
    return sum(cells) + style.gap_ratio * max(0, len(cells) - 1)


def coverage(text: str, height_px: int, style: LetterStyle) -> Mask:
    """Draw `text` and return the ink as a mask of `height_px` rows, anti-aliased. Raises ValueError."""
    if height_px < 1:
        raise ValueError("a line of text needs at least one pixel of height")
    width_px = max(1, math.ceil(ink_width_ratio(text, style) * height_px))
    large = np.zeros((height_px * _SUPERSAMPLING, width_px * _SUPERSAMPLING), np.uint8)
    scale_px = height_px * _SUPERSAMPLING
    pen_px = max(1, round(style.pen_ratio * scale_px) - 1)  # OpenCV draws an even thickness one pixel wider
    left_ratio = 0.0
    for char in text:
        cell_ratio = _cell_ratio(char, style)
        ink_ratio = _ink_ratio(char, style)
        origin_ratio = left_ratio + (cell_ratio - ink_ratio + style.pen_ratio) / 2.0
        for line in _centre_lines(char):
            _draw_line(large, _placed(line, origin_ratio, style) * scale_px, pen_px)
        left_ratio += cell_ratio + style.gap_ratio
    return np.asarray(cv2.resize(large, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def _ink_ratio(char: str, style: LetterStyle) -> float:
    if char not in GLYPHS:
        raise ValueError("a character of the text has no shape in this lettering")
    return GLYPHS[char].width_units / 100.0 * style.stretch_ratio + style.pen_ratio


def _cell_ratio(char: str, style: LetterStyle) -> float:
    ink_ratio = _ink_ratio(char, style)
    return max(ink_ratio, style.cell_ratio) if char.isalnum() else ink_ratio


def _placed(line: npt.NDArray[np.float64], origin_ratio: float, style: LetterStyle) -> npt.NDArray[np.float64]:
    """Return centre-line points as ratios of the height, so that the pen just touches the top and the bottom."""
    x_ratio = origin_ratio + line[:, 0] / 100.0 * style.stretch_ratio
    y_ratio = style.pen_ratio / 2.0 + line[:, 1] / _SPAN * (1.0 - style.pen_ratio)
    return np.column_stack((x_ratio, y_ratio))


@functools.cache
def _centre_lines(char: str) -> tuple[npt.NDArray[np.float64], ...]:
    """Return each stroke of `char` as float64 (N, 2) points in units."""
    return tuple(
        np.array(list(itertools.chain.from_iterable(_points(step) for step in stroke)), np.float64)
        for stroke in GLYPHS[char].strokes
    )


def _points(step: Step) -> list[tuple[float, float]]:
    if len(step) == 2:
        return [(step[0], step[1])]
    centre_x, centre_y, radius_x, radius_y, from_deg, to_deg = step
    count = max(2, math.ceil(abs(to_deg - from_deg) / _ARC_STEP_DEG) + 1)
    angles = np.radians(np.linspace(from_deg, to_deg, count))
    return [(centre_x + radius_x * math.cos(angle), centre_y + radius_y * math.sin(angle)) for angle in angles]


def _draw_line(image: Mask, line_px: npt.NDArray[np.float64], pen_px: int) -> None:
    # A pixel's centre is at its integer coordinate in OpenCV, hence the half pixel.
    fixed_point = np.round((line_px - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(image, [fixed_point], False, 255, pen_px, cv2.LINE_8, _SUBPIXEL_BITS)  # noqa: FBT003  isClosed

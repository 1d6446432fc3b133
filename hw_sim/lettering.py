"""The lettering of the simulated plates: strokes of our own, drawn with the pen, gaps and corners of a given die.

Owns the styles and the anti-aliased drawing of a line of text; the shapes are `letter_shapes`', and plates are unknown
here. The one idea: plates of different states are pressed with different dies, and what may be mistaken differs with
them: 0 and O are one shape on some and not on others, 1 has a flag, a foot or nothing, corners are round, square or
cut. A style says all of it.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.letter_shapes import SPAN, TAIL, Corners, Glyph, Points, glyphs

Mask = npt.NDArray[np.uint8]
"""uint8 (H, W): 0 is paper, 255 is ink."""

PEN_UNITS = 14.0
"""Width of the default pen: a seventh of the 100 units from the top to the bottom of a capital's ink."""

_SUPERSAMPLING = 3
_SUBPIXEL_BITS = 4
_MITRE_LIMIT = 2.6  # pens; a sharper corner than this is cut off
_SERIF_UNITS = 16.0
_COMMON_CORNERS = Corners()


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterStyle:
    """How a line is set. Ratios are of a capital's height."""

    pen_ratio: float = PEN_UNITS / 100.0
    level_ratio: float = 1.0  # thickness of a level stroke, as a share of the pen's
    gap_ratio: float = 0.10  # paper between the ink of two characters
    stretch_ratio: float = 1.0  # of the widths; the pen keeps its own
    cell_ratio: float = 0.0  # > 0: each letter and digit in a cell of at least this width, as plates are pressed
    corners: Corners = _COMMON_CORNERS
    rounding_ratio: float = 0.02  # how far the tool rounds the ink's own corners; 0: sharp, as printed
    slant_ratio: float = 0.0
    has_serifs: bool = False
    tail_ratio: float = 0.0  # room below the base line for the tails of small letters, at least TAIL_RATIO to have them
    variants: tuple[str, ...] = ()  # names of other shapes, such as "1/foot"


TAIL_RATIO = (TAIL - SPAN) / 100.0 + 0.06

NARROW = LetterStyle(
    pen_ratio=0.115, gap_ratio=0.1, stretch_ratio=0.96, cell_ratio=0.465, corners=Corners(15.0, 17.0),
)  # fmt: skip
"""Condensed, with small even corners: the commonest die of the west."""
ROUND = LetterStyle(
    pen_ratio=0.122, gap_ratio=0.09, stretch_ratio=1.0, cell_ratio=0.47, corners=Corners(40.0, 30.0),
    variants=("3/flat", "6/straight", "9/straight", "M/long"),
)  # fmt: skip
"""Egg-shaped bowls and straight tails."""
BLOCK = LetterStyle(
    pen_ratio=0.126, gap_ratio=0.085, stretch_ratio=1.02, cell_ratio=0.48, corners=Corners(10.0, 11.0),
    variants=("1/foot", "J/bar"),
)  # fmt: skip
"""Square shoulders, as older presses of the east have them."""
SLANTED = LetterStyle(
    pen_ratio=0.12, gap_ratio=0.1, stretch_ratio=0.98, cell_ratio=0.465, corners=Corners(11.0, 13.0, is_cut=True),
    rounding_ratio=0.012, variants=("3/flat", "G/spur"),
)  # fmt: skip
"""Corners cut straight."""
WIDE = LetterStyle(
    pen_ratio=0.122, gap_ratio=0.1, stretch_ratio=1.24, cell_ratio=0.56, corners=Corners(17.0, 20.0),
    variants=("1/foot", "M/long"),
)  # fmt: skip
"""For serials of few characters."""
TALL = LetterStyle(
    pen_ratio=0.118, level_ratio=0.8, gap_ratio=0.11, stretch_ratio=0.93, cell_ratio=0.455, corners=Corners(40.0, 23.0),
    variants=("I/plain", "G/spur"),
)  # fmt: skip
"""Slim, with level strokes thinner than upright ones."""
SANS = LetterStyle(
    pen_ratio=0.132, level_ratio=0.88, gap_ratio=0.085, stretch_ratio=1.0, cell_ratio=0.47, corners=Corners(40.0, 24.0),
    rounding_ratio=0.0, variants=("I/plain", "G/spur", "M/long"),
)  # fmt: skip
"""Printed flat: sharp ends, thick and thin."""

PRINTED = LetterStyle(
    pen_ratio=0.12, gap_ratio=0.2, stretch_ratio=1.55, corners=Corners(40.0, 24.0), rounding_ratio=0.0,
    tail_ratio=TAIL_RATIO, variants=("I/plain", "M/long"),
)  # fmt: skip
PRINTED_SERIF = LetterStyle(
    pen_ratio=0.115, level_ratio=0.6, gap_ratio=0.22, stretch_ratio=1.6, corners=Corners(60.0, 43.0),
    rounding_ratio=0.0, has_serifs=True, tail_ratio=TAIL_RATIO, variants=("I/plain", "M/long"),
)  # fmt: skip
PRINTED_SCRIPT = LetterStyle(
    pen_ratio=0.12, level_ratio=0.7, gap_ratio=0.12, stretch_ratio=1.7, corners=Corners(60.0, 43.0),
    rounding_ratio=0.015, slant_ratio=0.32, tail_ratio=TAIL_RATIO, variants=("I/plain",),
)  # fmt: skip
"""The names of states and their mottoes: sans, serif and by hand."""


def ink_width_ratio(text: str, style: LetterStyle) -> float:
    """Return the width of `text` divided by its capitals' height. Raises ValueError if a character has no shape."""
    cells = [_cell_ratio(char, style) for char in text]
    return sum(cells) + style.gap_ratio * max(0, len(cells) - 1) + style.slant_ratio


def coverage(text: str, height_px: int, style: LetterStyle) -> Mask:
    """Draw `text` and return its ink, anti-aliased, uint8 (height, width).

    A capital with the room for tails below it, if the style has any, is `height_px` high. Raises ValueError.
    """
    if height_px < 1:
        raise ValueError("a line of text needs at least one pixel of height")
    capital_px = height_px * _SUPERSAMPLING / (1.0 + style.tail_ratio)
    width_px = max(1, math.ceil(ink_width_ratio(text, style) * capital_px / _SUPERSAMPLING))
    large = np.zeros((height_px * _SUPERSAMPLING, width_px * _SUPERSAMPLING), np.uint8)
    left_ratio = 0.0
    for char in text:
        cell_ratio = _cell_ratio(char, style)
        ink, margin_px = _ink(char, capital_px, style)
        spare_ratio = (cell_ratio - _ink_ratio(char, style)) / 2.0
        _lay(large, ink, round((left_ratio + spare_ratio) * capital_px) - margin_px)
        left_ratio += cell_ratio + style.gap_ratio
    return np.asarray(cv2.resize(large, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def _lay(line: Mask, ink: Mask, left_px: int) -> None:
    first, last = max(0, left_px), min(line.shape[1], left_px + ink.shape[1])
    rows = min(line.shape[0], ink.shape[0])
    part = line[:rows, first:last]
    np.maximum(part, ink[:rows, first - left_px : last - left_px], out=part)


def _glyph(char: str, style: LetterStyle) -> Glyph:
    shapes = glyphs(style.corners)
    if char not in shapes:
        raise ValueError("a character of the text has no shape in this lettering")
    named = next((name for name in style.variants if name[0] == char and name in shapes), char)
    return shapes[named]


def _ink_ratio(char: str, style: LetterStyle) -> float:
    return _glyph(char, style).width / 100.0 * style.stretch_ratio + style.pen_ratio


def _cell_ratio(char: str, style: LetterStyle) -> float:
    ink_ratio = _ink_ratio(char, style)
    return max(ink_ratio, style.cell_ratio) if char.isalnum() else ink_ratio


@functools.lru_cache(maxsize=2048)
def _ink(char: str, capital_px: float, style: LetterStyle) -> tuple[Mask, int]:
    """Return one character's ink, and the columns that it has on either side for corners that stand out."""
    glyph = _glyph(char, style)
    pen_px = style.pen_ratio * capital_px
    level = style.level_ratio  # drawn higher by as much as level strokes are thinner, and then pressed down
    margin_px = math.ceil(0.6 * pen_px) + math.ceil(style.slant_ratio * capital_px)
    bottom_ratio = _y_ratio(glyph.bottom, style) + style.pen_ratio * level / 2.0
    size_px = (
        math.ceil(bottom_ratio * capital_px / level),
        math.ceil(_ink_ratio(char, style) * capital_px) + 2 * margin_px,
    )
    canvas = np.zeros(size_px, np.uint8)
    for stroke in glyph.strokes + (_serifs(glyph, is_small=char.islower()) if style.has_serifs else ()):
        line = np.array([_placed(point, style) for point in stroke], np.float64)
        line = line * (capital_px, capital_px / level) + (margin_px, 0.0)
        _draw(canvas, line, pen_px * glyph.pen_share, size_px[0])
    rows = math.ceil(bottom_ratio * capital_px)
    if rows != size_px[0]:
        canvas = np.asarray(cv2.resize(canvas, (size_px[1], rows), interpolation=cv2.INTER_AREA), np.uint8)
    return _rounded(canvas, style.rounding_ratio * capital_px), margin_px


def _y_ratio(y: float, style: LetterStyle) -> float:
    pen_ratio = style.pen_ratio * style.level_ratio
    return pen_ratio / 2.0 + y / SPAN * (1.0 - pen_ratio)


def _placed(point: tuple[float, float], style: LetterStyle) -> tuple[float, float]:
    """Return a point of a centre line as ratios of the capital's height, so that the pen just touches top and base."""
    y_ratio = _y_ratio(point[1], style)
    x_ratio = style.pen_ratio / 2.0 + point[0] / 100.0 * style.stretch_ratio + style.slant_ratio * (1.0 - y_ratio)
    return x_ratio, y_ratio


def _serifs(glyph: Glyph, *, is_small: bool) -> tuple[Points, ...]:
    """Return a short level stroke at each end of an upright stroke that reaches the top or the base."""
    ends = [stroke[place] for stroke in glyph.strokes for place in (0, -1) if len(stroke) == 2]
    levels = {SPAN} if is_small else {0.0, SPAN}
    return tuple(((x - _SERIF_UNITS / 2, y), (x + _SERIF_UNITS / 2, y)) for x, y in ends if y in levels)


def _draw(canvas: Mask, line: npt.NDArray[np.float64], pen_px: float, bottom_px: int) -> None:
    """Draw one stroke with a square pen's ends and mitred joints, float64 (N, 2) in pixels."""
    line = line[np.append(True, np.hypot(*np.diff(line, axis=0).T) > 1e-3)]
    along = np.diff(line, axis=0)
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    if not np.allclose(line[0], line[-1]):
        line = line.copy()
        line[0] -= along[0] * _overshoot(line[0], along[0], pen_px, bottom_px)
        line[-1] += along[-1] * _overshoot(line[-1], along[-1], pen_px, bottom_px)
        joints = list(zip(range(1, len(line) - 1), range(len(along) - 1), range(1, len(along)), strict=True))
    else:
        joints = [(index, index - 1, index) for index in range(len(along))]
    side = np.column_stack((-along[:, 1], along[:, 0])) * pen_px / 2.0
    for index, across in enumerate(side):
        _fill(canvas, [line[index] - across, line[index] + across, line[index + 1] + across, line[index + 1] - across])
    for point, before, after in joints:
        _join(canvas, line[point], side[before], side[after], pen_px)


def _overshoot(end: npt.NDArray[np.float64], along: npt.NDArray[np.float64], pen_px: float, bottom_px: int) -> float:
    """Return how far an end runs on: half a pen, and beyond the edge that cuts a leaning stroke level."""
    is_cut = abs(along[1]) > 0.5 and not pen_px < end[1] < bottom_px - pen_px
    return pen_px if is_cut else pen_px / 2.0


def _join(
    canvas: Mask,
    corner: npt.NDArray[np.float64],
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    pen_px: float,
) -> None:
    """Fill the wedge that two segments leave open on the outside of their corner."""
    both = before + after
    square = float(both @ both)
    for sign in (1.0, -1.0):
        tip = both * (pen_px * pen_px / 2.0 / square) if square > (pen_px / _MITRE_LIMIT) ** 2 else both / 2.0
        _fill(canvas, [corner, corner + sign * before, corner + sign * tip, corner + sign * after])


def _fill(canvas: Mask, polygon: list[npt.NDArray[np.float64]]) -> None:
    # A pixel's centre is at its integer coordinate in OpenCV, hence the half pixel.
    fixed_point = np.round((np.array(polygon) - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillConvexPoly(canvas, fixed_point, 255, cv2.LINE_8, _SUBPIXEL_BITS)


def _rounded(ink: Mask, radius_px: float) -> Mask:
    """Return the ink with its corners rounded: blurred, and cut off again at half."""
    if radius_px < 0.5:
        return ink
    soft = cv2.GaussianBlur(ink, (0, 0), radius_px, borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    return np.asarray(np.clip((soft - 127.5) * (2.0 * radius_px) + 127.5, 0.0, 255.0), np.uint8)

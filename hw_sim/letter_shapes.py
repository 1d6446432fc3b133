"""The characters of the simulated plates as centre lines: digits, capitals, small letters and a few marks, all our own.

Owns the shapes; the pen that is drawn along them is `lettering`'s. The one idea: the makers of dies differ in how they
turn a corner, so every bowl is built of corners whose width, height and cut are given, and one table serves every die.
Coordinates are units: x from 0 to the character's width, y from 0 (top of a capital) to 86 (the base line), small
letters with a tail down to 108. The pen adds its own half on every side.
"""

import functools
import math
from dataclasses import dataclass

SPAN = 86.0
TAIL = 108.0
_TOP_OF_SMALL = 31.0
_ARC_STEP_DEG = 7.5

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyph:
    """Centre lines of one character, in units."""

    width: float
    strokes: tuple[Points, ...]
    pen_share: float = 1.0  # letters of many strokes are cut with a thinner pen

    @property
    def bottom(self) -> float:
        """The lowest y, at least that of the base line."""
        return max([SPAN, *(y for stroke in self.strokes for _, y in stroke)])


@dataclass(frozen=True, slots=True)
class Corners:
    """How a die turns a corner: `across` and `down` are the radii of an ellipse's quarter; cut ones are straight."""

    across: float = 16.0
    down: float = 18.0
    is_cut: bool = False

    def arc(self, centre: tuple[float, float], radii: tuple[float, float], from_deg: float, to_deg: float) -> Points:
        """Return points of an arc (0 is right, 90 is down), or its ends alone if corners are cut."""
        quarters = max(1, math.ceil(abs(to_deg - from_deg) / 90.0 - 1e-6))
        per_quarter = 1 if self.is_cut else math.ceil(90.0 / _ARC_STEP_DEG)
        count = quarters * per_quarter
        angles = [math.radians(from_deg + (to_deg - from_deg) * step / count) for step in range(count + 1)]
        return tuple((centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles)

    def radii(self, width: float, height: float) -> tuple[float, float]:
        """Return the radii that fit into a bowl."""
        return min(self.across, width / 2.0), min(self.down, height / 2.0)

    def top_right(self, left: float, top: float, right: float, bottom: float) -> Points:
        """Return the upper right corner of a bowl, clockwise."""
        across, down = self.radii(right - left, bottom - top)
        return self.arc((right - across, top + down), (across, down), -90, 0)

    def bottom_right(self, left: float, top: float, right: float, bottom: float) -> Points:
        """Return the lower right corner of a bowl, clockwise."""
        across, down = self.radii(right - left, bottom - top)
        return self.arc((right - across, bottom - down), (across, down), 0, 90)

    def loop(self, left: float, top: float, right: float, bottom: float) -> Points:
        """Return a closed bowl."""
        half = self.top_right(left, top, right, bottom) + self.bottom_right(left, top, right, bottom)
        centre = (left + right, top + bottom)
        return half + tuple((centre[0] - x, centre[1] - y) for x, y in half) + half[:1]

    def hook(self, width: float, reach: float, height: float = SPAN) -> Points:
        """Return a bowl's upper right end, from its tip `reach` below the top leftwards to the middle of the top."""
        across, down = self.radii(width, height)
        lift_deg = math.degrees(math.asin((down - reach) / down)) if down > reach else 0.0
        start = () if down >= reach else ((width, reach),)
        return start + self.arc((width - across, down), (across, down), -lift_deg, -90)


def mirrored(points: Points, width: float) -> Points:
    """Return points with left and right exchanged."""
    return tuple((width - x, y) for x, y in points)


def upended(points: Points, bottom: float = SPAN) -> Points:
    """Return points with top and bottom exchanged."""
    return tuple((x, bottom - y) for x, y in points)


def _lowered(points: Points, by: float) -> Points:
    return tuple((x, y + by) for x, y in points)


def _glyph(width: float, *strokes: Points, pen_share: float = 1.0) -> Glyph:
    return Glyph(width=width, strokes=strokes, pen_share=pen_share)


@functools.cache
def glyphs(corners: Corners) -> dict[str, Glyph]:
    """Return every character that can be drawn; "1/foot" and its like are other shapes of the character before "/"."""
    return {**_digits(corners), **_letters(corners), **_small_letters(corners), **_MARKS}


_MARKS = {
    " ": _glyph(2),
    "-": _glyph(13, ((0, 43), (13, 43))),
    "·": _glyph(1, ((0, 43), (1.5, 43))),
    ".": _glyph(1, ((0, 86), (1, 86))),
    "'": _glyph(1, ((0, 0), (0, 14))),
    ",": _glyph(4, ((4, 82), (0, 98))),
}


def _digits(c: Corners) -> dict[str, Glyph]:
    waist, w = 40.0, 34.0
    top_left = mirrored(c.top_right(0, 0, w, SPAN), w)
    six = (c.loop(0, 34, w, SPAN), (*c.hook(w - 1, 19), *top_left, (0, 62)))
    lower_three = (*c.top_right(0, waist, w, SPAN), *c.bottom_right(0, waist, w, SPAN))
    hook_three = upended(mirrored(c.hook(w, 21, SPAN - waist), w))[::-1]
    upper_three = (*mirrored(c.hook(w - 2, 20, waist), w - 1), *c.top_right(0, 0, w - 2, waist))
    upper_two = (
        (*mirrored(c.hook(w, 22), w), *c.top_right(0, 0, w, SPAN), (w, 27))
        if c.down < 26
        else (*mirrored(c.hook(w, 24, 50), w), *c.arc((w / 2, 25), (w / 2, 25), -90, 38))
    )
    return {
        "0": _glyph(31, c.loop(0, 0, 31, SPAN)),
        "1": _glyph(13, ((0, 16), (13, 0), (13, 86))),
        "1/foot": _glyph(24, ((1, 14), (12, 0), (12, 86)), ((0, 86), (24, 86))),
        "2": _glyph(w, (*upper_two, (0, 79), (0, 86), (w, 86))),
        "3": _glyph(w, (*upper_three, *c.bottom_right(0, 0, w - 2, waist), (12, waist)),
                    ((12, waist), *lower_three, *hook_three)),
        "3/flat": _glyph(w, ((0, 0), (w - 1, 0), (w - 1, 4), (15, 35), *lower_three, *hook_three)),
        "4": _glyph(36, ((28, 86), (28, 0)), ((26, 0), (0, 56), (0, 62), (37, 62))),
        "5": _glyph(w, ((31, 0), (2.5, 0), (1, 38), *c.top_right(0, 34, w, SPAN), *c.bottom_right(0, 34, w, SPAN),
                        *upended(mirrored(c.hook(w, 20, 52), w))[::-1])),
        "6": _glyph(w, *six),
        "6/straight": _glyph(w, c.loop(0, 34, w, SPAN), ((25, 0), (1.5, 50))),
        "7": _glyph(33, ((0, 0), (33, 0), (33, 7), (11, 86))),
        "8": _glyph(w, c.loop(1.5, 0, w - 1.5, waist), c.loop(0, waist, w, SPAN)),
        "9": _glyph(w, *(mirrored(upended(stroke), w) for stroke in six)),
        "9/straight": _glyph(w, c.loop(0, 0, w, 52), ((9, 86), (w - 1.5, 36))),
    }  # fmt: skip


def _letters(c: Corners) -> dict[str, Glyph]:
    w = 35.0
    top_of_c, top_left = c.hook(w, 23), mirrored(c.top_right(0, 0, w, SPAN), w)
    left_of_c = (*top_of_c, *top_left, *upended(top_left)[::-1])
    cup = (*upended(top_left)[::-1], *c.bottom_right(0, 0, w, SPAN)[::-1])
    half = (*c.top_right(0, 0, w, 44), *c.bottom_right(0, 0, w, 44))
    lower = (*c.top_right(0, 42, w, SPAN), *c.bottom_right(0, 42, w, SPAN))
    upper_s = (*c.hook(w - 2, 20, 43), *mirrored((*c.top_right(1, 0, w, 43), *c.bottom_right(1, 0, w, 43)), w))
    return {
        "A": _glyph(38, ((1, 86), (17, 0)), ((17, 0), (21, 0)), ((21, 0), (37, 86)), ((7, 58), (31, 58))),
        "B": _glyph(w, ((0, 42), (0, 0), *_narrowed(half, w, w - 2, 42 / 44), (0, 42)),
                    ((0, 42), *lower, (0, 86), (0, 42))),
        "C": _glyph(w, (*left_of_c, *upended(top_of_c)[::-1])),
        "D": _glyph(w, ((0, 0), *c.top_right(0, 0, w, SPAN), *c.bottom_right(0, 0, w, SPAN), (0, 86), (0, 0))),
        "E": _glyph(30, ((30, 0), (0, 0), (0, 86), (30, 86)), ((0, 42), (25, 42))),
        "F": _glyph(30, ((30, 0), (0, 0), (0, 86)), ((0, 43), (25, 43))),
        "G": _glyph(w, (*left_of_c, *c.bottom_right(0, 0, w, SPAN)[::-1], (w, 48), (21, 48))),
        "G/spur": _glyph(w, (*left_of_c, *c.bottom_right(0, 0, w, SPAN)[::-1], (w, 48), (21, 48)), ((w, 50), (w, 86))),
        "H": _glyph(w, ((0, 0), (0, 86)), ((w, 0), (w, 86)), ((0, 42), (w, 42))),
        "I": _glyph(20, ((10, 0), (10, 86)), ((0, 0), (20, 0)), ((0, 86), (20, 86))),
        "I/plain": _glyph(1, ((0.5, 0), (0.5, 86))),
        "J": _glyph(31, ((31, 0), *c.bottom_right(0, 0, 31, SPAN),
                         *upended(mirrored(c.hook(31, 24), 31))[::-1])),
        "J/bar": _glyph(31, ((12, 0), (31, 0), *c.bottom_right(0, 0, 31, SPAN),
                             *upended(mirrored(c.hook(31, 24), 31))[::-1])),
        "K": _glyph(36, ((0, 0), (0, 86)), ((34, 0), (0, 54)), ((13, 35), (36, 86))),
        "L": _glyph(29, ((0, 0), (0, 86), (29, 86))),
        "M": _glyph(42, ((0, 86), (0, 0)), ((0, 0), (21, 56), (42, 0)), ((42, 0), (42, 86)), pen_share=0.9),
        "M/long": _glyph(44, ((0, 86), (0, 0)), ((0, 0), (22, 86), (44, 0)), ((44, 0), (44, 86)), pen_share=0.88),
        "N": _glyph(w, ((0, 86), (0, 0)), ((0, 0), (w, 86)), ((w, 86), (w, 0))),
        "O": _glyph(38, c.loop(0, 0, 38, SPAN)),
        "P": _glyph(w, ((0, 86), (0, 0), *_narrowed(half, w, w - 1, 47 / 44), (0, 47))),
        "Q": _glyph(38, c.loop(0, 0, 38, SPAN), ((21, 62), (39, 87))),
        "R": _glyph(w, ((0, 86), (0, 0), *_narrowed(half, w, w - 1, 46 / 44), (0, 46)), ((15, 46), (w, 86))),
        "S": _glyph(w, (*upper_s, *((w - x, SPAN - y) for x, y in reversed(upper_s)))),
        "T": _glyph(34, ((0, 0), (34, 0)), ((17, 0), (17, 86))),
        "U": _glyph(w, ((0, 0), *cup, (w, 0))),
        "V": _glyph(38, ((1, 0), (18, 86)), ((18, 86), (20, 86)), ((20, 86), (37, 0))),
        "W": _glyph(47, ((0, 0), (10, 86)), ((10, 86), (23.5, 22)), ((23.5, 22), (37, 86)), ((37, 86), (47, 0)),
                    pen_share=0.82),
        "X": _glyph(38, ((2, 0), (36, 86)), ((36, 0), (2, 86))),
        "Y": _glyph(38, ((2, 0), (19, 47)), ((36, 0), (19, 47)), ((19, 44), (19, 86))),
        "Z": _glyph(w, ((1, 0), (w, 0), (w, 7), (0, 79), (0, 86), (w, 86))),
    }  # fmt: skip


def _narrowed(points: Points, width: float, new_width: float, height_ratio: float) -> Points:
    return tuple((x * new_width / width, y * height_ratio) for x, y in points)


def _small_letters(c: Corners) -> dict[str, Glyph]:
    top, w = _TOP_OF_SMALL, 30.0
    bowl = c.loop(0, top, w, SPAN)
    hook = _lowered(c.hook(w, 16, SPAN - top), top)
    back = tuple((w - x, y) for x, y in (*c.top_right(0, top, w, SPAN), *c.bottom_right(0, top, w, SPAN)))
    arch = (*mirrored(c.top_right(0, top, w, SPAN), w), *c.top_right(0, top, w, SPAN), (w, SPAN))
    span = (*mirrored(c.top_right(0, top, 26, SPAN), 26), *c.top_right(0, top, 26, SPAN), (26, SPAN))
    tail = (*c.bottom_right(0, top, w, TAIL), (3, TAIL))
    middle = (top + SPAN) / 2.0
    upper_s = (*_narrowed(c.hook(w, 12, 28), w, 28, 1), *mirrored(
        (*c.top_right(0, 0, 28, 28), *c.bottom_right(0, 0, 28, 28)), 28))  # fmt: skip
    lower_s = tuple((28 - x, SPAN - top - y) for x, y in reversed(upper_s))
    return {
        "a": _glyph(w, bowl, ((w, top), (w, SPAN))),
        "b": _glyph(w, bowl, ((0, 0), (0, SPAN))),
        "c": _glyph(w, (*hook, *back, *upended(hook, top + SPAN)[::-1])),
        "d": _glyph(w, bowl, ((w, 0), (w, SPAN))),
        "e": _glyph(w, ((0, middle), (w, middle), *c.top_right(0, top, w, SPAN)[::-1], *back,
                        *upended(hook, top + SPAN)[::-1])),
        "f": _glyph(20, ((20, 0), (14, 0), (8, 8), (8, SPAN)), ((0, top), (19, top))),
        "g": _glyph(w, bowl, ((w, top), *tail)),
        "h": _glyph(w, ((0, 0), (0, SPAN)), arch),
        "i": _glyph(1, ((0.5, top), (0.5, SPAN)), ((0.5, 6), (0.5, 10))),
        "j": _glyph(10, ((10, top), (10, 100), (4, TAIL), (0, TAIL)), ((10, 6), (10, 10))),
        "k": _glyph(28, ((0, 0), (0, SPAN)), ((26, top), (0, 64)), ((10, 54), (28, SPAN))),
        "l": _glyph(1, ((0.5, 0), (0.5, SPAN))),
        "m": _glyph(52, ((0, top), (0, SPAN)), span, tuple((x + 26, y) for x, y in span)),
        "n": _glyph(w, ((0, top), (0, SPAN)), arch),
        "o": _glyph(w, bowl),
        "p": _glyph(w, bowl, ((0, top), (0, TAIL))),
        "q": _glyph(w, bowl, ((w, top), (w, TAIL))),
        "r": _glyph(18, ((0, top), (0, SPAN)), ((0, 48), (6, 34), (18, top))),
        "s": _glyph(28, _lowered((*upper_s, *lower_s), top)),
        "t": _glyph(20, ((8, 8), (8, 78), (14, SPAN), (20, SPAN)), ((0, top), (19, top))),
        "u": _glyph(w, tuple((w - x, top + SPAN - y) for x, y in arch), ((w, top), (w, SPAN))),
        "v": _glyph(30, ((1, top), (15, SPAN)), ((15, SPAN), (29, top))),
        "w": _glyph(44, ((1, top), (12, SPAN)), ((12, SPAN), (22, 42)), ((22, 42), (32, SPAN)),
                    ((32, SPAN), (43, top))),
        "x": _glyph(28, ((1, top), (27, SPAN)), ((27, top), (1, SPAN))),
        "y": _glyph(30, ((1, top), (16, SPAN)), ((29, top), (9, TAIL), (2, TAIL))),
        "z": _glyph(28, ((0, top), (28, top), (28, top + 4), (0, SPAN - 4), (0, SPAN), (28, SPAN))),
    }  # fmt: skip

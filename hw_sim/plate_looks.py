"""What one issue of licence plates looks like: ground, graphics, lines of print, serial patterns and die.

Owns the record and the short words with which the files of states write theirs; draws nothing. A pattern has @ for a
letter, # for a digit, a blank, dash or point as it is pressed, _ for the gap in which the emblem stands, and brackets
around small letters that are stacked.
"""

from dataclasses import dataclass

from hw_sim.lettering import PRINTED, LetterStyle
from hw_sim.plate_paint import WHITE, Area, Colour, Ink, Point, clear_ink
from hw_sim.serials import SERIAL_LETTERS

UPPER_CORNERS: tuple[Point, ...] = ((1.05, 0.8), (10.95, 0.8))
LOWER_CORNERS: tuple[Point, ...] = ((1.05, 5.2), (10.95, 5.2))
UPPER_RIGHT: tuple[Point, ...] = ((10.95, 0.8),)
LOWER_RIGHT: tuple[Point, ...] = ((10.95, 5.2),)
UPPER_LEFT: tuple[Point, ...] = ((1.05, 0.8),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of print. Of several texts, such as counties, each plate has one."""

    texts: tuple[str, ...]
    ink: Ink
    y: float  # of the capitals' middle; inches
    height: float  # of a capital; inches
    style: LetterStyle = PRINTED
    x: float = 6.0
    room: float = 7.6  # a longer line is condensed


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateLook:
    """One issue. Lengths are inches from the upper left corner."""

    region: str  # "US-CA"
    serials: tuple[str, ...]
    ink: Ink
    die: LetterStyle
    lines: tuple[Line, ...]
    stops: tuple[tuple[float, Ink], ...] = ((0.0, WHITE),)  # share of the height, ground
    areas: tuple[Area, ...] = ()
    emblem: tuple[Area, ...] = ()  # stands in the serial's gap
    rim: Ink | None = None
    stickers: tuple[Point, ...] = UPPER_CORNERS
    is_embossed: bool = True
    serial_height: float = 2.7
    serial_y: float = 3.05
    letters: str = SERIAL_LETTERS


def head(
    text: str, ink: Ink, style: LetterStyle = PRINTED, *, height: float = 0.76, x: float = 6.0, y: float = 0.84
) -> Line:
    """Return the line above the serial, between the bolts."""
    return Line(texts=(text,), ink=ink, x=x, y=y, height=height, style=style, room=6.3)


def foot(*texts: str, ink: Ink, style: LetterStyle = PRINTED, height: float = 0.48, y: float = 5.28) -> Line:
    """Return the line below the serial."""
    return Line(texts=texts, ink=ink, y=y, height=height, style=style, room=6.2)


def area(points: tuple[Point, ...], bgr: Colour, strength: float = 1.0, soft: float = 0.0) -> Area:
    """Return a printed graphic."""
    return Area(points=points, ink=clear_ink(*bgr), strength_ratio=strength, soft_inches=soft)


def fade(*stops: tuple[float, int, int, int]) -> tuple[tuple[float, Ink], ...]:
    """Return a printed ground that fades between colours: share of the height, blue, green, red."""
    return tuple((height, clear_ink(blue, green, red)) for height, blue, green, red in stops)

"""What a licence plate is covered with, and how shapes of it are laid on a sheet.

Owns inks, the layered picture of a plate and a few plain shapes; which of them make up a state's plate is said in the
files of looks. The one idea: a sheet has five channels - blue, green, red, the reflectance at 850 nm, and the share of
retro-reflective sheeting that is left uncovered - so that one stroke of a brush changes all that a camera may see.

A sheet is uint8 (168, 336, 5); blue, green, red and infrared are sRGB-coded reflectances (IEC 61966-2-1), retro is a
plain share of 255. Shapes are given in inches from the upper left corner, as makers of plates do: 12 wide, 6 high.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.lettering import Mask

Colour = tuple[int, int, int]
"""Blue, green, red; 0..255."""

Sheet = npt.NDArray[np.uint8]
"""uint8 (H, W, 5): blue, green, red, infrared, retro."""

INCH_M = 0.0254
WIDTH_INCHES, HEIGHT_INCHES = 12.0, 6.0
"""SAE J686, motor vehicle licence plates."""
PX_PER_INCH = 28
WIDTH_PX, HEIGHT_PX = round(WIDTH_INCHES * PX_PER_INCH), round(HEIGHT_INCHES * PX_PER_INCH)

_SUBPIXEL_BITS = 4
_WHITE_RETRO = 235  # the rest is the sheeting's seal pattern and its edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Ink:
    """One paint. `infrared` is sRGB-coded like the colours; `retro` is what it leaves of the sheeting below, 0..255."""

    bgr: Colour
    infrared: int
    retro: int

    @property
    def channels(self) -> tuple[int, int, int, int, int]:
        """The five values as they stand in a sheet."""
        return (*self.bgr, self.infrared, self.retro)


def serial_ink(blue: int, green: int, red: int) -> Ink:
    """Return the paint of a serial, which covers the sheeting.

    The serial must be legible at 730 to 940 nm (AAMVA, License Plate Standard, 2nd edition): black holds carbon and
    stays black, coloured paints pale, the red ones most, as those do that reflect most just before the infrared.
    """
    infrared = min(150, round(26 + 0.16 * blue + 0.22 * green + 0.42 * red))
    return Ink(bgr=(blue, green, red), infrared=infrared, retro=0)


def clear_ink(blue: int, green: int, red: int) -> Ink:
    """Return a screened or printed graphic's ink: nearly clear in infrared, so that the sheeting shows through."""
    shade = (0.114 * blue + 0.587 * green + 0.299 * red) / 255.0
    retro = round(_WHITE_RETRO * (0.68 + 0.32 * shade))
    return Ink(bgr=(blue, green, red), infrared=round(150 + 55 * shade), retro=retro)


def dark_ground(blue: int, green: int, red: int) -> Ink:
    """Return the ground of a plate with light characters: it must be dark in infrared too, or nobody reads it."""
    return Ink(bgr=(blue, green, red), infrared=serial_ink(blue, green, red).infrared, retro=26)


WHITE = Ink(bgr=(203, 205, 204), infrared=205, retro=_WHITE_RETRO)
"""White sheeting reflects some 60 % of daylight; at least 35 % by ISO 7591."""
BARE = Ink(bgr=(203, 205, 204), infrared=205, retro=200)  # white characters on a dark ground
BLACK = serial_ink(30, 27, 26)
NAVY = serial_ink(88, 42, 26)
BLUE = serial_ink(140, 66, 30)
GREEN = serial_ink(58, 84, 22)
RED = serial_ink(44, 34, 158)
MAROON = serial_ink(46, 30, 104)
PAINTED_WHITE = Ink(bgr=(225, 226, 225), infrared=220, retro=0)
PAINTED_GREY = Ink(bgr=(128, 126, 124), infrared=130, retro=0)
GOLD = Ink(bgr=(70, 170, 208), infrared=198, retro=190)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A filled polygon of one ink, in inches; `strength_ratio` thins it, `soft_inches` blurs its edge."""

    points: tuple[Point, ...]
    ink: Ink
    strength_ratio: float = 1.0
    soft_inches: float = 0.0

    def mask(self) -> Mask:
        """Return its cover of the sheet, uint8 (168, 336)."""
        mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
        fixed_point = np.round((np.array(self.points) * PX_PER_INCH - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [fixed_point], round(255 * self.strength_ratio), cv2.LINE_AA, _SUBPIXEL_BITS)
        if self.soft_inches > 0:
            mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), self.soft_inches * PX_PER_INCH), np.uint8)
        return mask


def ground(stops: tuple[tuple[float, Ink], ...]) -> Sheet:
    """Return a sheet that fades from stop to stop (share of the height, ink); one stop is a plain ground."""
    rows = (np.arange(HEIGHT_PX) + 0.5) / HEIGHT_PX
    heights = [height for height, _ in stops]
    channels = [np.interp(rows, heights, [ink.channels[index] for _, ink in stops]) for index in range(5)]
    return np.repeat(np.stack(channels, axis=1).astype(np.uint8)[:, None], WIDTH_PX, axis=1)


def paint(sheet: Sheet, mask: Mask, ink: Ink, top_px: int = 0, left_px: int = 0) -> None:
    """Lay `ink` on `sheet` where `mask` is, its upper left corner at the place named; what stands out is cut off."""
    x, y, width, height = cv2.boundingRect(mask)  # most masks are empty but for a spot
    top, left = max(0, top_px + y), max(0, left_px + x)
    part = sheet[top : max(0, top_px + y + height), left : max(0, left_px + x + width)]
    if not part.size:
        return
    share = mask[top - top_px :, left - left_px :][: part.shape[0], : part.shape[1], None].astype(np.uint16)
    part[:] = (part * (255 - share) + np.array(ink.channels, np.uint16) * share + 127) // 255


def paint_areas(sheet: Sheet, areas: tuple[Area, ...]) -> None:
    """Lay areas on a sheet, in their order."""
    for area in areas:
        paint(sheet, area.mask(), area.ink)


def rectangle(left: float, top: float, right: float, bottom: float) -> tuple[Point, ...]:
    """Return an upright rectangle."""
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def disc(x: float, y: float, across: float, down: float = 0.0) -> tuple[Point, ...]:
    """Return an ellipse of the radii `across` and `down`, or a circle."""
    turns = np.linspace(0.0, 2.0 * math.pi, 40, endpoint=False)
    return tuple((x + across * math.cos(turn), y + (down or across) * math.sin(turn)) for turn in turns)


def bow(x: float, y: float, inner: float, outer: float) -> tuple[Point, ...]:
    """Return the upper half of a ring, flattened as a rainbow over a plate is."""
    turns = np.linspace(math.pi, 2.0 * math.pi, 40)
    ring = [(x + outer * math.cos(turn), y + 0.62 * outer * math.sin(turn)) for turn in turns]
    return (*ring, *((x + inner * math.cos(turn), y + 0.62 * inner * math.sin(turn)) for turn in reversed(turns)))


def star(x: float, y: float, radius: float, points: int = 5, depth: float = 0.4) -> tuple[Point, ...]:
    """Return a star, one point up; a sun, if it has many points."""
    turns = [math.pi * step / points - math.pi / 2.0 for step in range(2 * points)]
    reach = [radius * (depth if step % 2 else 1.0) for step in range(2 * points)]
    return tuple((x + r * math.cos(turn), y + r * math.sin(turn)) for r, turn in zip(reach, turns, strict=True))


def ridge(seed: int, base: float, height: float, steps: int = 14, bottom: float = HEIGHT_INCHES) -> tuple[Point, ...]:
    """Return a range of `steps` peaks across the whole plate, its foot near `base`, filled down to `bottom`."""
    generator = np.random.default_rng(seed)
    xs = np.linspace(-0.5, WIDTH_INCHES + 0.5, 2 * steps + 1) + generator.uniform(-0.22, 0.22, 2 * steps + 1)
    peaks = np.arange(2 * steps + 1) % 2 == 1
    lift = np.where(peaks, generator.uniform(0.35, 1.0, len(xs)), generator.uniform(-0.3, 0.25, len(xs)))
    fine = np.linspace(0.0, WIDTH_INCHES, 97)
    rough = np.interp(fine, xs, lift) + generator.normal(0.0, 0.05, len(fine))
    return (*((float(x), float(base - height * up)) for x, up in zip(fine, rough, strict=True)),
            (WIDTH_INCHES, bottom), (0.0, bottom))  # fmt: skip


def hills(seed: int, base: float, height: float, bottom: float = HEIGHT_INCHES) -> tuple[Point, ...]:
    """Return rolling hills, or waves, across the whole plate."""
    generator = np.random.default_rng(seed)
    xs = np.linspace(0.0, WIDTH_INCHES, 49)
    turns = [xs * k * math.pi / WIDTH_INCHES + generator.uniform(0, 6.3) for k in (1.7, 3.4, 5.9)]
    lift = sum(np.sin(turn) * share for turn, share in zip(turns, (0.55, 0.3, 0.15), strict=True))
    return (*((float(x), float(base - height * up)) for x, up in zip(xs, np.asarray(lift), strict=True)),
            (WIDTH_INCHES, bottom), (0.0, bottom))  # fmt: skip


def fir(x: float, base: float, height: float) -> tuple[Point, ...]:
    """Return a fir tree on the line `base`."""
    half = 0.28 * height
    tiers = [(0.34, 0.45), (0.3, 0.25), (0.67, 0.75), (0.62, 0.45), (1.0, 1.0)]
    right = [(x + half * wide, base - height * (1.0 - down)) for down, wide in tiers]
    left = [(x - half * wide, base - height * (1.0 - down)) for down, wide in reversed(tiers)]
    return ((x, base - height), *right, *left)


def firs(seed: int, base: float, height: float, count: int) -> tuple[tuple[Point, ...], ...]:
    """Return a row of `count` firs of unlike height."""
    generator = np.random.default_rng(seed)
    xs = np.linspace(0.2, WIDTH_INCHES - 0.2, count) + generator.uniform(-0.25, 0.25, count)
    return tuple(fir(float(x), base, height * float(generator.uniform(0.5, 1.0))) for x in xs)


@functools.lru_cache(maxsize=16)
def rounded_rectangle(inset_inches: float, radius_inches: float) -> Mask:
    """Return the sheet's outline, uint8 (168, 336), drawn in from the edge on all sides."""
    radius = max(0.02, radius_inches)
    low = inset_inches + radius
    right, bottom = WIDTH_INCHES - low, HEIGHT_INCHES - low
    corners = ((right, bottom, 0.0), (low, bottom, 90.0), (low, low, 180.0), (right, low, 270.0))
    points = tuple(
        (x + radius * math.cos(math.radians(start + step)), y + radius * math.sin(math.radians(start + step)))
        for x, y, start in corners
        for step in range(0, 91, 10)
    )
    return Area(points=points, ink=WHITE).mask()

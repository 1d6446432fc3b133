"""What years on the road do to a plate, and what owners and dealers put on it.

Owns ageing, dirt, bolts, stickers, frames, covers, dents and whatever hides characters, with how often each occurs; and
the judgement whether a person could still read the plate. The shares are estimates for a mixed American fleet: no
survey of plates in use is known that counts them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.lettering import NARROW, PRINTED, Mask, coverage
from hw_sim.plate_drawing import DrawnPlate
from hw_sim.plate_looks import PlateLook
from hw_sim.plate_paint import (
    BLACK,
    HEIGHT_INCHES,
    HEIGHT_PX,
    PAINTED_GREY,
    PAINTED_WHITE,
    PX_PER_INCH,
    WIDTH_INCHES,
    WIDTH_PX,
    Area,
    Ink,
    Point,
    Sheet,
    disc,
    paint,
    rectangle,
    rounded_rectangle,
)

AGED_SHARE = 0.35
DUSTY_SHARE = 0.5
DIRTY_SHARE = 0.05
SPATTERED_SHARE = 0.08
FRAMED_SHARE = 0.35
STICKER_SHARE = 0.8
DENTED_SHARE = 0.06
CLEAR_COVER_SHARE = 0.05
TINTED_COVER_SHARE = 0.015
HIDDEN_SHARE = 0.006
"""How often a ball hitch, a bar of a rack or a sticker stands before characters, or a clod of mud sticks to them."""

HIDDEN_RATIO_MAX = 0.25
"""A character of whose ink more is hidden cannot be read with certainty."""
CONTRAST_MIN = 24.0
"""Grey levels between ink and ground below which a person gives up."""

_HOLES: tuple[Point, ...] = ((2.5, 0.6), (9.5, 0.6), (2.5, 5.4), (9.5, 5.4))  # SAE J686: 7 inches apart
_FRAME_SIDE_INCHES = 0.2  # by which a frame stands out beyond the plate
_DEALERS = ("VALLEY MOTORS", "LAKESIDE AUTO", "NORTH STAR", "CITY CARS", "RIVER ROAD AUTO", "HILLTOP", "PIKE AUTO")
_MUD = Ink(bgr=(52, 68, 82), infrared=96, retro=0)
_DUST = Ink(bgr=(116, 126, 134), infrared=138, retro=0)
_FADED = Ink(bgr=(172, 184, 188), infrared=176, retro=0)
_CHROME = Ink(bgr=(176, 178, 180), infrared=172, retro=0)
_SKY = Ink(bgr=(236, 230, 224), infrared=170, retro=0)
_BLACK_PLASTIC = Ink(bgr=(34, 33, 33), infrared=52, retro=0)
_STICKERS: tuple[Ink, ...] = (
    Ink(bgr=(60, 200, 230), infrared=200, retro=150),
    Ink(bgr=(60, 130, 60), infrared=170, retro=120),
    Ink(bgr=(150, 80, 40), infrared=165, retro=110),
    Ink(bgr=(50, 50, 190), infrared=190, retro=130),
    Ink(bgr=(60, 130, 230), infrared=195, retro=140),
    PAINTED_WHITE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WornPlate:
    """A plate as it hangs on a vehicle: its layers, its outline and what it measures with its frame."""

    sheet: Sheet
    alpha: Mask
    width_inches: float
    height_inches: float
    is_readable: bool


def worn(plate: DrawnPlate, look: PlateLook, generator: np.random.Generator, *, is_paper: bool = False) -> WornPlate:
    """Return `plate` after its years on the road. It is changed in place."""
    sheet, hidden = plate.sheet, np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    if not is_paper and generator.random() < AGED_SHARE:
        _cover_evenly(sheet, _FADED, float(generator.uniform(0.05, 0.32)))
    if not is_paper and generator.random() < STICKER_SHARE:
        _put_stickers(sheet, look.stickers, generator)
    _make_dirty(sheet, hidden, generator)
    if generator.random() < HIDDEN_SHARE:
        _hide(sheet, hidden, generator)
    _put_bolts(sheet, generator)
    cover = generator.random()
    if is_paper or cover < CLEAR_COVER_SHARE:
        _put_cover(sheet, (0.93, 0.93, 0.88), generator)
    elif cover < CLEAR_COVER_SHARE + TINTED_COVER_SHARE:
        _put_cover(sheet, (0.66, 0.78, 0.6), generator)
    is_readable = legible(sheet, plate.ink, plate.columns, hidden)
    alpha: Mask = rounded_rectangle(0.0, 0.05 if is_paper else 0.5)
    if generator.random() < DENTED_SHARE:
        sheet, alpha = _dented(sheet, alpha, generator)
    if is_paper or generator.random() >= FRAMED_SHARE:
        return WornPlate(sheet=sheet, alpha=alpha, width_inches=WIDTH_INCHES, height_inches=HEIGHT_INCHES,
                         is_readable=is_readable)  # fmt: skip
    return _framed(sheet, generator, is_readable=is_readable)


def legible(sheet: Sheet, ink: Mask, columns: tuple[tuple[int, int], ...], hidden: Mask) -> bool:
    """Return whether each character still stands out from its ground by daylight, and is not hidden."""
    grey = cv2.cvtColor(np.ascontiguousarray(sheet[:, :, :3]), cv2.COLOR_BGR2GRAY)
    for first, last in columns:
        pressed = ink[:, first:last] > 200
        rows = np.flatnonzero(pressed.any(axis=1))
        box = slice(int(rows[0]), int(rows[-1]) + 1)
        if np.mean(hidden[:, first:last][pressed] > 127) > HIDDEN_RATIO_MAX:
            return False
        around = grey[box, first:last][ink[box, first:last] < 40]
        if around.size and abs(float(around.mean()) - float(grey[:, first:last][pressed].mean())) < CONTRAST_MIN:
            return False
    return True


def _cover_evenly(sheet: Sheet, ink: Ink, share: float) -> None:
    paint(sheet, np.full(sheet.shape[:2], round(255 * share), np.uint8), ink)


def _cloud(generator: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Return smooth noise in 0..1 over the whole sheet."""
    coarse = generator.random((rows, columns), np.float32)
    smooth = cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0.0, 1.0), np.float32)


def _make_dirty(sheet: Sheet, hidden: Mask, generator: np.random.Generator) -> None:
    """Lay dust, thicker towards the lower edge, and drops of mud."""
    fate = generator.random()
    if fate < DUSTY_SHARE + DIRTY_SHARE:
        strength = generator.uniform(0.04, 0.22) if fate < DUSTY_SHARE else generator.uniform(0.22, 0.5)
        slope = np.linspace(0.55, 1.3, HEIGHT_PX, dtype=np.float32)[:, None]
        film = 255.0 * strength * slope * (0.45 + 0.55 * _cloud(generator, 7, 12))
        paint(sheet, np.minimum(film, 255.0).astype(np.uint8), _DUST)
    if generator.random() < SPATTERED_SHARE:
        drops = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
        for _ in range(int(generator.integers(6, 50))):
            radius_px = float(min(9.0, generator.gamma(1.6, 1.2)))
            place = (float(generator.uniform(0, WIDTH_PX)), HEIGHT_PX * float(generator.beta(2.0, 1.3)))
            _blot(drops, place, radius_px, generator)
        paint(sheet, drops, _MUD)
        np.maximum(hidden, drops, out=hidden)


def _blot(mask: Mask, place: tuple[float, float], radius_px: float, generator: np.random.Generator) -> None:
    centre = (round(place[0] * 16), round(place[1] * 16))
    axes = (round(radius_px * 16), round(radius_px * float(generator.uniform(0.6, 1.4)) * 16))
    angle = float(generator.uniform(0, 180))
    cv2.ellipse(mask, centre, axes, angle, 0, 360, int(generator.integers(150, 256)), -1, cv2.LINE_AA, 4)


def _hide(sheet: Sheet, hidden: Mask, generator: np.random.Generator) -> None:
    """Put something before the characters that takes one or two of them away."""
    x = float(generator.uniform(1.5, 10.5))
    kind = int(generator.integers(4))
    if kind == 0:  # a bar of a bicycle rack
        width = float(generator.uniform(0.8, 1.6))
        covers = [Area(points=rectangle(x, 0.0, x + width, HEIGHT_INCHES), ink=_BLACK_PLASTIC)]
    elif kind == 1:  # a ball hitch
        stem = Area(points=rectangle(x - 0.4, 5.0, x + 0.4, HEIGHT_INCHES), ink=PAINTED_GREY)
        covers = [stem, Area(points=disc(x, 4.4, 1.15), ink=_CHROME)]
    elif kind == 2:  # a sticker that does not belong there
        colour = _STICKERS[int(generator.integers(len(_STICKERS)))]
        covers = [Area(points=disc(x, 3.0, 0.8), ink=colour)]
    else:
        covers = [Area(points=disc(x, 3.4, 1.1, 0.9), ink=_MUD, soft_inches=0.06)]
    for cover in covers:
        mask = cover.mask()
        paint(sheet, mask, cover.ink)
        np.maximum(hidden, mask, out=hidden)


def _put_stickers(sheet: Sheet, places: tuple[Point, ...], generator: np.random.Generator) -> None:
    """Put the stickers of month and year where the state wants them, not quite straight and often one over another."""
    for x, y in places:
        ink = _STICKERS[int(generator.integers(len(_STICKERS)))]
        centre = (x + float(generator.normal(0.0, 0.04)), y + float(generator.normal(0.0, 0.04)))
        half = (0.62, 0.36)
        lean = float(generator.normal(0.0, 0.03))
        corners = tuple(
            (centre[0] + dx * half[0] - dy * half[1] * lean, centre[1] + dy * half[1] + dx * half[0] * lean)
            for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        )
        paint(sheet, Area(points=corners, ink=ink).mask(), ink)
        print_ink = BLACK if sum(ink.bgr) > 330 else PAINTED_WHITE
        number = coverage(f"{int(generator.integers(1, 29)):02d}", round(0.46 * PX_PER_INCH), NARROW)
        paint(sheet, number, print_ink, round(centre[1] * PX_PER_INCH - number.shape[0] / 2),
              round((centre[0] + 0.22) * PX_PER_INCH - number.shape[1] / 2))  # fmt: skip
        code = coverage("CR" if generator.random() < 0.5 else "17", round(0.2 * PX_PER_INCH), PRINTED)
        paint(sheet, code, print_ink, round((centre[1] - 0.2) * PX_PER_INCH), round((centre[0] - 0.5) * PX_PER_INCH))


def _put_bolts(sheet: Sheet, generator: np.random.Generator) -> None:
    """Fasten the plate at two or four of its holes; free holes stay dark slots."""
    fastened = _HOLES if generator.random() < 0.5 else _HOLES[:2]
    cap = (_CHROME, _BLACK_PLASTIC, PAINTED_WHITE, PAINTED_GREY)[int(generator.integers(4))]
    radius = float(generator.uniform(0.17, 0.26))
    for x, y in _HOLES:
        if (x, y) in fastened:
            paint(sheet, Area(points=disc(x, y + 0.04, radius + 0.04), ink=BLACK, strength_ratio=0.6).mask(), BLACK)
            paint(sheet, Area(points=disc(x, y, radius), ink=cap).mask(), cap)
        else:
            paint(sheet, Area(points=disc(x, y, 0.3, 0.11), ink=BLACK).mask(), BLACK)


def _put_cover(sheet: Sheet, passed: tuple[float, float, float], generator: np.random.Generator) -> None:
    """Put a plastic cover before the plate. `passed`: share of visible, infrared and returned light, each way counted.

    A gloss of the sky runs across it. Reflectances are sRGB-coded, so that a share becomes its power 1 / 2.2.
    """
    visible, infrared, retro = passed[0] ** (1 / 2.2), passed[1] ** (1 / 2.2), passed[2]
    sheet[:] = (sheet * np.array((visible, visible, visible, infrared, retro), np.float32)).astype(np.uint8)
    left = float(generator.uniform(-4.0, 12.0))
    gloss = ((left, 0.0), (left + 2.5, 0.0), (left + 1.0, HEIGHT_INCHES), (left - 1.5, HEIGHT_INCHES))
    strength = float(generator.uniform(0.03, 0.12))
    paint(sheet, Area(points=gloss, ink=_SKY, strength_ratio=strength, soft_inches=0.4).mask(), _SKY)


def _dented(sheet: Sheet, alpha: Mask, generator: np.random.Generator) -> tuple[Sheet, Mask]:
    """Return the plate bent: what is seen of it shifts by a few pixels, and the dents' flanks are lit and shaded."""
    dent = cv2.GaussianBlur(_cloud(generator, 4, 6), (0, 0), 8.0) - np.float32(0.5)
    slope_x, slope_y = cv2.Sobel(dent, cv2.CV_32F, 1, 0), cv2.Sobel(dent, cv2.CV_32F, 0, 1)
    reach_px = float(generator.uniform(10.0, 26.0))
    columns, rows = np.meshgrid(np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32))
    at_x, at_y = columns + reach_px * slope_x, rows + reach_px * slope_y

    def moved(layer: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.asarray(cv2.remap(layer, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    bent = np.dstack((moved(sheet[:, :, :4]), moved(sheet[:, :, 4])))
    lit = bent[:, :, :4] * (1.0 - 1.3 * np.clip(slope_y, -0.06, 0.06))[:, :, None]
    bent[:, :, :4] = np.clip(lit, 0.0, 255.0).astype(np.uint8)
    bent[:, :, 4] = (bent[:, :, 4] * (1.0 - np.clip(3.0 * np.hypot(slope_x, slope_y), 0.0, 0.4))).astype(np.uint8)
    return bent, moved(alpha)


def _framed(sheet: Sheet, generator: np.random.Generator, *, is_readable: bool) -> WornPlate:
    """Return the plate in a dealer's frame, which hides its border and often its upper or lower line."""
    side_px = round(_FRAME_SIDE_INCHES * PX_PER_INCH)
    whole = np.pad(sheet, ((side_px, side_px), (side_px, side_px), (0, 0)), mode="edge")
    height_px, width_px = whole.shape[:2]
    has_name = generator.random() < 0.6
    bars = [float(generator.uniform(0.1, 0.4)), float(generator.uniform(0.2, 0.45))]
    bars[1 if generator.random() < 0.7 else 0] += 0.55 if has_name else 0.0
    colour = _CHROME if generator.random() < 0.35 else _BLACK_PLASTIC
    print_ink = BLACK if colour is _CHROME else PAINTED_WHITE
    thickness_px = round(float(generator.uniform(0.05, 0.3)) * PX_PER_INCH) + side_px
    top_px, bottom_px = (round(bar * PX_PER_INCH) + side_px for bar in bars)
    frame = np.full((height_px, width_px), 255, np.uint8)
    frame[top_px : height_px - bottom_px, thickness_px : width_px - thickness_px] = 0
    shadow = np.roll(cv2.GaussianBlur(frame, (0, 0), 2.0), 3, axis=0) // 2
    paint(whole, np.asarray(shadow, np.uint8), BLACK)
    paint(whole, frame, colour)
    if has_name:
        is_below = bars[1] > bars[0]
        room_px = bottom_px if is_below else top_px
        name = coverage(_DEALERS[int(generator.integers(len(_DEALERS)))], round(0.5 * room_px), PRINTED)
        middle_px = height_px - room_px / 2 if is_below else room_px / 2
        paint(whole, name, print_ink, round(middle_px - name.shape[0] * 0.4), (width_px - name.shape[1]) // 2)
    alpha = cv2.resize(rounded_rectangle(0.0, 0.35), (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return WornPlate(
        sheet=whole,
        alpha=np.asarray(alpha, np.uint8),
        width_inches=width_px / PX_PER_INCH,
        height_inches=height_px / PX_PER_INCH,
        is_readable=is_readable,
    )

"""Made-up licence plates of the United States' size, drawn in our own lettering.

Owns the looks, the texts that stand on plates and their drawing, seen from the front in even light. The road gives the
perspective and the light. No look copies a real state's design, and no text is taken from a real plate.
"""

import functools
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image
from hw_sim.lettering import LetterStyle, Mask, coverage, ink_width_ratio

PLATE_WIDTH_M = 0.305
PLATE_HEIGHT_M = 0.152
"""12 by 6 inches: SAE J686, motor vehicle licence plates."""

Colour = tuple[int, int, int]
"""Blue, green, red; 0..255."""

_SERIAL_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"  # most states leave I, O and Q out of their serials
_ALL_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_SERIALS = ("LLLDDDD", "DDDLLL", "LLLDDD", "DLLLDDD", "DDDDLL", "LLDDDDD", "DDLLLDD", "LLLDDLL")
_VANITY_SHARE = 0.2

_LETTER_HEIGHT_RATIO = 0.46  # of the plate's height: 70 mm of 152 mm
_LINE_HEIGHT_RATIO = 0.105
_SIDE_MARGIN_RATIO = 0.055  # of the plate's width
_RELIEF_M = 0.0014  # how far an embossed edge is lit or shaded


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateLook:
    """Colours and lines of one made-up issue. The ground fades from `upper_bgr` to `lower_bgr`."""

    name: str
    upper_bgr: Colour
    lower_bgr: Colour
    ink_bgr: Colour
    line_bgr: Colour
    top_line: str = ""
    motto: str = ""
    top_band_bgr: Colour | None = None
    bottom_band_bgr: Colour | None = None
    rim_bgr: Colour | None = None
    separator: str = ""  # between letters and digits: "", " ", "-" or "·"
    letters: LetterStyle = field(default_factory=lambda: LetterStyle(gap_ratio=0.085, cell_ratio=0.48))


_NAVY: Colour = (92, 42, 22)
_WHITE: Colour = (238, 240, 240)

LOOKS: tuple[PlateLook, ...] = (
    PlateLook(
        name="white and blue", upper_bgr=_WHITE, lower_bgr=_WHITE, ink_bgr=_NAVY, line_bgr=(60, 40, 190),
        top_line="NORTH SHORE", motto="LAND OF LAKES", rim_bgr=_NAVY, separator=" ",
    ),
    PlateLook(
        name="cream and green", upper_bgr=(205, 228, 232), lower_bgr=(205, 228, 232), ink_bgr=(52, 84, 20),
        line_bgr=(52, 84, 20), top_line="PINE COAST", motto="EVER GREEN", rim_bgr=(52, 84, 20), separator="·",
    ),
    PlateLook(
        name="dark on yellow", upper_bgr=(48, 190, 238), lower_bgr=(48, 190, 238), ink_bgr=(30, 28, 32),
        line_bgr=(30, 28, 32), top_line="HIGH PLAINS", rim_bgr=(30, 28, 32), separator="-",
    ),
    PlateLook(
        name="sky gradient", upper_bgr=(226, 172, 98), lower_bgr=_WHITE, ink_bgr=(96, 48, 20), line_bgr=_WHITE,
        top_line="CLEARWATER", motto="BIG SKY VALLEY", separator=" ",
    ),
    PlateLook(
        name="sunset gradient", upper_bgr=(150, 196, 248), lower_bgr=(226, 236, 240), ink_bgr=(62, 30, 60),
        line_bgr=(46, 46, 168), top_line="RED MESA", motto="THE CANYON STATE", rim_bgr=(62, 30, 60),
    ),
    PlateLook(
        name="banded blue", upper_bgr=_WHITE, lower_bgr=_WHITE, ink_bgr=(110, 54, 20), line_bgr=_WHITE,
        top_line="GREAT HARBOR", motto="HARBOR OF STARS", top_band_bgr=(120, 56, 20), bottom_band_bgr=(44, 178, 232),
        separator="-",
    ),
    PlateLook(
        name="white on green", upper_bgr=(66, 96, 22), lower_bgr=(66, 96, 22), ink_bgr=_WHITE, line_bgr=_WHITE,
        top_line="MAPLE RIDGE", motto="MOUNTAIN STATE", rim_bgr=_WHITE, separator=" ",
    ),
    PlateLook(
        name="yellow on blue", upper_bgr=(130, 48, 24), lower_bgr=(130, 48, 24), ink_bgr=(70, 208, 246),
        line_bgr=(70, 208, 246), top_line="DELTA BAY", rim_bgr=(70, 208, 246), separator="-",
    ),
    PlateLook(
        name="plain white", upper_bgr=_WHITE, lower_bgr=(226, 228, 228), ink_bgr=(34, 32, 34), line_bgr=(34, 32, 34),
        top_line="MIDLAND", motto="APPORTIONED", letters=LetterStyle(gap_ratio=0.07, cell_ratio=0.5, pen_ratio=0.125),
    ),
)  # fmt: skip
"""The issues that drive on the simulated road."""


def random_plate_text(generator: np.random.Generator) -> str:
    """Return 2 to 8 random capitals and digits: mostly a common serial syntax, else a personal choice."""
    if generator.random() >= _VANITY_SHARE:
        syntax = _SERIALS[int(generator.integers(len(_SERIALS)))]
        return "".join(_pick(generator, _SERIAL_LETTERS if kind == "L" else _DIGITS) for kind in syntax)
    letters = "".join(_pick(generator, _ALL_LETTERS) for _ in range(int(generator.integers(2, 8))))
    return letters + (_pick(generator, _DIGITS) if generator.random() < 0.4 else "")


def draw_plate(text: str, look: PlateLook, width_px: int) -> Image:
    """Draw a plate as uint8 (width / 2, width, 3) BGR. Raises ValueError (too small, unknown character)."""
    if width_px < 32:
        raise ValueError("a plate is drawn at 32 pixels of width or more")
    height_px = round(width_px * PLATE_HEIGHT_M / PLATE_WIDTH_M)
    plate = _ground(look, width_px, height_px)
    line_height_px = max(4, round(_LINE_HEIGHT_RATIO * height_px))
    small = LetterStyle(gap_ratio=0.16, stretch_ratio=1.15)
    if look.top_line:
        _print(plate, _fit(look.top_line, line_height_px, small, 0.62 * width_px), 0.115, look.line_bgr)
    if look.motto:
        ink_bgr = look.ink_bgr if look.top_band_bgr is None and look.line_bgr == _WHITE else look.line_bgr
        if look.bottom_band_bgr is not None:
            ink_bgr = look.ink_bgr
        _print(plate, _fit(look.motto, round(0.85 * line_height_px), small, 0.62 * width_px), 0.885, ink_bgr)
    letters = _fit(_separated(text, look.separator), round(_LETTER_HEIGHT_RATIO * height_px), look.letters,
                   (1.0 - 2.0 * _SIDE_MARGIN_RATIO) * width_px)  # fmt: skip
    _emboss(plate, letters, 0.5, look.ink_bgr)
    _draw_bolts(plate)
    return plate


def _pick(generator: np.random.Generator, choices: str) -> str:
    return choices[int(generator.integers(len(choices)))]


def _separated(text: str, separator: str) -> str:
    """Put `separator` at the first change between letters and digits, if the text is short enough to leave room."""
    if len(text) > 7 or not separator:
        return text
    for index in range(2, len(text) - 1):
        if text[index].isdigit() != text[index - 1].isdigit():
            return text[:index] + separator + text[index:]
    return text


def _fit(text: str, height_px: int, style: LetterStyle, room_px: float) -> Mask:
    """Return the ink of `text`, condensed until it fits into `room_px`; the height stays."""
    mask = coverage(text, height_px, style)
    if mask.shape[1] <= room_px:
        return mask
    ink_px = ink_width_ratio(text, style) * height_px
    shrink_ratio = room_px / ink_px
    narrow = LetterStyle(
        pen_ratio=style.pen_ratio * max(0.8, shrink_ratio),
        gap_ratio=style.gap_ratio * shrink_ratio,
        stretch_ratio=style.stretch_ratio * shrink_ratio,
        cell_ratio=style.cell_ratio * shrink_ratio,
    )
    mask = coverage(text, height_px, narrow)
    if mask.shape[1] > room_px:
        mask = np.asarray(cv2.resize(mask, (int(room_px), height_px), interpolation=cv2.INTER_AREA), np.uint8)
    return mask


def _ground(look: PlateLook, width_px: int, height_px: int) -> Image:
    """Return the sheet: gradient, bands and the rim, which is a rounded line a little inside the edge."""
    mix = np.linspace(0.0, 1.0, height_px, dtype=np.float32)[:, None, None]
    rows = np.array(look.upper_bgr, np.float32) * (1.0 - mix) + np.array(look.lower_bgr, np.float32) * mix
    plate = np.repeat(rows, width_px, axis=1).astype(np.uint8)
    if look.top_band_bgr is not None:
        plate[: round(0.22 * height_px)] = look.top_band_bgr
    if look.bottom_band_bgr is not None:
        plate[round(0.79 * height_px) :] = look.bottom_band_bgr
    if look.rim_bgr is not None:
        ring = _rounded(width_px, height_px, 0.012) & ~_rounded(width_px, height_px, 0.026)
        _blend(plate, ring, look.rim_bgr)
    pressed = cv2.GaussianBlur(_rounded(width_px, height_px, 0.03), (0, 0), max(0.6, 0.004 * width_px))
    _shade(plate, pressed, max(1, round(0.004 * width_px)), 14.0)
    return plate


@functools.lru_cache(maxsize=64)
def _rounded(width_px: int, height_px: int, inset_ratio: float) -> Mask:
    """Return a filled rounded rectangle, inset from the plate's edge by a share of its width."""
    scale = 4
    size = (height_px * scale, width_px * scale)
    inset = round(inset_ratio * size[1])
    radius = max(1, round(0.05 * size[1]) - inset)
    mask = np.zeros(size, np.uint8)
    low_x, high_x, low_y, high_y = (
        inset + radius,
        size[1] - 1 - inset - radius,
        inset + radius,
        size[0] - 1 - inset - radius,
    )
    cv2.rectangle(mask, (low_x, low_y - radius), (high_x, high_y + radius), 255, -1)
    cv2.rectangle(mask, (low_x - radius, low_y), (high_x + radius, high_y), 255, -1)
    for x in (low_x, high_x):
        for y in (low_y, high_y):
            cv2.circle(mask, (x, y), radius, 255, -1)
    return np.asarray(cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def plate_outline(width_px: int) -> Mask:
    """Return the plate's silhouette, uint8 (width / 2, width): the corners of the sheet are round."""
    return _rounded(width_px, round(width_px * PLATE_HEIGHT_M / PLATE_WIDTH_M), 0.0)


def _window(plate: Image, ink: Mask, centre_y_ratio: float) -> tuple[slice, slice]:
    top = round(centre_y_ratio * plate.shape[0] - ink.shape[0] / 2)
    left = (plate.shape[1] - ink.shape[1]) // 2
    return slice(top, top + ink.shape[0]), slice(left, left + ink.shape[1])


def _blend(target: Image, ink: Mask, colour_bgr: Colour) -> None:
    alpha = ink[:, :, None].astype(np.float32) / 255.0
    target[:] = (target * (1.0 - alpha) + np.array(colour_bgr, np.float32) * alpha + 0.5).astype(np.uint8)


def _print(plate: Image, ink: Mask, centre_y_ratio: float, colour_bgr: Colour) -> None:
    rows, columns = _window(plate, ink, centre_y_ratio)
    _blend(plate[rows, columns], ink, colour_bgr)


def _shade(plate: Image, raised: npt.NDArray[np.uint8], shift_px: int, strength: float) -> None:
    """Light the upper left flanks of what is raised and shade the lower right ones."""
    relief = raised.astype(np.float32) / 255.0
    slope = np.roll(relief, (-shift_px, -shift_px), (0, 1)) - np.roll(relief, (shift_px, shift_px), (0, 1))
    plate[:] = np.clip(plate + strength * slope[:, :, None], 0, 255).astype(np.uint8)


def _emboss(plate: Image, ink: Mask, centre_y_ratio: float, colour_bgr: Colour) -> None:
    """Press the letters: the sheet rises around them, and the ink lies on the raised part."""
    rows, columns = _window(plate, ink, centre_y_ratio)
    raised = np.zeros(plate.shape[:2], np.uint8)
    raised[rows, columns] = ink
    pixels_per_m = plate.shape[1] / PLATE_WIDTH_M
    grown_px = max(1, round(_RELIEF_M * pixels_per_m))
    raised = cv2.dilate(raised, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown_px + 1,) * 2))
    raised = cv2.GaussianBlur(raised, (0, 0), max(0.5, 0.5 * grown_px))
    _print(plate, ink, centre_y_ratio, colour_bgr)
    _shade(plate, np.asarray(raised, np.uint8), grown_px, 34.0)


def _draw_bolts(plate: Image) -> None:
    """Draw the four slots' bolts: two on top, two at the bottom, 7 inches apart (SAE J686)."""
    height_px, width_px = plate.shape[:2]
    radius_px = max(1, round(0.0125 * width_px))
    shift_bits = 4
    for x_ratio in (0.5 - 3.5 / 12.0, 0.5 + 3.5 / 12.0):
        for y_ratio in (0.1, 0.9):
            centre = (round(x_ratio * width_px * 16), round(y_ratio * height_px * 16))
            cv2.circle(plate, centre, radius_px * 16 + 8, (70, 72, 74), -1, cv2.LINE_AA, shift_bits)
            cv2.circle(plate, centre, round(radius_px * 16 * 0.62), (158, 160, 162), -1, cv2.LINE_AA, shift_bits)

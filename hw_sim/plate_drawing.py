"""A new plate, as it leaves the press: an issue's ground, print and graphics, and a serial pressed into it.

Owns the drawing and where each character stands; what the road does to a plate is `plate_wear`'s. The one idea: all but
the serial is the same on every plate of an issue, so that it is drawn once and kept.
"""

import dataclasses
import functools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.lettering import SANS, LetterStyle, Mask, coverage
from hw_sim.plate_looks import Line, PlateLook
from hw_sim.plate_paint import (
    BLACK,
    HEIGHT_PX,
    PX_PER_INCH,
    WIDTH_PX,
    Ink,
    Sheet,
    ground,
    paint,
    paint_areas,
    rounded_rectangle,
)

_SERIAL_ROOM_INCHES = 10.9
_EMBLEM_GAP_RATIO = 0.42  # of the serial's height
_BLANK_GAP_RATIO = 0.24
_STACKED_SHARE = 0.47  # of the serial's height: each of two stacked letters
_SQUAT_RATIO = 1.4  # stacked letters are half as high as others and not half as wide
_RELIEF_PX = 2  # the flank of an embossed edge: 1.5 mm
_RELIEF_LIGHT = 26.0  # grey levels by which a flank that faces the sky is lighter
_RELIEF_RETRO = 0.25  # of the returned light that a flank loses: it does not face the lens
_RIM_INSET_INCHES, _RIM_WIDTH_INCHES, _CORNER_INCHES = 0.16, 0.11, 0.55

PAPER = Ink(bgr=(214, 216, 216), infrared=216, retro=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPlate:
    """A plate without wear. `ink` is the serial's cover, and `columns` are the first and last of each character."""

    sheet: Sheet
    ink: Mask
    columns: tuple[tuple[int, int], ...]


def pressed(look: PlateLook, marked: str, generator: np.random.Generator) -> DrawnPlate:
    """Draw a plate of an issue with a marked serial (see `serials`). Raises ValueError for an unknown character."""
    choice = tuple(int(generator.integers(len(line.texts))) for line in look.lines)
    sheet = _blank(look, choice, "_" in marked).copy()
    ink, columns = _laid_out(marked, look)
    if look.is_embossed:
        _emboss(sheet, ink)
    paint(sheet, ink, look.ink)
    return DrawnPlate(sheet=sheet, ink=ink, columns=columns)


def paper_plate(marked: str, state_name: str, generator: np.random.Generator) -> DrawnPlate:
    """Draw a temporary plate: a printed sheet of paper without retro-reflection."""
    look = PlateLook(
        region="", serials=(), ink=BLACK, die=SANS, stops=((0.0, PAPER),), is_embossed=False, serial_y=2.75,
        lines=(
            Line(texts=(state_name.upper(),), ink=BLACK, y=0.75, height=0.6),
            Line(texts=("TEMPORARY TAG",), ink=BLACK, y=4.55, height=0.32),
            Line(texts=(_expiry(generator),), ink=BLACK, y=5.3, height=0.6),
        ),
    )  # fmt: skip
    sheet = _drawn_blank(look, (0, 0, 0), is_with_emblem=False)
    ink, columns = _laid_out(marked, look)
    paint(sheet, ink, look.ink)
    return DrawnPlate(sheet=sheet, ink=ink, columns=columns)


def _expiry(generator: np.random.Generator) -> str:
    month, day = int(generator.integers(1, 13)), int(generator.integers(1, 29))
    return f"EXP {month:02d}-{day:02d}-{int(generator.integers(26, 28))}"


@functools.lru_cache(maxsize=256)
def _blank(look: PlateLook, choice: tuple[int, ...], is_with_emblem: bool) -> Sheet:  # noqa: FBT001  a cache's key
    return _drawn_blank(look, choice, is_with_emblem=is_with_emblem)


def _drawn_blank(look: PlateLook, choice: tuple[int, ...], *, is_with_emblem: bool) -> Sheet:
    """Return a plate before its serial is pressed."""
    sheet = ground(look.stops)
    paint_areas(sheet, look.areas)
    if is_with_emblem:
        paint_areas(sheet, look.emblem)
    for line, index in zip(look.lines, choice, strict=True):
        _print(sheet, line, line.texts[index])
    edge = rounded_rectangle(_RIM_INSET_INCHES, _CORNER_INCHES - _RIM_INSET_INCHES)
    inset = _RIM_INSET_INCHES + _RIM_WIDTH_INCHES
    rim = edge & ~rounded_rectangle(inset, _CORNER_INCHES - inset)
    if look.is_embossed:
        _emboss(sheet, rim)
    if look.rim is not None:
        paint(sheet, rim, look.rim)
    return sheet


def _print(sheet: Sheet, line: Line, text: str) -> None:
    room_px = round(line.room * PX_PER_INCH)
    height_px = max(3, round(line.height * PX_PER_INCH))
    ink = _condensed(coverage(text, round(height_px * (1.0 + line.style.tail_ratio)), line.style), room_px)
    top_px = round(line.y * PX_PER_INCH - height_px / 2.0)
    paint(sheet, ink, line.ink, top_px, round(line.x * PX_PER_INCH - ink.shape[1] / 2.0))


def _condensed(ink: Mask, room_px: int) -> Mask:
    if ink.shape[1] <= room_px:
        return ink
    return np.asarray(cv2.resize(ink, (room_px, ink.shape[0]), interpolation=cv2.INTER_AREA), np.uint8)


def _laid_out(marked: str, look: PlateLook) -> tuple[Mask, tuple[tuple[int, int], ...]]:
    """Return the serial's ink on the whole sheet, and each character's columns, in reading order."""
    height_px = round(look.serial_height * PX_PER_INCH)
    gap_px = round(look.die.gap_ratio * height_px)
    pieces: list[Mask] = []
    spans: list[tuple[int, int]] = []
    left_px = 0
    for group, is_stacked in _groups(marked):
        if pieces:
            pieces.append(np.zeros((height_px, gap_px), np.uint8))
            left_px += gap_px
        ink = _stack(group, height_px, look.die) if is_stacked else _mark(group, height_px, look.die)
        if group.isalnum():
            spans += [(left_px, left_px + ink.shape[1])] * len(group)
        pieces.append(ink)
        left_px += ink.shape[1]
    line = np.hstack(pieces)
    fitted = _condensed(line, round(_SERIAL_ROOM_INCHES * PX_PER_INCH))
    scale = fitted.shape[1] / line.shape[1]
    start_px = (WIDTH_PX - fitted.shape[1]) // 2
    top_px = round(look.serial_y * PX_PER_INCH - height_px / 2.0)
    ink = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    ink[top_px : top_px + height_px, start_px : start_px + fitted.shape[1]] = fitted
    columns = tuple((start_px + round(first * scale), start_px + round(last * scale)) for first, last in spans)
    return ink, columns


def _groups(marked: str) -> list[tuple[str, bool]]:
    """Return the characters of a marked serial one by one, and stacked ones together."""
    groups: list[tuple[str, bool]] = []
    at = 0
    while at < len(marked):
        if marked[at] == "(":
            end = marked.index(")", at)
            groups.append((marked[at + 1 : end], True))
            at = end
        else:
            groups.append((marked[at], False))
        at += 1
    return groups


def _mark(char: str, height_px: int, die: LetterStyle) -> Mask:
    gaps = {" ": _BLANK_GAP_RATIO, "_": _EMBLEM_GAP_RATIO}
    if char in gaps:
        return np.zeros((height_px, max(1, round((gaps[char] - die.gap_ratio) * height_px))), np.uint8)
    return coverage(char, height_px, die)


def _stack(chars: str, height_px: int, die: LetterStyle) -> Mask:
    """Return small letters above each other."""
    each_px = round(_STACKED_SHARE * height_px * 2.0 / len(chars))
    squat = dataclasses.replace(die, stretch_ratio=_SQUAT_RATIO * die.stretch_ratio, pen_ratio=1.15 * die.pen_ratio)
    small = [coverage(char, each_px, squat) for char in chars]
    width_px = max(ink.shape[1] for ink in small)
    stack = np.zeros((height_px, width_px), np.uint8)
    for place, ink in enumerate(small):
        top_px = round(place * (height_px - each_px) / (len(small) - 1))
        left_px = (width_px - ink.shape[1]) // 2
        stack[top_px : top_px + each_px, left_px : left_px + ink.shape[1]] = ink
    return stack


def _emboss(sheet: Sheet, raised: Mask) -> None:
    """Light the flanks of what is pressed up: those towards the sky are lighter, all of them return less light."""
    x, y, width, height = cv2.boundingRect(raised)
    margin_px = 2 * _RELIEF_PX + 2
    window = (slice(max(0, y - margin_px), y + height + margin_px), slice(max(0, x - margin_px), x + width + margin_px))
    grown = cv2.dilate(raised[window], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RELIEF_PX + 1,) * 2))
    relief = cv2.GaussianBlur(grown, (0, 0), 1.0).astype(np.float32) / np.float32(255.0)
    slope: npt.NDArray[np.float32] = np.zeros_like(relief)
    slope[1:-1, 1:-1] = relief[2:, 2:] - relief[:-2, :-2]
    part = sheet[window]
    lit = part[:, :, :4] + (np.float32(_RELIEF_LIGHT) * slope)[:, :, None]
    part[:, :, :4] = np.clip(lit, 0, 255).astype(np.uint8)
    part[:, :, 4] = (part[:, :, 4] * (1.0 - _RELIEF_RETRO * np.minimum(1.0, 2.0 * np.abs(slope)))).astype(np.uint8)

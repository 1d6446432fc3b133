"""Plates that exist nowhere, drawn for training: every character in every place, which no pile of photographs offers.

Lettering comes from fonts of Debian packages (FONT_PACKAGES), at training time only; no font is part of the product.
The simulated road has a lettering of its own, so that it stays a fair test.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from firmware.ocr import ALPHABET
from firmware.records import Image

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

FONT_PACKAGES = (
    "fonts-roadgeek",
    "fonts-opendin",
    "fonts-liberation",
    "fonts-dejavu-core",
    "fonts-dejavu-extra",
    "fonts-urw-base35",
)
FONT_FOLDER = Path("/usr/share/fonts")
BOLD_FONTS = (
    "RG2014*.ttf",
    "OSP-DIN.ttf",
    "LiberationSansNarrow-Bold.ttf",
    "LiberationSans-Bold.ttf",
    "DejaVuSansCondensed-Bold.ttf",
    "DejaVuSansMono-Bold.ttf",
    "NimbusSansNarrow-Bold.otf",
    "NimbusSans-Bold.otf",
    "URWGothic-Demi.otf",
)
SMALL_FONTS = (*BOLD_FONTS, "P052-Bold.otf", "C059-Italic.otf", "Z003-MediumItalic.otf", "DejaVuSerif-Bold.ttf")
LETTERS, DIGITS = ALPHABET[10:], ALPHABET[:10]
US_PATTERNS = [
    "AAA9999", "999AAA", "AAA999", "9AAA999", "AA99999", "999999", "A99AAA", "99A999", "9999AA",
    "AAA99A", "9A9999", "99AA99", "AA999A", "A999999",
]  # fmt: skip
EU_PATTERNS = [
    "AA999AA", "AAA9999", "AA9999AA", "AA99AAA", "A9999AA", "9AAA999", "99AAA9", "AAA999", "AA99999",
    "AA9999", "AA999A", "A9A9999", "99AA99", "999AA99",
]  # fmt: skip
BR_PATTERNS = ["AAA9999", "AAA9999", "AAA9A99"]
IN_PATTERNS = ["AA99AA9999", "AA99A9999", "AA999999"]
WORDS = [
    "STATE", "COUNTY", "LAKES", "SUNSHINE", "FAMOUS", "GARDEN", "MOUNTAIN", "PIONEER", "LIBERTY",
    "HERITAGE", "VALLEY", "CAPITAL", "OCEAN", "NORTH", "SOUTH",
]  # fmt: skip


class FontsMissing(Exception):
    """None of the fonts is installed; the message says which Debian packages bring them."""


@lru_cache(maxsize=2)
def fonts(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the installed fonts that match. Raises FontsMissing."""
    found = tuple(str(path) for pattern in patterns for path in sorted(FONT_FOLDER.rglob(pattern)))
    if not found:
        raise FontsMissing(f"no lettering for rendered plates: apt-get install {' '.join(FONT_PACKAGES)}")
    return found


@lru_cache(maxsize=256)
def font_at(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Return an opened font; kept, since opening one takes longer than drawing with it."""
    return ImageFont.truetype(path, size)


def draw_text(pattern: str, rng: Rng) -> str:
    """Return a text of a pattern: A is a letter, 9 a digit. O, I and Q are as likely as any other letter."""
    return "".join(str(rng.choice(list(LETTERS if c == "A" else DIGITS))) for c in pattern)


def vanity(rng: Rng) -> str:
    """Return letters and digits without any order, 2 to 8 of them."""
    length = int(rng.integers(2, 9))
    pool = LETTERS * 3 + DIGITS + "OI01" * 2
    return "".join(str(rng.choice(list(pool))) for _ in range(length))


def line_mask(text: str, font: str, height: int, rng: Rng, *, spacing: float, gap_at: int | None = None) -> Float:
    """Return one line of lettering as a mask (height, W) in 0..1, cut close."""
    drawn = font_at(font, int(height * 1.5))
    pieces = []
    for place, char in enumerate(text):
        left, _, right, _ = drawn.getbbox(char)
        piece = Pillow.new("L", (max(2, int(right - left)), int(height * 2.2)))
        ImageDraw.Draw(piece).text((-left, 0), char, fill=255, font=drawn)
        pieces.append(np.asarray(piece))
        gap = spacing * height
        if gap_at is not None and place == gap_at - 1:
            gap += rng.uniform(0.1, 0.6) * height
        pieces.append(np.zeros((pieces[0].shape[0], max(1, int(gap))), np.uint8))
    mask = np.hstack(pieces[:-1])
    rows = np.flatnonzero(mask.max(axis=1) > 40)
    mask = mask[rows[0] : rows[-1] + 1] if len(rows) else mask
    return np.asarray(mask / 255, np.float32)


def fit(mask: Float, width: int, height: int) -> Float:
    """Return the mask stretched to exactly this size."""
    return np.asarray(cv2.resize(mask, (max(2, width), max(2, height)), interpolation=cv2.INTER_AREA), np.float32)


def paint(plate: Float, mask: Float, at: tuple[int, int], colour: Float, rng: Rng, *, embossed: bool) -> None:
    """Lay lettering on the plate float32 (H, W, 3) at (left, top), with the edges that stamping leaves."""
    height, width = plate.shape[:2]
    whole = np.zeros((height, width), np.float32)
    left, top = max(0, at[0]), max(0, at[1])
    piece = mask[: height - top, : width - left]
    whole[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    if embossed:
        edge = np.roll(whole, 1, axis=0) - np.roll(whole, -1, axis=0)
        plate += (edge * rng.uniform(-50, 50))[..., None]
    plate *= 1 - whole[..., None]
    plate += whole[..., None] * colour


def colours(rng: Rng, *, plain: bool) -> tuple[Float, Float]:
    """Return ground and ink, BGR, far enough apart to be read."""
    while True:
        if plain:
            ground = np.array(
                rng.choice([[235, 235, 235], [40, 190, 240], [215, 220, 215], [60, 200, 250]]), np.float32
            )
            ground = ground * rng.uniform(0.7, 1.05)
            ink = np.full(3, rng.uniform(0, 60), np.float32) + rng.uniform(0, 40, 3).astype(np.float32)
        else:
            ground, ink = rng.uniform(0, 255, 3).astype(np.float32), rng.uniform(0, 255, 3).astype(np.float32)
            if rng.random() < 0.6:
                ground = 255 - rng.exponential(30, 3).astype(np.float32)
                ink = np.array([rng.uniform(0, 160), *rng.uniform(0, 80, 2)], np.float32)
                ink = ink[rng.permutation(3)]
        if abs(float(ground.mean() - ink.mean())) > 70:
            return np.clip(ground, 0, 255), np.clip(ink, 0, 255)


def ground_of(width: int, height: int, colour: Float, rng: Rng) -> Float:
    """Return the plate without text: plain, a gradient, bands or a blurred picture of nothing."""
    plate = np.empty((height, width, 3), np.float32)
    plate[:] = colour
    draw = rng.random()
    if draw < 0.3:
        other = np.clip(colour + rng.normal(0, 50, 3), 0, 255)
        along = np.linspace(0, 1, height)[:, None, None]
        plate = (plate * (1 - along) + other * along).astype(np.float32)
    elif draw < 0.55:
        blobs = cv2.resize(
            rng.normal(0, rng.uniform(10, 60), (6, 10, 3)).astype(np.float32),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        plate += blobs
    elif draw < 0.7:
        band = int(rng.uniform(0.12, 0.28) * height)
        plate[:band] = rng.uniform(0, 255, 3)
        if rng.random() < 0.5:
            plate[-band:] = rng.uniform(0, 255, 3)
    return plate


def us_plate(rng: Rng) -> tuple[Image, str]:
    """Return a US-like plate (112, 224, 3) with small lines, stickers, bolts, sometimes stacked letters."""
    height, width = 112, 224
    ground, ink = colours(rng, plain=False)
    plate = ground_of(width, height, ground, rng)
    text = vanity(rng) if rng.random() < 0.4 else draw_text(str(rng.choice(US_PATTERNS)), rng)
    font = str(rng.choice(fonts(BOLD_FONTS)))
    tall = int(height * rng.uniform(0.42, 0.6))
    top = int(height * rng.uniform(0.24, 0.34))
    left, right = int(width * rng.uniform(0.03, 0.1)), int(width * rng.uniform(0.9, 0.97))
    embossed = bool(rng.random() < 0.6)
    lines = [(text, left, right)]
    if len(text) > 4 and rng.random() < 0.35:
        lines = stacked(plate, text, font, area=(left, top, right, tall), ink=ink, rng=rng)
    for line, start, end in lines:
        gap_at = int(rng.integers(1, len(line))) if len(line) > 3 and rng.random() < 0.7 else None
        mask = line_mask(line, font, tall, rng, spacing=rng.uniform(0.05, 0.2), gap_at=gap_at)
        natural = mask.shape[1] * tall / mask.shape[0] * rng.uniform(0.55, 1.0)
        wide = int(min(end - start, max(natural, 0.12 * len(line) * tall)))
        paint(plate, fit(mask, wide, tall), (start + (end - start - wide) // 2, top), ink, rng, embossed=embossed)
    for low, share in ((0.03, 0.9), (0.86, 0.6)):
        if rng.random() < share:
            words = " ".join(str(rng.choice(WORDS)) for _ in range(int(rng.integers(1, 3))))
            words = words.title() if rng.random() < 0.5 else words
            size = int(height * rng.uniform(0.09, 0.17))
            small_mask = line_mask(words, str(rng.choice(fonts(SMALL_FONTS))), size, rng, spacing=0.08)
            wide = min(int(width * 0.7), int(small_mask.shape[1] * size / small_mask.shape[0]))
            where = ((width - wide) // 2 + int(rng.normal(0, 6)), int(low * height))
            paint(plate, fit(small_mask, wide, size), where, colours(rng, plain=False)[1], rng, embossed=False)
    return finish(plate, rng, stickers=int(rng.integers(0, 3))), text


def stacked(
    plate: Float, text: str, font: str, *, area: tuple[int, int, int, int], ink: Float, rng: Rng
) -> list[tuple[str, int, int]]:
    """Draw two or three letters of `text` one above the other; return what is left to draw, and between which columns.

    `area` is left, top, right and height of the text. Stacks stand before the rest, behind it, or within.
    """
    left, top, right, tall = area
    count = 2 if rng.random() < 0.75 else 3
    before = int(rng.choice([0, 0, 0, len(text) - count, 2 if len(text) > count + 3 else 0]))
    small = int(tall / count * rng.uniform(0.8, 0.95))
    wide = int(small * rng.uniform(0.5, 0.85))
    share = before / (len(text) - count)
    x = int(left + share * (right - left - wide))
    for place, char in enumerate(text[before : before + count]):
        mask = fit(line_mask(char, font, small, rng, spacing=0), wide, small)
        paint(
            plate,
            mask,
            (x, top + int(place * (tall - small) / (count - 1))),
            ink,
            rng,
            embossed=bool(rng.random() < 0.5),
        )
    rest = [(text[:before], left, x - 3), (text[before + count :], x + wide + 3, right)]
    return [(line, start, end) for line, start, end in rest if line]


def eu_plate(rng: Rng) -> tuple[Image, str]:
    """Return a European-like plate, one long line or two short ones, with or without the blue band."""
    two_lines = rng.random() < 0.25
    height, width = (112, int(rng.uniform(140, 190))) if two_lines else (52, int(rng.uniform(200, 250)))
    ground, ink = colours(rng, plain=True)
    plate = np.empty((height, width, 3), np.float32)
    plate[:] = ground
    text = draw_text(str(rng.choice(EU_PATTERNS if rng.random() < 0.85 else IN_PATTERNS)), rng)
    font = str(rng.choice(fonts(BOLD_FONTS)))
    left, right = int(width * 0.03), int(width * 0.97)
    if rng.random() < 0.75:
        band = int(rng.uniform(0.075, 0.1) * width)
        tall = height if not two_lines else height // 2
        plate[:tall, :band] = (rng.uniform(120, 200), rng.uniform(30, 80), rng.uniform(0, 40))
        letter = line_mask(str(rng.choice(list("DFIPLBA"))), font, tall // 4, rng, spacing=0)
        white = np.array([230, 230, 230], np.float32)
        letter = fit(letter, int(band * 0.45), tall // 4)
        paint(plate, letter, (band // 4, int(tall * 0.62)), white, rng, embossed=False)
        left = band + 3
    lines = [text]
    if two_lines:
        cut = int(rng.integers(2, max(3, len(text) // 2 + 1)))
        lines = [text[:cut], text[cut:]]
    tall = int(height * (0.36 if two_lines else rng.uniform(0.66, 0.8)))
    for place, line in enumerate(lines):
        gap_at = int(rng.integers(1, len(line))) if len(line) > 2 and rng.random() < 0.7 else None
        mask = line_mask(line, font, tall, rng, spacing=rng.uniform(0.06, 0.16), gap_at=gap_at)
        natural = mask.shape[1] * tall / mask.shape[0] * rng.uniform(0.7, 1.1)
        start = left if place == 0 else int(width * 0.04)
        wide = int(min(right - start, natural))
        x = start + int((right - start - wide) * rng.uniform(0.2, 0.8))
        y = int(height * (0.08 + 0.48 * place)) if two_lines else (height - tall) // 2
        paint(plate, fit(mask, wide, tall), (x, y), ink, rng, embossed=bool(rng.random() < 0.5))
    return finish(plate, rng, stickers=int(rng.random() < 0.3)), text


def br_plate(rng: Rng) -> tuple[Image, str]:
    """Return a Brazilian-like plate: grey with a line above the text, or white with a blue band."""
    height, width = 72, 220
    text = draw_text(str(rng.choice(BR_PATTERNS)), rng)
    ink = np.full(3, rng.uniform(0, 50), np.float32)
    plate = np.full((height, width, 3), rng.uniform(140, 210), np.float32)
    if text[4] in LETTERS:
        plate[:] = 235
        plate[: height // 4] = (170, 60, 20)
    font = str(rng.choice(fonts(BOLD_FONTS)))
    tall = int(height * 0.58)
    mask = line_mask(text, font, tall, rng, spacing=0.1, gap_at=3)
    wide = int(width * rng.uniform(0.84, 0.94))
    paint(plate, fit(mask, wide, tall), ((width - wide) // 2, int(height * 0.33)), ink, rng, embossed=True)
    words = fit(line_mask(str(rng.choice(WORDS)), font, height // 7, rng, spacing=0.1), width // 2, height // 7)
    paint(plate, words, (width // 4, int(height * 0.08)), ink, rng, embossed=False)
    return finish(plate, rng, stickers=0), text


def finish(plate: Float, rng: Rng, *, stickers: int) -> Image:
    """Add rim, bolts, stickers and wear; return uint8."""
    height, width = plate.shape[:2]
    for _ in range(stickers):
        w, h = int(width * rng.uniform(0.06, 0.14)), int(height * rng.uniform(0.1, 0.2))
        x = int(rng.choice([0.03, 0.8, 0.5]) * width + rng.integers(0, 10))
        y = int(rng.choice([0.03, 0.78]) * height)
        plate[y : y + h, x : x + w] = rng.uniform(30, 255, 3)
    if rng.random() < 0.5:
        shade = tuple(float(c) for c in np.clip(plate.mean(axis=(0, 1)) + rng.normal(0, 60, 3), 0, 255))
        cv2.rectangle(plate, (1, 1), (width - 2, height - 2), shade, int(rng.integers(1, 4)))
    if rng.random() < 0.6:
        for across in (0.12, 0.88) if rng.random() < 0.7 else (0.5,):
            grey = (float(rng.uniform(30, 200)),) * 3
            cv2.circle(
                plate,
                (int(across * width), int(rng.choice([0.09, 0.5, 0.91]) * height)),
                int(height * 0.035) + 1,
                grey,
                -1,
            )
    if rng.random() < 0.3:  # worn paint
        wear = cv2.resize(rng.random((height // 2, width // 2)).astype(np.float32), (width, height))
        plate += (cv2.GaussianBlur(wear, (0, 0), rng.uniform(0.8, 3))[..., None] - 0.5) * rng.uniform(20, 120)
    return np.clip(plate, 0, 255).astype(np.uint8)


def render(rng: Rng) -> tuple[Image, str]:
    """Return one made-up plate and its text: half of them US-like, since those are what this camera sees most."""
    draw = rng.random()
    if draw < 0.55:
        return us_plate(rng)
    return eu_plate(rng) if draw < 0.85 else br_plate(rng)

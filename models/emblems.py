"""What stands on plates and is no character: coats of arms, seals, pictures. Made up, for training.

Half of the European plates that the OCR misread had such a thing on them or beside them read as one more character.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.rendered import BOLD_FONTS, LETTERS, fit, fonts, line_mask

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

CONTRAST_MIN = 70.0  # grey levels between a picture and the characters before it: a person still reads them
SCALE = 4  # emblems are drawn larger and shrunk: their edges are as soft as a camera's


def emblem(tall: int, ink: Float, rng: Rng) -> tuple[Float, Float]:
    """Return a made-up emblem `tall` px high, or small print, which is lower.

    Colours are float32 (h, w, 3), coverage float32 (h, w, 1).
    """
    if rng.random() < 0.3:
        return _print(tall, ink, rng)
    height, width = SCALE * tall, SCALE * max(4, round(tall * rng.uniform(0.5, 1.3)))
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 255, 3)
    draw = rng.random()
    if draw < 0.35:
        cover = _shield(height, width)
        _divide(colour, rng)
    elif draw < 0.6:
        cover = np.zeros((height, width), np.uint8)
        middle, radius = (width // 2, height // 2), min(height, width) // 2 - 1
        cv2.circle(cover, middle, radius, 255, -1)
        _divide(colour, rng)
        cv2.circle(colour, middle, int(radius * 0.8), tuple(rng.uniform(0, 255, 3)), max(1, radius // 8))
    elif draw < 0.9:  # a horse, an old car, an eagle, a state's outline: a shape that is no character
        cover = _figure(height, width, rng)
        if rng.random() < 0.6:
            colour[:] = ink
    else:
        cover = np.zeros((height, width), np.uint8)
        cv2.line(cover, (width // 5, height // 2), (4 * width // 5, height // 2), 255, max(SCALE, height // 8))
        colour[:] = ink
    small = (max(2, width // SCALE), max(2, height // SCALE))
    cover = cv2.resize(cover, small, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(colour, small, interpolation=cv2.INTER_AREA)
    return np.asarray(colour, np.float32), np.asarray(cover[..., None] / np.float32(255), np.float32)


def _print(tall: int, ink: Float, rng: Rng) -> tuple[Float, Float]:
    """Return a sign that is not part of the text, or small print such as a short word above a year."""
    draw = rng.random()
    font = str(rng.choice(fonts(BOLD_FONTS)))
    if draw < 0.4:
        lines = [str(rng.choice(list("&&&#*+@$")))]
    elif draw < 0.8:
        word = "".join(str(rng.choice(list(LETTERS))) for _ in range(int(rng.integers(2, 5))))
        lines = [word, str(rng.choice(("19", "20", ""))) + f"{int(rng.integers(100)):02d}"]
    else:  # a year of two small digits, one above the other
        lines = list(f"{int(rng.integers(100)):02d}")
    spare = 1.0 if len(lines) == 1 else float(rng.uniform(0.5, 0.85)) if draw < 0.8 else float(rng.uniform(0.25, 0.45))
    each = max(4, int(tall * spare / len(lines)))
    masks = [line_mask(line, font, max(24, each), rng, spacing=0.1) for line in lines]
    masks = [fit(mask, round(mask.shape[1] * each / mask.shape[0]), int(0.86 * each)) for mask in masks]
    cover = np.zeros((each * len(lines), max(mask.shape[1] for mask in masks)), np.float32)
    for place, mask in enumerate(masks):
        left = (cover.shape[1] - mask.shape[1]) // 2
        cover[place * each : place * each + mask.shape[0], left : left + mask.shape[1]] = mask
    colour = np.empty((*cover.shape, 3), np.float32)
    colour[:] = ink
    return colour, np.minimum(cover, np.float32(1))[..., None]


def picture_behind(canvas: Float, places: Sequence[tuple[int, int, int, int]], ink: Float, rng: Rng) -> None:
    """Draw a picture on a bare plate float32 (H, W, 3), in place, where characters will stand.

    `places` are theirs: left, top, width, height. A tree, a fruit or a mountain behind a character is what most often
    hides it from a network that saw such pictures between characters only.
    """
    x, y, w, h = places[len(places) // 2] if rng.random() < 0.6 else places[int(rng.integers(len(places)))]
    tall, wide = round(h * rng.uniform(0.7, 1.7)), round(max(w, 0.4 * h) * rng.uniform(0.7, 2.2))
    tone = rng.uniform(0, 255, 3)
    for _ in range(8):
        if np.linalg.norm(tone - ink) > CONTRAST_MIN:
            break
        tone = rng.uniform(0, 255, 3)
    draw = rng.random()
    shape = (SCALE * max(4, tall), SCALE * max(4, wide))
    if draw < 0.4:
        cover = _tree(*shape, rng)
    elif draw < 0.65:
        cover = np.zeros(shape, np.uint8)
        cv2.ellipse(cover, (shape[1] // 2, shape[0] // 2), (shape[1] // 2 - 1, shape[0] // 2 - 1), 0, 0, 360, 255, -1)
    else:
        cover = _figure(*shape, rng)
    small = cv2.resize(cover, (shape[1] // SCALE, shape[0] // SCALE), interpolation=cv2.INTER_AREA)
    share = np.asarray(small[..., None] / np.float32(255) * np.float32(rng.uniform(0.5, 1.0)), np.float32)
    colour = np.empty((*small.shape, 3), np.float32)
    colour[:] = tone
    colour += np.asarray(rng.normal(0, 12, colour.shape), np.float32)
    left, top = x + (w - small.shape[1]) // 2, y + (h - small.shape[0]) // 2 + round(h * float(rng.normal(0, 0.15)))
    lay(canvas, (colour, share), left, top)


def _tree(height: int, width: int, rng: Rng) -> npt.NDArray[np.uint8]:
    """Return a tree of ragged tiers, narrow above and wide below."""
    cover = np.zeros((height, width), np.uint8)
    tiers = int(rng.integers(4, 9))
    for tier in range(tiers):
        top, low = int(height * tier / (tiers + 1)), int(height * (tier + 2) / (tiers + 1))
        half = width / 2 * (tier + 1) / tiers
        left, right = width / 2 - half * rng.uniform(0.6, 1), width / 2 + half * rng.uniform(0.6, 1)
        cv2.fillPoly(cover, [np.array([(width / 2, top), (right, low), (left, low)], np.int32)], 255)
    return cover


def _shield(height: int, width: int) -> npt.NDArray[np.uint8]:
    cover = np.zeros((height, width), np.uint8)
    cover[: int(0.55 * height)] = 255
    cv2.ellipse(cover, (width // 2, int(0.5 * height)), (width // 2, height // 2 - 1), 0, 0, 180, 255, -1)
    return cover


def _divide(colour: Float, rng: Rng) -> None:
    """Give a coat of arms two to four fields, a cross, or both."""
    height, width = colour.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        colour[y : y + height // 2, x : x + width // 2] = rng.uniform(0, 255, 3)
    if rng.random() < 0.5:
        thick = max(1, min(height, width) // 8)
        tone = tuple(rng.uniform(0, 255, 3))
        cv2.line(colour, (width // 2, height // 5), (width // 2, 4 * height // 5), tone, thick)
        cv2.line(colour, (width // 5, int(0.4 * height)), (4 * width // 5, int(0.4 * height)), tone, thick)


def _figure(height: int, width: int, rng: Rng) -> npt.NDArray[np.uint8]:
    """Return a random closed shape, filled or in outline."""
    cover = np.zeros((height, width), np.uint8)
    count = int(rng.integers(6, 14))
    turns = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = rng.uniform(0.35, 1.0, count)
    across = width * (0.5 + 0.48 * reach * np.cos(turns))
    down = height * (0.5 + 0.48 * reach * np.sin(turns))
    points = np.stack([across, down], axis=1).astype(np.int32)
    thick = max(SCALE, min(height, width) // 14)
    if rng.random() < 0.5:
        cv2.fillPoly(cover, [points], 255)
        for _ in range(int(rng.integers(0, 3))):
            middle = (int(rng.uniform(0.3, 0.7) * width), int(rng.uniform(0.3, 0.7) * height))
            cv2.circle(cover, middle, max(1, min(height, width) // 9), 0, -1)
    else:
        cv2.polylines(cover, [points], True, 255, thick)
        if rng.random() < 0.5:
            for x in (0.3, 0.7):
                cv2.circle(cover, (int(x * width), int(0.75 * height)), max(2, min(height, width) // 7), 255, thick)
    return cover


def lay(canvas: Float, piece: tuple[Float, Float], left: int, top: int) -> None:
    """Lay an emblem on a picture float32 (H, W, 3), in place; what reaches beyond the picture is cut off."""
    colour, cover = piece
    left, top = max(0, left), max(0, top)
    room = canvas[top : top + colour.shape[0], left : left + colour.shape[1]]
    colour, cover = colour[: room.shape[0], : room.shape[1]], cover[: room.shape[0], : room.shape[1]]
    room *= 1 - cover
    room += colour * cover

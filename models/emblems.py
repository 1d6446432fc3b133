"""What stands on plates and is no character: coats of arms, seals, pictures. Made up, for training.

Half of the European plates that the OCR misread had such a thing on them or beside them read as one more character.
"""

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

SCALE = 4  # emblems are drawn larger and shrunk: their edges are as soft as a camera's


def emblem(tall: int, ink: Float, rng: Rng) -> tuple[Float, Float]:
    """Return a made-up emblem `tall` px high: colours float32 (h, w, 3) and coverage float32 (h, w, 1)."""
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

"""Laying things into photographs: plates with and without a dealer's frame, and writing that is no plate."""

import string

import cv2
import numpy as np
import numpy.typing as npt

from firmware.ocr import corners_of_box
from firmware.records import Image

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

STEEP_RATIO = 0.2  # of the laid plates are tilted as far as a camera beside the road may see them
LETTERS = string.ascii_lowercase + string.ascii_uppercase
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


def lay_plate(image: Image, plate: Image, corners: Float, rng: Rng) -> None:
    """Draw `plate` into `image` at `corners` (4, 2), in the light of what was there, edges softened."""
    low = np.maximum(0, np.floor(corners.min(axis=0)).astype(int) - 2)
    high = np.minimum((image.shape[1], image.shape[0]), np.ceil(corners.max(axis=0)).astype(int) + 2)
    if (high - low < 4).any():
        return
    patch = image[low[1] : high[1], low[0] : high[0]]
    width = float(np.ptp(corners[:, 0]))
    scale = min(1.0, 1.3 * width / plate.shape[1])
    plate = np.asarray(cv2.resize(plate, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    light = float(patch.mean()) / 128
    gain = np.clip(rng.normal(0.35 + 0.65 * light, 0.15), 0.15, 1.3)
    lit = np.clip(plate * gain + rng.normal(0, 6), 0, 255).astype(np.uint8)
    source = corners_of_box(0, 0, plate.shape[1], plate.shape[0])
    transform = cv2.getPerspectiveTransform(source, (corners - low).astype(np.float32))
    size = (patch.shape[1], patch.shape[0])
    laid = cv2.warpPerspective(lit, transform, size)
    mask = cv2.warpPerspective(np.full(plate.shape[:2], 255, np.uint8), transform, size)
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 0.9)).astype(np.float32)[..., None] / 255
    patch[:] = (laid * mask + patch * (1 - mask)).astype(np.uint8)


def new_corners(box: Float, rng: Rng, aspect: float) -> Float:
    """Return corners (4, 2) of a plate of this aspect about where the box x, y, w, h is, tilted as on the road."""
    x, y, w, h = box
    half = np.array([w, w / aspect], np.float32) / 2
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * half
    turn, shear = np.deg2rad(rng.normal(0, 5)), rng.normal(0, 0.12)
    if rng.random() < STEEP_RATIO:
        turn, shear = np.deg2rad(rng.uniform(-32, 32)), rng.uniform(-0.35, 0.35)
    squeeze = rng.uniform(0.6, 1.0)
    matrix = np.array(
        [[np.cos(turn) * squeeze, -np.sin(turn)], [np.sin(turn) * squeeze + shear * squeeze, np.cos(turn)]]
    )
    taper = 1 + rng.normal(0, 0.05)
    unit[1:3, 1] *= taper
    return (unit @ matrix.T + (x + w / 2, y + h / 2)).astype(np.float32)


def framed(plate: Image, corners: Float, rng: Rng) -> tuple[Image, Float]:
    """Return the plate in a dealer's frame, and the corners of that in the picture where the plate's are `corners`."""
    height, width = plate.shape[:2]
    side, top, bottom = (
        rng.uniform(0.01, 0.05) * width,
        rng.uniform(0.02, 0.16) * height,
        rng.uniform(0.03, 0.2) * height,
    )
    margin = [round(size) for size in (top, bottom, side, side)]
    grey = float(rng.choice((15, 40, 150, 200, 235)))
    colour = tuple(float(np.clip(grey + rng.normal(0, 12), 0, 255)) for _ in range(3))
    out = cv2.copyMakeBorder(plate, margin[0], margin[1], margin[2], margin[3], cv2.BORDER_CONSTANT, value=colour)
    ink = (240.0,) * 3 if grey < 100 else (20.0,) * 3
    for size, line in ((margin[0], margin[0]), (margin[1], out.shape[0])):
        if size > 0.09 * height and rng.random() < 0.7:
            text, scale = word(rng, 8, 22), 0.7 * size / 22
            start = (round(rng.uniform(0.05, 0.3) * width), round(line - 0.2 * size))
            cv2.putText(out, text, start, FONTS[int(rng.integers(4))], scale, ink, 1, cv2.LINE_AA)
    inner = corners_of_box(margin[2], margin[0], width, height)
    transform = cv2.getPerspectiveTransform(inner, corners.astype(np.float32))
    outer = cv2.perspectiveTransform(corners_of_box(0, 0, out.shape[1], out.shape[0])[None], transform)[0]
    return np.asarray(out, np.uint8), np.asarray(outer, np.float32)


def word(rng: Rng, shortest: int, longest: int) -> str:
    """Return letters that mean nothing, with a gap now and then."""
    letters = [LETTERS[int(place)] for place in rng.integers(0, len(LETTERS), int(rng.integers(shortest, longest)))]
    return "".join(" " if rng.random() < 0.1 else letter for letter in letters)


def write(image: Image, rng: Rng) -> None:
    """Write words over the picture, as agencies, dealers and cameras do: no plate, however square it looks."""
    height, width = image.shape[:2]
    scale = float(rng.uniform(0.25, 1.4)) * width / 512
    thickness = max(1, round(scale * float(rng.uniform(0.8, 3))))
    font = FONTS[int(rng.integers(len(FONTS)))]
    text = word(rng, 4, 18).lower() if rng.random() < 0.6 else word(rng, 4, 18)
    (w, h), _ = cv2.getTextSize(text, font, scale, thickness)
    x, y = (round(float(rng.uniform(0, max(1, room)))) for room in (width - w, height - h))
    over = image.copy()
    if rng.random() < 0.4:
        grey = float(rng.choice((0, 20, 128, 255)))
        cv2.rectangle(over, (x - h // 2, y - h // 2), (x + w + h // 2, y + h + h // 2), (grey,) * 3, -1)
        ink = (0.0 if grey > 100 else 255.0,) * 3
    else:
        blue, green, red = (float(c) for c in rng.choice((0, 90, 255), 3))
        ink = (blue, green, red) if rng.random() < 0.3 else (255.0,) * 3
    cv2.putText(over, text, (x, y + h), font, scale, ink, thickness, cv2.LINE_AA)
    share = float(rng.uniform(0.35, 1.0))
    cv2.addWeighted(over, share, image, 1 - share, 0, dst=image)

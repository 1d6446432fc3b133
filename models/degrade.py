"""What happens to a plate between the road and the network, as random draws: light, lens, motion, noise, compression.

Every function takes a numpy Generator, so that a seed repeats a picture exactly.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image

Rng = np.random.Generator


def light(image: Image, rng: Rng) -> Image:
    """Change brightness, contrast, colour cast and gamma; now and then leave only grey, as infrared light does."""
    out = image.astype(np.float32)
    if rng.random() < 0.25:
        weights = rng.dirichlet((4, 4, 4)).astype(np.float32)
        out = np.asarray(np.repeat((out @ weights)[..., None], 3, axis=2), np.float32)
    else:
        out = out * rng.uniform(0.8, 1.2, 3).astype(np.float32)
        if rng.random() < 0.2:  # a sensor without infrared filter sees the world in magenta
            out = out * np.array([1.0, 0.75, 1.05], np.float32)
    if rng.random() < 0.04:
        out = 255 - out
    contrast, brightness = rng.uniform(0.35, 1.15), rng.uniform(-40, 40)
    out = np.asarray((out - 128) * contrast + 128 + brightness, np.float32)
    return np.asarray(255 * np.clip(out / 255, 0, 1) ** rng.uniform(0.6, 1.7), np.uint8)


def shade(image: Image, rng: Rng) -> Image:
    """Lay a soft shadow, a hard shadow edge or a glare spot over the picture."""
    height, width = image.shape[:2]
    across, down = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    )
    angle = rng.uniform(0, 2 * np.pi)
    along = across * np.cos(angle) + down * np.sin(angle) - rng.uniform(-0.7, 0.7)
    draw = rng.random()
    if draw < 0.4:
        gain = 1 + rng.uniform(0.1, 0.5) * along
    elif draw < 0.75:
        gain = np.where(along > 0, 1.0, rng.uniform(0.35, 0.8)).astype(np.float32)
        gain = cv2.GaussianBlur(gain, (0, 0), rng.uniform(0.5, 4))
    else:
        spot = np.exp(-((across - rng.uniform(-1, 1)) ** 2 + (down - rng.uniform(-1, 1)) ** 2) / rng.uniform(0.05, 0.4))
        return np.clip(image + (spot * rng.uniform(60, 200))[..., None], 0, 255).astype(np.uint8)
    return np.clip(image * gain[..., None], 0, 255).astype(np.uint8)


def blur(image: Image, rng: Rng, strength: float) -> Image:
    """Blur by defocus or by motion; `strength` is the largest sigma or path in pixels."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.15, rng.uniform(0, strength))), np.uint8)
    length = max(2, int(rng.uniform(1, 2.5) * strength) + 1)
    kernel = np.zeros((length, length), np.float32)
    angle = rng.normal(np.pi / 2, 0.5) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    for t in np.linspace(-middle, middle, 4 * length):
        kernel[round(middle + t * np.sin(angle)), round(middle + t * np.cos(angle))] = 1
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def noise(image: Image, rng: Rng) -> Image:
    """Add sensor noise: grey and colour, with a draw of how much."""
    sigma = rng.exponential(6.0)
    out = image + sigma * _grain(image.shape[:2], rng, 0)[..., None]
    for channel in range(3):
        out[..., channel] += 0.4 * sigma * _grain(image.shape[:2], rng, channel)
    return np.clip(out, 0, 255).astype(np.uint8)


def _grain(shape: tuple[int, ...], rng: Rng, layer: int) -> npt.NDArray[np.float32]:
    """Return white noise of this shape (H, W), cut from a fixed field at a random place: drawing it anew is slow."""
    field = _noise_field(max(768, *shape), layer)
    top, left = (int(rng.integers(0, field.shape[0] - size + 1)) for size in shape)
    return field[top : top + shape[0], left : left + shape[1]]


@lru_cache(maxsize=8)
def _noise_field(side: int, layer: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(layer).standard_normal((side, side), np.float32)


def compress(image: Image, rng: Rng) -> Image:
    """Encode and decode as JPEG of a random quality."""
    quality = int(rng.integers(25, 95))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def dirt(image: Image, rng: Rng) -> Image:
    """Cover a few spots: mud, bolts, stickers, a tow bar."""
    out = image.copy()
    height, width = out.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        colour = (
            tuple(float(c) for c in rng.integers(0, 255, 3))
            if rng.random() < 0.4
            else (float(rng.integers(20, 120)),) * 3
        )
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.uniform(0.004, 0.03) * width) + 1, int(rng.uniform(0.01, 0.06) * height) + 1)
        cv2.ellipse(out, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return out


def road_camera(image: Image, rng: Rng, *, strength: float = 1.0) -> Image:
    """Return `image` as a road camera might have seen it; `strength` 0 leaves it nearly as it was."""
    if rng.random() < 0.85:
        image = light(image, rng)
    if rng.random() < 0.25:
        image = shade(image, rng)
    if rng.random() < 0.15:
        image = dirt(image, rng)
    if rng.random() < 0.7 * strength:
        image = blur(image, rng, strength=1.6 * strength)
    if rng.random() < 0.5 * strength:
        image = noise(image, rng)
    if rng.random() < 0.4 * strength:
        image = compress(image, rng)
    return image

"""A country's letters or an emblem beside a plate, on the bumper or on a panel of its own. Made up, for training."""

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image
from models.emblems import emblem, lay
from models.rendered import BOLD_FONTS, fit, fonts, line_mask

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

COUNTRIES = ("B", "E", "D", "F", "I", "A", "L", "P", "S", "NL", "CH", "PL", "RO", "GB", "CZ", "SK", "H", "EST", "FIN")


def with_sign_beside(plate: Image, rng: Rng) -> tuple[Image, Float]:
    """Return a bare plate with a sign beside it on the bumper, and corners (4, 2) that take some of the sign in.

    So does a detector, which has seen too few of them to know where the plate ends.
    """
    height, width = plate.shape[:2]
    wide = max(6, int(height * rng.uniform(0.35, 1.1)))
    side = np.empty((height, wide, 3), np.float32)
    side[:] = rng.uniform(0, 200, 3)
    gap = int(rng.integers(0, 1 + wide // 6))
    ink = (rng.uniform(0, 60, 3) if rng.random() < 0.7 else rng.uniform(0, 255, 3)).astype(np.float32)
    if rng.random() < 0.65:
        _paint_country(side[:, gap:], ink, rng)
    else:
        tall = int(height * rng.uniform(0.5, 0.9))
        lay(side, emblem(tall, ink, rng), gap, int(rng.uniform(0, height - tall)))
    side_image = np.clip(side, 0, 255).astype(np.uint8)
    taken = float(rng.uniform(0.0, 1.0)) * wide
    if rng.random() < 0.7:
        image, left, right = np.hstack([plate, side_image]), 0.0, width + taken
    else:
        image, left, right = np.hstack([side_image, plate]), wide - taken, float(wide + width)
    corners = np.array([[left, 0], [right, 0], [right, height], [left, height]], np.float32)
    return np.ascontiguousarray(image), corners


def _paint_country(side: Float, ink: Float, rng: Rng) -> None:
    """Paint a country's letters on a light panel or oval, or straight on the paint."""
    height, width = side.shape[:2]
    if width < 4 or height < 8:
        return
    if rng.random() < 0.75:
        ground = (255 - rng.exponential(25, 3)).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(side, (width // 2, height // 2), (width // 2, int(0.45 * height)), 0, 0, 360, ground, -1)
        else:
            cv2.rectangle(side, (1, int(0.04 * height)), (width, int(0.96 * height)), ground, -1)
    letters = line_mask(str(rng.choice(COUNTRIES)), str(rng.choice(fonts(BOLD_FONTS))), 48, rng, spacing=0.08)
    tall = int(height * rng.uniform(0.4, 0.8))
    wide = int(min(0.9 * width, letters.shape[1] * tall / letters.shape[0]))
    cover = fit(letters, wide, tall)[..., None]
    lay(side, (np.broadcast_to(ink, (*cover.shape[:2], 3)), cover), (width - wide) // 2, (height - tall) // 2)

"""Small letters one above the other in a plate's row: where they stand, how bold they are, what divides them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Rng = np.random.Generator
Place = tuple[int, int, int, int]

STACKED_RATIO: Final = 0.32
"""Of the made-up US plates; a ninth of the photographed ones bear a stack, and no two states set it alike."""

STACKED_LONG_RATIO: Final = 0.04
"""The same of plates with a single line."""

BARS_RATIO: Final = 0.12
"""Of the stacks with a bar between their characters."""


def stack_places(slot: Place, count: int, rng: Rng) -> list[Place]:
    """Return the places left, top, width, height in pixels of a stack that fills `slot`, straight or as stairs."""
    x, y, w, h = slot
    y, h = y + int(rng.normal(0, 0.05) * h), int(h * rng.uniform(0.72, 1.15))
    each = h / count
    tall = int(each * rng.uniform(0.7, 0.97))
    is_stair = rng.random() < 0.25
    wide = int(min(0.65 * w if is_stair else w, tall * rng.uniform(0.6, 1.25)))
    shift = 0.0 if is_stair else float(rng.uniform(0, 1)) * (w - wide)
    step = (w - wide) / (count - 1) if is_stair else 0.0
    return [(int(x + shift + i * step), int(y + i * each), max(3, wide), max(4, tall)) for i in range(count)]


def bolder(alpha: npt.NDArray[np.uint8], rng: Rng) -> npt.NDArray[np.uint8]:
    """Return a glyph's coverage uint8 (h, w) with strokes as heavy as small dies often have them.

    A large glyph that is only shrunk has strokes half as wide as those of its neighbours in the row.
    """
    if rng.random() < 0.4 or min(alpha.shape) < 8:
        return alpha
    size = max(2, round(alpha.shape[0] * float(rng.uniform(0.03, 0.08))))
    return np.asarray(cv2.dilate(alpha, np.ones((size, size), np.uint8)), np.uint8)


def set_bars(canvas: Float, places: Sequence[Place], ink: Float, rng: Rng) -> None:
    """Draw bars between the characters of a stack on a picture float32 (H, W, 3), in place, on some plates."""
    if len(places) < 2 or rng.random() >= BARS_RATIO:
        return
    for (x, y, w, h), (_, below, _, _) in pairwise(places):
        middle = (y + h + below) // 2
        thick = max(1, h // 12)
        canvas[middle : middle + thick, max(0, x) : x + w] = ink

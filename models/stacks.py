"""Small letters in a plate's row, most of them one above the other: where they stand, how bold, what divides them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Rng = np.random.Generator
Place = tuple[int, int, int, int]

STACKED_RATIO: Final = 0.36
"""Of the made-up US plates; a ninth of the photographed ones bear a stack, and no two states set it alike."""

STACKED_LONG_RATIO: Final = 0.04
"""The same of plates with a single line."""

BARS_RATIO: Final = 0.12
"""Of the stacks with a bar between their characters."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Which characters of a text stand in one place of the row: `count` of them from `at` on."""

    at: int
    count: int

    @property
    def span(self) -> range:
        """The places of its characters in the text."""
        return range(self.at, self.at + self.count)

    def after(self, inserted: int) -> "Stack":
        """Return the stack where something was inserted before the character at this place of the text."""
        return Stack(self.at + 1, self.count) if inserted <= self.at else self


def drawn_stack(row: int, *, is_long: bool, rng: Rng) -> Stack | None:
    """Return a stack for a row of this many places, or None: mostly at its head, of two or three, now and then one."""
    if row < 2 or rng.random() >= (STACKED_LONG_RATIO if is_long else STACKED_RATIO):
        return None
    at = int(rng.choice((0, 0, 0, row - 1, int(rng.integers(row)))))
    return Stack(at, int(rng.choice((1, 2, 2, 2, 2, 3, 3, 3))))


def stack_places(slot: Place, count: int, rng: Rng) -> list[Place]:
    """Return the places left, top, width, height in pixels of a stack about `slot`, straight or as stairs.

    One small letter alone stands high, low or in the middle.
    """
    x, y, w, h = slot
    if count == 1:
        tall = int(h * rng.uniform(0.35, 0.62))
        wide = int(min(w, tall * rng.uniform(0.6, 1.0)))
        return [(x + (w - wide) // 2, y + int(float(rng.choice((0.0, 0.5, 1.0))) * (h - tall)), max(3, wide), tall)]
    y, h = y + int(rng.normal(0, 0.05) * h), int(h * rng.uniform(0.8, 1.15))
    each = h / count
    tall = int(each * rng.uniform(0.75, 0.97))
    is_stair = rng.random() < 0.2
    wide = int(min(0.65 * w if is_stair else w, tall * rng.uniform(0.65, 1.25)))
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

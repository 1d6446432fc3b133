"""The lane: the polygon of the picture in which a vehicle counts, as shares of the picture's width and height.

Pure geometry: whether a polygon is usable, and which pixels it holds. What happens beside the lane (a pavement, a tree,
the other carriageway) is no motion and no measure of light.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware.records import Grey

Point = tuple[float, float]
"""x and y, each 0..1 from the picture's left and upper edge."""

WHOLE_PICTURE: tuple[Point, ...] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))

SMALLEST_AREA_RATIO = 0.01
"""A hundredth of the picture: 145 x 109 pixels of 1456 x 1088, little more than one plate."""


def flaw(lane: Sequence[Point]) -> str:
    """Return what is wrong with a lane of three points or more, as half a sentence; empty if nothing is."""
    count = len(lane)
    edges = [(lane[index], lane[(index + 1) % count]) for index in range(count)]
    if any(begin == end for begin, end in edges):
        return "has the same point twice in a row"
    for one in range(count):
        for other in range(one + 2, count):
            is_neighbour = one == 0 and other == count - 1
            if not is_neighbour and _meet(edges[one], edges[other]):
                return "crosses itself"
    area_ratio = abs(sum(begin[0] * end[1] - end[0] * begin[1] for begin, end in edges)) / 2.0
    if area_ratio < SMALLEST_AREA_RATIO:
        return f"has next to no area ({area_ratio:.1%} of the picture, {SMALLEST_AREA_RATIO:.0%} is the least)"
    return ""


def lane_mask(lane: Sequence[Point], height_px: int, width_px: int) -> "Grey":
    """Return uint8 (height_px, width_px): 255 for each pixel whose middle lies in the lane, by the even-odd rule."""
    import numpy as np  # noqa: PLC0415  a configuration is judged without

    x = ((np.arange(width_px) + 0.5) / width_px)[np.newaxis, :]
    y = ((np.arange(height_px) + 0.5) / height_px)[:, np.newaxis]
    inside = np.zeros((height_px, width_px), dtype=bool)
    for (begin_x, begin_y), (end_x, end_y) in zip(lane, [*lane[1:], lane[0]], strict=True):
        if begin_y != end_y:
            is_beside = (begin_y > y) != (end_y > y)
            inside ^= is_beside & (x < begin_x + (y - begin_y) / (end_y - begin_y) * (end_x - begin_x))
    return np.where(inside, np.uint8(255), np.uint8(0))


def _meet(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Say whether two edges have a point in common: the ends of each lie on both sides of the other, or on it."""
    sides_of_one = _side(*one, other[0]) * _side(*one, other[1])
    sides_of_other = _side(*other, one[0]) * _side(*other, one[1])
    if sides_of_one == sides_of_other == 0 and _side(*one, other[0]) == _side(*one, other[1]) == 0:
        return any(
            min(one[0][axis], one[1][axis]) <= point[axis] <= max(one[0][axis], one[1][axis])
            for axis in (0, 1)
            if one[0][axis] != one[1][axis]
            for point in other
        )
    return sides_of_one <= 0 and sides_of_other <= 0


def _side(begin: Point, end: Point, point: Point) -> int:
    """Return on which side of a line a point lies: 1, -1, or 0 on it."""
    cross = (end[0] - begin[0]) * (point[1] - begin[1]) - (end[1] - begin[1]) * (point[0] - begin[0])
    return (cross > 0) - (cross < 0)

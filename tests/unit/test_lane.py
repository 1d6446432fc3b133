import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.lane import WHOLE_PICTURE, flaw, lane_mask

TRAPEZE = ((0.3, 0.1), (0.7, 0.1), (1.0, 1.0), (0.0, 1.0))
LETTER_L = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.6), (0.9, 0.6), (0.9, 0.9), (0.1, 0.9))


@pytest.mark.parametrize("lane", [WHOLE_PICTURE, TRAPEZE, TRAPEZE[::-1], LETTER_L, ((0, 0), (1, 0), (0.5, 1))])
def test_a_polygon_with_an_area_has_no_flaw(lane):
    assert flaw(lane) == ""


@pytest.mark.parametrize(
    ("lane", "what"),
    [
        (((0, 0), (1, 1), (1, 0), (0, 1)), "crosses itself"),
        (((0, 0), (1, 0), (1, 1), (0.5, 0)), "crosses itself"),
        (((0, 0), (1, 0), (0, 0.5), (1, 1), (0, 1), (0.9, 0.5)), "crosses itself"),
        (((0, 0), (0.5, 0.5), (1, 1)), "no area"),
        (((0.5, 0.5), (0.55, 0.5), (0.5, 0.55)), "no area"),
        (((0, 0), (0, 0), (1, 1), (0, 1)), "twice"),
        (((0, 0), (1, 0), (1, 1), (0, 0)), "twice"),
    ],
)
def test_what_is_no_lane_is_said(lane, what):
    assert what in flaw(lane)


def test_the_whole_picture_is_all_pixels():
    assert lane_mask(WHOLE_PICTURE, 272, 364).min() == 255


@pytest.mark.parametrize("lane", [TRAPEZE, TRAPEZE[::-1], LETTER_L])
def test_a_mask_is_what_opencv_fills_but_for_the_edge(lane):
    mask = lane_mask(lane, 272, 364)
    corners = np.round(np.array(lane) * (364, 272) - 0.5).astype(np.int32)
    filled = cv2.fillPoly(np.zeros((272, 364), np.uint8), [corners], 255)
    assert mask.dtype == np.uint8
    assert np.count_nonzero(mask != filled) < 272 + 364 * 3


shares = st.floats(0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(shares, shares), min_size=3, max_size=8))
def test_any_points_are_judged_and_fill_their_area(points):
    if flaw(points):
        return
    around = [*points[1:], points[0]]
    area = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, around, strict=True))) / 2
    assert (lane_mask(points, 136, 182) > 0).mean() == pytest.approx(area, abs=0.05)

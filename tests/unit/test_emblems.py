"""Emblems that stand on made-up plates: they cover something, stay in the picture, and repeat with their seed."""

import numpy as np
import pytest

from models.emblems import CONTRAST_MIN, emblem, lay, picture_behind

INK = np.array([20, 20, 60], np.float32)


@pytest.mark.parametrize("seed", range(25))
def test_an_emblem_covers_a_good_part_of_its_own_height(seed):
    colour, cover = emblem(40, INK, np.random.default_rng(seed))
    assert colour.shape == (*cover.shape[:2], 3)
    assert 10 <= cover.shape[0] <= 40  # small print is lower than the characters beside it
    assert 0 <= cover.min() <= cover.max() <= 1
    assert 0.02 < cover.mean() < 0.95


def test_the_same_seed_gives_the_same_emblem_and_others_give_others():
    one, same, other = (emblem(30, INK, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(one[0], same[0])
    assert np.array_equal(one[1], same[1])
    assert one[0].shape != other[0].shape or not np.array_equal(one[0], other[0])


@pytest.mark.parametrize(("left", "top"), [(-3, 5), (90, 35), (50, -2), (500, 5), (5, 500)])
def test_what_reaches_beyond_the_picture_is_cut_off(left, top):
    canvas = np.full((50, 100, 3), 200, np.float32)
    lay(canvas, (np.zeros((20, 30, 3), np.float32), np.ones((20, 30, 1), np.float32)), left, top)
    x, y = max(0, left), max(0, top)
    expected = np.full((50, 100, 3), 200, np.float32)
    expected[y : y + 20, x : x + 30] = 0
    assert np.array_equal(canvas, expected)


def test_a_picture_behind_the_characters_stands_out_from_their_ink_and_touches_one_of_their_places():
    places = [(20, 30, 20, 40), (60, 30, 20, 40), (100, 30, 20, 40)]
    for seed in range(30):
        canvas = np.full((100, 160, 3), 255, np.float32)
        picture_behind(canvas, places, INK, np.random.default_rng(seed))
        drawn = (canvas != 255).any(axis=2)
        assert any(drawn[y : y + h, x : x + w].any() for x, y, w, h in places)
        assert drawn.mean() < 0.6
        darkest = canvas[drawn].mean(axis=0)
        assert np.linalg.norm(darkest - INK) > CONTRAST_MIN / 2

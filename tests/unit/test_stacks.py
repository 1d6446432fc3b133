"""Small letters one above the other: as bold as their dies, in order, divided by bars."""

from itertools import pairwise

import numpy as np

from models import stacks
from models.stacks import bolder, set_bars, stack_places

SLOT = (40, 20, 30, 60)


def test_the_places_of_a_stack_stand_one_below_the_other_near_their_slot():
    rng = np.random.default_rng(1)
    for count in (2, 3):
        for _ in range(50):
            places = stack_places(SLOT, count, rng)
            assert len(places) == count
            assert all(y + h <= below + 1 for (_, y, _, h), (_, below, _, _) in pairwise(places))
            assert all(y >= 0 and y + h <= 2 * (SLOT[1] + SLOT[3]) for _, y, _, h in places)


def test_a_glyph_grows_bolder_and_never_thinner():
    glyph = np.zeros((40, 24), np.uint8)
    glyph[5:35, 10:14] = 255
    grown = [bolder(glyph, np.random.default_rng(seed)) for seed in range(40)]
    assert all(one.shape == glyph.shape and (one >= glyph).all() for one in grown)
    assert 10 < sum(int(one.sum()) > int(glyph.sum()) for one in grown) < 40


def test_bars_stand_between_the_characters_of_a_stack(monkeypatch):
    monkeypatch.setattr(stacks, "BARS_RATIO", 1.0)
    canvas = np.full((100, 100, 3), 200, np.float32)
    set_bars(canvas, [(40, 20, 20, 24), (40, 50, 20, 24)], np.zeros(3, np.float32), np.random.default_rng(0))
    rows, columns = np.nonzero((canvas == 0).all(axis=2))
    assert 44 <= rows.min() <= rows.max() < 50
    assert (columns.min(), columns.max()) == (40, 59)
    single = np.full((50, 50, 3), 200, np.float32)
    set_bars(single, [(10, 10, 10, 10)], np.zeros(3, np.float32), np.random.default_rng(0))
    assert (single == 200).all()

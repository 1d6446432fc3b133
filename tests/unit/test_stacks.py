"""Small letters one above the other: as bold as their dies, in order, divided by bars."""

from itertools import pairwise

import numpy as np

from models import stacks
from models.stacks import Stack, bolder, drawn_stack, set_bars, stack_places

SLOT = (40, 20, 30, 60)


def test_the_places_of_a_stack_stand_one_below_the_other_near_their_slot():
    rng = np.random.default_rng(1)
    for count in (2, 3):
        for _ in range(50):
            places = stack_places(SLOT, count, rng)
            assert len(places) == count
            assert all(y + h <= below + 1 for (_, y, _, h), (_, below, _, _) in pairwise(places))
            assert all(y >= 0 and y + h <= 2 * (SLOT[1] + SLOT[3]) for _, y, _, h in places)


def test_a_small_letter_alone_stands_within_its_slot():
    rng = np.random.default_rng(2)
    tops = set()
    for _ in range(50):
        ((x, y, w, h),) = stack_places(SLOT, 1, rng)
        assert SLOT[0] <= x < x + w <= SLOT[0] + SLOT[2]
        assert SLOT[1] <= y < y + h <= SLOT[1] + SLOT[3]
        assert h < 0.65 * SLOT[3]
        tops.add(round((y - SLOT[1]) / (SLOT[3] - h), 1))
    assert tops == {0.0, 0.5, 1.0}


def test_stacks_stand_mostly_at_the_head_of_a_row_and_never_beyond_it():
    rng = np.random.default_rng(3)
    drawn = [drawn_stack(6, is_long=False, rng=rng) for _ in range(600)]
    stacks_drawn = [stack for stack in drawn if stack]
    assert 0.3 < len(stacks_drawn) / len(drawn) < 0.42
    assert {stack.at for stack in stacks_drawn} == set(range(6))
    assert sum(stack.at == 0 for stack in stacks_drawn) > len(stacks_drawn) / 2
    assert {stack.count for stack in stacks_drawn} == {1, 2, 3}
    assert sum(drawn_stack(6, is_long=True, rng=rng) is not None for _ in range(600)) < 60
    assert all(drawn_stack(1, is_long=False, rng=rng) is None for _ in range(100))


def test_what_is_inserted_before_a_stack_moves_it_and_what_comes_after_does_not():
    assert Stack(2, 2).after(2) == Stack(3, 2)
    assert Stack(2, 2).after(4) == Stack(2, 2)
    assert list(Stack(2, 2).span) == [2, 3]


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

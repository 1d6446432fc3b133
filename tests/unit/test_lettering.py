"""The simulated plates' lettering: every shape stands, differs from its neighbours and keeps its die's proportions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.letter_shapes import Corners, glyphs
from hw_sim.lettering import (
    BLOCK,
    NARROW,
    PRINTED,
    PRINTED_SCRIPT,
    PRINTED_SERIF,
    ROUND,
    SANS,
    SLANTED,
    TALL,
    WIDE,
    LetterStyle,
    coverage,
    ink_width_ratio,
)

DIES = {"narrow": NARROW, "round": ROUND, "block": BLOCK, "slanted": SLANTED, "wide": WIDE, "tall": TALL, "sans": SANS}
PRINTS = {"printed": PRINTED, "serif": PRINTED_SERIF, "script": PRINTED_SCRIPT}
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

die = pytest.mark.parametrize("style", DIES.values(), ids=DIES.keys())


def in_a_cell(char: str, style: LetterStyle) -> np.ndarray:
    """Draw one character in the middle of a cell of one size for all, so that two can be compared pixel by pixel."""
    ink = coverage(char, 60, style)
    cell = np.zeros((60, 70), np.int16)
    left = (70 - ink.shape[1]) // 2
    cell[:, left : left + ink.shape[1]] = ink
    return cell


@die
def test_every_letter_and_digit_reaches_from_top_to_bottom(style):
    for char in ALPHABET:
        ink = coverage(char, 100, style)
        assert ink[:4].max() > 150, char
        assert ink[-4:].max() > 150, char


@die
def test_no_two_characters_look_alike(style):
    drawn = {char: in_a_cell(char, style) for char in ALPHABET}
    for one, other in itertools.combinations(ALPHABET, 2):
        ink = (drawn[one] > 127) | (drawn[other] > 127)
        apart_ratio = np.count_nonzero(np.abs(drawn[one] - drawn[other]) > 127) / np.count_nonzero(ink)
        # 0 and O, as B and 8, are near twins on many dies, but never the same.
        assert apart_ratio > 0.07, (one, other)


def test_no_two_dies_press_the_same_characters():
    drawn = {name: np.hstack([in_a_cell(char, style) for char in "0368GMRS"]) for name, style in DIES.items()}
    for one, other in itertools.combinations(DIES, 2):
        ink = (drawn[one] > 127) | (drawn[other] > 127)
        assert np.count_nonzero(np.abs(drawn[one] - drawn[other]) > 127) / np.count_nonzero(ink) > 0.08, (one, other)


@die
def test_the_pairs_that_are_confused_differ_where_they_do_on_plates(style):
    assert ink_width_ratio("0", style) <= ink_width_ratio("O", style)
    b, eight = coverage("B", 200, style), coverage("8", 200, style)
    first = np.flatnonzero(b.max(axis=0) > 127)[0]
    assert b[20:-20, first : first + 6].mean() > 240
    first = np.flatnonzero(eight.max(axis=0) > 127)[0]
    assert eight[20:-20, first : first + 6].mean() < 225
    assert np.count_nonzero(coverage("Q", 200, style) > 127) > np.count_nonzero(coverage("O", 200, style) > 127)


@die
def test_an_upright_stroke_is_as_thick_as_the_pen(style):
    stem = coverage("L", 700, style)[300]
    assert np.count_nonzero(stem > 127) == pytest.approx(style.pen_ratio * 700, rel=0.03)


def test_letters_are_condensed_but_for_the_wide_die():
    for name, style in DIES.items():
        widths = [ink_width_ratio(char, style) for char in ALPHABET if char not in "1IMW"]
        assert 0.38 < min(widths) < max(widths) < (0.65 if name == "wide" else 0.54), name


@given(
    text=st.text(alphabet=[name for name in glyphs(Corners()) if "/" not in name], min_size=1, max_size=9),
    height_px=st.integers(4, 90),
    style=st.sampled_from([*DIES.values(), *PRINTS.values()]),
)
@settings(max_examples=60, deadline=None)
def test_any_text_has_the_size_that_was_announced(text, height_px, style):
    ink = coverage(text, height_px, style)
    capital_px = height_px / (1 + style.tail_ratio)
    assert ink.shape == (height_px, max(1, int(np.ceil(ink_width_ratio(text, style) * capital_px))))
    assert ink.dtype == np.uint8


@pytest.mark.parametrize("style", PRINTS.values(), ids=PRINTS.keys())
def test_only_small_letters_with_a_tail_reach_below_the_base_line(style):
    base_px = round(100 / (1 + style.tail_ratio))
    assert coverage("gjpqy", 100, style)[base_px + 6 :].max() > 200
    assert coverage("HEADbdhklx", 100, style)[base_px + 3 :].max() == 0


def test_edges_are_smooth():
    ink = coverage("O8S", 40, ROUND)
    assert len(np.unique(ink)) > 8


def test_unknown_characters_and_sizes_are_refused_without_telling_the_text():
    with pytest.raises(ValueError, match="no shape") as refused:
        coverage("AB?", 20, NARROW)
    assert "AB" not in str(refused.value)
    with pytest.raises(ValueError, match="height"):
        coverage("A", 0, NARROW)

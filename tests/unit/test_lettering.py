"""The simulated plates' lettering: every shape stands, differs from its neighbours and keeps its proportions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.lettering import GLYPHS, LetterStyle, coverage, ink_width_ratio
from hw_sim.plate_art import LOOKS, draw_plate, plate_outline, random_plate_text

STYLE = LetterStyle()
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _cell(char: str) -> np.ndarray:
    """Draw one character in a cell of equal size for all, so that two can be compared pixel by pixel."""
    return coverage(char, 48, LetterStyle(cell_ratio=0.7))


def test_every_letter_and_digit_reaches_from_top_to_bottom() -> None:
    for char in ALPHABET:
        ink = coverage(char, 100, STYLE)
        assert ink[:3].max() > 200, char
        assert ink[-3:].max() > 200, char


def test_letters_are_condensed() -> None:
    widths = [ink_width_ratio(char, STYLE) for char in ALPHABET if char not in "1IMW"]
    assert min(widths) > 0.42
    assert max(widths) < 0.56


def test_no_two_characters_look_alike() -> None:
    drawn = {char: _cell(char).astype(np.int16) for char in ALPHABET}
    for one, other in itertools.combinations(ALPHABET, 2):
        ink = (drawn[one] > 127) | (drawn[other] > 127)
        apart_ratio = np.count_nonzero(np.abs(drawn[one] - drawn[other]) > 127) / np.count_nonzero(ink)
        assert apart_ratio > 0.08, (one, other)


def test_the_pairs_that_are_confused_differ_where_they_do_on_plates() -> None:
    assert ink_width_ratio("0", STYLE) < ink_width_ratio("O", STYLE)
    assert ink_width_ratio("1", STYLE) < ink_width_ratio("I", STYLE)
    height = 200
    back_of_b = coverage("B", height, STYLE)[:, :8]
    back_of_8 = coverage("8", height, STYLE)[:, :8]
    assert back_of_b[20:-20].mean() > 200
    assert back_of_8[20:-20].mean() < 150
    q, o = coverage("Q", height, STYLE), coverage("O", height, STYLE)
    assert np.count_nonzero(q > 127) > np.count_nonzero(o > 127)


def test_the_pen_is_a_seventh_of_the_height() -> None:
    stem = coverage("L", 700, STYLE)[300]
    assert np.count_nonzero(stem > 127) == pytest.approx(0.14 * 700, rel=0.03)


@given(text=st.text(alphabet=list(GLYPHS), min_size=1, max_size=9), height_px=st.integers(4, 90))
@settings(max_examples=60, deadline=None)
def test_any_text_has_the_size_that_was_announced(text: str, height_px: int) -> None:
    ink = coverage(text, height_px, STYLE)
    assert ink.shape[0] == height_px
    assert ink.shape[1] == max(1, int(np.ceil(ink_width_ratio(text, STYLE) * height_px)))
    assert ink.dtype == np.uint8


def test_edges_are_smooth() -> None:
    ink = coverage("O8S", 40, STYLE)
    assert len(np.unique(ink)) > 10


def test_unknown_characters_and_sizes_are_refused_without_telling_the_text() -> None:
    with pytest.raises(ValueError, match="no shape") as refused:
        coverage("AB?", 20, STYLE)
    assert "AB" not in str(refused.value)
    with pytest.raises(ValueError, match="height"):
        coverage("A", 0, STYLE)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_plate_has_contrast_between_letters_and_ground(look) -> None:
    plate = draw_plate("H8H8H8", look, 200)
    assert plate.shape == (100, 200, 3)
    assert plate.dtype == np.uint8
    grey = plate[30:70, 20:180].mean(axis=2)
    # At least 15 grey levels are needed between stroke and ground; a fresh plate has far more.
    assert np.percentile(grey, 95) - np.percentile(grey, 5) > 60


def test_long_texts_are_condensed_and_stay_on_the_plate() -> None:
    look = next(look for look in LOOKS if look.name == "plain white")
    short, long = draw_plate("WW", look, 300), draw_plate("WWWWWWWW", look, 300)
    for plate in (short, long):
        edge = np.concatenate([plate[40:110, :10], plate[40:110, -10:]], axis=1)
        assert edge.min() > 150
    assert long[45:105].mean() < short[45:105].mean()


def test_plates_too_small_to_draw_are_refused() -> None:
    with pytest.raises(ValueError, match="32 pixels"):
        draw_plate("ABC123", LOOKS[0], 20)


def test_the_sheet_has_round_corners() -> None:
    outline = plate_outline(200)
    assert outline[0, 0] == 0
    assert outline[50, 100] == 255


def test_random_texts_are_seeded_plates() -> None:
    texts = [random_plate_text(np.random.default_rng(seed)) for seed in range(400)]
    assert texts == [random_plate_text(np.random.default_rng(seed)) for seed in range(400)]
    assert all(2 <= len(text) <= 8 and text.isascii() and text.isalnum() and text == text.upper() for text in texts)
    assert {len(text) for text in texts} == set(range(2, 9))
    assert len(set(texts)) > 390

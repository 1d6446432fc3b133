"""Lettering taken off a plate and put on another: where it stood, what is left, and that the new text is there."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from firmware.ocr import ALPHABET, BANDS, BLANK, COLUMNS
from models import relettered
from models.relettered import Lettering, aligned, blank_of, centres_px, laid_out, proof_of

GROUND, INK = (200, 220, 230), (90, 30, 20)
CENTRES = [40.0, 85.0, 130.0, 175.0]


def plate_with(text: str) -> np.ndarray:
    """Return a drawn plate (112, 224, 3) whose characters stand at CENTRES, with a little grain."""
    plate = np.full((112, 224, 3), GROUND, np.uint8)
    for char, centre in zip(text, CENTRES, strict=True):
        (wide, tall), _ = cv2.getTextSize(char, cv2.FONT_HERSHEY_SIMPLEX, 1.8, 6)
        at = (round(centre - wide / 2), 58 + tall // 2)
        cv2.putText(plate, char, at, cv2.FONT_HERSHEY_SIMPLEX, 1.8, INK, 6, cv2.LINE_AA)
    grain = np.random.default_rng(4).normal(0, 2, plate.shape)
    return np.clip(plate + grain, 0, 255).astype(np.uint8)


def log_probs(spoken: dict[int, str]) -> np.ndarray:
    """Return log probabilities (80, 37): these characters in these columns, blank in all others."""
    table = np.full((BANDS * COLUMNS, BLANK + 1), 1e-6, np.float32)
    table[:, BLANK] = 1
    for column, char in spoken.items():
        table[column, BLANK], table[column, ALPHABET.index(char)] = 0.05, 0.95
    return np.log(table)


def test_alignment_finds_band_and_column_of_each_character():
    places = aligned(log_probs({8: "A", 20: "7", 21: "7", 45: "7", 70: "B"}), "A77B")
    assert places is not None
    assert [band for band, _ in places] == [0, 0, 1, 1]
    assert [along for _, along in places] == pytest.approx([8.5 / 40, 21 / 40, 5.5 / 40, 30.5 / 40], abs=0.01)


def test_only_one_line_plates_have_centres():
    assert centres_px([(0, 0.2), (0, 0.5)], 200) == pytest.approx([35.2, 100])
    assert centres_px([(0, 0.2), (1, 0.5)], 200) is None
    assert centres_px([(0, 0.2), (0, 0.21)], 200) is None


def test_a_blank_bears_nothing_and_the_glyphs_all_of_it():
    image = plate_with("H4K8")
    blank = blank_of(image, "H4K8", CENTRES, 3)
    assert blank is not None
    assert [glyph.char for glyph in blank.glyphs] == list("H4K8")
    assert np.abs(blank.image.astype(int) - GROUND).max() < 45  # nothing is left that could be read
    assert np.abs(np.array(blank.ink) - INK).max() < 40
    proof, dark = proof_of(blank), image.min(axis=2) < 100
    assert (proof.min(axis=2)[dark] < 140).mean() > 0.9  # where ink was, the glyphs put it back


@pytest.mark.parametrize("image", [np.full((112, 224, 3), 128, np.uint8), plate_with("H4K8") // 16 + 100])
def test_a_plate_without_clear_lettering_gives_no_blank(image):
    assert blank_of(image, "H4K8", CENTRES, 3) is None


def test_a_relettered_plate_keeps_its_region_and_bears_ink_in_each_place(monkeypatch):
    laid = []

    def noted(blank, glyphs, stack, rng):
        slots = laid_out(blank, glyphs, stack, rng)
        laid.append((blank, slots))
        return slots

    monkeypatch.setattr(relettered, "laid_out", noted)
    monkeypatch.setattr(relettered, "EMBLEM_RATIO", 0.0)
    monkeypatch.setattr(relettered, "BEHIND_RATIO", 0.0)
    monkeypatch.setattr("models.stacks.BARS_RATIO", 0.0)
    blanks = [blank_of(plate_with(text), text, CENTRES, region) for region, text in enumerate(("H4K8", "71XE"))]
    lettering = Lettering([blank for blank in blanks if blank])
    assert len(lettering) == 2
    rng = np.random.default_rng(2)
    for _ in range(40):
        image, text, region = lettering.plate(rng)
        assert image.shape == (112, 224, 3)
        assert image.dtype == np.uint8
        assert region in (0, 1)
        assert set(text) <= set("H4K871XE")
        blank, slots = laid.pop()
        assert (blank.region, len(slots)) == (region, len(text))
        darker = blank.image.astype(int).min(axis=2) - image.astype(int).min(axis=2)
        elsewhere = np.ones(darker.shape, bool)
        for x, y, w, h in slots:
            assert (darker[y : y + h, x : x + w] > 50).mean() > 0.08
            air = 2 + round(0.1 * w)  # a wide glyph may stand out of its place by as much
            elsewhere[max(0, y) : y + h, max(0, x - air) : x + w + air] = False
        assert (darker[elsewhere] == 0).all()


def test_an_emblem_takes_a_place_and_no_letter_of_the_text(monkeypatch):
    laid = []

    def noted(blank, glyphs, stack, rng):
        laid.append((glyphs, stack))
        return laid_out(blank, glyphs, stack, rng)

    monkeypatch.setattr(relettered, "laid_out", noted)
    monkeypatch.setattr(relettered, "EMBLEM_RATIO", 1.0)
    monkeypatch.setattr(relettered, "THIN_PAIR_RATIO", 0.0)
    blank = blank_of(plate_with("H4K8"), "H4K8", CENTRES, 0)
    assert blank is not None
    lettering = Lettering([blank])
    rng = np.random.default_rng(3)
    for _ in range(30):
        image, text, _ = lettering.plate(rng)
        glyphs, stack = laid.pop()
        assert all(glyphs[place].char for place in (stack.span if stack else ()))  # no emblem within a stack
        assert "".join(glyph.char for glyph in glyphs) == text
        assert len(glyphs) == len(text) + 1
        assert glyphs[0].char  # an emblem before the text would be a country's band
        assert (image != blank.image).any()


def test_pairs_of_thin_characters_are_set_though_the_serial_has_none(monkeypatch):
    monkeypatch.setattr("models.stacks.STACKED_RATIO", 0.0)
    monkeypatch.setattr(relettered, "THIN_PAIR_RATIO", 1.0)
    monkeypatch.setattr(relettered, "TWIN_RATIO", 0.0)
    blank = blank_of(plate_with("H1K8"), "H1K8", CENTRES, 0)
    assert blank is not None
    texts = [Lettering([blank]).plate(np.random.default_rng(seed))[1] for seed in range(20)]
    assert all("11" in text for text in texts)


def test_twins_stand_side_by_side_though_the_serial_has_none(monkeypatch):
    monkeypatch.setattr("models.stacks.STACKED_RATIO", 0.0)
    monkeypatch.setattr(relettered, "TWIN_RATIO", 1.0)
    blank = blank_of(plate_with("H1K8"), "H1K8", CENTRES, 0)
    assert blank is not None
    texts = [Lettering([blank]).plate(np.random.default_rng(seed))[1] for seed in range(20)]
    assert all(any(a == b for a, b in pairwise(text)) for text in texts)


def test_a_stack_takes_one_place_of_the_row_and_leaves_all_others_where_they_were(monkeypatch):
    monkeypatch.setattr("models.stacks.STACKED_RATIO", 1.0)
    for name in ("EMBLEM_RATIO", "BEHIND_RATIO", "THIN_PAIR_RATIO", "TWIN_RATIO"):
        monkeypatch.setattr(relettered, name, 0.0)
    laid = []

    def noted(blank, glyphs, stack, rng):
        laid.append((stack, laid_out(blank, glyphs, stack, rng)))
        return laid[-1][1]

    monkeypatch.setattr(relettered, "laid_out", noted)
    blank = blank_of(plate_with("H4K8"), "H4K8", CENTRES, 0)
    assert blank is not None
    lettering = Lettering([blank])
    rng = np.random.default_rng(6)
    counts, stairs, own_row = set(), 0, 0
    for _ in range(120):
        _, text, _ = lettering.plate(rng)
        stack, slots = laid.pop()
        assert len(slots) == len(text)
        low = [slots[place] for place in stack.span]
        tops, lefts = [top for _, top, _, _ in low], [left for left, _, _, _ in low]
        assert tops == sorted(set(tops))
        assert lefts == sorted(lefts)
        assert max(height for *_, height in low) < 0.65 * blank.slots[0][3]
        counts.add(stack.count)
        stairs += len(set(lefts)) > 1
        beside = [slot for place, slot in enumerate(slots) if place not in stack.span]
        own_row += len(beside) == 3 and set(beside) < set(blank.slots)
    assert counts == {1, 2, 3}
    assert 5 < stairs < 50
    assert own_row > 60

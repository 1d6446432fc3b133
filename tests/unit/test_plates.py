import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import plates

texts = st.text(string.ascii_uppercase + string.digits, max_size=10)


@given(texts, texts)
def test_edit_distance_is_a_metric(one, other):
    distance = plates.edit_distance(one, other)
    assert distance == plates.edit_distance(other, one)
    assert (distance == 0) == (one == other)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))


@pytest.mark.parametrize(
    ("one", "other", "edits"), [("ABC123", "ABC123", 0), ("ABC123", "BC123", 1), ("KITTEN", "SITTING", 3)]
)
def test_edit_distance_of_known_pairs(one, other, edits):
    assert plates.edit_distance(one, other) == edits


@given(st.text(max_size=20))
def test_normalised_text_is_normalised_for_good(text):
    once = plates.normalised(text)
    assert plates.normalised(once) == once
    assert set(once) <= plates.PLATE_CHARACTERS


def test_look_alikes_are_equal_after_folding():
    assert plates.similarity_ratio("O0I1", "0O11") == 1.0
    assert plates.similarity_ratio("ABC", "XYZ") == 0.0
    assert plates.similarity_ratio("", "") == 1.0


@given(texts, texts)
def test_alignment_partners_ascend_and_are_within(pivot, other):
    partners = [one for one in plates.aligned(pivot, other) if one is not None]
    assert partners == sorted(set(partners))
    assert all(0 <= one < len(other) for one in partners)


def test_alignment_finds_the_missing_and_the_surplus_character():
    assert plates.aligned("7ABC123", "ABC123") == [None, 0, 1, 2, 3, 4, 5]
    assert plates.aligned("7ABC123", "77ABC123")[1:] == [2, 3, 4, 5, 6, 7]
    assert plates.aligned("A0B", "AOB") == [0, 1, 2]

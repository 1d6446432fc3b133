import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_readings import a_reading

from firmware.voting import vote

texts = st.text(string.ascii_uppercase + string.digits, max_size=10)
regions = st.none() | st.sampled_from(["US-CA", "US-NV"])
sights = st.lists(st.tuples(texts, st.floats(0.0, 1.0), regions), min_size=1, max_size=6)
quick = settings(max_examples=60, deadline=None)


def readings_of(seen):
    return [a_reading(text, number=number, score=score, region=region) for number, (text, score, region) in seen]


def test_votes_outvote_a_misread_character():
    verdict = vote([a_reading("7ABC123"), a_reading("7A8C123", score=0.6), a_reading("7ABC123", score=0.8)])
    assert verdict.text == "7ABC123"
    assert verdict.agreeing == 2
    assert verdict.character_scores[2] < min(verdict.character_scores[:2])


def test_the_score_is_the_weighted_mean_of_those_who_agree():
    verdict = vote([a_reading("7ABC123", score=0.9), a_reading("7A8C123", score=0.6), a_reading("7ABC123", score=0.8)])
    assert verdict.score_ratio == pytest.approx((0.9**2 + 0.8**2) / (0.9 + 0.6 + 0.8))


def test_a_frame_that_lost_a_character_does_not_shift_the_vote():
    verdict = vote([a_reading("ABC123", score=0.8), a_reading("7ABC123"), a_reading("7ABC123", score=0.7)])
    assert verdict.text == "7ABC123"
    assert min(verdict.character_scores[1:]) > verdict.character_scores[0]


def test_a_confident_reading_outweighs_two_that_are_not():
    seen = [a_reading("ABC123", score=0.95), a_reading("A8C128", score=0.2), a_reading("A8C128", score=0.2)]
    assert vote(seen).text == "ABC123"


def test_sure_characters_do_not_make_a_guess_of_a_text_sure():
    """Characters are compared with their rivals; the probability of the whole text is another matter."""
    assert vote([a_reading("P07", score=0.07, scores=(0.83, 1.0, 1.0))]).score_ratio == pytest.approx(0.07)


def test_a_text_that_no_frame_read_whole_has_no_word_for_it():
    verdict = vote([a_reading("7ABC12B", score=0.6), a_reading("7A8C123", score=0.6), a_reading("TABC123", score=0.6)])
    assert verdict.text == "7ABC123"
    assert (verdict.agreeing, verdict.score_ratio) == (0, 0.0)


def test_no_readings_say_nothing():
    verdict = vote([])
    assert (verdict.text, verdict.character_scores, verdict.agreeing, verdict.score_ratio) == ("", (), 0, 0.0)
    assert verdict.region is None


@quick
@given(sights)
def test_any_readings_give_a_verdict_in_bounds(seen):
    verdict = vote(readings_of(enumerate(seen)))
    assert len(verdict.character_scores) == len(verdict.text)
    ratios = (verdict.score_ratio, verdict.region_score_ratio, *verdict.character_scores)
    assert all(0.0 <= ratio <= 1.0 for ratio in ratios)
    assert verdict.agreeing == sum(text == verdict.text for text, _, _ in seen)


@quick
@given(st.data(), sights)
def test_the_order_of_the_frames_decides_nothing(data, seen):
    shuffled = data.draw(st.permutations(seen))
    assert vote(readings_of(enumerate(shuffled))) == vote(readings_of(enumerate(seen)))


@quick
@given(texts.filter(bool), st.lists(st.floats(0.05, 1.0), min_size=1, max_size=6))
def test_unanimous_readings_are_the_verdict_and_worth_their_mean_at_least(text, scores):
    verdict = vote([a_reading(text, number=number, score=score) for number, score in enumerate(scores)])
    assert (verdict.text, verdict.agreeing) == (text, len(scores))
    assert sum(scores) / len(scores) - 1e-9 <= verdict.score_ratio <= max(scores) + 1e-9


@quick
@given(texts.filter(bool), texts.filter(bool), st.floats(0.3, 1.0), st.floats(0.05, 0.3))
def test_a_dissenter_never_makes_the_others_surer(text, other, score, dissent):
    agreed = [a_reading(text, number=number, score=score) for number in range(2)]
    verdict = vote([*agreed, a_reading(other, number=2, score=dissent)])
    assert verdict.text == text
    assert verdict.score_ratio <= vote(agreed).score_ratio + 1e-9


def test_a_region_needs_two_readings_and_weight():
    assert vote([a_reading("ABC123"), a_reading("ABC123")]).region == "US-CA"
    assert vote([a_reading("ABC123"), a_reading("ABC123", region=None)]).region is None
    assert vote([a_reading("ABC123"), a_reading("ABC123", region="US-NV")]).region is None
    few = [a_reading("ABC123")] * 2 + [a_reading("ABC123", region=None)] * 4
    assert vote(few).region is None
    assert vote(few).region_score_ratio == 0.0

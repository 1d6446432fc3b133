"""Holding reads against the truth: who is captured, read, false and double."""

import pytest

from hw_sim.scoring import Passed, Score, Told, scored


def vehicle(text, from_s=10.0, to_s=10.4, region="US-CA"):
    return Passed(text=text, region=region, from_s=from_s, to_s=to_s)


def told(text, from_s=10.0, to_s=10.4, region="US-CA", *, partial=False):
    return Told(text=text, region=region, from_s=from_s, to_s=to_s, partial=partial)


def test_a_right_read_is_captured_read_and_of_the_right_state():
    assert scored([vehicle("7ABC123")], [told("7ABC123")]) == Score(
        passes=1, captured=1, read=1, read_folded=1, state_right=1
    )


def test_a_vehicle_without_a_read_only_passes():
    assert scored([vehicle("7ABC123")], []) == Score(passes=1)


def test_a_sure_misread_is_captured_and_wrong_and_a_partial_one_is_not():
    assert scored([vehicle("7ABC123")], [told("7ABC128")]) == Score(passes=1, captured=1, wrong=1, state_right=1)
    assert scored([vehicle("7ABC123")], [told("7ABC128", partial=True)]).wrong == 0


def test_o_for_0_is_right_only_when_folded():
    score = scored([vehicle("O1HIO")], [told("01HI0")])
    assert (score.read, score.read_folded, score.wrong) == (0, 1, 0)


def test_lettering_and_reads_of_another_time_are_false_plates():
    assert scored([vehicle("7ABC123")], [told("FORD")]).false_plates == 1
    assert scored([vehicle("7ABC123")], [told("7ABC123", 12.0, 12.4)]) == Score(passes=1, false_plates=1)


def test_a_plate_that_was_not_legible_is_captured_and_not_read():
    assert scored([vehicle("7ABC123")], [told("", partial=True, region=None)]) == Score(passes=1, captured=1, partial=1)
    assert scored([vehicle("7ABC123")], [told("", 14.0, 14.2, partial=True)]).false_plates == 1


def test_reads_of_vehicles_that_do_not_count_are_left_out():
    score = scored([vehicle("7ABC123")], [told("8XYZ98")], others=[vehicle("8XYZ987")])
    assert score == Score(passes=1)


def test_a_second_read_of_a_vehicle_is_a_duplicate_and_the_best_one_counts():
    score = scored([vehicle("7ABC123")], [told("7ABC128"), told("7ABC123")])
    assert (score.captured, score.read, score.duplicates) == (1, 1, 1)


def test_two_vehicles_in_view_keep_their_own_reads():
    passed = [vehicle("7ABC123"), vehicle("8XYZ987", 10.2, 10.6)]
    score = scored(passed, [told("8XYZ987", 10.2, 10.6), told("7ABC123")])
    assert (score.captured, score.read, score.duplicates, score.false_plates) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("answer", "expected"), [("US-CA", (1, 0)), ("US-NV", (0, 1)), (None, (0, 0))], ids=["right", "wrong", "none"]
)
def test_states_count_where_they_are_answered(answer, expected):
    score = scored([vehicle("7ABC123")], [told("7ABC123", region=answer)])
    assert (score.state_right, score.state_wrong) == expected


def test_scores_add_up():
    one = scored([vehicle("7ABC123")], [told("7ABC123")])
    assert one + one == Score(passes=2, captured=2, read=2, read_folded=2, state_right=2)

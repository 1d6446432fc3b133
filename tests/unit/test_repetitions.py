import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_readings import a_drive, a_frame, a_reading

from firmware.repetitions import (
    HIDDEN_S,
    PARKED_REPEAT_S,
    REMEMBERED_AT_MOST,
    REPEAT_S,
    Repetitions,
    is_one_plate,
)
from firmware.trails import Trail
from firmware.voting import vote

WELL, BADLY = (0.95,) * 7, (0.6,) * 7


def noticed(repetitions, sights):
    """Show the sights of one trail; return whether it is a repetition."""
    (number, first), *others = sights.items()
    trail = Trail.begun(a_frame(number), first)
    for later, reading in others:
        trail.extend(a_frame(later), reading)
    return repetitions.notice(trail, vote(trail.readings))


def standing(text, *, at_s, frames=3, **changes):
    begin = round(30 * at_s)
    return {n: a_reading(text, number=n, **changes) for n in range(begin, begin + frames)}


@pytest.mark.parametrize(
    ("one", "other", "scores", "is_one"),
    [
        ("7ABC123", "7ABC123", WELL, True),
        ("7ABC1O3", "7ABC103", WELL, True),
        ("7ABC123", "7ABC12", WELL, True),
        ("7ABC123", "ABC123", WELL, True),
        ("7ABC123", "7ABC124", WELL, False),
        ("7ABC123", "7ABC124", BADLY, True),
        ("7ABC123", "7ABC134", BADLY, False),
        ("7ABC123", "ABC124", BADLY, False),
        ("7ABC123", "7ABC1", BADLY, False),
    ],
)
def test_neighbours_in_a_number_range_are_two_plates_where_they_differ_surely(one, other, scores, is_one):
    assert is_one_plate(one, scores[: len(one)], other, scores[: len(other)]) is is_one
    assert is_one_plate(other, scores[: len(other)], one, scores[: len(one)]) is is_one


def test_only_the_character_that_differs_must_be_sure():
    doubtful_elsewhere = (0.3, *WELL[1:])
    assert not is_one_plate("7ABC123", doubtful_elsewhere, "7ABC124", WELL)


def test_the_rest_of_a_broken_track_is_a_repetition_wherever_it_is():
    repetitions, drive = Repetitions(), a_drive(["7ABC123"], mph=25)
    whole = list(drive.items())
    assert not noticed(repetitions, dict(whole[:8]))
    assert noticed(repetitions, dict(whole[-6:]))


def test_a_misread_rest_of_a_track_is_a_repetition_and_the_next_of_a_convoy_is_not():
    for late_s in (0.0, 2.0):
        repetitions = Repetitions()
        whole = list(a_drive(["7ABC123"], mph=25, score=0.6).items())
        assert not noticed(repetitions, dict(whole[:8]))
        other = list(a_drive(["7ABC124"], mph=25, score=0.6, start_s=late_s).items())
        rest = other[-6:] if late_s == 0.0 else other
        assert noticed(repetitions, dict(rest)) is (late_s == 0.0)


def test_the_piece_of_a_plate_that_came_into_the_picture_first_is_a_repetition():
    repetitions = Repetitions()
    assert not noticed(repetitions, a_drive(["262234Y"], mph=75))
    assert noticed(repetitions, {0: a_reading("234Y", y_px=980.0)})
    assert not noticed(repetitions, {0: a_reading("34", y_px=980.0)})


def test_the_same_plate_after_the_window_is_a_new_passage():
    repetitions = Repetitions()
    assert not noticed(repetitions, a_drive(["7ABC123"], mph=45))
    assert noticed(repetitions, a_drive(["7ABC123"], mph=45, start_s=REPEAT_S - 1.0))
    assert not noticed(repetitions, a_drive(["7ABC123"], mph=45, start_s=2.5 * REPEAT_S))


def test_a_parked_plate_is_reported_once_in_ten_minutes_whatever_passes_in_between():
    repetitions, reports_s = Repetitions(), []
    for minute in range(31):
        at_s = 60.0 * minute
        if not noticed(repetitions, standing("4XYZ987", at_s=at_s, x_px=200.0)):
            reports_s.append(at_s)
        for passing in range(10):
            text = f"{minute:02d}AB{passing:02d}0"
            assert not noticed(repetitions, a_drive([text], mph=45, start_s=at_s + 5 + 2 * passing))
    assert reports_s == [0.0, 660.0, 1320.0]  # the first minute that begins 600 s after the report's end


def test_a_parked_plate_that_is_misread_at_times_is_still_the_parked_one():
    repetitions = Repetitions()
    assert not noticed(repetitions, standing("4XYZ987", at_s=0.0))
    assert noticed(repetitions, standing("4XYZ98", at_s=100.0))
    assert noticed(repetitions, standing("4XYZ9B7", at_s=200.0, score=0.6))
    assert not noticed(repetitions, standing("7ABC123", at_s=300.0))


def test_a_vehicle_that_leaves_where_it_was_parked_was_reported():
    repetitions = Repetitions()
    assert not noticed(repetitions, standing("4XYZ987", at_s=0.0, x_px=658.0, y_px=980.0, w_px=163.0))
    leaving = {
        9000 + n: a_reading("4XYZ987", number=9000 + n, x_px=658.0, y_px=980.0 - 40 * n, w_px=163.0 - 4 * n)
        for n in range(9)
    }
    assert noticed(repetitions, leaving)
    assert not noticed(repetitions, a_drive(["4XYZ987"], mph=45, start_s=400.0))


def test_what_nobody_can_read_is_repeated_by_place_and_time():
    repetitions = Repetitions()
    drive = list(a_drive([""], mph=45).items())
    assert not noticed(repetitions, dict(drive[:6]))
    assert noticed(repetitions, dict(drive[7:]))
    assert not noticed(repetitions, a_drive([""], mph=45, start_s=HIDDEN_S + 1.0))


def test_the_memory_is_bounded_and_forgets_the_oldest():
    repetitions = Repetitions()
    for number in range(REMEMBERED_AT_MOST + 10):
        assert not noticed(repetitions, standing(f"A{number:05d}", at_s=100.0 + number / 30, frames=1))
    assert len(repetitions._reported) == REMEMBERED_AT_MOST
    noticed(repetitions, standing("7ABC123", at_s=200.0 + PARKED_REPEAT_S))
    assert len(repetitions._reported) == 1


@settings(max_examples=60, deadline=None)
@given(st.text("AB01O", max_size=8), st.text("AB01O", max_size=8), st.floats(0, 1))
def test_being_one_plate_has_no_order(one, other, score):
    one_scores, other_scores = (score,) * len(one), (0.9,) * len(other)
    assert is_one_plate(one, one_scores, other, other_scores) == is_one_plate(other, other_scores, one, one_scores)
    assert is_one_plate(one, one_scores, one, one_scores)

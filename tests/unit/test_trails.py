"""Which readings belong to one plate: the geometry of a vehicle that drives through the picture."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_readings import a_drive, a_frame, a_reading

from firmware.records import Direction
from firmware.trails import (
    LONGEST_TRACK_S,
    PATIENCE_WITHOUT_AGREEMENT,
    SIGHTS_AT_MOST,
    UNSEEN_S,
    VOTES_AT_MOST,
    Trail,
    distance_widths,
)


def followed(drive):
    """Return a trail of all sights of `drive`, and how far in widths each lay from where it was expected."""
    (number, first), *others = drive.items()
    trail, misses = Trail.begun(a_frame(number), first), []
    for number, reading in others:
        misses.append(distance_widths(trail.expected(reading.at_s)[0], reading.box))
        assert trail.affinity(reading) > 0.0
        trail.extend(a_frame(number), reading)
    return trail, misses


@pytest.mark.parametrize("away", [True, False])
@pytest.mark.parametrize("mph", [5, 25, 45, 60, 75, 100])
def test_a_plate_is_expected_where_perspective_brings_it(mph, away):
    trail, misses = followed(a_drive(["7ABC123"], mph=mph, away=away))
    assert trail.count >= 5
    assert max(misses[1:]) < 0.12
    if mph == 75:  # a constant speed in the picture would miss by more
        first, second, third = list(trail.sights)[:3]
        straight_px = tuple(
            2 * b + d - (a + c)
            for a, b, c, d in [
                (first.box.x_px, second.box.x_px, first.box.w_px / 2, second.box.w_px),
                (first.box.y_px, second.box.y_px, first.box.h_px / 2, second.box.h_px),
            ]
        )
        assert distance_widths(straight_px, third.box) > 1.5 * misses[1]


@pytest.mark.parametrize("missing", [(1,), (1, 2), (2, 3), (1, 3, 5)])
@pytest.mark.parametrize("mph", [5, 45, 75, 100])
def test_a_shaking_box_and_missing_frames_do_not_break_a_trail(mph, missing):
    for seed in range(10):
        drive = a_drive(["7ABC123"], mph=mph, missing=missing, jitter=np.random.default_rng(seed))
        trail, _ = followed(drive)
        assert trail.count == len(drive)


@pytest.mark.parametrize(("away", "direction"), [(True, Direction.AWAY), (False, Direction.TOWARDS)])
@pytest.mark.parametrize("mph", [5, 45, 100])
def test_direction_is_told_by_place_and_size(mph, away, direction):
    for seed in range(5):
        trail, _ = followed(a_drive(["7ABC123"], mph=mph, away=away, jitter=np.random.default_rng(seed)))
        assert trail.direction() is direction


def test_no_direction_is_told_of_one_sight_nor_of_what_stands_nor_of_a_contradiction():
    assert Trail.begun(a_frame(0), a_reading("7ABC123")).direction() is None
    standing = {n: a_reading("7ABC123", number=n, x_px=600.0 + n % 2) for n in range(30)}
    assert followed(standing)[0].direction() is None
    contradiction = {n: a_reading("7ABC123", number=n, y_px=500.0 - 30 * n, w_px=140.0 + 6 * n) for n in range(6)}
    assert followed(contradiction)[0].direction() is None


def test_a_misread_frame_right_where_the_plate_must_be_is_the_same_plate():
    texts = ["7ABC123", "7ABC123", "LIIJL", "", "7ABC123"]
    trail, _ = followed(a_drive(texts, mph=60))
    assert trail.texts["7ABC123"] >= 4
    assert trail.frames_read < trail.count


def test_another_text_later_at_the_same_place_is_another_vehicle():
    trail = Trail.begun(a_frame(0), a_reading("7ABC123"))
    trail.extend(a_frame(1), a_reading("7ABC123", number=1))
    assert trail.affinity(a_reading("4XYZ987", number=2)) > 0.0
    assert trail.affinity(a_reading("4XYZ987", number=15)) == 0.0


def test_a_like_text_where_the_vehicle_cannot_be_is_another_vehicle():
    """The next of a convoy, one number on, begins where this one began while this one is already far ahead."""
    drive = a_drive(["7ABC123"], mph=45)
    trail, _ = followed(drive)
    begin = next(iter(drive.values()))
    for delay in (1, 10, 20):
        number = trail.last.frame_number + delay
        at_begin = {"number": number, "x_px": begin.box.x_px, "y_px": begin.box.y_px, "w_px": begin.box.w_px}
        assert trail.affinity(a_reading("7ABC124", **at_begin)) == 0.0


def test_what_is_twice_as_large_is_no_next_sight():
    trail = Trail.begun(a_frame(0), a_reading("7ABC123", w_px=140.0))
    assert trail.affinity(a_reading("7ABC123", number=1, x_px=530.0, w_px=280.0)) == 0.0


def test_one_frame_has_one_sight_of_a_plate():
    trail = Trail.begun(a_frame(0), a_reading("7ABC123"))
    assert trail.affinity(a_reading("7ABC123", x_px=610.0)) == 0.0


def test_a_trail_waits_longer_until_two_readings_agree():
    trail = Trail.begun(a_frame(0), a_reading("7ABC123"))
    assert trail.ends_s == pytest.approx(PATIENCE_WITHOUT_AGREEMENT * UNSEEN_S)
    trail.extend(a_frame(1), a_reading("7A8C123", number=1))
    assert trail.ends_s == pytest.approx(1 / 30 + PATIENCE_WITHOUT_AGREEMENT * UNSEEN_S)
    trail.extend(a_frame(2), a_reading("7ABC123", number=2))
    assert trail.ends_s == pytest.approx(2 / 30 + UNSEEN_S)
    for number in range(3, 200):
        trail.extend(a_frame(number), a_reading("7ABC123", number=number))
    assert trail.ends_s == LONGEST_TRACK_S


def test_a_vehicle_that_stands_does_not_fill_the_memory():
    trail = Trail.begun(a_frame(0), a_reading("7ABC123"))
    for number in range(1, 1000):
        trail.extend(a_frame(number), a_reading("7ABC123", number=number))
    assert len(trail.sights) == SIGHTS_AT_MOST
    assert len(trail.readings) == VOTES_AT_MOST
    assert trail.frames_read == trail.count == 1000


def test_the_aspect_is_taken_along_the_plate_s_own_edges():
    tilted = a_reading("7ABC123", w_px=120.0, aspect=1.0)
    corners = ((600.0, 500.0), (704.0, 560.0), (678.0, 605.0), (574.0, 545.0))  # 2.3 : 1, turned by 30 degrees
    box = type(tilted.box)(x_px=574.0, y_px=500.0, w_px=130.0, h_px=105.0, score_ratio=0.9, corners_px=corners)
    turned = type(tilted)(
        frame_number=0, at_s=0.0, box=box, characters=(), score_ratio=0.5, region=None, region_score_ratio=0.0
    )
    assert Trail.begun(a_frame(0), tilted).aspect_ratio == pytest.approx(1.0)
    assert Trail.begun(a_frame(0), turned).aspect_ratio == pytest.approx(2.31, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-200, 1600), st.floats(-200, 1200), st.floats(0, 900), st.floats(0, 0.5)),
        min_size=1,
        max_size=6,
    )
)
@example([(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.2e-311)])
def test_no_boxes_break_the_prediction(boxes):
    at_s, trail = 0.0, None
    for x_px, y_px, w_px, later_s in boxes:
        at_s += later_s
        reading = a_reading("7ABC123", number=at_s * 30, x_px=x_px, y_px=y_px, w_px=w_px)
        if trail is None:
            trail = Trail.begun(a_frame(0), reading)
        else:
            assert 0.0 <= trail.affinity(reading) <= 2.0
            trail.extend(a_frame(0), reading)
        (x_expected_px, y_expected_px), width_px = trail.expected(at_s + 0.1)
        assert np.isfinite([x_expected_px, y_expected_px]).all()
        assert 0.0 < width_px < 1e4
        trail.direction()

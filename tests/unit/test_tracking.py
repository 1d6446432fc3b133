import string

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import plates
from firmware.records import Box, Character, Frame, PlateText, Reading
from firmware.stage import NEVER_S
from firmware.tracking import EVIDENCE_BYTES, LONGEST_TRACK_S, UNSEEN_S, Tracker, evidence_jpeg, plate_crop
from firmware.voting import vote

texts = st.text(string.ascii_uppercase + string.digits, max_size=10)


def a_reading(text, *, number=0, x_px=300.0, y_px=200.0, w_px=140.0, score=0.9, region="US-CA", scores=None):
    return Reading(
        frame_number=number,
        at_s=number / 8,
        box=Box(x_px=x_px, y_px=y_px, w_px=w_px, h_px=w_px / 2, score_ratio=0.9),
        characters=tuple(Character(char, scores[i] if scores else score) for i, char in enumerate(text)),
        score_ratio=score,
        region=region,
        region_score_ratio=0.9 if region else 0.0,
    )


def a_frame(number, image=None, **changes):
    fields = {"taken_utc_ms": 1_000_000 + number * 125, "clock_trusted": True, "infrared": False} | changes
    picture = np.full((720, 1280, 3), 90, np.uint8) if image is None else image
    return Frame(number=number, at_s=number / 8, image=picture, exposure_us=200.0, gain=1.0, **fields)


def a_tracker():
    return Tracker(reporting_score_ratio=0.5)


def seen(tracker, sights):
    """Show the tracker {frame number: readings} in order; return all passages, the last tracks ended."""
    passages = []
    for number, readings in sorted(sights.items()):
        passages += tracker.see(a_frame(number), readings)
    return passages + tracker.end_all()


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
    assert plates.similarity_ratio("O0I1", "0OL1".replace("L", "1")) == 1.0
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


def test_votes_outvote_a_misread_character():
    verdict = vote([a_reading("7ABC123"), a_reading("7A8C123", score=0.6), a_reading("7ABC123", score=0.8)])
    assert verdict.text == "7ABC123"
    assert verdict.character_scores[2] < min(verdict.character_scores[:2])
    assert verdict.score_ratio == min(verdict.character_scores)


def test_a_frame_that_lost_a_character_does_not_shift_the_vote():
    verdict = vote([a_reading("ABC123", score=0.8), a_reading("7ABC123"), a_reading("7ABC123", score=0.7)])
    assert verdict.text == "7ABC123"
    assert min(verdict.character_scores[1:]) > verdict.character_scores[0]


def test_a_confident_reading_outweighs_two_that_are_not():
    assert (
        vote([a_reading("ABC123", score=0.95), a_reading("A8C128", score=0.2), a_reading("A8C128", score=0.2)]).text
        == "ABC123"
    )


@given(st.lists(st.tuples(texts, st.floats(0.0, 1.0)), min_size=1, max_size=6))
def test_any_readings_give_a_verdict_in_bounds(sights):
    verdict = vote([a_reading(text, score=score) for text, score in sights])
    assert len(verdict.character_scores) == len(verdict.text)
    assert all(
        0.0 <= score <= 1.0 for score in (verdict.score_ratio, verdict.region_score_ratio, *verdict.character_scores)
    )


@given(texts.filter(bool), st.floats(0.05, 1.0))
def test_one_reading_is_its_own_verdict(text, score):
    verdict = vote([a_reading(text, score=score)])
    assert verdict.text == text
    assert verdict.score_ratio == pytest.approx(score)


def test_sure_characters_do_not_make_a_guess_of_a_text_sure():
    """Characters are compared with their rivals; the probability of the whole text is another matter."""
    assert vote([a_reading("P07", score=0.07, scores=(0.83, 1.0, 1.0))]).score_ratio == 0.07


def test_a_text_that_no_frame_read_whole_is_as_good_as_the_average_frame():
    verdict = vote([a_reading("7ABC12B", score=0.6), a_reading("7A8C123", score=0.6), a_reading("TABC123", score=0.6)])
    assert verdict.text == "7ABC123"
    assert verdict.score_ratio <= 0.6


def test_a_region_needs_more_than_half_of_the_weight():
    assert vote([a_reading("ABC123"), a_reading("ABC123")]).region == "US-CA"
    assert vote([a_reading("ABC123"), a_reading("ABC123", region="US-NV")]).region is None
    assert vote([a_reading("ABC123", region=None)]).region is None


def test_one_vehicle_is_one_passage():
    tracker = a_tracker()
    sights = {n: [a_reading("7ABC123", number=n, x_px=200.0 + 20 * n, y_px=400.0 - 25 * n)] for n in range(6)}
    (passage,) = seen(tracker, sights)
    assert passage.plate == PlateText("7ABC123")
    assert (passage.first_utc_ms, passage.last_utc_ms, passage.frames) == (1_000_000, 1_000_625, 6)
    assert passage.region == "US-CA"
    assert passage.plate_jpeg.startswith(b"\xff\xd8")


def test_a_fast_plate_is_followed_over_several_widths():
    sights = {n: [a_reading("7ABC123", number=n, x_px=100.0 + 420 * n, w_px=130.0)] for n in range(3)}
    (passage,) = seen(a_tracker(), sights)
    assert passage.frames == 3


def test_two_vehicles_side_by_side_are_two_passages():
    sights = {
        n: [a_reading("7ABC123", number=n, x_px=100), a_reading("4XYZ987", number=n, x_px=700, score=0.8)]
        for n in range(4)
    }
    passages = seen(a_tracker(), sights)
    assert {passage.plate.text for passage in passages} == {"7ABC123", "4XYZ987"}
    assert all(passage.frames == 4 for passage in passages)


def test_another_plate_at_the_same_place_is_another_vehicle():
    sights = {0: [a_reading("7ABC123")], 1: [a_reading("7ABC123", number=1)], 4: [a_reading("4XYZ987", number=4)]}
    assert [passage.plate.text for passage in seen(a_tracker(), sights)] == ["7ABC123", "4XYZ987"]


def test_a_passage_ends_when_the_plate_is_unseen_and_not_before():
    tracker = a_tracker()
    tracker.see(a_frame(0), [a_reading("7ABC123")])
    assert tracker.next_end_s() == UNSEEN_S
    assert tracker.end_unseen(UNSEEN_S - 0.01) == []
    assert len(tracker.end_unseen(UNSEEN_S)) == 1
    assert tracker.next_end_s() == NEVER_S


def test_a_plate_hidden_for_a_moment_is_reported_once():
    tracker = a_tracker()
    sights = {0: [a_reading("7ABC123")], 20: [a_reading("7ABC12", number=20)], 50: [a_reading("7ABC123", number=50)]}
    assert len(seen(tracker, sights)) == 1
    assert tracker.repeated == 2


def test_neighbours_in_a_number_range_are_two_vehicles_when_both_are_read_well():
    well = {n: [a_reading("7ABC123", number=n)] for n in range(3)}
    well |= {20 + n: [a_reading("7ABC124", number=20 + n)] for n in range(3)}
    assert [passage.plate.text for passage in seen(a_tracker(), well)] == ["7ABC123", "7ABC124"]
    badly = {0: [a_reading("7ABC123")], 20: [a_reading("7ABC124", number=20, score=0.7)]}
    assert len(seen(a_tracker(), badly)) == 1


def test_a_vehicle_that_stands_is_reported_soon_and_once():
    tracker = a_tracker()
    passages = {n: tracker.see(a_frame(n), [a_reading("7ABC123", number=n)]) for n in range(800)}
    reported = [n for n, ended in passages.items() if ended]
    assert len(reported) == 1
    assert reported[0] / 8 <= LONGEST_TRACK_S + 0.5
    assert tracker.end_all() == []


def test_the_same_plate_elsewhere_or_later_is_reported_again():
    elsewhere = {0: [a_reading("7ABC123", x_px=0)], 20: [a_reading("7ABC123", number=20, x_px=1000)]}
    later = {0: [a_reading("7ABC123")], 60: [a_reading("7ABC123", number=60)]}
    assert len(seen(a_tracker(), elsewhere)) == 2
    assert len(seen(a_tracker(), later)) == 2


@pytest.mark.parametrize("text", ["", "7", "7ABC123"])
def test_what_is_not_worth_a_read_is_counted(text):
    tracker = a_tracker()
    assert seen(tracker, {0: [a_reading(text, score=0.3 if len(text) > 1 else 0.9)]}) == []
    assert tracker.below_reporting == 1


def test_one_doubtful_character_makes_the_plate_doubtful():
    tracker = a_tracker()
    assert seen(tracker, {0: [a_reading("ABC", scores=(0.99, 0.4, 0.99))]}) == []
    assert tracker.below_reporting == 1


@pytest.mark.parametrize(("x_px", "y_px"), [(-30.0, 200.0), (1200.0, 200.0), (300.0, 690.0), (300.0, -20.0)])
def test_a_plate_that_the_picture_cuts_does_not_vote(x_px, y_px):
    tracker = a_tracker()
    assert seen(tracker, {0: [a_reading("P07", x_px=x_px, y_px=y_px)]}) == []
    assert tracker.cut == 1


def test_the_evidence_is_the_best_read_frame():
    tracker, bright = a_tracker(), np.full((720, 1280, 3), 230, np.uint8)
    tracker.see(a_frame(0), [a_reading("7ABC123", score=0.6)])
    tracker.see(a_frame(1, bright), [a_reading("7ABC123", number=1, score=0.95)])
    tracker.see(a_frame(2), [a_reading("7ABC123", number=2, score=0.7)])
    (passage,) = tracker.end_all()
    picture = cv2.imdecode(np.frombuffer(passage.plate_jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.mean() > 200


def test_a_clock_that_was_not_trusted_once_is_not_trusted():
    tracker = a_tracker()
    tracker.see(a_frame(0, clock_trusted=False), [a_reading("7ABC123")])
    tracker.see(a_frame(1), [a_reading("7ABC123", number=1)])
    (passage,) = tracker.end_all()
    assert not passage.clock_trusted


def test_a_vehicle_that_stands_does_not_fill_the_memory():
    tracker = a_tracker()
    seen(tracker, {n: [a_reading("7ABC123", number=n)] for n in range(2)})
    for number in range(2, 300):
        tracker.see(a_frame(number), [a_reading("7ABC123", number=number)])
    assert len(tracker._tracks[0].readings) <= 40


@given(st.floats(-500, 2000), st.floats(-500, 2000), st.floats(0.1, 3000), st.floats(0.1, 3000))
def test_any_box_gives_a_crop_inside_the_picture(x_px, y_px, w_px, h_px):
    picture = np.zeros((120, 160, 3), np.uint8)
    crop = plate_crop(picture, Box(x_px=x_px, y_px=y_px, w_px=w_px, h_px=h_px, score_ratio=1.0))
    assert 1 <= crop.shape[0] <= 120
    assert 1 <= crop.shape[1] <= 160


def test_evidence_stays_within_the_data_budget():
    noise = np.random.default_rng(1).integers(0, 255, (400, 800, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (9, 9), 3)
    assert 0 < len(evidence_jpeg(smooth)) <= EVIDENCE_BYTES
    assert len(evidence_jpeg(noise)) <= EVIDENCE_BYTES

import itertools

import cv2
import numpy as np
import pytest
from made_readings import PICTURE, START_UTC_MS, a_drive, a_frame, a_reading

from firmware.records import Direction, PlateText
from firmware.stage import NEVER_S
from firmware.tracking import TRAILS_AT_MOST, Tracker
from firmware.trails import LONGEST_TRACK_S, PATIENCE_WITHOUT_AGREEMENT, UNSEEN_S


def a_tracker():
    return Tracker(reporting_score_ratio=0.7)


def seen(tracker, *drives, until=None):
    """Show the tracker several {frame number: reading} at once, frame by frame; return all passages."""
    last = max((number for drive in drives for number in drive), default=0) if until is None else until
    passages = []
    for number in range(last + 1):
        passages += tracker.see(a_frame(number), [drive[number] for drive in drives if number in drive])
    return passages + tracker.end_all()


def texts_of(passages):
    return [passage.plate.text if passage.plate else None for passage in passages]


@pytest.mark.parametrize("mph", [5, 25, 45, 60, 75, 100])
def test_one_vehicle_is_one_passage_at_any_speed(mph):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        drive = a_drive(["7ABC123", "7ABC123", "7A8C123"], mph=mph, missing=(3,), jitter=rng)
        (passage,) = seen(a_tracker(), drive)
        assert passage.plate == PlateText("7ABC123")
        assert passage.frames == len(drive)
        assert passage.direction is Direction.AWAY
        assert passage.region == "US-CA"
        assert passage.picture.data[4:12] == b"ftypavif"
        assert passage.first_utc_ms == START_UTC_MS + round(1000 * min(drive) / 30)
        assert passage.last_utc_ms == START_UTC_MS + round(1000 * max(drive) / 30)


def test_an_agreed_read_is_not_partial_and_a_doubtful_one_is():
    assert not seen(a_tracker(), a_drive(["7ABC123"], mph=75))[0].partial
    assert seen(a_tracker(), a_drive(["7ABC123"], mph=75, score=0.6))[0].partial
    quarrel = a_drive(["7ABC123", "7A8C123", "7ABC12B", "TABC123", "7ABG123", "1ABC123", "7ABC129", "ZABC123"], mph=75)
    assert all(passage.partial for passage in seen(a_tracker(), quarrel))


def test_one_frame_is_partial_at_best_and_nothing_if_it_is_not_surely_a_plate():
    (passage,) = seen(a_tracker(), {0: a_reading("7ABC123", score=0.95, detection=0.9)})
    assert passage.partial
    assert passage.region is None
    for doubt in ({"score": 0.75}, {"detection": 0.6}, {"aspect": 1.1}):
        tracker = a_tracker()
        assert seen(tracker, {0: a_reading("7ABC123", **doubt)}) == []
        assert tracker.below_reporting == 1


@pytest.mark.parametrize("text", ["7", "AB", "ABCDEFGH1234"])
def test_what_is_as_long_as_no_plate_is_no_doubtful_one(text):
    standing = {n: a_reading(text, number=n, score=0.6) for n in range(5)}
    assert seen(a_tracker(), standing) == []


def test_lettering_that_reads_otherwise_in_each_frame_is_no_plate():
    drive = a_drive(["BOLT", "80LT", "BOIT", "B0I7"], mph=45, score=0.4, detection=0.6)
    assert seen(a_tracker(), drive) == []


@pytest.mark.parametrize("aspect", [0.8, 8.0])
def test_what_has_not_the_shape_of_a_plate_is_none_however_well_it_reads(aspect):
    assert seen(a_tracker(), a_drive(["TOYOTA"], mph=45, aspect=aspect)) == []


def test_lettering_beside_a_plate_is_not_a_second_vehicle():
    plate = a_drive(["7ABC123"], mph=45, score=0.9)
    above = a_drive(["TACOMA"], mph=45, lane_m=0.4, score=0.97)
    for drives in ((plate, above), (above, plate)):
        tracker = a_tracker()
        assert texts_of(seen(tracker, *drives)) == ["7ABC123"]
        assert tracker.beside == 1


@pytest.mark.parametrize("mph", [5, 25])
def test_lettering_that_was_read_before_its_plate_came_into_view_is_no_vehicle(mph):
    above = a_drive(["SUMMIT"], mph=mph, lane_m=-0.4, missing=range(6, 999))
    plate = a_drive(["RRJ7621"], mph=mph, missing=range(16))
    assert not above.keys() & plate.keys()
    tracker = a_tracker()
    assert texts_of(seen(tracker, above, plate)) == ["RRJ7621"]
    assert tracker.beside == 1


def test_a_vanity_plate_is_not_lost_to_the_vehicle_behind_it():
    for gap_s in (0.5, 0.8, 1.2):
        first, second = a_drive(["GOSURF"], mph=45), a_drive(["7ABC123"], mph=45, start_s=gap_s)
        assert texts_of(seen(a_tracker(), first, second)) == ["GOSURF", "7ABC123"]


def test_a_vanity_plate_is_not_lost_to_specks_beside_it():
    plate = a_drive(["GOSURF"], mph=45)
    for others in (["8"], ["25"], ["1034"]):
        specks = a_drive(others, mph=45, lane_m=0.4, score=0.5, detection=0.5, missing=range(2, 99))
        assert texts_of(seen(a_tracker(), plate, specks)) == ["GOSURF"]
        worse = a_drive(others, mph=45, lane_m=0.4, score=0.5)
        assert texts_of(seen(a_tracker(), plate, worse)) == ["GOSURF"]


def test_a_vanity_plate_alone_is_a_plate_and_a_model_name_on_a_vehicle_without_one_is_not():
    for mph in (5, 45, 75):
        assert texts_of(seen(a_tracker(), a_drive(["GOSURF"], mph=mph, detection=0.7))) == ["GOSURF"]
        for name in ("TRAVERSA", "N0MAD"):
            badge = a_drive([name], mph=mph, aspect=3.8, detection=0.57, score=0.99)
            assert seen(a_tracker(), badge) == []
        assert texts_of(seen(a_tracker(), a_drive(["1001"], mph=mph, detection=0.57))) == ["1001"]


def test_two_vehicles_side_by_side_are_two_passages():
    left, right = a_drive(["7ABC123"], mph=60, lane_m=-1.0), a_drive(["4XYZ987"], mph=65, lane_m=1.0)
    assert set(texts_of(seen(a_tracker(), left, right))) == {"7ABC123", "4XYZ987"}


def test_two_vehicles_one_right_behind_the_other_are_two_passages():
    for gap_s in (0.15, 0.4, 1.0, 2.0):
        first, second = a_drive(["7ABC123"], mph=45), a_drive(["7ABC124"], mph=45, start_s=gap_s)
        assert texts_of(seen(a_tracker(), first, second)) == ["7ABC123", "7ABC124"]


def test_an_overtaking_vehicle_does_not_swap_plates():
    slow, fast = a_drive(["7ABC123"], mph=25, lane_m=-0.5), a_drive(["7ABC128"], mph=75, start_s=0.3, lane_m=0.5)
    passages = seen(a_tracker(), slow, fast)
    assert sorted(texts_of(passages)) == ["7ABC123", "7ABC128"]
    assert [passage.frames for passage in sorted(passages, key=lambda one: one.plate.text)] == [len(slow), len(fast)]


def test_both_directions_at_once():
    away, towards = a_drive(["7ABC123"], mph=45, lane_m=0.8), a_drive(["4XYZ987"], mph=45, away=False, lane_m=-0.8)
    assert {passage.plate.text: passage.direction for passage in seen(a_tracker(), away, towards)} == {
        "7ABC123": Direction.AWAY,
        "4XYZ987": Direction.TOWARDS,
    }


def test_a_plate_that_nobody_can_read_is_a_vehicle_without_plate_if_it_went_by():
    (passage,) = seen(a_tracker(), a_drive(["", "I1", ""], mph=60, score=0.2, detection=0.85))
    assert passage.plate is None
    assert passage.partial
    assert (passage.score_ratio, passage.character_scores) == (0.0, ())
    assert passage.picture
    standing = {n: a_reading("", number=n) for n in range(90)}
    assert seen(a_tracker(), standing) == []


def test_what_is_found_often_is_a_plate_at_a_lower_score_than_what_is_found_seldom():
    def told(sights, detection):
        drive = a_drive(["", "I1", ""], mph=45, score=0.2, detection=detection, missing=range(sights, 99))
        assert len(drive) == sights
        return len(seen(a_tracker(), drive))

    assert [told(5, 0.8), told(5, 0.7), told(9, 0.7), told(9, 0.61)] == [1, 0, 1, 0]


def test_what_is_surely_a_plate_is_told_with_its_likeliest_text_though_frames_quarrel():
    texts = ["PU770B", "PU7706", "PU77O", "FU7706"]
    (passage,) = seen(a_tracker(), a_drive(texts, mph=75, score=0.5, detection=0.8))
    assert (passage.partial, passage.plate) == (True, PlateText("PU7706"))
    assert seen(a_tracker(), a_drive(texts, mph=75, score=0.5, detection=0.5)) == []


def test_a_passage_ends_when_the_plate_is_unseen_and_not_before():
    tracker = a_tracker()
    tracker.see(a_frame(0), [a_reading("7ABC123")])
    assert tracker.next_end_s() == pytest.approx(PATIENCE_WITHOUT_AGREEMENT * UNSEEN_S)
    tracker.see(a_frame(1), [a_reading("7ABC123", number=1)])
    end_s = 1 / 30 + UNSEEN_S
    assert tracker.next_end_s() == pytest.approx(end_s)
    assert tracker.end_unseen(end_s - 0.01) == []
    assert len(tracker.end_unseen(end_s + 0.01)) == 1
    assert tracker.next_end_s() == NEVER_S


def test_what_was_beside_a_plate_and_stays_does_not_hold_it_back_for_long():
    tracker, drive = a_tracker(), a_drive(["7ABC123"], mph=45)
    passages = {}
    for number in range(300):
        sign = a_reading("N0 PARKING", number=number, x_px=850.0, y_px=540.0, detection=0.6, score=0.25)
        readings = [sign, *([drive[number]] if number in drive else [])]
        passages |= {number: found} if (found := tracker.see(a_frame(number), readings)) else {}
    assert texts_of(itertools.chain(*passages.values())) == ["7ABC123"]
    assert min(passages) / 30 <= max(drive) / 30 + UNSEEN_S + 1.1


def test_a_vehicle_that_stands_is_reported_soon_and_once_in_ten_minutes():
    tracker = a_tracker()
    reported_s = [
        step / 2.0
        for step in range(2 * 60 * 21)  # 21 minutes at 2 frames a second
        if tracker.see(a_frame(step, rate_hz=2.0), [a_reading("7ABC123", number=step, rate_hz=2.0)])
    ]
    assert len(reported_s) == 3
    assert reported_s[0] <= LONGEST_TRACK_S + 0.5
    assert np.diff(reported_s).min() >= 595.0


def test_a_queue_in_which_frames_are_rare_is_one_passage_a_vehicle():
    queue = [
        a_drive([text], mph=5, start_s=4.0 * place, rate_hz=2.0) for place, text in enumerate(("7ABC123", "4XYZ9"))
    ]
    tracker, passages = a_tracker(), []
    for step in range(40):
        passages += tracker.see(a_frame(step, rate_hz=2.0), [drive[step] for drive in queue if step in drive])
    passages += tracker.end_all()
    assert texts_of(passages) == ["7ABC123", "4XYZ9"]
    assert not any(passage.partial for passage in passages)


@pytest.mark.parametrize(
    ("x_px", "y_px"),
    [(-30.0, 200.0), (1380.0, 200.0), (300.0, 1060.0), (300.0, -20.0), (300.0, 1014.0), (3.0, 500.0)],
)
def test_a_plate_that_the_picture_cuts_does_not_vote(x_px, y_px):
    tracker = a_tracker()
    assert seen(tracker, {0: a_reading("P07", x_px=x_px, y_px=y_px)}) == []
    assert tracker.cut == 1


def test_a_close_up_is_not_cut():
    small = np.full((160, 300, 3), 90, np.uint8)
    tracker = a_tracker()
    for number in range(2):
        reading = a_reading("7ABC123", number=number, x_px=2.0, y_px=4.0, w_px=296.0)
        assert tracker.see(a_frame(number, small), [reading]) == []
    assert texts_of(tracker.end_all()) == ["7ABC123"]


def test_the_evidence_shows_the_voted_text():
    tracker, bright = a_tracker(), np.full_like(PICTURE, 230)
    frames = [("7A8C123", 0.97, bright), ("7ABC123", 0.9, PICTURE), ("7ABC123", 0.9, PICTURE)]
    for number, (text, score, picture) in enumerate(frames):
        tracker.see(a_frame(number, picture, infrared=number == 0), [a_reading(text, number=number, score=score)])
    (passage,) = tracker.end_all()
    assert passage.plate.text == "7ABC123"
    assert cv2.imdecode(np.frombuffer(passage.picture.data, np.uint8), cv2.IMREAD_COLOR).mean() < 150
    assert not passage.infrared


def test_enough_is_read_when_each_plate_in_view_was_read_alike_in_four_frames():
    tracker, drive = a_tracker(), a_drive(["7ABC123"], mph=45)
    assert not tracker.has_read_enough(0.0)
    enough = []
    for number in range(6):
        readings = [drive[number]] + ([a_reading("8", number=0, x_px=10.0)] if number == 0 else [])
        tracker.see(a_frame(number), readings)
        enough.append(tracker.has_read_enough(number / 30))
    assert not any(enough)
    tracker.see(a_frame(6), [drive[6]])
    assert tracker.has_read_enough(7 / 30)
    tracker.see(a_frame(7), [drive[7], a_reading("4XYZ987", number=7, y_px=980.0)])
    assert not tracker.has_read_enough(7 / 30)


@pytest.mark.parametrize("is_set_first", [False, True])
def test_the_newest_frame_says_what_the_time_is_and_the_monotonic_clock_how_long_it_took(is_set_first):
    """A clock that is set while a vehicle passes, or disputed: no passage lasts a year, or ends before it begins."""
    tracker, wrong_utc_ms = a_tracker(), START_UTC_MS + 365 * 86_400_000
    times = (
        [(START_UTC_MS, True), (wrong_utc_ms, False)] if is_set_first else [(wrong_utc_ms, False), (START_UTC_MS, True)]
    )
    for number, (start_utc_ms, is_trusted) in enumerate(times):
        frame = a_frame(number, rate_hz=10, start_utc_ms=start_utc_ms, clock_trusted=is_trusted)
        tracker.see(frame, [a_reading("7ABC123", number=number, rate_hz=10)])
    (passage,) = tracker.end_all()
    newest_utc_ms = times[-1][0] + 100
    assert (passage.first_utc_ms, passage.last_utc_ms) == (newest_utc_ms - 100, newest_utc_ms)
    assert passage.clock_trusted is not is_set_first
    assert passage.last_boot_ms == 100


def test_a_picture_full_of_lettering_does_not_fill_the_memory():
    tracker, rng = a_tracker(), np.random.default_rng(3)
    places = rng.uniform((0, 0), (1300, 1000), (200, 2))
    for number in range(60):
        chosen = rng.choice(200, 20, replace=False)
        text = "".join(rng.choice(list("ABCDEFGH"), 6))
        readings = [
            a_reading(text, number=number, x_px=places[place, 0], y_px=places[place, 1], w_px=60.0, detection=0.5)
            for place in chosen
        ]
        tracker.see(a_frame(number), readings)
        assert len(tracker._trails) <= TRAILS_AT_MOST

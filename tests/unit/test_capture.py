import numpy as np
import pytest

from firmware.capture import QUIET_SPACING_S, REFILL_HZ
from firmware.records import TriggerSource
from tests.capture_bench import RATE_HZ, SLOW_PX, Bench, ScriptedShot, vehicle


@pytest.fixture
def bench():
    return Bench()


def test_the_start_is_looked_at_once_and_then_a_quiet_road_sends_nothing(bench):
    assert 1 <= len(bench.run(1)) <= 6
    assert bench.run(5) == []
    assert bench.stage.triggers_seen == {TriggerSource.MOTION: 1}


def test_every_shot_is_released_before_the_next_is_looked_at(bench):
    shots = [ScriptedShot(bench.camera, number, number / 30, vehicle(number)) for number in range(4)]
    bench.camera.waiting = list(shots)
    bench.stage.step(0.2)
    assert [shot.released for shot in shots] == [1, 1, 1, 1]
    assert bench.camera.out == 0


def test_a_quiet_road_is_copied_eight_times_a_second_at_most(bench):
    bench.settled()
    before = bench.stage.frames_developed
    bench.run(10)
    assert 60 <= bench.stage.frames_developed - before <= 10 / QUIET_SPACING_S
    assert bench.stage.frames_seen == 13 * RATE_HZ


def test_motion_sends_the_entry_the_vehicle_and_what_follows(bench):
    start_s = bench.settled()
    times_s = [frame.at_s for frame in bench.run(0.5, vehicle) + bench.run(2)]
    assert start_s - 0.2 < times_s[0] < start_s
    assert start_s + 0.8 < times_s[-1] < start_s + 1.0
    assert sum(at_s > start_s + 0.6 for at_s in times_s) <= 3  # in case it has stopped there


def test_every_shot_of_quick_traffic_is_sent(bench):
    start_s = bench.settled()
    sent = bench.run(0.5, vehicle)
    assert sum(frame.at_s >= start_s for frame in sent) >= 14
    assert bench.stage.frames_sent >= 14


def test_a_plate_that_is_in_view_for_a_fifth_of_a_second_is_in_three_frames(bench):
    """100 mph before a narrow lens."""
    start_s = bench.settled()
    sent = bench.run(0.2, vehicle) + bench.run(1)
    assert sum(start_s <= frame.at_s < start_s + 0.2 for frame in sent) >= 3


def test_a_queue_at_walking_pace_is_thinned(bench):
    bench.settled()
    bench.run(5, lambda number: vehicle(number, SLOW_PX))
    sent = bench.run(10, lambda number: vehicle(number, SLOW_PX))
    assert 5 * 10 <= len(sent) <= 12 * 10


def test_a_stopped_car_costs_nothing(bench):
    bench.settled()
    bench.run(0.3, vehicle)
    bench.run(1.0, lambda number: vehicle(3))
    assert bench.run(20, lambda number: vehicle(3)) == []


def test_what_moves_for_ever_is_capped(bench):
    bench.settled()
    bench.run(10, vehicle)
    assert len(bench.run(20, vehicle)) <= 20 * REFILL_HZ + 2


def test_fifty_vehicles_a_minute_each_get_all_their_frames(bench):
    bench.settled()
    fewest = min(len(bench.run(0.5, vehicle)) + len(bench.run(0.7)) for _ in range(40))
    assert fewest >= 14


def test_no_frame_is_sent_twice_and_all_in_order(bench):
    bench.settled()
    sent = bench.run(0.3, vehicle)
    bench.trigger.fire(bench.now_s - 0.1)
    sent += bench.run(0.3, vehicle) + bench.run(0.2) + bench.run(0.3, vehicle) + bench.run(2)
    numbers = [frame.number for frame in sent]
    assert numbers == sorted(set(numbers))


def test_a_sensor_that_reports_what_has_just_moved_sends_no_empty_road(bench):
    bench.settled()
    bench.run(0.3, vehicle)
    bench.run(0.5)
    bench.trigger.fire(bench.now_s)
    assert bench.run(2) == []
    assert bench.stage.triggers_seen[TriggerSource.PIR] == 1


@pytest.mark.parametrize("lag_s", [0.0, 0.2, 0.5, 0.8])
def test_a_late_pir_still_picks_the_frames_of_the_vehicle(lag_s):
    """75 mph moves 27 m in 0.8 s: the frames that count are those from before the edge."""
    bench = Bench(motion_ratio=0.5)  # motion sees nothing, the PIR is alone
    start_s = bench.settled()
    bench.run(0.25, vehicle)
    bench.run(lag_s)
    bench.trigger.fire(start_s + 0.25 + lag_s)
    sent = bench.run(1)
    assert sum(start_s <= frame.at_s <= start_s + 0.25 for frame in sent) >= 2
    assert np.diff([frame.at_s for frame in sent]).min() >= QUIET_SPACING_S


@pytest.mark.parametrize("source", [TriggerSource.IR_BEAM, TriggerSource.RADAR])
def test_a_beam_and_a_radar_take_every_shot_from_their_edge_on(source):
    bench = Bench(source=source, motion_ratio=0.5)
    start_s = bench.settled()
    bench.trigger.fire(start_s)
    sent = bench.run(1, vehicle)
    assert sum(start_s < frame.at_s < start_s + 0.4 for frame in sent) >= 11
    assert sent[-1].at_s <= start_s + 0.5
    assert bench.stage.triggers_seen[source] == 1


def test_the_frames_between_two_windows_are_not_sent():
    bench = Bench(motion_ratio=0.5)
    start_s = bench.settled()
    bench.trigger.fire(start_s)
    sent = bench.run(3)
    bench.trigger.fire(start_s + 3.0)
    sent += bench.run(1)
    assert [frame for frame in sent if start_s + 0.6 < frame.at_s < start_s + 1.9] == []


def test_a_slow_reader_loses_the_oldest_frames_and_they_are_counted():
    bench = Bench(capacity=4)
    bench.settled()
    dropped = bench.mailbox.dropped
    assert len(bench.run(2, vehicle)) == 4
    assert bench.mailbox.dropped > dropped


def test_motion_outside_the_lane_is_nothing():
    bench = Bench(lane=((0.0, 0.0), (0.15, 0.0), (0.15, 1.0), (0.0, 1.0)))
    bench.settled()
    assert bench.run(2, vehicle) == []

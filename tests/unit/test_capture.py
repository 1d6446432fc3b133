import threading

import numpy as np
import pytest

from firmware.capture import BURST_SPACING_S, QUIET_SPACING_S, RING_BYTES, CaptureStage
from firmware.config import CaptureConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.records import Frame, TriggerEdge, TriggerSource
from firmware.stage import Mailbox

RATE_HZ = 30
QUIET = np.full((90, 160, 3), 100, np.uint8)


def busy(number):
    """A vehicle that moves from frame to frame."""
    picture = QUIET.copy()
    picture[40:60, (number * 6) % 120 : (number * 6) % 120 + 40] = 220
    return picture


def is_busy(frame):
    return frame.image.max() == 220


class ScriptedCamera:
    """Gives the frames that the test lays down, or raises the fault that it names."""

    def __init__(self):
        self.waiting, self.fault, self.absent, self.closed = [], None, None, False

    def listen(self, wake):
        if self.absent:
            raise self.absent
        self.wake = wake

    def frames(self):
        if self.fault:
            raise self.fault
        taken, self.waiting = self.waiting, []
        return taken

    def close(self):
        self.closed = True


class ScriptedTrigger:
    def __init__(self, source=TriggerSource.PIR):
        self.source, self.waiting, self.absent, self.closed = source, [], None, False

    def listen(self, wake):
        if self.absent:
            raise self.absent

    def edges(self):
        taken, self.waiting = self.waiting, []
        return taken

    def fire(self, at_s):
        self.waiting.append(TriggerEdge(source=self.source, at_s=at_s))

    def close(self):
        self.closed = True


class Bench:
    """A capture stage between a scripted camera and trigger and a real mailbox, at 30 frames a second."""

    def __init__(self, capacity=1000, **options):
        self.camera, self.trigger, self.faults = ScriptedCamera(), ScriptedTrigger(), FaultBook()
        self.mailbox = Mailbox(threading.Event(), capacity)
        config = CaptureConfig(**options)
        self.stage = CaptureStage(self.camera, (self.trigger,), self.mailbox, config, self.faults)
        self.number = 0

    def run(self, seconds, picture_of=lambda number: QUIET):
        """Deliver frames and step once for each; return the frames that were sent."""
        for _ in range(round(seconds * RATE_HZ)):
            at_s = self.number / RATE_HZ
            self.camera.waiting.append(
                Frame(
                    number=self.number,
                    at_s=at_s,
                    taken_utc_ms=round(at_s * 1000),
                    clock_trusted=True,
                    image=picture_of(self.number),
                    exposure_us=200.0,
                    gain=1.0,
                    infrared=False,
                )
            )
            self.number += 1
            self.stage.step(at_s)
        return self.sent()

    def sent(self):
        return [self.mailbox.take() for _ in range(len(self.mailbox))]


@pytest.fixture
def bench():
    return Bench()


def settled(bench, seconds=3):
    """Run until the start-up look is over and return the time."""
    bench.run(seconds)
    return bench.number / RATE_HZ


def test_the_start_is_looked_at_once_and_then_a_quiet_road_sends_nothing(bench):
    first = bench.run(1)
    assert 1 <= len(first) <= 6
    assert bench.run(5) == []
    assert bench.stage.triggers_seen == {TriggerSource.MOTION: 1}


def test_motion_sends_the_entry_the_vehicle_and_what_follows(bench):
    start_s = settled(bench)
    sent = bench.run(0.5, busy) + bench.run(2)
    times_s = [frame.at_s for frame in sent]
    assert start_s - 0.2 < times_s[0] < start_s
    assert start_s + 0.5 < times_s[-1] < start_s + 1.1
    assert any(map(is_busy, sent))


def test_no_frame_is_sent_twice_and_all_in_order(bench):
    settled(bench)
    sent = bench.run(0.3, busy)
    bench.trigger.fire(bench.number / RATE_HZ - 0.1)
    sent += bench.run(0.3, busy) + bench.run(0.2) + bench.run(0.3, busy) + bench.run(2)
    numbers = [frame.number for frame in sent]
    assert numbers == sorted(set(numbers))


def test_a_burst_is_thinned_to_fifteen_frames_a_second(bench):
    settled(bench)
    sent = bench.run(4, busy)
    gaps_s = np.diff([frame.at_s for frame in sent])
    assert min(gaps_s) >= BURST_SPACING_S
    assert max(gaps_s) < 0.14
    assert len(sent) <= 15 * 4 + 3


def test_a_plate_that_is_in_view_for_a_quarter_of_a_second_is_in_three_frames(bench):
    """75 mph before a narrow lens."""
    settled(bench)
    sent = bench.run(0.27, busy) + bench.run(1)
    assert sum(map(is_busy, sent)) >= 3


def test_a_sensor_that_reports_what_has_just_moved_sends_no_empty_road(bench):
    settled(bench)
    sent = bench.run(0.3, busy) + bench.run(0.5)
    bench.trigger.fire(bench.number / RATE_HZ)
    assert bench.run(2) == []
    assert bench.stage.triggers_seen[TriggerSource.PIR] == 1
    assert len(sent) <= 15


@pytest.mark.parametrize("lag_s", [0.0, 0.2, 0.5, 0.8])
def test_a_late_pir_still_picks_the_frames_of_the_vehicle(lag_s):
    """75 mph moves 27 m in 0.8 s: the frames that count are those from before the edge."""
    bench = Bench(motion_ratio=0.5)  # motion sees nothing, the PIR is alone
    start_s = settled(bench)
    bench.run(0.2, busy)
    bench.run(lag_s)
    bench.trigger.fire(start_s + 0.2 + lag_s)
    sent = bench.run(1)
    assert any(map(is_busy, sent))
    assert sent[0].at_s <= start_s + 0.2


def test_a_vehicle_that_stays_extends_the_window(bench):
    settled(bench)
    sent = bench.run(3, busy)
    assert sent[-1].at_s - sent[0].at_s > 2.9


def test_the_frames_between_two_windows_are_not_sent():
    bench = Bench(motion_ratio=0.5)
    start_s = settled(bench)
    bench.trigger.fire(start_s)
    sent = bench.run(3)
    bench.trigger.fire(start_s + 3.0)
    sent += bench.run(1)
    unwanted = [frame for frame in sent if start_s + 0.6 < frame.at_s < start_s + 1.9]
    assert unwanted == []
    assert min(frame.at_s for frame in sent) >= start_s - 1.0


def test_the_ring_is_bounded_in_time(bench):
    bench.run(10)
    assert len(bench.stage._ring) <= 1.5 / QUIET_SPACING_S + 2


@pytest.mark.parametrize(("size_px", "kept"), [((2400, 2900), 3), ((4800, 4800), 1)])
def test_the_ring_is_bounded_in_bytes_but_keeps_the_newest_frame(bench, size_px, kept):
    large = np.full((*size_px, 3), 100, np.uint8)
    bench.run(1, lambda number: large)
    assert len(bench.stage._ring) == kept
    assert kept == 1 or large.nbytes * kept <= RING_BYTES < large.nbytes * (kept + 1)


def test_a_slow_reader_loses_the_oldest_frames_and_they_are_counted():
    bench = Bench(capacity=4)
    settled(bench)
    dropped = bench.mailbox.dropped
    sent = bench.run(2, busy)
    assert len(sent) == 4
    assert bench.mailbox.dropped > dropped


def test_a_silent_camera_is_latched_and_the_stage_goes_on(bench):
    settled(bench)
    bench.camera.fault = DeviceFault(FaultCode.CAMERA_SILENT, "check the cable")
    assert bench.stage.step(4.0) == 5.0
    assert bench.stage.step(5.0) == 6.0
    (report,) = bench.faults.reports()
    assert (report.code, report.count) == (FaultCode.CAMERA_SILENT, 2)
    bench.camera.fault = None
    bench.run(0.1)
    assert bench.faults.reports() == []


def test_an_absent_pir_does_not_keep_the_camera_from_working(bench):
    bench.trigger.absent = DeviceFault(FaultCode.TRIGGER_ABSENT, "line 17")
    bench.trigger.fire(0.0)
    settled(bench)
    assert [report.code for report in bench.faults.reports()] == [FaultCode.TRIGGER_ABSENT]
    assert bench.run(0.5, busy)
    bench.trigger.absent = None
    bench.stage.step(61.0)
    assert bench.faults.reports() == []


def test_an_absent_camera_is_asked_for_again_after_a_minute(bench):
    bench.camera.absent = DeviceFault(FaultCode.CAMERA_ABSENT, "ribbon")
    bench.stage.step(0.0)
    bench.stage.step(30.0)
    assert [report.count for report in bench.faults.reports()] == [1]
    bench.camera.absent = None
    bench.stage.step(60.0)
    assert bench.faults.reports() == []
    assert bench.run(1)


def test_close_gives_back_only_what_was_opened(bench):
    bench.trigger.absent = DeviceFault(FaultCode.TRIGGER_ABSENT, "line 17")
    bench.stage.step(0.0)
    bench.stage.close()
    assert bench.camera.closed
    assert not bench.trigger.closed

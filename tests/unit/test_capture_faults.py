"""What the capture stage does about light, the lamp, a camera that fails, and memory."""

from dataclasses import replace

import numpy as np
import pytest

from firmware.capture import RESTART_AGAIN_S
from firmware.exposure import Phase
from firmware.faults import DeviceFault, FaultCode
from firmware.records import Light, MemoryUse
from tests.capture_bench import HEIGHT_PX, QUIET, RATE_HZ, WIDTH_PX, Bench, vehicle


@pytest.fixture
def bench():
    return Bench()


def test_exposure_and_gain_are_asked_for_until_the_sensor_obeys(bench):
    bench.camera.light = Light(exposure_us=200.0, gain=8.0)
    bench.run(2, lambda number: np.full_like(QUIET, 160))
    asked = bench.camera.asked[-1]
    assert asked.exposure_us * asked.gain == pytest.approx(1600 * 0.12 / (160 / 255) ** 2.2, rel=0.15)
    count = len(bench.camera.asked)
    bench.run(1, lambda number: np.full_like(QUIET, 160))
    assert len(bench.camera.asked) == count + RATE_HZ
    bench.camera.light = replace(asked, exposure_us=asked.exposure_us * 0.96)  # as near as its rows allow
    bench.camera.asked.clear()
    bench.run(1)
    assert bench.camera.asked == []


NIGHT = np.full((HEIGHT_PX, WIDTH_PX), 3, np.uint8)


def test_the_lamp_is_leased_by_night_only_and_never_for_more_than_a_second(bench):
    bench.run(5)
    assert bench.lamp.leases == []
    bench.run(20, lambda number: NIGHT)
    assert bench.stage.light_phase is Phase.NIGHT
    before = len(bench.lamp.leases)
    bench.run(10, lambda number: NIGHT)
    assert 15 <= len(bench.lamp.leases) - before <= 25
    assert {for_s for _, for_s in bench.lamp.leases} == {1.0}
    bench.stage.close()
    assert bench.lamp.closed


def test_frames_say_whether_the_lamp_lit_them(bench):
    assert not any(frame.infrared for frame in bench.run(1))
    bench.run(20, lambda number: NIGHT)
    night = bench.run(1, lambda number: vehicle(number) // 2 if number % 3 else NIGHT)
    assert night
    assert all(frame.infrared for frame in night)


def test_a_silent_camera_at_night_lets_the_lamp_fall(bench):
    bench.run(20, lambda number: NIGHT)
    leases = len(bench.lamp.leases)
    bench.camera.fault = DeviceFault(FaultCode.CAMERA_SILENT, "check the cable")
    for second in range(10):
        bench.stage.step(bench.now_s + second)
    assert len(bench.lamp.leases) == leases


def test_an_absent_lamp_is_latched_asked_for_again_and_the_night_goes_on(bench):
    bench.lamp.absent = DeviceFault(FaultCode.LAMP_ABSENT, "line 18")
    bench.run(20, lambda number: NIGHT)
    assert bench.codes() == [FaultCode.LAMP_ABSENT]
    assert bench.camera.asked[-1].gain == 16.0
    bench.lamp.absent = None
    bench.run(61, lambda number: NIGHT)
    assert bench.codes() == []
    assert bench.lamp.leases


def test_a_silent_stream_is_restarted_once_and_then_latched(bench):
    bench.settled()
    bench.camera.fault = DeviceFault(FaultCode.CAMERA_SILENT, "check the cable")
    bench.stage.step(6.0)
    assert (bench.camera.restarts, bench.codes()) == (1, [])
    bench.stage.step(9.1)
    assert (bench.camera.restarts, bench.stage.restarts, bench.codes()) == (1, 1, [FaultCode.CAMERA_SILENT])


def test_a_restart_that_helps_is_no_fault_and_allows_another_one_later(bench):
    bench.settled()
    silent = DeviceFault(FaultCode.CAMERA_SILENT, "check the cable")
    for restarts in (1, 2):
        bench.camera.fault = silent
        bench.stage.step(bench.now_s)
        bench.camera.fault = None
        bench.run(RESTART_AGAIN_S + 1)
        assert (bench.camera.restarts, bench.codes()) == (restarts, [])


def test_a_stream_that_cannot_be_started_again_is_latched_as_such(bench):
    bench.settled()
    bench.camera.fault = DeviceFault(FaultCode.CAMERA_SILENT, "check the cable")
    bench.camera.restart_fault = DeviceFault(FaultCode.CAMERA_ABSENT, "gone")
    bench.stage.step(6.0)
    assert bench.codes() == [FaultCode.CAMERA_ABSENT]
    bench.stage.step(7.0)
    assert FaultCode.CAMERA_SILENT in bench.codes()


def test_nonsense_is_latched_and_over_when_it_stays_away(bench):
    bench.settled()
    bench.camera.fault = DeviceFault(FaultCode.CAMERA_NONSENSE, "a gain of -1")
    bench.stage.step(bench.now_s)
    bench.camera.fault = None
    bench.run(9)
    assert bench.codes() == [FaultCode.CAMERA_NONSENSE]
    bench.run(2)
    assert bench.codes() == []
    assert bench.camera.restarts == 0


def test_what_is_no_picture_is_latched_and_its_buffer_released(bench):
    start_s = bench.settled()
    bench.camera.picture_fault = DeviceFault(FaultCode.CAMERA_NONSENSE, "uint8 of shape (0, 0, 3)")
    assert all(frame.at_s < start_s for frame in bench.run(0.5, vehicle))
    assert bench.codes() == [FaultCode.CAMERA_NONSENSE]
    assert bench.camera.out == 0


def test_memory_that_grows_is_latched_and_clears(bench):
    bench.settled()
    for minute in range(1, 70):
        bench.system.use = MemoryUse(resident_bytes=200_000_000 + minute * 2_000_000, pool_free_bytes=None)
        bench.stage.step(minute * 60.0)
    assert bench.codes() == [FaultCode.MEMORY_GROWS]
    for minute in range(70, 140):
        bench.stage.step(minute * 60.0)
    assert bench.codes() == []


def test_an_absent_pir_does_not_keep_the_camera_from_working(bench):
    bench.trigger.absent = DeviceFault(FaultCode.TRIGGER_ABSENT, "line 17")
    bench.trigger.fire(0.0)
    bench.settled()
    assert bench.codes() == [FaultCode.TRIGGER_ABSENT]
    assert bench.run(0.5, vehicle)
    bench.trigger.absent = None
    bench.stage.step(61.0)
    assert bench.codes() == []


def test_an_absent_camera_is_asked_for_again_after_a_minute(bench):
    bench.camera.absent = DeviceFault(FaultCode.CAMERA_ABSENT, "ribbon")
    bench.stage.step(0.0)
    bench.stage.step(30.0)
    assert [report.count for report in bench.faults.reports()] == [1]
    bench.camera.absent = None
    bench.stage.step(60.0)
    assert bench.codes() == []
    bench.number = 61 * RATE_HZ
    assert bench.run(1)


def test_close_gives_back_only_what_was_opened(bench):
    bench.trigger.absent = DeviceFault(FaultCode.TRIGGER_ABSENT, "line 17")
    bench.stage.step(0.0)
    bench.stage.close()
    assert bench.camera.closed
    assert bench.lamp.closed
    assert not bench.trigger.closed

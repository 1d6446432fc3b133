"""What every board's parts must do, simulated or real: `pytest tests/contract --board=pi` on a bench unit.

The bench needs the camera and both trigger lines connected; somebody waves a hand through the beam when asked.
"""

import threading

import numpy as np
import pytest

from firmware.board.linux import LinuxClock
from firmware.board.pi import triggers
from firmware.board.pi_camera import PiCamera
from firmware.config import CaptureConfig
from firmware.records import TriggerSource
from hw_sim.board import open_camera, open_sensors
from hw_sim.sensors import Subject

FRAMES_LOOKED_AT = 12
PATIENCE_S = 10.0


class Parts:
    """A board's camera, clock and triggers, and how this board gets an edge onto a trigger line."""

    def __init__(self, clock, camera, triggers, provoke):
        self.clock, self.camera, self.triggers, self.provoke = clock, camera, triggers, provoke


def simulated_parts():
    clock = LinuxClock()
    sensors = open_sensors(CaptureConfig(), clock, seed=1)
    camera = open_camera(clock, source=None, passes=None, seed=1)

    def provoke():
        now_s = clock.monotonic_s()
        for sensor in sensors.world:
            sensor.notice(Subject(at_s=now_s, until_s=now_s))
            sensor.deliver(now_s + 1.0)

    return Parts(clock, camera, sensors.triggers, provoke)


def pi_parts():
    clock = LinuxClock()
    return Parts(
        clock, PiCamera(clock), triggers(CaptureConfig(), clock), lambda: print("wave a hand through the beam")
    )


@pytest.fixture(scope="module")
def parts(request):
    return pi_parts() if request.config.getoption("--board") == "pi" else simulated_parts()


@pytest.fixture(scope="module")
def frames(parts):
    """The first frames of the camera; a camera is opened once in a process, so all tests look at the same ones."""
    wake, taken = threading.Event(), []
    start_s = parts.clock.monotonic_s()
    parts.camera.listen(wake)
    while len(taken) < FRAMES_LOOKED_AT and parts.clock.monotonic_s() - start_s < PATIENCE_S:
        assert wake.wait(PATIENCE_S)
        wake.clear()
        taken += parts.camera.frames()
    yield taken
    parts.camera.close()


def test_the_camera_delivers_without_being_asked(frames):
    assert len(frames) >= FRAMES_LOOKED_AT


def test_frames_are_pictures_of_one_size(frames):
    assert len({frame.image.shape for frame in frames}) == 1
    height_px, width_px, colours = frames[0].image.shape
    assert (colours, frames[0].image.dtype) == (3, np.uint8)
    assert width_px > height_px >= 480


def test_frame_numbers_and_times_ascend(frames):
    numbers = [frame.number for frame in frames]
    times_s = [frame.at_s for frame in frames]
    assert numbers == sorted(set(numbers))
    assert times_s == sorted(set(times_s))


def test_frame_times_are_of_the_boards_own_clocks(frames, parts):
    """A trigger picks frames by their time, so the sensor's clock must be the clock of the trigger lines."""
    for frame in frames:
        assert 0.0 <= parts.clock.monotonic_s() - frame.at_s < 2 * PATIENCE_S
        offset_ms = parts.clock.utc_ms() - parts.clock.monotonic_s() * 1000
        assert frame.taken_utc_ms == pytest.approx(frame.at_s * 1000 + offset_ms, abs=100)


def test_the_rate_suits_a_vehicle_at_75_mph(frames):
    """FIELD: 30 frames a second give nine pictures of a vehicle on ten metres of road; one dropped frame is allowed."""
    gaps_s = np.diff([frame.at_s for frame in frames])
    assert np.median(gaps_s) < 0.12


def test_exposure_and_gain_are_what_a_sensor_can_do(frames):
    assert all(10.0 <= frame.exposure_us <= 33_333.0 and 0.5 <= frame.gain <= 64.0 for frame in frames)


def test_pictures_belong_to_the_taker(frames):
    """A frame must stay as it is while the sensor goes on: its memory is not a buffer that is written again."""
    before = frames[0].image.copy()
    assert frames[0].image is not frames[-1].image
    assert np.array_equal(frames[0].image, before)


def test_a_trigger_wakes_tells_its_edge_once_and_closes(parts):
    wake = threading.Event()
    for trigger in parts.triggers:
        trigger.listen(wake)
    before_s = parts.clock.monotonic_s()
    parts.provoke()
    assert wake.wait(PATIENCE_S)
    edges = [edge for trigger in parts.triggers for edge in trigger.edges()]
    assert edges
    assert all(edge.source in {TriggerSource.PIR, TriggerSource.IR_BEAM} for edge in edges)
    assert all(before_s <= edge.at_s <= parts.clock.monotonic_s() for edge in edges)
    assert [edge for trigger in parts.triggers for edge in trigger.edges()] == []
    for trigger in parts.triggers:
        trigger.close()


def test_monotonic_time_never_goes_back(parts):
    times_s = [parts.clock.monotonic_s() for _ in range(1000)]
    assert times_s == sorted(times_s)


def test_the_wall_clock_is_this_century(parts):
    assert 1_700_000_000_000 < parts.clock.utc_ms() < 4_000_000_000_000
    assert isinstance(parts.clock.is_trusted(), bool)

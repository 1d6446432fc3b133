"""The camera adapter against a stand-in for the vendor's library, which runs on a Raspberry Pi only.

The stand-in has the names and the errors of picamera2 0.3.38; `tests/contract --board=pi` is the proof on a bench unit.
"""

import sys
import threading
import types

import numpy as np
import pytest

from firmware.board.pi_camera import EXPOSURE_US, FRAMES_WAITING, SIZE_PX, PiCamera
from firmware.faults import DeviceFault, FaultCode
from hw_sim.runner import EPOCH_UTC_MS, VirtualClock

START_S = 50.0


class Request:
    """One completed request as picamera2 hands it to `post_callback`."""

    def __init__(self, at_s, exposure_us=201.0, fails=None):
        self._at_s, self._exposure_us, self._fails = at_s, exposure_us, fails

    def make_array(self, name):
        if self._fails:
            raise self._fails
        assert name == "main"
        return np.zeros((SIZE_PX[1], SIZE_PX[0], 3), np.uint8)

    def get_metadata(self):
        return {
            "SensorTimestamp": round(self._at_s * 1e9 + self._exposure_us * 1e3),
            "ExposureTime": self._exposure_us,
            "AnalogueGain": 3.98,
        }


class Vendor:
    """What stands in for `picamera2.Picamera2`."""

    newest = None
    refuses = None

    def __init__(self):
        if Vendor.refuses:
            raise Vendor.refuses
        self.started = self.closed = False
        self.post_callback = None
        Vendor.newest = self

    def create_video_configuration(self, **configuration):
        return configuration

    def configure(self, configuration):
        assert not self.started
        self.configuration = configuration

    def start(self):
        self.started = True

    def close(self):
        self.closed = True


@pytest.fixture
def clock():
    return VirtualClock(start_s=START_S)


@pytest.fixture
def camera(monkeypatch, clock):
    module = types.ModuleType("picamera2")
    module.Picamera2 = Vendor
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(Vendor, "refuses", None)
    return PiCamera(clock)


def test_the_sensor_is_configured_whole_before_its_start(camera):
    camera.listen(threading.Event())
    vendor = Vendor.newest
    assert vendor.started
    assert vendor.configuration["main"] == {"size": SIZE_PX, "format": "RGB888"}
    controls = vendor.configuration["controls"]
    assert controls["ExposureTime"] == EXPOSURE_US
    assert controls["AeEnable"] is False
    assert controls["FrameDurationLimits"][0] == controls["FrameDurationLimits"][1]


def test_a_frame_carries_what_the_sensor_reports_and_when_the_exposure_began(camera, clock):
    wake = threading.Event()
    camera.listen(wake)
    clock.advance_to(START_S + 0.05)
    Vendor.newest.post_callback(Request(at_s=START_S + 0.01))
    assert wake.is_set()
    (frame,) = camera.frames()
    assert frame.at_s == pytest.approx(START_S + 0.01)
    assert frame.taken_utc_ms == EPOCH_UTC_MS + 10
    assert (frame.exposure_us, frame.gain, frame.number) == (201.0, 3.98, 1)
    assert frame.image.shape == (SIZE_PX[1], SIZE_PX[0], 3)
    assert camera.frames() == []


def test_a_slow_taker_loses_the_oldest_frames_and_they_are_counted(camera, clock):
    camera.listen(threading.Event())
    for number in range(FRAMES_WAITING + 3):
        Vendor.newest.post_callback(Request(at_s=START_S + number / 30))
    numbers = [frame.number for frame in camera.frames()]
    assert numbers == list(range(4, FRAMES_WAITING + 4))
    assert camera.dropped == 3


def test_silence_is_a_fault_and_frames_end_it(camera, clock):
    camera.listen(threading.Event())
    clock.advance_to(START_S + 2.9)
    assert camera.frames() == []
    clock.advance_to(START_S + 3.1)
    with pytest.raises(DeviceFault, match="no frame for 3 s") as silent:
        camera.frames()
    assert silent.value.code is FaultCode.CAMERA_SILENT
    Vendor.newest.post_callback(Request(at_s=START_S + 3.1))
    assert len(camera.frames()) == 1


def test_a_frame_that_cannot_be_taken_is_no_silent_failure(camera):
    wake = threading.Event()
    camera.listen(wake)
    Vendor.newest.post_callback(Request(at_s=START_S, fails=MemoryError()))
    assert wake.is_set()
    with pytest.raises(DeviceFault, match="MemoryError"):
        camera.frames()
    Vendor.newest.post_callback(Request(at_s=START_S))
    assert len(camera.frames()) == 1


def test_a_missing_sensor_says_what_to_check(camera, monkeypatch):
    monkeypatch.setattr(Vendor, "refuses", RuntimeError("No camera number 0 found"))
    with pytest.raises(DeviceFault, match="ribbon cable") as absent:
        camera.listen(threading.Event())
    assert absent.value.code is FaultCode.CAMERA_ABSENT


def test_a_sensor_that_refuses_a_control_is_given_back(camera, monkeypatch):
    def refuse(self):
        raise RuntimeError("Control AeEnable is not advertised by libcamera")

    monkeypatch.setattr(Vendor, "start", refuse)
    with pytest.raises(DeviceFault, match="AeEnable"):
        camera.listen(threading.Event())
    assert Vendor.newest.closed


def test_closing_gives_the_sensor_back_once(camera):
    camera.listen(threading.Event())
    camera.close()
    camera.close()
    assert Vendor.newest.closed


def test_without_picamera2_the_board_says_so(monkeypatch, clock):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DeviceFault, match="apt install python3-picamera2"):
        PiCamera(clock)

"""The camera adapter against a stand-in for the vendor's library, which runs on a Raspberry Pi only.

The stand-in here is the least that obeys picamera2 0.3.38's rules of ownership: a request is lent to `post_callback`,
`acquire` keeps it, and its last release gives the buffer back. `tests/contract --board=pi` is the proof on a bench.
"""

import math
import sys
import threading
from concurrent.futures import TimeoutError as JobTimedOut

import numpy as np
import pytest

from firmware.board.pi_camera import (
    BUFFERS,
    FIXED_CONTROLS,
    HELD_AT_MOST,
    SIZE_PX,
    SMALL_SIZE_PX,
    START_LIGHT,
    PiCamera,
)
from firmware.exposure import longest_exposure_us
from firmware.faults import DeviceFault, FaultCode
from firmware.records import Light
from hw_sim.runner import EPOCH_UTC_MS, VirtualClock

START_S = 50.0
STRIDE_PX = 384  # the small stream's rows are padded to a multiple of 64 bytes


def planes_of(brightness):
    planes = np.full((SMALL_SIZE_PX[1] * 3 // 2, STRIDE_PX), 128, np.uint8)
    planes[: SMALL_SIZE_PX[1], : SMALL_SIZE_PX[0]] = brightness
    return planes


class Request:
    """One completed request. `arrays` and `metadata` say what the sensor answers instead of something sensible."""

    def __init__(self, vendor, at_s, *, arrays=None, **metadata):
        self.vendor, self.references = vendor, 1
        self.metadata = {
            "SensorTimestamp": round(at_s * 1e9 + 201e3),
            "ExposureTime": 201,
            "AnalogueGain": 3.98,
            "FrameDuration": 33333,
        } | metadata
        self.arrays = {"main": np.full((SIZE_PX[1], SIZE_PX[0], 3), 90, np.uint8), "lores": planes_of(90)} | (
            arrays or {}
        )

    def acquire(self):
        if self.references == 0:
            raise RuntimeError("CompletedRequest: acquiring lock with ref_count 0")
        self.references += 1

    def release(self):
        self.references -= 1
        assert self.references >= 0
        if self.references == 0:
            self.vendor.free += 1
            self.vendor.taken_over.append(self.vendor.pending)
            self.vendor.pending = {}

    def make_array(self, name):
        assert self.references > 0
        return self.arrays[name].copy() if isinstance(self.arrays[name], np.ndarray) else self.arrays[name]

    def get_metadata(self):
        assert self.references > 0
        return {name: value for name, value in self.metadata.items() if value is not None}


class Vendor:
    """What stands in for `picamera2.Picamera2`."""

    def __init__(self):
        self.free, self.lost = BUFFERS, 0
        self.started = self.closed = False
        self.post_callback = None
        self.pending, self.taken_over, self.starts = {}, [], []
        self.hangs = False

    def create_video_configuration(self, **configuration):
        return configuration

    def configure(self, configuration):
        assert not self.started
        self.configuration = configuration
        self.pending = dict(configuration["controls"])

    def camera_configuration(self):
        return self.configuration

    def start(self):
        self.started = True
        self.starts.append(self.pending)
        self.pending = {}

    def stop_(self, request=None):
        self.started = False
        return True, None

    def dispatch_functions(self, functions, *, wait, immediate):
        assert math.isfinite(wait)
        assert immediate
        if self.hangs:
            raise JobTimedOut
        return [function() for function in functions][-1][1]

    def cancel_all_and_flush(self):
        self.flushed = True

    def set_controls(self, controls):
        self.pending |= controls

    def close(self):
        self.closed = True

    def complete(self, at_s, **answers):
        """Complete a request as the event loop does; a sensor without a free buffer loses the shot."""
        if self.free == 0:
            self.lost += 1
            return None
        self.free -= 1
        request = Request(self, at_s, **answers)
        self.post_callback(request)
        request.release()
        return request


@pytest.fixture
def clock():
    return VirtualClock(start_s=START_S)


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
def camera(clock, vendor):
    camera = PiCamera(clock, open_camera=lambda: vendor)
    camera.listen(threading.Event())
    clock.advance_to(START_S + 0.2)
    return camera


def test_the_sensor_is_configured_whole_before_its_start(camera, vendor):
    assert vendor.started
    configuration = vendor.configuration
    assert configuration["main"] == {"size": SIZE_PX, "format": "RGB888"}
    assert configuration["lores"] == {"size": (364, 272), "format": "YUV420"}
    assert configuration["buffer_count"] == BUFFERS
    controls = vendor.starts[0]
    assert controls["ExposureTime"] == START_LIGHT.exposure_us
    assert controls["AeEnable"] is controls["AwbEnable"] is False
    assert controls["FrameDurationLimits"][0] == controls["FrameDurationLimits"][1]
    assert {"ColourGains", "NoiseReductionMode", "AnalogueGain"} <= set(controls)


def test_a_shot_says_what_the_sensor_reports_and_when_its_exposure_began(camera, vendor, clock):
    vendor.complete(START_S + 0.01)
    (shot,) = camera.shots()
    assert shot.at_s == pytest.approx(START_S + 0.01)
    assert (shot.light, shot.number) == (Light(exposure_us=201.0, gain=3.98), 1)
    assert shot.small.shape == (272, 364)
    assert shot.small.flags.c_contiguous
    assert shot.small.min() == shot.small.max() == 90
    assert camera.shots() == []


def test_a_shot_is_developed_to_a_frame_with_both_times(camera, vendor, clock):
    vendor.complete(START_S + 0.01)
    (shot,) = camera.shots()
    clock.distrust()
    frame = shot.develop(infrared=True)
    assert frame.taken_utc_ms == EPOCH_UTC_MS + 10
    assert not frame.clock_trusted
    assert frame.infrared
    assert frame.image.shape == (SIZE_PX[1], SIZE_PX[0], 3)
    assert (frame.number, frame.at_s, frame.exposure_us, frame.gain) == (1, shot.at_s, 201.0, 3.98)


def test_a_released_shot_gives_its_buffer_back_once_and_is_not_developed(camera, vendor):
    vendor.complete(START_S + 0.01)
    (shot,) = camera.shots()
    assert vendor.free == BUFFERS - 1
    shot.release()
    shot.release()
    assert vendor.free == BUFFERS
    with pytest.raises(ValueError, match="released"):
        shot.develop(infrared=False)
    assert shot.small.shape == (272, 364)


def test_a_late_taker_loses_the_oldest_shots_and_the_sensor_never_its_last_buffers(camera, vendor):
    for number in range(10):
        vendor.complete(START_S + number / 100)
        assert vendor.free >= BUFFERS - HELD_AT_MOST
    shots = camera.shots()
    assert [round((shot.at_s - START_S) * 100) for shot in shots] == [6, 7, 8, 9]
    assert camera.dropped == 6
    vendor.complete(START_S + 0.15)  # all that may be held is in the taker's hands
    assert camera.shots() == []
    assert camera.dropped == 7
    for shot in shots:
        shot.release()
    assert vendor.free == BUFFERS
    assert vendor.lost == 0


def test_exposure_and_gain_are_asked_for_together_and_go_with_the_next_buffer(camera, vendor):
    vendor.complete(START_S + 0.01)
    (shot,) = camera.shots()
    camera.set_light(Light(exposure_us=150.4, gain=8.0, lamp_ratio=1.0))
    shot.release()
    assert vendor.taken_over[-1] == {"ExposureTime": 150, "AnalogueGain": 8.0}


def test_silence_is_a_fault_and_shots_end_it(camera, vendor, clock):
    clock.advance_to(START_S + 2.9)
    assert camera.shots() == []
    clock.advance_to(START_S + 3.1)
    with pytest.raises(DeviceFault, match="no good shot for 3 s") as silent:
        camera.shots()
    assert silent.value.code is FaultCode.CAMERA_SILENT
    vendor.complete(START_S + 3.0)
    assert len(camera.shots()) == 1


def test_a_restart_is_the_same_object_with_all_controls_again(camera, vendor, clock):
    camera.set_light(Light(exposure_us=100.0, gain=2.0))
    vendor.complete(START_S + 0.01)
    clock.advance_to(START_S + 4)
    camera.restart()
    assert vendor.starts[1] == {**FIXED_CONTROLS, "ExposureTime": 100, "AnalogueGain": 2.0}
    assert vendor.free == BUFFERS
    assert camera.shots() == []
    vendor.complete(START_S + 3.9)
    assert [shot.number for shot in camera.shots()] == [1]


def test_an_event_loop_that_hangs_does_not_hang_the_restart(camera, vendor):
    vendor.hangs = True
    with pytest.raises(DeviceFault, match="cannot be started again") as refused:
        camera.restart()
    assert refused.value.code is FaultCode.CAMERA_ABSENT
    assert vendor.flushed


NONSENSE = [
    {"ExposureTime": None},
    {"AnalogueGain": None},
    {"SensorTimestamp": None},
    {"ExposureTime": -200},
    {"ExposureTime": 0},
    {"ExposureTime": 40_000},
    {"ExposureTime": math.nan},
    {"ExposureTime": "200"},
    {"ExposureTime": True},
    {"AnalogueGain": math.inf},
    {"AnalogueGain": 1e9},
    {"SensorTimestamp": 0},
    {"SensorTimestamp": round((START_S - 10) * 1e9)},
    {"SensorTimestamp": round((START_S + 10) * 1e9)},
    {"arrays": {"lores": np.zeros((408, 363), np.uint8)}},
    {"arrays": {"lores": np.zeros((272, 384), np.uint8)}},
    {"arrays": {"lores": np.zeros((0, 384), np.uint8)}},
    {"arrays": {"lores": np.zeros((408, 384), np.uint16)}},
    {"arrays": {"lores": np.zeros((408, 384, 3), np.uint8)}},
    {"arrays": {"lores": None}},
]


@pytest.mark.parametrize("answers", NONSENSE, ids=lambda answers: next(iter(answers)))
def test_nonsense_is_a_fault_with_a_hint_and_gives_its_buffer_back(camera, vendor, answers):
    vendor.complete(START_S + 0.01)
    for shot in camera.shots():
        shot.release()
    vendor.complete(START_S + 0.05, **answers)
    with pytest.raises(DeviceFault, match="ribbon cable") as refused:
        camera.shots()
    assert refused.value.code is FaultCode.CAMERA_NONSENSE
    assert vendor.free == BUFFERS


def test_good_shots_come_through_between_nonsense(camera, vendor, clock):
    for number in range(3):
        vendor.complete(START_S + number / 100, **({"AnalogueGain": None} if number == 1 else {}))
    assert len(camera.shots()) == 2


def test_nothing_but_nonsense_is_silence_after_three_seconds(camera, vendor, clock):
    clock.advance_to(START_S + 3.5)
    vendor.complete(START_S + 3.4, ExposureTime=None)
    with pytest.raises(DeviceFault, match="ExposureTime") as refused:
        camera.shots()
    assert refused.value.code is FaultCode.CAMERA_SILENT


STRIDED = np.zeros((SIZE_PX[1], SIZE_PX[0] + 8, 3), np.uint8)[:, :-8]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1088, 1456), np.uint8),
        np.zeros((1088, 1456, 4), np.uint8),
        np.zeros((1088, 1455, 3), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((1088, 1456, 3), np.float32),
        None,
    ],
    ids=lambda image: str(getattr(image, "shape", image)),
)
def test_what_is_no_picture_is_not_developed(camera, vendor, image):
    vendor.complete(START_S + 0.01, arrays={"main": image})
    (shot,) = camera.shots()
    with pytest.raises(DeviceFault) as refused:
        shot.develop(infrared=False)
    assert refused.value.code is FaultCode.CAMERA_NONSENSE
    shot.release()
    assert vendor.free == BUFFERS


def test_a_picture_with_wrong_strides_is_not_developed(camera, vendor, monkeypatch):
    monkeypatch.setattr(Request, "make_array", lambda self, name: STRIDED if name == "main" else self.arrays[name])
    vendor.complete(START_S + 0.01)
    (shot,) = camera.shots()
    with pytest.raises(DeviceFault, match="strides"):
        shot.develop(infrared=False)


def test_a_request_that_cannot_be_held_does_not_end_the_vendors_thread(camera, vendor, clock):
    class Gone:
        def acquire(self):
            raise RuntimeError("CompletedRequest: acquiring lock with ref_count 0")

    vendor.post_callback(Gone())
    clock.advance_to(START_S + 4)
    with pytest.raises(DeviceFault, match="ref_count 0"):
        camera.shots()


def test_a_missing_sensor_says_what_to_check(clock):
    def refuse():
        raise RuntimeError("No camera number 0 found")

    with pytest.raises(DeviceFault, match="ribbon cable") as absent:
        PiCamera(clock, open_camera=refuse).listen(threading.Event())
    assert absent.value.code is FaultCode.CAMERA_ABSENT


def test_a_sensor_that_refuses_a_control_is_given_back(clock, vendor, monkeypatch):
    def refuse(self):
        raise RuntimeError("Control AeEnable is not advertised by libcamera")

    monkeypatch.setattr(Vendor, "start", refuse)
    with pytest.raises(DeviceFault, match="AeEnable"):
        PiCamera(clock, open_camera=lambda: vendor).listen(threading.Event())
    assert vendor.closed


def test_closing_gives_the_waiting_buffers_and_the_sensor_back_once(camera, vendor):
    vendor.complete(START_S + 0.01)
    camera.close()
    camera.close()
    assert vendor.closed
    assert vendor.free == BUFFERS


def test_without_picamera2_the_board_says_so(monkeypatch, clock):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DeviceFault, match="apt install python3-picamera2"):
        PiCamera(clock)


def test_the_start_does_not_blur_a_plate():
    assert START_LIGHT.exposure_us < longest_exposure_us(20, 75)

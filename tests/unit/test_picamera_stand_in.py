"""The stand-in for picamera2 and the sensor behind it, driven bare: they obey the parts' own rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_sensor import SIZE_PX, SMALL_PX, START_S, Wall, configured, metadata_of, pass_time

from firmware.records import Light
from hw_sim.camera import OBEYS_AFTER_FRAMES
from hw_sim.imx296 import LINE_US, DelayedSettings, Settings, possible


@given(
    exposure_us=st.floats(0.0, 1e6), gain=st.floats(0.0, 100.0), frame_us=st.floats(0.0, 1e6),
)  # fmt: skip
def test_a_sensor_does_only_what_it_can(exposure_us, gain, frame_us):
    done = possible(Settings(exposure_us=exposure_us, gain=gain, frame_us=frame_us))
    assert 29.0 < done.exposure_us <= done.frame_us - 4 * LINE_US + 14.27
    assert 1.0 <= done.gain <= 15.7
    assert done.frame_us >= 16_562.0
    if 30.0 <= exposure_us <= done.frame_us - 100.0:
        assert exposure_us - LINE_US <= done.exposure_us <= exposure_us + 1e-6
    if 1.0 <= gain <= 15.6:
        assert gain / 1.0117 <= done.gain <= gain * 1.0000001  # steps of 0.1 dB, downwards


def test_settings_act_in_order_although_one_is_written_with_less_delay():
    settings = DelayedSettings(Settings(exposure_us=200.0, gain=1.0, frame_us=33_333.0))
    settings.write(4, exposure_us=1000.0)
    settings.write(3, gain=2.0)
    assert settings.of(3).gain == 1.0
    assert (round(settings.of(4).exposure_us), round(settings.of(4).gain, 1)) == (992, 2.0)


def test_controls_before_the_start_hold_from_the_first_frame(world, clock):
    vendor, held = configured(world)
    vendor.start()
    answers = metadata_of(world, clock, vendor, held, 3)
    assert [answer["ExposureTime"] for answer in answers] == [192] * 3  # 12 lines and 14 us
    assert answers[0]["AnalogueGain"] == pytest.approx(1.995, abs=0.001)
    assert answers[0]["FrameDuration"] == 33333


@pytest.mark.parametrize("buffers", [3, 6])
def test_a_new_exposure_is_late_by_the_buffers_and_three_or_four_frames(world, clock, buffers):
    vendor, held = configured(world, buffer_count=buffers)
    vendor.start()
    metadata_of(world, clock, vendor, held, 10)
    lags = set()
    for asked in (1000, 2000) * 6:
        vendor.set_controls({"ExposureTime": asked, "AnalogueGain": 4.0})
        answers = metadata_of(world, clock, vendor, held, buffers + 8)
        lags.add(next(n for n, answer in enumerate(answers) if abs(answer["ExposureTime"] - asked) < LINE_US))
        assert answers[-1]["AnalogueGain"] == pytest.approx(3.98, abs=0.01)
    assert lags == {buffers + lag for lag in OBEYS_AFTER_FRAMES}


def test_held_buffers_keep_new_controls_from_the_sensor_and_lose_frames(world, clock):
    vendor, held = configured(world)
    vendor.start()
    pass_time(world, clock, START_S + 0.5)
    assert len(held) == 6
    assert world.lost == pytest.approx(8, abs=2)
    vendor.set_controls({"ExposureTime": 1000})
    lost = world.lost
    pass_time(world, clock, START_S + 1.0)
    assert len(held) == 6
    assert world.lost == lost + 15
    for request in held:
        request.release()
    held.clear()
    answers = metadata_of(world, clock, vendor, held, 12)
    assert answers[0]["ExposureTime"] == 192
    assert answers[-1]["ExposureTime"] == pytest.approx(1000, abs=LINE_US)


def test_pictures_come_as_the_library_lays_them_out(world, scene, clock):
    vendor, held = configured(world)
    assert vendor.camera_configuration()["main"]["size"] == SIZE_PX
    assert vendor.stream_configuration("lores") == {
        "format": "YUV420", "size": SMALL_PX, "preserve_ar": False, "stride": 64, "framesize": 64 * 51,
    }  # fmt: skip
    vendor.start()
    pass_time(world, clock, START_S + 0.1)
    small = held[0].make_array("lores")
    assert (small.shape, small.dtype) == ((SMALL_PX[1] * 3 // 2, 64), np.uint8)
    level = Wall.level(0.0, Light(exposure_us=192.0, gain=2.0))
    assert np.all(small[: SMALL_PX[1], : SMALL_PX[0]] == level)
    assert not small[: SMALL_PX[1], SMALL_PX[0] :].any()  # padding
    assert held[0].make_buffer("lores").shape == (64 * 51,)
    assert scene.whole_asked == 0  # nobody has asked for the whole picture
    whole = held[0].make_array("main")
    assert (whole.shape, whole.dtype) == ((SIZE_PX[1], SIZE_PX[0], 3), np.uint8)
    assert whole.flags.owndata
    assert whole.flags.writeable
    assert np.all(whole == level)
    assert held[0].make_buffer("main").shape == (vendor.stream_configuration()["framesize"],)
    with pytest.raises(RuntimeError, match="Stream 'raw' is not defined"):
        held[0].make_array("raw")


def test_a_released_request_is_nobodys(world, clock):
    vendor, held = configured(world)
    vendor.start()
    pass_time(world, clock, START_S + 0.1)
    request = held[0]
    request.release()
    with pytest.raises(RuntimeError, match="not defined"):
        request.make_array("main")
    with pytest.raises(AssertionError):
        request.get_metadata()
    with pytest.raises(RuntimeError, match="ref_count 0"):
        request.acquire()
    with pytest.raises(RuntimeError, match="negative ref_count"):
        request.release()


def test_a_buffer_held_over_a_restart_is_written_again_and_does_not_come_back(world, scene, clock):
    vendor, held = configured(world)
    vendor.start()
    pass_time(world, clock, START_S + 0.1)
    old, *rest = held
    before = old.make_array("lores")[0, 0]
    vendor.stop()
    vendor.stop()
    for request in rest:
        request.release()
    held.clear()
    vendor.set_controls({"ExposureTime": 3000})
    vendor.start()
    pass_time(world, clock, START_S + 2.0)
    assert len(held) == 6  # all buffers are with the sensor again, also the one that is held
    assert old.make_array("lores")[0, 0] > before + 100
    old.release()
    assert vendor.next_buffer() is None
    vendor.close()
    with pytest.raises(RuntimeError, match="failed to find buffer"):
        held[0].make_array("lores")
    assert scene.closed


def test_what_libcamera_refuses_is_refused(world, clock):
    vendor, _ = configured(world)
    for controls in ({"Focus": 1}, {"ExposureTime": 200.5}, {"FrameDurationLimits": 33333}, {"ColourGains": (1.0,)}):
        with pytest.raises(RuntimeError, match=next(iter(controls))):
            vendor.set_controls(controls)
    with pytest.raises(RuntimeError, match="not advertised by libcamera"):
        vendor.set_controls({"LensPosition": 1.0})  # there is no lens motor
    with pytest.raises(ValueError, match="Bad key 'colour'"):
        vendor.create_video_configuration(main={"colour": 3})
    with pytest.raises(RuntimeError, match="Display stream lores"):
        vendor.create_video_configuration(display="lores")
    for lores in ({"size": (365, 271), "format": "NV12"}, {"size": (2000, 1200), "format": "YUV420"}):
        with pytest.raises(RuntimeError):
            vendor.configure(
                vendor.create_video_configuration(main={"size": (1456, 1088), "format": "RGB888"}, lores=lores)
            )
    vendor.start()
    with pytest.raises(RuntimeError, match="stopped before configuring"):
        vendor.configure(vendor.camera_configuration())
    with pytest.raises(RuntimeError, match="did not complete"):
        world.open()
    vendor.close()
    vendor.close()
    assert vendor.camera_properties == {}
    with pytest.raises(RuntimeError, match="not advertised"):
        vendor.set_controls({"ExposureTime": 200})
    with pytest.raises(RuntimeError, match="Camera not opened"):
        vendor.create_video_configuration()
    with pytest.raises(RuntimeError, match="not been configured"):
        vendor.start()


def test_a_callback_that_raises_ends_the_delivery(world, clock):
    vendor, held = configured(world)

    def fail(request):
        raise ZeroDivisionError

    vendor.post_callback = fail
    vendor.start()
    with pytest.raises(ZeroDivisionError):
        pass_time(world, clock, START_S + 0.2)
    vendor.post_callback = held.append
    pass_time(world, clock, START_S + 1.0)
    assert held == []
    with pytest.raises(RuntimeError, match="event loop is gone"):
        vendor.stop()
    with pytest.raises(TimeoutError):
        vendor.dispatch_functions([vendor.stop_], wait=1.0, immediate=True)
    vendor.close()


def test_a_stop_from_within_a_callback_is_said_and_does_not_hang(world, clock):
    vendor, _ = configured(world)
    said = []

    def stop(request):
        with pytest.raises(RuntimeError, match="from within a callback") as refused:
            vendor.stop()
        said.append(refused)

    vendor.post_callback = stop
    vendor.start()
    pass_time(world, clock, START_S + 0.1)
    assert said
    vendor.close()

"""The simulated camera on virtual time and on its own thread, before the road and before recorded pictures."""

import logging
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from firmware.board.linux import LinuxClock
from firmware.faults import ConfigRejected, DeviceFault, FaultCode
from firmware.stage import NEVER_S
from hw_sim.camera import BUFFERS, ReplayCamera, RoadCamera
from hw_sim.road import Road
from hw_sim.runner import VirtualClock
from hw_sim.sensors import SimIrBeam, SimPir
from hw_sim.world import Mount

SMALL = Mount(width_px=160, height_px=90, focal_px=450.0)


def _run(camera, clock: VirtualClock, until_s: float) -> list:
    """Let virtual time pass and take every frame as it comes."""
    frames = []
    while camera.next_event_s <= until_s:
        clock.advance_to(max(camera.next_event_s, clock.monotonic_s()))
        camera.deliver(clock.monotonic_s())
        frames += camera.frames()
    clock.advance_to(until_s)
    return frames


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(start_s=50.0)


@pytest.fixture
def road_camera(clock: VirtualClock):
    camera = RoadCamera(Road(5, 3, mount=SMALL), clock, self_paced=False)
    yield camera
    camera.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs of different kinds and sizes, each of one colour, and a file that is no picture."""
    for name, size, colour in (
        ("b.png", (60, 80), (0, 0, 200)), ("a.jpg", (90, 120), (200, 0, 0)), ("c.webp", (50, 40), (0, 200, 0)),
    ):  # fmt: skip
        assert cv2.imwrite(str(tmp_path / name), np.full((*size, 3), colour, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_frames_carry_number_time_and_light(road_camera: RoadCamera, clock: VirtualClock) -> None:
    wake = threading.Event()
    assert road_camera.next_frame_s == NEVER_S
    assert road_camera.frame_at(0) is None
    road_camera.listen(wake)
    frames = _run(road_camera, clock, 51.0)
    assert [frame.number for frame in frames] == list(range(31))
    assert [frame.at_s for frame in frames] == pytest.approx([50.0 + n / 30.0 for n in range(31)])
    assert wake.is_set()
    frame = frames[30]
    assert frame.taken_utc_ms == clock.utc_ms()
    assert frame.clock_trusted
    assert (frame.exposure_us, frame.gain, frame.infrared) == (250.0, 1.0, False)
    assert frame.image.shape == (90, 160, 3)
    clock.distrust()
    again = road_camera.frame_at(15)
    assert again is not None
    assert np.array_equal(again.image, frames[15].image)
    assert again.taken_utc_ms == frames[15].taken_utc_ms
    assert not again.clock_trusted


def test_a_taker_who_is_late_loses_the_oldest(road_camera: RoadCamera, clock: VirtualClock) -> None:
    road_camera.listen(threading.Event())
    clock.advance_to(50.0 + 9.5 / 30.0)
    road_camera.deliver(clock.monotonic_s())
    assert [frame.number for frame in road_camera.frames()] == list(range(10 - BUFFERS, 10))
    assert road_camera.lost == 10 - BUFFERS
    assert road_camera.frames() == []


def test_a_frozen_sensor_is_reported_as_silent_and_recovers(road_camera: RoadCamera, clock: VirtualClock) -> None:
    road_camera.listen(threading.Event())
    _run(road_camera, clock, 50.5)
    road_camera.freeze()
    assert _run(road_camera, clock, 53.0) == []
    clock.advance_to(53.6)
    with pytest.raises(DeviceFault) as fault:
        road_camera.frames()
    assert fault.value.code is FaultCode.CAMERA_SILENT
    assert "cable" in fault.value.hint
    road_camera.thaw()
    numbers = [frame.number for frame in _run(road_camera, clock, 54.0)]
    assert numbers[-1] == 120
    assert len(numbers) < 20


def test_nobody_complains_before_listening(road_camera: RoadCamera, clock: VirtualClock) -> None:
    clock.advance_to(100.0)
    road_camera.deliver(100.0)
    assert road_camera.frames() == []
    assert not road_camera.finished


def test_dropped_frames_leave_a_gap_in_the_numbers(road_camera: RoadCamera, clock: VirtualClock) -> None:
    road_camera.listen(threading.Event())
    _run(road_camera, clock, 50.1)
    road_camera.drop_next(4)
    numbers = [frame.number for frame in _run(road_camera, clock, 50.5)]
    assert numbers == list(range(8, 16))
    assert road_camera.lost == 4


def test_the_road_finishes_after_its_last_vehicle(road_camera: RoadCamera, clock: VirtualClock) -> None:
    road_camera.listen(threading.Event())
    end_s = Road(5, 3, mount=SMALL).end_s
    clock.advance_to(50.0 + end_s - 0.1)
    assert not road_camera.finished
    clock.advance_to(50.0 + end_s + 0.001)
    assert road_camera.finished


def test_vehicles_reach_the_sensors_and_their_lines(clock: VirtualClock) -> None:
    road = Road(5, 4, mount=SMALL)
    factory = MockFactory()
    pir = SimPir(factory.pin(17), seed=1, powered_at_s=-100.0)
    beam = SimIrBeam(factory.pin(27), powered_at_s=-100.0)
    noticed_s: list[float] = []
    camera = RoadCamera(road, clock, 5.0, sensors=(pir, beam), on_subject=noticed_s.append, self_paced=False)
    try:
        camera.listen(threading.Event())
        camera.deliver(50.0)
        factory.pin(17).clear_states()
        factory.pin(27).clear_states()
        _run(camera, clock, 50.0 + road.end_s + 5.0)
        fronts_s = sorted(vehicle.front_passes_s for vehicle in road.vehicles)
        assert noticed_s == pytest.approx([50.0 + front_s for front_s in fronts_s])
        beam_levels = [bool(change.state) for change in factory.pin(27).states[1:]]
        assert beam_levels == [False, True] * 4
        assert factory.pin(17).states[-1].state is False
        assert 2 <= sum(bool(change.state) for change in factory.pin(17).states) <= 4
    finally:
        camera.close()
        factory.close()


def test_photographs_are_shown_in_order_with_grey_between(folder: Path, clock: VirtualClock) -> None:
    noticed_s: list[float] = []
    camera = ReplayCamera(folder, clock, 10.0, on_subject=noticed_s.append, self_paced=False)
    try:
        camera.listen(threading.Event())
        frames = _run(camera, clock, 50.0 + 3 * 1.6 + 0.5)
        assert not camera.finished
        frames += _run(camera, clock, 50.0 + 3 * 1.6 + 0.7)
    finally:
        camera.close()
    assert camera.finished
    assert noticed_s == pytest.approx([50.6, 52.2, 53.8])
    shown = {(90, 120): 0, (60, 80): 0, (50, 40): 0}
    order = []
    for frame in frames:
        colour = frame.image.reshape(-1, 3).mean(axis=0)
        is_grey = np.ptp(colour) < 1.0
        shown[frame.image.shape[:2]] += not is_grey
        order.append("grey" if is_grey else "bgr"[int(np.argmax(colour))])
    assert shown == {(90, 120): 10, (60, 80): 10, (50, 40): 10}
    assert [one for one, before in zip(order, ["", *order], strict=False) if one != before] == [
        "grey", "b", "grey", "r", "grey", "g", "grey",
    ]  # fmt: skip


def test_shared_pictures_cannot_be_painted_on(folder: Path, clock: VirtualClock) -> None:
    camera = ReplayCamera(folder, clock, self_paced=False)
    camera.listen(threading.Event())
    frame = camera.frame_at(7)
    camera.close()
    assert frame is not None
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 0


def test_an_unreadable_photograph_is_warned_of_once_and_skipped(folder: Path, clock: VirtualClock, caplog) -> None:
    (folder / "b1.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (folder / "b2.png").write_bytes(b"")
    camera = ReplayCamera(folder, clock, 10.0, self_paced=False)
    with caplog.at_level(logging.WARNING):
        camera.listen(threading.Event())
        frames = _run(camera, clock, 50.0 + 5 * 1.6 + 0.7)
    camera.close()
    assert camera.finished
    assert camera.unreadable == 2
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "b1.jpg is no picture" in warnings[0]
    assert {frame.image.shape[:2] for frame in frames} >= {(90, 120), (60, 80), (50, 40)}
    assert len(frames) == pytest.approx(88, abs=1)


@pytest.mark.parametrize("name", ["empty", "absent", "only-text", "only-broken", "broken.jpg", "broken.mp4"])
def test_a_source_that_shows_nothing_is_refused_in_one_sentence(name: str, tmp_path: Path, clock: VirtualClock) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "only-text").mkdir()
    (tmp_path / "only-text" / "a.txt").write_text("hello")
    (tmp_path / "only-broken").mkdir()
    for broken in ("only-broken/a.jpg", "broken.jpg", "broken.mp4"):
        (tmp_path / broken).write_bytes(b"this is no picture at all")
    with pytest.raises(ConfigRejected) as refused:
        ReplayCamera(tmp_path / name, clock)
    assert str(tmp_path / name) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert ";" in str(refused.value)  # what is wrong; what to do


def test_one_photograph_is_a_source(folder: Path, clock: VirtualClock) -> None:
    camera = ReplayCamera(folder / "a.jpg", clock, self_paced=False)
    camera.listen(threading.Event())
    sizes = {frame.image.shape[:2] for frame in _run(camera, clock, 53.0)}
    camera.close()
    assert sizes == {(90, 120)}
    assert camera.finished


def test_a_video_plays_at_its_own_pace_and_ends(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    assert writer.isOpened()
    for number in range(40):
        writer.write(np.full((48, 64, 3), 6 * number, np.uint8))
    writer.release()
    camera = ReplayCamera(path, clock, 10.0, self_paced=False)
    try:
        camera.listen(threading.Event())
        frames = _run(camera, clock, 52.5)
        assert camera.finished
        levels = [frame.image.mean() for frame in frames]
        assert levels[:20] == pytest.approx([12.0 * n for n in range(20)], abs=3.0)
        assert levels[20:] == pytest.approx([levels[20]] * len(levels[20:]))
        again = camera.frame_at(5)
        assert again is not None
        assert again.image.mean() == pytest.approx(levels[5])
    finally:
        camera.close()


def test_its_own_thread_delivers_in_real_time_and_ends(folder: Path) -> None:
    clock = LinuxClock()
    camera = ReplayCamera(folder, clock, 100.0)
    wake = threading.Event()
    before = threading.active_count()
    camera.listen(wake)
    taken = []
    deadline_s = clock.monotonic_s() + 10.0
    while len(taken) < 20 and clock.monotonic_s() < deadline_s:
        assert wake.wait(5.0)
        wake.clear()
        taken += camera.frames()
    camera.close()
    assert len(taken) >= 20
    numbers = [frame.number for frame in taken]
    assert numbers == sorted(set(numbers))
    assert all(frame.at_s <= clock.monotonic_s() for frame in taken)
    assert threading.active_count() == before
    assert camera.next_frame_s == NEVER_S


def test_a_thread_that_cannot_keep_up_skips_frames(folder: Path) -> None:
    clock = VirtualClock(start_s=0.0)
    camera = ReplayCamera(folder, clock, 10.0)
    wake = threading.Event()
    camera.listen(wake)
    assert wake.wait(5.0)
    wake.clear()
    clock.advance_to(30.0)  # the machine was asleep
    assert wake.wait(5.0)
    camera.close()
    numbers = [frame.number for frame in camera.frames()]
    assert numbers == [0, 300]
    assert camera.lost == 299


def test_rates_without_sense_are_refused(folder: Path, clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="frames a second"):
        ReplayCamera(folder, clock, 0.0)
    with pytest.raises(ValueError, match="gap"):
        ReplayCamera(folder, clock, 10.0, gap_s=0.0)

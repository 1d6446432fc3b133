"""Photographs and videos as what stands before the sensor: alone, and through the device's own camera adapter."""

import itertools
import logging
import threading

import cv2
import numpy as np
import pytest
from simulated_sensor import START_S, taken

from firmware.board.pi_camera import PiCamera
from firmware.faults import ConfigRejected
from firmware.records import Light
from hw_sim.camera import SimCamera
from hw_sim.replay import LONGEST_SIDE_PX, fitted, open_scene, sensor_size
from hw_sim.runner import VirtualClock

LIGHT = Light(exposure_us=200.0, gain=4.0)
HOLD_S, GAP_S = 1.0, 0.6
SLOT_S = HOLD_S + GAP_S


def open_pictures(path):
    return open_scene(path, hold_s=HOLD_S, gap_s=GAP_S)


def write(path, size_px, colour):
    assert cv2.imwrite(str(path), np.full((size_px[1], size_px[0], 3), colour, np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Three photographs of different kinds and sizes, each of one colour, and a file that is no picture."""
    for name, size_px, colour in (
        ("b.png", (800, 600), (0, 0, 200)), ("a.jpg", (1200, 900), (200, 0, 0)), ("c.webp", (400, 500), (0, 200, 0)),
    ):  # fmt: skip
        write(tmp_path / name, size_px, colour)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def colour_of(picture):
    """Return which of b, g, r the middle of the picture has, or grey."""
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
    return "grey" if np.ptp(middle) < 10 else "bgr"[int(np.argmax(middle))]


def test_photographs_are_shown_in_order_with_grey_between(folder):
    scene = open_pictures(folder)
    order = [colour_of(scene.picture_at(n / 10, LIGHT)) for n in range(55)]
    assert [colour for colour, _ in itertools.groupby(order)] == ["grey", "b", "grey", "r", "grey", "g", "grey"]
    assert order.count("r") == 10
    assert scene.end_s == pytest.approx(3 * SLOT_S + GAP_S)
    assert [subject.at_s for subject in scene.subjects(0.0, 10.0)] == pytest.approx([0.6, 2.2, 3.8])


def test_the_small_copy_is_the_picture_at_a_quarter(folder):
    scene = open_pictures(folder)
    for at_s in (0.0, 0.8, 4.0):
        whole, small = scene.picture_at(at_s, LIGHT), scene.small_at(at_s, LIGHT)
        assert small.shape == (whole.shape[0] // 4, whole.shape[1] // 4)
        brightness = cv2.cvtColor(
            cv2.resize(whole, small.shape[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
        )
        assert np.array_equal(small, brightness)


@pytest.mark.parametrize("size_px", [(1600, 900), (801, 601), (900, 1600), (2000, 1500)])
def test_photographs_of_one_size_arrive_pixel_by_pixel(tmp_path, size_px):
    noise = np.random.default_rng(1).integers(0, 256, (size_px[1], size_px[0], 3), np.uint8)
    for name in ("a.png", "b.png"):
        assert cv2.imwrite(str(tmp_path / name), noise)
    scene = open_pictures(tmp_path)
    assert scene.size_px == (size_px[0] + size_px[0] % 2, size_px[1] + size_px[1] % 2)
    assert np.array_equal(scene.picture_at(1.0, LIGHT)[: size_px[1], : size_px[0]], noise)


def test_mixed_sizes_share_a_frame_in_which_each_keeps_its_share_of_the_detectors_input():
    """Alone, a picture is scaled into 512 x 384; through the frame it must come out as large."""
    sizes = {(4000, 3000), (3000, 4000), (640, 480), (1920, 1080)}
    frame_px = sensor_size(sizes)
    assert frame_px[0] * 3 == pytest.approx(frame_px[1] * 4, abs=8)
    assert max(frame_px) <= LONGEST_SIDE_PX
    for width_px, height_px in sizes:
        alone = min(512 / width_px, 384 / height_px)
        through = min(frame_px[0] / width_px, frame_px[1] / height_px) * 512 / frame_px[0]
        assert through == pytest.approx(alone, rel=0.01)


def test_a_picture_is_never_cut_and_lies_in_the_middle():
    fit = fitted(np.full((50, 200, 3), 255, np.uint8), (400, 300))
    rows, columns = np.nonzero(fit[:, :, 0] == 255)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (100, 199, 0, 399)
    assert fit[0, 0, 0] == fit[-1, -1, 0] < 200


def test_shared_pictures_cannot_be_painted_on_but_developed_ones_can(folder):
    scene = open_pictures(folder)
    for at_s in (0.1, 1.0):
        with pytest.raises(ValueError, match="read-only"):
            scene.picture_at(at_s, LIGHT)[0, 0] = 0
    clock = VirtualClock(start_s=START_S)
    world = SimCamera(scene, clock, size_px=scene.size_px, self_paced=False)
    camera = PiCamera(clock, open_camera=world.open)
    camera.listen(threading.Event())
    taken(camera, world, clock, START_S + 1.0)
    clock.advance_to(world.next_event_s)
    while not (shots := camera.shots()):
        clock.advance_to(world.next_event_s)
        world.deliver(clock.monotonic_s())
    frame = shots[0].develop(infrared=False)
    assert colour_of(frame.image) == "b"
    assert (frame.image.shape[1], frame.image.shape[0]) == scene.size_px
    frame.image[:] = 0
    assert colour_of(scene.picture_at(1.0, LIGHT)) == "b"
    camera.close()


def test_an_unreadable_photograph_is_warned_of_once_and_skipped(folder, caplog):
    (folder / "b1.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (folder / "b2.png").write_bytes(b"")
    scene = open_pictures(folder)
    with caplog.at_level(logging.WARNING):
        order = [colour_of(scene.picture_at(n / 10, LIGHT)) for n in range(88)]
    assert scene.unreadable == 2
    assert [colour for colour, _ in itertools.groupby(order) if colour != "grey"] == ["b", "r", "g"]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "b1.jpg is no picture" in warnings[0]


@pytest.mark.parametrize("name", ["empty", "absent", "only-text", "only-broken", "broken.jpg", "broken.mp4"])
def test_a_source_that_shows_nothing_is_refused_in_one_sentence(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "only-text").mkdir()
    (tmp_path / "only-text" / "a.txt").write_text("hello")
    (tmp_path / "only-broken").mkdir()
    for broken in ("only-broken/a.jpg", "broken.jpg", "broken.mp4"):
        (tmp_path / broken).write_bytes(b"this is no picture at all")
    with pytest.raises(ConfigRejected) as refused:
        open_pictures(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert ";" in str(refused.value)  # what is wrong; what to do


def test_one_photograph_is_a_source(folder):
    scene = open_pictures(folder / "a.jpg")
    assert scene.size_px == (1200, 900)
    assert colour_of(scene.picture_at(1.0, LIGHT)) == "b"


def test_a_gap_of_nothing_is_refused(folder):
    with pytest.raises(ValueError, match="gap"):
        open_scene(folder, hold_s=1.0, gap_s=0.0)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    assert writer.isOpened()
    for number in range(40):
        writer.write(np.full((48, 64, 3), 6 * number, np.uint8))
    writer.release()
    return path


def test_a_video_plays_at_its_own_pace_and_ends(video):
    scene = open_pictures(video)
    levels = [scene.picture_at(n / 10, LIGHT).mean() for n in range(25)]
    assert levels[:20] == pytest.approx([12.0 * n for n in range(20)], abs=3.0)
    assert levels[20:] == pytest.approx([levels[20]] * 5)
    assert scene.end_s == pytest.approx(2.0)
    assert scene.picture_at(0.5, LIGHT).mean() == pytest.approx(levels[5])  # from its begin once more
    scene.close()


def test_a_video_keeps_the_frames_that_a_camera_may_still_hold(video):
    scene = open_pictures(video)
    early = scene.picture_at(1.0, LIGHT)
    for n in range(5):
        scene.small_at(1.0 + n / 20, LIGHT)
    assert scene.picture_at(1.0, LIGHT) is early
    scene.close()

import numpy as np
import pytest

from firmware.motion import MotionGate

HEIGHT_PX, WIDTH_PX = 360, 640


@pytest.fixture
def generator():
    return np.random.default_rng(7)


NOISE = np.random.default_rng(8).normal(0, 1, HEIGHT_PX * WIDTH_PX * 3 * 2).astype(np.float32)
TEXTURE = np.linspace(-30, 30, WIDTH_PX, dtype=np.float32)[np.newaxis, :, np.newaxis]


def road(generator, level=110, noise=3.0):
    """A textured road with the noise of a sensor, uint8 (360, 640, 3) BGR."""
    start = generator.integers(0, NOISE.size // 2)
    grain = NOISE[start : start + NOISE.size // 2].reshape(HEIGHT_PX, WIDTH_PX, 3)
    return np.clip(level + TEXTURE + noise * grain, 0, 255).astype(np.uint8)


def with_vehicle(picture, x_px, width_px=60, level=220):
    picture = picture.copy()
    picture[200:260, max(0, x_px) : max(0, x_px + width_px)] = level
    return picture


def settled(gate, generator, frames=30, level=110):
    for number in range(frames):
        gate.changed_ratio(road(generator, level), number / 30)
    return frames / 30


def test_what_stands_in_view_at_the_start_is_looked_at_once(generator):
    gate = MotionGate()
    assert gate.changed_ratio(road(generator), 0.0) == 1.0
    assert gate.changed_ratio(road(generator), 0.03) < 0.001


def test_a_quiet_road_is_quiet_even_under_strong_noise(generator):
    gate = MotionGate()
    gate.changed_ratio(road(generator, noise=20), 0.0)
    assert max(gate.changed_ratio(road(generator, noise=20), n / 30) for n in range(1, 60)) < 0.0005


def test_a_vehicle_is_seen_in_the_very_first_frame_that_shows_it(generator):
    gate = MotionGate()
    at_s = settled(gate, generator)
    assert gate.changed_ratio(with_vehicle(road(generator), -40), at_s) > 0.004


def test_a_vehicle_that_passed_leaves_no_ghost(generator):
    """Also not one that filled most of the picture, as a truck does before a narrow lens."""
    gate = MotionGate()
    at_s = settled(gate, generator)
    for step in range(20):
        large = road(generator)
        large[step * 10 :] = 220
        gate.changed_ratio(large, at_s + step / 30)
    ratios = [gate.changed_ratio(road(generator), at_s + 0.7 + n / 30) for n in range(12)]
    assert ratios[0] > 0.004
    assert max(ratios[10:]) < 0.001


def test_a_vehicle_is_motion_as_long_as_it_moves_even_at_walking_speed(generator):
    gate = MotionGate()
    at_s = settled(gate, generator)
    ratios = [gate.changed_ratio(with_vehicle(road(generator), 100 + n * 8), at_s + n / 30) for n in range(30)]
    assert min(ratios) > 0.004


def test_a_parked_vehicle_becomes_background(generator):
    gate = MotionGate()
    at_s = settled(gate, generator)
    ratios = [gate.changed_ratio(with_vehicle(road(generator), 300), at_s + n / 30) for n in range(20)]
    assert ratios[0] > 0.004
    assert ratios[-1] < 0.001


def test_a_cloud_is_not_motion(generator):
    gate = MotionGate()
    at_s = settled(gate, generator)
    assert gate.changed_ratio(road(generator, level=75), at_s) < 0.02
    ratios = [gate.changed_ratio(road(generator, level=110 - n // 2), at_s + n / 30) for n in range(1, 60)]
    assert max(ratios) < 0.004


def test_another_scene_is_one_motion_and_then_the_background(generator):
    gate = MotionGate()
    at_s = settled(gate, generator)
    other = generator.integers(0, 255, (HEIGHT_PX // 40, WIDTH_PX // 40, 3), dtype=np.uint8)
    other = other.repeat(40, axis=0).repeat(40, axis=1)
    ratios = [gate.changed_ratio(other, at_s + n / 30) for n in range(20)]
    assert ratios[0] > 0.5
    assert ratios[-1] < 0.001


def test_a_picture_of_another_size_is_compared_all_the_same(generator):
    gate = MotionGate()
    settled(gate, generator)
    assert 0.0 <= gate.changed_ratio(np.full((1080, 1920, 3), 128, np.uint8), 5.0) <= 1.0


def test_black_pictures_do_not_divide_by_zero():
    gate = MotionGate()
    black = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    gate.changed_ratio(black, 0.0)
    assert gate.changed_ratio(black, 0.1) == 0.0

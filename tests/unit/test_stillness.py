"""The technician's hand on the bracket, and light in the lens: known from small pictures alone."""

import cv2
import numpy as np
import pytest

from provisioning.stillness import Stillness

TEXTURE = cv2.GaussianBlur(np.random.default_rng(4).normal(0.0, 60.0, (400, 500)), (0, 0), 2.0)


def seen(x=0, y=0, *, gain=1.0, noise=2.0, seed=1):
    """A view of one rough ground, moved by (x, y) pixels."""
    cut = TEXTURE[50 + y : 322 + y, 50 + x : 414 + x] + 90.0
    return np.clip(cut * gain + np.random.default_rng(seed).normal(0.0, noise, cut.shape), 0, 255).astype(np.uint8)


def turned(stillness, pictures, *, moves=False):
    return [stillness.see(picture, 10.0 + number, moves=moves) for number, picture in enumerate(pictures)]


def test_a_camera_that_hangs_still_is_still_in_other_light_and_noise():
    assert turned(Stillness(), [seen(), seen(seed=2), seen(gain=1.5, seed=3), seen(gain=0.6, seed=4)]) == [False] * 4


@pytest.mark.parametrize(("x", "y"), [(4, 0), (0, -6), (-20, 10)])
def test_a_turn_is_noticed_once(x, y):
    assert turned(Stillness(), [seen(), seen(x, y, seed=2), seen(x, y, seed=3)]) == [False, True, False]


def test_what_drives_past_is_no_turn():
    stillness = Stillness()
    assert turned(stillness, [seen()]) == [False]
    assert stillness.see(seen(30, 0, seed=2), 20.0, moves=True) is False


def test_black_pictures_and_noise_alone_are_no_turn():
    black = np.zeros((272, 364), np.uint8)
    noise = [np.random.default_rng(seed).integers(0, 12, (272, 364), dtype=np.uint8) for seed in range(4)]
    assert not any(turned(Stillness(), [black] * 3))
    assert not any(turned(Stillness(), noise))


def test_a_lamp_in_view_is_glare_and_a_white_line_is_none():
    line, lamp = seen(), seen()
    line[:, 100:112] = 255
    y, x = np.mgrid[0:272, 0:364]
    distance = np.hypot(x - 280, y - 60)
    lamp = np.clip(lamp + 140.0 * np.exp(-((distance / 40.0) ** 2)) + 300.0 * (distance < 14), 0, 255).astype(np.uint8)
    ratios = []
    for picture in (line, lamp):
        stillness = Stillness()
        turned(stillness, [picture] * 8)
        ratios.append(stillness.glare_ratio)
    assert ratios[0] == 0.0
    assert ratios[1] == pytest.approx(0.006, abs=0.004)


def test_the_light_of_a_vehicle_that_passes_is_no_glare():
    stillness = Stillness()
    pictures = []
    for number in range(12):
        picture = seen(seed=number)
        cv2.circle(picture, (30 + 25 * number, 150), 12, 255, -1)
        pictures.append(picture)
    turned(stillness, pictures, moves=True)
    assert stillness.glare_ratio == 0.0

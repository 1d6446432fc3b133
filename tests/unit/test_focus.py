"""The blur of edges in pixels, on edges whose blur is known."""

import cv2
import numpy as np
import pytest

from provisioning import focus


def edges(sigma_px, *, contrast=1.0, noise=0.0):
    picture = np.zeros((160, 240), np.float32)
    for left in range(20, 240, 48):
        picture[20:140, left : left + 24] = 1.0
    soft = cv2.GaussianBlur(picture, (0, 0), sigma_px) * 160.0 * contrast + 40.0
    return np.clip(soft + np.random.default_rng(1).normal(0.0, noise, soft.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma_px", [0.8, 1.5, 2.5, 4.0])
def test_the_blur_is_told_in_pixels(sigma_px):
    assert focus.blur_px(edges(sigma_px)) == pytest.approx(sigma_px, rel=0.25, abs=0.35)


@pytest.mark.parametrize(("contrast", "noise"), [(0.3, 0.0), (1.0, 3.0)])
def test_neither_exposure_nor_a_little_noise_changes_it(contrast, noise):
    assert focus.blur_px(edges(2.0, contrast=contrast, noise=noise)) == pytest.approx(
        focus.blur_px(edges(2.0)), rel=0.12
    )


def test_noise_alone_and_a_black_picture_have_no_edge():
    noise = np.clip(np.random.default_rng(1).normal(20.0, 6.0, (160, 240)), 0, 255).astype(np.uint8)
    assert focus.blur_px(noise) is None
    assert focus.blur_px(np.zeros((160, 240), np.uint8)) is None
    assert focus.blur_px(np.zeros((8, 8), np.uint8)) is None


def test_a_sharper_picture_scores_higher_and_the_sharpest_scores_one():
    scores = [focus.score_ratio(focus.blur_px(edges(sigma_px))) for sigma_px in (5.0, 3.0, 1.5, 0.7)]
    assert scores == sorted(scores)
    assert focus.score_ratio(0.5) == 1.0

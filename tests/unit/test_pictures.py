"""Pictures made smaller: even ones by averages, odd ones without a row too many."""

import numpy as np
import pytest

from firmware.pictures import halved


def test_an_even_picture_is_averaged_two_by_two():
    picture = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    means = picture.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved(picture) - means).max() <= 0.5


@pytest.mark.parametrize(("size", "half"), [((7, 8), (3, 4)), ((6, 9), (3, 4)), ((5, 5), (2, 2))])
def test_an_odd_picture_loses_its_half_pixel_and_keeps_its_light(size, half):
    small = halved(np.full((*size, 3), 77, np.uint8))
    assert small.shape == (*half, 3)
    assert (small == 77).all()

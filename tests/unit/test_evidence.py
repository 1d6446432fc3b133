import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_readings import a_reading

from cloud.plate_pictures import unpacked
from firmware.evidence import (
    FULL_PICTURE,
    SMALL_PICTURE,
    TEXTS_AT_MOST,
    BestLooks,
    packed,
    plate_crop,
    sharpness_ratio,
)
from firmware.records import Box, PictureCoding, PictureSize

PATTERN = np.kron(np.random.default_rng(2).integers(0, 2, (60, 80)), np.ones((6, 6)))
SHARP = np.repeat((40 + 180 * PATTERN).astype(np.uint8)[..., None], 3, axis=2)
BLURRED = cv2.GaussianBlur(SHARP, (0, 0), 5.0)
PLACE = {"x_px": 100.0, "y_px": 100.0}


def looks_of(*sights):
    looks = BestLooks()
    for image, reading, infrared in sights:
        looks.add(image, reading, infrared=infrared)
    return looks


@settings(max_examples=60, deadline=None)
@given(st.floats(-500, 2000), st.floats(-500, 2000), st.floats(0.1, 3000), st.floats(0.1, 3000))
def test_any_box_gives_a_crop_inside_the_picture(x_px, y_px, w_px, h_px):
    picture = np.zeros((120, 160, 3), np.uint8)
    crop = plate_crop(picture, Box(x_px=x_px, y_px=y_px, w_px=w_px, h_px=h_px, score_ratio=1.0))
    assert 1 <= crop.shape[0] <= 120
    assert 1 <= crop.shape[1] <= 160
    assert 0.0 <= sharpness_ratio(crop) <= 1.0


def test_a_crop_owns_its_pixels():
    crop = plate_crop(SHARP, a_reading("7ABC123", **PLACE).box)
    assert not np.shares_memory(crop, SHARP)


def test_evidence_stays_within_the_data_budget():
    noise = np.random.default_rng(1).integers(0, 255, (400, 800, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (9, 9), 3)
    for size in (FULL_PICTURE, SMALL_PICTURE):
        assert 0 < len(packed(smooth, size).data) <= size.limit_bytes
    assert packed(noise, PictureSize(width_px=800, limit_bytes=1000)) is None


def test_a_picture_is_avif_and_as_wide_as_allowed():
    for size in (FULL_PICTURE, SMALL_PICTURE):
        picture = packed(BLURRED, size)
        assert picture.coding is PictureCoding.AVIF
        assert unpacked(picture).shape[1] == size.width_px


def test_where_there_is_no_avif_a_picture_is_jpeg(monkeypatch):
    monkeypatch.setattr(cv2, "haveImageWriter", lambda name: False)
    picture = packed(BLURRED, FULL_PICTURE)
    assert picture.coding is PictureCoding.JPEG
    assert len(picture.data) <= FULL_PICTURE.limit_bytes
    assert unpacked(picture).shape[1] == FULL_PICTURE.width_px


def test_blur_shows_in_the_sharpness_and_light_does_not():
    box = a_reading("7ABC123", **PLACE).box
    sharp, blurred = sharpness_ratio(plate_crop(SHARP, box)), sharpness_ratio(plate_crop(BLURRED, box))
    assert sharp > 1.5 * blurred
    dim = (SHARP // 3 + 20).astype(np.uint8)
    assert sharpness_ratio(plate_crop(dim, box)) == pytest.approx(sharp, rel=0.05)


def test_of_two_sights_read_alike_the_sharper_is_kept():
    sharp, blurred = a_reading("7ABC123", **PLACE), a_reading("7ABC123", number=1, **PLACE)
    for sights in ((SHARP, sharp, False), (BLURRED, blurred, True)), ((BLURRED, blurred, True), (SHARP, sharp, False)):
        best = looks_of(*sights).best("7ABC123")
        assert not best.infrared
        assert sharpness_ratio(best.crop) > 1.5 * sharpness_ratio(plate_crop(BLURRED, blurred.box))


def test_the_sharpest_sight_is_no_evidence_if_it_was_misread():
    looks = looks_of(
        (SHARP, a_reading("7A8C123", score=0.99, **PLACE), False),
        (BLURRED, a_reading("7ABC123", number=1, score=0.7, **PLACE), True),
    )
    assert looks.best("7ABC123").text == "7ABC123"
    assert looks.best("7ABC1Z3").text == "7ABC123"


def test_a_large_sight_beats_a_small_one_read_alike():
    looks = looks_of(
        (SHARP, a_reading("7ABC123", w_px=60.0, **PLACE), False),
        (SHARP, a_reading("7ABC123", number=1, w_px=130.0, **PLACE), True),
    )
    assert looks.best("7ABC123").infrared


def test_few_crops_are_kept_and_none_is_large():
    looks = BestLooks()
    for number in range(3 * TEXTS_AT_MOST):
        looks.add(SHARP, a_reading(f"7ABC{number:03d}", number=number, w_px=400.0, **PLACE), infrared=False)
    assert len(looks._by_text) == TEXTS_AT_MOST
    assert max(look.crop.shape[1] for look in looks._by_text.values()) == FULL_PICTURE.width_px


def test_no_look_is_no_evidence():
    with pytest.raises(ValueError, match="empty"):
        BestLooks().best("7ABC123")

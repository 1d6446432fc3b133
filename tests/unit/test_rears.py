"""What may be seen of a vehicle: its rear around the plate, and nobody in its window."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_readings import a_drive, a_frame, a_reading

from firmware import rears
from firmware.rears import CELL_WIDTHS, CLEAR_HEIGHTS, MAX_VEHICLE_BYTES, WIDTH_PX, picture_of, rear_around
from firmware.records import Box, PictureCoding
from firmware.tracking import Tracker

SIDES_PX = (1088, 1456)
PLATE = Box(x_px=650.0, y_px=700.0, w_px=160.0, h_px=80.0, score_ratio=0.9)
LINE_PX = int(PLATE.y_px - min(CLEAR_HEIGHTS * PLATE.h_px, PLATE.w_px))


def noise(seed=1, sides_px=SIDES_PX):
    return np.random.default_rng(seed).integers(0, 255, (*sides_px, 3), dtype=np.uint8)


def test_the_picture_is_six_plates_wide_and_reaches_from_four_above_to_one_below():
    image = np.zeros((*SIDES_PX, 3), np.uint8)
    image[700:780, 650:810] = 255
    picture = picture_of(rear_around(image, PLATE))
    assert picture.shape[1] == WIDTH_PX
    assert picture.shape[0] == pytest.approx(5.5 * WIDTH_PX / 6, abs=2)
    rows, columns = np.nonzero(picture[:, :, 0] > 128)
    assert np.ptp(columns) == pytest.approx(WIDTH_PX / 6, abs=2)
    assert (columns.mean(), rows.mean()) == pytest.approx((240, 480 / 6 * 4.25), abs=2)


def test_of_what_is_above_the_line_only_a_colour_a_square_is_kept():
    rear = rear_around(noise(), PLATE)
    rows, columns = rear.cells.shape[:2]
    least_px = CELL_WIDTHS * PLATE.w_px
    assert columns * least_px <= 6 * PLATE.w_px + 1
    assert rows * least_px <= LINE_PX - (PLATE.y_px - 4 * PLATE.w_px) + 1
    assert np.ptp(rear.cells.astype(int)) < 120  # means of 255 levels of noise, and no pixel of it


def test_two_people_in_the_window_cannot_be_told_apart():
    """A head is as wide as half a plate: whoever it is, one square has its mean colour."""
    images, faces = [], (noise(2, (64, 80)), noise(3, (64, 80)))
    for pattern in faces:
        image = np.full((*SIDES_PX, 3), 60, np.uint8)
        face = np.clip(pattern.astype(int) - pattern.mean(axis=(0, 1)) + 128, 0, 255).astype(np.uint8)
        image[500:564, 700:780] = cv2.GaussianBlur(face, (0, 0), 4)
        images.append(picture_of(rear_around(image, PLATE)).astype(int))
    window = slice(0, int(0.5 * WIDTH_PX))
    assert np.abs(images[0][window] - images[1][window]).max() <= 8
    assert np.abs(images[0][window] - 60).max() > 10  # that somebody or something is there is seen


def test_the_line_is_where_it_is_said_and_a_high_box_does_not_lift_it():
    image = np.zeros((*SIDES_PX, 3), np.uint8)
    image[:LINE_PX] = 200
    assert picture_of(rear_around(image, PLATE))[-1].max() == 0
    assert rear_around(image, PLATE).clear.max() == 0
    higher = Box(x_px=650.0, y_px=700.0, w_px=160.0, h_px=320.0, score_ratio=0.9)
    assert rear_around(image, higher).clear.max() == 0


@settings(max_examples=60, deadline=None)
@given(
    sides_px=st.tuples(st.integers(16, 300), st.integers(16, 300)),
    place=st.tuples(*[st.floats(-50, 400)] * 2),
    size=st.tuples(*[st.floats(0, 400)] * 2),
)
def test_any_box_in_any_frame_makes_a_picture_within_bounds(sides_px, place, size):
    box = Box(x_px=place[0], y_px=place[1], w_px=size[0], h_px=size[1], score_ratio=0.9)
    rear = rear_around(noise(sides_px=sides_px), box)
    picture = picture_of(rear)
    assert picture.dtype == np.uint8
    assert 1 <= picture.shape[1] <= WIDTH_PX
    assert 1 <= picture.shape[0] <= 4 * WIDTH_PX


def test_a_picture_is_packed_within_its_limit_or_not_at_all():
    packed = rears.packed(rear_around(noise(), PLATE))
    assert (packed.coding, packed.data[:2]) == (PictureCoding.JPEG, b"\xff\xd8")
    assert len(packed.data) <= MAX_VEHICLE_BYTES
    assert rears.packed(rears.Rear(noise(1, (4000, 480)), None, 0)) is None


def passages(drive, **options):
    tracker, image, ended = Tracker(reporting_score_ratio=0.7, **options), noise(), []
    for number, sight in sorted(drive.items()):
        ended += tracker.see(a_frame(number, image), [sight])
    return ended + tracker.end_all()


def test_a_vehicle_that_drives_away_has_a_picture_if_one_is_wanted():
    (passage,) = passages(a_drive(["7ABC123"], mph=45), with_rears=True)
    assert passage.vehicle.coding is PictureCoding.JPEG
    assert "vehicle=Picture(coding=<PictureCoding.JPEG: 1>)" in repr(passage)
    (passage,) = passages(a_drive(["7ABC123"], mph=45))
    assert passage.vehicle is None


def test_of_a_vehicle_that_comes_towards_the_camera_no_picture_is_taken():
    (passage,) = passages(a_drive(["7ABC123"], mph=45, away=False), with_rears=True)
    assert passage.vehicle is None
    assert passage.plate.text == "7ABC123"


def test_the_picture_is_of_the_look_that_says_the_voted_text():
    tracker = Tracker(reporting_score_ratio=0.7, with_rears=True)
    told, misread = np.full((*SIDES_PX, 3), 40, np.uint8), np.full((*SIDES_PX, 3), 220, np.uint8)
    texts = ["7ABC123", "7A8C123", "7ABC123", "7ABC123"]
    for number, text in enumerate(texts):
        tracker.see(a_frame(number, told if text == texts[0] else misread), [a_reading(text, number=number)])
    (passage,) = tracker.end_all()
    image = cv2.imdecode(np.frombuffer(passage.vehicle.data, np.uint8), cv2.IMREAD_COLOR)
    assert image.mean() == pytest.approx(40, abs=2)

"""The ordered table of advice: each entry by itself, and the order where two are wrong at once."""

import dataclasses

import pytest

from firmware.exposure import Phase
from provisioning.aim_advice import Advice, Basis, FromPicture, FromPlates, advised

PICTURE = FromPicture(
    phase=Phase.DAY, has_lamp=True, shots=90, seen_s=20.0, moving_shots=30, moving_s=10.0, motion_right_ratio=0.0,
    motion_low_ratio=0.0, wide_deg=17.8, high_deg=13.4, median_level=80.0, saturated_ratio=0.0, glare_ratio=0.0,
    focus_px=0.9,
)  # fmt: skip
PLATES = FromPlates(
    off_right_deg=0.0, off_up_deg=0.0, middle_level=170.0, darker_level=150.0, best_contrast=110.0, in_lane_ratio=1.0,
    distance_m=9.4, angle_deg=20.0, blur_px=1.0, good_for_mph=90.0,
)  # fmt: skip


def of_plates(plates=None, picture=None):
    made = dataclasses.replace(PICTURE, **(picture or {})), dataclasses.replace(PLATES, **(plates or {}))
    return advised(*made, 75.0)


def of_picture(**picture):
    return advised(dataclasses.replace(PICTURE, **picture), None, 75.0)


@pytest.mark.parametrize(
    ("plates", "picture", "advice"),
    [
        ({}, {}, Advice.GOOD),
        ({"off_right_deg": 5.0, "off_up_deg": 2.0}, {}, Advice.TURN_RIGHT),
        ({"off_right_deg": -5.0}, {"focus_px": 4.0}, Advice.TURN_LEFT),
        ({"off_right_deg": 2.0, "off_up_deg": 4.0}, {}, Advice.TURN_UP),
        ({"off_up_deg": -4.0, "in_lane_ratio": 0.0}, {}, Advice.TURN_DOWN),
        ({}, {"focus_px": 2.0}, Advice.FOCUS),
        ({"best_contrast": 20.0}, {}, Advice.TOO_DARK),
        ({"middle_level": 30.0}, {"phase": Phase.NIGHT, "has_lamp": False}, Advice.NO_LAMP),
        ({"darker_level": 255.0}, {}, Advice.TOO_BRIGHT),
        ({}, {"glare_ratio": 0.02}, Advice.GLARE),
        ({"good_for_mph": None, "off_right_deg": 5.0}, {"glare_ratio": 0.02}, Advice.GLARE),
        ({"in_lane_ratio": 0.5}, {}, Advice.LANE_MASK),
        ({"angle_deg": 36.0}, {}, Advice.FARTHER),
        ({"distance_m": 30.0}, {}, Advice.NEARER),
        ({"blur_px": 2.0}, {}, Advice.SET_ANGLE),
        ({"good_for_mph": 60.0}, {}, Advice.SLOWER_ONLY),
        ({"good_for_mph": 60.0, "off_up_deg": -1.0}, {}, Advice.TURN_DOWN),
        ({"good_for_mph": None, "angle_deg": None, "blur_px": None}, {}, Advice.WAIT),
    ],
)
def test_with_plates_the_first_that_is_wrong_is_told(plates, picture, advice):
    answer = of_plates(plates, picture)
    assert (answer.advice, answer.basis) == (advice, Basis.PLATES)


@pytest.mark.parametrize(
    ("picture", "advice", "basis"),
    [
        ({"moving_shots": 0}, Advice.WAIT, Basis.NOTHING),
        ({"moving_s": 2.0}, Advice.WAIT, Basis.NOTHING),
        ({"motion_right_ratio": 0.9}, Advice.TURN_RIGHT, Basis.MOTION),
        ({"motion_right_ratio": -0.9, "motion_low_ratio": 0.4}, Advice.TURN_LEFT, Basis.MOTION),
        ({"motion_low_ratio": 0.8}, Advice.TURN_DOWN, Basis.MOTION),
        ({}, Advice.TURN_UP, Basis.MOTION),
        ({"median_level": 1.0, "moving_shots": 0}, Advice.TOO_DARK, Basis.PICTURE),
        ({"median_level": 1.0, "moving_shots": 0, "phase": Phase.NIGHT}, Advice.WAIT, Basis.NOTHING),
        (
            {"median_level": 1.0, "moving_shots": 0, "phase": Phase.NIGHT, "seen_s": 40.0},
            Advice.TOO_DARK,
            Basis.PICTURE,
        ),
        ({"phase": Phase.NIGHT, "has_lamp": False}, Advice.NO_LAMP, Basis.PICTURE),
        ({"saturated_ratio": 0.6}, Advice.TOO_BRIGHT, Basis.PICTURE),
        ({"glare_ratio": 0.02}, Advice.GLARE, Basis.PICTURE),
        ({"focus_px": 5.0}, Advice.FOCUS, Basis.PICTURE),
    ],
)
def test_without_plates_the_picture_and_what_moves_in_it_tell(picture, advice, basis):
    answer = of_picture(**picture)
    assert (answer.advice, answer.basis) == (advice, basis)

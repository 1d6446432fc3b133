"""What aiming says of units before the simulated road, whose truth is known: right ones, wrong ones, the way back."""

import numpy as np
import pytest
from aimed_units import followed, looked, right_mount

from firmware.config import CaptureConfig, MountConfig
from hw_sim import amiss
from hw_sim.amiss import Amiss
from hw_sim.light import LightLevel
from provisioning.aim_advice import Advice, Basis
from provisioning.pinhole import Pinhole

PLANNED = Pinhole.planned(MountConfig(), 1456, 1088).pose


@pytest.fixture(scope="module")
def right_by_day():
    return looked(right_mount(), seed=3, vehicles=4)


def test_the_right_aim_is_good(right_by_day):
    assert right_by_day.advised.advice is Advice.GOOD
    assert right_by_day.good_for_mph >= 75.0


def test_turn_and_tilt_are_those_of_the_road_within_half_a_degree(right_by_day):
    assert right_by_day.pose.right_deg == pytest.approx(PLANNED.right_deg, abs=0.5)
    assert right_by_day.pose.down_deg == pytest.approx(PLANNED.down_deg, abs=0.5)
    assert right_by_day.angle_deg == pytest.approx(20.0, abs=2.0)


def test_plate_widths_by_geometry_and_as_found_agree(right_by_day):
    for at in (right_by_day.near, right_by_day.mid, right_by_day.far):
        assert at.plates > 0
        assert at.measured_px == pytest.approx(at.geometry_px, rel=0.12)
    assert right_by_day.near.measured_px > 150.0 > right_by_day.far.measured_px


def test_at_night_the_right_aim_is_good_and_plates_throw_the_lamps_light_back():
    aim = looked(right_mount(), light=LightLevel.NIGHT)
    assert aim.advised.advice is Advice.GOOD
    assert aim.retro_reflects is True


@pytest.mark.parametrize(
    ("right_deg", "up_deg", "advice"),
    [
        (6.0, 0.0, Advice.TURN_LEFT),
        (-5.0, 1.0, Advice.TURN_RIGHT),
        (0.0, 7.0, Advice.TURN_DOWN),
        (0.0, -5.0, Advice.TURN_UP),
    ],
)  # fmt: skip
def test_each_wrong_turn_has_its_own_advice_and_about_its_size(right_deg, up_deg, advice):
    aim = looked(right_mount().turned(right_deg=right_deg, up_deg=up_deg))
    assert aim.advised.advice is advice
    assert aim.advised.basis is Basis.PLATES
    assert aim.advised.amount_deg == pytest.approx(max(abs(right_deg), abs(up_deg)), abs=3.5)


@pytest.mark.parametrize(
    ("light", "wrong", "advice"),
    [
        (LightLevel.DAY, Amiss.FOCUS, Advice.FOCUS),
        (LightLevel.NIGHT, Amiss.FOCUS, Advice.FOCUS),
        (LightLevel.DAY, Amiss.GLARE, Advice.GLARE),
        (LightLevel.NIGHT, Amiss.GLARE, Advice.GLARE),
    ],
)
def test_what_is_amiss_but_the_turn_has_its_own_advice(light, wrong, advice):
    assert looked(amiss.hung(wrong), light=light, wrong=wrong).advised.advice is advice


def test_plates_without_contrast_are_too_dark():
    assert looked(right_mount(), dim=0.012).advised.advice is Advice.TOO_DARK


def test_a_lane_mask_beside_the_lane_is_told_and_one_that_fits_is_offered():
    beside = CaptureConfig(speed_mph=60.0, lane=((0.75, 0.4), (1.0, 0.4), (1.0, 1.0), (0.75, 1.0)))
    aim = looked(right_mount(), capture=beside)
    assert aim.advised.advice is Advice.LANE_MASK
    fitting = CaptureConfig(speed_mph=60.0, lane=aim.lane_found)
    assert looked(right_mount(), capture=fitting).advised.advice is Advice.GOOD


def test_a_unit_whose_file_says_a_flat_angle_blurs_and_is_told_the_true_one():
    # The governor of such a file would open the shutter three times as long.
    aim = looked(right_mount(), capture=CaptureConfig(speed_mph=75.0, angle_deg=6.0), longer=3.0, light=LightLevel.DUSK)
    assert aim.advised.advice is Advice.SET_ANGLE
    assert aim.advised.amount_deg == pytest.approx(22.0, abs=2.5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_follows_the_advice_a_few_times_has_a_good_aim(seed):
    random = np.random.default_rng(seed)
    mount = right_mount().turned(right_deg=random.uniform(-5.0, 7.0), up_deg=random.uniform(-4.0, 7.0))
    offs = []
    for _ in range(5):
        aim = looked(mount, seed=seed)
        if aim.advised.advice is Advice.GOOD:
            break
        offs.append(aim.advised.amount_deg)
        mount = followed(mount, aim.advised)
    assert aim.advised.advice is Advice.GOOD
    assert offs[:1] == sorted(offs, reverse=True)[:1]  # no later turn is larger than the first

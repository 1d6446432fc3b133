"""The geometry of aiming against the simulated road's own, and the published numbers of blur."""

import numpy as np
import pytest

from firmware.config import MountConfig
from hw_sim.world import Mount, View
from provisioning import pinhole
from provisioning.pinhole import Pinhole, Pose

PLANNED = Pinhole.planned(MountConfig(), 1456, 1088)


def way_of(camera, *, x_m=0.0, z_m=-2.68, speed_m_s=20.0, noise_px=0.0, seed=1, acceleration=0.0):
    t = np.arange(8) * 0.05
    y_m = 5.5 + speed_m_s * t + acceleration * t**2 / 2
    places = camera.place_px(np.stack([np.full_like(t, x_m - 2.1), y_m, np.full_like(t, z_m)], axis=1))
    widths = camera.focal_px * 0.305 / np.hypot(y_m, 3.4)
    noise = np.random.default_rng(seed).normal(0.0, noise_px, places.shape) if noise_px else 0.0
    return np.column_stack([t + 50.0, places + noise, widths])


def test_it_projects_as_the_simulated_road_does():
    view = View(Mount(focal_px=PLANNED.focal_px))
    points_m = np.array([[0.0, 7.0, 0.72], [1.5, 12.0, 0.0], [-1.0, 9.0, 2.0]])
    from_lens_m = points_m - view.position_m
    assert PLANNED.place_px(from_lens_m) == pytest.approx(view.project(points_m), abs=0.5)


@pytest.mark.parametrize("pose", [Pose(right_deg=-12.3, down_deg=15.3), Pose(right_deg=9.0, down_deg=4.0)])
def test_the_vanishing_point_says_how_the_camera_is_turned(pose):
    back = pinhole.pose_of(PLANNED, PLANNED.turned(pose).vanishing_px())
    assert (back.right_deg, back.down_deg) == pytest.approx((pose.right_deg, pose.down_deg), abs=1e-6)


def test_plates_that_drive_evenly_tell_turn_and_tilt_whatever_lane_height_and_speed_is_theirs():
    ways = [
        way_of(PLANNED, x_m=0.3, speed_m_s=12.0, noise_px=1.0),
        way_of(PLANNED, z_m=-2.2, speed_m_s=25.0, noise_px=1.0, seed=2),
        way_of(PLANNED, x_m=-0.3, z_m=-2.9, noise_px=1.0, seed=3),
    ]
    pose = pinhole.pose_of(PLANNED, pinhole.lines_of(ways).vanishing_px)
    assert (pose.right_deg, pose.down_deg) == pytest.approx((PLANNED.pose.right_deg, PLANNED.pose.down_deg), abs=0.5)


def test_a_vehicle_that_brakes_among_others_does_no_harm():
    ways = [way_of(PLANNED), way_of(PLANNED, x_m=0.3), way_of(PLANNED, acceleration=-6.0)]
    pose = pinhole.pose_of(PLANNED, pinhole.lines_of(ways).vanishing_px)
    assert pose.down_deg == pytest.approx(PLANNED.pose.down_deg, abs=0.2)


def test_a_vehicle_that_stands_says_nothing():
    assert pinhole.lines_of([way_of(PLANNED, speed_m_s=0.0)]) is None
    assert pinhole.lines_of([way_of(PLANNED)[:3]]) is None
    assert pinhole.lines_of([]) is None


@pytest.mark.parametrize(("angle_deg", "exposure_us"), [(10.0, 403.0), (20.0, 204.0), (30.0, 140.0)])
def test_blur_is_a_pixel_where_the_published_exposures_have_it(angle_deg, exposure_us):
    blur = pinhole.blur_px(speed_mph=75.0, angle_deg=angle_deg, width_px=130.0, exposure_us=exposure_us)
    assert blur == pytest.approx(1.0, abs=0.01)


def test_the_road_between_two_widths_is_as_long_as_depth_says():
    widths = [PLANNED.focal_px * 0.305 / depth for depth in (10.5, 6.9)]
    ahead = Pinhole(1456, 1088, PLANNED.focal_px, Pose(right_deg=0.0, down_deg=0.0))
    assert pinhole.travelled_m(ahead, *widths) == pytest.approx(3.6, abs=1e-6)


def test_an_off_middle_pixel_is_in_the_middle_after_that_turn():
    right, up = PLANNED.off_middle_deg((PLANNED.middle_px[0] + 404.0, PLANNED.middle_px[1] - 404.0))
    assert (right, up) == pytest.approx((4.978, 4.978), abs=0.01)

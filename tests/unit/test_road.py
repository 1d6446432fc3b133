"""The simulated road: seeded and pure in time, true to its geometry, and fast enough to be a sensor."""

import itertools
import math
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.records import Light
from hw_sim.bodywork import BODIES
from hw_sim.light import Conditions, LightLevel
from hw_sim.pictures import fitting_light
from hw_sim.road import Road, RoadScene
from hw_sim.surroundings import World
from hw_sim.traffic import FASTEST_MPH, M_S_PER_MPH, SLOWEST_MPH, TRIGGER_LINE_M, DayOfTraffic, EvenGaps
from hw_sim.world import NEAREST_M, Mount, Sheet, View, angle_deg

FRAME_BUDGET_MS = 300.0
"""CPU time of the dearest exposure. A third of it on a free core; the margin is for machines that do other work."""

SMALL_BUDGET_MS = 40.0

DARK = Mount(width_px=64, height_px=48, focal_px=204.0)
"""A view that costs nothing, for questions of the schedule."""


@pytest.fixture(scope="module")
def road() -> Road:
    return Road(7, 6)


@pytest.fixture(scope="module")
def daylight(road: Road) -> Light:
    return fitting_light(road)


@pytest.fixture(scope="module")
def night() -> Road:
    return Road(7, 6, conditions=Conditions(light=LightLevel.NIGHT))


def with_plate(road: Road):
    return [vehicle for vehicle in road.vehicles if vehicle.face is not None and vehicle.face.is_readable]


def window_of(plate) -> tuple[slice, slice]:
    (left, top), (right, bottom) = np.min(plate.corners_px, axis=0), np.max(plate.corners_px, axis=0)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def test_the_schedule_is_seeded_and_within_its_promises(road: Road) -> None:
    vehicles = Road(7, 120, mount=DARK).vehicles
    gaps_s = np.diff([0.0, *(vehicle.passes_s for vehicle in vehicles)])
    assert len(vehicles) == 120
    assert gaps_s.min() >= 2.0
    assert np.median(gaps_s) <= 4.0
    speeds = [vehicle.speed_m_s for vehicle in vehicles]
    assert min(speeds) >= SLOWEST_MPH * M_S_PER_MPH
    assert max(speeds) <= FASTEST_MPH * M_S_PER_MPH
    assert max(speeds) - min(speeds) > 15.0
    assert {vehicle.body.name for vehicle in vehicles} == {body.name for body in BODIES}
    assert vehicles[:6] == road.vehicles
    assert vehicles[0] != Road(8, 1, mount=DARK).vehicles[0]


@pytest.mark.parametrize("mph", [5.0, 75.0, None])
def test_vehicles_never_overlap_where_they_are_seen(mph: float | None) -> None:
    crowded = Road(3, 60, mount=DARK, mph=mph, schedule=EvenGaps(shortest_s=0.3, longest_s=1.5))
    farthest_m = View(DARK).farthest_m()
    for before, after in itertools.pairwise(crowded.vehicles):
        for at_s in np.linspace(before.passes_s - 6.0, before.passes_s + 12.0, 60):
            rear_m = before.rear_y_m(at_s)
            if 0.0 < rear_m < farthest_m:
                assert after.rear_y_m(at_s) + after.body.length_m < rear_m


def test_a_world_of_an_hour_has_its_traffic_and_says_so_to_its_twin() -> None:
    assert World(hour=16.5).options() == ["--seed", "1", "--light", "day", "--rain", "0.0", "--hour", "16.5"]
    rush, night = (World(hour=hour).road(None).vehicles_between(0.0, 1800.0) for hour in (16.5, 2.5))
    assert len(rush) > 3 * len(night)


def test_a_day_brings_2400_vehicles_and_platoons_of_50_a_minute() -> None:
    schedule, generator, at_s, passes = DayOfTraffic(starts_at_hour=0.0), np.random.default_rng(5), 0.0, []
    while at_s < 86_400.0:
        at_s += schedule.gap_s(at_s, generator)
        passes.append(at_s)
    assert len(passes) == pytest.approx(2_400, rel=0.12)
    gaps_s = np.diff(passes)
    platoon = [sum(run) for run in zip(*(gaps_s[n:] for n in range(5)), strict=False)]
    assert 5.0 / min(platoon) * 60.0 == pytest.approx(50.0, rel=0.15)
    rush = sum(16 * 3600 <= each < 18 * 3600 for each in passes)
    assert rush > 10 * max(1, sum(2 * 3600 <= each < 4 * 3600 for each in passes))


def test_endless_traffic_is_asked_for_a_time(road: Road) -> None:
    endless = Road(7, mount=DARK)
    assert endless.end_s == math.inf
    with pytest.raises(ValueError, match="endless"):
        _ = endless.vehicles
    with pytest.raises(ValueError, match="endless"):
        endless.vehicles_between(0.0, math.inf)
    assert endless.vehicles_between(0.0, road.vehicles[-1].passes_s + 0.001) == road.vehicles


def test_same_seed_and_time_give_the_same_picture(road: Road, daylight: Light) -> None:
    at_s = road.vehicles[1].passes_s
    again = Road(7, 6)
    later = again.expose(at_s + 1.0, daylight)
    assert np.array_equal(again.expose(at_s, daylight), road.expose(at_s, daylight))
    assert not np.array_equal(later, road.expose(at_s, daylight))


def test_a_picture_is_the_callers_own(road: Road, daylight: Light) -> None:
    first = road.expose(0.1, daylight)
    kept = first.copy()
    road.expose(road.vehicles[0].passes_s, daylight)
    assert np.array_equal(first, kept)
    assert (first.shape, first.dtype) == ((1088, 1456, 3), np.uint8)


def test_the_road_is_often_empty(road: Road) -> None:
    empty = sum(not road.truth(n / 10.0) for n in range(int(road.end_s * 10)))
    assert empty > 0.4 * road.end_s * 10
    assert road.truth(road.end_s) == []
    assert road.end_s > road.vehicles[-1].passes_s


def test_plates_are_read_at_130_pixels_and_an_angle_that_keeps_them_sharp() -> None:
    fast = Road(7, 12, mph=75.0)
    wide: dict[int, int] = {}
    for number in range(int(fast.end_s * 30)):
        for plate in fast.truth(number / 30.0):
            wide[plate.vehicle_id] = wide.get(plate.vehicle_id, 0) + (plate.width_px >= 130.0)
    assert set(wide) == {vehicle.vehicle_id for vehicle in fast.vehicles if vehicle.face is not None}
    assert min(wide.values()) >= 2
    view = fast.view
    for y_m in (7.5, 9.0, 10.5):
        assert 15.0 <= angle_deg(np.array([0.0, y_m, 0.8]) - view.position_m, np.array([0.0, 1.0, 0.0])) <= 25.0


def test_truth_lies_where_the_plate_is_drawn(road: Road, daylight: Light) -> None:
    for vehicle in with_plate(road):
        (truth,) = [plate for plate in road.truth(vehicle.passes_s) if plate.vehicle_id == vehicle.vehicle_id]
        corners = np.array(truth.corners_px, np.float32)
        target = np.array([[0, 0], [159, 0], [159, 79], [0, 79]], np.float32)
        matrix = cv2.getPerspectiveTransform(corners, target)
        seen = cv2.warpPerspective(road.expose(vehicle.passes_s, daylight), matrix, (160, 80))
        drawn = cv2.resize(vehicle.face.visible, (160, 80), interpolation=cv2.INTER_AREA)
        drawn, grey = (cv2.cvtColor(each, cv2.COLOR_BGR2GRAY).astype(np.float32) for each in (drawn, seen))
        assert np.corrcoef(drawn[6:-6, 6:-6].ravel(), grey[6:-6, 6:-6].ravel())[0, 1] > 0.8
        assert (truth.text, truth.region) == (vehicle.text, vehicle.region)


def test_the_small_picture_agrees_with_the_large_one_but_for_noise(road: Road, night: Road, daylight: Light) -> None:
    for site, light in ((road, daylight), (night, fitting_light(night))):
        for at_s in (0.05, site.vehicles[0].passes_s, site.vehicles[2].passes_s + 0.1):
            large = cv2.cvtColor(site.expose(at_s, light), cv2.COLOR_BGR2GRAY)
            shrunk = cv2.resize(large, (364, 272), interpolation=cv2.INTER_AREA).astype(np.float32)
            small = site.small(at_s, light)
            assert (small.shape, small.dtype) == ((272, 364), np.uint8)
            assert np.abs(small - shrunk).mean() < 3.0
            if shrunk.std() > 5.0:  # an empty road at night is black
                assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.95


def test_a_long_exposure_blurs_along_the_way_and_keeps_the_still_road_sharp() -> None:
    fast = Road(7, 2, mph=75.0, conditions=Conditions(light=LightLevel.DUSK))
    vehicle = with_plate(fast)[0]
    (plate,) = fast.truth(vehicle.passes_s)
    part = window_of(plate)
    short, long = (
        Light(exposure_us=100.0, gain=4.0, lamp_ratio=0.8),
        Light(exposure_us=1600.0, gain=4.0, lamp_ratio=0.05),
    )
    sharp, blurred = (fast.expose(vehicle.passes_s, each)[part].astype(np.float32) for each in (short, long))
    assert np.diff(blurred, axis=0).std() < 0.6 * np.diff(sharp, axis=0).std()
    still = (slice(1020, 1080), slice(1200, 1440))
    bright = Light(exposure_us=20_000.0, gain=4.0)
    empty, passed = (fast.expose(at_s, bright)[still].astype(np.float32) for at_s in (0.0, vehicle.passes_s))
    assert empty.mean() > 20
    assert np.diff(passed, axis=0).std() > 0.8 * np.diff(empty, axis=0).std()


def test_more_light_makes_it_brighter_and_gain_brings_noise(road: Road) -> None:
    def taken(exposure_us: float, gain: float, at_s: float = 0.1) -> np.ndarray:
        return road.expose(at_s, Light(exposure_us=exposure_us, gain=gain)).astype(np.float32)

    assert taken(100.0, 1.0).mean() > 1.3 * taken(50.0, 1.0).mean()
    quiet, loud = (taken(50.0 / gain, gain, 0.1) - taken(50.0 / gain, gain, 0.2) for gain in (1.0, 16.0))
    assert loud.std() > 2.5 * quiet.std()
    assert taken(100_000.0, 16.0).min() == 255


def test_shot_noise_is_that_of_the_electrons(road: Road) -> None:
    """A third of saturation at gain 4 is 833 electrons: 3.5 % of noise, less what the Bayer pattern evens out."""
    light = Light(exposure_us=40.0, gain=4.0)
    pair = [road.expose(at_s, light).astype(np.float32)[900:1000, 300:500] for at_s in (0.11, 0.12)]
    level = float(pair[0].mean()) / 255.0
    share = np.interp(
        level, 1.212 * (np.sqrt(np.linspace(0, 1, 999) + 0.004) - math.sqrt(0.004)), np.linspace(0, 1, 999)
    )
    slope = 255.0 * 1.212 / 2.0 / math.sqrt(share + 0.004)
    expected = slope * math.sqrt(share * 2500.0 + 6.25) / 2500.0
    assert 0.5 * expected < (pair[0] - pair[1]).std() / math.sqrt(2.0) < 1.05 * expected


def test_at_night_the_plate_shines_in_the_lamp_and_in_nothing_else(night: Road) -> None:
    light = fitting_light(night)
    dark = Light(exposure_us=light.exposure_us, gain=light.gain)
    for vehicle in with_plate(night)[:3]:
        if vehicle.face.retro.max() < 200:
            continue
        plate = next(each for each in night.truth(vehicle.passes_s) if each.vehicle_id == vehicle.vehicle_id)
        part = window_of(plate)
        with_lamp, without = (night.expose(vehicle.passes_s, each)[part] for each in (light, dark))
        assert np.percentile(with_lamp, 90) > 130
        assert np.percentile(without, 90) < 60
        spread = with_lamp.reshape(-1, 3).astype(float).mean(axis=0)
        assert spread.max() / spread.min() < 1.12  # infrared light is nearly grey


def test_rain_lowers_the_contrast_of_plates() -> None:
    def contrast(rain_ratio: float) -> float:
        wet = Road(7, 3, conditions=Conditions(light=LightLevel.NIGHT, rain_ratio=rain_ratio), mph=75.0)
        found = []
        for vehicle in with_plate(wet)[:3]:
            (plate,) = wet.truth(vehicle.passes_s)
            found.append(float(wet.expose(vehicle.passes_s, fitting_light(wet))[window_of(plate)].std()))
        return float(np.mean(found))

    assert contrast(1.0) < 0.97 * contrast(0.0)


def test_a_rolling_shutter_shears_what_moves_and_its_truth_does_not() -> None:
    shot = [Road(7, 2, mph=75.0, mount=Mount(row_s=row_s)) for row_s in (0.0, 16.7e-3 / 1088)]
    at_s, light = with_plate(shot[0])[0].passes_s, fitting_light(shot[0])
    seen = [cv2.cvtColor(each.expose(at_s, light), cv2.COLOR_BGR2GRAY) for each in shot]
    (plate,) = shot[0].truth(at_s)
    rows, columns = window_of(plate)
    cut = seen[0][rows, columns]
    around = seen[1][rows.start - 60 : rows.stop + 60, columns.start - 60 : columns.stop + 60]
    _, likeness, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(around, cut, cv2.TM_CCOEFF_NORMED))
    assert likeness > 0.7
    assert math.hypot(x - 60, y - 60) > 3.0


def test_an_exposure_costs_little(road: Road, daylight: Light) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for ask, budget_ms in ((road.expose, FRAME_BUDGET_MS), (road.small, SMALL_BUDGET_MS)):
            at_s = road.vehicles[0].passes_s + 1.5 / road.vehicles[0].speed_m_s
            ask(at_s, daylight)  # the vehicle is painted once
            costs_ms = []
            for _ in range(4):
                began_s = time.thread_time()
                ask(at_s, daylight)
                costs_ms.append((time.thread_time() - began_s) * 1000.0)
            assert min(costs_ms) < budget_ms
    finally:
        cv2.setNumThreads(threads)


def test_plates_never_show_in_a_repr(road: Road) -> None:
    vehicle = with_plate(road)[0]
    for thing in (vehicle, road.truth(vehicle.passes_s)[0]):
        assert vehicle.text not in repr(thing)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"passes": 0}, "at least one vehicle"), ({"mph": 0.0}, "miles per hour")],
)
def test_senseless_roads_are_refused(wrong: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Road(1, mount=DARK, **wrong)


def test_gaps_that_shrink_are_refused() -> None:
    with pytest.raises(ValueError, match="gaps"):
        EvenGaps(shortest_s=3.0, longest_s=2.0)


@pytest.mark.parametrize("wrong", [{"exposure_us": 0.0, "gain": 1.0}, {"exposure_us": 1.0, "gain": 0.0},
                                   {"exposure_us": 1.0, "gain": 1.0, "lamp_ratio": 1.1}])  # fmt: skip
def test_impossible_light_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Road(1, 1, mount=DARK).expose(0.0, Light(**wrong))


def test_rain_is_a_ratio() -> None:
    with pytest.raises(ValueError, match="ratio"):
        Conditions(rain_ratio=1.5)


@given(
    x_m=st.floats(-1.5, 1.5), y_m=st.floats(2.0, 60.0), z_m=st.floats(0.0, 2.5),
    across=st.floats(0.0, 1.0), down=st.floats(0.0, 1.0),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_homography_and_projection_agree(x_m: float, y_m: float, z_m: float, across: float, down: float) -> None:
    view = View(Mount())
    origin, right, below = np.array([x_m, y_m, z_m]), np.array([0.3, 0.1, 0.0]), np.array([0.0, 0.05, -0.15])
    sheet = Sheet(origin_m=origin, across_m=right, down_m=below)
    by_matrix = view.homography(sheet) @ (across, down, 1.0)
    by_point = view.project((origin + across * right + down * below)[None, :])[0]
    assert by_matrix[:2] / by_matrix[2] == pytest.approx(by_point, abs=1e-6)


def test_rays_meet_the_points_that_are_projected() -> None:
    view = View(Mount(width_px=640, height_px=360, focal_px=900.0))
    ray = view.rays()[200, 100]
    point = view.position_m + 7.0 * ray.astype(np.float64)
    assert view.project(point[None, :])[0] == pytest.approx((100.0, 200.0), abs=1e-3)


def test_the_small_views_pixels_lie_in_the_middle_of_their_sixteen() -> None:
    point = np.array([[0.3, 9.0, 0.7]])
    large, small = View(Mount()).project(point)[0], View(Mount().reduced(4)).project(point)[0]
    assert 4.0 * small + 1.5 == pytest.approx(large, abs=1e-6)


def test_a_wide_mount_shows_sky_verge_and_several_vehicles() -> None:
    wide = Road(3, 20, mount=Mount(focal_px=1400.0, aim_y_m=22.0, camera_z_m=4.0))
    picture = wide.expose(0.0, fitting_light(wide))
    sky, verge = picture[:40, 600:700].mean(axis=(0, 1)), picture[-60:, -60:].mean(axis=(0, 1))
    assert sky.min() > 1.5 * verge.max()
    assert verge[1] > verge[0] + 10
    assert max(len(wide.truth(n / 4.0)) for n in range(120)) >= 2
    for vehicle in wide.vehicles[:3]:
        wide.expose(vehicle.passes_s - 0.4, fitting_light(wide))  # half under the camera


def test_what_is_under_the_camera_is_cut_off() -> None:
    view = View(Mount(focal_px=1400.0, aim_y_m=4.0))
    lying = Sheet(
        origin_m=np.array([0.0, 3.0, 0.0]), across_m=np.array([1.0, 0.0, 0.0]), down_m=np.array([0.0, -8.0, 0.0])
    )
    placed = view.place(lying)
    assert placed is not None
    near = view.project(np.array([[0.0, NEAREST_M, 0.0], [1.0, NEAREST_M, 0.0]]))
    assert placed.outline_px[2:][::-1] == pytest.approx(near)
    assert view.place(lying.moved(np.array([0.0, -3.0, 0.0]))) is None


def test_subjects_are_the_fronts_at_the_line_each_once(road: Road) -> None:
    scene = RoadScene(road)
    edges_s = np.linspace(0.0, road.end_s, 37)
    found = [each for low, high in itertools.pairwise(edges_s) for each in scene.subjects(low, high)]
    assert sorted(each.until_s for each in found) == [vehicle.passes_s for vehicle in road.vehicles]
    for vehicle in road.vehicles:
        assert vehicle.rear_y_m(vehicle.passes_s) == pytest.approx(TRIGGER_LINE_M)
        assert vehicle.rear_y_m(vehicle.front_passes_s) + vehicle.body.length_m == pytest.approx(TRIGGER_LINE_M)


def test_a_scene_shows_the_road(road: Road, daylight: Light) -> None:
    scene = RoadScene(road)
    assert scene.end_s == road.end_s
    assert scene.unreadable == 0
    assert np.array_equal(scene.picture_at(0.3, daylight), road.expose(0.3, daylight))
    assert np.array_equal(scene.small_at(0.3, daylight), road.small(0.3, daylight))
    scene.close()

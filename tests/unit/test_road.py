"""The simulated road: seeded and pure in time, true to its geometry, and fast enough to be a sensor."""

import itertools
import math
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.bodywork import BODIES, PAINTS_BGR
from hw_sim.plate_art import LOOKS, draw_plate
from hw_sim.road import FASTEST_M_S, SLOWEST_M_S, TRIGGER_LINE_M, Road, RoadScene
from hw_sim.scenery import draw_scenery
from hw_sim.vehicles import VehicleArt
from hw_sim.world import NEAREST_M, Layer, Mount, Panel, View, _cut_near

FRAME_BUDGET_MS = 60.0
"""CPU time of the dearest frame. 15 ms on an idle desktop core; the margin is for machines that do other work."""


@pytest.fixture(scope="module")
def road() -> Road:
    return Road(7, 6)


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    return draw_scenery(View(Mount()), 7)


def test_the_schedule_is_seeded_and_within_its_promises(road: Road) -> None:
    vehicles = Road(7, 200, mount=Mount(width_px=64, height_px=36)).vehicles
    gaps_s = np.diff([0.0, *(vehicle.passes_s for vehicle in vehicles)])
    assert len(vehicles) == 200
    assert gaps_s.min() >= 2.0
    assert gaps_s.max() <= 4.0
    speeds = [vehicle.speed_m_s for vehicle in vehicles]
    assert min(speeds) >= SLOWEST_M_S
    assert max(speeds) <= FASTEST_M_S
    assert max(speeds) - min(speeds) > 15.0
    assert {vehicle.body.name for vehicle in vehicles} == {body.name for body in BODIES}
    assert vehicles[:6] == road.vehicles
    assert vehicles[0] != Road(8, 1, mount=Mount(width_px=64, height_px=36)).vehicles[0]


def test_endless_traffic_is_asked_for_a_time(road: Road) -> None:
    endless = Road(7, mount=Mount(width_px=64, height_px=36))
    assert endless.end_s == math.inf
    with pytest.raises(ValueError, match="endless"):
        _ = endless.vehicles
    with pytest.raises(ValueError, match="endless"):
        endless.vehicles_between(0.0, math.inf)
    assert endless.vehicles_between(0.0, road.vehicles[-1].passes_s + 0.001) == road.vehicles
    assert len(endless.vehicles_between(0.0, 600.0)) in range(150, 300)


def test_same_seed_and_time_give_the_same_picture(road: Road) -> None:
    at_s = road.vehicles[1].passes_s
    again = Road(7, 6)
    later = again.render(at_s + 1.0)
    assert np.array_equal(again.render(at_s), road.render(at_s))
    assert not np.array_equal(later, road.render(at_s))


def test_the_empty_road_differs_by_noise_only(road: Road, still: np.ndarray) -> None:
    picture = road.render(0.1)
    assert picture.shape == (720, 1280, 3)
    assert picture.dtype == np.uint8
    noise = picture.astype(np.int16) - still
    assert 1.0 < noise.std() < 2.5
    assert abs(noise.mean()) < 0.1


def test_the_road_is_often_empty(road: Road) -> None:
    empty = sum(not road.truth(n / 10.0) for n in range(int(road.end_s * 10)))
    assert empty > 0.5 * road.end_s * 10
    assert road.truth(road.end_s) == []
    assert road.end_s > road.vehicles[-1].passes_s


def test_every_plate_is_large_enough_in_several_frames(road: Road) -> None:
    widths: dict[int, list[float]] = {vehicle.vehicle_id: [] for vehicle in road.vehicles}
    for number in range(int(road.end_s * 30)):
        for plate in road.truth(number / 30.0):
            corners = np.array(plate.corners_px)
            widths[plate.vehicle_id].append(float(np.linalg.norm(corners[1] - corners[0])))
            assert plate.text == road.vehicles[plate.vehicle_id].text
    for seen in widths.values():
        assert 110.0 <= max(seen) <= 200.0
        assert sum(width > 80.0 for width in seen) >= 3


def test_truth_lies_where_the_plate_is_drawn(road: Road) -> None:
    for vehicle in road.vehicles:
        at_s = vehicle.passes_s
        (truth,) = road.truth(at_s)
        corners = np.array(truth.corners_px, np.float32)
        target = np.array([[0, 0], [159, 0], [159, 79], [0, 79]], np.float32)
        seen = cv2.warpPerspective(road.render(at_s), cv2.getPerspectiveTransform(corners, target), (160, 80))
        drawn = cv2.cvtColor(draw_plate(vehicle.text, vehicle.look, 160), cv2.COLOR_BGR2GRAY).astype(np.float32)
        grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY).astype(np.float32)
        likeness = np.corrcoef(drawn[6:-6, 6:-6].ravel(), grey[6:-6, 6:-6].ravel())[0, 1]
        assert likeness > 0.85


def test_a_long_exposure_blurs_along_the_way_and_is_brighter() -> None:
    short, long = Road(7, 2, exposure_us=250.0), Road(7, 2, exposure_us=2000.0)
    vehicle = max(short.vehicles, key=lambda each: each.speed_m_s)
    (plate,) = short.truth(vehicle.passes_s)
    (left, top), (right, bottom) = np.min(plate.corners_px, axis=0), np.max(plate.corners_px, axis=0)
    window = slice(int(top), int(bottom)), slice(int(left), int(right))
    sharp, blurred = (cv2.Laplacian(each.render(vehicle.passes_s)[window], cv2.CV_32F).std() for each in (short, long))
    assert blurred < 0.6 * sharp
    assert long.render(0.1).mean() > 1.5 * short.render(0.1).mean()


def test_gain_brings_noise() -> None:
    quiet, loud = Road(7, 1, gain=1.0), Road(7, 1, exposure_us=31.25, gain=8.0)
    quiet_noise, loud_noise = ((each.render(0.1).astype(np.int16) - each.render(0.2)).std() for each in (quiet, loud))
    assert loud_noise > 2.0 * quiet_noise


def test_a_frame_costs_little(road: Road) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        costs_ms = []
        for vehicle in road.vehicles[:3]:
            at_s = vehicle.passes_s - 1.5 / vehicle.speed_m_s
            road.render(at_s)  # the vehicle is painted once
            best_ms = math.inf
            for _ in range(4):
                began_s = time.thread_time()
                road.render(at_s)
                best_ms = min(best_ms, (time.thread_time() - began_s) * 1000.0)
            costs_ms.append(best_ms)
    finally:
        cv2.setNumThreads(threads)
    assert max(costs_ms) < FRAME_BUDGET_MS


def test_plates_never_show_in_a_repr(road: Road) -> None:
    at_s = road.vehicles[0].passes_s
    for thing in (road.vehicles[0], road.truth(at_s)[0]):
        assert road.vehicles[0].text not in repr(thing)


def test_senseless_roads_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one vehicle"):
        Road(1, 0)
    with pytest.raises(ValueError, match="above zero"):
        Road(1, exposure_us=0.0)


@given(
    x_m=st.floats(-1.5, 1.5), y_m=st.floats(2.0, 60.0), z_m=st.floats(0.0, 2.5),
    across=st.floats(0.0, 1.0), down=st.floats(0.0, 1.0),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_homography_and_projection_agree(x_m: float, y_m: float, z_m: float, across: float, down: float) -> None:
    view = View(Mount())
    origin, right, below = np.array([x_m, y_m, z_m]), np.array([0.3, 0.1, 0.0]), np.array([0.0, 0.05, -0.15])
    by_matrix = view.homography(origin, right, below) @ (across, down, 1.0)
    by_point = view.project((origin + across * right + down * below)[None, :])[0]
    assert by_matrix[:2] / by_matrix[2] == pytest.approx(by_point, abs=1e-6)


def test_rays_meet_the_points_that_are_projected() -> None:
    view = View(Mount(width_px=640, height_px=360, focal_px=900.0))
    ray = view.rays()[200, 100]
    point = view.position_m + 7.0 * ray.astype(np.float64)
    assert view.project(point[None, :])[0] == pytest.approx((100.0, 200.0), abs=1e-3)


def test_a_wide_mount_shows_sky_verge_and_several_vehicles() -> None:
    wide = Road(3, 20, mount=Mount(focal_px=1100.0, aim_y_m=22.0, camera_z_m=4.0))
    picture = wide.render(0.0)
    sky, verge = picture[:40, 600:700].mean(axis=(0, 1)), picture[-60:, -60:].mean(axis=(0, 1))
    assert sky[0] > sky[2] + 15
    assert verge[1] > max(verge[0], verge[2]) + 10
    busiest = max(len(wide.truth(n / 4.0)) for n in range(120))
    assert busiest >= 2


def test_what_is_under_the_camera_is_cut_off() -> None:
    texture = np.full((40, 10, 4), 255, np.uint8)
    lying = Panel(
        origin_m=np.array([0.0, 3.0, 0.0]),
        across_m=np.array([1.0, 0, 0]),
        down_m=np.array([0, -8.0, 0]),
        texture=texture,
    )
    part = _cut_near(lying)
    assert part is not None
    assert part.origin_m[1] + part.down_m[1] >= NEAREST_M
    assert part.texture.shape[0] == 12
    behind = Panel(
        origin_m=np.array([0.0, -1.0, 1.0]),
        across_m=np.array([1.0, 0, 0]),
        down_m=np.array([0, 0, -1.0]),
        texture=texture,
    )
    assert _cut_near(behind) is None


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_every_body_is_solid(body) -> None:
    view = View(Mount())
    art = VehicleArt(body, PAINTS_BGR[5], "ABC1234", LOOKS[0], 0.0)
    layer = Layer(view, art.panels(0.0, 8.0, view.mount.camera_x_m))
    on_black, on_white = (np.full((720, 1280, 3), level, np.uint8) for level in (0, 255))
    layer.put_on(on_black)
    layer.put_on(on_white)
    seen_through = (on_white.astype(np.int16) - on_black).max(axis=2)
    assert (seen_through < 3).mean() > 0.25
    # Nothing shines through the rear face, nor through the seam to what lies above it.
    rear = view.project(np.array([[-0.6, 8.0, 0.7], [0.6, 8.0, body.belt_z_m - 0.05]])).astype(int)
    assert seen_through[max(0, rear[1, 1]) : rear[0, 1], rear[0, 0] : rear[1, 0]].max() < 3


def test_the_side_towards_the_camera_is_drawn() -> None:
    art = VehicleArt(BODIES[0], PAINTS_BGR[5], "ABC1234", LOOKS[0], 0.0)
    counts = [len(art.panels(0.0, 8.0, from_x_m)) for from_x_m in (-3.0, 0.0, 3.0)]
    assert counts[0] == counts[2] == counts[1] + 2


def test_vehicles_under_the_camera_show_nothing_yet(road: Road, still: np.ndarray) -> None:
    picture = still.copy()
    art = VehicleArt(BODIES[0], PAINTS_BGR[0], "ABC123", LOOKS[0], 0.0)
    layer = Layer(road.view, art.panels(0.0, -5.0, 2.1))
    layer.smear(np.array([1.0, 1.0]), 0.5)
    layer.put_on(picture)
    assert np.array_equal(picture, still)


def test_subjects_are_the_fronts_at_the_line_each_once(road: Road) -> None:
    scene = RoadScene(road)
    edges_s = np.linspace(0.0, road.end_s, 37)
    found = [each for low, high in itertools.pairwise(edges_s) for each in scene.subjects(low, high)]
    assert sorted(each.until_s for each in found) == [vehicle.passes_s for vehicle in road.vehicles]
    for vehicle in road.vehicles:
        assert vehicle.rear_y_m(vehicle.passes_s) == pytest.approx(TRIGGER_LINE_M)
        assert vehicle.rear_y_m(vehicle.front_passes_s) + vehicle.body.length_m == pytest.approx(TRIGGER_LINE_M)

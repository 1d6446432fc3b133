"""Pictures for people: frames with their truth, a sheet of conditions, and the optics that they rest on."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from firmware.records import Light
from hw_sim.light import Conditions, LightLevel, draw_sky, lamp_ratio_at, retro_coefficient
from hw_sim.optics import Scratch, level_of, linear_per_electron_us, sigma_table, smear
from hw_sim.pictures import write_contact_sheet, write_pictures
from hw_sim.world import Mount

LITTLE = Mount(width_px=364, height_px=272, focal_px=1159.5)


def test_frames_of_one_pass_are_written_with_their_truth(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "new", mph=75.0, light=LightLevel.NIGHT, rain=0.0, seed=3, mount=LITTLE)
    assert len(paths) == 10  # 10.5 m at 33.5 m/s and 30 frames a second
    truths = [json.loads(path.with_suffix(".json").read_text()) for path in paths]
    assert {cv2.imread(str(path)).shape for path in paths} == {(272, 364, 3)}
    seen = [plate for truth in truths for plate in truth["plates"]]
    assert len(seen) >= 5
    assert {plate["speed_m_s"] for plate in seen} == {33.528}
    for plate in seen:
        corners = np.array(plate["corners_px"])
        assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(plate["width_px"], abs=0.1)
        assert plate["text"]
        assert plate["region"].startswith("US-")
    distances = [plate["distance_m"] for plate in seen]
    assert distances == sorted(distances)
    assert all(seen[0]["text"] not in path.name for path in paths)
    assert truths[0]["light"]["lamp_ratio"] > 0


def test_a_sheet_shows_every_light_speed_and_rain(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.png", seed=5, mph=(75.0,), rain=(0.0,))
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 480
    day, dusk, night = np.array_split(sheet, 3)
    assert day.mean() > 2 * dusk.mean() > 2 * night.mean()


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 4), (4, 1, 4), (1, 1, 4)])
def test_a_window_of_few_pixels_is_coded_as_it_is_within_a_larger_one(shape: tuple[int, ...]) -> None:
    linear = np.linspace(0.0, 1.2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    larger = np.zeros((9, 9, *shape[2:]), np.float32)
    larger[: shape[0], : shape[1]] = linear
    assert np.array_equal(level_of(linear, Scratch()), level_of(larger, Scratch())[: shape[0], : shape[1]])


def test_the_hour_is_drawn_within_its_bounds() -> None:
    for seed in range(60):
        lux = {light: draw_sky(Conditions(light=light), seed).ground_lux for light in LightLevel}
        assert 5_000 <= lux[LightLevel.DAY] <= 90_000
        assert 10 <= lux[LightLevel.DUSK] <= 100
        assert 0.1 <= lux[LightLevel.NIGHT] <= 1.0
        wet = draw_sky(Conditions(rain_ratio=0.7), seed)
        assert wet.sun_lux == 0.0
        assert wet.headlamps
        dry = draw_sky(Conditions(), seed)
        assert 0.8 < min(dry.ambient_ratio(n / 7.0) for n in range(500)) <= 1.0


def test_the_lamp_falls_off_with_the_square_of_the_distance_and_beside_its_beam() -> None:
    lens, axis = np.zeros(3), np.array([0.0, 1.0, 0.0])
    assert lamp_ratio_at(np.array([0.0, 10.0, 0.0]), lens, axis) == pytest.approx(1.0)
    assert lamp_ratio_at(np.array([0.0, 20.0, 0.0]), lens, axis) == pytest.approx(0.25)
    aside = np.array([10.0 * np.sin(np.radians(13.0)), 10.0 * np.cos(np.radians(13.0)), 0.0])
    assert lamp_ratio_at(aside, lens, axis) == pytest.approx(0.5)
    assert retro_coefficient(0.06 / np.radians(0.2), 0.0) == pytest.approx(70.0, rel=0.1)
    assert retro_coefficient(0.06 / np.radians(0.5), 0.0) == pytest.approx(30.0, rel=0.15)
    assert retro_coefficient(10.0, 65.0) == 0.0


def test_levels_rise_with_light_and_saturate() -> None:
    shares = np.array([0.0, 0.001, 0.03125, 0.125, 0.5, 1.0, 50.0], np.float32)
    linear = np.repeat(shares, 4).reshape(1, -1, 4).copy()
    levels = level_of(linear, Scratch())[0, :, 0].astype(int)
    assert list(levels) == sorted(levels)
    assert (levels[0], levels[-2], levels[-1]) == (0, 255, 255)
    assert levels[2] == pytest.approx(36, abs=3)  # Raspberry Pi's curve leads from 2048 to 9338 of 65535
    assert levels[4] == pytest.approx(187, abs=6)  # sRGB


def test_noise_grows_with_gain_and_falls_with_averaging() -> None:
    assert sigma_table(16.0, 1)[128] > 3 * sigma_table(1.0, 1)[128]
    assert sigma_table(16.0, 4)[128] < sigma_table(16.0, 1)[128]
    assert linear_per_electron_us(Light(exposure_us=200.0, gain=2.0)) == pytest.approx(0.04)


@pytest.mark.parametrize("way", [(0.0, 0.0), (1.0, 0.8), (6.0, 0.1), (5.0, -7.0)])
def test_blur_keeps_the_light_and_spreads_it_along_the_way(way: tuple[float, float]) -> None:
    point = np.zeros((61, 61, 4), np.float32)
    point[30, 30] = 1.0
    smear(point, np.array(way), 0.6)
    spread = point[:, :, 0]
    assert spread.sum() == pytest.approx(1.0, abs=1e-3)
    rows, columns = np.mgrid[:61, :61] - 30
    assert (spread * columns).sum() == pytest.approx(0.0, abs=1e-3)
    wide = np.sqrt((spread * columns**2).sum())
    assert wide == pytest.approx(np.sqrt(way[0] ** 2 / 12.0 + 0.36), abs=0.15)
    assert np.sign(round(float((spread * columns * rows).sum()), 3)) == np.sign(way[0] * way[1]) * (
        abs(way[0]) > 4 and abs(way[1]) > 4
    )

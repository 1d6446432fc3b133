"""The governor in closed loop with a sensor that obeys some frames later, as libcamera's do."""

import math
from collections import deque

import cv2
import numpy as np
import pytest

from firmware.exposure import LARGEST_GAIN, ExposureGovernor, Phase, longest_exposure_us, plate_ground_level
from firmware.lane import WHOLE_PICTURE
from firmware.records import Light

HEIGHT_PX, WIDTH_PX = 136, 182
FULL_WELL = 10_000.0
ROW_US = 14.8
RATE_HZ = 30

ROAD, WHITE_PAINT = 0.12, 0.75
RETRO = 120.0
"""Reflectances; a plate's ground throws back a thousand times what asphalt does, towards a lamp beside the lens."""

ROAD_AT_100_US = {"noon": 0.3, "overcast": 0.05, "dusk": 0.004, "late dusk": 0.003, "night": 2e-6}
"""Share of the full well that a road gathers in 100 us at gain 1 by the light of the sky."""

NOISE = np.random.default_rng(5).standard_normal((16, HEIGHT_PX, WIDTH_PX), np.float32)


class Sensor:
    """A lane with things in it, and a sensor that takes a new light `lag` frames after it was asked for."""

    def __init__(self, lag, sky="overcast", lamp=0.0003):
        self.sky, self.lamp, self.number = ROAD_AT_100_US[sky], lamp, 0
        self.asked = deque([Light(exposure_us=200.0, gain=4.0)] * lag)
        self.light = self.asked[0]
        self.shapes = []  # (top, left, height, width, reflectance, is_retro)
        self.lamp_ratio = 0.0

    def ask(self, light):
        self.asked.append(light)
        self.lamp_ratio = light.lamp_ratio
        taken = self.asked.popleft()
        rows = max(2, math.floor(taken.exposure_us / ROW_US))
        self.light = Light(exposure_us=rows * ROW_US, gain=round(taken.gain * 16) / 16, lamp_ratio=self.lamp_ratio)

    def picture(self):
        self.number += 1
        gathered = np.full((HEIGHT_PX, WIDTH_PX), self.sky + self.lamp * self.lamp_ratio * ROAD, np.float32)
        for top, left, height, width, reflectance, is_retro in self.shapes:
            lit = self.lamp * self.lamp_ratio * (RETRO if is_retro else reflectance)
            gathered[top : top + height, left : left + width] = self.sky * reflectance / ROAD + lit
        share = gathered * self.light.exposure_us / 100 * self.light.gain
        noise = np.sqrt(np.maximum(share, 0) * self.light.gain / FULL_WELL / 16) + 2e-4 * self.light.gain / 4
        share += noise * NOISE[self.number % len(NOISE)]
        return np.clip(255 * np.clip(share, 0, 1) ** (1 / 2.2), 0, 255).astype(np.uint8)


def governor(*, has_lamp=True, angle_deg=20.0, lane=WHOLE_PICTURE):
    return ExposureGovernor(angle_deg=angle_deg, speed_mph=75.0, lane=lane, has_lamp=has_lamp)


def run(govern, sensor, seconds, *, moves=False):
    """Let them act on one another; return the lights that were wanted."""
    wanted = []
    for _ in range(round(seconds * RATE_HZ)):
        small = sensor.picture()
        govern.see(small, sensor.light, sensor.number / RATE_HZ, moves=moves)
        wanted.append(govern.wanted(sensor.number))
        sensor.ask(wanted[-1])
    return wanted


def level(sensor, rows=slice(0, 20)):
    return float(np.median(sensor.picture()[rows]))


def product(light):
    return light.exposure_us * light.gain


@pytest.mark.parametrize(("angle_deg", "microseconds"), [(10, 403), (20, 204.6), (30, 140)])
def test_the_longest_shutter_is_that_of_one_pixel(angle_deg, microseconds):
    assert longest_exposure_us(angle_deg, 75) == pytest.approx(microseconds, abs=0.5)
    assert longest_exposure_us(angle_deg, 37.5) == pytest.approx(2 * microseconds, rel=0.01)


@pytest.mark.parametrize("lag", [4, 6, 8])
@pytest.mark.parametrize("sky", ROAD_AT_100_US)
def test_the_light_settles_and_stays_whatever_the_lag(lag, sky):
    sensor, govern = Sensor(lag, sky), governor()
    run(govern, sensor, 6)
    settled = run(govern, sensor, 4)
    for arm in (settled[0::2], settled[1::2]):
        assert len({product(light) for light in arm}) <= 2  # at most one step of the dead band
    assert all(light.exposure_us <= govern.longest_us for light in settled)
    assert all(1.0 <= light.gain <= LARGEST_GAIN for light in settled)


@pytest.mark.parametrize(
    ("sky", "phase"), [("noon", "day"), ("overcast", "day"), ("late dusk", "dusk"), ("night", "night")]
)
def test_each_light_has_its_phase_from_the_first_second_on(sky, phase):
    sensor, govern = Sensor(6, sky), governor()
    run(govern, sensor, 1.0 if sky != "noon" else 3.0)
    assert govern.phase == phase


@pytest.mark.parametrize("sky", ["noon", "overcast", "dusk", "late dusk"])
def test_a_white_plate_is_bright_and_not_washed_out_by_day_and_dusk(sky):
    sensor, govern = Sensor(6, sky), governor()
    sensor.shapes = [(75, 50, 8, 16, WHITE_PAINT, True)]
    run(govern, sensor, 5)
    ground = float(np.median(sensor.picture()[75:83, 50:66]))
    assert 150 <= ground <= 245


def test_a_day_that_ends_and_begins_again_is_followed_without_swinging():
    """Steps of half a stop every two seconds from noon to night and back; each phase comes once each way."""
    sensor, govern, phases, wanted = Sensor(6, "noon"), governor(), [], []
    down = np.geomspace(0.3, 2e-6, 36)
    for sky in [*down, *down[::-1]]:
        sensor.sky = sky
        wanted += run(govern, sensor, 2.0)
        phases.append(govern.phase)
    changes = [phase for index, phase in enumerate(phases) if index == 0 or phase is not phases[index - 1]]
    assert changes == [Phase.DAY, Phase.DUSK, Phase.NIGHT, Phase.DUSK, Phase.DAY]
    assert max(light.exposure_us for light in wanted) <= govern.longest_us


def test_the_lamps_own_light_on_the_road_does_not_end_the_night():
    sensor, govern = Sensor(6, "night", lamp=0.05), governor()
    run(govern, sensor, 30)
    assert govern.phase is Phase.NIGHT
    assert sensor.lamp_ratio == 1.0


def test_a_weak_lamp_gets_more_gain_until_the_first_plate_shows():
    sensor, govern = Sensor(6, "night", lamp=4e-5), governor()
    run(govern, sensor, 2)
    sensor.shapes = [(50, 75, 8, 16, 0.3, True)]
    before = product(govern.wanted(1))
    run(govern, sensor, 4, moves=True)
    assert product(govern.wanted(1)) >= 2 * before


@pytest.mark.parametrize("lamp", [4e-5, 1e-4, 1e-3, 1e-2])
def test_plates_at_night_are_measured_as_they_pass_whatever_the_lamp(lamp):
    sensor, govern = Sensor(6, "night", lamp=lamp), governor()
    run(govern, sensor, 2)
    for _ in range(6):
        for top in range(200, 40, -27):
            sensor.shapes = [(top, 150, 16, 32, WHITE_PAINT, True), (top, 100, 10, 12, 500 * ROAD, False)]
            run(govern, sensor, 1 / RATE_HZ, moves=True)
        sensor.shapes = []
        run(govern, sensor, 1)
    sensor.shapes = [(50, 75, 8, 16, WHITE_PAINT, True)]
    grounds = []
    for _ in range(20):
        run(govern, sensor, 1 / RATE_HZ)
        grounds.append(float(np.median(sensor.picture()[50:58, 75:91])))
    assert govern.is_bracketing
    best = min(grounds, key=lambda ground: abs(ground - 170))
    assert 90 <= best <= 245


def test_a_bright_vehicle_and_a_headlight_do_not_darken_the_lane():
    sensor, govern = Sensor(6, "overcast"), governor()
    before = product(run(govern, sensor, 4)[-1])
    sensor.shapes = [(30, 20, 100, 140, 0.9, False)]  # a white van fills half of the picture for half a second
    run(govern, sensor, 0.5, moves=True)
    sensor.shapes = [(30, 20, 10, 10, 5000.0, False)]
    wanted = run(govern, sensor, 0.5, moves=True)
    assert product(wanted[-1]) == pytest.approx(before, rel=0.25)


def test_what_lies_beside_the_lane_is_not_measured():
    lane = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    sensor, govern = Sensor(6, "overcast"), governor(lane=lane)
    sensor.shapes = [(0, 0, HEIGHT_PX, 90, 0.9, False)]  # a white wall
    run(govern, sensor, 4)
    lane_level = float(np.median(sensor.picture()[:, 95:]))
    assert lane_level == pytest.approx(255 * 0.12 ** (1 / 2.2), abs=8)


def test_without_a_lamp_the_night_gets_all_the_gain_and_no_alternation():
    sensor, govern = Sensor(6, "night"), governor(has_lamp=False)
    wanted = run(govern, sensor, 8)
    assert not govern.is_bracketing
    assert wanted[-1] == Light(exposure_us=govern.longest_us, gain=LARGEST_GAIN)


def test_at_night_exposures_alternate_by_two_stops_with_the_lamp_at_one_power():
    sensor, govern = Sensor(6, "night"), governor()
    run(govern, sensor, 3)
    dark, bright = govern.wanted(10), govern.wanted(11)
    assert product(bright) == pytest.approx(4 * product(dark))
    assert dark.lamp_ratio == bright.lamp_ratio > 0
    assert govern.wanted(12) == dark


@pytest.mark.parametrize("fill", [0, 255])
def test_a_black_or_white_picture_is_no_error(fill):
    govern = governor()
    for number in range(60):
        govern.see(
            np.full((HEIGHT_PX, WIDTH_PX), fill, np.uint8), Light(exposure_us=200, gain=4), number / 30, moves=True
        )
        light = govern.wanted(number)
        assert 0 < light.exposure_us <= govern.longest_us
        assert 1 <= light.gain <= LARGEST_GAIN


def test_a_camera_that_does_not_obey_is_asked_the_same_again_and_again():
    """What it was asked for says nothing; only what it reports does."""
    sensor, govern = Sensor(6, "overcast"), governor()
    small = sensor.picture()
    stubborn = sensor.light
    for number in range(300):
        govern.see(small, stubborn, number / 30, moves=False)
    assert govern.wanted(0) == govern.wanted(1)
    assert product(govern.wanted(0)) == pytest.approx(
        product(stubborn) * 0.12 / (np.median(small) / 255) ** 2.2, rel=0.2
    )


def night_picture(*, plate=None, lamps=()):
    picture = np.full((272, 364), 4, np.uint8)
    for x, y, radius in lamps:
        cv2.circle(picture, (x, y), radius, 255, -1)
    if plate:
        x, y, width, height, ground = plate
        picture[y : y + height, x : x + width] = ground
        picture[y + 5 : y + height - 4, x + 4 : x + width - 4 : 4] = ground // 2  # blurred strokes
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


@pytest.mark.parametrize("ground", [70, 120, 190, 255])
def test_a_plate_that_shines_back_is_found_among_lamps(ground):
    picture = night_picture(plate=(150, 120, 34, 17, ground), lamps=[(110, 122, 7), (225, 122, 7)])
    assert plate_ground_level(picture) == pytest.approx(ground, rel=0.15)


@pytest.mark.parametrize("lamps", [[], [(100, 100, 8), (200, 100, 8)], [(180, 130, 60)]])
def test_lamps_alone_are_no_plate(lamps):
    assert plate_ground_level(night_picture(lamps=lamps)) is None

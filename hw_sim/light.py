"""How much light there is on the simulated road, and how many electrons a pixel gathers of it.

Owns the constants of sun, sky, lamps and retro-reflection, and the conversion to electrons; knows nothing of shapes.
A pixel gathers electrons in proportion to time, so all brightness is kept in electrons per microsecond:

- Image illuminance of a surface of luminance L through a lens of f-number N and transmission T: pi * T * L / (4 N^2)
  (Kingslake, Optics in Photography), with L = reflectance * illuminance / pi for a matt surface.
- One lux of daylight is 1.1e16 photons between 400 and 700 nm a second and square metre; a pixel of 3.45 um behind its
  Bayer filter turns a fifth of them into electrons: 0.026 electrons per lux and microsecond.
- One W/m2 at 850 nm is 4.28e18 photons; the filters are clear there and the quantum efficiency is 0.22: 11.2 electrons
  per microsecond, in all three colours alike.
"""

import enum
import math
from dataclasses import dataclass

import numpy as np

from hw_sim.world import Vector, angle_deg

F_NUMBER = 2.0
TRANSMISSION = 0.9
ELECTRONS_PER_LUX_US = 0.0262
ELECTRONS_PER_W_M2_US = 11.2

_LENS = TRANSMISSION / (4.0 * F_NUMBER**2)

MATT_PER_LUX = _LENS * ELECTRONS_PER_LUX_US
"""Electrons per microsecond of a matt surface with reflectance 1 in one lux of daylight."""

LUMINANCE = math.pi * MATT_PER_LUX
"""Electrons per microsecond of something that shines with one cd/m2 of white light."""

LAMP_W_SR = 30.0
"""The infrared lamp at full power: a dozen emitters, each 2.5 W/sr in its pulse behind a narrow lens."""

LAMP_HALF_ANGLE_DEG = 13.0
"""Off its axis by this angle the lamp has half its intensity."""

LAMP_OFFSET_M = 0.06
"""From the lamp's middle to the lens: it stands beside it."""

LAMP_REFERENCE_M = 10.0

MATT_PER_LAMP = _LENS * ELECTRONS_PER_W_M2_US * LAMP_W_SR / LAMP_REFERENCE_M**2
"""Electrons per microsecond of a matt white surface 10 m before the full lamp."""

RETRO_PER_LAMP = math.pi * MATT_PER_LAMP
"""The same per coefficient of retro-reflection, cd/(lx m2)."""

INFRARED_TINT = np.array([1.05, 0.95, 1.08], np.float32)
"""Blue, green, red of infrared light after the fixed colour gains, which were made for daylight."""

ASPHALT_REFLECTANCE = 0.12
"""What a dry road sends back of the light that falls on it."""

DAY_INFRARED_RATIO = 0.34
"""What daylight sends between 700 and 1000 nm, in electrons, against each colour's own: there is no infrared filter."""


class LightLevel(enum.StrEnum):
    """The time of day, as far as a camera cares."""

    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the road is asked to be like. `rain_ratio` is 0 (dry) to 1 (heavy: some 25 mm an hour)."""

    light: LightLevel = LightLevel.DAY
    rain_ratio: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.rain_ratio <= 1.0:
            raise ValueError("rain is a ratio between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The light of one hour, as drawn from the seed. Illuminances are those of level ground."""

    sun_lux: float  # square to the sun's rays
    sky_lux: float
    towards_sun: tuple[float, float, float]
    sky_bgr: tuple[float, float, float]  # colour of the sky's light, mean 1
    sun_bgr: tuple[float, float, float]
    headlamps: bool
    rain_ratio: float
    cloud_period_s: float  # how fast clouds change the light
    cloud_depth: float

    def ambient_ratio(self, at_s: float) -> float:
        """Return how bright it is at `at_s` against the mean, in steps of half a percent as clouds pass."""
        if self.cloud_depth == 0.0:
            return 1.0
        wave = math.sin(at_s / self.cloud_period_s) + 0.6 * math.sin(at_s / self.cloud_period_s * 2.7 + 1.0)
        return round((1.0 + self.cloud_depth * wave / 1.6) * 200.0) / 200.0

    @property
    def ground_lux(self) -> float:
        """What falls on level ground."""
        return self.sky_lux + self.sun_lux * max(0.0, self.towards_sun[2])


def draw_sky(conditions: Conditions, seed: int) -> Sky:
    """Draw sun and clouds: 5,000 to 80,000 lux by day, 10 to 100 at dusk, 0.1 to 1 at night; rain hides the sun."""
    generator = np.random.default_rng([seed, 17])
    elevation, azimuth = (
        math.radians(float(generator.uniform(18.0, 65.0))),
        float(generator.uniform(0.0, 2.0 * math.pi)),
    )
    towards = (math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth), math.sin(elevation))
    clear = float(generator.random()) * (1.0 - min(1.0, 1.5 * conditions.rain_ratio))
    shade, period_s = float(generator.uniform(0.3, 1.0)), float(generator.uniform(4.0, 20.0))
    if conditions.light is LightLevel.DAY:
        is_clear = clear > 0.35
        sun_lux = 70_000.0 * math.sin(elevation) ** 0.35 * clear if is_clear else 0.0
        sky_lux = (9_000.0 + 9_000.0 * shade) if is_clear else 5_000.0 + 15_000.0 * shade
        sky_lux *= 1.0 - 0.5 * conditions.rain_ratio
        sky_bgr = (1.28, 1.0, 0.82) if is_clear else (1.04, 1.0, 0.97)
        return Sky(
            sun_lux=sun_lux, sky_lux=max(5_000.0, sky_lux), towards_sun=towards, sky_bgr=sky_bgr,
            sun_bgr=(0.9, 1.0, 1.06), headlamps=conditions.rain_ratio > 0.0, rain_ratio=conditions.rain_ratio,
            cloud_period_s=period_s, cloud_depth=0.12 if is_clear else 0.05,
        )  # fmt: skip
    is_dusk = conditions.light is LightLevel.DUSK
    lux = 10.0 * 10.0**shade if is_dusk else 0.1 * 10.0**shade
    return Sky(
        sun_lux=0.0, sky_lux=lux * (1.0 - 0.4 * conditions.rain_ratio), towards_sun=(0.0, 0.0, 1.0),
        sky_bgr=(1.3, 0.98, 0.8) if is_dusk else (0.8, 1.0, 1.2), sun_bgr=(1.0, 1.0, 1.0), headlamps=True,
        rain_ratio=conditions.rain_ratio, cloud_period_s=period_s, cloud_depth=0.0,
    )  # fmt: skip


def retro_coefficient(distance_m: float, entrance_deg: float) -> float:
    """Return cd/(lx m2) of white plate sheeting that is lit by the camera's own lamp.

    A curve through the values of beaded sheeting in ASTM D4956: 70 at 0.2 degrees between lamp and lens, 30 at 0.5;
    it falls with the angle at which the light enters, and to nothing beyond 60 degrees.
    """
    observation_deg = math.degrees(LAMP_OFFSET_M / distance_m)
    return 95.0 / (1.0 + math.pow(observation_deg / 0.33, 1.5)) * max(0.0, 1.0 - (entrance_deg / 60.0) ** 2)


def lamp_ratio_at(point_m: Vector, lamp_m: Vector, axis: Vector) -> float:
    """Return the lamp's irradiance at a point against that at 10 m on its axis: 1 / r^2, and less beside the beam."""
    way = point_m - lamp_m
    distance_m = max(0.5, float(np.linalg.norm(way)))
    off_deg = angle_deg(way, axis)
    return float((LAMP_REFERENCE_M / distance_m) ** 2) * math.pow(0.5, (off_deg / LAMP_HALF_ANGLE_DEG) ** 2)

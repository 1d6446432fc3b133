"""The simulated supply: its energy is kept account of, its chips are no better than real ones, and it can be amiss."""

import datetime as dt

import pytest

from firmware.board.power_meter import HwmonMeter
from firmware.config import MeterConfig, PowerConfig
from firmware.faults import DeviceFault, FaultCode
from hw_sim.board import open_power
from hw_sim.light import LightLevel, draw_sky
from hw_sim.power import LUX_PER_W_M2, PowerAmiss, PowerRules, SimPower, irradiance_of
from hw_sim.surroundings import World
from provisioning.sun import Place, sun_at

CONFIG = PowerConfig(
    battery=MeterConfig(chip="ina226", address="0x40", shunt_mohm=2),
    panel=MeterConfig(chip="ina226", address="0x41", shunt_mohm=2),
)
DAY_S = 86_400.0
MIDNIGHT = dt.datetime(2026, 6, 21, 8, tzinfo=dt.UTC)  # in California


class HandClock:
    def __init__(self):
        self.now_s = 1000.0

    def monotonic_s(self):
        return self.now_s


@pytest.fixture
def clock():
    return HandClock()


def sunny(at_s):
    """The light of midsummer days at 37 degrees north, by the sun's height alone."""
    sun = sun_at(Place(latitude_deg=37.0, longitude_deg=-122.0), MIDNIGHT + dt.timedelta(seconds=at_s - 1000.0))
    return max(0.0, 10.0 * sun.elevation_deg)


def supply(clock, irradiance=lambda at_s: 0.0, config=CONFIG, **rules):
    power = SimPower(config, clock, irradiance, rules=PowerRules(**rules))
    return power, HwmonMeter(config, clock, read=power.read)


@pytest.mark.parametrize("begins_at_ratio", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("panel_w", [0.0, 5.0, 53.0])
def test_no_energy_is_made_and_none_is_forgotten(clock, begins_at_ratio, panel_w):
    power, _ = supply(clock, sunny, begins_at_ratio=begins_at_ratio, panel_w=panel_w)
    for hours in (0.01, 3.0, 9.5, 0.5, 40.0, 19.0):
        clock.now_s += hours * 3600.0
        power.advance()
        gained_wh = (power.charge_ratio - begins_at_ratio) * 375.0
        count = power.energy
        assert count.harvested_wh == pytest.approx(count.used_wh + count.lost_wh + gained_wh, abs=1e-6)
        assert count.used_wh + count.unserved_wh == pytest.approx(2.5 * (clock.now_s - 1000.0) / 3600.0)
        assert 0.0 <= power.charge_ratio <= 1.0


def test_the_battery_goes_down_by_night_and_up_by_day(clock):
    power, meter = supply(clock, sunny, begins_at_ratio=0.5)
    clock.now_s += 3 * 3600.0
    night = meter.sample()
    assert night.battery_a == pytest.approx(-2.5 / 13.1, abs=0.02)
    assert night.panel_w == 0.0
    assert power.charge_ratio == pytest.approx(0.5 - 3 * 2.5 / 375, abs=0.001)
    clock.now_s += 10 * 3600.0
    noon = meter.sample()
    assert 30.0 < noon.panel_w < 45.0
    assert noon.battery_a == pytest.approx((noon.panel_w * 0.95 - 2.5) / noon.battery_v, abs=0.02)
    assert noon.battery_v > night.battery_v


def test_a_full_battery_takes_no_more_and_the_panel_gives_no_more_than_is_used(clock):
    power, meter = supply(clock, lambda at_s: 800.0, begins_at_ratio=0.99)
    clock.now_s += DAY_S
    sample = meter.sample()
    assert power.charge_ratio == 1.0
    assert sample.battery_a == pytest.approx(0.0, abs=0.005)
    assert sample.panel_w == pytest.approx(2.5 / 0.95, abs=0.05)


def test_an_empty_battery_gives_nothing(clock):
    power, meter = supply(clock, begins_at_ratio=0.1)
    clock.now_s += 2 * DAY_S
    power.advance()
    assert power.charge_ratio == pytest.approx(0.0, abs=0.001)
    assert power.energy.unserved_wh == pytest.approx(120.0 - 37.5, rel=0.02)
    assert meter.sample().battery_a == pytest.approx(0.0, abs=0.005)


def test_the_same_seed_says_the_same(clock):
    def told():
        return HwmonMeter(CONFIG, clock, read=SimPower(CONFIG, clock, sunny, seed=5).read).sample()

    assert told() == told()
    other = HwmonMeter(CONFIG, clock, read=SimPower(CONFIG, clock, sunny, seed=6).read).sample()
    assert other != told()


@pytest.mark.parametrize("light", LightLevel)
def test_the_panel_stands_in_the_light_of_the_pictures(clock, light):
    world = World(light=light, seed=3)
    _, meter = open_power(CONFIG, clock, world)
    sky = draw_sky(world.conditions, 3)
    at_panel = irradiance_of(sky)(clock.now_s)
    assert at_panel == pytest.approx(sky.ground_lux * sky.ambient_ratio(clock.now_s) / LUX_PER_W_M2)
    watts = meter.sample().panel_w
    assert watts == pytest.approx(53.0 * 0.9 * at_panel / 1000.0, abs=0.1) if light is LightLevel.DAY else watts == 0.0


@pytest.mark.parametrize(("chip", "step_mv", "most_ma"), [("ina226", 1.25, 819), ("ina219", 4, 3200)])
def test_a_chip_rounds_to_its_steps_and_ends_at_its_full_scale(clock, chip, step_mv, most_ma):
    config = PowerConfig(panel=MeterConfig(chip=chip, address="0x40", shunt_mohm=100))
    power, meter = supply(clock, lambda at_s: 200.0, config, begins_at_ratio=0.2)
    millivolts = int(power.read("1-0040", "in1_input"))
    assert abs(millivolts - round(round(millivolts / step_mv) * step_mv)) == 0
    assert meter.sample().panel_w == pytest.approx(53.0 * 0.9 * 0.2, abs=0.1)
    power, meter = supply(clock, lambda at_s: 1500.0, config, begins_at_ratio=0.2)
    assert int(power.read("1-0040", "curr1_input")) == most_ma
    with pytest.raises(DeviceFault, match=r"^meter-nonsense: .*shunt_mohm"):
        meter.sample()


def test_a_shunt_that_is_wired_the_other_way_round_is_told_as_the_configuration_says(clock):
    turned = PowerConfig(battery=MeterConfig(chip="ina226", address="0x40", shunt_mohm=2, is_reversed=True))
    power, meter = supply(clock, config=turned)
    assert int(power.read("1-0040", "curr1_input")) > 150
    assert meter.sample().battery_a < -0.15


@pytest.mark.parametrize(
    ("amiss", "code"), [(PowerAmiss.ABSENT, FaultCode.METER_ABSENT), (PowerAmiss.NONSENSE, FaultCode.METER_NONSENSE)]
)
def test_meters_can_be_amiss_and_well_again(clock, amiss, code):
    power, meter = supply(clock)
    power.fail(amiss)
    with pytest.raises(DeviceFault) as caught:
        meter.sample()
    assert caught.value.code is code
    power.fail(None)
    assert meter.sample().battery_v > 13.0


def test_a_low_battery_and_a_dark_panel_are_measured_as_such(clock):
    power, meter = supply(clock, lambda at_s: 600.0)
    power.fail(PowerAmiss.BATTERY_LOW)
    assert meter.sample().battery_v < 12.5
    power.fail(PowerAmiss.PANEL_DARK)
    sample = meter.sample()
    assert (sample.panel_v, sample.panel_w) == (pytest.approx(0.0, abs=0.01), pytest.approx(0.0, abs=0.01))
    assert sample.battery_a < -0.15
    with pytest.raises(FileNotFoundError):
        power.read("1-0040", "temp1_input")

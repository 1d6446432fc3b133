"""Battery and panel by the kernel's files: what is told of them, and what is refused."""

import functools

import pytest

from firmware.board import pi
from firmware.board.linux import LinuxClock
from firmware.board.power_meter import HwmonMeter, place, read_hwmon
from firmware.config import MeterConfig, PowerConfig
from firmware.faults import DeviceFault, FaultCode
from tests.hwmon_tree import HwmonTree

BATTERY = MeterConfig(chip="ina226", address="0x40", shunt_mohm=2.0)
PANEL = MeterConfig(chip="ina226", address="0x41", shunt_mohm=2.0)
BOTH = PowerConfig(battery=BATTERY, panel=PANEL)


@pytest.fixture
def tree(tmp_path):
    return HwmonTree(tmp_path)


def metered(tree, config=BOTH):
    return HwmonMeter(config, LinuxClock(), read=functools.partial(read_hwmon, sys=tree.sys))


def refused(tree, config=BOTH):
    with pytest.raises(DeviceFault) as caught:
        metered(tree, config).sample()
    return caught.value


def test_battery_and_panel_are_told_in_volts_amperes_and_watts(tree):
    tree.ina226("1-0040", 13.31, 0.842)
    tree.ina226("1-0041", 17.8, 0.75)
    before_s = LinuxClock().monotonic_s()
    sample = metered(tree).sample()
    assert before_s <= sample.at_s <= LinuxClock().monotonic_s()
    assert sample.battery_v == pytest.approx(13.31, abs=0.001)
    assert sample.battery_a == 0.842
    assert sample.panel_v == pytest.approx(17.8, abs=0.001)
    assert sample.panel_w == pytest.approx(17.8 * 0.75, abs=0.01)
    assert sample.board_c is None


def test_a_battery_that_gives_has_a_negative_current(tree):
    tree.ina226("1-0040", 13.1, -0.19)
    config = PowerConfig(battery=BATTERY)
    assert metered(tree, config).sample().battery_a == -0.19
    turned = PowerConfig(battery=MeterConfig(chip="ina226", address="0x40", shunt_mohm=2.0, is_reversed=True))
    assert metered(tree, turned).sample().battery_a == 0.19


def test_what_has_no_meter_is_none(tree):
    tree.ina226("1-0041", 17.8, 0.75)
    sample = metered(tree, PowerConfig(panel=PANEL)).sample()
    assert (sample.battery_v, sample.battery_a) == (None, None)
    assert sample.panel_w == pytest.approx(13.35, abs=0.01)


def test_the_device_is_found_whatever_its_number(tree):
    for at in ("1-0045", "1-0044", "1-0040", "1-0041"):
        tree.ina226(at, 10.0 if at < "1-0042" else 5.0, 0.0)
    assert metered(tree).sample().battery_v == 10.0
    assert place(BATTERY) == "1-0040"


def test_a_meter_that_is_not_there_is_absent_and_the_hint_says_where_to_look(tree):
    tree.ina226("1-0040", 13.3, 0.8)
    fault = refused(tree)
    assert fault.code is FaultCode.METER_ABSENT
    for word in ("panel", "ina226", "0x41", "i2cdetect", "card install"):
        assert word in fault.hint


def test_one_that_is_unplugged_while_the_unit_runs_is_absent(tree):
    tree.ina226("1-0040", 13.3, 0.8)
    meter = metered(tree, PowerConfig(battery=BATTERY))
    meter.sample()
    tree.unplug("1-0040")
    with pytest.raises(DeviceFault, match=r"^meter-absent: the battery's meter"):
        meter.sample()


def test_a_chip_that_does_not_acknowledge_is_absent():
    """What the kernel says then is an error of input and output, or that there is no such address."""

    def read(at, name):
        raise OSError(121, "Remote I/O error")

    with pytest.raises(DeviceFault, match=r"^meter-absent: .*OSError"):
        HwmonMeter(BOTH, LinuxClock(), read=read).sample()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("in1_input", "81919\n", "out of its range"),
        ("in1_input", "-900\n", "out of its range"),
        ("in1_input", "17100\n", "more than 4 cells"),
        ("in1_input", "nan\n", "no number"),
        ("in1_input", "", "no number"),
        ("curr1_input", "inf\n", "no number"),
        ("curr1_input", "40960\n", "end of what its shunt can measure"),
        ("curr1_input", "-40960\n", "end of what its shunt can measure"),
    ],
)
def test_nonsense_is_refused(tree, name, text, words):
    tree.ina226("1-0040", 13.3, 0.8)
    tree.write("1-0040", name, text)
    fault = refused(tree, PowerConfig(battery=BATTERY))
    assert fault.code is FaultCode.METER_NONSENSE
    assert words in fault.hint
    assert fault.hint.startswith("the battery's meter: ")
    assert "; check" in fault.hint


@pytest.mark.parametrize("volts", [0.0, 16.7])
def test_what_a_battery_can_have_is_believed(tree, volts):
    tree.ina226("1-0040", volts, 0.0)
    assert metered(tree, PowerConfig(battery=BATTERY)).sample().battery_v == pytest.approx(volts, abs=0.001)


def test_a_panel_takes_a_little_at_night_and_not_more(tree):
    tree.ina226("1-0040", 13.3, -0.2)
    tree.ina226("1-0041", 12.0, -0.01)
    assert metered(tree).sample().panel_w == 0.0
    tree.write("1-0041", "curr1_input", "-300\n")
    fault = refused(tree)
    assert fault.code is FaultCode.METER_NONSENSE
    assert "power.panel.is_reversed" in fault.hint


def test_a_unit_has_meters_if_its_configuration_names_them():
    assert pi.power_meter(None, LinuxClock()) is None
    assert isinstance(pi.power_meter(BOTH, LinuxClock()), HwmonMeter)

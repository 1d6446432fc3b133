import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import config
from firmware.config import CaptureConfig, ReadingConfig
from firmware.faults import ConfigRejected


def as_json(settings, **changes):
    return json.dumps(json.loads(config.encode(settings)) | changes).encode()


def test_what_is_encoded_is_decoded(device_config):
    assert config.decode(config.encode(device_config), "here") == device_config


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"capture": {"motion_ration": 0.1}}, "motion_ration"),
        ({"capture": {"pre_trigger_s": 0.5}}, "pre_trigger_s"),
        ({"capture": {"pir_pin": 28}}, "pir_pin"),
        ({"capture": {"lamp_pin": 17}}, "lamp_pin"),
        ({"capture": {"angle_deg": 0}}, "angle_deg"),
        ({"capture": {"speed_mph": 200}}, "speed_mph"),
        ({"capture": {"lane": [[0, 0], [1, 0]]}}, "lane"),
        ({"capture": {"lane": [[0, 0], [1.2, 0], [1, 1]]}}, "lane"),
        ({"capture": {"lane": [[0, 0], [1, 1], [1, 0], [0, 1]]}}, "lane crosses itself"),
        ({"capture": {"lane": [[0, 0], [0.5, 0.5], [1, 1]]}}, "lane has next to no area"),
        ({"pictures": {"vehicle_hours": 721}}, "vehicle_hours"),
        ({"pictures": {"vehicle_hours": -1}}, "vehicle_hours"),
        ({"pictures": {"vehicle_mb": 0}}, "vehicle_mb"),
        ({"pictures": {"occupants": True}}, "occupants"),
        ({"device_id": "Camera on Main Street"}, "device_id"),
        ({"site": {"name": "x", "latitude_deg": 91, "longitude_deg": 0}}, "latitude_deg"),
        ({"uplink": {"host": "a b"}}, "host"),
        ({"seal": {"agency_keys": [{"key": "short"}], "receipt_key": "A" * 43 + "="}}, "agency_keys"),
        ({"is_simulated": True}, "is_simulated"),
    ],
)
def test_what_is_out_of_bounds_or_unknown_is_refused_by_name(device_config, changes, named):
    with pytest.raises(ConfigRejected, match=named) as refused:
        config.decode(as_json(device_config, **changes), "config.json")
    assert str(refused.value).startswith("config.json: ")
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data):
    with pytest.raises(ConfigRejected):
        config.decode(data, "config.json")


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ConfigRejected, match="kestrel-provision unit new"):
        config.load(tmp_path / "config.json")


def test_a_file_is_loaded(device_config, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(config.encode(device_config))
    assert config.load(path) == device_config


def test_keys_are_raw_bytes():
    assert config.key_bytes("A" * 43 + "=") == bytes(32)
    with pytest.raises(ConfigRejected):
        config.key_bytes("not base64!")


def test_options_cannot_be_changed_after_loading():
    with pytest.raises(AttributeError):
        CaptureConfig().motion_ratio = 0.5
    with pytest.raises(TypeError):
        ReadingConfig(0.5)


def test_pictures_of_vehicles_are_kept_for_three_days_unless_the_configuration_says_otherwise(device_config):
    assert (device_config.pictures.vehicle_hours, device_config.pictures.vehicle_mb) == (72, 300)
    assert config.decode(as_json(device_config, pictures={"vehicle_hours": 0}), "test").pictures.vehicle_hours == 0


def test_a_unit_has_no_modem_unless_its_configuration_says_so(device_config):
    assert config.decode(config.encode(device_config), "test").modem is None
    modem = config.decode(as_json(device_config, modem={}), "test").modem
    assert (modem.power_pin, modem.power_off_when) == (None, "high")


@pytest.mark.parametrize(
    "modem", [{"power_pin": 17}, {"power_pin": 28}, {"power_off_when": "never"}, {"apn": "internet"}, "yes"]
)
def test_a_modem_s_section_is_checked_and_its_line_has_one_use(device_config, modem):
    with pytest.raises(ConfigRejected, match="modem"):
        config.decode(as_json(device_config, modem=modem), "test")


METER = {"chip": "ina226", "address": "0x40", "shunt_mohm": 2}


def test_a_unit_has_no_meters_unless_its_configuration_says_so(device_config):
    assert config.decode(config.encode(device_config), "test").power is None
    power = config.decode(as_json(device_config, power={"battery": METER}), "test").power
    assert (power.battery.is_reversed, power.battery_cells, power.panel) == (False, 4, None)


@pytest.mark.parametrize(
    "power",
    [
        {},
        {"battery": METER, "panel": METER},
        {"battery": METER, "panel": METER | {"chip": "ina219"}},
        {"battery": METER | {"chip": "ina3221"}},
        {"battery": METER | {"address": "64"}},
        {"battery": METER | {"address": "0x76"}},
        {"battery": METER | {"shunt_mohm": 0}},
        {"battery": METER | {"chip": "bq27441"}},
        {"battery": {"chip": "ina226", "address": "0x40"}},
        {"battery": METER, "battery_cells": 0},
    ],
)
def test_a_section_of_meters_is_checked(device_config, power):
    with pytest.raises(ConfigRejected, match="power"):
        config.decode(as_json(device_config, power=power), "test")


def test_the_meters_bus_is_not_used_for_anything_else(device_config):
    with pytest.raises(ConfigRejected, match="BCM 2 and 3"):
        config.decode(as_json(device_config, power={"battery": METER}, guard={"tamper_pin": 3}), "test")
    with pytest.raises(ConfigRejected, match="BCM 2 and 3"):
        config.decode(as_json(device_config, power={"battery": METER}, modem={"power_pin": 2}), "test")

"""The whole machine, built on the simulated board: what the data plan allows reaches the reads, and health asks all."""

import cv2
import msgspec
import numpy as np
import pytest
from loopback_fleet import NOW, SITE

from firmware import app, config, identity
from firmware.config import MeterConfig, PowerConfig
from firmware.evidence import FULL_PICTURE
from firmware.faults import FaultCode
from firmware.health import FIRST_AFTER_S
from firmware.health_report import KeyPlace
from firmware.records import MessageClass
from hw_sim.board import open_unit
from hw_sim.power import PowerAmiss
from hw_sim.surroundings import World
from provisioning import fleet, unit


class NobodyReads:
    version = "none"

    def read(self, image, *, frame_number, at_s):
        return []


@pytest.fixture
def built(tmp_path):
    fleet.init(tmp_path / "fleet", host="localhost", port=1, now=NOW)
    unit.enrol(tmp_path / "fleet", tmp_path / "unit", SITE, NOW)
    (tmp_path / "wall").mkdir()
    cv2.imwrite(str(tmp_path / "wall" / "wall.png"), np.full((240, 320, 3), 128, dtype=np.uint8))
    settings = config.load(tmp_path / "unit" / identity.CONFIG_NAME)
    simulated = open_unit(settings, tmp_path / "unit", World(source=tmp_path / "wall"))
    machine = app.build(simulated.board, settings, tmp_path / "unit", NobodyReads())
    yield simulated.board, {stage.name: stage for stage in machine.stages}, machine, tmp_path / "unit"
    machine.outbox.close()


def test_what_the_plan_allows_reaches_the_reads(built):
    board, stages, machine, folder = built
    assert list(stages) == [
        "capture", "reading", "vehicles", "spending", "power", "health", "uplink", "guard", "expiry", "clock",
    ]  # fmt: skip
    assert machine.reading.tracker._picture.get() is FULL_PICTURE
    board.meter._sent_bytes = 490_000_000
    stages["spending"].step(0.0)
    assert machine.reading.tracker._picture.get() is None
    assert (folder / identity.ACCOUNT_NAME).stat().st_mode & 0o777 == 0o600


def test_health_of_the_whole_machine_is_put_in_its_outbox(built):
    _, stages, machine, _ = built
    machine.reading.frames_read, machine.reading.frames_rejected = 5, 2
    stages["spending"].step(0.0)
    stages["health"].step(0.0)
    stages["health"].step(FIRST_AFTER_S)
    (waiting,) = machine.outbox.next_unsent(10, 0.0)
    assert waiting.message_class is MessageClass.HEALTH
    health = stages["health"].report(100.0)
    assert (health.model_version, health.key_place, health.waiting) == ("none", KeyPlace.FILE, 1)
    assert (health.frames_read, health.frames_given_up) == (5, 2)
    assert health.spent.month_bytes == 0
    assert health.causes == {"receipt-rejected": 0}


def test_a_unit_with_meters_says_how_battery_and_panel_are_until_they_fail(built):
    _, _, _, folder = built
    power = PowerConfig(
        battery=MeterConfig(chip="ina226", address="0x40", shunt_mohm=2),
        panel=MeterConfig(chip="ina226", address="0x41", shunt_mohm=2),
    )
    settings = msgspec.structs.replace(config.load(folder / identity.CONFIG_NAME), power=power)
    simulated = open_unit(settings, folder, World(source=folder.parent / "wall"))
    machine = app.build(simulated.board, settings, folder, NobodyReads())
    stages = {stage.name: stage for stage in machine.stages}
    stages["health"].step(0.0)
    assert stages["health"].report(1.0).power is None  # nobody has looked yet
    stages["power"].step(1.0)
    told = stages["health"].report(2.0).power
    assert 13_000 < told.battery_mv < 14_000
    assert told.battery_ma > 0
    assert 1_000 < told.panel_mw < 50_000
    simulated.power.fail(PowerAmiss.ABSENT)
    stages["power"].step(61.0)
    health = stages["health"].report(62.0)
    assert health.power is None
    assert [fault.code for fault in health.faults] == [FaultCode.METER_ABSENT]
    machine.outbox.close()

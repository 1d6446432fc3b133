"""A whole unit with a modem, on its own threads: the ladder's stage, the real adapter, a message bus of its own."""

import dataclasses
import threading

import cv2
import msgspec
import numpy as np
import pytest
from loopback_fleet import NOW, SITE
from modem_manager import IDENTITIES, ModemManager, private_bus

from firmware import app, config, identity
from firmware.board.linux import LinuxClock
from firmware.board.modem import ManagedModem
from firmware.config import ModemConfig
from firmware.recovery import RecoveryStage
from firmware.wall_clock import JudgedClock
from hw_sim.board import open_unit
from hw_sim.surroundings import World
from provisioning import unit

LIMIT_S = 30.0
NETWORK_UTC_MS = 1_800_028_800_000  # 2027-01-15T08:00:00-08:00, as the service says


class UnsetClock(LinuxClock):
    """The clock of a machine that NTP has not reached."""

    def is_trusted(self):
        return False


class NobodyReads:
    version = "none"

    def read(self, image, *, frame_number, at_s):
        return []


@pytest.fixture
def folder(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    return tmp_path / "unit"


@pytest.fixture
def wall(tmp_path):
    (tmp_path / "wall").mkdir()
    assert cv2.imwrite(str(tmp_path / "wall" / "wall.png"), np.full((240, 320, 3), 128, dtype=np.uint8))
    return World(source=tmp_path / "wall")


def recovery_of(machine):
    return [stage for stage in machine.stages if isinstance(stage, RecoveryStage)]


def test_a_unit_without_a_modem_has_no_ladder(folder, wall):
    settings = config.load(folder / identity.CONFIG_NAME)
    machine = app.build(open_unit(settings, folder, wall).board, settings, folder, NobodyReads())
    assert recovery_of(machine) == []
    machine.outbox.close()


def test_a_unit_with_a_modem_looks_at_it_hears_its_time_and_stops_in_order(folder, wall, tmp_path, caplog):
    settings = msgspec.structs.replace(config.load(folder / identity.CONFIG_NAME), modem=ModemConfig())
    board = open_unit(settings, folder, wall).board
    with private_bus(tmp_path) as (address, _), ModemManager(address):
        clock = JudgedClock(UnsetClock())
        modem = ManagedModem(clock, bus_address=address)
        board = dataclasses.replace(board, clock=clock, modem=modem, modem_rail=None)
        assert not clock.is_trusted()
        machine = app.build(board, settings, folder, NobodyReads())
        (recovery,) = recovery_of(machine)

        def somebody():
            for _ in range(int(LIMIT_S / 0.1)):
                if recovery.status is not None:
                    break
                machine.is_erased.wait(0.1)
            machine.is_erased.set()  # the machine ends as it does when its unit has gone

        hand = threading.Thread(target=somebody)
        hand.start()
        with app.stop_requests() as request:
            assert app.run(board, machine, request) == 0
        hand.join(LIMIT_S)
    assert recovery.status.operator_code == "310410"
    assert clock.is_trusted()
    assert clock.utc_ms() == pytest.approx(NETWORK_UTC_MS, abs=LIMIT_S * 1000)
    assert "modem-bus" not in {thread.name for thread in threading.enumerate()}
    assert not any(text in caplog.text for text in IDENTITIES.values())

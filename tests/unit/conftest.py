"""The simulated sensor in virtual time, and outboxes that end as in a crash."""

import pytest
from fake_card import make_bundle, make_card
from made_reads import KernelRandom, SetClock
from modem_manager import ModemManager, private_bus
from simulated_sensor import SIZE_PX, START_S, Wall

from firmware.outbox import Outbox
from hw_sim.camera import SimCamera
from hw_sim.runner import VirtualClock


@pytest.fixture
def clock():
    return VirtualClock(start_s=START_S)


@pytest.fixture
def scene():
    return Wall()


@pytest.fixture
def world(scene, clock):
    return SimCamera(scene, clock, size_px=SIZE_PX, self_paced=False)


@pytest.fixture
def wall_clock():
    return SetClock()


@pytest.fixture
def open_outbox(tmp_path, wall_clock):
    opened = []

    def open_one(*, capacity_bytes=1_000_000, path=tmp_path / "outbox.db"):
        opened.append(
            Outbox(
                path, capacity_bytes=capacity_bytes, retention_s=30 * 86_400, clock=wall_clock, system=KernelRandom()
            )
        )
        return opened[-1]

    yield open_one
    for outbox in opened:
        outbox._connection.close()  # as a crash does: `close` would tidy up first


@pytest.fixture
def root(tmp_path):
    """A small card of Raspberry Pi OS, not yet a unit's."""
    return make_card(tmp_path / "card")


@pytest.fixture
def folder(tmp_path):
    """A bundle for it."""
    return make_bundle(tmp_path / "bundle").folder


@pytest.fixture(scope="module")
def bus(tmp_path_factory):
    with private_bus(tmp_path_factory.mktemp("bus")) as (address, _):
        yield address


@pytest.fixture
def manager(bus):
    with ModemManager(bus) as service:
        yield service

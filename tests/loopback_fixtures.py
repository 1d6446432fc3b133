"""Fixtures of a whole fleet on loopback: real files, a real Mosquitto over TLS, a real receiver; no camera."""

import pytest
from loopback_fleet import NOW, SITE, RunningReceiver, Unit

from cloud.store import ReadStore
from hw_sim.broker import Broker, free_port
from provisioning import fleet, unit


@pytest.fixture
def fleet_path(tmp_path):
    path = tmp_path / "fleet"
    fleet.init(path, host="localhost", port=free_port(), now=NOW)
    return path


@pytest.fixture
def broker(fleet_path, tmp_path):
    with Broker(fleet_path, tmp_path) as running:
        yield running


@pytest.fixture
def make_unit(fleet_path, tmp_path):
    units = []

    def make(name="unit"):
        folder = tmp_path / name
        if not folder.exists():
            unit.enrol(fleet_path, folder, SITE, NOW)
        units.append(Unit(folder))
        return units[-1]

    yield make
    for made in units:
        made.close()


@pytest.fixture
def start_receiver(fleet_path, tmp_path):
    running = []

    def start(count=None):
        running.append(RunningReceiver(fleet_path, tmp_path / "reads.db", count))
        return running[-1]

    yield start
    for receiver in running:
        receiver.stop()


@pytest.fixture
def stored(tmp_path):
    def count():
        with ReadStore(tmp_path / "reads.db") as store:
            return store.count()

    return count

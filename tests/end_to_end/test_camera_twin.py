"""The whole way of a picture: camera, networks, sealing, real broker, receiver and receipt, in two processes."""

import signal
import subprocess
import sys

import cv2
import pytest
from loopback_fleet import NOW, SITE

from cloud.store import ReadStore
from firmware.records import Light
from hw_sim.road import Road
from provisioning import unit

LIMIT_S = 60
SEED = 7


@pytest.fixture
def photograph(tmp_path):
    """A rendered vehicle at the moment in which its plate is best in view, and what the plate says."""
    road = Road(SEED, 1)
    (vehicle,) = road.vehicles
    at_s = vehicle.passes_s
    (tmp_path / "photographs").mkdir()
    picture = road.expose(at_s, Light(exposure_us=200.0, gain=1.0))
    assert cv2.imwrite(str(tmp_path / "photographs" / "one.png"), picture)
    return tmp_path / "photographs", vehicle.text


@pytest.fixture
def unit_folder(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    return tmp_path / "unit"


def start_device(unit_folder, *words):
    command = [sys.executable, "-W", "error", "-m", "hw_sim", "device", "--folder", str(unit_folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_photograph_arrives_opened_and_the_camera_ends_when_it_is_confirmed(
    broker, unit_folder, start_receiver, photograph, tmp_path
):
    folder, plate = photograph
    start_receiver()
    device = start_device(unit_folder, "--source", str(folder))
    out, err = device.communicate(timeout=LIMIT_S)
    assert device.returncode == 0, err
    assert "1 reads sealed, 1 confirmed, 0 waiting" in out, err
    assert plate not in out + err
    with ReadStore(tmp_path / "reads.db") as store:
        assert [read.plate for read in store.reads(10)] == [plate]
    written = b"".join(path.read_bytes() for path in unit_folder.rglob("*") if path.is_file())
    assert plate.encode() not in written


def test_sigterm_ends_the_camera_in_order_while_the_broker_is_away(unit_folder):
    device = start_device(unit_folder, "--log-level", "debug")
    for line in device.stderr:
        if "broker" in line:
            break
    device.send_signal(signal.SIGTERM)
    out, err = device.communicate(timeout=LIMIT_S)
    assert device.returncode == 0, err
    assert out.startswith("device: ")

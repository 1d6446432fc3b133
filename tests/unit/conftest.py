"""The simulated sensor in virtual time, as the tests of the sensor and of its stand-in for picamera2 need it."""

import pytest
from simulated_sensor import SIZE_PX, START_S, Wall

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

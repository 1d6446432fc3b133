"""RabbitMQ in its own system, for the fleet of the test; left out without --second-broker."""

import os
import shutil

import pytest
from loopback_fixtures import fleet_path, make_unit, start_receiver, stored
from rabbitmq import RabbitBroker

__all__ = ["fleet_path", "make_unit", "start_receiver", "stored"]


@pytest.fixture
def rabbit_root(request):
    root = request.config.getoption("--second-broker")
    if root is None:
        pytest.skip("no --second-broker ROOT; `make test-second-broker` installs one and runs this")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare, to run another system's RabbitMQ")
    return root.absolute()


@pytest.fixture
def second_broker(rabbit_root, fleet_path, tmp_path):
    """Not started yet: it lets in the units that there are when it first starts."""
    broker = RabbitBroker(fleet_path, rabbit_root, tmp_path / "rabbitmq.log")
    yield broker
    broker.kill()

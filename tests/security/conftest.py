"""A cable between a unit and the outside, the firewall as provisioning renders it, and a fleet on loopback."""

import msgspec
import pytest
from loopback_fixtures import broker, fleet_path, make_unit, start_receiver, stored
from network_spaces import Cable, Space, need_root_and

from firmware.config import UplinkConfig
from provisioning.host.rendering import host_files

__all__ = ["broker", "fleet_path", "make_unit", "start_receiver", "stored"]

RULES = "etc/kestrel/firewall.nft"


@pytest.fixture
def cable():
    need_root_and("ip", "nft")
    made = Cable()
    yield made
    made.close()


@pytest.fixture
def space():
    need_root_and("ip", "nft")
    made = Space()
    yield made
    made.close()


@pytest.fixture
def configured(device_config):
    """A function: the configuration of a unit that calls this host."""

    def of(host, port=8883):
        return msgspec.structs.replace(device_config, uplink=UplinkConfig(host=host, port=port))

    return of


@pytest.fixture
def rules(configured):
    """A function: the firewall of a unit that calls this host, as text."""

    def of(host, port=8883):
        return {str(path): content for path, content in host_files(configured(host, port)).items()}[RULES].decode()

    return of


@pytest.fixture(scope="session")
def rounds(request):
    """How often what is left to chance is tried: few times in `make test`, many in `make test-security`."""
    return request.config.getoption("--rounds") or 20

"""What all tests share: which board the contract tests run against, and a unit's configuration without secrets."""

import pytest
from hypothesis import settings

from firmware.config import DeviceConfig, SealConfig, SiteConfig, UplinkConfig

# A busy machine is slow and not wrong. The same examples each time, so that a change fails by its own fault only; to
# look for others: `pytest --hypothesis-profile=search -n 0`.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("same")


def pytest_addoption(parser):
    parser.addoption("--board", choices=["sim", "pi"], default="sim", help="whose parts the contract tests run against")
    parser.addoption("--fault-rounds", type=int, default=100, help="power cuts of the outbox; half as many kills")


@pytest.fixture
def device_config():
    """A configuration whose keys are well formed and open nothing."""
    return DeviceConfig(
        version=1,
        device_id="k-test0001",
        site=SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0),
        seal=SealConfig(agency_key="A" * 43 + "=", receipt_key="A" * 43 + "="),
        uplink=UplinkConfig(host="localhost"),
    )

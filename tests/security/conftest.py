"""What the security suites share: how often a thing that is left to chance is tried."""

import os

import pytest


@pytest.fixture(scope="session")
def rounds():
    """How many rounds: few in `make test`, KESTREL_ROUNDS of them in `make test-security`."""
    return int(os.environ.get("KESTREL_ROUNDS", "20"))

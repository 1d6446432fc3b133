"""A fleet in a folder."""

import datetime as dt

import pytest
from made_reads import START_UTC_MS

from provisioning import fleet

NOW = dt.datetime.fromtimestamp(START_UTC_MS / 1000, tz=dt.UTC)


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW)
    return tmp_path / "fleet"

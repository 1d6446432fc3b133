"""How often, and where, the tests of a failing disk try."""

import os
import tempfile
from pathlib import Path

import disk_shim
import pytest


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory):
    return disk_shim.built(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def rounds(request):
    """How many power cuts a test is to try."""
    return request.config.getoption("--rounds") or 100


@pytest.fixture
def ram_folder(tmp_path):
    """A folder in memory where there is one: what would last on a disk is worked out, and not waited for."""
    memory = Path("/dev/shm")  # noqa: S108
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)

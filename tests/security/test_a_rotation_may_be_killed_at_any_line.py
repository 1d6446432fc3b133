"""Whoever pulls the plug while a unit gets a new key finds the old pair or the new one, and the command goes on."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from loopback_fleet import NOW
from softhsm import MODULE, make_tokens, pin_file

from firmware.config import SiteConfig, TokenConfig
from provisioning import unit

SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)
SCRIPT = Path(__file__).parent / "killed_rotations.py"


@pytest.fixture
def work():
    """A folder in memory where there is one: what is killed is a process, and a slow disk proves nothing."""
    memory = Path("/dev/shm")  # noqa: S108  a file system, not a file
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def rotations(fleet_path, folder, work):
    command = [sys.executable, str(SCRIPT), str(fleet_path), str(folder), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    before, *told = [json.loads(line) for line in done.stdout.splitlines()]
    return before["key"], told


def assert_always_whole(before_key, told, keys_at_the_end):
    assert [one for one in told if not one["after"]["whole"]] == []
    assert [one for one in told if not one["after"]["accepted"]] == []
    assert [one for one in told if not (one["final"]["whole"] and one["final"]["accepted"])] == []
    assert {one["final"]["keys"] for one in told} == {keys_at_the_end}
    assert before_key not in {one["final"]["key"] for one in told}
    swapped = [one["after"]["key"] != before_key for one in told]
    assert swapped == sorted(swapped)  # the old key up to one line, the new key from then on
    assert len(told) > 50
    assert {*swapped[:-1]} == {False, True}
    assert told[-1]["code"] == 0


def test_with_keys_in_files(fleet_path, tmp_path, work):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    assert_always_whole(*rotations(fleet_path, tmp_path / "unit", work), keys_at_the_end=1)


@pytest.fixture
def token_unit(fleet_path, tmp_path):
    """A unit whose token has a folder of its own, made by another process, so that this one never loads it."""
    path = make_tokens(tmp_path / "softhsm", 1)
    token = TokenConfig(module=MODULE, token_label="unit-0", pin_file=str(pin_file(tmp_path)))  # noqa: S106  a label
    command = [
        *(sys.executable, "-m", "provisioning", "unit", "new", str(fleet_path), str(tmp_path / "unit")),
        *("--name", SITE.name, "--latitude", "37.25", "--longitude", "-122.1"),
        *("--token-module", token.module, "--token-label", token.token_label, "--token-pin-file", token.pin_file),
    ]
    subprocess.run(command, check=True, capture_output=True, env={"SOFTHSM2_CONF": str(path)})
    return tmp_path / "unit"


def test_with_the_key_that_signs_in_a_token(fleet_path, token_unit, work):
    assert_always_whole(*rotations(fleet_path, token_unit, work), keys_at_the_end=2)

"""Whoever pulls the plug while a unit is made finds no unit or a whole one, and the same commands again finish it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "killed_enrolments.py"
FILES = ["config.json", "device.crt", "device.key", "fleet-ca.crt"]


@pytest.fixture
def work():
    """A folder in memory where there is one: what is killed is a process, and a slow disk proves nothing."""
    memory = Path("/dev/shm")  # noqa: S108  a file system, not a file
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("way", ["new", "stock"])
def test_it_is_one_unit_in_the_end_and_half_of_one_never(fleet_path, work, way):
    command = [sys.executable, str(SCRIPT), way, str(fleet_path), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one for one in told if one["after"] and not (one["after"]["whole"] and one["after"]["accepted"])] == []
    assert [one for one in told if not (one["final"]["whole"] and one["final"]["accepted"])] == []
    assert {(one["final"]["keys"], one["final"]["units"]) for one in told} == {(1, 1)}
    assert {tuple(one["final"]["files"]) for one in told} == {tuple(FILES)}
    assert {one["final"]["labels"] for one in told} <= {1, 2}  # one of a name that was never registered may be left
    are_units = [one["after"] is not None for one in told]
    assert are_units == sorted(are_units)
    assert {*are_units[:-1]} == {False, True}
    assert len(told) > 50
    assert told[-1]["code"] == 0

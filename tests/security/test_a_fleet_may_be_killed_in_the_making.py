"""Whoever kills `fleet init` at any moment does it again: it ends, and no key that was there is replaced or doubled."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "killed_beginnings.py"
KEYS_OF_A_FLEET = 6


@pytest.fixture(scope="module")
def told():
    memory = Path("/dev/shm")  # noqa: S108  a file system, not a file
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as work:
        command = [sys.executable, str(SCRIPT), work]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_attempt_was_killed_but_the_last(told):
    assert [one["code"] for one in told] == [9] * (len(told) - 1) + [0]
    assert len(told) > 60
    assert {one["found"] for one in told} == set(range(KEYS_OF_A_FLEET + 1))


def test_the_next_attempt_ends_with_the_keys_that_were_there(told):
    assert [one for one in told if one["again"] != 0] == []
    assert [one for one in told if not one["kept"]] == []
    assert {len(one["keys"]) for one in told} == {KEYS_OF_A_FLEET}


def test_no_half_written_key_is_left_beside_them(told):
    assert [one for one in told if one["unfinished"] and not one["was_whole"]] == []


def test_a_fleet_is_whole_only_when_its_last_file_is_in_place(told):
    whole = [one["was_whole"] for one in told]
    assert whole == sorted(whole)

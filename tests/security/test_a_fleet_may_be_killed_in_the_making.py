"""Whoever kills `fleet init` or the root ceremony does it again: it ends, and no key is replaced or made twice."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "killed_beginnings.py"
KEYS_OF_A_FLEET = 6
KEYS_OF_ITS_UPDATES = 6  # three holders and three roles


@pytest.fixture(scope="module", params=[("fleet", 0, KEYS_OF_A_FLEET), ("root", KEYS_OF_A_FLEET, KEYS_OF_ITS_UPDATES)])
def made(request):
    """What each attempt left, how many keys were there before, and how many are made."""
    kind, before, new = request.param
    memory = Path("/dev/shm")  # noqa: S108  a file system, not a file
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as work:
        command = [sys.executable, str(SCRIPT), work, kind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()], before, new


def test_every_attempt_was_killed_but_the_last(made):
    told, before, new = made
    assert [one["code"] for one in told] == [9] * (len(told) - 1) + [0]
    assert len(told) > 60
    assert {one["found"] for one in told} == set(range(before, before + new + 1))


def test_the_next_attempt_ends_with_the_keys_that_were_there(made):
    told, before, new = made
    assert [one for one in told if one["again"] != 0 or not one["is_whole"]] == []
    assert [one for one in told if not one["kept"]] == []
    assert {one["keys"] for one in told} == {before + new}


def test_no_half_written_key_is_left_beside_them(made):
    told, _, _ = made
    assert [one for one in told if one["unfinished"] and not one["was_whole"]] == []


def test_it_is_whole_only_when_its_last_file_is_in_place(made):
    told, _, _ = made
    whole = [one["was_whole"] for one in told]
    assert whole == sorted(whole)

"""The office to practise with: it opens, it ends with its owner, and one that cannot start says so at once."""

import shutil
import subprocess
import sys
import threading

import pytest

from cloud import fleet_folder
from firmware.board.linux import LinuxClock
from hw_sim.broker import free_port, is_listening
from hw_sim.practice_office import OUTPUT_NAME, START_LIMIT_S, OfficeAbsent, PracticeOffice
from provisioning.__main__ import main


@pytest.fixture
def practice(tmp_path):
    folder = tmp_path / "fleet"
    options = ("--host", "localhost", "--port", str(free_port()), "--no-update-keys")
    assert main(["fleet", "init", str(folder), *options]) == 0
    return folder


def test_the_office_opens_and_ends_with_its_owner(practice):
    port = fleet_folder.load(practice).port
    with PracticeOffice(practice) as office:
        office.open(print, lambda: False)
        assert is_listening(port)
    assert not is_listening(port)


def test_the_office_ends_though_its_owner_was_killed(practice):
    port = fleet_folder.load(practice).port
    program = (
        "import os, sys; from pathlib import Path; from hw_sim.practice_office import PracticeOffice\n"
        "PracticeOffice(Path(sys.argv[1])).open(print, lambda: False)\n"
        "os.kill(os.getpid(), 9)"
    )
    owner = subprocess.run([sys.executable, "-c", program, str(practice)], check=False, timeout=60)
    assert owner.returncode == -9
    clock = LinuxClock()
    deadline_s = clock.monotonic_s() + 20
    while is_listening(port) and clock.monotonic_s() < deadline_s:
        threading.Event().wait(0.1)
    assert not is_listening(port)


def test_an_office_that_cannot_start_says_so_at_once(practice):
    shutil.rmtree(practice / "broker")
    clock = LinuxClock()
    began_s = clock.monotonic_s()
    with PracticeOffice(practice) as office, pytest.raises(OfficeAbsent, match=OUTPUT_NAME):
        office.open(print, lambda: False)
    assert clock.monotonic_s() - began_s < START_LIMIT_S / 2
    assert "broker" in (practice / OUTPUT_NAME).read_text()

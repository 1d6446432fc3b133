"""The guided run as people and scripts start it: from nothing to accepted, killed on the way, on a real terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import numpy as np
import pytest
from guided_units import SITE, assert_made_once

from cloud import fleet_folder
from firmware.board.linux import LinuxClock
from hw_sim.broker import is_listening
from provisioning.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
GUIDE = [sys.executable, "-m", "provisioning", "guide", "--board", "sim"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
WHOLE_S = 180.0  # of machine time, from a blank simulated unit to accepted
KILLS = 4
CLOCK = LinuxClock()
FIRST_THREE = """
import os, signal, sys
from pathlib import Path
from provisioning import guide_plain, guide_steps
from provisioning.guide_state import StateFile
from provisioning.guiding import Guide, Job
from provisioning.tongue import Language, Tongue
folder, left = Path(sys.argv[1]), [int(sys.argv[2])]
before = os.fsync
def fsync(descriptor):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    before(descriptor)
os.fsync = fsync
file = StateFile(folder / "unit")
with file.held():
    job = Job(board="sim", fleet=folder / "fleet", unit=folder / "unit", file=file, office=None,
              tongue=Tongue(Language.ENGLISH))
    from provisioning import guide_place
    job.file.change(by="A. Ruiz")
    guide_place.take_file(job, folder / "site.json")
    code = guide_plain.PlainGuide(Guide(job, guide_steps.steps()[:3]), asks=False).run()
print("moments", -left[0])
sys.exit(code)
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.json"
    path.write_text(json.dumps({"site": SITE}))
    return path


def plain(tmp_path, site):
    options = ["--plain", "--yes", "--site", str(site), "--by", "A. Ruiz", "--rear-plates-only", "yes"]
    return subprocess.Popen([*GUIDE, *options], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)  # fmt: skip


def test_from_nothing_to_accepted_in_one_run_that_is_killed_in_the_middle_and_carries_on(tmp_path, site):
    begun_s = CLOCK.monotonic_s()
    with plain(tmp_path, site) as first:
        for line in first.stdout:
            if line.split()[1:2] == ["camera"]:  # whatever it says of it: a full machine loses pictures
                first.kill()
                break
    practice = tmp_path / "practice"
    port = fleet_folder.load(practice / "fleet").port
    deadline_s = CLOCK.monotonic_s() + 30.0
    while is_listening(port) and CLOCK.monotonic_s() < deadline_s:
        threading.Event().wait(0.2)
    assert not is_listening(port)  # the office went with the run that was killed
    assert not list((practice / "unit" / "handover").glob("check.json"))
    before = (practice / "unit" / "device.key").read_bytes()
    with plain(tmp_path, site) as second:
        out = second.stdout.read()
    assert second.returncode == 0, out
    assert CLOCK.monotonic_s() - begun_s < WHOLE_S
    assert "Carrying on: 4 of 7 steps are done; 'Check' was cut off" in out
    assert out.count("the unit is handed over") == 1
    assert "All steps are done." in out
    assert (practice / "unit" / "device.key").read_bytes() == before
    assert_made_once(practice)
    (record,) = (practice / "unit" / "handover").glob("accepted-*.json")
    assert main(["verify", str(record), "--fleet", str(practice / "fleet")]) == 0
    assert not is_listening(port)
    with plain(tmp_path, site) as third:  # once more: nothing is done, and nothing made again
        out = third.stdout.read()
    assert third.returncode == 0
    assert "Step" not in out.replace("Seven steps", "").replace("All steps", "")
    assert len(list((practice / "unit" / "handover").glob("accepted-*.json"))) == 1


def made_until(tmp_path, moment):
    return subprocess.run(
        [sys.executable, "-c", FIRST_THREE, str(tmp_path), str(moment)],
        check=False,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )


def test_killed_at_any_write_the_run_carries_on_and_nothing_is_doubled(tmp_path, site, request):
    whole = made_until(tmp_path, -1)
    assert whole.returncode == 0, whole.stderr
    moments = int(whole.stdout.rpartition(" ")[2]) - 1
    assert moments > 40
    chance = np.random.default_rng(7)
    rounds = request.config.getoption("--rounds") or KILLS
    for number in range(rounds):
        folder = tmp_path / f"round-{number}"
        folder.mkdir()
        (folder / "site.json").write_bytes(site.read_bytes())
        for _ in range(2):
            killed = made_until(folder, int(chance.integers(1, moments + 1)))
            assert killed.returncode in {-signal.SIGKILL, 0}, killed.stderr
        last = made_until(folder, -1)
        assert last.returncode == 0, last.stdout + last.stderr
        assert_made_once(folder)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--yes"], "give --plain too"),
        (["--plain", "--yes"], "nothing was typed in"),
        (["--plain", "--yes", "--site", "nothing.json"], "cannot be read"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path, monkeypatch, capsys, options, says):
    monkeypatch.chdir(tmp_path)
    assert main(["guide", "--board", "sim", *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_questions_line_by_line_keep_what_was_right(tmp_path):
    typed = "North gate\nnorth\n-122.42\n250\nA. Ruiz\n37.77\n"
    guide = subprocess.run([*GUIDE, "--plain", "--unit", "unit", "--fleet", "fleet"], check=False, cwd=tmp_path,
                           env=ENVIRONMENT, input=typed, capture_output=True, text=True)  # fmt: skip
    assert "'north' is no number" in guide.stdout
    assert guide.stdout.count("Latitude [") == 2
    assert guide.stdout.count("Longitude [") == 1
    assert guide.returncode == 1
    state = json.loads((tmp_path / "unit" / "handover" / "guide.json").read_text())
    assert (state["site"]["latitude_deg"], state["by"]) == (37.77, "A. Ruiz")


class Terminal:
    """A terminal of 80 x 24 and 16 colours with the guide in it."""

    def __init__(self, folder):
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {name: value for name, value in ENVIRONMENT.items() if name not in {"COLORTERM", "NO_COLOR"}}
            os.execve(sys.executable, GUIDE, environment | {"TERM": "vt220"})  # noqa: S606
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown = b""

    def until(self, text, limit_s=40.0):
        deadline_s = CLOCK.monotonic_s() + limit_s
        while text not in self.shown:
            assert CLOCK.monotonic_s() < deadline_s, self.shown[-2000:]
            if select.select([self._fd], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._fd, 65536)
                except OSError:  # how Linux says that nobody is at the other end any more
                    break
        assert text in self.shown, self.shown[-2000:]

    def type(self, text):
        os.write(self._fd, text)

    def ended(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("ending", [b"\x03", signal.SIGTERM])
def test_a_serial_console_is_itself_again_after_control_c_and_sigterm(tmp_path, ending):
    terminal = Terminal(tmp_path)
    terminal.until(b"Your name")
    terminal.type(b"North gate\r37.77\r-122.42\r250\rA. Ruiz\r")
    terminal.until(b"NEXT: Fleet")
    if isinstance(ending, bytes):
        terminal.type(ending)
    else:
        os.kill(terminal.pid, ending)
    terminal.until(b"it carries on")
    assert terminal.ended() == 1
    assert b"\x1b[?1049l" in terminal.shown  # the terminal's own screen is back
    assert b"\x1b[?25h" in terminal.shown  # and its cursor
    assert b"38;2;" not in terminal.shown  # no colours that it does not have
    assert not re.search(rb"\x1b\[>[0-9]*u", terminal.shown)  # a protocol of keys that it would print
    state = json.loads((tmp_path / "practice" / "unit" / "handover" / "guide.json").read_text())
    assert state["by"] == "A. Ruiz"

"""What a command loads before it says something: in a process of its own, by the names of the modules that are there.

On a unit's own processor each of these libraries takes a second or so.
"""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.__main__ import SUBJECTS, main

LOADING = """
import sys
from provisioning.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.stderr.write("loaded: " + " ".join({name.split(".")[0] for name in sys.modules}))
"""
PICTURES = {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", "hw_sim"}
PAGES = {"textual", "rich", "fpdf", "PIL"}
NETWORK = {"paho", "asyncio", "dbus_fast", "tuf", "securesystemslib", "urllib3"}
KEYS = {"cryptography", "cbor2", "msgspec", "sqlite3"}
ALL = PICTURES | PAGES | NETWORK | KEYS

CPU_AT_MOST_S = 1.0
"""Ten times what a command needs that says something first, and less than OpenCV, the networks and a screen take."""


@pytest.fixture(autouse=True)
def these_programs(monkeypatch):
    """Let a child process have the programs that are beside this test, wherever it works."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))


def loaded(*words):
    child = subprocess.run(
        [sys.executable, "-c", LOADING, *words], capture_output=True, text=True, timeout=60, check=True
    )
    return child.stdout, set(child.stderr.rpartition("loaded: ")[2].split())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a fleet, a unit of it and a site file."""
    folder = tmp_path_factory.mktemp("place")
    site = ["--name", "North gate", "--latitude", "37", "--longitude", "-122"]
    assert main(["fleet", "init", str(folder / "fleet"), "--host", "broker.example", "--no-update-keys"]) == 0
    assert main(["unit", "new", str(folder / "fleet"), str(folder / "unit"), *site]) == 0
    assert main(["site", "new", str(folder / "site.json"), *site]) == 0
    return folder


def test_what_is_looked_for_is_there_once_it_is_needed():
    assert {"numpy", "cv2", "msgspec"} <= loaded("aim", "--config", "/nowhere/config.json")[1]


def test_help_loads_nothing_that_takes_long():
    said, names = loaded("--help")
    assert all(summary.split(":")[0].split(",")[0] in " ".join(said.split()) for summary, _ in SUBJECTS.values())
    assert names & ALL == set()


@pytest.mark.parametrize("subject", sorted(set(SUBJECTS) - {"fleet", "host"}))
def test_the_help_of_a_subject_loads_nothing_that_takes_long(subject):
    said, names = loaded(subject, "--help")
    assert f"usage: kestrel-provision {subject}" in said
    assert names & ALL == set()


@pytest.mark.parametrize("subject", ["fleet", "host"])
def test_a_subject_whose_options_the_configuration_judges_loads_no_more_than_that(subject):
    assert loaded(subject, "--help")[1] & ALL <= {"msgspec"}


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("fleet list fleet", {"msgspec", "cryptography"}),
        ("unit label unit --out label.svg", {"msgspec", "cryptography", "cbor2"}),
        ("unit request other --out request.json", {"msgspec", "cryptography", "cbor2"}),
        ("site check site.json", {"msgspec"}),
        ("verify record.json --fleet fleet", {"msgspec", "cryptography", "cbor2"}),
    ],
)
def test_a_command_without_camera_and_network_loads_neither(place, monkeypatch, words, needed):
    monkeypatch.chdir(place)
    assert loaded(*words.split())[1] & ALL <= needed


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("aim --board sim", "The camera starts ..."),
        ("check unit --board sim", "Looking at the unit ..."),
        ("guide --board sim", "Looking at what is done already ..."),
        ("survey --name A --latitude 37 --longitude -122 --bearing 0 --out seen", "Sun, panel and line of sight"),
        ("accept unit --board sim --by B", "Reading what was surveyed, checked and aimed."),
        ("fleet root begin fleet --root-holders A,B,C", "Making the root keys ..."),
        ("unit apply unit bundle --label label.jpg", "Reading the label in the photo ..."),
        ("fleet root sign fleet root-1.p12", "Looking at the root that waits ..."),
        ("fleet root rotate fleet", "Making the next root ..."),
        ("fleet root refresh fleet", "Signing anew what units are shown ..."),
        ("fleet retire fleet k-unit0001 --reason lost", "Telling k-unit0001 to erase itself"),
    ],
)
def test_what_takes_long_says_first_what_begins(tmp_path, words, first):
    (tmp_path / "label.jpg").write_bytes(b"a photo")
    said, cpu_s = first_words(tmp_path, words.split())
    assert said.startswith(first)
    assert cpu_s < CPU_AT_MOST_S


def first_words(folder, words):
    """Return what a command on a terminal says first, and its processor's time until then; it is ended there."""
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "provisioning", *words])  # noqa: S606  our own program
    try:
        said = os.read(screen, 4096).decode()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)
    return said, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime: proc_pid_stat(5)

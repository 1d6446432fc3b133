"""The product's own sockets, by its process' inodes, in every state: starting, connected, cut off, stopping."""

import datetime as dt
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from firmware.board.linux import LinuxClock
from firmware.config import SiteConfig
from hw_sim.broker import Broker, free_port
from provisioning import fleet, unit

LIMIT_S = 60
LOOK_EVERY_S = 0.05
TCP_LISTEN = 0x0A
SO_ACCEPTCON = 0x10000  # the kernel's include/linux/net.h: the flag of a unix socket that listens
INODE_COLUMN = {"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "raw": 9, "raw6": 9, "packet": 8, "unix": 6}


def inodes_of(process):
    found = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))  # noqa: PTH115  no path
        except FileNotFoundError:
            continue
        if match:
            found.add(match[1])
    return found


def rows(process, table):
    path = Path(f"/proc/{process}/net/{table}")
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def doors(process):
    """Return every socket of a process through which a stranger could come in."""
    inodes = inodes_of(process)
    return [
        f"{table} {' '.join(row)}"
        for table, column in INODE_COLUMN.items()
        for row in rows(process, table)
        if len(row) > column and row[column] in inodes and is_door(table, row)
    ]


def is_door(table, row):
    if table.startswith("tcp"):
        return int(row[3], 16) == TCP_LISTEN
    if table.startswith("udp"):
        return row[2].endswith(":0000")  # no peer: takes packets from everybody
    if table == "unix":
        return bool(int(row[3], 16) & SO_ACCEPTCON) or len(row) > 7  # listens, or has a name to be called by
    return True  # raw and packet sockets hear whatever comes


class Watcher(threading.Thread):
    """Looks at a process again and again until it ends; keeps what was open, and how often it looked."""

    def __init__(self, process):
        super().__init__(name="watcher")
        self.found, self.looks = set(), 0
        self._process = process

    def run(self):
        pause = threading.Event()
        while self._process.poll() is None:
            try:
                self.found |= set(doors(self._process.pid))
            except (FileNotFoundError, ProcessLookupError):
                return
            self.looks += 1
            pause.wait(LOOK_EVERY_S)


@pytest.fixture
def places(tmp_path):
    begun = dt.datetime.fromtimestamp(LinuxClock().utc_ms() / 1000, tz=dt.UTC)
    fleet.init(tmp_path / "fleet", host="localhost", port=free_port(), now=begun)
    site = SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0)
    unit.enrol(tmp_path / "fleet", tmp_path / "unit", site, begun)
    return tmp_path


def lines_until(process, word):
    for line in process.stderr:
        if word in line:
            return
    pytest.fail(f"the device ended before it said {word!r}")


def test_no_socket_of_the_product_waits_for_a_stranger_in_any_state(places):
    command = [sys.executable, "-m", "hw_sim", "device", "--folder", str(places / "unit")]
    broker = Broker(places / "fleet", places)
    broker.start()
    try:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as device:
            watcher = Watcher(device)
            watcher.start()
            lines_until(device, "connected to")
            looks_connected = watcher.looks
            lines_until(device, "is sealed and stored")
            broker.kill()
            lines_until(device, "not connected")
            looks_cut_off = watcher.looks
            device.send_signal(signal.SIGTERM)
            device.communicate(timeout=LIMIT_S)
            watcher.join()
        assert device.returncode == 0
        assert 0 < looks_connected < looks_cut_off <= watcher.looks
        assert watcher.found == set()
    finally:
        broker.stop()


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        (socket.AF_INET6, socket.SOCK_STREAM, ("::", 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        (socket.AF_UNIX, socket.SOCK_STREAM, "door"),
        (socket.AF_UNIX, socket.SOCK_DGRAM, "\0door of a test"),
    ],
)
def test_a_door_would_be_seen(tmp_path, monkeypatch, family, kind, address):
    monkeypatch.chdir(tmp_path)
    with socket.socket(family, kind) as door:
        before = doors(os.getpid())
        door.bind(address)
        if kind == socket.SOCK_STREAM:
            door.listen()
        assert len(set(doors(os.getpid())) - set(before)) == 1

"""What a connection costs before the first read: `python -m tests.bench.reconnect`, as root. Prints; is no test.

A real unit's link and a real Mosquitto with the fleet's own files, on the loopback of a network namespace of its own
whose MTU is a cellular one. All IP bytes are counted by the kernel, headers and acknowledgements among them, both ways:
TCP, TLS, CONNECT with its will, SUBSCRIBE and the birth; and then those of two reads.
"""

import argparse
import datetime as dt
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from firmware import config, identity
from firmware.board.linux import LinuxClock
from firmware.board.mqtt_link import MqttLink
from firmware.config import SiteConfig
from firmware.records import Acked, Connected
from firmware.topics import read_topic
from hw_sim.broker import Broker, free_port
from provisioning import fleet, unit

MTU_BYTES = 1400
ETHERNET_BYTES = 14  # which the loopback counts for each packet, and no cell has
QUIET_S = 1.5
SITE = SiteConfig(name="Bench", latitude_deg=37.0, longitude_deg=-122.0)
CLOCK = LinuxClock()


class Counter:
    """The kernel's count of the namespace's loopback, on which nothing else talks."""

    def __init__(self) -> None:
        self._bytes, self._packets = self._read()

    def since(self) -> tuple[int, int]:
        """Return IP bytes and packets since the last call, both ways."""
        before = self._bytes, self._packets
        self._bytes, self._packets = self._read()
        packets = self._packets - before[1]
        return self._bytes - before[0] - ETHERNET_BYTES * packets, packets

    def _read(self) -> tuple[int, int]:
        counted = Path("/proc/self/net/dev").read_text(encoding="ascii")
        columns = re.search(r"lo:\s+(.*)", counted)[1].split()
        return int(columns[0]), int(columns[1])


def wait_quiet() -> None:
    threading.Event().wait(QUIET_S)


def is_told(link: MqttLink, wake: threading.Event, kind: type) -> bool:
    """Wait for an event of this kind."""
    deadline_s = CLOCK.monotonic_s() + 10.0
    while CLOCK.monotonic_s() < deadline_s:
        wake.clear()
        if any(isinstance(event, kind) for event in link.events()):
            return True
        wake.wait(0.1)
    return False


def payload_bytes(link: MqttLink) -> tuple[int, int]:
    """Return TCP payload sent and received on the link's connection (tcp_info of linux/tcp.h)."""
    raw = link._session._client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    acked, received = struct.unpack_from("QQ", raw, 120)
    return acked - 1, received  # the SYN counts for one


def measure(folder: Path, connects: int) -> None:
    """Connect so often, and print what each time cost."""
    now = dt.datetime.fromtimestamp(CLOCK.utc_ms() / 1000, tz=dt.UTC)
    fleet.init(folder / "fleet", host="localhost", port=free_port(), now=now)
    unit.enrol(folder / "fleet", folder / "unit", SITE, now)
    own = config.load(folder / "unit" / "config.json")
    link, wake = MqttLink(own.uplink, identity.load(folder / "unit", own.device_id)), threading.Event()
    link.listen(wake)
    with Broker(folder / "fleet", folder):
        counter = Counter()
        for _ in range(connects):
            wait_quiet()
            counter.since()
            link.connect()
            assert is_told(link, wake, Connected)
            wait_quiet()
            ip_bytes, packets = counter.since()
            sent, received = payload_bytes(link)
            how = "resumed" if link._session._is_resumed else "full"
            print(
                f"{how:<8} {ip_bytes:5d} bytes on air in {packets} packets; "
                f"in TCP {sent} up, {received} down; DISCONNECT excluded"
            )
            for number in range(2):  # the first says what the topic's alias is
                counter.since()
                link.publish(read_topic(own.device_id), bytes(330), number, 86_400)
                assert is_told(link, wake, Acked)
                wait_quiet()
                ip_bytes, packets = counter.since()
                print(f"         {ip_bytes:5d} bytes on air in {packets} packets: read {number + 1} of 330 bytes")
            link.disconnect()


def main() -> None:
    parser = argparse.ArgumentParser(description="What a connection costs before the first read.")
    parser.add_argument("--connects", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # the namespace is made
    options = parser.parse_args()
    if not options.inside:
        if os.geteuid() != 0:
            sys.exit("a network namespace of its own needs root; run this with sudo")
        command = [shutil.which("unshare"), "--net", sys.executable, "-m", "tests.bench.reconnect", "--inside"]
        sys.exit(subprocess.run([*command, "--connects", str(options.connects)], check=False).returncode)
    subprocess.run(["ip", "link", "set", "lo", "up", "mtu", str(MTU_BYTES)], check=True)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.connects)


if __name__ == "__main__":
    main()

"""Two machines on one cable, made of network namespaces of this kernel: the unit, and whoever is outside.

A space is hw_sim's: it lives as long as its file descriptor. See veth(4), packet(7).
"""

import os
import shutil
import socket
import struct
import subprocess

import pytest

from hw_sim.network_space import NetworkSpace, SpaceRefused

UNIT4, BROKER4, OTHER4 = "10.77.0.1", "10.77.0.2", "10.77.0.3"
UNIT6, BROKER6, OTHER6 = "fd77::1", "fd77::2", "fd77::3"
PORT = 8883

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ALL_PROTOCOLS = 0x0003
ICMPV6 = 58
NEIGHBOUR_TYPES = {133, 135, 136, 143}  # router and neighbour solicitation, advertisement, MLDv2 report
MTU = 65536
SO_RCVBUFFORCE = 33  # socket(7): beyond the limit, for root
TAP_BYTES = 16_000_000
NEIGHBOUR_TRIES = 40


def need_root_and(*programs):
    """Skip, saying why, where a test cannot run."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and nftables")
    for program in programs:
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{program} is not installed; `make tools` installs it")


def run(*words, **kwargs):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30, **kwargs)


class Space(NetworkSpace):
    """A network namespace in which a test opens sockets."""

    def __init__(self):
        try:
            super().__init__()
        except SpaceRefused as refused:
            pytest.skip(str(refused))

    def socket(self, *words):
        with self.entered():
            made = socket.socket(*words)
        made.settimeout(2)
        return made

    def listener(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = self.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(64)
        return made


class Cable:
    """The unit and the outside, joined by a veth pair; the outside has the broker's address and another one."""

    def __init__(self):
        self.unit, self.outside = Space(), Space()
        with self.outside.entered():
            other_end = f"/proc/{os.getpid()}/fd/{self.unit.descriptor}"
            run("ip", "link", "add", "out0", "type", "veth", "peer", "name", "unit0", "netns", other_end)
            for address in (f"{BROKER4}/24", f"{OTHER4}/24", f"{BROKER6}/64", f"{OTHER6}/64"):
                run("ip", "address", "add", address, "dev", "out0", *(["nodad"] if ":" in address else []))
            run("ip", "link", "set", "out0", "up")
        with self.unit.entered():
            run("ip", "address", "add", f"{UNIT4}/24", "dev", "unit0")
            run("ip", "address", "add", f"{UNIT6}/64", "dev", "unit0", "nodad")
            run("ip", "link", "set", "unit0", "up")
        for address in (UNIT4, UNIT6):
            self._await_neighbour(address)
        self._tap = self.outside.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, TAP_BYTES)
        self._tap.bind(("out0", ALL_PROTOCOLS))

    def _await_neighbour(self, address):
        """Return once the two know each other's link: what is sent before that may be dropped on a busy machine."""
        with self.outside.entered():
            for _ in range(NEIGHBOUR_TRIES):
                try:
                    socket.create_connection((address, 1), timeout=0.3).close()
                except ConnectionRefusedError:
                    return
                except OSError:
                    continue
        raise AssertionError(f"{address} does not answer on a cable without rules")

    def load(self, rules):
        with self.unit.entered():
            run("nft", "-f", "-", input=rules)

    def heard(self, quiet_s=0.7):
        """Return what the unit has put on the cable, until it is quiet, but for ARP and what IPv6 finds peers by."""
        self._tap.settimeout(quiet_s)
        found = []
        while True:
            try:
                frame, source = self._tap.recvfrom(MTU)
            except TimeoutError:
                return found
            if source[2] != socket.PACKET_OUTGOING and (what := _described(frame)):
                found.append(what)

    def close(self):
        self._tap.close()
        self.unit.close()
        self.outside.close()


def _described(frame):
    """Return an Ethernet frame in a few words; empty for what only finds the neighbour."""
    (kind,) = struct.unpack("!H", frame[12:14])
    if kind == IPV4:
        return f"IPv4 protocol {frame[23]}"
    if kind == IPV6:
        extension = frame[20] == 0  # MLD reports come behind a hop-by-hop header of 8 bytes
        protocol, kind6 = (frame[54], frame[62]) if extension else (frame[20], frame[54])
        return "" if protocol == ICMPV6 and kind6 in NEIGHBOUR_TYPES else f"IPv6 protocol {protocol}"
    return "" if kind == ARP else f"Ethernet {kind:#06x}"

"""The counters of an interface, as the kernel has them, and of one that is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from firmware.board.interface_meter import InterfaceMeter
from firmware.board.linux import LinuxSystem
from firmware.records import BoardState

ROOT = Path(__file__).resolve().parents[2]
BYTES = 200_000

IN_A_NAMESPACE = f"""
import socket
from firmware.board.interface_meter import InterfaceMeter
meter = InterfaceMeter("lo")
before = meter.read()
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
    taker, _ = server.accept()
    with taker:
        sender.sendall(bytes({BYTES}))
        sender.shutdown(socket.SHUT_WR)
        while taker.recv(65536):
            continue
after = meter.read()
assert (before.boot_id, before.device) == (after.boot_id, after.device), after
print(after.received_bytes - before.received_bytes, after.sent_bytes - before.sent_bytes)
"""


def test_the_kernel_s_loopback_counts_what_goes_through_it():
    """In a network of its own, where nobody else sends anything."""
    words = f"mount -t sysfs none /sys && ip link set lo up && exec {sys.executable} -"
    ran = subprocess.run(
        ["unshare", "--net", "--mount", *([] if is_root() else ["--map-root-user"]), "sh", "-c", words],
        input=IN_A_NAMESPACE, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, timeout=60, check=False,
    )  # fmt: skip
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"no network namespaces here: {ran.stderr}")
    assert ran.returncode == 0, ran.stderr
    received, sent = map(int, ran.stdout.split())
    assert received == sent
    assert BYTES < received < 1.1 * BYTES


def is_root():
    return Path("/proc/self").stat().st_uid == 0


def test_an_interface_that_is_not_there_counts_nothing(tmp_path):
    assert InterfaceMeter("no-such-modem").read() is None
    folder = tmp_path / "class" / "net" / "wwan0"
    (folder / "statistics").mkdir(parents=True)
    boot_id = tmp_path / "sys" / "kernel" / "random" / "boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text("0b1c\n")
    meter = InterfaceMeter("wwan0", sys=tmp_path, proc=tmp_path)
    (folder / "ifindex").write_text("7\n")
    (folder / "statistics" / "rx_bytes").write_text("18446744073709551615\n")
    assert meter.read() is None
    (folder / "statistics" / "tx_bytes").write_text("5\n")
    read = meter.read()
    assert (read.boot_id, read.device, read.received_bytes, read.sent_bytes) == ("0b1c", 7, 2**64 - 1, 5)


def test_warmth_and_throttling_are_told_where_the_kernel_has_them(tmp_path):
    assert LinuxSystem(sys=tmp_path).board_state() == BoardState(board_c=None, throttled=None)
    zone = tmp_path / "class" / "thermal" / "thermal_zone0"
    firmware = tmp_path / "devices" / "platform" / "soc" / "soc:firmware"
    for folder in (zone, firmware):
        folder.mkdir(parents=True)
    (zone / "temp").write_text("61323\n")
    (firmware / "get_throttled").write_text("50005\n")
    assert LinuxSystem(sys=tmp_path).board_state() == BoardState(board_c=61.323, throttled=0x50005)
    (zone / "temp").write_text("hot\n")
    assert LinuxSystem(sys=tmp_path).board_state().board_c is None

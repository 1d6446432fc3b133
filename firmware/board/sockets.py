"""The sockets of this machine's network namespace that wait for somebody to call, from proc_pid_net(5). Only reads.

The tables are readable to every user. Whose socket it is can be seen only of one's own processes, or by root.
"""

import contextlib
import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firmware.board.linux import PROC
from firmware.self_check import WaitingSocket

TCP_LISTEN: Final = 0x0A
"""TCP_LISTEN of the kernel's include/net/tcp_states.h."""

TABLES: Final = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6")
DESCRIPTOR: Final = re.compile(r"socket:\[(\d+)\]")


def waiting_sockets(proc: Path = PROC) -> tuple[WaitingSocket, ...]:
    """Return TCP sockets that listen and UDP sockets that take packets from everybody. Raises OSError."""
    found = [(inode, one) for table in TABLES for inode, one in _table(proc, table)]
    owners = _owners(proc) if found else {}
    return tuple(
        WaitingSocket(
            protocol=one.protocol, address=one.address, port=one.port, uid=one.uid, owner=owners.get(inode, "")
        )
        for inode, one in found
    )


def _table(proc: Path, name: str) -> Iterator[tuple[str, WaitingSocket]]:
    path = proc / "self" / "net" / name
    if not path.exists():  # a kernel without IPv6
        return
    for line in path.read_text().splitlines()[1:]:
        columns = line.split()
        address, port = _address(columns[1])
        is_tcp = name.startswith("tcp")
        waits = int(columns[3], 16) == TCP_LISTEN if is_tcp else _address(columns[2])[1] == 0
        if waits:
            yield columns[9], WaitingSocket(protocol=name, address=address, port=port, uid=int(columns[7]), owner="")


def _address(column: str) -> tuple[str, int]:
    """Return address and port of a column such as 0100007F:1F90: 32-bit words in the byte order of the machine."""
    digits, _, port = column.partition(":")
    words = [int(digits[at : at + 8], 16).to_bytes(4, "big") for at in range(0, len(digits), 8)]
    packed = b"".join(socket.ntohl(int.from_bytes(word, "big")).to_bytes(4, "big") for word in words)
    return str(ipaddress.ip_address(packed)), int(port, 16)


def _owners(proc: Path) -> dict[str, str]:
    """Return the name of the process that holds each socket, as far as we may look."""
    owners: dict[str, str] = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # it has ended, or it is another user's
            for descriptor in (folder / "fd").iterdir():
                if match := DESCRIPTOR.fullmatch(os.readlink(descriptor)):  # noqa: PTH115  no path, a socket's number
                    owners[match[1]] = (folder / "comm").read_text().strip()
    return owners

"""The system journal's native protocol: one datagram a line, with named fields (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Never waits for the journal: a stage must not hang because a log is slow. What did not get through is counted, and the
next line that does says how many.
"""

import logging
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from firmware.log_lines import line_of

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
IDENTIFIER: Final = "kestrel"
SEND_BUFFER_BYTES: Final = 1_048_576


class JournalHandler(logging.Handler):
    """Sends each line to the journal."""

    def __init__(self, packages: Iterable[str], address: Path = JOURNAL_SOCKET) -> None:
        """Take the packages whose sentences are ours, and where the journal listens."""
        super().__init__()
        self.lost = 0  # lines since the last one that got through
        self._packages = tuple(packages)
        self._address = str(address)
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line; one that the journal does not take is counted in `lost`."""
        fields = {"SYSLOG_IDENTIFIER": IDENTIFIER} | line_of(record, self._packages).fields()
        if self.lost:
            fields["KESTREL_LINES_LOST"] = str(self.lost)
        try:
            self._line.sendto(datagram(fields), self._address)
        except OSError:
            self.lost += 1
        else:
            self.lost = 0

    def close(self) -> None:
        """Give the socket back."""
        self._line.close()
        super().close()


def datagram(fields: Mapping[str, str]) -> bytes:
    """Return an entry: `NAME=value`, or for a value of several lines name, length (64 bit, little endian), value."""
    parts = []
    for name, value in fields.items():
        data = value.encode(errors="replace")
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)


def is_heard(journal_stream: str, descriptor: int) -> bool:
    """Say whether the journal hears `descriptor`: $JOURNAL_STREAM is its device and inode (systemd.exec(5))."""
    status = os.fstat(descriptor)
    return journal_stream == f"{status.st_dev}:{status.st_ino}"

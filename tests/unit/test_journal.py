"""Log lines as the journal gets them: against a socket of our own, and against a real systemd-journald."""

import json
import logging
import os
import shutil
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from firmware.board.journal import JournalHandler, datagram, is_heard
from firmware.faults import DeviceFault, FaultCode
from firmware.log_lines import Phrase

JOURNALD = Path("/lib/systemd/systemd-journald")


@pytest.fixture
def journal(tmp_path):
    """A socket as journald has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(5)
        yield listener


@pytest.fixture
def log(tmp_path):
    handler = JournalHandler(("firmware",), tmp_path / "socket")
    logger = logging.getLogger("firmware.journal-test")
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    handler.close()


def parsed(entry):
    """Read an entry as the protocol's document describes it."""
    fields = {}
    while entry:
        name, separator, rest = entry.partition(b"\n")
        if b"=" in name:
            key, _, value = name.partition(b"=")
        else:
            (size,) = struct.unpack("<Q", rest[:8])
            key, value, end, rest = name, rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        assert separator == b"\n"
        fields[key.decode()] = value.decode()
        entry = rest
    return fields


def test_an_entry_has_the_fields_of_its_line(journal, log):
    log.error("%s", DeviceFault(FaultCode.STORAGE_REFUSED, "free space"))
    fields = parsed(journal.recv(65536))
    assert fields["MESSAGE"] == "storage-refused: free space"
    assert fields["PRIORITY"] == "3"
    assert fields["SYSLOG_IDENTIFIER"] == "kestrel"
    assert fields["KESTREL_FAULT"] == "storage-refused"
    assert fields["KESTREL_STAGE"] == "main"
    assert fields["CODE_FILE"] == __file__
    assert fields["CODE_FUNC"] == "test_an_entry_has_the_fields_of_its_line"


def test_a_value_of_several_lines_makes_no_field_of_its_own(journal, log):
    log.info("a name: %s", Phrase("one\nPRIORITY=0\n\nMESSAGE=forged\n"))
    fields = parsed(journal.recv(65536))
    assert fields["MESSAGE"] == "a name: one\nPRIORITY=0\n\nMESSAGE=forged\n"
    assert fields["PRIORITY"] == "6"


@pytest.mark.parametrize("value", ["", "=", "a=b", "\n", "a\nb", "ü\n", "\ud800"])
def test_what_is_packed_can_be_read(value):
    fields = {"MESSAGE": value, "PRIORITY": "6"}
    assert parsed(datagram(fields)) == fields | {"MESSAGE": value.replace("\ud800", "?")}


def test_a_journal_that_is_away_or_slow_holds_nobody_up_and_the_loss_is_told(tmp_path, log):
    log.info("nobody listens")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(5)
        for _ in range(2000):  # more than the kernel queues for a reader that does not read
            log.info("x")
        handler = next(one for one in log.handlers if isinstance(one, JournalHandler))
        lost = handler.lost
        assert lost > 0
        while "KESTREL_LINES_LOST" in parsed(listener.recv(65536)):
            pass
        log.info("again")
        entries = [parsed(listener.recv(65536))]
        while entries[-1]["MESSAGE"] != "again":
            entries.append(parsed(listener.recv(65536)))
        assert entries[-1]["KESTREL_LINES_LOST"] == str(lost)
        assert handler.lost == 0


def test_only_the_very_stream_counts(tmp_path):
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert is_heard(f"{status.st_dev}:{status.st_ino}", stream.fileno())
        assert not is_heard(f"{status.st_dev}:{status.st_ino + 1}", stream.fileno())
        assert not is_heard("", stream.fileno())


PROGRAM = """
import logging
from firmware.board import log_output
from firmware.board.log_output import LogFormat
from firmware.faults import DeviceFault, FaultCode
from firmware.log_lines import Phrase
log_output.begin("info", LogFormat.AUTO)
LOG = logging.getLogger("firmware.trial")
LOG.error("%s", DeviceFault(FaultCode.BROKER_REFUSED, "check it"))
LOG.info("lines: %s", Phrase("one\\nPRIORITY=0"))
"""

ALONE = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
{journald} 2>/run/journald.log &
daemon=$!
for i in $(seq 100); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.1; done
{python} {connected} {program}
journalctl --sync
journalctl -q -D /run/log/journal -o json SYSLOG_IDENTIFIER=kestrel
kill $daemon
wait $daemon
"""

CONNECTED = """
# What systemd does for a service with StandardError=journal: a stream to journald, and its number in $JOURNAL_STREAM.
import os, socket, sys
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"trial\\n\\n6\\n0\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
os.execv(sys.executable, [sys.executable, sys.argv[1]])
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not JOURNALD.exists() or shutil.which("unshare") is None,
    reason="needs root, for a mount namespace of its own, and Debian's systemd",
)
def test_a_real_journald_keeps_the_fields(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "connected.py").write_text(CONNECTED)
    script = ALONE.format(
        journald=JOURNALD,
        python=sys.executable,
        connected=tmp_path / "connected.py",
        program=tmp_path / "program.py",
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    first, second = [json.loads(entry) for entry in done.stdout.splitlines()]
    assert first["MESSAGE"] == "broker-refused: check it"
    assert (first["PRIORITY"], first["KESTREL_FAULT"], first["_TRANSPORT"]) == ("3", "broker-refused", "journal")
    assert first["KESTREL_LOGGER"] == "firmware.trial"
    assert second["MESSAGE"] == "lines: one\nPRIORITY=0"
    assert second["PRIORITY"] == "6"

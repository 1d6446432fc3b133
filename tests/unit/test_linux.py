import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firmware.board.linux import LinuxClock, LinuxSystem


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_gets_the_state(tmp_path, is_abstract):
    name = f"@kestrel-{tmp_path.name}-{time.monotonic_ns()}" if is_abstract else str(tmp_path / "notify")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind("\0" + name[1:] if is_abstract else name)
        manager.settimeout(5)
        LinuxSystem(name).notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_is_said():
    LinuxSystem("").notify("READY=1")


def test_a_service_manager_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        LinuxSystem(str(tmp_path / "gone")).notify("READY=1")


def test_the_clock_agrees_with_the_system():
    clock = LinuxClock()
    assert clock.utc_ms() == pytest.approx(time.time() * 1000, abs=2000)  # noqa: TID251  the reference itself
    before_s = clock.monotonic_s()
    assert before_s <= clock.monotonic_s()
    assert clock.is_trusted() in {True, False}


def test_random_bytes_differ():
    system = LinuxSystem()
    assert len(system.random_bytes(10)) == 10
    assert system.random_bytes(16) != system.random_bytes(16)


def test_memory_is_what_the_kernel_counts(tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "statm").write_text("90000 25000 4000 1 0 60000 0\n")
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nCmaTotal:   524288 kB\nCmaFree:    400000 kB\n")
    use = LinuxSystem(proc=tmp_path).memory()
    assert use.resident_bytes == 25000 * os.sysconf("SC_PAGE_SIZE")
    assert use.pool_free_bytes == 400_000 * 1024


def test_a_kernel_without_a_camera_pool_says_so(tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "statm").write_text("9 8 7 6 5 4 3\n")
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\n")
    assert LinuxSystem(proc=tmp_path).memory().pool_free_bytes is None


def test_this_process_needs_memory():
    assert 10_000_000 < LinuxSystem().memory().resident_bytes < 10_000_000_000


PROGRAM = """
import ctypes, os, resource, sys
from firmware.board.linux import LinuxSystem, forbid_dumps
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
if sys.argv[1] == "forbid":
    forbid_dumps()
PR_GET_DUMPABLE = 3
print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), flush=True)
assert LinuxSystem().memory().resident_bytes > 1_000_000
os.abort()
"""


def aborted(folder, word):
    """Let a process of ours abort in `folder`; return what it said and what it left."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", PROGRAM, word]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=folder, env=environment)
    assert done.returncode == -signal.SIGABRT, done.stderr
    return done.stdout.strip(), [path.name for path in folder.iterdir()]


def test_no_core_is_left_and_memory_can_still_be_measured(tmp_path):
    assert aborted(tmp_path, "forbid") == ("0 (0, 0)", [])


@pytest.mark.skipif(
    Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/"))
    or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0,
    reason="this machine puts no cores beside a process",
)
def test_without_that_a_core_is_left(tmp_path):
    said, left = aborted(tmp_path, "allow")
    assert said.startswith("1 ")
    assert [name for name in left if name.startswith("core")]
    for name in left:
        (tmp_path / name).unlink()

import contextlib
import os
import socket
import time

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

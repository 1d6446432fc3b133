import contextlib
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

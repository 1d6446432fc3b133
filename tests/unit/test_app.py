import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from firmware import app, config
from firmware.__main__ import main
from firmware.app import HEARTBEAT_LIMIT_S, Machine
from firmware.board.linux import LinuxClock
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.ports import Board
from firmware.stage import NEVER_S, StageThread

PLATE = "7ABC123"


class RecordingSystem:
    def __init__(self):
        self.states = []

    def notify(self, state):
        self.states.append(state)

    def random_bytes(self, count):
        return os.urandom(count)


class RecordingOutbox:
    closed = False

    def close(self):
        self.closed = True


class ScriptedStage:
    """Does what the test says at its first step; notes in `order` when it started and ended."""

    def __init__(self, name, order, action=None):
        self.name, self.wake, self._order, self._action = name, threading.Event(), order, action

    def step(self, now_s):
        self._order.append(f"{self.name} steps")
        if self._action:
            self._action()
        return NEVER_S

    def close(self):
        self._order.append(f"{self.name} closes")


def a_board():
    return Board(
        camera=None, lamp=None, triggers=(), link=None, keys=None, clock=LinuxClock(), system=RecordingSystem()
    )


def a_machine(*stages):
    outbox = RecordingOutbox()
    return Machine(stages=stages, capture=None, reading=None, uplink=None, outbox=outbox, faults=FaultBook())


def run(board, machine):
    with app.stop_requests() as request:
        return app.run(board, machine, request)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_all_stages_in_data_order(number):
    order, board = [], a_board()
    all_up = threading.Barrier(3)
    stages = [ScriptedStage(name, order, all_up.wait) for name in ("capture", "reading")]

    def ask():
        all_up.wait()
        os.kill(os.getpid(), number)

    machine = a_machine(*stages, ScriptedStage("uplink", order, ask))
    assert run(board, machine) == 0
    assert order[-3:] == ["capture closes", "reading closes", "uplink closes"]
    assert board.system.states[0] == "READY=1"
    assert board.system.states[-1] == "STOPPING=1"
    assert machine.outbox.closed


def test_signals_are_as_before_after_a_run():
    before = [signal.getsignal(number) for number in app.STOP_SIGNALS]
    with app.stop_requests() as request:
        assert not request.wait(0)
        os.kill(os.getpid(), signal.SIGINT)
        assert request.wait(5)
        os.kill(os.getpid(), signal.SIGINT)  # a second Ctrl-C while stopping must not end in a traceback
        assert request.wait(0)
    assert [signal.getsignal(number) for number in app.STOP_SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_bug_stops_all_stages_with_exit_code_1_and_without_values(caplog):
    def bug():
        raise KeyError(PLATE)

    order = []
    machine = a_machine(ScriptedStage("capture", order), ScriptedStage("reading", order, bug))
    assert run(a_board(), machine) == 1
    assert order.count("capture closes") == order.count("reading closes") == 1
    assert "KeyError" in caplog.text
    assert "test_app.py" in caplog.text
    assert PLATE not in caplog.text


def test_a_fault_that_escapes_says_its_hint(caplog):
    def fault():
        raise DeviceFault(FaultCode.STORAGE_REFUSED, "free some space")

    assert run(a_board(), a_machine(ScriptedStage("reading", [], fault))) == 1
    assert "free some space" in caplog.text


def test_the_watchdog_is_fed_while_all_is_well():
    board = a_board()

    class Feeding(RecordingSystem):
        def notify(self, state):
            super().notify(state)
            if state == "WATCHDOG=1":
                os.kill(os.getpid(), signal.SIGTERM)

    board = Board(camera=None, lamp=None, triggers=(), link=None, keys=None, clock=LinuxClock(), system=Feeding())
    assert run(board, a_machine(ScriptedStage("capture", []))) == 0
    assert board.system.states == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_a_service_manager_that_is_gone_still_stops_the_stages():
    class Gone(RecordingSystem):
        def notify(self, state):
            raise OSError("gone")

    order = []
    machine = a_machine(ScriptedStage("capture", order))
    board = Board(camera=None, lamp=None, triggers=(), link=None, keys=None, clock=LinuxClock(), system=Gone())
    with pytest.raises(OSError, match="gone"):
        run(board, machine)
    assert "capture closes" in order
    assert machine.outbox.closed


def test_a_stuck_stage_stops_the_feeding(caplog):
    thread = StageThread(ScriptedStage("reading", []), lambda: 100.0, lambda name, bug: None)
    faults = FaultBook()
    assert app.is_alive([thread], faults, 100.0 + HEARTBEAT_LIMIT_S)
    assert not app.is_alive([thread], faults, 100.1 + HEARTBEAT_LIMIT_S)
    assert not app.is_alive([thread], faults, 101.0 + HEARTBEAT_LIMIT_S)
    assert [report.code for report in faults.reports()] == [FaultCode.STAGE_STUCK]
    assert caplog.text.count("reading did not come back") == 1
    assert app.is_alive([thread], faults, 100.0)
    assert faults.reports() == []


def test_a_service_without_a_sign_of_life_ends_itself(monkeypatch, caplog):
    monkeypatch.setattr(app, "WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(app, "HEARTBEAT_LIMIT_S", -1.0)
    monkeypatch.setattr(app, "LIFELESS_LIMIT_S", 0.1)
    assert run(a_board(), a_machine(ScriptedStage("capture", []))) == 1
    assert "no sign of life" in caplog.text


def test_a_camera_that_a_restart_did_not_help_ends_the_service_at_once(monkeypatch, caplog):
    monkeypatch.setattr(app, "WATCH_EVERY_S", 0.01)
    order, board = [], a_board()
    machine = a_machine(ScriptedStage("capture", order), ScriptedStage("reading", order))
    machine.faults.latch(DeviceFault(FaultCode.CAMERA_SILENT, "cable"), 0.0)
    assert run(board, machine) == 1
    assert "the camera is silent" in caplog.text
    assert board.system.states == ["READY=1", "STOPPING=1"]
    assert order[-2:] == ["capture closes", "reading closes"]


def test_a_stage_that_does_not_stop_is_said_and_the_next_is_stopped_all_the_same(caplog):
    class Endless:
        """A thread within a native call that never comes back."""

        stage = ScriptedStage("reading", [])

        def ask_to_stop(self):
            self.is_asked = True

        def join(self, timeout_s):
            return False

    endless, order = Endless(), []
    last = StageThread(ScriptedStage("uplink", order), LinuxClock().monotonic_s, lambda name, bug: None)
    last.start()
    assert not app.stop([endless, last])
    assert endless.is_asked
    assert order[-1] == "uplink closes"
    assert "reading did not stop" in caplog.text


def test_a_missing_configuration_is_one_sentence_and_exit_code_2(tmp_path, capsys):
    assert main(["--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "kestrel-provision unit new" in said


def test_a_machine_without_picamera2_is_one_sentence_and_exit_code_1(tmp_path, device_config):
    """Run as the service is run, so that also the import of the whole firmware is seen to work."""
    (tmp_path / "config.json").write_bytes(config.encode(device_config))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "firmware", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("kestrel: camera-absent: picamera2 cannot be loaded")
    assert done.stderr.count("\n") == 1


def test_wrong_usage_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--no-such-option"])
    assert left.value.code == 2


def test_help_says_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Exit codes" in capsys.readouterr().out


@pytest.fixture(autouse=True)
def no_leftover_logging():
    yield
    logging.getLogger().setLevel(logging.WARNING)

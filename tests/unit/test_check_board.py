"""The Pi's board for a check, on a machine where nothing of it is there: every part fails by itself."""

import json
import subprocess
import sys
import threading

import pytest

from firmware import config
from firmware.faults import DeviceFault, FaultCode
from firmware.records import Light
from provisioning import check_board


def test_what_is_not_there_is_an_absent_part_and_not_the_end(tmp_path, device_config):
    board = check_board.open_pi(device_config, tmp_path)  # neither picamera2 nor a key
    wake = threading.Event()
    with pytest.raises(DeviceFault) as raised:
        board.camera.listen(wake)
    assert raised.value.code is FaultCode.CAMERA_ABSENT
    board.camera.set_light(Light(exposure_us=100.0, gain=1.0))
    assert board.camera.shots() == []
    board.camera.close()
    board.link.listen(wake)
    board.link.connect()
    assert not board.link.publish("topic", b"", 1, 1)
    assert board.link.events() == []
    board.link.disconnect()
    assert not wake.is_set()


def test_on_a_machine_that_is_no_pi_each_part_says_so_by_name(tmp_path, device_config):
    """The same command as on a unit: each part of the Pi is missed by its own name, and nothing ends the others."""
    folder, out = tmp_path / "unit", tmp_path / "check.json"
    folder.mkdir(mode=0o700)
    (folder / "config.json").write_bytes(config.encode(device_config))
    only = "identity,disk,camera,focus,lamp,pir,beam,radar,lid,meter,modem"
    command = [sys.executable, "-m", "provisioning", "check", str(folder), "--only", only, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    reports = {report["part"]: report for report in json.loads(out.read_text())["parts"]}
    states = {part: report["state"] for part, report in reports.items()}
    assert {part for part, state in states.items() if state == "fail"} == {
        "identity", "camera", "focus", "lamp", "pir", "beam", "radar",
    }  # fmt: skip
    assert {part for part, state in states.items() if state == "absent"} == {"lid", "meter", "modem"}
    assert "picamera2 cannot be loaded" in reports["camera"]["found"]
    assert "cannot be opened" in reports["pir"]["found"]
    assert "NOT GOOD: identity, camera" in done.stdout
    assert "Traceback" not in done.stderr

"""`kestrel-provision check` finds nothing wrong with a board that is well: `pytest tests/contract --board=pi`.

On the bench the unit of /var/lib/kestrel is checked, its service stopped, with its fleet's broker and receiver running.
It is a process of its own, because a camera is opened once in a process.
"""

import json
import subprocess
import sys

from provisioning.part_reports import PartName

LIMIT_S = 300.0


def test_a_board_that_is_well_fails_in_no_part(request, tmp_path):
    out = tmp_path / "check.json"
    board = request.config.getoption("--board")
    command = [sys.executable, "-m", "provisioning", "check", "--board", board, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reports = json.loads(out.read_text())["parts"]
    assert [report["part"] for report in reports] == [str(part) for part in PartName]
    assert {report["state"] for report in reports} <= {"pass", "warn", "absent"}
    assert all(report["cause"] and report["next_step"] for report in reports if report["state"] == "warn")

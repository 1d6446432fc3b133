"""The grid: whole units in virtual time, and the command that prints it."""

import json
import math
import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from firmware.app import MODELS_FOLDER
from hw_sim import grid
from hw_sim.__main__ import main
from hw_sim.grid import Cell, GridRefused, Setting, run_grid, table
from hw_sim.light import LightLevel
from hw_sim.traffic import LONGEST_VEHICLE_M, M_S_PER_MPH

KEYS = ["mph", "light", "rain", "passes", "captured", "read", "partial", "state_right", "state_wrong", "false_plates",
        "duplicates"]  # fmt: skip


def a_run(mph=60.0, passes=2, **setting):
    cell = Cell(mph=mph, light=LightLevel.DAY, rain_ratio=0.0)
    return grid.Run(cell=cell, place=0, seed=3, passes=passes, setting=Setting(models=MODELS_FOLDER, **setting))


def test_the_command_captures_and_reads_vehicles_and_writes_what_it_says(tmp_path, capsys):
    out = tmp_path / "grid.json"
    options = ["--mph", "60", "--light", "day", "--rain", "0", "--passes", "2", "--seed", "7", "--jobs", "1"]
    assert main(["grid", *options, "--json", str(out)]) == 0
    (cell,) = json.loads(out.read_text())["cells"]
    assert [key for key in cell if key in KEYS] == KEYS
    assert (cell["mph"], cell["light"], cell["rain"]) == (60.0, "day", 0.0)
    assert (cell["passes"], cell["captured"], cell["false_plates"], cell["duplicates"]) == (2, 2, 0, 0)
    shown = capsys.readouterr().out
    assert "100.0" in shown
    assert len(shown.splitlines()) == 2


def test_a_dead_pir_costs_no_vehicle():
    watched = grid.watched(a_run(pir_delay_s=math.inf))
    assert watched.score.captured == watched.score.passes == 2
    assert watched.frames_dropped == 0
    assert 0 < watched.frames_read <= watched.frames_developed < watched.frames_seen


def test_vehicles_never_overlap_however_slow_they_are():
    for mph in (5.0, 100.0):
        vehicles = grid.road_of(a_run(mph=mph)).vehicles_between(0.0, 200.0)
        gaps_s = [after.passes_s - before.passes_s for before, after in pairwise(vehicles)]
        assert min(gaps_s) * mph * M_S_PER_MPH > LONGEST_VEHICLE_M
        assert vehicles[0].passes_s >= grid.AHEAD_S


def test_what_it_cannot_do_it_says_before_it_begins(tmp_path):
    cells = [Cell(mph=60.0, light=LightLevel.DAY, rain_ratio=0.0)]
    with pytest.raises(GridRefused, match="--root"):
        run_grid(cells, passes=1, seed=1, setting=Setting(models=tmp_path, plates_csv=tmp_path / "plates.csv"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--plates", "none.csv", "--root", "."], (2, "none.csv")),
        (["--plates", "none.csv"], (2, "--root")),
        (["--models", "nowhere"], (1, "nowhere")),
        (["--json", "nowhere/grid.json"], (1, "nowhere/grid.json")),
    ],
)
def test_what_is_missing_is_one_sentence_before_any_vehicle_passes(options, expected, tmp_path, monkeypatch, capsys):
    code, said = expected
    monkeypatch.chdir(tmp_path)
    assert main(["grid", "--passes", "1", *options]) == code
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert "pass/s" not in told


@pytest.mark.parametrize(
    "option",
    [
        ("--pir-delay-ms", "-5"),
        ("--pir-delay-ms", "nan"),
        ("--mph", "200"),
        ("--light", "noon"),
        ("--rain", "2"),
        ("--passes", "0"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_names_it(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["grid", *option])
    assert ended.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_ctrl_c_ends_it_with_one_line(tmp_path):
    options = ["--mph", "75", "--light", "day", "--rain", "0", "--passes", "400", "--jobs", "2"]
    command = [sys.executable, "-m", "hw_sim", "grid", *options, "--json", str(tmp_path / "grid.json")]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a background job is deaf to it
    ) as grid_command:
        said = b""
        while b"0/400" not in said:  # the bar is drawn once the processes begin
            said += (read := os.read(grid_command.stderr.fileno(), 1000))
            assert read
        os.killpg(grid_command.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the processes too
        said += grid_command.stderr.read()
    assert grid_command.returncode == 130
    assert b"Traceback" not in said
    *_, last = said.decode().splitlines()
    assert last.startswith("kestrel-sim: the grid was interrupted; what was counted until then is in ")


def test_the_answer_grows_run_by_run(monkeypatch):
    monkeypatch.setattr(grid, "RUN_PASSES", 1)
    cells = [Cell(mph=75.0, light=LightLevel.DAY, rain_ratio=0.0)]
    told = []
    answer = run_grid(cells, passes=2, seed=3, setting=Setting(models=MODELS_FOLDER), processes=1, told=told.append)
    assert [one["cells"][0]["passes"] for one in told] == [1, 2]
    assert told[-1] == answer


def test_the_table_has_a_line_a_cell():
    row = dict.fromkeys([*KEYS, "wrong"], 0) | {"mph": 75.0, "light": "dusk", "rain": 1.0}
    row |= {"passes": 200, "captured": 198, "read": 99}
    lines = table({"cells": [row, row]}).splitlines()
    assert len(lines) == 3
    assert "99.0" in lines[1]
    assert "50.0" in lines[1]

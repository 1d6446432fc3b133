"""A small fleet on a real Mosquitto and a real receiver: every read is accounted for, also through a killed broker."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hw_sim.__main__ import main
from hw_sim.fleet_run import FleetLoad, run_load

SMALL = ["fleet", "--cameras", "5", "--reads-per-minute", "120", "--minutes", "0.1"]


def test_a_small_fleet_is_stored_and_confirmed_whole(tmp_path, capsys):
    path = tmp_path / "answer.json"
    assert main([*SMALL, "--processes", "2", "--json", str(path)]) == 0
    answer = json.loads(path.read_text())
    assert answer["sent"] > 30
    assert answer["sent"] == answer["acknowledged"] == answer["stored"] == answer["confirmed"]
    assert (answer["lost"], answer["duplicates"], answer["rejected"], answer["waiting"]) == (0, 0, 0, 0)
    assert 0 < answer["latency_p50_s"] <= answer["latency_p95_s"] <= answer["latency_p99_s"] < 60
    assert 0 < answer["stored_p95_s"] < 60
    assert 4000 < answer["read_bytes"] < 4700
    assert answer["receipts"] >= 5
    assert answer["connect_s"] > 0
    assert min(answer[f"{part}_cpu_s"] for part in ("receiver", "generator")) > 0
    assert min(answer[f"{part}_peak_rss_mb"] for part in ("broker", "receiver")) > 1
    assert "kept up" in capsys.readouterr().out


def test_a_broker_that_is_killed_in_the_middle_loses_nothing(tmp_path):
    load = FleetLoad(cameras=4, reads_per_minute=240, minutes=0.15, kill_broker_at_s=4, patience_s=4)
    answer = run_load(load, tmp_path / "load", threading.Event())
    assert answer["connections_lost"] >= 4
    assert answer["sent"] == answer["stored"] == answer["confirmed"] > 50
    assert (answer["lost"], answer["duplicates"], answer["waiting"]) == (0, 0, 0)


def processes_that_name(path):
    """Return the command lines of processes that name `path`."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes())
        except OSError:
            continue
    return [line for line in lines if str(path).encode() in line]


def test_ctrl_c_ends_all_parts_and_prints_what_there_is(tmp_path):
    command = [sys.executable, "-m", "hw_sim", "fleet", "--cameras", "2", "--minutes", "9", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as fleet:
        said = b""
        while b"1 captured" not in said:
            said += fleet.stderr.read1()
            assert fleet.poll() is None
        assert len(processes_that_name(tmp_path)) >= 3  # itself, the broker, the receiver
        fleet.send_signal(signal.SIGINT)
        output, errors = fleet.communicate(timeout=60)
    assert fleet.returncode == 130
    assert b"kept up" in output
    assert b"interrupted" in errors
    assert processes_that_name(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--cameras", "0"],
        ["--cameras", "20001"],
        ["--cameras", "1_0"],
        ["--reads-per-minute", "nan"],
        ["--reads-per-minute", "0"],
        ["--minutes", "-1"],
        ["--sweep", "10,10"],
        ["--sweep", "10,"],
        ["--sweep", "10", "--cameras", "5"],
        ["--processes", "0"],
        ["--kill-broker-at", "0"],
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_starts(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(["fleet", *words])
    assert left.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("kestrel-sim fleet: error: argument ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cameras", "2", "--kill-broker-at", "60"], "behind the end"),
        (["--cameras", "20000", "--minutes", "1000"], "5,000,000 at most"),
        (["--cameras", "2", "--json", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(words, sentence, capsys):
    assert main(["fleet", *words]) in (1, 2)
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert sentence in text


def test_a_folder_that_holds_such_a_load_is_refused(tmp_path, capsys):
    (tmp_path / "load-5").mkdir()
    assert main([*SMALL, "--folder", str(tmp_path)]) == 2
    assert "choose another folder" in capsys.readouterr().err

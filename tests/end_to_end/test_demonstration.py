"""`python -m hw_sim run`: everything starts, shows itself, stops in order and sums up, whatever goes wrong."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import uuid

import pytest
from made_reads import START_UTC_MS

from cloud.boot_times import TimeSource
from cloud.read_rows import StoredRead
from hw_sim.broker import free_port, is_listening
from hw_sim.demonstration import ROAD, Tally, prepare, right, summary

LIMIT_S = 90


def command(folder, *words):
    return [sys.executable, "-m", "hw_sim", "run", "--folder", str(folder), *words]


def stored(plate):
    return StoredRead(
        read_id=uuid.UUID(int=0),
        received_utc_ms=START_UTC_MS + 700,
        last_utc_ms=START_UTC_MS,
        time_source=TimeSource.UNIT,
        device_id="k-test0001",
        site_name="Test Street",
        plate=plate,
        region=None,
        score_ratio=0.9,
        partial=False,
        direction=None,
    )


def test_each_read_counts_once_and_only_for_its_own_plate():
    truth = ["AAA111", "BBB222", "AAA111", "CCC333"]
    assert right(truth, [stored("AAA111"), stored("CCC333"), stored("XXX999"), stored(None)]) == [0, 3]
    assert right(truth, [stored("AAA111"), stored("AAA111")]) == [0, 2]


def test_the_summary_tells_what_happened_between_two_tallies(tmp_path):
    before = Tally(sealed=10, waiting=1, received=9, duplicates=2, rejected=0)
    after = dataclasses.replace(before, sealed=13, waiting=0, received=12, duplicates=3)
    text = summary(before, after, [stored("AAA111")] * 3, ["AAA111", "BBB222"], tmp_path)
    rows = {line[2:26].strip(): line[28:] for line in text.splitlines()[2:]}
    assert rows == {
        "reads sealed by the unit": "3",
        "received": "3 (1 duplicates, 0 rejected)",
        "confirmed by receipt": "4 (0 still wait in the outbox)",
        "median latency": "0.7 s",
        "read right": "1 of 2",
        "files": str(tmp_path),
    }


def test_ctrl_c_stops_all_in_order_with_a_summary(tmp_path):
    with subprocess.Popen(command(tmp_path / "run"), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline().startswith("Receiving from localhost")
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0
    assert "Summary" in output
    assert "0 still wait in the outbox" in output
    port = json.loads((tmp_path / "run" / "fleet" / "fleet.json").read_text())["port"]
    assert not is_listening(port)


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (["--source", "/nonexistent"], "does not exist", 2),
        (["--passes", "0"], "above zero", 2),
    ],
)
def test_a_wrong_word_on_the_command_line_is_one_sentence(tmp_path, words, sentence, code):
    done = subprocess.run(
        command(tmp_path / "run", *words), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "Summary" not in done.stdout


def test_a_machine_without_mosquitto_is_told_what_to_install(tmp_path, monkeypatch):
    places = prepare(tmp_path / "run", ROAD)
    assert places.fleet.exists()
    hidden = {**os.environ, "PATH": str(tmp_path)}
    program = (
        "import shutil, sys; found = shutil.which\n"
        "shutil.which = lambda name, path=None: None if name == 'mosquitto' else found(name, path=path)\n"
        f"sys.argv = ['kestrel-sim', 'run', '--folder', {str(places.folder)!r}]\n"
        "from hw_sim.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=hidden, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 1
    assert "apt install mosquitto" in done.stderr


def test_a_free_port_is_free():
    assert not is_listening(free_port())

"""`python -m hw_sim link` as people and machines run it, small."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hw_sim.network_space import TUN

can_tun = os.geteuid() == 0 and os.access(TUN, os.W_OK)
LINKS = [
    pytest.param("tun", marks=pytest.mark.skipif(not can_tun, reason="needs root: network namespaces, TUN devices")),
    "relay",
]
SMALL = ["--delay-ms", "20", "--loss", "0.5", "--seconds", "6", "--reads", "60", "--vain-attempts", "1"]


def started(folder, *options):
    """Start the command, with all its temporary files below `folder`, by which its processes can be told."""
    return subprocess.Popen(
        [sys.executable, "-m", "hw_sim", "link", *options],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_of(folder):
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                found += [path.name] if f"TMPDIR={folder}".encode() in (path / "environ").read_bytes() else []
            except OSError:  # it has ended, or is somebody else's
                continue
    return found


@pytest.mark.parametrize("link", LINKS)
def test_an_outage_drains_and_the_answer_says_so(link, tmp_path):
    out, picture = tmp_path / "link.json", tmp_path / "link.svg"
    options = ["--scenario", "outage72h", "--link", link, "--json", str(out), "--svg", str(picture), *SMALL]
    process = started(tmp_path, *options)
    told, warned = process.communicate(timeout=120)
    assert process.returncode == 0, warned
    found = json.loads(out.read_text())
    assert found["sent"] == found["acknowledged"] == 60 + len(found["latencies_s"])
    assert found["lost"] == found["duplicates"] == found["out_of_order"] == found["over_limit"] == 0
    assert found["max_in_flight"] == 10
    assert 60 * 4000 < found["bytes_up"] < 2 * 70 * 5000
    assert 0 < found["bytes_down"] < found["bytes_up"]
    assert 0.04 <= found["latency_p50_s"] <= found["latency_p95_s"] <= found["latency_p99_s"] < 5.0
    assert 0 < found["drain_s"] < 60
    assert found["curve"][0][1] == 60
    assert "0 lost, 0 doubled, 0 out of order" in told
    assert "K00000" not in told + warned  # no plate
    ET.parse(picture)  # noqa: S314  our own
    assert processes_of(tmp_path) == []
    assert not list(tmp_path.glob("kestrel-link-*"))


@pytest.mark.parametrize("link", LINKS)
def test_what_is_interrupted_leaves_nothing_behind_and_no_answer(link, tmp_path):
    out = tmp_path / "link.json"
    process = started(tmp_path, "--scenario", "flaky", "--link", link, "--json", str(out))
    assert process.stderr.read(6)  # the bar: it has begun
    while len(processes_of(tmp_path)) < (3 if link == "tun" else 2):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, warned = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in warned
    assert out.read_text() == ""
    assert processes_of(tmp_path) == []
    assert not list(tmp_path.glob("kestrel-link-*"))

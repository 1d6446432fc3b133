"""`python -m firmware --self-check` on this machine: real kernel, real files, a real unit made by provisioning."""

import datetime as dt
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from network_spaces import need_root_and, run

from firmware import config, key_files
from firmware.board import host_facts
from firmware.board.linux import LinuxClock
from firmware.config import SiteConfig
from firmware.self_check import report
from provisioning import certificates, durable_files, fleet, unit
from provisioning.host.rendering import host_files

ROOT = Path(__file__).parents[2]
NOBODY = 65534
NAMES = ["sockets", "firewall", "key_store", "certificate", "clock", "disk", "versions", "models", "sandbox"]
NOW = dt.datetime.fromtimestamp(LinuxClock().utc_ms() / 1000, tz=dt.UTC)
RULES = "etc/kestrel/firewall.nft"


@pytest.fixture
def unit_folder(tmp_path):
    fleet.init(tmp_path / "fleet", host="192.0.2.1", port=8883, now=NOW)
    unit.enrol(
        tmp_path / "fleet",
        tmp_path / "unit",
        SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0),
        NOW,
    )
    return tmp_path / "unit"


def asked(unit_folder, *words, before=()):
    """Run the command; return what it wrote as JSON, by part, with its exit code and its table."""
    out = unit_folder.parent / "out.json"
    command = [sys.executable, "-m", "firmware", "--self-check", "--config", str(unit_folder / "config.json")]
    done = subprocess.run(
        [*before, *command, "--json", str(out), *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=ROOT,
    )
    assert out.exists(), done.stderr
    answer = json.loads(out.read_bytes())
    assert set(answer) == {"device_id", "passed", "checks"}
    assert [check["name"] for check in answer["checks"]] == NAMES
    assert all(set(check) == {"name", "state", "found", "hint"} for check in answer["checks"])
    assert done.returncode == (0 if answer["passed"] else 1)
    assert answer["passed"] == all(check["state"] in {"pass", "warn"} for check in answer["checks"])
    for check in answer["checks"]:
        assert f"{check['name']:<12} {check['state']}" in done.stdout
    return {check["name"]: check for check in answer["checks"]}


def load_rules(unit_folder):
    files = {str(path): content for path, content in host_files(config.load(unit_folder / "config.json")).items()}
    run("nft", "-f", "-", input=files[RULES].decode())


def test_rules_and_sockets_are_those_of_the_kernel(space, unit_folder):
    with space.entered():
        bare = asked(unit_folder)
        assert bare["firewall"]["state"] == "fail"
        assert bare["sockets"]["state"] == "pass"
        load_rules(unit_folder)
        closed = asked(unit_folder)
        assert closed["firewall"]["state"] == "pass", closed["firewall"]
        assert "1 address" in closed["firewall"]["found"]
        run("nft", "add", "rule", "inet", "kestrel", "inbound", "tcp", "dport", "22", "accept")
        opened = asked(unit_folder)
    assert opened["firewall"]["state"] == "fail"
    assert "tcp dport 22" in opened["firewall"]["found"]


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_STREAM, "::"),
        (socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0"),  # noqa: S104  what must be found
        (socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
    ],
)
def test_a_door_that_was_left_open_is_named(space, unit_folder, family, kind, address):
    with space.socket(family, kind) as door:
        door.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            door.listen()
        with space.entered():
            found = asked(unit_folder)["sockets"]
    assert found["state"] == "fail"
    assert f"{address}]:{door_port(found)}" in found["found"] or f"{address}:{door_port(found)}" in found["found"]


def door_port(found):
    return found["found"].rsplit(":", 1)[1].split(" ")[0]


def test_a_call_of_ones_own_is_no_open_door(cable, unit_folder):
    with (
        cable.outside.listener("10.77.0.2", 8883),
        cable.unit.socket(socket.AF_INET, socket.SOCK_STREAM) as call,
        cable.unit.socket(socket.AF_INET, socket.SOCK_DGRAM) as question,
    ):
        call.connect(("10.77.0.2", 8883))
        question.connect(("10.77.0.2", 53))
        with cable.unit.entered():
            assert asked(unit_folder)["sockets"]["state"] == "pass"


def test_a_key_that_others_may_read_fails(unit_folder):
    assert asked(unit_folder)["key_store"]["state"] == "pass"
    (unit_folder / "device.key").chmod(0o644)
    found = asked(unit_folder)["key_store"]
    assert found["state"] == "fail"
    assert "chmod 600" in found["hint"]


def test_a_key_that_is_gone_fails(unit_folder):
    (unit_folder / "device.key").unlink()
    assert asked(unit_folder)["key_store"]["state"] == "fail"


def certify(unit_folder, days):
    """Give the unit a certificate of its own fleet that ends in so many days from now."""
    authority = fleet.load_authority(unit_folder.parent / "fleet")
    settings = config.load(unit_folder / "config.json")
    key = key_files.load_key(unit_folder / "device.key")
    request = certificates.signing_request(key, settings.device_id)
    begun = NOW - dt.timedelta(days=100)
    made = certificates.client_certificate(authority, request, settings.device_id, begun, 100 + days)
    durable_files.write(unit_folder / "device.crt", certificates.certificate_pem(made))


@pytest.mark.parametrize(("days", "state", "said"), [(5, "warn", "days left"), (-2, "fail", "expired")])
def test_a_certificate_that_ends_soon_is_said(unit_folder, days, state, said):
    certify(unit_folder, days)
    found = asked(unit_folder)["certificate"]
    assert found["state"] == state
    assert said in found["found"]


class ClockOf1970(LinuxClock):
    """A Pi without a network: it has no clock of its own and begins in 1970."""

    def utc_ms(self):
        return 90_000


def test_a_clock_of_1970_fails_and_so_does_what_it_should_judge(unit_folder):
    settings = config.load(unit_folder / "config.json")
    facts = host_facts.look(settings, unit_folder, ROOT / "models", ClockOf1970())
    states = {check.name: check.state for check in report(settings, facts).checks}
    assert (states["clock"], states["certificate"]) == ("fail", "fail")


def test_a_disk_that_went_read_only_fails(unit_folder):
    need_root_and("unshare", "mount")
    script = f'mount --bind {unit_folder} {unit_folder} && mount -o remount,ro,bind {unit_folder} && exec "$@"'
    found = asked(unit_folder, before=["unshare", "--mount", "sh", "-c", script, "sh"])["disk"]
    assert found["state"] == "fail"
    assert "read-only" in found["found"]
    assert asked(unit_folder)["disk"]["state"] in {"pass", "warn"}


AS_NOBODY = f"""
import importlib.metadata, os, sys
from firmware.__main__ import main
from firmware.tflite import interpreter_class
interpreter_class()  # the interpreter's own files may lie where only root may look
importlib.metadata.version("kestrel-camera")
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def way_for_all(unit_folder):
    """The way to the unit's files is open to all, and so is the configuration; the key stays the owner's."""
    (unit_folder / "config.json").chmod(0o644)
    folders = [folder for folder in (unit_folder, *unit_folder.parents) if not folder.stat().st_mode & 0o001]
    modes = [folder.stat().st_mode for folder in folders]
    for folder in folders:
        folder.chmod(0o755)
    yield
    for folder, mode in zip(folders, modes, strict=True):
        folder.chmod(mode)


@pytest.mark.usefixtures("way_for_all")
def test_a_plain_user_is_told_what_is_hidden_and_how_to_see_it(space, tmp_path, unit_folder):
    out = tmp_path / "out.json"
    out.touch()
    os.chown(out, NOBODY, NOBODY)
    command = [sys.executable, "-c", AS_NOBODY, "--self-check", "--config", str(unit_folder / "config.json")]
    with space.entered():
        load_rules(unit_folder)
        done = subprocess.run(
            [*command, "--json", str(out)], capture_output=True, text=True, timeout=90, check=False, cwd=ROOT
        )
    assert done.returncode == 1, done.stderr
    assert out.stat().st_size, done.stderr
    found = {check["name"]: check for check in json.loads(out.read_bytes())["checks"]}
    for name in ("firewall", "key_store"):
        assert found[name]["state"] == "unknown"
        assert "as root" in found[name]["hint"]
    assert found["sockets"]["state"] == "pass"


def test_networks_run_with_their_delegate_here(unit_folder):
    found = asked(unit_folder)["models"]
    assert "detector" in found["found"]
    assert "without XNNPACK" not in found["found"]


def test_a_network_that_was_changed_fails(unit_folder, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for name in ("detector.tflite", "ocr.tflite", "manifest.json"):
        (models / name).write_bytes((ROOT / "models" / name).read_bytes())
    with (models / "ocr.tflite").open("ab") as file:
        file.write(b"!")
    assert asked(unit_folder, "--models", str(models))["models"]["state"] == "fail"


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"version": 1, "unknown": 2}'])
def test_a_bad_configuration_is_exit_code_2_and_no_answer(tmp_path, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "--self-check", "--config", str(path), "--json", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_answer_that_cannot_be_written_is_one_sentence(unit_folder):
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "--self-check", "--config", str(unit_folder / "config.json"),
         "--json", str(unit_folder / "missing" / "out")],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert "check the folder" in done.stderr
    assert "Traceback" not in done.stderr

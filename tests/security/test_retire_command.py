"""The fleet tells a unit to erase itself, through a real Mosquitto: the right command does it, and no other."""

import dataclasses
import shutil
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from loopback_fleet import CLOCK, NOW, SITE, Unit

from cloud import broker_files, fleet_folder
from cloud.broker_files import OPERATOR_USER
from cloud.registry import Registry, State
from firmware import erasure, identity
from firmware.command_line import EXIT_RETIRED
from firmware.faults import FaultCode, Retired
from firmware.retirement import (
    COMMAND_LIFE_MS,
    Cause,
    RetireCommand,
    RetiredNotice,
    key_hash,
    sign_command,
    sign_notice,
)
from firmware.topics import command_topic, retired_topic
from provisioning import retiring, unit
from provisioning.__main__ import main
from provisioning.office_tls import tls_as

LIMIT_S = 60
WINDOW_BYTES = 8


class Command:
    """`kestrel-provision` on a thread of its own, so that the test can be the unit meanwhile."""

    def __init__(self, *words):
        self.code = None
        self._thread = threading.Thread(target=self._run, args=(words,), name="office")
        self._thread.start()

    def _run(self, words):
        self.code = main([str(word) for word in words])

    def ended(self):
        return not self._thread.is_alive()

    def join(self):
        self._thread.join(LIMIT_S)
        return self.code


def windows_of_the_key(folder):
    """Return the pieces of the raw key, and those of the text of it that its file holds."""
    pem = (folder / identity.KEY_NAME).read_bytes()
    raw = load_pem_private_key(pem, password=None).private_bytes_raw()
    secret = b"".join(pem.splitlines()[1:-1])[-40:]  # what one key's PEM does not share with another's
    return [{text[at : at + WINDOW_BYTES] for at in range(len(text) - WINDOW_BYTES + 1)} for text in (raw, secret)]


def found(windows, folder):
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return sum(window in content for window in windows)


def wait_online(made):
    assert made.run_until(lambda: made.link.publish(command_topic("k-nobody"), b"", -2, 60))


@pytest.fixture
def running(broker, tmp_path):
    return ["--broker", tmp_path / broker_files.CONFIGURATION_NAME]


def test_a_unit_that_is_told_erases_itself_and_is_refused_ever_after(broker, running, make_unit, fleet_path, tmp_path):
    made, folder = make_unit(), tmp_path / "unit"
    made.put(5)
    wait_online(made)
    raw, text = windows_of_the_key(folder)
    assert found(text, folder) == len(text)
    shutil.copytree(folder, tmp_path / "copied card")
    office = Command("fleet", "retire", fleet_path, made.config.device_id, "--reason", "sold", *running)
    assert made.run_until(office.ended, LIMIT_S)
    assert office.join() == 0
    assert made.guard.is_over.is_set()
    assert [path.name for path in folder.iterdir()] == [erasure.MARK_NAME]
    assert found(raw | text, folder) == 0
    with pytest.raises(Retired, match="its fleet told it to"), erasure.unless_retired(folder):
        pytest.fail("a retired unit has started")
    entry = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(made.config.device_id)
    assert (entry.state, entry.reason) == (State.RETIRED, "sold")
    thief = Unit(tmp_path / "copied card")
    assert thief.run_until(lambda: thief.fault_hint(FaultCode.BROKER_REFUSED))
    thief.close()


def test_a_unit_that_is_away_hears_the_command_when_it_comes_back(broker, make_unit, fleet_path, tmp_path, capsys):
    made = make_unit()
    wait_online(made)
    made.link.disconnect()
    words = ["fleet", "retire", str(fleet_path), made.config.device_id, "--reason", "sold", "--wait", "0.2"]
    assert main(words) == 1
    assert "it hears the command when it comes back" in capsys.readouterr().err
    assert Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(made.config.device_id).state is State.ACTIVE
    made.link.connect()
    assert made.run_until(made.guard.is_over.is_set)
    assert [path.name for path in (tmp_path / "unit").iterdir()] == [erasure.MARK_NAME]


def test_forged_foreign_replayed_and_old_commands_are_refused_and_counted(broker, make_unit, fleet_path, tmp_path):
    made = make_unit()
    wait_online(made)
    device_id, fleet_key = made.config.device_id, fleet_folder.retirement_key(fleet_path)
    own_key = made.identity.device_key.public_key()
    good = RetireCommand(device_id=device_id, key_hash=key_hash(own_key), issued_utc_ms=CLOCK.utc_ms())
    earlier = Ed25519PrivateKey.generate().public_key()  # the unit that had this name before
    bad = [
        sign_command(good, Ed25519PrivateKey.generate()),
        sign_command(dataclasses.replace(good, device_id="k-other001"), fleet_key),
        sign_command(dataclasses.replace(good, key_hash=key_hash(earlier)), fleet_key),
        sign_command(dataclasses.replace(good, issued_utc_ms=good.issued_utc_ms - COMMAND_LIFE_MS - 60_000), fleet_key),
    ]
    shared = fleet_folder.load(fleet_path)
    tls = tls_as(fleet_path, OPERATOR_USER, NOW)
    for number, document in enumerate(bad, start=1):
        assert retiring._Call(shared, tls, device_id, [own_key]).make([document], 0.0) is None
        assert made.run_until(lambda number=number: made.guard.rejected_commands == number)
    assert not made.guard.is_over.is_set()
    assert identity.load(tmp_path / "unit", device_id).device_id == device_id


def test_a_unit_cannot_command_another(broker, make_unit):
    thief, victim = make_unit("thief"), make_unit("victim")
    wait_online(victim)
    topic = command_topic(victim.config.device_id)
    assert thief.run_until(lambda: thief.link.publish(topic, b"erase", 7, 60))
    assert thief.run_until(lambda: "Not authorized" in thief.fault_hint(FaultCode.BROKER_REFUSED))
    assert not victim.run_until(lambda: victim.guard.rejected_commands, 0.5)


def test_a_unit_that_is_out_already_is_told_nothing(broker, make_unit, fleet_path, capsys):
    made = make_unit()
    words = [str(fleet_path), made.config.device_id, "--reason", "stolen"]
    assert main(["fleet", "revoke", *words]) == 0
    assert main(["fleet", "retire", *words]) == 2
    assert "is revoked already" in capsys.readouterr().err


def test_a_broker_that_is_away_is_one_sentence(fleet_path, make_unit, capsys):
    made = make_unit()
    assert main(["fleet", "retire", str(fleet_path), made.config.device_id, "--reason", "sold"]) == 1
    assert "nothing listens at localhost" in capsys.readouterr().err


def test_the_service_ends_with_its_own_exit_code_and_does_not_start_again(broker, running, fleet_path, tmp_path):
    """The whole service as a process, told through the broker."""
    folder = tmp_path / "unit"
    device_id = unit.enrol(fleet_path, folder, SITE, NOW).device_id
    command = [sys.executable, "-W", "error", "-m", "hw_sim", "device", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as device:
        try:
            for line in device.stderr:
                if "connected to the broker" in line:
                    break
            office = Command("fleet", "retire", fleet_path, device_id, "--reason", "sold", *running)
            _, said = device.communicate(timeout=LIMIT_S)
        finally:
            device.kill()
    assert office.join() == 0
    assert device.returncode == EXIT_RETIRED, said
    assert "its fleet told it to" in said.splitlines()[-1]
    assert [path.name for path in folder.iterdir()] == [erasure.MARK_NAME]
    again = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert again.returncode == EXIT_RETIRED
    assert again.stderr.count("\n") == 1
    assert "will not run again" in again.stderr


def test_the_receiver_hears_a_unit_s_last_word_and_nobody_else_s(broker, make_unit, start_receiver):
    receiver, made, thief = start_receiver(), make_unit(), make_unit("thief")
    device_id = made.config.device_id
    wait_online(made)
    wait_online(thief)
    notice = RetiredNotice(device_id=device_id, cause=Cause.TAMPER, at_utc_ms=CLOCK.utc_ms())
    forged = sign_notice(notice, thief.identity.device_key.sign)
    assert made.link.publish(retired_topic(device_id), forged, -1, 60)
    assert thief.link.publish(retired_topic(device_id), sign_notice(notice, made.identity.device_key.sign), -1, 60)
    assert thief.run_until(lambda: "Not authorized" in thief.fault_hint(FaultCode.BROKER_REFUSED))
    assert "erased itself" not in receiver.output.getvalue()
    made.guard._announce(Cause.TAMPER)
    assert made.run_until(lambda: "cause: tamper" in receiver.output.getvalue())
    receiver.stop()
    assert receiver.output.getvalue().count(f"{device_id} erased itself") == 2  # when it came, and in the summary
    assert "rejected 1: wrong-signature" in receiver.output.getvalue()

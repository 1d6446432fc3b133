"""What the commands say of a unit that is out, or has a new key, is what a real Mosquitto did when it was asked."""

import json
import os
import shutil
import signal
import sqlite3

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from loopback_fleet import CLOCK, NOW, SITE
from pkcs11 import Attribute, ObjectClass

from cloud import broker_files, fleet_folder
from cloud.registry import Registry, State
from firmware import erasure, identity
from firmware.board.pkcs11_token import TokenKeys
from firmware.config import TokenConfig
from firmware.faults import ConfigRejected, DeviceFault
from firmware.outbox import Outbox
from firmware.retirement import Cause
from provisioning import broker_proof, installed_broker, retiring, revocation, unit
from provisioning.__main__ import main
from provisioning.broker_proof import NotProven, knock
from provisioning.certificates import present
from provisioning.erase_proof import Witness

NAME = "k-test0001"


@pytest.fixture
def folder(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id=NAME)
    return tmp_path / "unit"


@pytest.fixture
def conf(tmp_path):
    return ["--broker", str(tmp_path / broker_files.CONFIGURATION_NAME)]


def run(*words):
    return main([str(word) for word in words])


def revoke(fleet_path, *words):
    return run("fleet", "revoke", fleet_path, NAME, "--reason", "stolen", *words)


def entry(fleet_path):
    return Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(NAME)


def test_a_stolen_unit_is_proven_out_without_its_key(broker, conf, fleet_path, folder, capsys):
    assert revoke(fleet_path, *conf) == 0
    said = capsys.readouterr().out
    assert f"Proven: the broker let the office in and refused {NAME} (certificate revoked), called with its" in said
    # and it is true of the thief, who has the key
    answer = knock("localhost", broker.port, retiring.unit_tls(folder), NAME)
    assert not answer.is_in


def test_every_certificate_that_it_ever_had_is_tried(broker, conf, fleet_path, folder, capsys):
    for _ in range(2):
        unit.rotate(fleet_path, folder, NOW)
    assert revoke(fleet_path, *conf) == 0
    assert "called with its serial numbers (3)" in capsys.readouterr().out


def test_a_broker_that_does_not_know_yet_is_no_proof_and_says_what_to_do(
    broker, fleet_path, folder, capsys, monkeypatch
):
    monkeypatch.setattr(broker_proof, "SETTLE_S", 0.5)
    assert revoke(fleet_path, "--prove") == 1
    said = capsys.readouterr().err
    assert f"still lets {NAME} in" in said
    assert "systemctl reload mosquitto" in said
    assert entry(fleet_path).state is State.REVOKED
    os.kill(broker.pid, signal.SIGHUP)
    monkeypatch.setattr(broker_proof, "SETTLE_S", 5.0)
    assert revoke(fleet_path, "--prove") == 0
    assert "Proven" in capsys.readouterr().out


def test_one_certificate_that_is_missing_in_the_list_is_found(broker, conf, fleet_path, folder, monkeypatch):
    """The earlier certificate of a unit with a new key, whose serial number somebody took out of its entry."""
    unit.rotate(fleet_path, folder, NOW)
    path = fleet_path / fleet_folder.REGISTRY_FOLDER / f"{NAME}.json"
    whole = path.read_text()
    content = json.loads(whole)
    content["certificate_serials"] = content["certificate_serials"][:1]
    path.write_text(json.dumps(content))
    assert revoke(fleet_path, *conf) == 0
    content = json.loads(path.read_text()) | {"certificate_serials": json.loads(whole)["certificate_serials"]}
    path.write_text(json.dumps(content))
    monkeypatch.setattr(broker_proof, "SETTLE_S", 0.2)
    with pytest.raises(NotProven, match="still lets"):
        broker_proof.refused(fleet_path, NAME, present())
    with pytest.raises(ConfigRejected, match="does not name every certificate"):
        installed_broker.check_shut_out(fleet_path, fleet_path.parent / broker_files.CONFIGURATION_NAME, NAME)


def test_a_door_that_is_closed_for_everybody_proves_nothing(broker, fleet_path, folder, capsys):
    assert revoke(fleet_path) == 0
    (fleet_path / "broker" / "fleet-ca.crl").write_bytes(b"")  # with which Mosquitto lets nobody in, or does not start
    capsys.readouterr()
    broker.stop()
    assert revoke_proof(fleet_path) == "the broker could not be asked"


def revoke_proof(fleet_path):
    with pytest.raises(NotProven) as refused:
        broker_proof.refused(fleet_path, NAME, present())
    return str(refused.value).partition(":")[0]


def test_an_office_that_is_shut_out_itself_proves_nothing(broker, fleet_path, folder, tmp_path):
    """The broker of another fleet at this port refuses everybody of this one."""
    from provisioning import fleet  # noqa: PLC0415

    fleet.init(tmp_path / "other", host="localhost", port=broker.port, now=NOW)
    unit.enrol(tmp_path / "other", tmp_path / "theirs", SITE, NOW, device_id=NAME)
    for name in ("broker.crt", "broker.key"):  # a server that this fleet's office believes
        shutil.copy(fleet_path / "broker" / name, tmp_path / "other" / "broker" / name)
    broker.stop()
    broker._fleet_path = tmp_path / "other"
    broker.start()
    revocation.end(fleet_path, NAME, State.REVOKED, "stolen", present())
    assert "does not let the office in either" in revoke_proof(fleet_path)


def test_a_retired_unit_is_refused_with_its_own_key_which_is_nowhere_any_more(broker, conf, fleet_path, folder, capsys):
    key = (folder / "device.key").read_bytes()
    (folder / "notes.txt").write_text("not of the unit")
    assert run("unit", "retire", fleet_path, folder, "--reason", "worn out", *conf) == 0
    said = capsys.readouterr().out
    assert f"{len(key)} bytes of its keys are zeros now, 4 files are gone" in said
    assert "no piece of a key is in the 2 files that are left" in said
    assert (
        f"refused {NAME} (certificate revoked), called with the unit's own key and with its serial numbers (1)" in said
    )
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", erasure.MARK_NAME]


def test_a_unit_that_is_retired_far_from_the_broker_is_said_to_be_unproven(fleet_path, folder, capsys):
    assert run("unit", "retire", fleet_path, folder, "--reason", "worn out", "--prove") == 1
    said = capsys.readouterr()
    assert "is erased and out of the fleet" in said.out
    assert "the broker could not be asked: nothing listens at localhost" in said.err
    assert "Proven" not in said.out


def test_a_unit_with_a_new_key_is_let_in_and_the_old_end_is_said(broker, fleet_path, folder, capsys):
    old_end = entry(fleet_path).certificate_until_utc[:10]
    assert run("unit", "rotate", fleet_path, folder, "--prove") == 0
    said = capsys.readouterr().out
    assert f"The old certificate ends on {old_end}" in said
    assert f"what its key signed is taken until {entry(fleet_path).earlier_keys[0].accepted_until_utc[:10]}" in said
    assert f"Proven: the broker lets {NAME} in with its new certificate.\n" in said


def test_a_new_key_that_the_broker_refuses_is_said(broker, fleet_path, folder, capsys, monkeypatch):
    unit.rotate(fleet_path, folder, NOW)
    revocation.end(fleet_path, NAME, State.REVOKED, "stolen", present())
    os.kill(broker.pid, signal.SIGHUP)
    deadline_s = CLOCK.monotonic_s() + 5
    while knock("localhost", broker.port, retiring.unit_tls(folder), NAME).is_in:
        assert CLOCK.monotonic_s() < deadline_s
    with pytest.raises(NotProven, match="does not let k-test0001 in with its new certificate"):
        broker_proof.admitted(fleet_path, NAME, retiring.unit_tls(folder))


def test_a_unit_that_is_knocked_for_comes_back_and_goes_on(broker, make_unit, start_receiver, fleet_path, tmp_path):
    receiver, made = start_receiver(), make_unit()
    made.put()
    assert made.run_until(lambda: made.outbox.count() == 0)
    broker_proof.admitted(fleet_path, made.config.device_id, retiring.unit_tls(tmp_path / "unit"))
    made.skipped_s += 600.0
    made.put()
    assert made.run_until(lambda: made.outbox.count() == 0)
    receiver.stop()
    assert "2 stored, 0 duplicates" in receiver.output.getvalue()


@pytest.mark.parametrize("leave", ["key", "copy", "beside", "outbox"])
def test_an_erasure_that_left_something_is_not_called_one(folder, leave):
    pem = (folder / "device.key").read_bytes()
    with Witness(folder, None) as witness:
        if leave == "key":  # removed, not overwritten
            (folder / "device.key").unlink()
        erasure.erase(folder, Cause.TECHNICIAN)
        if leave == "copy":
            (folder / "device.key.old").write_bytes(pem)
        if leave == "beside":
            (folder / "cache").mkdir()
            raw = load_pem_private_key(pem, password=None).private_bytes_raw()
            (folder / "cache" / "page").write_bytes(bytes((1 << 20) - 5) + raw + bytes(100))
        if leave == "outbox":
            sqlite3.connect(folder / "outbox.db").close()
            (folder / "outbox.db").write_bytes(b"sealed")
        with pytest.raises(DeviceFault, match=r"is not erased: .*take its card out") as refused:
            witness.look()
    assert "PRIVATE" not in str(refused.value)


def test_the_files_of_an_outbox_go_and_are_counted(folder):
    settings = {"capacity_bytes": 10_000_000, "retention_s": 1e6}
    from made_reads import KernelRandom, SetClock  # noqa: PLC0415

    Outbox(folder / "outbox.db", clock=SetClock(), system=KernelRandom(), **settings).close()
    with Witness(folder, None) as witness:
        erasure.erase(folder, Cause.TECHNICIAN)
        found = witness.look()
    assert found.removed_files == 5
    assert (found.searched_files, found.token_keys) == (1, None)


def test_the_keys_of_a_token_are_gone_too(fleet_path, tmp_path, token: TokenConfig, capsys):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id=NAME, token=token)
    keys = TokenKeys(token)
    assert keys.count() == 1
    assert run("unit", "retire", fleet_path, tmp_path / "unit", "--reason", "worn out") == 0
    assert "Keys destroyed in its token: 1; none is left there." in capsys.readouterr().out
    with keys.session() as session:
        assert list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})) == []


def test_a_token_that_kept_its_key_is_told(fleet_path, tmp_path, token: TokenConfig):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id=NAME, token=token)
    with Witness(tmp_path / "unit", token) as witness:
        erasure.erase(tmp_path / "unit", Cause.TECHNICIAN)  # nobody said that there is a token
        with pytest.raises(DeviceFault, match="the token still has a key"):
            witness.look()
    assert identity.KEY_NAME not in {path.name for path in (tmp_path / "unit").iterdir()}

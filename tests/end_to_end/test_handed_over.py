"""A simulated unit is handed over: looked through, signed, sent through a real broker, kept and verified."""

import json
import stat
import subprocess
import sys

import pytest
from loopback_fleet import NOW, SITE
from made_handovers import leave_all, made_photo

from cloud import handover
from cloud.__main__ import main as cloud
from cloud.store import ReadStore
from firmware import config, identity
from firmware.erasure import erase
from firmware.papers import PaperKind
from firmware.retirement import Cause
from provisioning import handover_folder, unit
from provisioning.__main__ import main

PLACES = ("37.25", "-122.1")


@pytest.fixture
def unit_folder(fleet_path, tmp_path):
    folder = tmp_path / "unit"
    unit.enrol(fleet_path, folder, SITE, NOW)
    return folder


@pytest.fixture
def office(broker, start_receiver):
    """The broker, and the receiver that hears it."""
    return start_receiver()


def accept(unit_folder, *words):
    given = ["--by", "Ana Lee", "--rear-plates-only", "yes", "--board", "sim", "--seconds", "15"]
    return main(["accept", str(unit_folder), *given, *map(str, words)])


def prepared(unit_folder):
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    leave_all(unit_folder, settings.device_id, settings.site, NOW)
    return settings.device_id


def test_a_unit_is_handed_over_and_the_office_has_the_record(office, fleet_path, unit_folder, tmp_path, capsys):
    receiver, device_id = office, prepared(unit_folder)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(made_photo())
    assert accept(unit_folder, "--photo", photo, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert said.out.count("the unit is handed over") == 1
    receiver.stop()
    lines = [line for line in receiver.output.getvalue().splitlines() if device_id in line]
    assert len(lines) == 1
    assert lines[0].endswith("hand-over of Test Street, accepted by Ana Lee; signed by the unit")
    with ReadStore(receiver.store_path) as store:
        assert store.count() == 0
        (document,) = store.documents(PaperKind.HANDOVER)
    folder = handover_folder.folder_of(unit_folder)
    (record_path,), (page_path,) = list(folder.glob("accepted-*.json")), list(folder.glob("accepted-*.pdf"))
    assert handover.unpacked(document.content) == (record_path.read_bytes(), page_path.read_bytes())
    record = handover.decode(record_path.read_bytes()).record
    assert (record.site, record.despite, [one.taken_by for one in record.photos]) == (SITE, (), ["technician", "unit"])
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    out = tmp_path / "office"
    kept = ["--folder", str(fleet_path), "--store", str(receiver.store_path), "--out", str(out)]
    assert cloud(["handovers", *kept]) == 0
    (copy,) = out.glob("*.json")
    assert main(["verify", str(copy), "--fleet", str(fleet_path)]) == 0
    assert main(["verify", str(copy), "--unit-certificate", str(unit_folder / identity.CERTIFICATE_NAME)]) == 0
    assert f"{device_id} of the fleet" in (shown := capsys.readouterr().out)
    names = " ".join(path.name for path in tmp_path.rglob("*"))
    for place in PLACES:
        assert place not in said.out + said.err + shown + receiver.output.getvalue() + names
        assert place in copy.read_text()


def test_without_signal_the_record_waits_and_the_service_delivers_it(
    broker, start_receiver, unit_folder, make_unit, capsys
):
    prepared(unit_folder)
    broker.stop()
    assert accept(unit_folder, "--seconds", 2) == 0
    assert "it waits in the outbox" in capsys.readouterr().out
    broker.start()
    receiver, service = start_receiver(), make_unit()
    assert service.outbox.count() >= 1
    assert service.run_until(lambda: service.outbox.count() == 0)
    receiver.stop()
    with ReadStore(receiver.store_path) as store:
        assert len(store.documents(PaperKind.HANDOVER)) == 1


def test_what_is_amiss_is_in_the_record_with_its_reason(broker, start_receiver, unit_folder, capsys):
    receiver = start_receiver()
    prepared(unit_folder)
    handover_folder.answer_path(unit_folder, handover.Step.AIM).unlink()
    assert accept(unit_folder) == 2
    assert "The camera was not aimed: run `kestrel-provision aim" in capsys.readouterr().err
    assert accept(unit_folder, "--despite", "the lane opens tomorrow") == 0
    receiver.stop()
    with ReadStore(receiver.store_path) as store:
        (document,) = store.documents(PaperKind.HANDOVER)
    record = handover.decode(handover.unpacked(document.content)[0]).record
    assert (record.despite, record.reason) == (("The camera was not aimed",), "the lane opens tomorrow")


def test_another_unit_s_key_is_not_taken_for_this_one_s(fleet_path, unit_folder, tmp_path, capsys):
    prepared(unit_folder)
    assert accept(unit_folder, "--seconds", 1) == 0
    (record_path,) = handover_folder.folder_of(unit_folder).glob("accepted-*.json")
    other = tmp_path / "other"
    unit.enrol(fleet_path, other, SITE, NOW)
    capsys.readouterr()
    assert main(["verify", str(record_path), "--unit-certificate", str(other / identity.CERTIFICATE_NAME)]) == 1
    assert "another unit signed it" in capsys.readouterr().err


def test_a_key_in_a_token_signs_the_record_too(fleet_path, tmp_path, token, capsys):
    folder = tmp_path / "tokened"
    unit.enrol(fleet_path, folder, SITE, NOW, token=token)
    prepared(folder)
    assert accept(folder, "--seconds", 1) == 0
    (record_path,) = handover_folder.folder_of(folder).glob("accepted-*.json")
    assert main(["verify", str(record_path), "--fleet", str(fleet_path)]) == 0
    assert json.loads(record_path.read_bytes())["record"]["versions"]["Signing key"].startswith("pkcs11")


def test_erasing_the_unit_takes_its_record_too(fleet_path, unit_folder):
    prepared(unit_folder)
    assert accept(unit_folder, "--seconds", 1) == 0
    erase(unit_folder, Cause.TECHNICIAN)
    assert [path.name for path in unit_folder.iterdir()] == ["retired"]


def test_the_office_on_this_machine_serves_a_fleet_until_it_is_told_to_stop(fleet_path, unit_folder, capsys):
    prepared(unit_folder)
    command = [sys.executable, "-m", "hw_sim", "office", str(fleet_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as office:
        try:
            assert office.stdout.readline().startswith("Receiving from localhost")
            assert accept(unit_folder) == 0
            assert "has confirmed it" in capsys.readouterr().out
        finally:
            office.terminate()
        rest = office.stdout.read()
        assert office.wait(20) == 0
    assert "signed by the unit" in rest


def test_the_office_says_what_it_cannot_serve(tmp_path):
    assert main(["fleet", "init", str(tmp_path / "fleet"), "--host", "broker.example"]) == 0
    for folder, words in ((tmp_path / "fleet", "--host localhost"), (tmp_path / "none", "fleet init")):
        ended = subprocess.run(
            [sys.executable, "-m", "hw_sim", "office", str(folder)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 2
        assert words in ended.stderr

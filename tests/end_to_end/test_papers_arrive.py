"""Papers through a real broker: sealed, sent in parts, confirmed by the receiver, and never taken for reads."""

import os

import msgspec
import pytest
from loopback_fleet import NOW, SITE

from cloud.store import ReadStore
from firmware import config, identity, sole_use
from firmware.__main__ import main as service
from firmware.command_line import EXIT_FAULT
from firmware.config import GuardConfig
from firmware.faults import DeviceFault, Retired
from firmware.papers import MAX_PART_BYTES, PaperKind
from hw_sim.__main__ import main as simulated_service
from hw_sim.board import open_unit
from hw_sim.surroundings import World
from provisioning import handover_folder, retiring, round_trip, unit


@pytest.fixture
def unit_folder(fleet_path, tmp_path):
    folder = tmp_path / "unit"
    unit.enrol(fleet_path, folder, SITE, NOW)
    return folder


@pytest.fixture
def send(unit_folder):
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    opened = open_unit(settings, unit_folder, World(passes=1))
    said = []

    def trip(document, kind=PaperKind.TEST, timeout_s=20.0):
        made = round_trip.send(
            unit_folder, opened.board, settings, document, kind, timeout_s=timeout_s, on_progress=said.append
        )
        return made, said

    yield trip
    for trigger in opened.board.triggers:
        trigger.close()


def test_a_test_read_comes_back_confirmed_and_is_no_read(broker, start_receiver, send, unit_folder):
    receiver = start_receiver()
    trip, said = send(b"a test")
    assert trip.hint == ""
    assert 0 < trip.acknowledged_s <= trip.confirmed_s < 10
    assert said[0].startswith("The document is sealed")
    assert said[-1].startswith("The receiver has confirmed it")
    again, _ = send(b"a test")
    assert again.confirmed_s is not None
    assert again.sequence > trip.sequence
    receiver.stop()
    with ReadStore(receiver.store_path) as store:
        assert store.count() == 0
        assert store.reads(9) == []
        assert [one.content for one in store.documents(PaperKind.TEST)] == [b"a test"]
    device_id = config.load(unit_folder / identity.CONFIG_NAME).device_id
    told = [line for line in receiver.output.getvalue().splitlines() if device_id in line]
    assert len(told) == 1
    assert "test" in told[0]


def test_a_long_document_goes_in_parts_and_arrives_whole(broker, start_receiver, send):
    receiver = start_receiver()
    document = os.urandom(5 * MAX_PART_BYTES + 17)
    trip, said = send(document)
    assert trip.hint == ""
    assert any("of 6 parts" in sentence for sentence in said)
    receiver.stop()
    with ReadStore(receiver.store_path) as store:
        assert [one.content for one in store.documents(PaperKind.TEST)] == [document]


def test_what_waits_goes_along_behind_the_document(broker, start_receiver, send, make_unit):
    earlier = make_unit()
    earlier.put(3)
    earlier.close()
    receiver = start_receiver()
    for document in (b"a test", b"another, behind the reads"):
        assert send(document)[0].hint == ""
    receiver.stop()
    with ReadStore(receiver.store_path) as store:
        assert store.count() == 3


def test_without_a_broker_the_document_waits_and_the_hint_says_so(send, make_unit):
    trip, said = send(b"a test", timeout_s=2.0)
    assert (trip.acknowledged_s, trip.confirmed_s) == (None, None)
    assert "it waits in the outbox and goes by itself" in trip.hint
    assert "check" in trip.hint
    assert any(sentence.startswith("No answer yet") for sentence in said)
    assert make_unit().outbox.holds(trip.sequence)


def test_without_a_receiver_the_broker_has_it_and_the_hint_asks_for_the_office(broker, send):
    trip, _ = send(b"a test", timeout_s=4.0)
    assert trip.acknowledged_s is not None
    assert trip.confirmed_s is None
    assert "kestrel-cloud receive" in trip.hint


def test_while_the_service_runs_nothing_is_sent(send, unit_folder):
    with sole_use.held(unit_folder / identity.OUTBOX_NAME), pytest.raises(DeviceFault, match="stop its service"):
        send(b"a test")


def test_while_the_tool_works_the_service_says_so_and_ends(unit_folder, capsys):
    with sole_use.held(unit_folder / identity.OUTBOX_NAME):
        assert service(["--folder", str(unit_folder)]) == EXIT_FAULT
        assert simulated_service(["device", "--folder", str(unit_folder), "--passes", "1"]) == EXIT_FAULT
    assert capsys.readouterr().err.count("another program works as this unit; stop its service") == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder away")
def test_what_a_tool_under_sudo_leaves_belongs_to_the_service(unit_folder):
    service_user = 54_321
    for path in (unit_folder, *unit_folder.iterdir()):
        os.chown(path, service_user, service_user)
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    opened = open_unit(settings, unit_folder, World(passes=1))
    round_trip.send(
        unit_folder, opened.board, settings, b"a test", PaperKind.TEST, timeout_s=0.5, on_progress=lambda _: None
    )
    handover_folder.keep(unit_folder, "aim.json", b"{}")
    assert {path.stat().st_uid for path in unit_folder.rglob("*")} == {service_user}
    assert (unit_folder / identity.OUTBOX_NAME).exists()
    for line in opened.board.triggers:
        line.close()


def test_a_lid_that_is_open_while_somebody_works_at_the_unit_erases_nothing(unit_folder):
    path = unit_folder / identity.CONFIG_NAME
    settings = msgspec.structs.replace(config.load(path), guard=GuardConfig(tamper_pin=5))
    path.write_bytes(config.encode(settings))
    opened = open_unit(settings, unit_folder, World(passes=1))
    opened.lid.open()
    round_trip.send(
        unit_folder, opened.board, settings, b"a test", PaperKind.TEST, timeout_s=1.0, on_progress=lambda _: None
    )
    assert (unit_folder / "device.key").exists()
    for line in opened.board.triggers:
        line.close()


def test_a_unit_that_is_told_to_erase_itself_does_so_here_too(broker, start_receiver, send, unit_folder, fleet_path):
    start_receiver()
    assert send(b"a test")[0].hint == ""
    device_id = config.load(unit_folder / identity.CONFIG_NAME).device_id
    retiring.command(fleet_path, device_id, NOW, wait_s=1.0)  # the unit is away: the broker keeps it

    def send_some():  # the command may come a moment after a receipt
        for _ in range(3):
            send(b"another", timeout_s=5.0)

    with pytest.raises(Retired):
        send_some()
    assert not (unit_folder / "device.key").exists()

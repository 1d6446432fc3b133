"""Pictures of vehicles through a real broker: asked for with case and reason, sealed all the way, of that vehicle."""

import contextlib
import signal
import subprocess
import sys
import threading
import uuid

import cv2
import msgspec
import numpy as np
import pytest
from loopback_fleet import CLOCK, NOW, SITE
from made_readings import a_frame, a_reading
from made_vehicles import PICTURE, request_for
from mqtt_visitor import Visitor

from cloud import fleet_folder
from cloud.__main__ import main
from cloud.store import ReadStore
from firmware import app, config, identity
from firmware.app import MODELS_FOLDER
from firmware.config import PicturesConfig
from firmware.picture_requests import PictureOutcome, sign_request
from firmware.recognition import PlateReader
from firmware.records import MessageClass, TakenVehicle
from firmware.sealing import uuid7
from firmware.topics import receipt_topic
from hw_sim.board import open_unit
from hw_sim.surroundings import World
from provisioning import unit

WHY = ["--case", "24-1177", "--reason", "hit and run", "--by", "Ana Lee"]
LIMIT_S = 90.0


@pytest.fixture
def office(fleet_path, tmp_path, capsys):
    """Run `kestrel-cloud WORDS`; return its exit code and what it said."""

    def run(command, *words):
        code = main([command, *map(str, words), "--folder", str(fleet_path), "--store", str(tmp_path / "reads.db")])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def outcome(tmp_path):
    def of(device_id, read_id):
        with ReadStore(tmp_path / "reads.db") as store:
            return store.pictures.outcome(device_id, read_id)

    return of


def until(condition):
    """Wait for `condition()` to be true, LIMIT_S at most; return what it was."""
    pause, deadline_s = threading.Event(), CLOCK.monotonic_s() + LIMIT_S
    while not (found := condition()) and CLOCK.monotonic_s() < deadline_s:
        pause.wait(0.2)
    return found


@contextlib.contextmanager
def camera(folder):
    """A unit before a road on which vehicles pass without end."""
    words = [sys.executable, "-m", "hw_sim", "device", "--folder", str(folder), "--log-level", "warning"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as running:
        try:
            yield
        finally:
            running.send_signal(signal.SIGTERM)


def test_the_picture_of_one_vehicle_comes_on_request_and_shows_it(broker, fleet_path, start_receiver, office, tmp_path):
    folder = tmp_path / "unit"
    unit.enrol(fleet_path, folder, SITE, NOW)
    device_id = config.load(folder / identity.CONFIG_NAME).device_id
    receiver = start_receiver()

    def sure_read():
        with ReadStore(receiver.store_path) as store:
            return next((read for read in store.reads(20) if read.plate and not read.partial), None)

    def has_come():
        with ReadStore(receiver.store_path) as store:
            return store.pictures.outcome(device_id, read.read_id)

    with camera(folder):
        read = until(sure_read)
        assert office("request-picture", read.read_id, *WHY) == (
            0,
            f"The request is logged; `kestrel-cloud receive` asks {device_id} now, and again until it answers.\n",
        )
        assert until(lambda: has_come() is not None)
    receiver.stop()
    assert has_come() is PictureOutcome.HERE
    assert f"picture of the vehicle of read {read.read_id}: it is here" in receiver.output.getvalue()
    code, said = office("list", "--ids", "--pictures", tmp_path / "plates")
    assert (code, "1 pictures of vehicles are here too" in said) == (0, True)
    assert not list((tmp_path / "plates").glob("*-vehicle.png"))
    code, said = office("list", "--ids", "--pictures", tmp_path / "all", *WHY)
    assert code == 0
    assert [line.split()[-1] for line in said.splitlines() if str(read.read_id) in line] == ["here"]
    (path,) = (tmp_path / "all").glob("*-vehicle.png")
    image = cv2.imread(str(path))
    assert image.shape[1] <= 480
    (plate, *_) = PlateReader.load(MODELS_FOLDER, detection_score_ratio=0.45).read(image, frame_number=0, at_s=0.0)
    assert plate.text == read.plate
    rows = office("requests")[1].splitlines()[1:]
    assert [row.split()[3] for row in rows] == ["asked", "shown"]
    assert all("24-1177" in row and "Ana Lee" in row and row.endswith("it is here; hit and run") for row in rows)
    kept = list((folder / identity.VEHICLES_FOLDER).iterdir())
    assert kept
    assert not [one for one in kept if b"JFIF" in one.read_bytes() or read.plate.encode() in one.read_bytes()]


def test_a_request_without_a_reason_or_for_no_stored_read_is_refused(broker, make_unit, start_receiver, office):
    made, receiver = make_unit(), start_receiver()
    made.put()
    assert made.run_until(lambda: made.outbox.count() == 0)
    receiver.stop()
    unknown = uuid.uuid4()
    code, said = office("request-picture", unknown, *WHY)
    assert (code, "holds no read of this id" in said) == (2, True)
    for missing in range(0, 6, 2):
        with pytest.raises(SystemExit):
            office("request-picture", unknown, *WHY[:missing], *WHY[missing + 2 :])
    with pytest.raises(SystemExit):
        office("request-picture", unknown, *WHY[:4], "--by", " ")
    code, said = office("list", "--pictures", "x", *WHY[:2])
    assert (code, "go together" in said) == (2, True)
    assert len(office("requests")[1].splitlines()) == 1


def seal(made, read, *, is_alert=False):
    """Let the vehicle of a sealed read be pictured."""
    sealed = made.sealer.seal_vehicle(PICTURE, read, clock_trusted=True)
    made.vehicles.taken.put(TakenVehicle(sealed=sealed, is_alert=is_alert))


def test_a_read_of_which_there_is_none_is_answered_and_the_picture_never_goes_before_reads(
    broker, make_unit, start_receiver, office, outcome
):
    made, receiver = make_unit(), start_receiver()
    with_picture, without = made.put(2)
    seal(made, with_picture)
    assert made.run_until(lambda: made.outbox.count() == 0)
    for read in (with_picture, without):
        assert office("request-picture", read.read_id, *WHY)[0] == 0
    device_id = made.config.device_id
    assert made.run_until(lambda: outcome(device_id, without.read_id) is not None, 20.0)
    assert made.run_until(lambda: outcome(device_id, with_picture.read_id) is not None, 20.0)
    assert outcome(device_id, without.read_id) is PictureOutcome.NEVER
    assert outcome(device_id, with_picture.read_id) is PictureOutcome.HERE
    assert made.run_until(lambda: made.outbox.count() == 0)
    assert "The unit has answered before: none was taken" in office("request-picture", without.read_id, *WHY)[1]
    assert "It is here" in office("request-picture", with_picture.read_id, *WHY)[1]
    receiver.stop()
    assert "2 answers about pictures of vehicles" in receiver.output.getvalue()


def test_with_an_alert_the_picture_comes_unasked(broker, make_unit, start_receiver, outcome):
    made = make_unit()
    start_receiver()
    (read,) = made.put(1, message_class=MessageClass.ALERT)
    seal(made, read, is_alert=True)
    assert made.run_until(lambda: outcome(made.config.device_id, read.read_id) is PictureOutcome.HERE, 20.0)


def test_a_request_waits_for_a_unit_that_is_away(broker, make_unit, start_receiver, office, outcome):
    made = make_unit()
    start_receiver()
    (read,) = made.put()
    seal(made, read)
    assert made.run_until(lambda: made.outbox.count() == 0)
    assert made.cut_connection()
    assert office("request-picture", read.read_id, *WHY)[0] == 0
    threading.Event().wait(2.0)  # the receiver asks within a second; the broker keeps it
    made.skipped_s += 70.0
    assert made.run_until(lambda: outcome(made.config.device_id, read.read_id) is PictureOutcome.HERE, 30.0)


def test_forged_foreign_and_replayed_requests_bring_nothing(broker, fleet_path, make_unit):
    """Whoever may publish on the topic of receipts, which is the receiver alone, still needs the agency's key."""
    made, other = make_unit(), make_unit("other")
    (read,) = made.put()
    seal(made, read)
    made.run_until(lambda: made.acknowledged() == 1)
    device_id, now_utc_ms = made.config.device_id, CLOCK.utc_ms()
    own = (fleet_folder.RECEIVER_CERTIFICATE.name, fleet_folder.RECEIVER_KEY.name)
    visitor = Visitor(fleet_path / fleet_folder.RECEIVER_FOLDER, broker.port, own=own)
    agency = fleet_folder.receipt_key(fleet_path)
    forged = sign_request(request_for(read.read_id, now_utc_ms, device_id), other.identity.device_key)
    foreign = sign_request(request_for(read.read_id, now_utc_ms, other.config.device_id), agency)
    old = sign_request(request_for(read.read_id, now_utc_ms - 8 * 86_400_000, device_id), agency)
    good = sign_request(request_for(read.read_id, now_utc_ms, device_id), agency)
    never = sign_request(request_for(uuid7(now_utc_ms, bytes(10)), now_utc_ms, device_id), agency)
    for document in (forged, foreign, old):
        assert visitor.publish(receipt_topic(device_id), document) == "Success"
    assert made.run_until(lambda: (made.uplink.rejected_receipts, made.vehicles.rejected_requests) == (2, 1))
    assert made.vehicles.answered == 0
    for _ in range(5):
        visitor.publish(receipt_topic(device_id), good)
        visitor.publish(receipt_topic(device_id), never)
    made.run_until(lambda: False, 2.0)
    assert made.vehicles.answered == 2
    assert made.outbox.count_of(MessageClass.PICTURE) == 2
    visitor.leave()


@pytest.mark.parametrize("hours", [0, 72])
def test_where_the_configuration_says_so_no_picture_is_ever_taken(fleet_path, tmp_path, hours):
    folder = tmp_path / "unit"
    unit.enrol(fleet_path, folder, SITE, NOW)
    settings = msgspec.structs.replace(
        config.load(folder / identity.CONFIG_NAME), pictures=PicturesConfig(vehicle_hours=hours)
    )
    opened = open_unit(settings, folder, World(passes=1))
    recogniser = PlateReader.load(MODELS_FOLDER, detection_score_ratio=0.45)
    machine = app.build(opened.board, settings, folder, recogniser)
    frame = np.full((1088, 1456, 3), 128, np.uint8)
    for number in range(3):
        machine.reading.tracker.see(a_frame(number, frame), [a_reading("7ABC123", number=number)])
    (passage,) = machine.reading.tracker.end_all()
    assert (passage.vehicle is None) is (hours == 0)
    machine.outbox.close()
    for trigger in opened.board.triggers:
        trigger.close()

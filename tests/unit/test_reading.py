import logging
import threading

import kept_messages
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import made_sealer

from cloud.opening import open_read, open_vehicle
from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware.agency_keys import SuiteNumber
from firmware.board.linux import LinuxSystem
from firmware.board.pkcs11_token import TokenKeys
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.outbox import Outbox
from firmware.reading import UNSTORED_AT_MOST, ReadingStage, is_picture
from firmware.records import Box, Character, MessageClass, Reading
from firmware.sealing import from_wire
from firmware.stage import NEVER_S, Mailbox
from firmware.tracking import ENOUGH_READINGS
from hw_sim.runner import EPOCH_UTC_MS, VirtualClock
from tests.made_readings import a_frame

PLATE = "7ABC123"
PICTURE = np.full((120, 160, 3), 128, np.uint8)


class ScriptedReader:
    """Answers with the plate that the test lays under a frame number."""

    version = "scripted-1"

    def __init__(self, script):
        self.script = script

    def read(self, image, *, frame_number, at_s):
        text = self.script.get(frame_number)
        if text is None:
            return []
        return [
            Reading(
                frame_number=frame_number,
                at_s=at_s,
                box=Box(x_px=40, y_px=40, w_px=60, h_px=30, score_ratio=0.9),
                characters=tuple(Character(char, 0.95) for char in text),
                score_ratio=0.9,
                region=None,
                region_score_ratio=0.0,
            )
        ]


class RefusingOutbox:
    """An outbox on a disk that is full until the test makes room."""

    def __init__(self):
        self.is_full, self.kept, self.sequence, self.numbers_refused = True, [], 0, False

    def reserve_sequence(self):
        if self.numbers_refused:
            raise DeviceFault(FaultCode.STORAGE_REFUSED, "the disk is full")
        self.sequence += 1
        return self.sequence

    def put(self, sealed):
        if self.is_full:
            raise DeviceFault(FaultCode.STORAGE_REFUSED, "the disk is full")
        self.kept.append(sealed)
        return True


def bench_frame(number, image=PICTURE, *, rate_hz=8):
    return a_frame(number, image, rate_hz=rate_hz, start_utc_ms=EPOCH_UTC_MS)


class Bench:
    def __init__(self, config, outbox, script, device_key=None, clock=None, *, vehicles=None):
        opening_key, self.device_key = (
            OpeningKey.generate(SuiteNumber.X25519),
            device_key or Ed25519PrivateKey.generate(),
        )
        self.opening_keys = OpeningKeys([opening_key])
        self.faults = FaultBook()
        self.outbox = outbox
        sealer = made_sealer(self.device_key, opening_key, device_id=config.device_id)
        self.stage = ReadingStage(
            ScriptedReader(script),
            sealer,
            outbox,
            clock=clock or VirtualClock(),
            system=LinuxSystem(),
            config=config,
            faults=self.faults,
            vehicles=vehicles,
        )

    def show(self, number, image=PICTURE, *, rate_hz=8):
        frame = bench_frame(number, image, rate_hz=rate_hz)
        self.stage.frames.put(frame)
        return self.stage.step(frame.at_s)


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(
        tmp_path / "outbox.db", capacity_bytes=10**6, retention_s=86400.0, clock=VirtualClock(), system=LinuxSystem()
    )
    yield box
    box.close()


def test_a_passage_becomes_one_sealed_read_that_the_agency_opens(device_config, outbox):
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE, 2: PLATE})
    for number in range(3):
        bench.show(number)
    assert bench.stage.step(0.5) == pytest.approx(2 / 8 + 0.7)
    assert outbox.count() == 0
    assert bench.stage.step(1.0) == NEVER_S
    (waiting,) = outbox.next_unsent(10, 1.0)
    read = open_read(from_wire(waiting.wire), bench.opening_keys)
    assert read.passage.plate.text == PLATE
    assert (read.passage.first_utc_ms, read.passage.last_utc_ms) == (EPOCH_UTC_MS, EPOCH_UTC_MS + 250)
    assert read.passage.picture.data[4:12] == b"ftypavif"
    assert (read.device_id, read.model_version, read.config_version) == ("k-test0001", "scripted-1", 1)
    assert read.read_id.version == 7
    assert read.read_id.int >> 80 == read.passage.last_utc_ms


def only_read(bench):
    (waiting,) = bench.outbox.next_unsent(10, 1e6)
    return open_read(from_wire(waiting.wire), bench.opening_keys)


def untrusted_frames(bench):
    """Show a plate twice while the clock, which nobody has set, says 1998."""
    for number in range(2):
        frame = a_frame(number, PICTURE, rate_hz=8, start_utc_ms=900_000_000_000, clock_trusted=False)
        bench.stage.frames.put(frame)
        bench.stage.step(frame.at_s)


def test_a_clock_that_is_set_before_a_passage_is_sealed_sets_it_right(device_config, outbox, caplog):
    caplog.set_level(logging.INFO)
    clock = VirtualClock(utc_ms=EPOCH_UTC_MS + 77_000, boot_id=b"thisboot")
    clock.distrust()
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE}, clock=clock)
    untrusted_frames(bench)
    clock.advance_to(2.0)
    clock.trust()
    bench.stage.step(2.0)
    read = only_read(bench)
    assert read.passage.clock_trusted
    assert (read.passage.first_utc_ms, read.passage.last_utc_ms) == (EPOCH_UTC_MS + 77_000, EPOCH_UTC_MS + 77_125)
    assert read.read_id.int >> 80 == EPOCH_UTC_MS + 77_125
    assert (read.boot_id, read.passage.last_boot_ms) == (b"thisboot", 125)
    assert "1.9 s after" in caplog.text


def test_a_passage_sealed_before_the_clock_is_set_says_so_and_when_after_which_start(device_config, outbox):
    clock = VirtualClock(boot_id=b"thisboot")
    clock.distrust()
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE}, clock=clock)
    untrusted_frames(bench)
    bench.stage.step(2.0)
    read = only_read(bench)
    assert not read.passage.clock_trusted
    assert read.passage.last_utc_ms == 900_000_000_125
    assert (read.boot_id, read.passage.last_boot_ms) == (b"thisboot", 125)


def test_a_wall_clock_that_begins_at_zero_stops_nothing(device_config, outbox):
    clock = VirtualClock(utc_ms=0)
    clock.distrust()
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE}, clock=clock)
    for number in range(2):
        frame = a_frame(number, PICTURE, rate_hz=8, start_utc_ms=0, clock_trusted=False)
        bench.stage.frames.put(frame)
        bench.stage.step(frame.at_s)
    bench.stage.step(2.0)
    assert only_read(bench).passage.first_utc_ms == 0


def test_no_log_line_and_no_file_holds_the_plate(device_config, outbox, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE})
    bench.show(0)
    bench.show(1)
    bench.stage.step(1.125)
    assert bench.stage.reads_sealed == 1
    assert "is sealed and stored 1.0 s after" in caplog.text
    assert PLATE not in caplog.text
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert written
    assert PLATE.encode() not in written
    assert b"\xff\xd8\xff" not in written


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 160, 3), np.uint8),
        np.zeros((120, 160), np.uint8),
        np.zeros((120, 160, 4), np.uint8),
        np.zeros((120, 160, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (70000, 160, 3)),
        np.broadcast_to(np.uint8(0), (120, 160, 3)),
        np.zeros((120, 160, 3), np.uint8)[::-1],
        np.zeros((120, 320, 3), np.uint8)[:, ::2],
        None,
    ],
)
def test_what_is_no_picture_is_counted_and_dropped(device_config, outbox, image):
    bench = Bench(device_config, outbox, {0: PLATE})
    assert not is_picture(image)
    assert bench.show(0, image) == 0.0
    assert bench.stage.frames_rejected == 1
    assert bench.stage.frames_read == 0


def test_one_frame_a_step_so_that_the_heartbeat_shows(device_config, outbox):
    bench = Bench(device_config, outbox, {})
    bench.show(0)
    for number in (1, 2):
        bench.stage.frames.put(bench_frame(number))
    assert bench.stage.step(5.0) == 5.0
    assert bench.stage.frames_read == 2
    assert bench.stage.step(5.0) == 5.0
    assert bench.stage.step(5.0) == NEVER_S


def test_of_a_plate_read_often_enough_one_frame_in_a_tenth_of_a_second_is_read(device_config, outbox):
    bench = Bench(device_config, outbox, dict.fromkeys(range(30), PLATE))
    for number in range(ENOUGH_READINGS):
        bench.show(number, rate_hz=35)
    assert bench.stage.frames_read == ENOUGH_READINGS
    for number in range(ENOUGH_READINGS, ENOUGH_READINGS + 16):
        bench.show(number, rate_hz=35)
    assert bench.stage.frames_passed_over == 12  # three of four
    assert bench.stage.frames_read == ENOUGH_READINGS + 4


def test_frames_of_what_is_new_are_all_read(device_config, outbox):
    bench = Bench(device_config, outbox, dict.fromkeys(range(ENOUGH_READINGS - 1), PLATE))
    for number in range(15):  # after the first it shows nothing that is a plate
        bench.show(number, rate_hz=30)
    assert bench.stage.frames_passed_over == 0


def test_closing_reads_what_waits_and_seals_what_was_seen(device_config, outbox):
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE})
    bench.show(0)
    bench.stage.frames.put(bench_frame(1))
    bench.stage.close()
    assert outbox.count() == 1
    assert bench.stage.frames_read == 2


def test_a_disk_that_refuses_keeps_sealed_reads_in_memory_until_it_takes_them(device_config):
    outbox = RefusingOutbox()
    bench = Bench(device_config, outbox, {0: PLATE})
    bench.show(0)
    assert bench.stage.step(2.0) == 12.0
    assert [report.code for report in bench.faults.reports()] == [FaultCode.STORAGE_REFUSED]
    assert bench.stage.step(5.0) == 12.0
    outbox.is_full = False
    assert bench.stage.step(12.0) == NEVER_S
    assert len(outbox.kept) == 1
    assert bench.faults.reports() == []
    assert bench.stage.reads_lost == 0


def test_memory_for_unstored_reads_is_bounded_and_losses_are_counted(device_config):
    outbox = RefusingOutbox()
    passes = UNSTORED_AT_MOST + 5
    plates = {number * 80: f"AB{number * 37:04d}" for number in range(passes)}
    bench = Bench(device_config, outbox, plates)
    for number in plates:
        bench.show(number)
    bench.stage.step(1e6)
    outbox.is_full = False
    bench.stage.step(2e6)
    assert len(outbox.kept) == UNSTORED_AT_MOST
    assert bench.stage.reads_lost == 5
    assert [sealed.sequence for sealed in outbox.kept] == list(range(6, passes + 1))


def test_of_what_waits_in_memory_the_oldest_of_the_lowest_class_is_given_up(device_config):
    outbox = RefusingOutbox()
    bench = Bench(device_config, outbox, {})
    classes = [MessageClass.ALERT, MessageClass.READ] * (UNSTORED_AT_MOST // 2) + [MessageClass.ALERT] * 3
    bench.stage._unstored.extend(kept_messages.sealed(number, one) for number, one in enumerate(classes))
    bench.stage._store(0.0)
    outbox.is_full = False
    bench.stage._store(10.0)
    assert bench.stage.reads_lost == 3
    assert [sealed.sequence for sealed in outbox.kept] == [n for n in range(len(classes)) if n not in (1, 3, 5)]


def test_without_a_number_a_read_is_lost_and_counted(device_config):
    outbox = RefusingOutbox()
    outbox.numbers_refused = True
    bench = Bench(device_config, outbox, {0: PLATE})
    bench.show(0)
    bench.stage.step(2.0)
    assert bench.stage.reads_lost == 1
    assert [report.code for report in bench.faults.reports()] == [FaultCode.STORAGE_REFUSED]


def test_a_token_without_its_key_costs_the_read_and_not_the_service(device_config, outbox, token):
    keys = TokenKeys(token)
    bench = Bench(device_config, outbox, {0: PLATE, 1: PLATE}, keys.prepare(None))
    keys.erase()
    bench.show(0)
    bench.show(1)
    assert bench.stage.step(1.125) == NEVER_S
    assert (bench.stage.reads_lost, bench.stage.reads_sealed, outbox.count()) == (1, 0, 0)
    assert [report.code for report in bench.faults.reports()] == [FaultCode.KEY_UNUSABLE]


class AlertSealer:
    """Seals as the unit does, but each read as an alert: what a source of alerts on the unit would have it do."""

    def __init__(self, sealer):
        self._sealer = sealer

    def seal(self, read):
        return self._sealer.seal(read, message_class=MessageClass.ALERT)

    def seal_vehicle(self, vehicle, read, *, clock_trusted):
        return self._sealer.seal_vehicle(vehicle, read, clock_trusted=clock_trusted)


class NoVehicleSealer(AlertSealer):
    """A token that signs the read and then fails."""

    def seal_vehicle(self, vehicle, read, *, clock_trusted):
        raise DeviceFault(FaultCode.KEY_UNUSABLE, "the token does not answer")


@pytest.mark.parametrize("is_alert", [False, True])
def test_the_vehicle_is_sealed_under_its_read_s_id_and_goes_unasked_with_an_alert_only(device_config, outbox, is_alert):
    vehicles = Mailbox(threading.Event(), 4)
    bench = Bench(device_config, outbox, dict.fromkeys(range(3), PLATE), vehicles=vehicles)
    if is_alert:
        bench.stage._sealer = AlertSealer(bench.stage._sealer)
    for number in range(3):
        bench.show(number)
    bench.stage.close()
    taken, (waiting,) = vehicles.take(), outbox.next_unsent(10, 1.0)
    read = from_wire(waiting.wire)
    assert taken.is_alert is is_alert
    assert (taken.sealed.read_id, taken.sealed.sequence) == (read.read_id, read.sequence)
    assert taken.sealed.message_class is MessageClass.PICTURE
    assert open_vehicle(taken.sealed, bench.opening_keys).data[:2] == b"\xff\xd8"
    assert open_read(read, bench.opening_keys).passage.vehicle is None  # it is no part of what is sent


def test_a_token_that_fails_at_the_vehicle_costs_the_picture_only(device_config, outbox):
    vehicles = Mailbox(threading.Event(), 4)
    bench = Bench(device_config, outbox, dict.fromkeys(range(3), PLATE), vehicles=vehicles)
    bench.stage._sealer = NoVehicleSealer(bench.stage._sealer)
    for number in range(3):
        bench.show(number)
    bench.stage.close()
    assert (bench.stage.reads_sealed, bench.stage.vehicles_lost, outbox.count(), len(vehicles)) == (1, 1, 1, 0)

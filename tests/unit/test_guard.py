"""The guard: what counts as tampering or as a command, and what is done in which order."""

import threading
from collections import deque

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gpiozero.pins.mock import MockFactory
from made_reads import START_UTC_MS, SetClock

from firmware import erasure, guard
from firmware.board import pi
from firmware.board.gpio_pins import GpioContact
from firmware.config import GuardConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.guard import HELD_S, LOOK_AGAIN_S, LOOK_S, GuardStage
from firmware.key_files import KeyFiles
from firmware.retirement import Cause, RetireCommand, key_hash, sign_command, verify_notice
from firmware.topics import retired_topic
from hw_sim.lid import ContactPin, SimLid

DEVICE = "k-test0001"
PIN = 5
FLEET_KEY, UNIT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


class HearingLink:
    """The part of the Link port that the guard needs; notes what it found of the key when the last word came."""

    def __init__(self, folder):
        self.folder, self.said, self.is_online = folder, deque(), True

    def publish(self, topic, payload, token, expiry_s):
        state = {name: (self.folder / name).exists() for name in ("device.key", "retired")}
        self.said.append((topic, payload, state))
        return self.is_online


class Bench:
    def __init__(self, folder, contact=None):
        self.folder, self.link, self.faults, self.clock = folder, HearingLink(folder), FaultBook(), SetClock()
        for name in ("device.key", "config.json", "outbox.db"):
            (folder / name).write_bytes(b"x")
        self.stage = GuardStage(
            folder,
            contact,
            self.link,
            device_id=DEVICE,
            device_key=UNIT_KEY,
            keys=KeyFiles(folder),
            retirement_key=FLEET_KEY.public_key(),
            clock=self.clock,
            faults=self.faults,
        )

    def command(self, key=FLEET_KEY, **changes):
        fields = {"device_id": DEVICE, "key_hash": key_hash(UNIT_KEY.public_key()), "issued_utc_ms": START_UTC_MS}
        return sign_command(RetireCommand(**fields | changes), key)

    def is_erased(self):
        return sorted(path.name for path in self.folder.iterdir()) == ["retired"]


@pytest.fixture
def pins():
    factory = MockFactory(pin_class=ContactPin)
    yield factory
    factory.reset()


@pytest.fixture
def lid(pins):
    return SimLid(pins, PIN)


def contact_on(pins, tampered_when="open"):
    return pi.tamper_contact(GuardConfig(tamper_pin=PIN, tampered_when=tampered_when), pin_factory=pins)


@pytest.fixture
def bench(tmp_path, pins, lid):
    return Bench(tmp_path, contact_on(pins))


def test_a_lid_that_stays_open_erases_within_the_time_of_a_bounce(bench, lid):
    assert bench.stage.step(10.0) == 10.0 + LOOK_S
    bench.stage.wake.clear()
    lid.open()
    assert bench.stage.wake.is_set()
    now_s = 11.0
    while not bench.stage.is_over.is_set():
        assert now_s <= 11.0 + HELD_S + LOOK_AGAIN_S
        now_s = bench.stage.step(now_s)
    assert bench.is_erased()


def test_a_knock_on_the_box_is_nothing(bench, lid):
    bench.stage.step(10.0)
    for number in range(100):
        lid.knock()
        assert bench.stage.step(11.0 + number) == 11.0 + number + LOOK_S
    assert not bench.is_erased()


def test_a_contact_that_chatters_must_hold_still_before_it_counts(bench, lid):
    bench.stage.step(10.0)
    for number in range(50):
        lid.open()
        bench.stage.step(11.0 + number * 0.06)
        lid.shut()
        bench.stage.step(11.04 + number * 0.06)
    assert not bench.is_erased()


def test_a_lid_that_was_opened_while_there_was_no_power_counts(bench, lid):
    lid.open()
    assert bench.stage.step(0.0) == LOOK_AGAIN_S
    bench.stage.step(HELD_S)
    assert bench.is_erased()


def test_an_edge_that_nobody_told_is_found_by_looking(bench, lid, pins):
    bench.stage.step(10.0)
    pins.pin(PIN).when_changed = None
    lid.open()
    bench.stage.step(10.0 + LOOK_S)
    bench.stage.step(10.0 + LOOK_S + HELD_S)
    assert bench.is_erased()


@pytest.mark.parametrize(("tampered_when", "is_tampered"), [("open", [False, True]), ("closed", [True, False])])
def test_either_polarity(pins, lid, tampered_when, is_tampered):
    contact = contact_on(pins, tampered_when)
    contact.listen(threading.Event())
    assert pins.pin(PIN).pull == "up"
    seen = [contact.is_tampered()]
    lid.open()
    assert [*seen, contact.is_tampered()] == is_tampered
    contact.close()


def test_a_cut_wire_is_an_open_contact(pins):
    contact = GpioContact(PIN, tampered_when_open=True, pin_factory=pins)
    contact.listen(threading.Event())
    assert contact.is_tampered()
    contact.close()


def test_a_unit_without_a_contact_waits_for_commands_only(tmp_path):
    assert pi.tamper_contact(GuardConfig()) is None
    assert Bench(tmp_path).stage.step(1.0) == float("inf")


def test_a_line_that_is_taken_is_latched_tried_again_and_erases_nothing(bench, pins):
    other = contact_on(pins)
    other.listen(threading.Event())
    assert bench.stage.step(0.0) == guard.RETRY_S
    assert [report.code for report in bench.faults.reports()] == [FaultCode.TAMPER_ABSENT]
    other.close()
    pins.pin(PIN).connect(is_closed=True)
    bench.stage.step(guard.RETRY_S)
    assert bench.faults.reports() == []
    assert not bench.is_erased()
    bench.stage.close()


def test_the_order_is_mark_last_word_key_and_the_rest(bench, lid):
    lid.open()
    bench.stage.step(0.0)
    bench.stage.step(HELD_S)
    ((topic, document, state),) = bench.link.said
    assert topic == retired_topic(DEVICE)
    assert state == {"device.key": True, "retired": True}
    notice = verify_notice(document, [UNIT_KEY.public_key()], DEVICE)
    assert (notice.cause, notice.at_utc_ms) == (Cause.TAMPER, START_UTC_MS)


def test_a_command_erases_whether_or_not_anybody_hears_the_last_word(tmp_path):
    bench = Bench(tmp_path)
    bench.link.is_online = False
    bench.stage.commands.put(bench.command())
    assert bench.stage.wake.is_set()
    bench.stage.step(0.0)
    assert bench.is_erased()
    assert bench.stage.is_over.is_set()
    assert (tmp_path / "retired").read_text().startswith("command: ")


def test_forged_foreign_replayed_and_old_commands_are_dropped_and_counted(tmp_path, caplog):
    bench = Bench(tmp_path)
    later = key_hash(Ed25519PrivateKey.generate().public_key())
    for document in (
        bench.command(key=UNIT_KEY),
        bench.command(device_id="k-other001"),
        bench.command(key_hash=later),
        bench.command(issued_utc_ms=START_UTC_MS - 8 * 86_400_000),
        b"not a command",
    ):
        bench.stage.commands.put(document)
    bench.stage.step(0.0)
    assert bench.stage.rejected_commands == 5
    assert caplog.text.count("a command was dropped") == 5
    assert not bench.is_erased()
    bench.stage.commands.put(bench.command())
    bench.stage.step(1.0)
    assert bench.is_erased()


def test_an_old_command_is_taken_by_a_unit_that_does_not_know_the_time(tmp_path):
    bench = Bench(tmp_path)
    bench.clock.trusted = False
    bench.stage.commands.put(bench.command(issued_utc_ms=1))
    bench.stage.step(0.0)
    assert bench.is_erased()


def test_a_disk_that_refuses_is_latched_and_erasing_goes_on(tmp_path):
    (tmp_path / "unit").mkdir()
    bench = Bench(tmp_path / "unit")
    bench.stage.commands.put(bench.command())
    (tmp_path / "unit").rename(tmp_path / "away")
    assert bench.stage.step(0.0) == guard.ERASE_AGAIN_S
    assert [report.code for report in bench.faults.reports()] == [FaultCode.STORAGE_REFUSED]
    assert not bench.stage.is_over.is_set()
    (tmp_path / "away").rename(tmp_path / "unit")
    bench.stage.step(guard.ERASE_AGAIN_S)
    assert bench.is_erased()


def test_a_disk_that_is_full_does_not_save_the_key(tmp_path):
    """The mark cannot be written, here because a folder is in its place: the key goes all the same."""
    bench = Bench(tmp_path)
    (tmp_path / erasure.MARK_NAME).mkdir()
    with pytest.raises(DeviceFault):
        erasure.erase(tmp_path, Cause.TAMPER)
    assert sorted(path.name for path in tmp_path.iterdir()) == [erasure.MARK_NAME]
    assert not bench.stage.is_over.is_set()

"""Health at the receiving end: each report once, kept 30 days, a line for a new fault, and a table of all units."""

import json

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_health import made_health
from made_reads import START_UTC_MS, made_read, made_sealer, registered

from cloud import fleet_folder, units
from cloud.__main__ import main
from cloud.health_rows import KEPT_MS
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiver import fault_lines
from cloud.receiving import Receiving, Taken, TakenHealth
from cloud.registry import Registry
from cloud.store import Outcome, ReadStore, StoreRefused
from cloud.units import SILENT_MS
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.evidence import SMALL_PICTURE, packed
from firmware.faults import RejectionCause
from firmware.health_report import FaultWord, PowerState, Spent, Thrift
from firmware.receipts import verify_receipt
from firmware.sealing import uuid7
from firmware.topics import read_topic

DEVICE, OTHER, THIRD = "k-test0001", "k-test0002", "k-test0003"
DEVICE_KEY, RECEIPT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
DARK = FaultWord(code="camera-silent", since_s=7300, count=3, hint="check the camera's cable")
FULL = FaultWord(code="storage-refused", since_s=40, count=1, hint="the disk is full")
HOUR_MS = 3_600_000


@pytest.fixture
def fleet(tmp_path):
    registered(tmp_path, DEVICE_KEY, DEVICE, OTHER, THIRD)
    (tmp_path / fleet_folder.RECEIVER_FOLDER).mkdir()
    return tmp_path


@pytest.fixture
def store(fleet):
    with ReadStore(fleet / fleet_folder.STORE) as opened:
        yield opened


@pytest.fixture
def receiving(fleet, store):
    registry = Registry(fleet / fleet_folder.REGISTRY_FOLDER)
    return Receiving(registry, store, OpeningKeys([AGENCY_KEY]), RECEIPT_KEY)


def wire_of(health, sequence=1, device_id=DEVICE, device_key=DEVICE_KEY):
    sealer = made_sealer(device_key, AGENCY_KEY, device_id=device_id)
    read_id = uuid7(health.made_utc_ms, sequence.to_bytes(10, "big"))
    return sealing.to_wire(sealer.seal_health(health, read_id=read_id, sequence=sequence))


def take(receiving, health, sequence=1, device_id=DEVICE, **values):
    came_utc_ms = values.pop("came_utc_ms", health.made_utc_ms + 500)
    return receiving.take(read_topic(device_id), wire_of(health, sequence, device_id, **values), came_utc_ms)


def test_a_report_is_stored_once_and_confirmed_like_a_read(receiving, store):
    health = made_health(faults=(DARK,))
    wire = wire_of(health, 7)
    taken = receiving.take(read_topic(DEVICE), wire, START_UTC_MS)
    assert isinstance(taken, TakenHealth)
    assert (taken.outcome, taken.health) == (Outcome.STORED, health)
    assert receiving.take(read_topic(DEVICE), wire, START_UTC_MS).outcome is Outcome.DUPLICATE
    assert isinstance(receiving.take(read_topic(DEVICE), read_wire(8), START_UTC_MS), Taken)
    assert (receiving.stored, receiving.health_stored, receiving.duplicates, store.count()) == (1, 1, 1, 1)
    (receipt,) = receiving.due_receipts(0.0, START_UTC_MS, 9).values()
    assert verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE).ranges == ((7, 8),)


def read_wire(sequence, **values):
    return sealing.to_wire(made_sealer(DEVICE_KEY, AGENCY_KEY).seal(made_read(sequence, **values)))


def test_only_a_fault_that_is_new_is_told(receiving):
    assert fault_lines(take(receiving, made_health(), 1)) == []
    (told,) = fault_lines(take(receiving, made_health(made_utc_ms=START_UTC_MS + 1, faults=(DARK,)), 2))
    assert told.endswith(f"  {DEVICE}  fault camera-silent: check the camera's cable")
    assert fault_lines(take(receiving, made_health(made_utc_ms=START_UTC_MS + 2, faults=(DARK,)), 3)) == []
    (told,) = fault_lines(take(receiving, made_health(made_utc_ms=START_UTC_MS + 3, faults=(DARK, FULL)), 4))
    assert "storage-refused" in told


def test_refused_reports_are_counted_by_cause_and_not_confirmed(receiving, store):
    stranger = Ed25519PrivateKey.generate()
    assert take(receiving, made_health(), device_key=stranger) is None
    assert receiving.take(read_topic(OTHER), wire_of(made_health()), START_UTC_MS) is None
    old = made_health(made_utc_ms=START_UTC_MS - 62 * 86_400_000)
    assert take(receiving, old, came_utc_ms=START_UTC_MS) is None
    assert receiving.rejected == {
        RejectionCause.WRONG_SIGNATURE: 1,
        RejectionCause.OTHER_DEVICE: 1,
        RejectionCause.STALE: 1,
    }
    assert store.counters() == {"other-device": 1, "stale": 1, "wrong-signature": 1}
    assert receiving.due_receipts(0.0, START_UTC_MS, 9) == {}
    assert store.health(DEVICE) == []


def test_the_newest_is_the_one_made_last_and_not_the_one_that_came_last(receiving, store):
    take(receiving, made_health(made_utc_ms=START_UTC_MS + 9000, waiting=1), 2)
    take(receiving, made_health(made_utc_ms=START_UTC_MS, waiting=900), 1, came_utc_ms=START_UTC_MS + 20_000)
    assert [one.health.waiting for one in store.health(DEVICE, 5)] == [1, 900]


def test_a_unit_that_does_not_know_the_time_is_dated_by_its_arrival(receiving, store):
    take(receiving, made_health(waiting=1), 1)
    lost = made_health(made_utc_ms=5, clock_trusted=False, waiting=2)
    take(receiving, lost, 2, came_utc_ms=START_UTC_MS + HOUR_MS)
    ahead = made_health(made_utc_ms=START_UTC_MS + 10**11, waiting=3)
    take(receiving, ahead, 3, came_utc_ms=START_UTC_MS + HOUR_MS + 1)
    take(receiving, made_health(made_utc_ms=START_UTC_MS + 2 * HOUR_MS, waiting=4), 4)
    assert [one.health.waiting for one in store.health(DEVICE, 9)] == [4, 3, 2, 1]


def test_health_is_kept_for_30_days(receiving, store):
    take(receiving, made_health(), 1)
    take(receiving, made_health(made_utc_ms=START_UTC_MS + KEPT_MS), 2)
    assert len(store.health(DEVICE, 9)) == 2
    take(receiving, made_health(made_utc_ms=START_UTC_MS + KEPT_MS + 1000), 3)
    assert len(store.health(DEVICE, 9)) == 2


def test_what_nobody_wrote_is_a_damaged_store(receiving, store):
    take(receiving, made_health())
    store._connection.execute("UPDATE health SET payload = x'80'")
    with pytest.raises(StoreRefused, match="damaged"):
        store.health(DEVICE)


def test_silent_units_come_first_then_those_with_faults(fleet, receiving, store):
    spent = Spent(day_bytes=1, month_bytes=431_000_000, thrift=Thrift.SMALL_PICTURES)
    take(receiving, made_health(made_utc_ms=START_UTC_MS - SILENT_MS - HOUR_MS), 1, THIRD)
    take(receiving, made_health(spent=spent, board_decidegrees=613, throttled=1), 1)
    take(receiving, made_health(faults=(DARK,)), 1, OTHER)
    made = units.table(units.all_units(Registry(fleet / fleet_folder.REGISTRY_FOLDER), store), START_UTC_MS + 60_000)
    heading, third, second, first = made.splitlines()
    assert third.split()[0] == THIRD
    assert "SILENT" in third
    assert second.split()[0] == OTHER
    assert second.endswith("camera-silent for 2 h: check the camera's cable")
    assert first.split()[0] == DEVICE
    assert "431!" in first
    assert "61 C!" in first
    assert {len(line.rsplit("0.1.0", 1)[0]) for line in (third, second, first)} == {heading.index("firmware")}


@pytest.mark.parametrize(
    ("power", "shown"),
    [
        (None, ["--", "--"]),
        (PowerState(battery_mv=13_312, battery_ma=-190, panel_mw=0), ["13.3 V -0.2 A", "0 W"]),
        (PowerState(battery_mv=13_600, battery_ma=12_340, panel_mw=None), ["13.6 V +12.3 A", "--"]),
        (PowerState(battery_mv=13_600, battery_ma=None, panel_mw=41_800), ["13.6 V", "42 W"]),
        (PowerState(battery_mv=None, battery_ma=None, panel_mw=41_800), ["--", "42 W"]),
    ],
)
def test_battery_and_panel_stand_in_the_table(fleet, receiving, store, power, shown):
    take(receiving, made_health(power=power))
    made = units.table(units.all_units(Registry(fleet / fleet_folder.REGISTRY_FOLDER), store), START_UTC_MS + 60_000)
    heading, *_, line = made.splitlines()  # those that never spoke come first
    before, after = heading.index("board") + len("board"), heading.index("firmware")
    assert [cell.strip() for cell in line[before:after].strip().split("  ") if cell] == shown


def test_the_command_shows_units_that_never_spoke_and_writes_json(fleet, receiving, store, capsys):
    take(receiving, made_health(faults=(DARK,)))
    store.close()
    assert main(["units", "--folder", str(fleet)]) == 0
    assert "never" in capsys.readouterr().out
    assert main(["units", "--folder", str(fleet), "--json"]) == 0
    first, second, _ = json.loads(capsys.readouterr().out)
    assert first["health"]["waiting"] == 4
    assert first["health"]["faults"][0] == {
        "code": "camera-silent", "since_s": 7300, "count": 3, "hint": "check the camera's cable",
    }  # fmt: skip
    assert (second["device_id"], second["health"]) == (OTHER, None)


def test_list_writes_pictures_that_can_be_looked_at(fleet, receiving, store, capsys):
    image = np.full((60, 150, 3), 90, np.uint8)
    receiving.take(read_topic(DEVICE), read_wire(1, picture=packed(image, SMALL_PICTURE).data), START_UTC_MS)
    receiving.take(read_topic(DEVICE), read_wire(2, picture=b"no picture"), START_UTC_MS)
    receiving.take(read_topic(DEVICE), read_wire(3, picture=b""), START_UTC_MS)
    store.close()
    pictures = fleet / "pictures"
    assert main(["list", "--folder", str(fleet), "--pictures", str(pictures)]) == 0
    (path,) = pictures.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert cv2.imread(str(path)).shape == image.shape
    assert "picture: not an AVIF file" in capsys.readouterr().err

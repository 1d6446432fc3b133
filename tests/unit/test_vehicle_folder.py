"""The folder of vehicles' pictures: sealed, bounded, and of no weight against reads."""

import stat
from collections import namedtuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import START_UTC_MS, made_sealer
from made_vehicles import AGENCY_KEY, DEVICE, DEVICE_KEY, HOUR_MS, PICTURE, sealed_vehicle

from cloud.opening import open_vehicle
from cloud.opening_keys import OpeningKeys
from firmware import sealing
from firmware.config import PicturesConfig
from firmware.vehicle_folder import LEFT_FREE_BYTES, VehicleFolder, taken_utc_ms

MB = 1_000_000


@pytest.fixture
def open_folder(tmp_path):
    def made(**config):
        folder = VehicleFolder(tmp_path / "vehicles", PicturesConfig(**config), DEVICE, DEVICE_KEY.public_key())
        folder.open()
        return folder

    return made


def fill(folder, count, begin_utc_ms=START_UTC_MS):
    """Put pictures of vehicles that passed a minute apart; return the ids of their reads."""
    vehicles = [sealed_vehicle(begin_utc_ms + 60_000 * number)[0] for number in range(count)]
    for vehicle in vehicles:
        folder.put(vehicle)
    return [vehicle.read_id for vehicle in vehicles]


def held(folder, ids):
    return [folder.find(read_id) is not None for read_id in ids]


def test_what_is_put_is_found_as_it_was_and_only_the_agency_sees_it(open_folder, tmp_path):
    vehicle, _ = sealed_vehicle()
    open_folder().put(vehicle)
    found = sealing.from_wire(open_folder().find(vehicle.read_id))
    assert open_vehicle(found, OpeningKeys([AGENCY_KEY])) == PICTURE
    (path,) = (tmp_path / "vehicles").iterdir()
    assert path.name == f"{vehicle.read_id}.sealed"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"JFIF" in PICTURE.data
    assert b"JFIF" not in path.read_bytes()
    assert PICTURE.data[100:140] not in path.read_bytes()
    assert taken_utc_ms(vehicle.read_id) == START_UTC_MS


def test_the_oldest_goes_first_when_the_folder_is_full_also_after_a_restart(open_folder, tmp_path):
    folder = open_folder(vehicle_mb=1)
    ids = fill(folder, 150)
    kept = held(folder, ids)
    assert 20 < kept.count(True) < 150
    assert kept == sorted(kept)
    assert folder.displaced == kept.count(False)
    assert sum(path.stat().st_size for path in (tmp_path / "vehicles").iterdir()) <= MB
    again = open_folder(vehicle_mb=1)
    assert held(again, ids) == kept
    newer = fill(again, 2, START_UTC_MS + 10 * HOUR_MS)
    assert held(again, ids).count(True) < kept.count(True)
    assert held(again, newer) == [True, True]


def test_what_is_too_old_goes_and_is_told_apart_from_what_never_was(open_folder):
    folder = open_folder(vehicle_hours=1)
    ids = fill(folder, 3)
    never = sealed_vehicle(START_UTC_MS + 1)[0].read_id
    now_utc_ms = START_UTC_MS + HOUR_MS + 60_000
    folder.expire(now_utc_ms)
    assert held(folder, ids) == [False, True, True]
    assert folder.may_have_had(ids[0], now_utc_ms)
    assert not folder.may_have_had(never, START_UTC_MS + HOUR_MS)


def test_damaged_and_foreign_files_are_skipped_removed_and_counted(open_folder, tmp_path):
    folder = open_folder()
    ids = fill(folder, 4)
    path = {read_id: tmp_path / "vehicles" / f"{read_id}.sealed" for read_id in ids}
    path[ids[0]].write_bytes(path[ids[0]].read_bytes()[:-1])
    path[ids[1]].write_bytes(path[ids[2]].read_bytes())  # another read's picture, whole and signed
    stranger = made_sealer(Ed25519PrivateKey.generate(), AGENCY_KEY)
    forged, _ = sealed_vehicle(sealer=stranger)
    folder.put(forged)
    (tmp_path / "vehicles" / f".{ids[3]}.sealed.half").write_bytes(b"torn")
    (tmp_path / "vehicles" / "x").mkdir()
    assert held(folder, [*ids, forged.read_id]) == [False, False, True, True, False]
    assert folder.damaged == 3
    again = open_folder()
    assert (len(again), again.damaged) == (2, 2)
    assert held(again, ids) == [False, False, True, True]
    assert {one.name for one in (tmp_path / "vehicles").iterdir()} == {"x", path[ids[2]].name, path[ids[3]].name}


def test_on_a_disk_that_is_nearly_full_pictures_give_way_and_nothing_is_raised(open_folder, monkeypatch):
    folder = open_folder()
    ids = fill(folder, 5)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(LEFT_FREE_BYTES))
    (late,) = fill(folder, 1, START_UTC_MS + HOUR_MS)
    assert held(folder, [*ids, late]) == [False] * 6
    assert folder.refused == 1


def test_a_disk_that_refuses_costs_pictures_only(tmp_path):
    (tmp_path / "vehicles").write_bytes(b"a file where the folder should be")
    folder = VehicleFolder(tmp_path / "vehicles", PicturesConfig(), DEVICE, DEVICE_KEY.public_key())
    folder.open()
    ids = fill(folder, 2)
    assert held(folder, ids) == [False, False]
    assert folder.refused == 3


def test_without_pictures_by_configuration_those_that_are_there_go(open_folder, tmp_path):
    ids = fill(open_folder(), 2)
    folder = open_folder(vehicle_hours=0)
    assert not (tmp_path / "vehicles").exists()
    assert held(folder, ids) == [False, False]
    assert not folder.may_have_had(ids[0], START_UTC_MS + 10**9)

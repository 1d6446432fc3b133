"""A clock that cannot be right, and an authority that has ended: whatever signs says so, and signs nothing."""

import datetime as dt
import shutil

import pytest
from cryptography import x509
from made_reads import START_UTC_MS

from cloud.registry import State
from firmware.config import SiteConfig, SuiteName
from firmware.faults import ConfigRejected
from provisioning import certificates, clock_sense, fleet, receivers, retiring, revocation, root_ceremony, unit
from provisioning.__main__ import main

NOW = dt.datetime.fromtimestamp(START_UTC_MS / 1000, tz=dt.UTC)
SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)
NAME = "k-test0001"
IN_1970 = dt.datetime(1970, 1, 1, 0, 3, tzinfo=dt.UTC)
BEFORE_THE_AUTHORITY = NOW - dt.timedelta(days=2)
AFTER_THE_AUTHORITY = NOW + dt.timedelta(days=certificates.AUTHORITY_DAYS, seconds=1)

WRONG = [
    (IN_1970, "1970-01-01, which cannot be right"),
    (BEFORE_THE_AUTHORITY, "before the fleet's authority was made"),
    (AFTER_THE_AUTHORITY, "the fleet's authority ended on"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    fleet.init(folder / "fleet", host="broker.example", port=8883, now=NOW)
    unit.enrol(folder / "fleet", folder / "unit", SITE, NOW, device_id=NAME)
    return folder


@pytest.fixture
def place(made, tmp_path):
    return shutil.copytree(made, tmp_path / "place")


class Said:
    def known(self, holder):
        return f"the passphrase of {holder}"

    chosen = known


SIGNING = {
    "unit new": lambda place, now: unit.enrol(place / "fleet", place / "second", SITE, now),
    "unit rotate": lambda place, now: unit.rotate(place / "fleet", place / "unit", now),
    "unit retire": lambda place, now: retiring.by_hand(place / "fleet", place / "unit", "worn out", now),
    "fleet revoke": lambda place, now: revocation.end(place / "fleet", NAME, State.REVOKED, "stolen", now),
    "fleet retire": lambda place, now: retiring.command(place / "fleet", NAME, now, wait_s=0.0),
    "fleet add-key": lambda place, now: fleet.add_key(
        place / "fleet", SuiteName.X25519, now, overlap=dt.timedelta(days=60)
    ),
    "fleet root begin": lambda place, now: root_ceremony.begin(place / "fleet", ("Ann Lee",), None, now, Said()),
    "fleet root rotate": lambda place, now: root_ceremony.rotate(
        place / "fleet", now, Said(), leaver=None, newcomer=None, online=False
    ),
    "fleet root refresh": lambda place, now: root_ceremony.refresh(place / "fleet", now),
    "fleet add-receiver": lambda place, now: receivers.add(place / "fleet", now),
}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", SIGNING)
@pytest.mark.parametrize(("now", "sentence"), WRONG)
def test_whatever_signs_refuses_and_neither_fleet_nor_unit_is_changed(place, name, now, sentence):
    before = contents(place)
    with pytest.raises(ConfigRejected, match=sentence) as refused:
        SIGNING[name](place, now)
    assert "timedatectl" in str(refused.value)
    changed = {path for path, content in contents(place).items() if before.get(path) != content}
    # a key that waits for its certificate is made before anybody signs, and is used the next time
    assert {path.name for path in changed} <= {"device.next.key", "request.json"}


def test_a_fleet_is_not_made_in_1970(tmp_path):
    with pytest.raises(ConfigRejected, match="cannot be right"):
        fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=IN_1970)
    assert not (tmp_path / "fleet").exists()


def test_a_clock_within_the_authority_s_life_is_believed():
    authority = certificates.new_authority(NOW).certificate
    for now in (NOW, authority.not_valid_before_utc, authority.not_valid_after_utc):
        clock_sense.believable(now, authority)
    clock_sense.believable(clock_sense.WRITTEN, None)


def test_nothing_outlives_the_authority_that_signed_it(place):
    late = NOW + dt.timedelta(days=certificates.AUTHORITY_DAYS - 30)
    unit.enrol(place / "fleet", place / "late", SITE, late)
    made = x509.load_pem_x509_certificate((place / "late" / "device.crt").read_bytes())
    assert made.not_valid_after_utc == fleet.load_authority(place / "fleet").certificate.not_valid_after_utc


def test_the_office_is_told_when_it_certifies_with_an_authority_that_ends_soon(place, capsys, monkeypatch):
    late = NOW + dt.timedelta(days=certificates.AUTHORITY_DAYS - 30)
    monkeypatch.setattr("provisioning.certificates.present", lambda: late)
    words = ["--name", "North gate", "--latitude", "37", "--longitude", "-122"]
    assert main(["unit", "new", str(place / "fleet"), str(place / "late"), *words]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("k-")
    assert "make a new fleet before that" in said.err

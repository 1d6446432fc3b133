"""`fleet list`: what a technician reads at 80 columns, what a program reads, what cannot wait, and how soon."""

import datetime as dt
import json
import resource
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import made_read

from cloud import fleet_folder, registry
from cloud.registry import UTC_FORMAT, Registry, State, Unit
from cloud.store import ReadStore
from firmware.presence import Status
from provisioning import certificates, fleet, fleet_listing, revocation, root_ceremony, root_keys, update_warnings
from provisioning.__main__ import main
from provisioning.signing import base64_of

NOW = certificates.present()
SECONDS_AT_MOST = 3.0  # of CPU: a quarter of a second on a quiet machine, four times as much on one that is full


def utc(**ago):
    return (NOW - dt.timedelta(**ago)).strftime(UTC_FORMAT)


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW)
    return tmp_path / "fleet"


@pytest.fixture(scope="module")
def public_key():
    return base64_of(certificates.signing_request(Ed25519PrivateKey.generate(), "k-any00001"))


@pytest.fixture
def add(fleet_path, public_key):
    """A function: write a unit's entry as `unit new` would, with some of it changed."""

    def write(device_id, **changed):
        entry = Unit(
            **{
                "device_id": device_id,
                "public_key": public_key,
                "certificate_serials": ("1f",),
                "certificate_until_utc": utc(days=-3650, hours=-5),
                "site_name": "North gate",
                "enrolled_utc": utc(days=3),
            }
            | changed
        )
        Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).path(device_id).write_bytes(registry.encode(entry))

    return write


def shown(fleet_path, capsys, *words):
    assert main(["fleet", "list", str(fleet_path), *words]) == 0
    return capsys.readouterr()


def test_a_technician_reads_every_unit_at_80_columns(fleet_path, add, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    add("k-aaaa0001")
    add(
        "k-bbbb0002",
        certificate_until_utc=utc(days=-12, hours=-5),
        site_name="A site whose name is much too long for it",
    )
    add("k-cccc0003", state=State.REVOKED, ended_utc=utc(days=1), reason="stolen")
    said = shown(fleet_path, capsys)
    lines = said.out.splitlines()
    assert max(len(line) for line in lines) <= 80
    day = f"{NOW + dt.timedelta(days=3650, hours=5):%Y-%m-%d}"
    assert lines[1] == f"k-aaaa0001    active    {day} 3650d   {utc(days=3)[:10]}  --        North gate"
    assert "   12d!" in lines[2]
    assert lines[2].endswith("…")
    assert lines[3].split()[:3] == ["k-cccc0003", "revoked", "--"]
    assert lines[4].strip() == f"since {utc(days=1)[:10]}: stolen"
    assert lines[5] == "3 units"
    assert "certificates that end within 30 days: 1 (k-bbbb0002); give" in said.err


def test_when_a_unit_was_last_heard_of_is_the_receiver_s_word(fleet_path, add, capsys):
    for name in ("k-here0001", "k-gone0002", "k-read0003", "k-none0004"):
        add(name)
    now_utc_ms = round(NOW.timestamp() * 1000)
    with ReadStore(fleet_path / fleet_folder.STORE) as store:
        for number, (name, hours, is_here) in enumerate((("k-here0001", 50, True), ("k-gone0002", 5, True)), start=1):
            status = Status(device_id=name, session=number, is_here=is_here)
            store.note_status(status, now_utc_ms - hours * 3_600_000)
        store.note_status(Status(device_id="k-gone0002", session=2, is_here=False), now_utc_ms - 3 * 3_600_000)
        read = made_read(device_id="k-read0003", at_utc_ms=now_utc_ms - 4 * 86_400_000)
        store.put(read, now_utc_ms, b"envelope")
    listed = {unit.device_id: unit for unit in fleet_listing.listing(fleet_path, NOW).units}
    lines = {line.split()[0]: line for line in fleet_listing.table(list(listed.values()), NOW).splitlines()}
    assert "  now  " in lines["k-here0001"]
    assert "  3 h  " in lines["k-gone0002"]
    assert "  4 d  " in lines["k-read0003"]
    assert "  --  " in lines["k-none0004"]
    assert [listed[name].is_here for name in listed] == [False, True, None, None]
    assert listed["k-none0004"].last_seen_utc is None


def test_a_program_reads_the_same_as_json(fleet_path, add, capsys):
    add("k-aaaa0001", state=State.RETIRED, ended_utc=utc(days=1), reason="sold")
    add("k-bbbb0002", certificate_until_utc=utc(hours=5))
    found = json.loads(shown(fleet_path, capsys, "--json").out)
    retired, ended = found["units"]
    assert (retired["state"], retired["reason"], retired["certificate_days_left"]) == ("retired", "sold", None)
    assert (ended["certificate_days_left"], ended["last_seen_utc"], ended["is_here"]) == (-1, None, None)
    assert len(found["warnings"]) == 1
    assert not (fleet_path / fleet_folder.STORE).exists()  # looking makes nothing


def test_a_store_that_cannot_be_read_hides_no_unit(fleet_path, add, capsys):
    add("k-aaaa0001")
    (fleet_path / fleet_folder.STORE).write_bytes(b"no database at all" * 100)
    said = shown(fleet_path, capsys)
    assert "k-aaaa0001" in said.out
    assert "when units were last heard of is not known" in said.err


def test_a_name_that_would_rule_the_terminal_is_shown_without_its_power(fleet_path, add, capsys):
    add("k-aaaa0001", site_name="\x1b[2Jgone")
    assert "\x1b" not in shown(fleet_path, capsys).out


def test_an_authority_that_has_ended_and_a_clock_that_is_wrong_are_said(fleet_path):
    ends = fleet.load_authority(fleet_path).certificate.not_valid_after_utc

    def said(now):
        return " ".join(fleet_listing.listing(fleet_path, now).warnings)

    assert said(NOW) == ""
    assert "run out on" in said(ends - dt.timedelta(days=revocation.WARN_DAYS - 1))
    assert "the fleet's authority ended on" in said(ends + dt.timedelta(days=1))
    assert "1970-01-01, which cannot be right" in said(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))


class Said:
    def known(self, holder):
        return f"the passphrase of {holder}"

    chosen = known


def test_what_cannot_wait_of_the_updates_is_said(fleet_path, monkeypatch):
    monkeypatch.setattr(root_keys, "ROUNDS", 1000)

    def said(**later):
        return " ".join(update_warnings.warnings(fleet_path, NOW + dt.timedelta(**later)))

    assert said() == ""  # a fleet without updates
    (fleet_path / "update").mkdir()
    assert "the root keys are half made" in said()
    root_ceremony.begin(fleet_path, ("Ann Lee", "Bo Kim"), None, NOW, Said())
    assert "root keys that lie here still: 2" in said()
    for path in (fleet_path / "update" / "holders").iterdir():
        path.rename(fleet_path.parent / path.name)
    assert said() == ""
    assert "root refresh" in said(days=24)
    assert "root rotate" in said(days=306)
    root_ceremony.rotate(fleet_path, NOW, Said(), leaver=None, newcomer=None, online=False)
    assert "a root waits for signatures" in said()


def test_a_thousand_units_are_listed_within_a_second_of_work(fleet_path, add):
    for number in range(1000):
        add(f"k-{number:08d}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "provisioning", "fleet", "list", str(fleet_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert said.stdout.endswith("1000 units\n")
    # not by the clock on the wall, for the tests' machine has other work
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS_AT_MOST

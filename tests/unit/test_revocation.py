"""The fleet's side of taking units out: the registry, the two lists for the broker, and the technician's commands."""

import datetime as dt

import pytest
from cryptography import x509

from cloud import broker_files, fleet_folder
from cloud.registry import Registry, State
from firmware import erasure
from firmware.command_line import EXIT_RETIRED
from firmware.config import SiteConfig
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning import certificates, fleet, installed_broker, revocation, unit
from provisioning.__main__ import main

NOW = certificates.present()  # the commands take this machine's own time
NOW_UTC_MS = round(NOW.timestamp() * 1000)
SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW)
    for name in ("k-lost0001", "k-kept0001"):
        unit.enrol(tmp_path / "fleet", tmp_path / name, SITE, NOW, device_id=name)
    return tmp_path / "fleet"


def units_of(fleet_path):
    return Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)


def revoked_serials(fleet_path):
    return {entry.serial_number for entry in revocation.current(fleet_path)}


def access_list(fleet_path):
    return (fleet_path / "broker" / broker_files.ACCESS_NAME).read_text()


def serial(tmp_path, name):
    return x509.load_pem_x509_certificate((tmp_path / name / "device.crt").read_bytes()).serial_number


def test_a_new_fleet_has_an_empty_list_of_its_own_authority(fleet_path):
    revoked = revocation.current(fleet_path)
    assert revoked.is_signature_valid(fleet.load_authority(fleet_path).key.public_key())
    assert len(revoked) == 0
    assert "deny" not in access_list(fleet_path)


def test_a_revoked_unit_is_in_both_lists_and_its_reads_are_refused(fleet_path, tmp_path):
    revocation.end(fleet_path, "k-lost0001", State.REVOKED, "stolen", NOW)
    assert revoked_serials(fleet_path) == {serial(tmp_path, "k-lost0001")}
    assert access_list(fleet_path).endswith("\nuser k-lost0001\ntopic deny kestrel/v1/#\n")
    units = units_of(fleet_path)
    with pytest.raises(DocumentRejected, match="the unit is revoked"):
        units.keys("k-lost0001", NOW_UTC_MS)
    assert units.keys("k-kept0001", NOW_UTC_MS)
    assert units.unit("k-lost0001").ended_utc == NOW.strftime(revocation.UTC_FORMAT)


def test_a_receiver_that_knew_the_unit_refuses_it_from_then_on(fleet_path):
    units = units_of(fleet_path)
    assert units.keys("k-lost0001", NOW_UTC_MS)
    revocation.end(fleet_path, "k-lost0001", State.REVOKED, "stolen", NOW)
    with pytest.raises(DocumentRejected, match="the unit is revoked"):
        units.keys("k-lost0001", NOW_UTC_MS)


def test_what_was_revoked_stays_so_whatever_becomes_of_its_entry(fleet_path, tmp_path):
    revocation.end(fleet_path, "k-lost0001", State.REVOKED, "stolen", NOW)
    units_of(fleet_path).path("k-lost0001").unlink()
    revocation.end(fleet_path, "k-kept0001", State.REVOKED, "stolen", NOW)
    assert revoked_serials(fleet_path) == {serial(tmp_path, name) for name in ("k-lost0001", "k-kept0001")}


def test_each_list_is_newer_than_the_one_before_even_within_a_second(fleet_path):
    lists = [revocation.current(fleet_path), *(revocation.renew(fleet_path, NOW) for _ in range(3))]
    dates = [revoked.last_update_utc for revoked in lists]
    numbers = [revoked.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for revoked in lists]
    assert dates == sorted(set(dates))
    assert numbers == [1, 2, 3, 4]


def test_the_first_reason_counts_and_a_revoked_unit_may_still_be_retired(fleet_path):
    revocation.end(fleet_path, "k-lost0001", State.REVOKED, "stolen", NOW)
    again = revocation.end(fleet_path, "k-lost0001", State.REVOKED, "lost", NOW + dt.timedelta(days=1))
    retired = revocation.end(fleet_path, "k-lost0001", State.RETIRED, "found", NOW + dt.timedelta(days=2))
    assert (again.state, again.reason, again.ended_utc) == (State.REVOKED, "stolen", retired.ended_utc)
    assert (retired.state, retired.reason) == (State.RETIRED, "stolen")


@pytest.mark.parametrize("name", ["k-none0001", "../../fleet", ""])
def test_a_name_that_is_no_unit_of_the_fleet_changes_nothing(fleet_path, name):
    before = access_list(fleet_path), revocation.current(fleet_path)
    with pytest.raises(ConfigRejected):
        revocation.end(fleet_path, name, State.REVOKED, "stolen", NOW)
    assert (access_list(fleet_path), revocation.current(fleet_path)) == before


def test_a_reason_that_is_too_long_is_refused_before_anything_is_written(fleet_path):
    with pytest.raises(ConfigRejected, match="reason"):
        revocation.end(fleet_path, "k-lost0001", State.REVOKED, "x" * 81, NOW)
    assert units_of(fleet_path).unit("k-lost0001").state is State.ACTIVE


def test_a_fleet_whose_list_runs_out_is_warned_two_years_before(fleet_path):
    ends = NOW + dt.timedelta(days=certificates.AUTHORITY_DAYS)
    assert revocation.warning(fleet_path, ends - dt.timedelta(days=revocation.WARN_DAYS + 1)) == ""
    assert f"run out on {ends:%Y-%m-%d}" in revocation.warning(
        fleet_path, ends - dt.timedelta(days=revocation.WARN_DAYS - 1)
    )
    assert "ran out on" in revocation.warning(fleet_path, ends + dt.timedelta(days=1))
    (fleet_path / "broker" / broker_files.REVOKED_NAME).unlink()
    assert "is missing" in revocation.warning(fleet_path, NOW)


def test_a_list_that_is_spoilt_is_not_replaced_by_an_empty_one(fleet_path):
    (fleet_path / "broker" / broker_files.REVOKED_NAME).write_bytes(b"spoilt")
    with pytest.raises(ConfigRejected, match="bring it back"):
        revocation.end(fleet_path, "k-lost0001", State.REVOKED, "stolen", NOW)


def test_a_configuration_of_an_older_broker_is_said(fleet_path, tmp_path):
    path = tmp_path / "mosquitto.conf"
    path.write_text("listener 8883\nacl_file /etc/mosquitto/kestrel/access.acl\n")
    with pytest.raises(ConfigRejected, match="has no crlfile and no pid_file"):
        installed_broker.renew(fleet_path, path)


def test_the_command_line_revokes_and_lists(fleet_path, capsys):
    assert main(["fleet", "revoke", str(fleet_path), "k-lost0001", "--reason", "stolen"]) == 0
    assert "systemctl reload mosquitto" in capsys.readouterr().out
    assert main(["fleet", "list", str(fleet_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "active" in lines[1]
    assert "revoked" in lines[2]
    assert lines[3].endswith(": stolen")
    assert main(["fleet", "revoke", str(fleet_path), "k-none0001", "--reason", "stolen"]) == 2
    assert "fleet list" in capsys.readouterr().err


def test_a_unit_at_hand_is_retired_in_one(fleet_path, tmp_path, capsys):
    folder = tmp_path / "k-lost0001"
    known = serial(tmp_path, "k-lost0001")
    words = ["unit", "retire", str(fleet_path), str(folder), "--reason", "worn out"]
    assert main(words) == 0
    assert [path.name for path in folder.iterdir()] == [erasure.MARK_NAME]
    assert units_of(fleet_path).unit("k-lost0001").state is State.RETIRED
    assert revoked_serials(fleet_path) == {known}
    capsys.readouterr()
    assert main(words) == EXIT_RETIRED
    assert "a technician retired it" in capsys.readouterr().err


def test_a_power_cut_while_a_unit_at_hand_is_erased_is_made_good_by_the_same_command(fleet_path, tmp_path, capsys):
    folder = tmp_path / "k-lost0001"
    (folder / erasure.MARK_NAME).write_text("technician: \n")
    (folder / "config.json").unlink()
    assert main(["unit", "retire", str(fleet_path), str(folder), "--reason", "worn out"]) == EXIT_RETIRED
    assert [path.name for path in folder.iterdir()] == [erasure.MARK_NAME]


def test_a_unit_of_another_fleet_is_left_alone(fleet_path, tmp_path, capsys):
    fleet.init(tmp_path / "other", host="broker.example", port=8883, now=NOW)
    words = ["unit", "retire", str(tmp_path / "other"), str(tmp_path / "k-lost0001"), "--reason", "worn out"]
    assert main(words) == 2
    assert "of another fleet" in capsys.readouterr().err
    assert (tmp_path / "k-lost0001" / "device.key").exists()

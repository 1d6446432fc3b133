"""Provisioning: what it makes is what the unit, the receiver and the broker read; and it overwrites nothing."""

import datetime as dt
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from made_reads import START_UTC_MS, made_read

from cloud import broker_files, fleet_folder
from cloud.broker_files import BrokerPlace
from cloud.opening import open_read
from cloud.opening_keys import OpeningKey
from cloud.registry import Registry
from firmware import agency_keys, config, identity
from firmware.board.tls import tls_context
from firmware.config import AGENCY_KEYS_AT_MOST, SealConfig, SiteConfig, SuiteName
from firmware.faults import ConfigRejected
from firmware.records import Recipient
from firmware.sealing import Sealer
from provisioning import certificates, durable_files, fleet, unit
from provisioning.__main__ import main

NOW = dt.datetime.fromtimestamp(START_UTC_MS / 1000, tz=dt.UTC)
SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW)
    return tmp_path / "fleet"


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def opening_key(folder):
    (path,) = (folder / fleet_folder.OPENING_FOLDER).iterdir()
    return OpeningKey.from_pem(path.read_bytes())


def test_a_unit_reads_what_was_made_for_it(fleet_path, tmp_path):
    made = unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    settings = config.load(tmp_path / "unit" / "config.json")
    loaded = identity.load(tmp_path / "unit", settings.device_id)
    shared = fleet_folder.load(fleet_path)
    assert settings == made
    assert (settings.uplink.host, settings.uplink.port) == ("broker.example", 8883)
    assert settings.seal.agency_keys == shared.agency_keys
    tls_context(loaded.authority_path, loaded.certificate_path, loaded.key_path)
    registered = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    assert registered.keys(settings.device_id, START_UTC_MS) == (loaded.device_key.public_key(),)
    assert [entry.site_name for entry in registered.units()] == ["Test Street"]


def test_the_public_keys_are_of_the_agency_s_private_ones(fleet_path):
    shared = fleet_folder.load(fleet_path)
    receipt = fleet_folder.receipt_key(fleet_path)
    assert [config.key_bytes(entry.key) for entry in shared.agency_keys] == [opening_key(fleet_path).public_bytes]
    assert config.key_bytes(shared.receipt_key) == receipt.public_key().public_bytes_raw()


def test_a_second_key_is_made_beside_the_first_which_ends(fleet_path, tmp_path):
    old = opening_key(fleet_path)
    shared, new = fleet.add_key(
        fleet_path, SuiteName.X_WING, NOW, replaces=old.key_id.hex(), overlap=dt.timedelta(days=30)
    )
    assert fleet_folder.load(fleet_path) == shared
    assert [entry.suite for entry in shared.agency_keys] == [SuiteName.X25519, SuiteName.X_WING]
    assert [entry.valid_until_utc for entry in shared.agency_keys] == [NOW + dt.timedelta(days=30), None]
    settings = unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    keys = agency_keys.load(config.load(tmp_path / "unit" / "config.json").seal)
    assert settings.seal.agency_keys == shared.agency_keys
    ring = fleet_folder.opening_keys(fleet_path)
    recipients = [Recipient(key_id=key.key_id, suite=key.suite) for key in keys]
    assert {ring.match([one])[0].key_id for one in recipients} == {old.key_id, new.key_id}


def test_a_key_that_has_ended_leaves_the_fleet_s_file_and_still_opens(fleet_path):
    old = opening_key(fleet_path)
    fleet.add_key(fleet_path, SuiteName.X25519, NOW, replaces=old.key_id.hex(), overlap=dt.timedelta(days=1))
    shared, _ = fleet.add_key(fleet_path, SuiteName.X25519, NOW + dt.timedelta(days=2), overlap=dt.timedelta())
    assert old.key_id not in {key.key_id for key in agency_keys.load(seal_of(shared))}
    assert fleet_folder.opening_keys(fleet_path).match([Recipient(key_id=old.key_id, suite=old.suite)])


def test_more_keys_than_a_read_can_name_and_a_key_that_is_not_there_are_refused(fleet_path):
    with pytest.raises(ConfigRejected, match="the fleet has no key 0011"):
        fleet.add_key(fleet_path, SuiteName.X25519, NOW, replaces="0011", overlap=dt.timedelta())
    for _ in range(AGENCY_KEYS_AT_MOST - 1):
        fleet.add_key(fleet_path, SuiteName.X25519, NOW, overlap=dt.timedelta())
    before = files(fleet_path)
    with pytest.raises(ConfigRejected, match="before there are five"):
        fleet.add_key(fleet_path, SuiteName.X25519, NOW, overlap=dt.timedelta())
    assert files(fleet_path) == before


def seal_of(shared):
    return SealConfig(
        agency_keys=shared.agency_keys, receipt_key=shared.receipt_key, retirement_key=shared.retirement_key
    )


@pytest.mark.parametrize("suite", list(SuiteName))
def test_a_fleet_of_either_suite_opens_what_its_units_seal(tmp_path, suite):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW, suite=suite)
    unit.enrol(tmp_path / "fleet", tmp_path / "unit", SITE, NOW, device_id="k-test0001")
    (public,) = agency_keys.load(config.load(tmp_path / "unit" / "config.json").seal)
    device_key = identity.load(tmp_path / "unit", "k-test0001").device_key
    read = made_read()
    sealed = Sealer("k-test0001", device_key, [public]).seal(read)
    assert open_read(sealed, fleet_folder.opening_keys(tmp_path / "fleet")) == read


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN X-WING PRIVATE KEY-----\n!\n-----END X-WING PRIVATE KEY-----\n"]
)
def test_an_opening_key_that_is_spoilt_or_missing_is_one_sentence(fleet_path, content):
    (path,) = (fleet_path / fleet_folder.OPENING_FOLDER).iterdir()
    path.write_bytes(content)
    with pytest.raises(ConfigRejected, match="not an opening key"):
        fleet_folder.opening_keys(fleet_path)
    path.unlink()
    with pytest.raises(ConfigRejected, match="there is no opening key"):
        fleet_folder.opening_keys(fleet_path)


def test_nobody_else_can_read_what_was_made(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    made = [fleet_path, tmp_path / "unit", *fleet_path.rglob("*"), *(tmp_path / "unit").rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in made}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_two_units_share_no_secret_and_no_private_key_leaves_its_place(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "a", SITE, NOW)
    unit.enrol(fleet_path, tmp_path / "b", SITE, NOW)
    one, other = files(tmp_path / "a"), files(tmp_path / "b")
    same = {str(name) for name in one if one[name] == other[name]}
    assert same == {"fleet-ca.crt"}
    assert not any(b"PRIVATE" in content for name, content in one.items() if str(name) != "device.key")
    kept = files(fleet_path).values()
    assert not {one[name] for name in one if str(name) == "device.key"} & set(kept)


def test_names_are_random_and_well_formed(fleet_path, tmp_path):
    names = {unit.new_id() for _ in range(50)}
    assert len(names) == 50
    assert unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id="k-bridge7").device_id == "k-bridge7"


def test_nothing_is_overwritten(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id="k-bridge7")
    before = files(tmp_path)
    with pytest.raises(ConfigRejected, match="there is a fleet already"):
        fleet.init(fleet_path, host="broker.example", port=8883, now=NOW)
    with pytest.raises(ConfigRejected, match="there is a unit already"):
        unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    with pytest.raises(ConfigRejected, match="has a unit of this name"):
        unit.enrol(fleet_path, tmp_path / "second", SITE, NOW, device_id="k-bridge7")
    assert files(tmp_path) == before


def test_a_unit_that_was_half_made_is_made_anew(fleet_path, tmp_path):
    folder = tmp_path / "unit"
    folder.mkdir()
    (folder / "device.key").write_bytes(b"power went here")
    settings = unit.enrol(fleet_path, folder, SITE, NOW)
    assert identity.load(folder, settings.device_id).device_id == settings.device_id


@pytest.mark.parametrize("device_id", ["k-UPPER", "../../etc", "receiver", "k-a", "k-" + "a" * 25])
def test_a_name_that_is_none_is_refused(fleet_path, tmp_path, device_id):
    with pytest.raises(ConfigRejected, match="device_id"):
        unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id=device_id)
    assert not (tmp_path / "unit").exists()


@pytest.mark.parametrize(("host", "port"), [("two words", 8883), ("", 8883), ("broker.example", 0)])
def test_a_broker_that_no_unit_could_call_is_refused(tmp_path, host, port):
    with pytest.raises(ConfigRejected, match="give the broker's name and port"):
        fleet.init(tmp_path / "fleet", host=host, port=port, now=NOW)
    assert not (tmp_path / "fleet").exists()


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_certificates_satisfy_a_verifier_that_is_not_openssl(fleet_path, tmp_path):
    authority = certificate(fleet_path / fleet_folder.AUTHORITY_CERTIFICATE)
    broker = certificate(fleet_path / "broker" / broker_files.CERTIFICATE_NAME)
    trusting = PolicyBuilder().store(Store([authority]))
    policy = trusting.time(NOW)
    policy.build_server_verifier(x509.DNSName("broker.example")).verify(broker, [])
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("other.example")).verify(broker, [])
    late = trusting.time(NOW + dt.timedelta(days=certificates.BROKER_DAYS + 1))
    with pytest.raises(VerificationError):
        late.build_server_verifier(x509.DNSName("broker.example")).verify(broker, [])


def test_a_client_s_certificate_is_for_clients_only_and_cannot_sign(fleet_path, tmp_path):
    settings = unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    made = certificate(tmp_path / "unit" / "device.crt")
    assert identity.common_name(made) == settings.device_id
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_request_for_another_name_is_not_signed(fleet_path):
    request = certificates.signing_request(Ed25519PrivateKey.generate(), "receiver")
    with pytest.raises(ValueError, match="signing request"):
        certificates.client_certificate(fleet.load_authority(fleet_path), request, "k-bridge7", NOW, 1)


def test_a_broker_may_be_named_by_its_address(tmp_path):
    fleet.init(tmp_path / "fleet", host="192.0.2.7", port=8883, now=NOW)
    made = certificate(tmp_path / "fleet" / "broker" / broker_files.CERTIFICATE_NAME)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]


def test_the_broker_s_configuration_closes_every_other_door(tmp_path):
    text = broker_files.configuration(BrokerPlace(port=8883, folder=tmp_path, state_folder=tmp_path / "state"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.startswith("listener")] == ["listener 8883"]
    assert {"tls_version tlsv1.3", "require_certificate true", "allow_anonymous false"} <= set(lines)
    assert {"use_identity_as_username true", "use_username_as_clientid true"} <= set(lines)
    assert not [line for line in lines if "$" in line]


@pytest.fixture
def unit_path(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id="k-bridge7")
    return tmp_path / "unit"


def loosen(folder):
    (folder / "device.key").chmod(0o640)


def spoil_key(folder):
    (folder / "device.key").write_bytes(b"no key")


def replace_key(folder):
    (folder / "device.key").write_bytes(certificates.key_pem(Ed25519PrivateKey.generate()))


def replace_key_kind(folder):
    (folder / "device.key").write_bytes(certificates.key_pem(certificates.new_tls_key()))


def spoil_certificate(folder):
    (folder / "device.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def remove_authority(folder):
    (folder / "fleet-ca.crt").unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (loosen, "other users may read this key; run `chmod 600"),
        (spoil_key, "holds no private key"),
        (replace_key, "does not belong to device.key"),
        (replace_key_kind, "holds a key of another kind"),
        (spoil_certificate, "holds no certificate"),
        (remove_authority, "cannot be read"),
    ],
)
def test_a_unit_s_folder_that_is_not_whole_is_refused_with_a_sentence(unit_path, spoil, sentence):
    spoil(unit_path)
    with pytest.raises(ConfigRejected, match=sentence) as refused:
        identity.load(unit_path, "k-bridge7")
    assert "PRIVATE" not in str(refused.value)


def test_a_certificate_of_another_unit_is_refused(unit_path):
    with pytest.raises(ConfigRejected, match="not the certificate of k-other001"):
        identity.load(unit_path, "k-other001")


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"version": 1, "surprise": true}'])
def test_a_fleet_file_that_is_spoilt_is_refused(fleet_path, content):
    (fleet_path / "fleet.json").write_bytes(content)
    with pytest.raises(ConfigRejected, match=r"fleet\.json"):
        fleet_folder.load(fleet_path)


def test_a_fleet_that_was_half_made_goes_on_with_the_keys_that_it_has(fleet_path):
    keys = {name: content for name, content in files(fleet_path).items() if name.suffix == ".key"}
    assert len(keys) == 6
    shared = fleet_folder.load(fleet_path)
    (fleet_path / "fleet.json").unlink()
    for name in (fleet_folder.RECEIPT_KEY, fleet_folder.RECEIVER_CERTIFICATE, fleet_folder.AUTHORITY_CERTIFICATE):
        (fleet_path / name).unlink()
    (fleet_path / "authority" / ".fleet-ca.key.k3x9_abc").write_bytes(keys[fleet_folder.AUTHORITY_KEY])
    again = fleet.init(fleet_path, host="other.example", port=8884, now=NOW)
    after = files(fleet_path)
    assert {name for name in keys if after[name] != keys[name]} == {fleet_folder.RECEIPT_KEY}
    assert (again.host, again.agency_keys, again.retirement_key) == (
        "other.example",
        shared.agency_keys,
        shared.retirement_key,
    )
    assert [name for name in after if name.name.startswith(".")] == []
    unit.enrol(fleet_path, fleet_path.parent / "unit", SITE, NOW)


def test_a_fleet_that_has_lost_its_file_and_not_its_units_is_not_made_again(fleet_path, unit_path):
    (fleet_path / "fleet.json").unlink()
    before = files(fleet_path)
    with pytest.raises(ConfigRejected, match="bring that file back from a copy"):
        fleet.init(fleet_path, host="broker.example", port=8883, now=NOW)
    assert files(fleet_path) == before


def test_an_authority_whose_key_is_gone_gets_no_other(fleet_path):
    (fleet_path / "fleet.json").unlink()
    (fleet_path / fleet_folder.AUTHORITY_KEY).unlink()
    with pytest.raises(ConfigRejected, match="bring the key"):
        fleet.init(fleet_path, host="broker.example", port=8883, now=NOW)
    (fleet_path / fleet_folder.AUTHORITY_KEY).write_bytes(certificates.key_pem(certificates.new_tls_key()))
    with pytest.raises(ConfigRejected, match="not the key of its certificate"):
        fleet.init(fleet_path, host="broker.example", port=8883, now=NOW)


def test_a_unit_whose_entry_is_removed_is_unknown_at_once(fleet_path, unit_path):
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    assert units.keys("k-bridge7", START_UTC_MS)
    units.path("k-bridge7").unlink()
    assert units.keys("k-bridge7", START_UTC_MS) == ()


def test_a_registry_entry_under_another_name_is_refused(fleet_path, unit_path):
    folder = fleet_path / fleet_folder.REGISTRY_FOLDER
    (folder / "k-bridge7.json").rename(folder / "k-other001.json")
    with pytest.raises(ConfigRejected, match="the entry is for k-bridge7"):
        Registry(folder).keys("k-other001", START_UTC_MS)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "kept"
    durable_files.write(path, b"old")
    with pytest.raises(TypeError):
        durable_files.write(path, "not bytes")
    assert files(tmp_path) == {path.relative_to(tmp_path): b"old"}


def test_the_command_line_makes_and_lists(tmp_path, capsys):
    folder = str(tmp_path / "fleet")
    new = ["unit", "new", folder, str(tmp_path / "unit"), "--name", "North gate", "--latitude", "1", "--longitude", "2"]
    assert main(["fleet", "init", folder, "--host", "broker.example"]) == 0
    assert main(new) == 0
    assert main(["fleet", "add-key", folder, "--suite", "x-wing"]) == 0
    assert "New units seal to 2 keys" in capsys.readouterr().out
    assert main(["fleet", "list", folder]) == 0
    assert "North gate\n1 unit\n" in capsys.readouterr().out
    assert main(new) == 2
    assert "there is a unit already" in capsys.readouterr().err
    assert main(["fleet", "list", str(tmp_path)]) == 2
    assert "kestrel-provision fleet init" in capsys.readouterr().err
    (tmp_path / "file").write_bytes(b"")
    assert main(["fleet", "init", str(tmp_path / "file" / "fleet"), "--host", "broker.example"]) == 1
    assert "check the folder" in capsys.readouterr().err

"""A bundle for a unit in stock: only that unit opens it, only its fleet makes it, and only a newer one is taken."""

import dataclasses
import datetime as dt
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_fleet import NOW
from pyhpke import AEADId, CipherSuite, KDFId, KEMId

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import agency_keys, config, identity, wire
from firmware.config import SiteConfig, SuiteName
from firmware.faults import ConfigRejected
from provisioning import bundles, bundling, certificates, fleet, fleet_sites, labels, requests, unit
from provisioning.site_files import SitePlan

DEVICE = "k-bridge7"
SITE = SiteConfig(name="Canary Avenue Bridge", latitude_deg=37.774931, longitude_deg=-122.419416)
PLAN = SitePlan(site=SITE, others={"capture": {"speed_mph": 45.0}})
ELSEWHERE = SitePlan(site=SiteConfig(name="South gate", latitude_deg=37.5, longitude_deg=-122.0))
LATER = NOW + dt.timedelta(days=30)


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="canary-broker.example", port=8883, now=NOW)
    return tmp_path / "fleet"


@pytest.fixture
def stock(tmp_path):
    """A unit that has asked, and nothing more."""
    unit.request_new(tmp_path / "unit", device_id=DEVICE)
    return tmp_path / "unit"


@pytest.fixture
def office(fleet_path, stock, tmp_path):
    """A function: what the office makes of the unit's request, as a file."""

    def make(plan=PLAN, *, folder=stock, fleet_folder=fleet_path, now=NOW):
        request = requests.load_request(folder / unit.REQUEST_NAME)
        path = tmp_path / f"bundle-{len(list(tmp_path.glob('bundle-*')))}"
        path.write_bytes(bundling.make(fleet_folder, request, now, plan=plan))
        return path

    return make


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(folder, fleet_path, version=1):
    made = config.load(folder / "config.json")
    own = identity.load(folder, DEVICE)
    registered = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    assert registered.keys(DEVICE, round(NOW.timestamp() * 1000))[0] == own.device_key.public_key()
    assert made.version == version
    assert {str(name) for name in files(folder)} == {"config.json", "device.crt", "device.key", "fleet-ca.crt"}
    return made


def test_a_unit_in_stock_becomes_a_unit_by_its_bundle(fleet_path, stock, office):
    made = bundling.apply(stock, office(), NOW)
    assert made == assert_whole(stock, fleet_path)
    assert (made.site, made.capture.speed_mph, made.uplink.host) == (SITE, 45.0, "canary-broker.example")
    assert made.seal.agency_keys == fleet_folder.load(fleet_path).agency_keys
    assert Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(DEVICE).site_name == SITE.name


def test_whoever_finds_a_bundle_learns_a_random_name_and_nothing_else(fleet_path, office):
    found = office().read_bytes()
    shared = fleet_folder.load(fleet_path)
    authority = (fleet_path / fleet_folder.AUTHORITY_CERTIFICATE).read_bytes()
    tell_tale = [b"Canary", b"37.77", b"122.4", b"canary-broker", b"CERTIFICATE", b"Kestrel fleet"]
    tell_tale += [shared.receipt_key.encode(), shared.agency_keys[0].key.encode(), authority[100:130]]
    assert DEVICE.encode() in found
    assert [one for one in tell_tale if one in found] == []


def test_another_implementation_of_hpke_opens_it_with_the_derived_key(stock, office):
    _, _, ciphertext = wire.decode(office().read_bytes()[len(bundles.MAGIC) + 4 :], "it")
    key = bundles.bundle_key(unit.stores(stock, None)[0].prepare(None)).private_bytes_raw()
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    private = suite.kem.deserialize_private_key(key)
    context = suite.create_recipient_context(ciphertext[:32], private, info=b"kestrel/bundle/v1\x00" + DEVICE.encode())
    _, _, body = wire.decode(context.open(ciphertext[32:]), "it")
    assert json.loads(body)["settings"]["site"]["name"] == SITE.name


def test_applying_it_again_does_no_harm(fleet_path, stock, office):
    bundle = office()
    bundling.apply(stock, bundle, NOW)
    before = files(stock)
    bundling.apply(stock, bundle, LATER)
    assert files(stock) == before
    assert_whole(stock, fleet_path)


def test_the_site_is_given_at_the_roadside_where_the_depot_did_not_know_it(fleet_path, stock, office):
    bundle = office(None)
    assert Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(DEVICE).site_name == "(in stock)"
    with pytest.raises(ConfigRejected, match="does not say where this unit hangs; give its site file with --site"):
        bundling.apply(stock, bundle, NOW)
    assert not (stock / "config.json").exists()
    made = bundling.apply(stock, bundle, NOW, plan=PLAN)
    assert (made.site, made.capture.speed_mph) == (SITE, 45.0)
    assert bundling.apply(stock, bundle, NOW) == made  # what was completed stays
    assert bundling.apply(stock, bundle, NOW, plan=ELSEWHERE).site == ELSEWHERE.site  # a mistake is put right
    assert_whole(stock, fleet_path)


def test_a_site_that_the_office_knows_is_not_changed_at_the_roadside(stock, office):
    with pytest.raises(ConfigRejected, match="the office has put the site into this bundle; leave --site"):
        bundling.apply(stock, office(), NOW, plan=ELSEWHERE)
    assert not (stock / "config.json").exists()


def test_a_roadside_site_is_compared_with_the_fleet_though_no_other_site_is_told(fleet_path, stock, office, tmp_path):
    unit.enrol(fleet_path, tmp_path / "other", SITE, NOW)
    bundle = office(None)
    contents = bundles.opened(bundles.parsed(bundle.read_bytes(), "it"), bundling._keys(stock), None, "it")
    assert contents.region == (38, -122)
    mistyped = SitePlan(site=msgspec.structs.replace(SITE, longitude_deg=122.419416))
    with pytest.raises(ConfigRejected, match="correct its sign"):
        bundling.apply(stock, bundle, NOW, plan=mistyped)
    assert not (stock / "config.json").exists()
    assert bundling.apply(stock, bundle, NOW, plan=mistyped, is_far_meant=True).site == mistyped.site


def test_a_later_bundle_brings_what_has_changed_and_an_earlier_one_is_refused(fleet_path, stock, office):
    request = requests.load_request(stock / unit.REQUEST_NAME)
    first = office()
    bundling.apply(stock, first, NOW)
    fleet.add_key(fleet_path, SuiteName.X25519, NOW, overlap=dt.timedelta())
    second = first.with_name("second")
    second.write_bytes(bundling.make(fleet_path, request, NOW))
    made = bundling.apply(stock, second, NOW)
    assert made.site == SITE
    assert made.seal.agency_keys == fleet_folder.load(fleet_path).agency_keys
    assert len(made.seal.agency_keys) == 2
    assert_whole(stock, fleet_path, version=2)
    before = files(stock)
    with pytest.raises(
        ConfigRejected, match="has version 1 of the configuration and the unit has 2: it is an older one"
    ):
        bundling.apply(stock, first, NOW)
    assert files(stock) == before


def test_a_bundle_gives_a_unit_a_new_key_too_and_those_for_the_old_key_are_over(fleet_path, stock, office, tmp_path):
    old = office()
    bundling.apply(stock, old, NOW)
    first = identity.load(stock, DEVICE).device_key.public_key()
    made = bundling.make(fleet_path, unit.request_rotation(stock), NOW)
    (tmp_path / "new").write_bytes(made)
    bundling.apply(stock, tmp_path / "new", NOW)
    assert identity.load(stock, DEVICE).device_key.public_key() != first
    assert_whole(stock, fleet_path)
    with pytest.raises(ConfigRejected, match="for a key that this unit has no more"):
        bundling.apply(stock, old, NOW)


def test_a_bundle_of_another_unit_is_refused(stock, office, tmp_path):
    unit.request_new(tmp_path / "other", device_id="k-other001")
    with pytest.raises(ConfigRejected, match="is for k-other001 and this unit is k-bridge7; bring the bundle of k-b"):
        bundling.apply(stock, office(folder=tmp_path / "other"), NOW)


def test_a_bundle_for_another_key_of_the_same_name_is_refused(stock, office, tmp_path):
    unit.request_new(tmp_path / "other", device_id=DEVICE)
    with pytest.raises(ConfigRejected, match="for a key that this unit has no more, or never had"):
        bundling.apply(stock, office(folder=tmp_path / "other"), NOW)


def test_a_bundle_of_another_fleet_is_refused_by_a_unit_that_has_one_and_by_its_label(stock, office, tmp_path):
    fleet.init(tmp_path / "theirs", host="broker.example", port=8883, now=NOW)
    theirs = office(fleet_folder=tmp_path / "theirs")
    ours = office()
    authority = fleet.load_authority(tmp_path / "fleet").certificate
    asked = requests.load_request(stock / unit.REQUEST_NAME).requests()[0].public_key()
    label = labels.of(DEVICE, asked, authority)
    with pytest.raises(ConfigRejected, match="is of another fleet"):
        bundling.apply(stock, theirs, NOW, label=label)
    bundling.apply(stock, ours, NOW, label=label)
    before = files(stock)
    with pytest.raises(ConfigRejected, match="is of another fleet than this unit"):
        bundling.apply(stock, theirs, NOW)
    assert files(stock) == before


def test_a_bundle_that_no_fleet_signed_is_refused(fleet_path, stock, office):
    request = requests.load_request(stock / unit.REQUEST_NAME)
    bundle = bundles.parsed(office().read_bytes(), "it")
    contents = bundles.opened(bundle, bundling._keys(stock), None, "it")
    theirs = fleet.load_authority(fleet_path)
    forger = dataclasses.replace(theirs, key=certificates.new_tls_key())
    path = office().with_name("forged")
    path.write_bytes(bundles.sealed(contents, DEVICE, request.bundle_key, forger))
    with pytest.raises(ConfigRejected, match="is not signed by the fleet whose certificate it holds"):
        bundling.apply(stock, path, NOW)


def test_a_bundle_that_was_copied_only_in_part_says_so(stock, office, tmp_path):
    whole = office().read_bytes()
    for length in [*range(1, 40), len(whole) // 2, len(whole) - 1, 0]:
        (tmp_path / "half").write_bytes(whole[:length])
        with pytest.raises(ConfigRejected, match="ends in the middle: it was copied or written only in part"):
            bundling.apply(stock, tmp_path / "half", NOW)
    assert not (stock / "config.json").exists()


def test_what_is_no_bundle_says_so(stock, tmp_path):
    (tmp_path / "answer.json").write_bytes(b'{"version": 1}')
    with pytest.raises(ConfigRejected, match="is no bundle; bring the file that `kestrel-provision unit bundle` made"):
        bundling.apply(stock, tmp_path / "answer.json", NOW)
    with pytest.raises(ConfigRejected, match="cannot be read"):
        bundling.apply(stock, tmp_path / "absent", NOW)


def test_a_bundle_that_is_altered_anywhere_is_refused(stock, office, tmp_path):
    whole = office().read_bytes()
    before = files(stock)

    @settings(max_examples=150)
    @given(st.integers(0, len(whole) - 1), st.integers(1, 255))
    def alter(at, mask):
        data = bytearray(whole)
        data[at] ^= mask
        (tmp_path / "altered").write_bytes(data)
        with pytest.raises(ConfigRejected, match=r"altered|no bundle|ends in the middle|is for k-|for a key that"):
            bundling.apply(stock, tmp_path / "altered", NOW)

    alter()
    (tmp_path / "altered").write_bytes(whole + b"x")
    with pytest.raises(ConfigRejected, match="was altered or damaged"):
        bundling.apply(stock, tmp_path / "altered", NOW)
    assert files(stock) == before


def test_the_key_of_a_request_is_bound_by_its_proof(fleet_path, stock):
    request = requests.load_request(stock / unit.REQUEST_NAME)
    thief = msgspec.structs.replace(request, bundle_key=bundles.public_text(Ed25519PrivateKey.generate()))
    with pytest.raises(ConfigRejected, match="was altered after it was made"):
        bundling.make(fleet_path, thief, NOW, plan=PLAN)
    assert Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).units() == []


def test_the_key_for_bundles_is_another_than_the_one_that_signs_and_lies_nowhere(stock):
    (key,) = bundling._keys(stock)
    derived = bundles.bundle_key(key).private_bytes_raw()
    assert derived != key.private_bytes_raw()
    assert not any(derived in content for content in files(stock).values())
    assert agency_keys.key_id(derived) != agency_keys.key_id(key.private_bytes_raw())


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        (
            dt.datetime(1970, 1, 1, 0, 3, tzinfo=dt.UTC),
            "clock says 01 January 1970, .* the clock is behind; let it have",
        ),
        (NOW + dt.timedelta(days=40 * 365), "ran out on .* if the clock is right, make a new request"),
    ],
)
def test_a_clock_that_cannot_be_right_is_named(fleet_path, stock, office, now, sentence):
    bundle = office()
    before = files(stock)
    with pytest.raises(ConfigRejected, match=sentence):
        bundling.apply(stock, bundle, now)
    assert files(stock) == before
    bundling.apply(stock, bundle, NOW)
    assert_whole(stock, fleet_path)


def test_a_folder_in_which_nobody_asked_says_where_to_begin(office, tmp_path):
    bundle = office()
    with pytest.raises(ConfigRejected, match="begin with `kestrel-provision unit request`"):
        bundling.apply(tmp_path / "nobody", bundle, NOW)


def test_the_root_of_trust_for_updates_comes_along_if_the_fleet_has_one(fleet_path, stock, office):
    path = fleet_path / fleet_folder.UPDATE_ROOT
    path.parent.mkdir()
    path.write_text("no JSON")
    with pytest.raises(ConfigRejected, match="not the root of trust for updates"):
        office()
    path.write_text('{"signatures": [], "signed": {"_type": "root"}}')
    bundling.apply(stock, office(), NOW)
    assert (stock / identity.UPDATE_ROOT_NAME).read_bytes() == path.read_bytes()


def test_what_the_office_keeps_of_a_unit_in_stock_has_no_place(fleet_path, office):
    office(None)
    assert "site" not in fleet_sites.last(fleet_path, DEVICE)
    assert fleet_sites.places(fleet_path, but="k-other001") == []
    office()
    assert len(fleet_sites.places(fleet_path, but="k-other001")) == 1
    assert fleet_sites.last(fleet_path, DEVICE)["version"] == 2

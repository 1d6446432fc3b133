"""Whoever opens one unit has nothing of another's: no secret file of two units has even 16 bytes in common."""

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from loopback_fleet import NOW

from cloud import fleet_folder
from firmware.config import SiteConfig
from provisioning import bundles, bundling, unit
from provisioning.site_files import SitePlan

SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)
WINDOW_BYTES = 16
PUBLIC = {"fleet-ca.crt", "device.crt", "config.json"}
"""Certificates name the fleet; the configuration has its public keys and its broker. None lets anybody in."""


def secret_bytes(path):
    """Return what is secret in a file: of a key in PEM the key itself, for its wrapping is the same everywhere."""
    content = path.read_bytes()
    return load_pem_private_key(content, None).private_bytes_raw() if b"PRIVATE KEY" in content else content


def windows(content):
    return {content[start : start + WINDOW_BYTES] for start in range(len(content) - WINDOW_BYTES + 1)}


@pytest.fixture
def folders(fleet_path, tmp_path):
    made = [tmp_path / "one", tmp_path / "other"]
    for folder in made:
        unit.enrol(fleet_path, folder, SITE, NOW)
        unit.request_rotation(folder)  # so that a key is there that waits, too
    return made


def test_no_secret_file_of_two_units_has_16_bytes_in_common(folders):
    one, other = ({path.name: path for path in folder.rglob("*") if path.is_file()} for folder in folders)
    assert set(one) == set(other) == PUBLIC | {"device.key", "device.next.key"}
    for name in set(one) - PUBLIC:
        own = windows(secret_bytes(one[name]))
        assert len(own) > WINDOW_BYTES
        for path in other.values():
            assert not own & windows(path.read_bytes())
            assert not own & windows(secret_bytes(path))


def test_only_the_authority_is_the_same_file(folders):
    one, other = folders
    assert [path.name for path in one.iterdir() if path.read_bytes() == (other / path.name).read_bytes()] == [
        "fleet-ca.crt"
    ]


def test_nothing_secret_of_a_unit_lies_in_the_fleet_s_folder_or_the_other_way(folders, fleet_path):
    office = [path for path in fleet_path.rglob("*") if path.is_file()]
    assert fleet_path / fleet_folder.RETIREMENT_KEY in office
    assert any(path.parent == fleet_path / fleet_folder.OPENING_FOLDER for path in office)
    for folder in folders:
        for path in (folder / "device.key", folder / "device.next.key"):
            own = windows(secret_bytes(path)) | windows(path.read_bytes().splitlines()[1][22:])
            assert not [kept for kept in office if own & windows(kept.read_bytes())]
    for secret in (path for path in office if path.suffix == ".key"):
        lines = b"".join(secret.read_bytes().splitlines()[1:-1])
        kept = windows(lines[40:])  # behind the wrapping that says which kind of key it is
        assert kept
        for folder in folders:
            assert not [path for path in folder.iterdir() if kept & windows(path.read_bytes())]


def test_two_bundles_and_the_keys_that_open_them_have_nothing_in_common(fleet_path, tmp_path):
    bundled, opening = [], []
    for name in ("k-stock001", "k-stock002"):
        request = unit.request_new(tmp_path / name, device_id=name)
        made = bundling.make(fleet_path, request, NOW, plan=SitePlan(site=SITE))
        bundled.append(windows(made[len(bundles.MAGIC) :]))
        key = load_pem_private_key((tmp_path / name / "device.next.key").read_bytes(), None)
        opening.append(windows(bundles.bundle_key(key).private_bytes_raw()))
    assert not bundled[0] & bundled[1]
    assert not opening[0] & opening[1]


def test_two_tokens_hold_two_keys(fleet_path, tmp_path, token_labels, token):
    second = msgspec.structs.replace(token, token_label=next(token_labels))
    keys = set()
    for name, one in (("one", token), ("other", second)):
        settings = unit.enrol(fleet_path, tmp_path / name, SITE, NOW, token=one)
        assert settings.token == one
        keys.add((tmp_path / name / "signing.crt").read_bytes())
        assert (tmp_path / name / "device.key").exists()
    assert len(keys) == 2

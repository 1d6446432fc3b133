"""The fleet's authority certifies what a unit proves to be its own, and nothing else; it never sees a private key."""

import base64
import datetime as dt
import shutil

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from loopback_fleet import NOW
from softhsm import MODULE

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import config, identity
from firmware.board import host_facts
from firmware.board.pkcs11_token import key_store
from firmware.config import SiteConfig
from firmware.faults import ConfigRejected
from provisioning import bundles, certificates, requests, signing, unit
from provisioning.__main__ import main
from provisioning.site_files import SitePlan

SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)
PLAN = SitePlan(site=SITE)
DEVICE = "k-bridge7"


def request_of(keys, *, device_id=DEVICE, subject=DEVICE, former=None, token=None):
    """Return a request that is made by hand, so that it can be wrong."""
    made = [certificates.signing_request(key, subject) for key in keys]
    bundle_key = bundles.public_text(Ed25519PrivateKey.generate())
    proven = requests.proven_bytes(device_id, made, token, bundle_key)
    return requests.UnitRequest(
        device_id=device_id,
        signing_requests=tuple(certificates.request_pem(one) for one in made),
        token=token,
        bundle_key=bundle_key,
        proof=proof(keys[-1], proven) if isinstance(keys[-1], Ed25519PrivateKey) else "A" * 86 + "==",
        proof_of_former=proof(former, proven) if former else None,
    )


def proof(key, proven):
    return base64.b64encode(key.sign(proven)).decode()


def another_signature(request):
    """Return the request with its signing request's last signature byte changed."""
    pem = request.signing_requests[0].encode()
    lines = pem.splitlines()
    der = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    der[-1] ^= 1
    text = base64.encodebytes(bytes(der)).decode()
    spoilt = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"
    return msgspec.structs.replace(request, signing_requests=(spoilt,))


def registry_of(fleet_path):
    return Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)


def test_a_request_of_a_proven_key_is_certified(fleet_path):
    key = Ed25519PrivateKey.generate()
    answer = signing.sign(fleet_path, request_of([key]), NOW, plan=PLAN)
    (made,) = answer.parsed()
    assert made.public_key() == key.public_key()
    assert identity.common_name(made) == DEVICE
    assert answer.config.site == SITE
    assert (
        registry_of(fleet_path).unit(DEVICE).public_key
        == base64.b64encode(key.public_key().public_bytes_raw()).decode()
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: another_signature(request_of([Ed25519PrivateKey.generate()])), "not signed by the key that it names"),
        (lambda: request_of([Ed25519PrivateKey.generate()], subject="k-other001"), "names another subject"),
        (lambda: request_of([certificates.new_tls_key()]), "another kind of key"),
        (lambda: request_of([Ed25519PrivateKey.generate()] * 2), "not one key for each use"),
        (
            lambda: msgspec.structs.replace(
                request_of([Ed25519PrivateKey.generate()]), proof=base64.b64encode(bytes(64)).decode()
            ),
            "was altered",
        ),
        (
            lambda: msgspec.structs.replace(request_of([Ed25519PrivateKey.generate()]), signing_requests=("nothing",)),
            "cannot be read",
        ),
    ],
)
def test_what_is_not_proven_is_refused_and_registers_nothing(fleet_path, make, sentence):
    with pytest.raises(ConfigRejected, match=sentence):
        signing.sign(fleet_path, make(), NOW, plan=PLAN)
    assert registry_of(fleet_path).units() == []


def test_a_proof_over_another_tls_key_is_refused(fleet_path, token):
    own_tls, signing_key, thief = (Ed25519PrivateKey.generate() for _ in range(3))
    request = request_of([own_tls, signing_key], token=token)
    foreign = certificates.request_pem(certificates.signing_request(thief, DEVICE))
    mixed = msgspec.structs.replace(request, signing_requests=(foreign, request.signing_requests[1]))
    with pytest.raises(ConfigRejected, match="was altered"):
        signing.sign(fleet_path, mixed, NOW, plan=PLAN)


def test_a_key_of_another_unit_is_refused(fleet_path):
    key = Ed25519PrivateKey.generate()
    signing.sign(fleet_path, request_of([key]), NOW, plan=PLAN)
    other = request_of([key], device_id="k-other001", subject="k-other001")
    with pytest.raises(ConfigRejected, match="k-bridge7 has this key already"):
        signing.sign(fleet_path, other, NOW, plan=PLAN)


def test_a_name_that_is_taken_is_refused_but_the_same_request_is_answered_again(fleet_path):
    request = request_of([Ed25519PrivateKey.generate()])
    first = signing.sign(fleet_path, request, NOW, plan=PLAN)
    assert signing.sign(fleet_path, request, NOW, plan=PLAN).config == first.config
    with pytest.raises(ConfigRejected, match="has a unit of this name"):
        signing.sign(fleet_path, request_of([Ed25519PrivateKey.generate()]), NOW, plan=PLAN)


def test_only_the_unit_itself_can_ask_for_a_new_key(fleet_path):
    first, second, thief = (Ed25519PrivateKey.generate() for _ in range(3))
    signing.sign(fleet_path, request_of([first]), NOW, plan=PLAN)
    before = registry_of(fleet_path).unit(DEVICE)
    for wrong in (request_of([thief]), request_of([thief], former=thief)):
        with pytest.raises(ConfigRejected, match="does not stand behind this request"):
            signing.sign(fleet_path, wrong, NOW)
    assert registry_of(fleet_path).unit(DEVICE) == before
    signing.sign(fleet_path, request_of([second], former=first), NOW)
    with pytest.raises(ConfigRejected, match="signed with this key before"):
        signing.sign(fleet_path, request_of([first], former=second), NOW)
    with pytest.raises(ConfigRejected, match="not a unit of this fleet"):
        signing.sign(fleet_path, request_of([thief], device_id="k-other001", subject="k-other001"), NOW)


def test_two_sides_apart_exchange_nothing_that_is_secret(fleet_path, tmp_path, capsys):
    folder, asked, answered = (str(tmp_path / name) for name in ("unit", "request.json", "answer.json"))
    site = ["--name", "North gate", "--latitude", "1", "--longitude", "2"]
    assert main(["unit", "request", folder, "--id", DEVICE, "--out", asked]) == 0
    assert main(["unit", "sign", str(fleet_path), asked, "--out", answered, *site]) == 0
    assert main(["unit", "install", folder, answered]) == 0
    first = identity.load(tmp_path / "unit", DEVICE)
    assert main(["unit", "request", folder, "--out", asked]) == 0
    assert main(["unit", "sign", str(fleet_path), asked, "--out", answered]) == 0
    waiting = (tmp_path / "unit" / "device.next.key").read_bytes()
    assert main(["unit", "install", folder, answered]) == 0
    second = identity.load(tmp_path / "unit", DEVICE)
    assert second.device_key.public_key() != first.device_key.public_key()
    assert second.not_after_utc_ms > NOW.timestamp() * 1000
    assert (tmp_path / "unit" / "device.key").read_bytes() == waiting
    for path in (asked, answered):
        assert b"PRIVATE" not in (tmp_path / path).read_bytes()
    assert main(["unit", "install", folder, asked]) == 2
    assert "bring the file as it was made" in capsys.readouterr().err
    assert main(["unit", "request", folder, "--id", "k-other001", "--out", asked]) == 2
    assert "this unit has its name" in capsys.readouterr().err


def test_an_answer_for_another_key_is_not_installed(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id=DEVICE)
    before = {path: path.read_bytes() for path in (tmp_path / "unit").iterdir()}
    present = identity.load(tmp_path / "unit", DEVICE).device_key
    answer = signing.sign(fleet_path, request_of([Ed25519PrivateKey.generate()], former=present), NOW)
    with pytest.raises(ConfigRejected, match="for another key than waits"):
        unit.install(tmp_path / "unit", answer, NOW)
    assert {path: path.read_bytes() for path in (tmp_path / "unit").iterdir()} == before


def test_a_unit_needs_no_clock_to_ask_and_a_right_one_to_install(fleet_path, tmp_path):
    request = unit.request_new(tmp_path / "unit")
    answer = signing.sign(fleet_path, request, NOW, plan=PLAN)
    with pytest.raises(ConfigRejected, match=r"clock says 01 January 1970, .* the clock is behind; let it"):
        unit.install(tmp_path / "unit", answer, dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    assert not (tmp_path / "unit" / "device.crt").exists()
    for _ in range(2):  # once more does no harm
        unit.install(tmp_path / "unit", answer, NOW)
        assert identity.load(tmp_path / "unit", request.device_id)
    other = signing.sign(fleet_path, unit.request_new(tmp_path / "other"), NOW, plan=PLAN)
    with pytest.raises(ConfigRejected, match="there is a unit already"):
        unit.install(tmp_path / "unit", other, NOW)


def test_a_unit_with_a_token_has_two_certificates_of_one_name(fleet_path, tmp_path, token):
    settings = unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id=DEVICE, token=token)
    assert settings.token == token
    made = identity.load(tmp_path / "unit", DEVICE, key_store(token, tmp_path / "unit"))
    assert made.key_store == f"pkcs11: {token.token_label}"
    tls, signs = (identity.load_certificate(tmp_path / "unit" / name) for name in ("device.crt", "signing.crt"))
    assert identity.common_name(tls) == identity.common_name(signs) == DEVICE
    assert tls.public_key() != signs.public_key() == made.device_key.public_key()
    assert registry_of(fleet_path).keys(DEVICE, 0)[0] == made.device_key.public_key()


def test_the_self_check_judges_the_certificate_in_the_token_too(fleet_path, tmp_path, token):
    later = NOW + dt.timedelta(days=100)
    settings = unit.enrol(fleet_path, tmp_path / "unit", SITE, later, device_id=DEVICE, token=token)
    both = host_facts.certificate(settings, tmp_path / "unit")
    unit.enrol(fleet_path, tmp_path / "older", SITE, NOW, device_id="k-older")
    shutil.copy(tmp_path / "older" / "device.crt", tmp_path / "unit" / "signing.crt")
    older = host_facts.certificate(settings, tmp_path / "unit")
    assert both.until_utc_ms - older.until_utc_ms == 100 * 86_400_000
    assert older.from_utc_ms == both.from_utc_ms
    (tmp_path / "unit" / "signing.crt").unlink()
    assert "signing.crt" in host_facts.certificate(settings, tmp_path / "unit").problem


def test_the_command_line_takes_a_token_and_refuses_half_of_one(fleet_path, tmp_path, token, capsys):
    new = ["unit", "new", str(fleet_path), str(tmp_path / "unit"), "--name", "N", "--latitude", "1", "--longitude", "2"]
    assert main([*new, "--token-label", token.token_label]) == 2
    assert "--token-module" in capsys.readouterr().err
    whole = ["--token-module", MODULE, "--token-label", token.token_label, "--token-pin-file", token.pin_file]
    assert main([*new, *whole]) == 0
    assert config.load(tmp_path / "unit" / "config.json").token == token

"""Documents as bytes: envelope, payload, receipt, configuration, manifest, registry, fleet, certificate and key."""

import base64
import datetime as dt
import functools
import os
import tempfile
import uuid
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud import fleet_folder
from cloud.opening import open_read
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.registry import Registry
from firmware import agency_keys, config, identity, sealing, tflite, wire
from firmware.agency_keys import SuiteNumber
from firmware.config import AgencyKeyConfig, DeviceConfig, SealConfig, SiteConfig, UplinkConfig
from firmware.faults import ConfigRejected, DeviceFault, DocumentRejected
from firmware.key_files import KEY_NAME
from firmware.picture_requests import sign_request, verify_request
from firmware.presence import Status, sign_status, verify_status
from firmware.receipts import body, sign_receipt, signature_prefix, verify_receipt
from firmware.records import MessageClass, PictureRequest, Receipt, SealedRead
from firmware.retirement import (
    Cause,
    RetireCommand,
    RetiredNotice,
    key_hash,
    sign_command,
    sign_notice,
    verify_command,
    verify_notice,
)
from provisioning import bundles, certificates, requests
from tests.fuzz.judging import ROOT, Target
from tests.made_reads import NOBODYS_KEY, START_UTC_MS, made_read, made_sealer, registry_entry, sealed_around

DEVICE = "k-test0001"
PINS = (
    r"tensor \S{1,80} for|output \S{1,80}|is \S{1,80}, pinned is \S{1,80}|shape [\dx ]+|"
    r"has \d+ bytes|pinned (is|are) [\dx. ]+|scale \S+|and -?\d+"
)
"""What a model's manifest says is public."""

MODELS_FOLDER = ROOT / "models"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@functools.cache
def work_folder() -> Path:
    """Return a folder of this process: in $TMPDIR, else in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108  a fresh folder is made in it
    made = tempfile.mkdtemp(
        prefix="kestrel-fuzz-", dir=memory if "TMPDIR" not in os.environ and memory.is_dir() else None
    )
    return Path(made)


@functools.cache
def device_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@functools.cache
def opening_key() -> OpeningKey:
    return OpeningKey.generate(SuiteNumber.X25519)


def sealed_read(sequence: int = 7) -> SealedRead:
    message_class = MessageClass.ALERT if sequence % 2 == 0 else MessageClass.READ
    return made_sealer(device_key(), opening_key()).seal(made_read(sequence), message_class=message_class)


def _envelope(data: bytes) -> None:
    sealed = sealing.from_wire(data)
    if sealing.to_wire(sealed) != data:
        raise AssertionError("an envelope with two spellings")
    sealing.verify(sealed, device_key().public_key())


def _cbor(data: bytes) -> None:
    wire.encode(wire.decode(data, "document"))


def _payload(data: bytes) -> None:
    """Open `data` as the plaintext of a read whose seal and header are good: what a stolen unit can send."""
    open_read(sealed_around(sealed_read(), data, opening_key()), OpeningKeys([opening_key()]))


def _command(data: bytes) -> None:
    verify_command(data, device_key().public_key(), DEVICE, device_key().public_key(), now_utc_ms=START_UTC_MS)


def a_command() -> bytes:
    own_hash = key_hash(device_key().public_key())
    return sign_command(RetireCommand(device_id=DEVICE, key_hash=own_hash, issued_utc_ms=START_UTC_MS), device_key())


def _status(data: bytes) -> None:
    verify_status(data, [device_key().public_key()], DEVICE)


def a_status() -> bytes:
    return sign_status(Status(device_id=DEVICE, session=2**55, is_here=True), device_key().sign)


def _notice(data: bytes) -> None:
    verify_notice(data, [device_key().public_key()], DEVICE)


def a_notice() -> bytes:
    notice = RetiredNotice(device_id=DEVICE, cause=Cause.TAMPER, at_utc_ms=START_UTC_MS)
    return sign_notice(notice, device_key().sign)


def _request(data: bytes) -> None:
    requests.decode_request(data, "the request").requests()


def a_request() -> bytes:
    made = [certificates.signing_request(device_key(), DEVICE)]
    bundle_key = bundles.public_text(device_key())
    proof = device_key().sign(requests.proven_bytes(DEVICE, made, None, bundle_key))
    return requests.encode(
        requests.UnitRequest(
            device_id=DEVICE,
            signing_requests=tuple(certificates.request_pem(one) for one in made),
            token=None,
            bundle_key=bundle_key,
            proof=base64.b64encode(proof).decode(),
            proof_of_former=None,
        )
    )


def _picture_request(data: bytes) -> None:
    verify_request(data, device_key().public_key(), DEVICE)


def _picture_request_body(data: bytes) -> None:
    """Verify `data` as a request that the agency did sign."""
    signature = device_key().sign(b"kestrel/picture-request/v1\x00" + DEVICE.encode() + b"\x00" + data)
    verify_request(wire.encode([data, signature]), device_key().public_key(), DEVICE)


def a_picture_request() -> bytes:
    request = PictureRequest(device_id=DEVICE, read_id=uuid.UUID(int=7 << 76), issued_utc_ms=START_UTC_MS)
    return sign_request(request, device_key())


def _receipt(data: bytes) -> None:
    verify_receipt(data, device_key().public_key(), DEVICE)


def _receipt_body(data: bytes) -> None:
    """Verify `data` as a body that the agency did sign."""
    signature = device_key().sign(signature_prefix(DEVICE) + data)
    verify_receipt(wire.encode([data, signature]), device_key().public_key(), DEVICE)


def a_receipt() -> Receipt:
    return Receipt(
        device_id=DEVICE,
        ranges=((3, 9), (11, 11), (2**40, 2**62 - 1)),
        issued_utc_ms=START_UTC_MS,
        asked_again=((10, 10), (12, 2**40 - 1)),
    )


def unit_config() -> DeviceConfig:
    return DeviceConfig(
        version=1,
        device_id=DEVICE,
        site=SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0),
        seal=SealConfig(
            agency_keys=(AgencyKeyConfig(key=base64.b64encode(opening_key().public_bytes).decode()),),
            receipt_key=NOBODYS_KEY,
            retirement_key=NOBODYS_KEY,
        ),
        uplink=UplinkConfig(host="localhost"),
    )


def _config(data: bytes) -> None:
    settings = config.decode(data, "config")
    if config.decode(config.encode(settings), "config") != settings:
        raise AssertionError("a configuration that does not survive being written")
    agency_keys.load(settings.seal)
    identity.retirement_public_key(settings.seal)
    identity.receipt_public_key(settings.seal)


def _models_folder() -> Path:
    folder = work_folder() / "models"
    if not folder.exists():
        folder.mkdir()
        (folder / "ocr.tflite").symlink_to(MODELS_FOLDER / "ocr.tflite")
    return folder


def _manifest(data: bytes) -> None:
    folder = _models_folder()
    (folder / tflite.MANIFEST).write_bytes(data)
    tflite.Model.load(folder, "ocr.tflite")


def _model_file(data: bytes) -> None:
    folder = work_folder() / "models-changed"
    if not folder.exists():
        folder.mkdir()
        (folder / tflite.MANIFEST).symlink_to(MODELS_FOLDER / tflite.MANIFEST)
    (folder / "ocr.tflite").write_bytes(data)
    tflite.Model.load(folder, "ocr.tflite")


def registry_with(entry: bytes) -> Registry:
    """Return a registry with one unit, whose entry holds these bytes."""
    folder = work_folder() / "registry"
    folder.mkdir(exist_ok=True)
    (folder / f"{DEVICE}.json").write_bytes(entry)
    return Registry(folder)


def _registry(data: bytes) -> None:
    units = registry_with(data)
    units.keys(DEVICE, START_UTC_MS)
    units.units()


def _fleet(data: bytes) -> None:
    folder = work_folder() / "fleet"
    folder.mkdir(exist_ok=True)
    (folder / fleet_folder.FLEET_NAME).write_bytes(data)
    fleet_folder.load(folder)


def _fleet_seeds() -> list[bytes]:
    seal = unit_config().seal
    fleet = fleet_folder.Fleet(
        host="broker.example",
        port=8883,
        agency_keys=seal.agency_keys,
        receipt_key=seal.receipt_key,
        retirement_key=seal.retirement_key,
    )
    return [msgspec.json.encode(fleet)]


@functools.cache
def _certificate() -> bytes:
    authority = certificates.new_authority(NOW)
    request = certificates.signing_request(device_key(), DEVICE)
    made = certificates.client_certificate(authority, request, DEVICE, NOW, 365)
    return made.public_bytes(Encoding.DER)


def _pem(label: str, data: bytes) -> bytes:
    if data.startswith(b"-----"):
        return data
    return f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----\n".encode()


@functools.cache
def _unit_folder() -> Path:
    folder = work_folder() / "unit"
    folder.mkdir()
    (folder / KEY_NAME).write_bytes(certificates.key_pem(device_key()))
    (folder / KEY_NAME).chmod(0o600)
    for name in (identity.CERTIFICATE_NAME, identity.AUTHORITY_NAME):
        (folder / name).write_bytes(_pem("CERTIFICATE", _certificate()))
    return folder


def _identity_with(name: str, content: bytes) -> None:
    path = _unit_folder() / name
    good = path.read_bytes()
    try:
        path.write_bytes(content)
        identity.load(_unit_folder(), DEVICE)
    finally:
        path.write_bytes(good)


def _certificate_file(data: bytes) -> None:
    _identity_with(identity.CERTIFICATE_NAME, _pem("CERTIFICATE", data))


def _key_file(data: bytes) -> None:
    _identity_with(KEY_NAME, _pem("PRIVATE KEY", data))


def _key_seeds() -> list[bytes]:
    der = device_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return [der, certificates.key_pem(device_key())]


def _certificate_seeds() -> list[bytes]:
    return [_certificate(), x509.load_der_x509_certificate(_certificate()).public_bytes(Encoding.PEM)]


DOCUMENTS = (
    Target(
        "envelope", _envelope, (DocumentRejected,), lambda: [sealing.to_wire(sealed_read(n)) for n in (1, 2, 2**40)]
    ),
    Target(
        "cbor",
        _cbor,
        (DocumentRejected,),
        lambda: [sealing.payload(made_read()), sealing.header(sealed_read()), body(a_receipt())],
    ),
    Target(
        "payload",
        _payload,
        (DocumentRejected,),
        lambda: [sealing.payload(made_read(plate=plate)) for plate in ("TEST123", None)],
    ),
    Target("receipt", _receipt, (DocumentRejected,), lambda: [sign_receipt(a_receipt(), device_key())]),
    Target("receipt-body", _receipt_body, (DocumentRejected,), lambda: [body(a_receipt())]),
    Target("picture-request", _picture_request, (DocumentRejected,), lambda: [a_picture_request()]),
    Target(
        "picture-request-body",
        _picture_request_body,
        (DocumentRejected,),
        lambda: [wire.decode(a_picture_request(), "request")[0]],
    ),
    Target("retire-command", _command, (DocumentRejected,), lambda: [a_command()]),
    Target("status", _status, (DocumentRejected,), lambda: [a_status()]),
    Target("retired-notice", _notice, (DocumentRejected,), lambda: [a_notice()]),
    Target("certificate-request", _request, (ConfigRejected,), lambda: [a_request()], may_tell=r"`\$\.[a-z_.\[\]\d]+`"),
    Target("config", _config, (ConfigRejected,), lambda: [config.encode(unit_config())]),
    Target(
        "manifest", _manifest, (DeviceFault,), lambda: [(MODELS_FOLDER / tflite.MANIFEST).read_bytes()], 16_384, PINS
    ),
    Target(
        "model-file", _model_file, (DeviceFault,), lambda: [(MODELS_FOLDER / "ocr.tflite").read_bytes()], 2**20, PINS
    ),
    Target("registry", _registry, (ConfigRejected,), lambda: [registry_entry(DEVICE, device_key())]),
    Target("fleet", _fleet, (ConfigRejected,), _fleet_seeds),
    Target("certificate", _certificate_file, (ConfigRejected,), _certificate_seeds),
    Target("key", _key_file, (ConfigRejected,), _key_seeds),
)

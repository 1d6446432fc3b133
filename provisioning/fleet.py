"""A fleet: the authority, the agency's keys, the broker's and the receiver's files, and which units there are.

cloud.fleet_folder says what lies where; this file makes it, fleet.json last: a folder without it is no fleet.
"""

import base64
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cloud import broker_files, fleet_folder
from cloud.fleet_folder import Fleet
from cloud.opening_keys import OpeningKey
from firmware import agency_keys
from firmware.agency_keys import SUITES, SuiteNumber
from firmware.config import AgencyKeyConfig, SuiteName, key_bytes
from firmware.faults import ConfigRejected
from provisioning import certificates, clock_sense, durable_files
from provisioning.certificates import Authority

INSTALLED_FOLDER: Final = Path("/etc/mosquitto/kestrel")
INSTALLED_STATE_FOLDER: Final = Path("/var/lib/mosquitto")


PARTS: Final = (
    fleet_folder.AUTHORITY_KEY.parent,
    fleet_folder.OPENING_FOLDER.parent,
    fleet_folder.OPENING_FOLDER,
    fleet_folder.BROKER_FOLDER,
    fleet_folder.RECEIVER_FOLDER,
    fleet_folder.REGISTRY_FOLDER,
)
"""The folders of a fleet's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    authority: Authority
    opening: OpeningKey
    receipt: Ed25519PrivateKey
    retirement: Ed25519PrivateKey


def init(folder: Path, *, host: str, port: int, now: dt.datetime, suite: SuiteName = SuiteName.X25519) -> Fleet:
    """Make a fleet in `folder`, whose units will call `host`; go on with one that is half made, with the keys it has.

    Raises ConfigRejected if a whole one is there, if its file is gone from one that has units, or if the clock cannot
    be right; and OSError.
    """
    clock_sense.believable(now, None)
    if (folder / fleet_folder.FLEET_NAME).exists():
        raise ConfigRejected(f"{folder}: there is a fleet already, and it stays as it is; choose another folder")
    if any((folder / fleet_folder.REGISTRY_FOLDER).glob("*.json")):
        raise ConfigRejected(
            f"{folder}: its {fleet_folder.FLEET_NAME} is gone and its units are not; bring that file back from a copy"
        )
    # before anything is made: the broker's name may be none
    _checked(_shared(host, port, _generated_opening(suite), *(Ed25519PrivateKey.generate() for _ in range(2))))
    for part in (Path(), *PARTS):
        durable_files.make_folder(folder / part)
        durable_files.erase_unfinished(folder / part)
    keys = _keys(folder, suite, now)
    fleet = _checked(_shared(host, port, keys.opening, keys.receipt, keys.retirement))
    for name, content in _broker_files(folder, keys.authority, fleet, now).items():
        durable_files.write(folder / name, content)
    for name, content in receiver_files(folder, keys.authority, broker_files.RECEIVER_USER, now).items():
        durable_files.write(folder / name, content)
    write(folder, fleet)
    return fleet


def _keys(folder: Path, suite: SuiteName, now: dt.datetime) -> _Keys:
    """Return the fleet's own keys: those that are in `folder`, and new ones for what is not; durable before it returns.

    Raises ConfigRejected if one that is there cannot be read, and OSError.
    """
    return _Keys(
        authority=_authority(folder, now),
        opening=_opening_key(folder, suite),
        receipt=_signing_key(folder, fleet_folder.RECEIPT_KEY, fleet_folder.receipt_key),
        retirement=_signing_key(folder, fleet_folder.RETIREMENT_KEY, fleet_folder.retirement_key),
    )


def _authority(folder: Path, now: dt.datetime) -> Authority:
    key_path, path = folder / fleet_folder.AUTHORITY_KEY, folder / fleet_folder.AUTHORITY_CERTIFICATE
    if not key_path.exists() and path.exists():
        raise ConfigRejected(
            f"{key_path}: is gone, and its certificate is not; bring the key, or choose another folder"
        )
    key = tls_key(folder, fleet_folder.AUTHORITY_KEY)
    if not path.exists():
        durable_files.write(path, certificates.certificate_pem(certificates.new_authority(now, key).certificate))
    return load_authority(folder)


def tls_key(folder: Path, name: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key at `name` in the fleet's `folder`; make it if there is none.

    Raises ConfigRejected if what is there is no such key, and OSError.
    """
    path = folder / name
    if not path.exists():
        durable_files.write(path, certificates.key_pem(certificates.new_tls_key()))
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigRejected(f"{path}: holds no private key; bring the fleet's own file") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigRejected(f"{path}: holds a key of another kind; bring the fleet's own file")
    return key


def _opening_key(folder: Path, suite: SuiteName) -> OpeningKey:
    for path in sorted((folder / fleet_folder.OPENING_FOLDER).glob("*.key")):
        made = fleet_folder.opening_key(path)
        if made.suite is SUITES[suite]:
            return made
    key = _generated_opening(suite)
    durable_files.write(folder / fleet_folder.opening_key_path(key), _opening_pem(key))
    return key


def _signing_key(folder: Path, name: Path, load: Callable[[Path], Ed25519PrivateKey]) -> Ed25519PrivateKey:
    if not (folder / name).exists():
        durable_files.write(folder / name, certificates.key_pem(Ed25519PrivateKey.generate()))
    return load(folder)


def _generated_opening(suite: SuiteName) -> OpeningKey:
    return OpeningKey.generate(SUITES[suite])


def _shared(
    host: str, port: int, opening: OpeningKey, receipt: Ed25519PrivateKey, retirement: Ed25519PrivateKey
) -> Fleet:
    return Fleet(
        host=host,
        port=port,
        agency_keys=(public_entry(opening),),
        receipt_key=base64.b64encode(receipt.public_key().public_bytes_raw()).decode(),
        retirement_key=base64.b64encode(retirement.public_key().public_bytes_raw()).decode(),
    )


def add_key(
    folder: Path, suite: SuiteName, now: dt.datetime, *, replaces: str | None = None, overlap: dt.timedelta
) -> tuple[Fleet, OpeningKey]:
    """Give the fleet one more opening key; return the fleet as it is now, and the key.

    Units made from now on seal to it too. The key with the id `replaces` ends after `overlap`; keys that have ended
    leave fleet.json, and their opening keys stay. Raises ConfigRejected (no such key, too many keys, a wrong clock),
    and OSError.
    """
    shared = fleet_folder.load(folder)
    signing_authority(folder, now)  # the ends of keys are counted from now
    key = OpeningKey.generate(SUITES[suite])
    known = {agency_keys.key_id(key_bytes(entry.key)).hex(): entry for entry in shared.agency_keys}
    if replaces is not None and replaces not in known:
        raise ConfigRejected(f"{folder}: the fleet has no key {replaces}; give one of {', '.join(known)}")
    if replaces is not None:
        known[replaces] = msgspec.structs.replace(known[replaces], valid_until_utc=now + overlap)
    kept = [entry for entry in known.values() if entry.valid_until_utc is None or entry.valid_until_utc > now]
    fleet = _checked(msgspec.structs.replace(shared, agency_keys=(*kept, public_entry(key))))
    # first of the two: what is sealed must open, even if the power goes here
    durable_files.write(folder / fleet_folder.opening_key_path(key), _opening_pem(key))
    write(folder, fleet)
    return fleet, key


def public_entry(key: OpeningKey) -> AgencyKeyConfig:
    """Return what a unit's configuration says of an opening key: its public half, without limits."""
    names = {number: name for name, number in SUITES.items()}
    return AgencyKeyConfig(key=base64.b64encode(key.public_bytes).decode(), suite=names[key.suite])


def write(folder: Path, fleet: Fleet) -> None:
    """Write fleet.json. Raises OSError."""
    content = msgspec.json.format(msgspec.json.encode(fleet), indent=2) + b"\n"
    durable_files.write(folder / fleet_folder.FLEET_NAME, content)


def load_authority(folder: Path) -> Authority:
    """Return the authority of the fleet in `folder`, to look at. Raises ConfigRejected."""
    try:
        key = load_pem_private_key((folder / fleet_folder.AUTHORITY_KEY).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / fleet_folder.AUTHORITY_CERTIFICATE).read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ConfigRejected(
            f"{folder / fleet_folder.AUTHORITY_KEY}: the fleet's authority cannot be read; bring its files"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigRejected(
            f"{folder / fleet_folder.AUTHORITY_KEY}: the authority's key is of another kind; bring its files"
        )
    if key.public_key() != certificate.public_key():
        raise ConfigRejected(f"{folder / fleet_folder.AUTHORITY_KEY}: not the key of its certificate; bring its files")
    return Authority(key=key, certificate=certificate)


def signing_authority(folder: Path, now: dt.datetime) -> Authority:
    """Return the authority of the fleet in `folder`, if it may sign something at `now`.

    Raises ConfigRejected, also if it has ended or the clock of this machine cannot be right.
    """
    authority = load_authority(folder)
    clock_sense.believable(now, authority.certificate)
    return authority


def _checked(fleet: Fleet) -> Fleet:
    """Return `fleet` as it would be read back, so that what is written can be read. Raises ConfigRejected."""
    try:
        return msgspec.convert(msgspec.to_builtins(fleet), Fleet)
    except msgspec.ValidationError as error:
        raise ConfigRejected(
            f"{error}; give the broker's name and port as units can reach it, and let keys end before there are five"
        ) from error


def _opening_pem(key: OpeningKey) -> bytes:
    return key.to_x_wing_pem() if key.suite is SuiteNumber.X_WING else certificates.key_pem(key.private_key)


def _broker_files(folder: Path, authority: Authority, fleet: Fleet, now: dt.datetime) -> dict[Path, bytes]:
    """Return the broker's files, with the key that it has. No unit is there yet, so that nobody is revoked."""
    key = tls_key(folder, fleet_folder.BROKER_FOLDER / broker_files.KEY_NAME)
    request = certificates.signing_request(key, "broker")
    certificate = certificates.server_certificate(authority, request, fleet.host, now, certificates.BROKER_DAYS)
    place = broker_files.BrokerPlace(port=fleet.port, folder=INSTALLED_FOLDER, state_folder=INSTALLED_STATE_FOLDER)
    return {
        fleet_folder.BROKER_FOLDER / name: content
        for name, content in (
            (broker_files.CERTIFICATE_NAME, certificates.certificate_pem(certificate)),
            (broker_files.AUTHORITY_NAME, certificates.certificate_pem(authority.certificate)),
            (
                broker_files.REVOKED_NAME,
                certificates.revocation_list_pem(certificates.revocation_list(authority, {}, None, now)),
            ),
            (broker_files.CONFIGURATION_NAME, broker_files.configuration(place).encode()),
            (broker_files.SERVICE_NAME, broker_files.service_settings().encode()),
            (broker_files.ACCESS_NAME, broker_files.access_list().encode()),
        )
    }


def receiver_files(folder: Path, authority: Authority, name: str, now: dt.datetime) -> dict[Path, bytes]:
    """Return the certificates of the receiver of this name, by where they lie in the fleet's folder, and make its key.

    Raises ConfigRejected and OSError.
    """
    key = tls_key(folder, fleet_folder.of_receiver(fleet_folder.RECEIVER_KEY, name))
    request = certificates.signing_request(key, name)
    certificate = certificates.client_certificate(authority, request, name, now, certificates.RECEIVER_DAYS)
    contents = {
        fleet_folder.RECEIVER_AUTHORITY: certificates.certificate_pem(authority.certificate),
        fleet_folder.RECEIVER_CERTIFICATE: certificates.certificate_pem(certificate),  # last: with it there is one
    }
    return {fleet_folder.of_receiver(file, name): content for file, content in contents.items()}

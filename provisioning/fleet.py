"""A fleet: the authority, the agency's keys, the broker's and the receiver's files, and which units there are.

cloud.fleet_folder says what lies where; this file makes it, fleet.json last: a folder without it is no fleet.
"""

import base64
import datetime as dt
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
from provisioning import certificates, durable_files
from provisioning.certificates import Authority

INSTALLED_FOLDER: Final = Path("/etc/mosquitto/kestrel")
INSTALLED_STATE_FOLDER: Final = Path("/var/lib/mosquitto")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    authority: Authority
    opening: OpeningKey
    receipt: Ed25519PrivateKey
    retirement: Ed25519PrivateKey


def init(folder: Path, *, host: str, port: int, now: dt.datetime, suite: SuiteName = SuiteName.X25519) -> Fleet:
    """Make a fleet in `folder`, whose units will call `host`. Raises ConfigRejected if one is there, and OSError."""
    if (folder / fleet_folder.FLEET_NAME).exists():
        raise ConfigRejected(f"{folder}: there is a fleet already; it stays as it is, choose another folder")
    keys = _Keys(
        authority=certificates.new_authority(now),
        opening=OpeningKey.generate(SUITES[suite]),
        receipt=Ed25519PrivateKey.generate(),
        retirement=Ed25519PrivateKey.generate(),
    )
    fleet = _checked(
        Fleet(
            host=host,
            port=port,
            agency_keys=(public_entry(keys.opening),),
            receipt_key=base64.b64encode(keys.receipt.public_key().public_bytes_raw()).decode(),
            retirement_key=base64.b64encode(keys.retirement.public_key().public_bytes_raw()).decode(),
        )
    )
    parts = (
        fleet_folder.AUTHORITY_KEY.parent,
        fleet_folder.OPENING_FOLDER.parent,
        fleet_folder.OPENING_FOLDER,
        fleet_folder.BROKER_FOLDER,
        fleet_folder.RECEIVER_FOLDER,
        fleet_folder.REGISTRY_FOLDER,
    )
    contents = (
        _agency_files(keys)
        | _broker_files(keys.authority, fleet, now)
        | receiver_files(keys.authority, broker_files.RECEIVER_USER, now)
    )
    durable_files.refuse_to_replace(folder / name for name in contents)
    durable_files.make_folder(folder)
    for part in parts:
        durable_files.make_folder(folder / part)
    for name, content in contents.items():
        durable_files.write(folder / name, content)
    write(folder, fleet)
    return fleet


def add_key(
    folder: Path, suite: SuiteName, now: dt.datetime, *, replaces: str | None = None, overlap: dt.timedelta
) -> tuple[Fleet, OpeningKey]:
    """Give the fleet one more opening key; return the fleet as it is now, and the key.

    Units made from now on seal to it too. The key with the id `replaces` ends after `overlap`; keys that have ended
    leave fleet.json, and their opening keys stay. Raises ConfigRejected (no such key, too many keys), and OSError.
    """
    shared = fleet_folder.load(folder)
    key = OpeningKey.generate(SUITES[suite])
    known = {agency_keys.key_id(key_bytes(entry.key)).hex(): entry for entry in shared.agency_keys}
    if replaces is not None and replaces not in known:
        raise ConfigRejected(f"{folder}: the fleet has no key {replaces}; it has {', '.join(known)}")
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
    """Return the authority of the fleet in `folder`, to sign with. Raises ConfigRejected."""
    try:
        key = load_pem_private_key((folder / fleet_folder.AUTHORITY_KEY).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / fleet_folder.AUTHORITY_CERTIFICATE).read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ConfigRejected(
            f"{folder / fleet_folder.AUTHORITY_KEY}: the fleet's authority cannot be read; bring its files"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigRejected(f"{folder / fleet_folder.AUTHORITY_KEY}: not an ECDSA key")
    return Authority(key=key, certificate=certificate)


def _checked(fleet: Fleet) -> Fleet:
    """Return `fleet` as it would be read back, so that what is written can be read. Raises ConfigRejected."""
    try:
        return msgspec.convert(msgspec.to_builtins(fleet), Fleet)
    except msgspec.ValidationError as error:
        raise ConfigRejected(
            f"{error}; give the broker's name and port as units can reach it, and let keys end before there are five"
        ) from error


def _agency_files(keys: _Keys) -> dict[Path, bytes]:
    return {
        fleet_folder.AUTHORITY_KEY: certificates.key_pem(keys.authority.key),
        fleet_folder.AUTHORITY_CERTIFICATE: certificates.certificate_pem(keys.authority.certificate),
        fleet_folder.opening_key_path(keys.opening): _opening_pem(keys.opening),
        fleet_folder.RECEIPT_KEY: certificates.key_pem(keys.receipt),
        fleet_folder.RETIREMENT_KEY: certificates.key_pem(keys.retirement),
    }


def _opening_pem(key: OpeningKey) -> bytes:
    return key.to_x_wing_pem() if key.suite is SuiteNumber.X_WING else certificates.key_pem(key.private_key)


def _broker_files(authority: Authority, fleet: Fleet, now: dt.datetime) -> dict[Path, bytes]:
    key = certificates.new_tls_key()
    request = certificates.signing_request(key, "broker")
    certificate = certificates.server_certificate(authority, request, fleet.host, now, certificates.BROKER_DAYS)
    place = broker_files.BrokerPlace(port=fleet.port, folder=INSTALLED_FOLDER, state_folder=INSTALLED_STATE_FOLDER)
    return {
        fleet_folder.BROKER_FOLDER / broker_files.KEY_NAME: certificates.key_pem(key),
        fleet_folder.BROKER_FOLDER / broker_files.CERTIFICATE_NAME: certificates.certificate_pem(certificate),
        fleet_folder.BROKER_FOLDER / broker_files.AUTHORITY_NAME: certificates.certificate_pem(authority.certificate),
        fleet_folder.BROKER_FOLDER / broker_files.REVOKED_NAME: certificates.revocation_list_pem(
            certificates.revocation_list(authority, {}, None, now)
        ),
        fleet_folder.BROKER_FOLDER / broker_files.CONFIGURATION_NAME: broker_files.configuration(place).encode(),
        fleet_folder.BROKER_FOLDER / broker_files.SERVICE_NAME: broker_files.service_settings().encode(),
        fleet_folder.BROKER_FOLDER / broker_files.ACCESS_NAME: broker_files.access_list().encode(),
    }


def receiver_files(authority: Authority, name: str, now: dt.datetime) -> dict[Path, bytes]:
    """Return the files of the receiver of this name, by where they lie in the fleet's folder: key, certificates."""
    key = certificates.new_tls_key()
    request = certificates.signing_request(key, name)
    certificate = certificates.client_certificate(authority, request, name, now, certificates.RECEIVER_DAYS)
    contents = {
        fleet_folder.RECEIVER_KEY: certificates.key_pem(key),
        fleet_folder.RECEIVER_AUTHORITY: certificates.certificate_pem(authority.certificate),
        fleet_folder.RECEIVER_CERTIFICATE: certificates.certificate_pem(certificate),  # last: with it there is one
    }
    return {fleet_folder.of_receiver(file, name): content for file, content in contents.items()}

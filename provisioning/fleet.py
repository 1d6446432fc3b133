"""A fleet: the authority, the agency's keys, the broker's and the receiver's files, and which units there are.

One folder, for the office and not for the road:

    fleet.json                 name and port of the broker, the agency's public keys; written last: without it, no fleet
    authority/  fleet-ca.key fleet-ca.crt          signs certificates; keep it off line
    agency/     opening.key receipt.key            opens reads; signs receipts
    broker/     mosquitto.conf access.acl broker.key broker.crt fleet-ca.crt       goes to the broker's machine
    receiver/   receiver.key receiver.crt fleet-ca.crt (reads.db)                  the receiver's identity and store
    registry/   one JSON file a unit
"""

import base64
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from cloud import broker_files
from cloud.registry import FOLDER_NAME as REGISTRY_NAME
from firmware.config import Base64Key
from firmware.faults import ConfigRejected
from provisioning import certificates, durable_files
from provisioning.certificates import Authority

FLEET_NAME: Final = "fleet.json"
AUTHORITY_KEY: Final = Path("authority/fleet-ca.key")
AUTHORITY_CERTIFICATE: Final = Path("authority/fleet-ca.crt")
OPENING_KEY: Final = Path("agency/opening.key")
RECEIPT_KEY: Final = Path("agency/receipt.key")
BROKER_FOLDER: Final = Path("broker")
RECEIVER_FOLDER: Final = Path("receiver")
RECEIVER_KEY: Final = RECEIVER_FOLDER / "receiver.key"
RECEIVER_CERTIFICATE: Final = RECEIVER_FOLDER / "receiver.crt"
RECEIVER_AUTHORITY: Final = RECEIVER_FOLDER / "fleet-ca.crt"
REGISTRY_FOLDER: Final = Path(REGISTRY_NAME)

INSTALLED_FOLDER: Final = Path("/etc/mosquitto/kestrel")
INSTALLED_STATE_FOLDER: Final = Path("/var/lib/mosquitto")


class Fleet(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What every unit of a fleet has in common; public."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    host: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.:-]{1,253}$")]
    port: Annotated[int, Meta(ge=1, le=65535)]
    agency_key: Base64Key  # X25519, raw
    receipt_key: Base64Key  # Ed25519, raw


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    authority: Authority
    opening: X25519PrivateKey
    receipt: Ed25519PrivateKey


def init(folder: Path, *, host: str, port: int, now: dt.datetime) -> Fleet:
    """Make a fleet in `folder`, whose units will call `host`. Raises ConfigRejected if one is there, and OSError."""
    if (folder / FLEET_NAME).exists():
        raise ConfigRejected(f"{folder}: there is a fleet already; it stays as it is, choose another folder")
    keys = _Keys(
        authority=certificates.new_authority(now),
        opening=X25519PrivateKey.generate(),
        receipt=Ed25519PrivateKey.generate(),
    )
    fleet = _checked(
        Fleet(
            host=host,
            port=port,
            agency_key=base64.b64encode(keys.opening.public_key().public_bytes_raw()).decode(),
            receipt_key=base64.b64encode(keys.receipt.public_key().public_bytes_raw()).decode(),
        )
    )
    for part in (AUTHORITY_KEY.parent, OPENING_KEY.parent, BROKER_FOLDER, RECEIVER_FOLDER, REGISTRY_FOLDER):
        durable_files.make_folder(folder / part)
    contents = _agency_files(keys) | _broker_files(keys.authority, fleet, now) | _receiver_files(keys.authority, now)
    for name, content in contents.items():
        durable_files.write(folder / name, content)
    durable_files.write(folder / FLEET_NAME, msgspec.json.format(msgspec.json.encode(fleet), indent=2) + b"\n")
    return fleet


def load(folder: Path) -> Fleet:
    """Return the fleet in `folder`. Raises ConfigRejected."""
    path = folder / FLEET_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Fleet)
    except OSError as error:
        hint = "make a fleet with `kestrel-provision fleet init`"
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); {hint}") from error
    except msgspec.DecodeError as error:
        raise ConfigRejected(f"{path}: {error}") from error


def load_authority(folder: Path) -> Authority:
    """Return the authority of the fleet in `folder`, to sign with. Raises ConfigRejected."""
    try:
        key = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY_CERTIFICATE).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigRejected(
            f"{folder / AUTHORITY_KEY}: the fleet's authority cannot be read; bring its files"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigRejected(f"{folder / AUTHORITY_KEY}: not an ECDSA key")
    return Authority(key=key, certificate=certificate)


def _checked(fleet: Fleet) -> Fleet:
    """Return `fleet` as it would be read back, so that what is written can be read. Raises ConfigRejected."""
    try:
        return msgspec.convert(msgspec.to_builtins(fleet), Fleet)
    except msgspec.ValidationError as error:
        raise ConfigRejected(f"{error}; give the broker's name and port as units can reach it") from error


def _agency_files(keys: _Keys) -> dict[Path, bytes]:
    return {
        AUTHORITY_KEY: certificates.key_pem(keys.authority.key),
        AUTHORITY_CERTIFICATE: certificates.certificate_pem(keys.authority.certificate),
        OPENING_KEY: certificates.key_pem(keys.opening),
        RECEIPT_KEY: certificates.key_pem(keys.receipt),
    }


def _broker_files(authority: Authority, fleet: Fleet, now: dt.datetime) -> dict[Path, bytes]:
    key = certificates.new_tls_key()
    request = certificates.signing_request(key, "broker")
    certificate = certificates.server_certificate(authority, request, fleet.host, now, certificates.BROKER_DAYS)
    place = broker_files.BrokerPlace(port=fleet.port, folder=INSTALLED_FOLDER, state_folder=INSTALLED_STATE_FOLDER)
    return {
        BROKER_FOLDER / broker_files.KEY_NAME: certificates.key_pem(key),
        BROKER_FOLDER / broker_files.CERTIFICATE_NAME: certificates.certificate_pem(certificate),
        BROKER_FOLDER / broker_files.AUTHORITY_NAME: certificates.certificate_pem(authority.certificate),
        BROKER_FOLDER / broker_files.CONFIGURATION_NAME: broker_files.configuration(place).encode(),
        BROKER_FOLDER / broker_files.ACCESS_NAME: broker_files.access_list().encode(),
    }


def _receiver_files(authority: Authority, now: dt.datetime) -> dict[Path, bytes]:
    key = certificates.new_tls_key()
    request = certificates.signing_request(key, broker_files.RECEIVER_USER)
    certificate = certificates.client_certificate(
        authority, request, broker_files.RECEIVER_USER, now, certificates.RECEIVER_DAYS
    )
    return {
        RECEIVER_KEY: certificates.key_pem(key),
        RECEIVER_CERTIFICATE: certificates.certificate_pem(certificate),
        RECEIVER_AUTHORITY: certificates.certificate_pem(authority.certificate),
    }

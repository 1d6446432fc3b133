"""Who a unit is: its private key and certificate, and the public keys that it trusts, from the unit's folder.

The folder holds config.json, device.key (Ed25519, PKCS #8 PEM, mode 0600), device.crt, fleet-ca.crt and outbox.db. One
key signs the reads and authenticates the TLS connection, so that the broker and the receiver cannot disagree on who
is who.
"""

import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from firmware.config import SealConfig, key_bytes
from firmware.faults import ConfigRejected

CONFIG_NAME = "config.json"
KEY_NAME = "device.key"
CERTIFICATE_NAME = "device.crt"
AUTHORITY_NAME = "fleet-ca.crt"
OUTBOX_NAME = "outbox.db"

MAKE_AGAIN = "make the unit's folder again with `kestrel-provision unit new`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A unit's key, and where the files lie that TLS wants to read by itself."""

    device_id: str
    device_key: Ed25519PrivateKey = field(repr=False)
    key_path: Path
    certificate_path: Path
    authority_path: Path


def load(folder: Path, device_id: str) -> Identity:
    """Return the identity in `folder`, checked to be whole and to be `device_id`'s.

    Raises ConfigRejected with one sentence for a technician: a file is missing or unreadable, the key is readable by
    others than its owner, or key, certificate and configuration do not belong together.
    """
    key_path, certificate_path = folder / KEY_NAME, folder / CERTIFICATE_NAME
    device_key = load_device_key(key_path)
    certificate = load_certificate(certificate_path)
    load_certificate(folder / AUTHORITY_NAME)
    if common_name(certificate) != device_id:
        raise ConfigRejected(f"{certificate_path}: it is not the certificate of {device_id}; {MAKE_AGAIN}")
    if certificate.public_key() != device_key.public_key():
        raise ConfigRejected(f"{certificate_path}: it does not belong to {KEY_NAME}; {MAKE_AGAIN}")
    return Identity(
        device_id=device_id,
        device_key=device_key,
        key_path=key_path,
        certificate_path=certificate_path,
        authority_path=folder / AUTHORITY_NAME,
    )


def load_device_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key at `path`. Raises ConfigRejected; anything but the owner's access is refused."""
    data = _content(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigRejected(f"{path}: other users may read this key; run `chmod 600 {path}`")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigRejected(f"{path}: not a private key in PEM; {MAKE_AGAIN}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigRejected(f"{path}: not an Ed25519 key; {MAKE_AGAIN}")
    return key


def load_certificate(path: Path) -> x509.Certificate:
    """Return the certificate at `path`. Raises ConfigRejected."""
    try:
        certificate = x509.load_pem_x509_certificate(_content(path))
        _ = certificate.subject, certificate.public_key()  # these are parsed only when asked for
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise ConfigRejected(f"{path}: not a certificate in PEM; {MAKE_AGAIN}") from None
    return certificate


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name: the MQTT user name of its owner. Empty if there is none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def agency_public_key(seal: SealConfig) -> X25519PublicKey:
    """Return the key to which reads are sealed. Raises ConfigRejected."""
    return X25519PublicKey.from_public_bytes(key_bytes(seal.agency_key))


def receipt_public_key(seal: SealConfig) -> Ed25519PublicKey:
    """Return the key with which the agency signs receipts. Raises ConfigRejected."""
    return Ed25519PublicKey.from_public_bytes(key_bytes(seal.receipt_key))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); {MAKE_AGAIN}") from error

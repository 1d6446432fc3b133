"""Who a unit is: its private key and certificate, and the public keys that it trusts, from the unit's folder.

The folder holds config.json, device.key (Ed25519, PKCS #8 PEM, mode 0600), device.crt, fleet-ca.crt and outbox.db. One
key signs the reads and authenticates the TLS connection, so that the broker and the receiver cannot disagree on who
is who. With a token (`token` in config.json) the key that signs lies in it, certified by signing.crt, and device.key is
for TLS alone: OpenSSL of Debian 12 cannot use a token's key. Both certificates are of the same name.

The certificate says which key is the unit's: a new pair is taken into use by replacing the certificate, in one rename.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from firmware.config import SealConfig, key_bytes
from firmware.faults import ConfigRejected
from firmware.key_files import KEY_NAME, MAKE_AGAIN, KeyFiles

if TYPE_CHECKING:  # the ports bring the records of the whole camera
    from firmware.ports import KeyStore

CONFIG_NAME = "config.json"
CERTIFICATE_NAME = "device.crt"
SIGNING_CERTIFICATE_NAME = "signing.crt"
AUTHORITY_NAME = "fleet-ca.crt"
UPDATE_ROOT_NAME = "update-root.json"  # whom updates are to be believed; only where the fleet says so
OUTBOX_NAME = "outbox.db"
ACCOUNT_NAME = "data-plan.json"
REBOOTED_NAME = "rebooted"  # left by a reboot of the unit's own
VEHICLES_FOLDER = "vehicles"  # sealed pictures that wait for somebody to ask for them
HANDOVER_FOLDER = "handover"  # the technician's: what was surveyed, checked, aimed and accepted

EXPIRY_WARN_DAYS = 30
MS_PER_DAY = 86_400_000
RENEW = "give it a new key with `kestrel-provision unit rotate`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A unit's key, and where the files lie that TLS wants to read by itself."""

    device_id: str
    device_key: Ed25519PrivateKey = field(repr=False)  # signs reads; a token's key has no bytes to be read
    key_path: Path
    certificate_path: Path
    authority_path: Path
    key_store: str  # what holds `device_key`: `file`, or `pkcs11: ` and the token's label
    not_after_utc_ms: int  # when the first of the unit's certificates runs out


def load(folder: Path, device_id: str, keys: "KeyStore | None" = None) -> Identity:
    """Return the identity in `folder`, checked to be whole and to be `device_id`'s; None: its key is a file there.

    Raises ConfigRejected with one sentence for a technician: a file is missing or unreadable, the key is readable by
    others than its owner, or key, certificate and configuration do not belong together. Raises
    DeviceFault(KEY_UNUSABLE) for a token that does not answer.
    """
    files = KeyFiles(folder)
    signing_keys = keys or files
    certificates = own_certificates(folder, in_token=not isinstance(signing_keys, KeyFiles))
    load_certificate(folder / AUTHORITY_NAME)
    for path, certificate in certificates.items():
        if common_name(certificate) != device_id:
            raise ConfigRejected(f"{path}: it is not the certificate of {device_id}; {MAKE_AGAIN}")
    *_, (signing_path, signing_certificate) = certificates.items()
    key_path = files.path_of(public_key_of(certificates[folder / CERTIFICATE_NAME]))
    device_key = signing_keys.find(public_key_of(signing_certificate))
    if key_path is None:
        raise ConfigRejected(f"{folder / CERTIFICATE_NAME}: it does not belong to {KEY_NAME}; {MAKE_AGAIN}")
    if device_key is None:
        raise ConfigRejected(f"{signing_path}: its key is not in {signing_keys.describe()}; {MAKE_AGAIN}")
    return Identity(
        device_id=device_id,
        device_key=device_key,
        key_path=key_path,
        certificate_path=folder / CERTIFICATE_NAME,
        authority_path=folder / AUTHORITY_NAME,
        key_store=signing_keys.describe(),
        not_after_utc_ms=min(round(one.not_valid_after_utc.timestamp() * 1000) for one in certificates.values()),
    )


def days_left(not_after_utc_ms: int, utc_ms: int) -> float:
    """Return the days from `utc_ms` until a certificate runs out; negative once it has. Both in ms since 1970."""
    return (not_after_utc_ms - utc_ms) / MS_PER_DAY


def certificate_names(*, in_token: bool) -> tuple[str, ...]:
    """Return the names of a unit's certificate files: the one for TLS first, the one of the key that signs last.

    `in_token`: the key that signs lies in a token.
    """
    return (CERTIFICATE_NAME, SIGNING_CERTIFICATE_NAME) if in_token else (CERTIFICATE_NAME,)


def own_certificates(folder: Path, *, in_token: bool) -> dict[Path, x509.Certificate]:
    """Return the unit's certificates by path, in the order of `certificate_names`. Raises ConfigRejected."""
    return {folder / name: load_certificate(folder / name) for name in certificate_names(in_token=in_token)}


def load_certificate(path: Path) -> x509.Certificate:
    """Return the certificate at `path`. Raises ConfigRejected."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        _ = certificate.subject, certificate.public_key()  # these are parsed only when asked for
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); {MAKE_AGAIN}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):  # TypeError for odd names
        raise ConfigRejected(f"{path}: holds no certificate; {MAKE_AGAIN}") from None
    return certificate


def public_key_of(certificate: x509.Certificate) -> Ed25519PublicKey:
    """Return the key that `certificate` certifies. Raises ConfigRejected if it is not of a unit's kind."""
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigRejected(f"the unit's certificate is of another kind of key; {MAKE_AGAIN}")
    return key


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name: the MQTT user name of its owner. Empty if there is none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def receipt_public_key(seal: SealConfig) -> Ed25519PublicKey:
    """Return the key with which the agency signs receipts. Raises ConfigRejected."""
    return Ed25519PublicKey.from_public_bytes(key_bytes(seal.receipt_key))


def retirement_public_key(seal: SealConfig) -> Ed25519PublicKey:
    """Return the key with which the fleet signs the command to erase. Raises ConfigRejected."""
    return Ed25519PublicKey.from_public_bytes(key_bytes(seal.retirement_key))

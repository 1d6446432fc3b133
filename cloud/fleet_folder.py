"""The fleet's folder: what lies where, and what every unit of a fleet has in common.

One folder, for the office and not for the road:

    fleet.json                 name and port of the broker, the agency's public keys; written last: without it, no fleet
    authority/  fleet-ca.key fleet-ca.crt          signs certificates; keep it off line
    agency/     opening.key receipt.key            opens reads; signs receipts
    broker/     mosquitto.conf access.acl broker.key broker.crt fleet-ca.crt       goes to the broker's machine
    receiver/   receiver.key receiver.crt fleet-ca.crt (reads.db)                  the receiver's identity and store
    registry/   one JSON file a unit
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from firmware import strict_json
from firmware.config import Base64Key
from firmware.faults import ConfigRejected, DocumentRejected

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
REGISTRY_FOLDER: Final = Path("registry")

STORE: Final = RECEIVER_FOLDER / "reads.db"


class Fleet(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What every unit of a fleet has in common; public."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    host: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.:-]{1,253}\Z")]
    port: Annotated[int, Meta(ge=1, le=65535)]
    agency_key: Base64Key  # X25519, raw
    receipt_key: Base64Key  # Ed25519, raw


def load(folder: Path) -> Fleet:
    """Return the fleet in `folder`. Raises ConfigRejected."""
    path = folder / FLEET_NAME
    try:
        return strict_json.read(path, Fleet)
    except OSError as error:
        hint = "make a fleet with `kestrel-provision fleet init`"
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); {hint}") from error
    except DocumentRejected as error:
        raise ConfigRejected(f"{path}: {error}; bring the fleet's own file") from error


def opening_key(folder: Path) -> X25519PrivateKey:
    """Return the agency's key that opens reads. Raises ConfigRejected."""
    key = _private_key(folder / OPENING_KEY)
    if not isinstance(key, X25519PrivateKey):
        raise ConfigRejected(f"{folder / OPENING_KEY}: not an X25519 key; bring the fleet's own file")
    return key


def receipt_key(folder: Path) -> Ed25519PrivateKey:
    """Return the agency's key that signs receipts. Raises ConfigRejected."""
    key = _private_key(folder / RECEIPT_KEY)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigRejected(f"{folder / RECEIPT_KEY}: not an Ed25519 key; bring the fleet's own file")
    return key


def _private_key(path: Path) -> object:
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the fleet's own file") from error
    except (ValueError, TypeError):
        raise ConfigRejected(f"{path}: not a private key in PEM; bring the fleet's own file") from None

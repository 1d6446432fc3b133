"""The fleet's folder: what lies where, and what every unit of a fleet has in common.

One folder, for the office and not for the road:

    fleet.json                 name and port of the broker, the agency's public keys; written last: without it, no fleet
    authority/  fleet-ca.key fleet-ca.crt retirement.key      signs certificates and revocations; tells units to erase
    agency/     opening/KEY-ID.key receipt.key     each opens the reads sealed to it; signs receipts
    broker/     mosquitto.conf mosquitto.service.d.conf access.acl broker.key broker.crt fleet-ca.crt fleet-ca.crl
                goes to the broker's machine
    receiver/   receiver.key receiver.crt fleet-ca.crt (reads.db)                  the receiver's identity and store
    receiver-2/ ...   the same files of each further receiver, but for the store
    registry/   one JSON file a unit
    configurations/   what each unit was last given, one JSON file a unit; so where it hangs, which the registry hides
    labels/     the label of each unit, to be printed
    update/     root.json: whose word a unit takes for an update; there once the holders of the root keys have met
                metadata/ targets/     what a web server shows (The Update Framework)
                online/ holders.json holders/     keys of the other roles; who holds the root keys
"""

import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware import strict_json
from firmware.config import AgencyKeys, Base64Key
from firmware.faults import ConfigRejected, DocumentRejected

FLEET_NAME: Final = "fleet.json"
AUTHORITY_KEY: Final = Path("authority/fleet-ca.key")
AUTHORITY_CERTIFICATE: Final = Path("authority/fleet-ca.crt")
RETIREMENT_KEY: Final = Path("authority/retirement.key")
OPENING_FOLDER: Final = Path("agency/opening")
RECEIPT_KEY: Final = Path("agency/receipt.key")
BROKER_FOLDER: Final = Path("broker")
RECEIVER_FOLDER: Final = Path("receiver")
RECEIVER_KEY: Final = RECEIVER_FOLDER / "receiver.key"
RECEIVER_CERTIFICATE: Final = RECEIVER_FOLDER / "receiver.crt"
RECEIVER_AUTHORITY: Final = RECEIVER_FOLDER / "fleet-ca.crt"
REGISTRY_FOLDER: Final = Path("registry")
CONFIGURATIONS_FOLDER: Final = Path("configurations")
LABELS_FOLDER: Final = Path("labels")
UPDATE_FOLDER: Final = Path("update")
UPDATE_ROOT: Final = UPDATE_FOLDER / "root.json"

STORE: Final = RECEIVER_FOLDER / "reads.db"

RECEIVER_NAME_PATTERN: Final = r"receiver(-[1-9][0-9]{0,3})?"
"""A receiver's folder, and the common name of its certificate. The first has no number."""


class Fleet(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What every unit of a fleet has in common; public."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    host: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.:-]{1,253}\Z")]
    port: Annotated[int, Meta(ge=1, le=65535)]
    agency_keys: AgencyKeys
    receipt_key: Base64Key  # Ed25519, raw
    retirement_key: Base64Key  # Ed25519, raw


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


def of_receiver(file: Path, name: str) -> Path:
    """Return where `file`, one of the first receiver's, lies for the receiver of this name."""
    return Path(name) / file.name


def receivers(folder: Path) -> list[str]:
    """Return the names of the fleet's receivers, in the order in which they were made."""
    found = [path.name for path in folder.glob("receiver*") if (path / RECEIVER_CERTIFICATE.name).exists()]
    return sorted(
        (name for name in found if re.fullmatch(RECEIVER_NAME_PATTERN, name)), key=lambda name: (len(name), name)
    )


def opening_keys(folder: Path) -> OpeningKeys:
    """Return the agency's keys that open reads, those that no unit uses any more too. Raises ConfigRejected."""
    paths = sorted((folder / OPENING_FOLDER).glob("*.key"))
    if not paths:
        raise ConfigRejected(f"{folder / OPENING_FOLDER}: there is no opening key; bring the fleet's own files")
    return OpeningKeys(opening_key(path) for path in paths)


def opening_key_path(key: OpeningKey) -> Path:
    """Return where an opening key lies in the fleet's folder: under its id, so that none replaces another."""
    return OPENING_FOLDER / f"{key.key_id.hex()}.key"


def opening_key(path: Path) -> OpeningKey:
    """Return the key at `path` that opens reads. Raises ConfigRejected."""
    try:
        return OpeningKey.from_pem(path.read_bytes())
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the fleet's own file") from error
    except (ValueError, TypeError):
        raise ConfigRejected(f"{path}: not an opening key; bring the fleet's own file") from None


def receipt_key(folder: Path) -> Ed25519PrivateKey:
    """Return the agency's key that signs receipts. Raises ConfigRejected."""
    return _signing_key(folder / RECEIPT_KEY)


def retirement_key(folder: Path) -> Ed25519PrivateKey:
    """Return the fleet's key that tells units to erase themselves. Raises ConfigRejected."""
    return _signing_key(folder / RETIREMENT_KEY)


def _signing_key(path: Path) -> Ed25519PrivateKey:
    key = _private_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigRejected(f"{path}: holds a key of another kind; bring the fleet's own file")
    return key


def _private_key(path: Path) -> object:
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the fleet's own file") from error
    except (ValueError, TypeError):
        raise ConfigRejected(f"{path}: holds no private key; bring the fleet's own file") from None

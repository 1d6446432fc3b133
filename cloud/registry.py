"""The registry: which units belong to the fleet, and with which key each one signs. One JSON file a unit.

provisioning writes it, the receiver reads it. It knows nothing of where a unit hangs but the name of its site.
"""

import base64
import binascii
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from firmware import strict_json
from firmware.config import DEVICE_ID_PATTERN, Base64Key
from firmware.faults import ConfigRejected, DocumentRejected


class Unit(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One unit of the fleet."""

    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    public_key: Base64Key  # Ed25519, raw
    certificate_serial: Annotated[str, Meta(pattern=r"^[0-9a-f]{1,40}\Z", description="hexadecimal")]
    site_name: Annotated[str, Meta(min_length=1, max_length=80)]
    enrolled_utc: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z")]

    def verifying_key(self) -> Ed25519PublicKey:
        """Return the key that checks this unit's signatures. Raises ConfigRejected."""
        try:
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(self.public_key, validate=True))
        except (binascii.Error, ValueError):
            raise ConfigRejected(f"the registry's key of {self.device_id} is not an Ed25519 key") from None


class Registry:
    """The units of one fleet, one file each. What comes, changes or goes while the receiver runs counts at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, tuple[int, Ed25519PublicKey]] = {}  # by unit: when its entry changed, its key

    def path(self, device_id: str) -> Path:
        """Return where the unit's entry lies or will lie."""
        return self._folder / f"{device_id}.json"

    def key(self, device_id: str) -> Ed25519PublicKey | None:
        """Return the verifying key of a unit, or None if it is not of this fleet. Raises ConfigRejected.

        `device_id` must have been checked: it becomes part of a path.
        """
        path = self.path(device_id)
        try:
            changed_ns = path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        known = self._keys.get(device_id)
        if known is None or known[0] != changed_ns:
            known = self._keys[device_id] = (changed_ns, _load(path).verifying_key())
        return known[1]

    def units(self) -> list[Unit]:
        """Return all units, by name. Raises ConfigRejected."""
        return [_load(path) for path in sorted(self._folder.glob("*.json"))]


def encode(unit: Unit) -> bytes:
    """Return the file content of an entry."""
    return msgspec.json.format(msgspec.json.encode(unit), indent=2) + b"\n"


def _load(path: Path) -> Unit:
    try:
        unit = strict_json.read(path, Unit)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror})") from error
    except DocumentRejected as error:
        raise ConfigRejected(f"{path}: {error}; correct or remove this entry") from error
    if unit.device_id != path.stem:
        raise ConfigRejected(f"{path}: the entry is for {unit.device_id}; rename or remove it")
    return unit

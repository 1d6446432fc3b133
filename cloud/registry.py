"""The registry: which units belong to the fleet, and with which key each one signs. One JSON file a unit.

provisioning writes it, the receiver reads it. It knows nothing of where a unit hangs but the name of its site.
"""

import base64
import datetime as dt
import math
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from firmware.config import DEVICE_ID_PATTERN, Base64Key
from firmware.faults import ConfigRejected

UTC_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z"
EARLIER_KEYS_AT_MOST: Final = 16
UTC_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


class EarlierKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A key that a unit signed with before: what it sealed then may still lie in its outbox."""

    public_key: Base64Key  # Ed25519, raw
    accepted_until_utc: Annotated[str, Meta(pattern=UTC_PATTERN)]


class Unit(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One unit of the fleet."""

    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    public_key: Base64Key  # Ed25519, raw
    certificate_serial: Annotated[str, Meta(pattern=r"^[0-9a-f]{1,40}\Z", description="hexadecimal")]
    site_name: Annotated[str, Meta(min_length=1, max_length=80)]
    certificate_until_utc: Annotated[str, Meta(pattern=UTC_PATTERN)]
    enrolled_utc: Annotated[str, Meta(pattern=UTC_PATTERN)]
    earlier_keys: Annotated[tuple[EarlierKey, ...], Meta(max_length=EARLIER_KEYS_AT_MOST)] = ()

    def verifying_keys(self) -> tuple[tuple[Ed25519PublicKey, float], ...]:
        """Return the keys that check this unit's signatures, each with the moment until which it does.

        Milliseconds since 1970, infinity for the present key, which comes first. Raises ConfigRejected.
        """
        try:
            present = _public_key(self.public_key)
            earlier = [(_public_key(one.public_key), _utc_ms(one.accepted_until_utc)) for one in self.earlier_keys]
        except ValueError:
            raise ConfigRejected(f"the registry's keys of {self.device_id} are not Ed25519 keys with dates") from None
        return ((present, math.inf), *earlier)


class Registry:
    """The units of one fleet, one file each. What comes, changes or goes while the receiver runs counts at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # by unit: when its entry changed, its keys
        self._keys: dict[str, tuple[int, tuple[tuple[Ed25519PublicKey, float], ...]]] = {}

    def path(self, device_id: str) -> Path:
        """Return where the unit's entry lies or will lie."""
        return self._folder / f"{device_id}.json"

    def keys(self, device_id: str, utc_ms: int) -> tuple[Ed25519PublicKey, ...]:
        """Return the keys with which a unit may have signed what arrives at `utc_ms`, the present one first.

        Empty if it is not of this fleet. Raises ConfigRejected. `device_id` must have been checked: it becomes part of
        a path.
        """
        path = self.path(device_id)
        try:
            changed_ns = path.stat().st_mtime_ns
        except FileNotFoundError:
            return ()
        known = self._keys.get(device_id)
        if known is None or known[0] != changed_ns:
            known = self._keys[device_id] = (changed_ns, _load(path).verifying_keys())
        return tuple(key for key, until_utc_ms in known[1] if utc_ms <= until_utc_ms)

    def unit(self, device_id: str) -> Unit | None:
        """Return the entry of one unit, or None if it is not of this fleet. Raises ConfigRejected."""
        return _load(self.path(device_id)) if self.path(device_id).exists() else None

    def units(self) -> list[Unit]:
        """Return all units, by name. Raises ConfigRejected."""
        return [_load(path) for path in sorted(self._folder.glob("*.json"))]


def encode(unit: Unit) -> bytes:
    """Return the file content of an entry."""
    return msgspec.json.format(msgspec.json.encode(unit), indent=2) + b"\n"


def _public_key(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def _utc_ms(text: str) -> float:
    return dt.datetime.strptime(text, UTC_FORMAT).replace(tzinfo=dt.UTC).timestamp() * 1000


def _load(path: Path) -> Unit:
    try:
        unit = msgspec.json.decode(path.read_bytes(), type=Unit)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise ConfigRejected(f"{path}: {error}; correct or remove this entry") from error
    if unit.device_id != path.stem:
        raise ConfigRejected(f"{path}: the entry is for {unit.device_id}; rename or remove it")
    return unit

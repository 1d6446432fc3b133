"""The registry: which units belong to the fleet, and with which key each one signs. One JSON file a unit.

provisioning writes it, the receiver reads it. It knows nothing of where a unit hangs but the name of its site.
"""

import base64
import datetime as dt
import enum
import math
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from firmware import strict_json
from firmware.config import DEVICE_ID_PATTERN, Base64Key
from firmware.faults import ConfigRejected, DocumentRejected, RejectionCause

UtcText = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z")]


class State(enum.StrEnum):
    """Whether a unit may send. Only an active one may."""

    ACTIVE = "active"
    REVOKED = "revoked"  # it may still have its key: lost, stolen
    RETIRED = "retired"  # it has erased its key


Serial = Annotated[str, Meta(pattern=r"^[0-9a-f]{1,40}\Z", description="hexadecimal")]

EARLIER_KEYS_AT_MOST: Final = 16
SERIALS_AT_MOST: Final = 2 * (EARLIER_KEYS_AT_MOST + 1)
"""All certificates of a unit: one for each key, two where one key lies in a token."""

UTC_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


class EarlierKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A key that a unit signed with before: what it sealed then may still lie in its outbox."""

    public_key: Base64Key  # Ed25519, raw
    accepted_until_utc: UtcText


class Unit(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One unit of the fleet."""

    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    public_key: Base64Key  # Ed25519, raw
    certificate_serials: Annotated[tuple[Serial, ...], Meta(min_length=1, max_length=SERIALS_AT_MOST)]  # newest first
    site_name: Annotated[str, Meta(min_length=1, max_length=80)]
    certificate_until_utc: UtcText
    enrolled_utc: UtcText
    earlier_keys: Annotated[tuple[EarlierKey, ...], Meta(max_length=EARLIER_KEYS_AT_MOST)] = ()
    state: State = State.ACTIVE
    ended_utc: UtcText | None = None  # when it ceased to be active
    reason: Annotated[str, Meta(max_length=80)] = ""

    def verifying_keys(self) -> tuple[tuple[Ed25519PublicKey, float], ...]:
        """Return the keys that check this unit's signatures, each with the moment until which it does.

        Milliseconds since 1970, infinity for the present key, which comes first. Raises ConfigRejected.
        """
        try:
            present = _public_key(self.public_key)
            earlier = [
                (_public_key(one.public_key), moment(one.accepted_until_utc).timestamp() * 1000)
                for one in self.earlier_keys
            ]
        except ValueError:
            raise ConfigRejected(
                f"the registry's keys of {self.device_id} are damaged; bring its entry back from a copy"
            ) from None
        return ((present, math.inf), *earlier)


class Registry:
    """The units of one fleet, one file each. What comes, changes or goes while the receiver runs counts at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # by unit: when its entry changed, its state, its keys
        self._known: dict[str, tuple[int, State, tuple[tuple[Ed25519PublicKey, float], ...]]] = {}

    def path(self, device_id: str) -> Path:
        """Return where the unit's entry lies or will lie."""
        return self._folder / f"{device_id}.json"

    def keys(self, device_id: str, utc_ms: int) -> tuple[Ed25519PublicKey, ...]:
        """Return the keys with which an active unit may have signed what arrives at `utc_ms`, the present one first.

        Empty if it is not of this fleet. `device_id` must have been checked: it becomes part of a path. Raises
        DocumentRejected if the unit is active no more, and ConfigRejected.
        """
        path = self.path(device_id)
        try:
            changed_ns = path.stat().st_mtime_ns
        except FileNotFoundError:
            return ()
        known = self._known.get(device_id)
        if known is None or known[0] != changed_ns:
            unit = _load(path)
            known = self._known[device_id] = (changed_ns, unit.state, unit.verifying_keys())
        _, state, keys = known
        if state is not State.ACTIVE:
            raise DocumentRejected(f"envelope: the unit is {state}", RejectionCause.NOT_ACTIVE)
        return tuple(key for key, until_utc_ms in keys if utc_ms <= until_utc_ms)

    def unit(self, device_id: str) -> Unit:
        """Return a unit's entry. Raises ConfigRejected, also if there is none."""
        return _load(self.path(device_id))

    def find(self, device_id: str) -> Unit | None:
        """Return a unit's entry, or None if it is not of this fleet. Raises ConfigRejected."""
        return self.unit(device_id) if self.path(device_id).exists() else None

    def units(self) -> list[Unit]:
        """Return all units, by name. Raises ConfigRejected."""
        return [_load(path) for path in sorted(self._folder.glob("*.json"))]


def checked(unit: Unit) -> Unit:
    """Return `unit` as it would be read back, so that what is written can be read. Raises ConfigRejected."""
    try:
        return msgspec.convert(msgspec.to_builtins(unit), Unit)
    except msgspec.ValidationError as error:
        raise ConfigRejected(f"{unit.device_id}: {error}; correct what you gave") from error


def encode(unit: Unit) -> bytes:
    """Return the file content of an entry."""
    return msgspec.json.format(msgspec.json.encode(unit), indent=2) + b"\n"


def _public_key(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def moment(text: str) -> dt.datetime:
    """Return the time that an entry writes as `text`. Raises ValueError."""
    return dt.datetime.strptime(text, UTC_FORMAT).replace(tzinfo=dt.UTC)


def _load(path: Path) -> Unit:
    try:
        unit = strict_json.read(path, Unit)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: cannot be read ({error.strerror}); look at `kestrel-provision fleet list`"
        ) from error
    except DocumentRejected as error:
        raise ConfigRejected(f"{path}: {error}; correct or remove this entry") from error
    if unit.device_id != path.stem:
        raise ConfigRejected(f"{path}: the entry is for {unit.device_id}; rename or remove it")
    return unit

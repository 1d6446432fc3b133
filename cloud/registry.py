"""The registry: which units belong to the fleet, and with which key each one signs. One JSON file a unit.

provisioning writes it, the receiver reads it. It knows nothing of where a unit hangs but the name of its site.
"""

import base64
import binascii
import enum
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from firmware.config import DEVICE_ID_PATTERN, Base64Key
from firmware.faults import ConfigRejected, DocumentRejected, RejectionCause

UtcText = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z")]


class State(enum.StrEnum):
    """Whether a unit may send. Only an active one may."""

    ACTIVE = "active"
    REVOKED = "revoked"  # it may still have its key: lost, stolen
    RETIRED = "retired"  # it has erased its key


class Unit(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One unit of the fleet."""

    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    public_key: Base64Key  # Ed25519, raw
    certificate_serial: Annotated[str, Meta(pattern=r"^[0-9a-f]{1,40}\Z", description="hexadecimal")]
    site_name: Annotated[str, Meta(min_length=1, max_length=80)]
    enrolled_utc: UtcText
    state: State = State.ACTIVE
    ended_utc: UtcText | None = None  # when it ceased to be active
    reason: Annotated[str, Meta(max_length=80)] = ""

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
        self._known: dict[str, tuple[int, State, Ed25519PublicKey]] = {}  # by unit; first when its entry changed

    def path(self, device_id: str) -> Path:
        """Return where the unit's entry lies or will lie."""
        return self._folder / f"{device_id}.json"

    def key(self, device_id: str) -> Ed25519PublicKey | None:
        """Return the verifying key of an active unit, or None if it is not of this fleet.

        `device_id` must have been checked: it becomes part of a path. Raises DocumentRejected if the unit is active no
        more, and ConfigRejected.
        """
        path = self.path(device_id)
        try:
            changed_ns = path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        known = self._known.get(device_id)
        if known is None or known[0] != changed_ns:
            unit = _load(path)
            known = self._known[device_id] = (changed_ns, unit.state, unit.verifying_key())
        _, state, key = known
        if state is not State.ACTIVE:
            raise DocumentRejected(f"envelope: the unit is {state}", RejectionCause.NOT_ACTIVE)
        return key

    def unit(self, device_id: str) -> Unit:
        """Return a unit's entry. Raises ConfigRejected, also if there is none."""
        return _load(self.path(device_id))

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


def _load(path: Path) -> Unit:
    try:
        unit = msgspec.json.decode(path.read_bytes(), type=Unit)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: cannot be read ({error.strerror}); see `kestrel-provision fleet list`"
        ) from error
    except msgspec.DecodeError as error:
        raise ConfigRejected(f"{path}: {error}; correct or remove this entry") from error
    if unit.device_id != path.stem:
        raise ConfigRejected(f"{path}: the entry is for {unit.device_id}; rename or remove it")
    return unit

"""A unit's label: what its QR code says, and whether it is this unit's. Pure.

The code says `KESTREL1:` name `:` key `:` fleet in capitals, which QR packs tightly: the unit's name, the start of the
SHA-256 of the raw public key with which the unit was made (64 bits), and the start of that of the fleet's authority (32
bits; `-` where the label was made before a fleet knew the unit). None of it is secret or says where the unit hangs. A
label is stuck on once, so that of a unit which has since been given another key only name and fleet count.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware.config import DEVICE_ID_PATTERN
from firmware.faults import ConfigRejected

PREFIX: Final = "KESTREL"
VERSION: Final = "1"
NO_FLEET: Final = "-"
TEXT_AT_MOST: Final = 200

_FORM: Final = re.compile(r"KESTREL1:(K-[0-9A-Z]{4,24}):([0-9A-F]{16}):([0-9A-F]{8}|-)")
_OTHER_FORM: Final = re.compile(r"KESTREL[0-9]+:[ -~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a label says. `key` and `fleet` are capital hexadecimal digits, empty where nothing is said of them."""

    device_id: str
    key: str = ""
    fleet: str = ""

    def text(self) -> str:
        """Return what the code says."""
        return f"{PREFIX}{VERSION}:{self.device_id.upper()}:{self.key}:{self.fleet or NO_FLEET}"


def of(device_id: str, public_key: Ed25519PublicKey, authority: x509.Certificate | None = None) -> Label:
    """Return the label of the unit whose key this is, in the fleet of `authority`."""
    return Label(
        device_id=device_id,
        key=hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16].upper(),
        fleet="" if authority is None else fleet_of(authority),
    )


def fleet_of(authority: x509.Certificate) -> str:
    """Return the digits by which a label names a fleet."""
    spki = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:8].upper()


def parsed(text: str) -> Label:
    """Return the label that `text` is: what was scanned, or the unit's name, typed by hand. Raises ConfigRejected."""
    stripped = text.strip()
    if len(stripped) <= TEXT_AT_MOST and re.fullmatch(DEVICE_ID_PATTERN, stripped.lower()):
        return Label(device_id=stripped.lower())
    if len(stripped) <= TEXT_AT_MOST and (form := _FORM.fullmatch(stripped.upper())):
        return Label(device_id=form[1].lower(), key=form[2], fleet="" if form[3] == NO_FLEET else form[3])
    if len(stripped) <= TEXT_AT_MOST and _OTHER_FORM.fullmatch(stripped.upper()):
        raise ConfigRejected(
            "this is a Kestrel label, but worn or of another release; type the name on it, k-..., instead"
        )
    raise ConfigRejected(
        "this code is no Kestrel label; scan the one on the unit's housing, or type the name on it, k-..."
    )


def compare(found: Label, own: Label, *, is_first_key: bool) -> None:
    """Return if `found` is the label of the unit that `own` is made of. Raises ConfigRejected.

    `is_first_key`: the unit has had no other key than `own` names.
    """
    if found.device_id != own.device_id:
        raise ConfigRejected(
            f"the label is of {found.device_id} and this is {own.device_id}: it is the wrong unit or the wrong file; "
            f"go to {own.device_id}, or bring the file of {found.device_id}"
        )
    if found.fleet and own.fleet and found.fleet != own.fleet:
        raise ConfigRejected(
            f"the label of {found.device_id} is of another fleet; bring the file that this unit's own fleet made"
        )
    if is_first_key and found.key and found.key != own.key:
        raise ConfigRejected(
            f"the label names {found.device_id} with another key: it is of an earlier unit of that name, or somebody "
            "else's request was signed; make the request again on the unit, and print its label again"
        )

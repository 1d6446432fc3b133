"""Presence: the unit's signed word that it is here, and its will, which the broker tells when the unit has vanished.

Both name one session by a number drawn by chance, and a will counts only for the session whose birth was heard last:
one that a broker tells late, of a session that another has followed, says nothing (the idea of Sparkplug 3.0's bdSeq).
A broker holds each session's will from its beginning and may tell it whenever it likes, so presence is never more than
the broker's word; no read, and no reading of one, depends on it.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware import signed_document, wire
from firmware.faults import DocumentRejected, RejectionCause

VERSION: Final = 1
SIGNATURE_PREFIX: Final = b"kestrel/status/v1\x00"
MAX_STATUS_BYTES: Final = 256
"""A name, a number and a signature are about 110 bytes."""

SESSION_BYTES: Final = 7
"""Of chance in a session's number: 2**56 of them, so that none meets another."""


class StatusKey(enum.IntEnum):
    """The integer keys of a status's body."""

    VERSION = 0
    DEVICE_ID = 1
    SESSION = 2
    IS_HERE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether a unit is at its broker, in the session of this number."""

    device_id: str
    session: int
    is_here: bool


def sign_status(status: Status, sign: Callable[[bytes], bytes]) -> bytes:
    """Return `status` as it travels: the CBOR array [body, signature]; `sign` is of the unit's key."""
    return signed_document.signed(_body(status), SIGNATURE_PREFIX, sign)


def verify_status(data: bytes, public_keys: Sequence[Ed25519PublicKey], device_id: str) -> Status:
    """Return the status in `data` if this unit, which may have these keys, signed it. Raises DocumentRejected."""
    name = "status"
    if len(data) > MAX_STATUS_BYTES:
        raise DocumentRejected(f"{name}: longer than {MAX_STATUS_BYTES} bytes")
    body = signed_document.verified_body(data, SIGNATURE_PREFIX, *public_keys, name=name, whose="this unit")
    fields = wire.Fields(wire.decode(body, name), StatusKey, name)
    if fields.integer(StatusKey.VERSION, 0, wire.MAX_SEQUENCE) != VERSION:
        raise DocumentRejected(f"{name}: the version is not known here; update the receiver")
    status = Status(
        device_id=fields.device_id(StatusKey.DEVICE_ID),
        session=fields.integer(StatusKey.SESSION, 0, wire.MAX_SEQUENCE),
        is_here=fields.boolean(StatusKey.IS_HERE),
    )
    if _body(status) != body:
        raise DocumentRejected(f"{name}: not canonical CBOR")
    if status.device_id != device_id:
        raise DocumentRejected(f"{name}: it is another unit's", RejectionCause.OTHER_DEVICE)
    return status


def _body(status: Status) -> bytes:
    return wire.encode(
        {
            StatusKey.VERSION: VERSION,
            StatusKey.DEVICE_ID: status.device_id,
            StatusKey.SESSION: status.session,
            StatusKey.IS_HERE: status.is_here,
        }
    )

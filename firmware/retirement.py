"""Retirement: the fleet's signed word that a unit shall erase itself, and the unit's signed word that it does.

Both are bound to the unit's key and not only to its name: a command that was meant for another unit, or for an earlier
one of the same name, says nothing to this one. A command is good for a week, so that one which was recorded and
withheld is not a weapon for ever; a unit whose clock cannot be trusted takes it all the same.
"""

import enum
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import signed_document, wire
from firmware.faults import DocumentRejected

VERSION: Final = 1
COMMAND_PREFIX: Final = b"kestrel/retire/v1\x00"
NOTICE_PREFIX: Final = b"kestrel/retired/v1\x00"
MAX_DOCUMENT_BYTES: Final = 512
"""A name, a hash, a time and a signature are about 170 bytes."""

COMMAND_LIFE_MS: Final = 7 * 86_400_000
COMMAND_EARLY_MS: Final = 86_400_000
"""The office's clock may be this much ahead of the unit's."""

_KEY_HASH_BYTES: Final = 32
_MAX_CAUSE_CHARACTERS: Final = 16


class Cause(enum.StrEnum):
    """Why a unit erases itself."""

    TAMPER = "tamper"
    COMMAND = "command"
    TECHNICIAN = "technician"


class CommandKey(enum.IntEnum):
    """The integer keys of a retire command's body."""

    VERSION = 0
    DEVICE_ID = 1
    KEY_HASH = 2  # SHA-256 of the unit's raw public key
    ISSUED_UTC_MS = 3


class NoticeKey(enum.IntEnum):
    """The integer keys of the body of a unit's notice that it erases itself."""

    VERSION = 0
    DEVICE_ID = 1
    CAUSE = 2
    AT_UTC_MS = 3  # the unit's wall clock, trusted or not


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireCommand:
    """The fleet's order to one unit to erase itself. `key_hash` is SHA-256 of that unit's raw public key."""

    device_id: str
    key_hash: bytes = field(repr=False)
    issued_utc_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredNotice:
    """A unit's last word: it erases itself now, and why."""

    device_id: str
    cause: Cause
    at_utc_ms: int


def key_hash(public_key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes that bind a command to the unit with this key: SHA-256 of the raw public key."""
    return hashlib.sha256(public_key.public_bytes_raw()).digest()


def sign_command(command: RetireCommand, retirement_key: Ed25519PrivateKey) -> bytes:
    """Return `command` as it travels: the CBOR array [body, signature]."""
    return signed_document.signed(_command_body(command), COMMAND_PREFIX, retirement_key.sign)


def verify_command(
    data: bytes,
    retirement_key: Ed25519PublicKey,
    device_id: str,
    own_key: Ed25519PublicKey,
    *,
    now_utc_ms: int | None,
) -> RetireCommand:
    """Return the command in `data` if the fleet signed it for the unit with this very name and key, within the week.

    `now_utc_ms` is the wall clock, or None if it cannot be trusted. Raises DocumentRejected.
    """
    name = "retire command"
    body = _verified(data, COMMAND_PREFIX, [retirement_key], name, "this unit's fleet")
    fields = wire.Fields(wire.decode(body, name), CommandKey, name)
    _check_version(fields.integer(CommandKey.VERSION, 0, wire.MAX_SEQUENCE), name)
    command = RetireCommand(
        device_id=fields.device_id(CommandKey.DEVICE_ID),
        key_hash=fields.octets(CommandKey.KEY_HASH, _KEY_HASH_BYTES, _KEY_HASH_BYTES),
        issued_utc_ms=fields.integer(CommandKey.ISSUED_UTC_MS, 0, wire.MAX_UTC_MS),
    )
    if _command_body(command) != body:
        raise DocumentRejected(f"{name}: not canonical CBOR")
    if command.device_id != device_id:
        raise DocumentRejected(f"{name}: it is another unit's")
    if command.key_hash != key_hash(own_key):
        raise DocumentRejected(f"{name}: it is for an earlier unit of this name")
    if now_utc_ms is not None and command.issued_utc_ms < now_utc_ms - COMMAND_LIFE_MS:
        raise DocumentRejected(f"{name}: it is older than a week; send a new one")
    if now_utc_ms is not None and command.issued_utc_ms > now_utc_ms + COMMAND_EARLY_MS:
        raise DocumentRejected(f"{name}: it is from the future; check the office's clock")
    return command


def sign_notice(notice: RetiredNotice, sign: Callable[[bytes], bytes]) -> bytes:
    """Return `notice` as it travels: the CBOR array [body, signature]; `sign` is of the unit's key."""
    return signed_document.signed(_notice_body(notice), NOTICE_PREFIX, sign)


def verify_notice(data: bytes, public_keys: Sequence[Ed25519PublicKey], device_id: str) -> RetiredNotice:
    """Return the notice in `data` if this unit, which may have these keys, signed it. Raises DocumentRejected."""
    name = "retired notice"
    body = _verified(data, NOTICE_PREFIX, public_keys, name, "this unit")
    fields = wire.Fields(wire.decode(body, name), NoticeKey, name)
    _check_version(fields.integer(NoticeKey.VERSION, 0, wire.MAX_SEQUENCE), name)
    notice = RetiredNotice(
        device_id=fields.device_id(NoticeKey.DEVICE_ID),
        cause=_cause(fields.text(NoticeKey.CAUSE, _MAX_CAUSE_CHARACTERS)),
        at_utc_ms=fields.integer(NoticeKey.AT_UTC_MS, 0, wire.MAX_UTC_MS),
    )
    if _notice_body(notice) != body:
        raise DocumentRejected(f"{name}: not canonical CBOR")
    if notice.device_id != device_id:
        raise DocumentRejected(f"{name}: it is another unit's")
    return notice


def _verified(data: bytes, prefix: bytes, public_keys: Sequence[Ed25519PublicKey], name: str, whose: str) -> bytes:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentRejected(f"{name}: longer than {MAX_DOCUMENT_BYTES} bytes")
    return signed_document.verified_body(data, prefix, *public_keys, name=name, whose=whose)


def _check_version(version: int, name: str) -> None:
    if version != VERSION:
        raise DocumentRejected(f"{name}: the version is not known here; update this unit")


def _cause(text: str) -> Cause:
    try:
        return Cause(text)
    except ValueError:
        raise DocumentRejected("retired notice: the cause is not known here") from None


def _command_body(command: RetireCommand) -> bytes:
    return wire.encode(
        {
            CommandKey.VERSION: VERSION,
            CommandKey.DEVICE_ID: command.device_id,
            CommandKey.KEY_HASH: command.key_hash,
            CommandKey.ISSUED_UTC_MS: command.issued_utc_ms,
        }
    )


def _notice_body(notice: RetiredNotice) -> bytes:
    return wire.encode(
        {
            NoticeKey.VERSION: VERSION,
            NoticeKey.DEVICE_ID: notice.device_id,
            NoticeKey.CAUSE: notice.cause.value,
            NoticeKey.AT_UTC_MS: notice.at_utc_ms,
        }
    )

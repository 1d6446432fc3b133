"""Strict canonical CBOR (RFC 8949, section 4.2): what the signed documents of this product are written in.

Owns the encoding and the checking of types and ranges, and no document: sealing.py and receipts.py own those. The one
idea: whoever parses compares the re-encoded result with what came, so a document has exactly one spelling.
"""

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import cbor2

from firmware.config import DEVICE_ID_PATTERN
from firmware.faults import DocumentRejected

MAX_SEQUENCE: Final = 2**62 - 1
"""One more still fits the 63 bits of a database's integer."""

MAX_UTC_MS: Final = 2**48 - 1  # what a UUIDv7 can hold
MAX_CALENDAR_UTC_MS: Final = 253_370_764_800_000  # the year 9999: no calendar shows what lies beyond

MAX_DOCUMENT_BYTES: Final = 65_536
"""Of one document; the envelope, which may be as long, is one and holds the others."""

_MAX_DEPTH: Final = 8
_DEVICE_ID: Final = re.compile(DEVICE_ID_PATTERN)


def encode(value: object) -> bytes:
    """Return `value` as canonical CBOR: shortest forms, keys in order, no indefinite lengths."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, name: str) -> object:
    """Return the CBOR value in `data`; `name` is what errors call it. Raises DocumentRejected, without the bytes.

    No tags, no indefinite lengths, no key twice, at most MAX_DOCUMENT_BYTES long and eight levels deep: all of it is
    refused while it is parsed, because a tag may ask for a power of ten or a regular expression before anyone looks.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentRejected(f"{name}: longer than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return cbor2.loads(
            data,
            max_depth=_MAX_DEPTH,
            semantic_decoders=_NoTags(),
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        raise DocumentRejected(f"{name}: not CBOR ({type(error).__name__})") from None


class _NoTags(Mapping[int, Callable[..., object]]):
    """A decoder for each tag that there is, which refuses it."""

    def __getitem__(self, tag: int) -> Callable[..., object]:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _refuse_tag(*_: object) -> object:
    raise cbor2.CBORDecodeError("a tag")


class Fields:
    """A CBOR map with small integer keys, read field by field; each reader raises DocumentRejected."""

    def __init__(
        self, value: object, keys: type[enum.IntEnum], name: str, *, optional: frozenset[int] = frozenset()
    ) -> None:
        if not isinstance(value, dict):
            raise DocumentRejected(f"{name}: not a map")
        known = {int(key) for key in keys}
        # bool and float keys compare equal to integers in Python, so the types are looked at first
        if any(type(key) is not int for key in value) or not known - optional <= value.keys() <= known:
            raise DocumentRejected(f"{name}: keys missing or not known")
        self._value = value
        self._name = name

    def has(self, key: enum.IntEnum) -> bool:
        """Say whether an optional key is there."""
        return key in self._value

    def integer(self, key: enum.IntEnum, low: int, high: int) -> int:
        """Return an integer in low..high."""
        value = self._value[key]
        if type(value) is not int or not low <= value <= high:
            raise self._rejected(key, "not an integer in range")
        return value

    def boolean(self, key: enum.IntEnum) -> bool:
        """Return a truth value."""
        value = self._value[key]
        if not isinstance(value, bool):
            raise self._rejected(key, "not a truth value")
        return value

    def octets(self, key: enum.IntEnum, low: int, high: int) -> bytes:
        """Return a byte string of low..high bytes."""
        value = self._value[key]
        if not isinstance(value, bytes) or not low <= len(value) <= high:
            raise self._rejected(key, "not a byte string of its length")
        return value

    def text(self, key: enum.IntEnum, high: int) -> str:
        """Return a text of at most `high` characters."""
        value = self._value[key]
        if not isinstance(value, str) or len(value) > high:
            raise self._rejected(key, "not a text of its length")
        return value

    def text_or_none(self, key: enum.IntEnum, high: int) -> str | None:
        """Return a text of at most `high` characters, or None for null."""
        return None if self._value[key] is None else self.text(key, high)

    def device_id(self, key: enum.IntEnum) -> str:
        """Return a unit's name."""
        value = self._value[key]
        if not isinstance(value, str) or not _DEVICE_ID.fullmatch(value):
            raise self._rejected(key, "not the name of a unit")
        return value

    def array(self, key: enum.IntEnum, high: int) -> list[object]:
        """Return an array of at most `high` items of any type; an absent key is an empty one."""
        value = self._value.get(key, [])
        if not isinstance(value, list) or len(value) > high:
            raise self._rejected(key, "not an array of its length")
        return value

    def _rejected(self, key: enum.IntEnum, what: str) -> DocumentRejected:
        return DocumentRejected(f"{self._name}: {key.name.lower()} is {what}")

"""Receipts: the receiver's signed word that it has stored reads. The only reason for which a unit forgets one.

Cumulative ranges of sequence numbers, so that a lost receipt is made good by the next one, and an old one that is
replayed says nothing untrue.
"""

import enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import signed_document, wire
from firmware.faults import DocumentRejected
from firmware.records import Receipt

RECEIPT_VERSION: Final = 1
SIGNATURE_PREFIX: Final = b"kestrel/receipt/v1\x00"
MAX_RANGES: Final = 256
MAX_RECEIPT_BYTES: Final = 8192
"""256 ranges of two 9-byte integers are below 5 KB."""


class ReceiptKey(enum.IntEnum):
    """The integer keys of a receipt's body."""

    VERSION = 0
    DEVICE_ID = 1
    RANGES = 2  # [[low, high], ...] inclusive, ascending, not touching
    ISSUED_UTC_MS = 3


def body(receipt: Receipt) -> bytes:
    """Return the canonical CBOR map that is signed."""
    return wire.encode(
        {
            ReceiptKey.VERSION: RECEIPT_VERSION,
            ReceiptKey.DEVICE_ID: receipt.device_id,
            ReceiptKey.RANGES: [list(pair) for pair in receipt.ranges],
            ReceiptKey.ISSUED_UTC_MS: receipt.issued_utc_ms,
        }
    )


def sign_receipt(receipt: Receipt, receipt_key: Ed25519PrivateKey) -> bytes:
    """Return `receipt` as it travels: the CBOR array [body, signature]. Raises ValueError above MAX_RANGES."""
    if len(receipt.ranges) > MAX_RANGES:
        raise ValueError(f"a receipt holds at most {MAX_RANGES} ranges")
    return signed_document.signed(body(receipt), SIGNATURE_PREFIX, receipt_key.sign)


def verify_receipt(data: bytes, public_key: Ed25519PublicKey, device_id: str) -> Receipt:
    """Return the receipt in `data` if the agency signed it for this unit. Raises DocumentRejected.

    No byte of the body is interpreted before its signature is good.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise DocumentRejected(f"receipt: longer than {MAX_RECEIPT_BYTES} bytes")
    receipt = _parse(
        signed_document.verified_body(data, SIGNATURE_PREFIX, public_key, name="receipt", whose="this unit's agency")
    )
    if receipt.device_id != device_id:
        raise DocumentRejected("receipt: it is another unit's")
    return receipt


def _parse(body_bytes: bytes) -> Receipt:
    """Return the receipt of a body whose signature is good. Raises DocumentRejected."""
    fields = wire.Fields(wire.decode(body_bytes, "receipt body"), ReceiptKey, "receipt body")
    if fields.integer(ReceiptKey.VERSION, 0, wire.MAX_SEQUENCE) != RECEIPT_VERSION:
        raise DocumentRejected("receipt body: the version is not known here; update this unit")
    receipt = Receipt(
        device_id=fields.device_id(ReceiptKey.DEVICE_ID),
        ranges=_ranges(fields.array(ReceiptKey.RANGES, MAX_RANGES)),
        issued_utc_ms=fields.integer(ReceiptKey.ISSUED_UTC_MS, 0, wire.MAX_UTC_MS),
    )
    if body(receipt) != body_bytes:
        raise DocumentRejected("receipt body: not canonical CBOR")
    return receipt


def _ranges(pairs: list[object]) -> tuple[tuple[int, int], ...]:
    """Return the ranges, checked to be ascending and apart. Raises DocumentRejected."""
    ranges: list[tuple[int, int]] = []
    lowest = 0
    for pair in pairs:
        match pair:
            case [low, high] if type(low) is int and type(high) is int and lowest <= low <= high <= wire.MAX_SEQUENCE:
                ranges.append((low, high))
                lowest = high + 2  # one free number at least, or the two would be one range
            case _:
                raise DocumentRejected("receipt body: ranges are not inclusive, ascending and apart")
    return tuple(ranges)

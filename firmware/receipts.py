"""Receipts: the receiver's signed word that it has stored reads. The only reason for which a unit forgets one.

Cumulative ranges of sequence numbers, so that a lost receipt is made good by the next one, and an old one that is
replayed says nothing untrue. A unit's numbers leap at each start, so each run of a unit is a range of its own. It is
small because it tells a range by its distance from the one before, and the unit's name by the signature alone.
"""

import enum
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import signed_document, wire
from firmware.faults import DocumentRejected
from firmware.records import Receipt

RECEIPT_VERSION: Final = 2
SIGNATURE_PREFIX: Final = b"kestrel/receipt/v2\x00"
MAX_RANGES: Final = 256
MAX_ASKED_RANGES: Final = 16
"""What a unit is asked for at a time: 16 ranges of two 9-byte integers are below 300 bytes."""

MAX_RECEIPT_BYTES: Final = 8192
"""256 ranges of two 9-byte integers are below 5 KB."""


class ReceiptKey(enum.IntEnum):
    """The integer keys of a receipt's body."""

    VERSION = 0
    RANGES = 1  # [first number, how many more, numbers left out, how many more, numbers left out, ...]
    ISSUED_UTC_MS = 2
    ASKED_AGAIN = 3  # the same; absent if nothing is asked


def body(receipt: Receipt) -> bytes:
    """Return the canonical CBOR map that is signed."""
    fields: dict[int, object] = {
        ReceiptKey.VERSION: RECEIPT_VERSION,
        ReceiptKey.RANGES: _steps(receipt.ranges),
        ReceiptKey.ISSUED_UTC_MS: receipt.issued_utc_ms,
    }
    if receipt.asked_again:
        fields[ReceiptKey.ASKED_AGAIN] = _steps(receipt.asked_again)
    return wire.encode(fields)


def signature_prefix(device_id: str) -> bytes:
    """Return what is signed before the body: a receipt for one unit is none for another."""
    return SIGNATURE_PREFIX + device_id.encode() + b"\x00"


def sign_receipt(receipt: Receipt, receipt_key: Ed25519PrivateKey) -> bytes:
    """Return `receipt` as it travels: the CBOR array [body, signature].

    Raises ValueError above MAX_RANGES or MAX_ASKED_RANGES.
    """
    if len(receipt.ranges) > MAX_RANGES or len(receipt.asked_again) > MAX_ASKED_RANGES:
        raise ValueError(f"a receipt holds at most {MAX_RANGES} ranges and asks for {MAX_ASKED_RANGES}")
    return signed_document.signed(body(receipt), signature_prefix(receipt.device_id), receipt_key.sign)


def verify_receipt(data: bytes, public_key: Ed25519PublicKey, device_id: str) -> Receipt:
    """Return the receipt in `data` if the agency signed it for this unit. Raises DocumentRejected.

    No byte of the body is interpreted before its signature is good.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise DocumentRejected(f"receipt: longer than {MAX_RECEIPT_BYTES} bytes")
    whose = "this unit's agency for this unit"
    prefix = signature_prefix(device_id)
    return _parse(signed_document.verified_body(data, prefix, public_key, name="receipt", whose=whose), device_id)


def _parse(body_bytes: bytes, device_id: str) -> Receipt:
    """Return the receipt of a body whose signature is good. Raises DocumentRejected."""
    fields = wire.Fields(
        wire.decode(body_bytes, "receipt body"),
        ReceiptKey,
        "receipt body",
        optional=frozenset({ReceiptKey.ASKED_AGAIN}),
    )
    if fields.integer(ReceiptKey.VERSION, 0, wire.MAX_SEQUENCE) != RECEIPT_VERSION:
        raise DocumentRejected("receipt body: the version is not known here; update this unit")
    receipt = Receipt(
        device_id=device_id,
        ranges=_ranges(fields.array(ReceiptKey.RANGES, 2 * MAX_RANGES)),
        issued_utc_ms=fields.integer(ReceiptKey.ISSUED_UTC_MS, 0, wire.MAX_UTC_MS),
        asked_again=_ranges(fields.array(ReceiptKey.ASKED_AGAIN, 2 * MAX_ASKED_RANGES)),
    )
    if body(receipt) != body_bytes:
        raise DocumentRejected("receipt body: not canonical CBOR")
    return receipt


def _steps(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Return ranges as steps upwards: to the first number, over its range, over the numbers left out, and so on."""
    steps: list[int] = []
    reached = 0
    for low, high in ranges:
        steps += [low - reached, high - low]
        reached = high + 1
    return steps


def _ranges(steps: list[object]) -> tuple[tuple[int, int], ...]:
    """Return the ranges that these steps lead over, checked to be apart. Raises DocumentRejected."""
    if len(steps) % 2:
        raise _no_ranges()
    ranges: list[tuple[int, int]] = []
    reached = 0
    for left_out, more in zip(steps[::2], steps[1::2], strict=True):
        # without a number left out between them the two would be one range
        if type(left_out) is not int or type(more) is not int or left_out < bool(ranges) or more < 0:
            raise _no_ranges()
        low, high = reached + left_out, reached + left_out + more
        if high > wire.MAX_SEQUENCE:
            raise _no_ranges()
        ranges.append((low, high))
        reached = high + 1
    return tuple(ranges)


def _no_ranges() -> DocumentRejected:
    return DocumentRejected("receipt body: its ranges are no steps upwards within the numbers")

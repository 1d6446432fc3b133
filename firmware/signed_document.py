"""The frame of the small documents that travel in the clear: canonical CBOR `[body, signature]`, Ed25519 (RFC 8032).

Owns the frame and no document: receipts.py and retirement.py own theirs. A prefix that ends in a zero byte keeps the
signature of one kind of document from being one of another. No byte of a body is interpreted before its signature is
good.
"""

import contextlib
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware import wire
from firmware.faults import DocumentRejected, RejectionCause

SIGNATURE_BYTES: Final = 64


def signed(body: bytes, prefix: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the document of `body`; `sign` returns the Ed25519 signature of what it is given."""
    return wire.encode([body, sign(prefix + body)])


def is_signed(signature: bytes, message: bytes, *public_keys: Ed25519PublicKey) -> bool:
    """Say whether one of `public_keys` signed `message`: a unit that was given a new key has two for a time."""
    for key in public_keys:
        with contextlib.suppress(InvalidSignature):
            key.verify(signature, message)
            return True
    return False


def verified_body(data: bytes, prefix: bytes, *public_keys: Ed25519PublicKey, name: str, whose: str) -> bytes:
    """Return the body of the document `data` that one of `public_keys` has signed. Raises DocumentRejected.

    `name` is what errors call the document, and `whose` the signature that is missing.
    """
    match wire.decode(data, name):
        case [bytes() as body, bytes() as signature] if len(signature) == SIGNATURE_BYTES:
            pass
        case _:
            raise DocumentRejected(f"{name}: not an array of body and signature")
    if wire.encode([body, signature]) != data:
        raise DocumentRejected(f"{name}: not canonical CBOR")
    if not is_signed(signature, prefix + body, *public_keys):
        raise DocumentRejected(f"{name}: not signed by {whose}", RejectionCause.WRONG_SIGNATURE)
    return body

"""Sealed messages of each class and what the tests of the outbox do with them."""

import dataclasses

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_reads import START_UTC_MS, made_read, made_sealer

from firmware import sealing
from firmware.records import MessageClass, Receipt

DEVICE_KEY, AGENCY_KEY = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
SEALER = made_sealer(DEVICE_KEY, AGENCY_KEY)


def of_class(message_class, read, sealer, device_key):
    """A message of any class. What is in it does not matter to an outbox: here it is always a read."""
    unsigned = dataclasses.replace(sealer.seal(read), message_class=message_class)
    signature = device_key.sign(sealing.signed_bytes(unsigned))
    return dataclasses.replace(unsigned, signature=signature)


def sealed(sequence, message_class=MessageClass.READ, *, picture=b""):
    return of_class(message_class, made_read(sequence, picture=picture), SEALER, DEVICE_KEY)


def put(outbox, count=1, message_class=MessageClass.READ):
    tokens = [outbox.reserve_sequence() for _ in range(count)]
    for token in tokens:
        outbox.put(sealed(token, message_class))
    return tokens


def receipt(*ranges):
    return Receipt(device_id="k-test0001", ranges=ranges, issued_utc_ms=START_UTC_MS)


def tokens_to_send(outbox, now_s=0.0, limit=100_000):
    return [waiting.token for waiting in outbox.next_unsent(limit, now_s)]

"""A receiver written from the README alone, with no line of ours: HPKE by hand from RFC 9180, CBOR, Ed25519.

If this test needs a change, every receiver in the field needs one too.
"""

import cbor2
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from made_reads import START_UTC_MS, made_read, made_sealer

from firmware.receipts import verify_receipt
from firmware.records import MessageClass
from firmware.sealing import to_wire

KEM_ID = b"KEM" + (0x0020).to_bytes(2, "big")
HPKE_ID = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))


def hmac_sha256(key, data):
    code = hmac.HMAC(key or bytes(32), hashes.SHA256())
    code.update(data)
    return code.finalize()


def extract(suite_id, salt, label, key):
    return hmac_sha256(salt, b"HPKE-v1" + suite_id + label + key)


def expand(suite_id, key, label, info, length):
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info
    return hmac_sha256(key, labelled + b"\x01")[:length]  # one block of SHA-256 is enough for what is asked here


def open_hpke(ciphertext, private_key, info):
    """RFC 9180: DHKEM decapsulation (4.1), base-mode key schedule (5.1), one AEAD opening."""
    encapsulated, sealed = ciphertext[:32], ciphertext[32:]
    shared = private_key.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    context = encapsulated + private_key.public_key().public_bytes_raw()
    secret = expand(KEM_ID, extract(KEM_ID, b"", b"eae_prk", shared), b"shared_secret", context, 32)
    schedule = b"\x00" + extract(HPKE_ID, b"", b"psk_id_hash", b"") + extract(HPKE_ID, b"", b"info_hash", info)
    base = extract(HPKE_ID, secret, b"secret", b"")
    key = expand(HPKE_ID, base, b"key", schedule, 32)
    nonce = expand(HPKE_ID, base, b"base_nonce", schedule, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def test_a_stranger_s_receiver_opens_a_read():
    device_key, agency_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    wire = to_wire(made_sealer(device_key, agency_key).seal(made_read(7), message_class=MessageClass.ALERT))

    header, ciphertext, signature = cbor2.loads(wire)
    signed = b"kestrel/envelope/v1\x00" + len(header).to_bytes(4, "big") + header + ciphertext
    device_key.public_key().verify(signature, signed)
    fields = cbor2.loads(header)
    payload = cbor2.loads(open_hpke(ciphertext, agency_key, b"kestrel/read/v1\x00" + header))

    digest = hashes.Hash(hashes.SHA256())
    digest.update(agency_key.public_key().public_bytes_raw())
    assert fields == {
        0: 3,
        1: "k-test0001",
        2: fields[2],
        3: 7,
        4: digest.finalize()[:8],
        5: 1,
        6: START_UTC_MS,
        7: 2,
    }
    assert len(fields[2]) == 16
    assert payload == {
        0: START_UTC_MS - 400,
        1: START_UTC_MS,
        2: True,
        3: "TEST123",
        4: b"\xff" * 7,
        5: 204,
        6: "CA",
        7: 51,
        8: 5,
        9: False,
        10: ["Test Street", 37.25, -122.1, 90.0],
        11: "test-1",
        12: 1,
        13: b"\xff\xd8crop\xff\xd9",
        14: True,
        15: "away",
    }


def test_a_unit_takes_a_stranger_s_receipt():
    key = Ed25519PrivateKey.generate()
    body = cbor2.dumps({0: 1, 1: "k-test0001", 2: [[3, 9], [11, 11]], 3: START_UTC_MS}, canonical=True)
    receipt = cbor2.dumps([body, key.sign(b"kestrel/receipt/v1\x00" + body)], canonical=True)
    assert verify_receipt(receipt, key.public_key(), "k-test0001").ranges == ((3, 9), (11, 11))

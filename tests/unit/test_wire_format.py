"""A receiver written from the README alone: CBOR, Ed25519, AES-GCM and another HPKE implementation (pyhpke).

What opens here imports nothing of ours; pyhpke has no X-Wing, whose decapsulation is written out from
draft-connolly-cfrg-xwing-kem and whose key schedule from RFC 9180. If a test here needs a change, every receiver in the
field needs one too.
"""

import hashlib
import uuid

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from made_health import made_health
from made_reads import START_UTC_MS, made_read, made_sealer
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, OpenError

from cloud.opening_keys import OpeningKey
from firmware.agency_keys import SuiteNumber
from firmware.health_report import FaultWord, Spent, Thrift
from firmware.receipts import verify_receipt
from firmware.records import MessageClass
from firmware.sealing import to_wire

X_WING_HPKE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x647A, 0x0001, 0x0002))


def key_id(raw_public_key):
    return hashlib.sha256(raw_public_key).digest()[:8]


def open_x25519(wrapped, private_key, info):
    """Suite 1: HPKE base mode, single shot, 32 bytes of encapsulated key first."""
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    key = KEMKey.from_pyca_cryptography_key(private_key)
    return suite.create_recipient_context(wrapped[:32], key, info=info).open(wrapped[32:], aad=b"")


def hmac_sha256(key, data):
    code = hmac.HMAC(key or bytes(32), hashes.SHA256())
    code.update(data)
    return code.finalize()


def extract(salt, label, key):
    return hmac_sha256(salt, b"HPKE-v1" + X_WING_HPKE + label + key)


def expand(key, label, info, length):
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + X_WING_HPKE + label + info
    return hmac_sha256(key, labelled + b"\x01")[:length]  # one block of SHA-256 is enough for what is asked here


def open_x_wing(wrapped, seed, info):
    """Suite 2: X-Wing's 1,120 bytes of encapsulated key first; the combiner is SHA3-256 with the label at the end."""
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem, x25519 = (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )
    of_mlkem, of_x25519, sealed = wrapped[:1088], wrapped[1088:1120], wrapped[1120:]
    shared = hashlib.sha3_256(
        mlkem.decapsulate(of_mlkem)
        + x25519.exchange(X25519PublicKey.from_public_bytes(of_x25519))
        + of_x25519
        + x25519.public_key().public_bytes_raw()
        + bytes([0x5C, 0x2E, 0x2F, 0x2F, 0x5E, 0x5C])  # drawn as \.//^\ in the draft
    ).digest()
    schedule = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    base = extract(shared, b"secret", b"")
    key, nonce = expand(base, b"key", schedule, 32), expand(base, b"base_nonce", schedule, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def open_envelope(wire, device_public_key, wanted_id, open_key):
    """What README says a receiver does with an envelope; `open_key` opens the wrapped key of the wanted recipient."""
    header, keys, ciphertext, signature = cbor2.loads(wire)
    signed = b"kestrel/envelope/v2\x00" + cbor2.dumps([header, keys, ciphertext], canonical=True)
    device_public_key.verify(signature, signed)
    fields = cbor2.loads(header)
    position = [one for one, _ in fields[4]].index(wanted_id)
    content_key = open_key(keys[position], b"kestrel/key/v1\x00" + header)
    nonce = hashlib.sha256(header).digest()[:12]
    return fields, cbor2.loads(AESGCM(content_key).decrypt(nonce, ciphertext, header))


def test_a_stranger_s_receiver_opens_a_read():
    device_key, agency_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    wire = to_wire(made_sealer(device_key, agency_key).seal(made_read(7), message_class=MessageClass.ALERT))

    own_id = key_id(agency_key.public_key().public_bytes_raw())
    fields, payload = open_envelope(
        wire, device_key.public_key(), own_id, lambda wrapped, info: open_x25519(wrapped, agency_key, info)
    )
    assert fields == {
        0: 4,
        1: "k-test0001",
        2: fields[2],
        3: 7,
        4: [[own_id, 1]],
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
        13: [2, b"\xff\xd8crop\xff\xd9"],
        14: True,
        15: "away",
        16: bytes(range(8)),
        17: 3_600_000,
    }


def test_a_stranger_s_receiver_opens_health():
    device_key, agency_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    word = FaultWord(code="camera-silent", since_s=7, count=3, hint="check the cable")
    health = made_health(faults=(word,), causes={"lost": 2}, spent=Spent(day_bytes=5, month_bytes=6, thrift=Thrift(1)))
    sealed = made_sealer(device_key, agency_key).seal_health(health, read_id=uuid.UUID(int=1), sequence=7)
    own_id = key_id(agency_key.public_key().public_bytes_raw())
    fields, payload = open_envelope(
        to_wire(sealed), device_key.public_key(), own_id, lambda wrapped, info: open_x25519(wrapped, agency_key, info)
    )
    assert (fields[0], fields[6], fields[7]) == (4, START_UTC_MS, 0)
    assert payload == [
        START_UTC_MS, True, 3600, "0.1.0", "test-1", 3, "file",
        4, 16_000, 12, [0, 0, 0], [0, 0, 0],
        0, 0, 0, 0, 100,
        [5, 6, 1], None, None, None, None,
        [["camera-silent", 7, 3, "check the cable"]], {"lost": 2},
    ]  # fmt: skip


def test_each_of_several_strangers_opens_the_same_read_with_a_key_of_its_own_suite():
    device_key, first, third = Ed25519PrivateKey.generate(), X25519PrivateKey.generate(), X25519PrivateKey.generate()
    second = OpeningKey.generate(SuiteNumber.X_WING)
    wire = to_wire(made_sealer(device_key, first, second, third).seal(made_read(8)))
    payloads = [
        open_envelope(wire, device_key.public_key(), own_id, open_key)[1]
        for own_id, open_key in [
            (key_id(first.public_key().public_bytes_raw()), lambda wrapped, info: open_x25519(wrapped, first, info)),
            (key_id(second.public_bytes), lambda wrapped, info: open_x_wing(wrapped, second.secret, info)),
            (key_id(third.public_key().public_bytes_raw()), lambda wrapped, info: open_x25519(wrapped, third, info)),
        ]
    ]
    assert [payload[3] for payload in payloads] == ["TEST123"] * 3


def test_a_stranger_without_the_right_key_opens_nothing():
    device_key, agency_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    wire = to_wire(made_sealer(device_key, agency_key).seal(made_read(9)))
    own_id = key_id(agency_key.public_key().public_bytes_raw())
    with pytest.raises(OpenError):
        open_envelope(
            wire,
            device_key.public_key(),
            own_id,
            lambda wrapped, info: open_x25519(wrapped, X25519PrivateKey.generate(), info),
        )


def test_a_unit_takes_a_stranger_s_receipt():
    key = Ed25519PrivateKey.generate()
    body = cbor2.dumps({0: 2, 1: [3, 6, 1, 0], 2: START_UTC_MS}, canonical=True)
    receipt = cbor2.dumps([body, key.sign(b"kestrel/receipt/v2\x00k-test0001\x00" + body)], canonical=True)
    assert verify_receipt(receipt, key.public_key(), "k-test0001").ranges == ((3, 9), (11, 11))

"""The envelope: each recipient opens it alone, under every suite; no bit can be changed; no key is used twice."""

import dataclasses

import cbor2
import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from made_reads import PLATE, START_UTC_MS, agency_key, made_read, made_sealer

from cloud.opening import open_read
from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware import sealing
from firmware.agency_keys import WRAPPED_KEY_BYTES, SuiteNumber, hpke_suite
from firmware.faults import DocumentRejected, RejectionCause
from firmware.records import MessageClass
from firmware.sealing import Sealer

DEVICE_KEY = Ed25519PrivateKey.generate()
KEYS = {suite: [OpeningKey.generate(suite) for _ in range(3)] for suite in SuiteNumber}
X25519, X_WING = SuiteNumber.X25519, SuiteNumber.X_WING

CBOR_OF_ONE_RECIPIENT_BYTES = 11 + 2  # [key id, suite] in the header, and the head of the wrapped key's byte string


def bits_of(size, count):
    return np.random.default_rng(3).choice(size, count, replace=False)


def sealed_to(*keys, **read):
    return made_sealer(DEVICE_KEY, *keys).seal(made_read(**read))


@given(
    st.lists(st.sampled_from(SuiteNumber), min_size=1, max_size=3),
    st.binary(max_size=600),
    st.none() | st.text("ABCXYZ0189", min_size=2, max_size=10),
    st.integers(0, 2**62 - 1),
    st.sampled_from((MessageClass.READ, MessageClass.ALERT)),
)
def test_every_recipient_alone_opens_what_was_sealed(suites, picture, plate, sequence, message_class):
    keys = [KEYS[suite][position] for position, suite in enumerate(suites)]
    read = made_read(sequence, picture=picture, plate=plate)
    sealed = sealing.from_wire(sealing.to_wire(made_sealer(DEVICE_KEY, *keys).seal(read, message_class=message_class)))
    sealing.verify(sealed, DEVICE_KEY.public_key())
    assert len(sealed.recipients) == len(suites)
    for key in keys:
        assert open_read(sealed, OpeningKeys([key])) == read
    strangers = [key for ring in KEYS.values() for key in ring if key not in keys]
    with pytest.raises(DocumentRejected) as rejected:
        open_read(sealed, OpeningKeys(strangers))
    assert rejected.value.cause is RejectionCause.OTHER_AGENCY


def test_a_receiver_with_old_and_new_keys_opens_what_was_sealed_before_and_after_a_change():
    old, new = KEYS[X25519][0], KEYS[X_WING][0]
    change_utc_ms = START_UTC_MS + 1000
    sealer = Sealer(
        "k-test0001",
        DEVICE_KEY,
        [agency_key(old, valid_until_utc_ms=change_utc_ms), agency_key(new, valid_from_utc_ms=change_utc_ms - 500)],
    )
    counts = []
    for at_utc_ms in (change_utc_ms - 501, change_utc_ms - 500, change_utc_ms - 1, change_utc_ms):
        read = made_read(at_utc_ms=at_utc_ms)
        sealed = sealer.seal(read)
        counts.append([one.key_id for one in sealed.recipients])
        assert open_read(sealed, OpeningKeys([new, old])) == read
    both = sorted([old.key_id, new.key_id])
    assert counts == [[old.key_id], both, both, [new.key_id]]


@pytest.mark.parametrize("suites", [[X25519], [X_WING, X25519]])
def test_no_bit_of_an_envelope_can_be_changed(suites):
    """All bits of the header, and a sample of the rest with the first and last of each part."""
    keys = [KEYS[suite][0] for suite in suites]
    wire = sealing.to_wire(sealed_to(*keys, picture=bytes(300)))
    header_bits = 8 * (len(cbor2.loads(wire)[0]) + 4)
    others = bits_of(8 * len(wire) - header_bits, 1500) + header_bits
    for bit in [*range(header_bits), *others, 8 * len(wire) - 1]:
        changed = bytearray(wire)
        changed[bit // 8] ^= 1 << int(bit % 8)
        with pytest.raises(DocumentRejected):
            sealing.verify(sealing.from_wire(bytes(changed)), DEVICE_KEY.public_key())


@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
@pytest.mark.parametrize("suite", list(SuiteNumber))
def test_encryption_alone_finds_every_changed_bit_too(suite, part):
    """For one who has the unit's key and signs again. HPKE binds the encapsulated bytes: X25519's unused bit too."""
    key = KEYS[suite][0]
    sealed = sealed_to(key, picture=b"")
    (recipient,) = sealed.recipients
    size_bytes = len(recipient.wrapped_key if part == "wrapped_key" else sealed.ciphertext)
    for bit in bits_of(8 * size_bytes, 300):
        changed = bytearray(recipient.wrapped_key if part == "wrapped_key" else sealed.ciphertext)
        changed[bit // 8] ^= 1 << int(bit % 8)
        if part == "wrapped_key":
            forged = dataclasses.replace(
                sealed, recipients=(dataclasses.replace(recipient, wrapped_key=bytes(changed)),)
            )
        else:
            forged = dataclasses.replace(sealed, ciphertext=bytes(changed))
        with pytest.raises(DocumentRejected) as rejected:
            open_read(forged, OpeningKeys([key]))
        assert rejected.value.cause is RejectionCause.CANNOT_OPEN


@pytest.mark.parametrize("suite", list(SuiteNumber))
def test_associated_data_binds_unit_number_schema_time_and_recipients(suite):
    """Header, wrapped keys and ciphertext of two reads, mixed in every way: only the two that belong together open."""
    ring = OpeningKeys([KEYS[suite][0]])
    one, other = sealed_to(KEYS[suite][0], sequence=1), sealed_to(KEYS[suite][0], sequence=2)
    for header in (one, other):
        for keys in (one, other):
            for body in (one, other):
                mixed = dataclasses.replace(
                    header, recipients=keys.recipients, ciphertext=body.ciphertext, signature=header.signature
                )
                if header is keys is body:
                    assert open_read(mixed, ring).sequence == header.sequence
                    continue
                with pytest.raises(DocumentRejected) as rejected:
                    open_read(mixed, ring)
                assert rejected.value.cause is RejectionCause.CANNOT_OPEN
    changes = {
        "read_id": other.read_id,
        "device_id": "k-other001",
        "sequence": 2,
        "message_class": MessageClass.ALERT,
        "created_utc_ms": 1,
    }
    for field, value in changes.items():
        with pytest.raises(DocumentRejected, match="under another header"):
            open_read(dataclasses.replace(one, **{field: value}), ring)
    assert sealing.header(one).startswith(bytes([0xA7, 0x00, sealing.SCHEMA_VERSION]))


def test_a_recipient_cannot_be_taken_out_or_put_in():
    first, second, third = KEYS[X25519]
    sealed = sealed_to(first, second)
    for recipients in (sealed.recipients[:1], sealed.recipients[1:]):
        fewer = dataclasses.replace(sealed, recipients=recipients)
        with pytest.raises(DocumentRejected, match="signature"):
            sealing.verify(fewer, DEVICE_KEY.public_key())
        with pytest.raises(DocumentRejected, match="under another header"):
            open_read(fewer, OpeningKeys(KEYS[X25519]))
    stranger = dataclasses.replace(sealed.recipients[0], key_id=third.key_id)
    more = dataclasses.replace(sealed, recipients=(*sealed.recipients, stranger))
    with pytest.raises(DocumentRejected, match="under another header"):
        open_read(more, OpeningKeys([first]))


def content_key_and_nonce(sealed, key):
    header = sealing.header(sealed)
    (recipient,) = sealed.recipients
    wrapped = recipient.wrapped_key
    content_key = hpke_suite(key.suite).decrypt(wrapped, key.private_key, info=sealing.INFO_PREFIX + header)
    AESGCM(content_key).decrypt(sealing.content_nonce(header), sealed.ciphertext, header)  # it is the one
    return content_key, sealing.content_nonce(header)


def test_no_key_meets_a_nonce_twice_even_when_the_very_same_read_is_sealed_again():
    key = KEYS[X25519][0]
    sealer, read = made_sealer(DEVICE_KEY, key), made_read(picture=b"")
    sealed = [sealer.seal(read) for _ in range(1500)]
    pairs = [content_key_and_nonce(one, key) for one in sealed]
    assert len({content_key for content_key, _ in pairs}) == len(pairs)
    assert len({nonce for _, nonce in pairs}) == 1  # the same header: the key is what changes
    encapsulated = {one.recipients[0].wrapped_key[:32] for one in sealed}
    assert len(encapsulated) == len(sealed)  # and HPKE's own key, for each recipient


def test_a_generator_that_repeats_itself_still_meets_another_nonce():
    nonces = {sealing.content_nonce(sealing.header(sealed_to(KEYS[X25519][0], sequence=n))) for n in range(300)}
    assert len(nonces) == 300


@pytest.mark.parametrize("suites", [[X25519], [X_WING], [X25519, X25519], [X25519, X_WING]])
def test_what_sealing_costs_in_bytes(suites):
    """The nonce is not sent: 16 bytes of tag around the payload, and per agency the wrapped key and its key id."""
    keys = [KEYS[suite][position] for position, suite in enumerate(suites)]
    read = made_read(picture=bytes(4000))
    sealed = made_sealer(DEVICE_KEY, *keys).seal(read)
    assert len(sealed.ciphertext) == len(sealing.payload(read)) + 16
    assert {one.suite: len(one.wrapped_key) for one in sealed.recipients} == {
        suite: WRAPPED_KEY_BYTES[suite] for suite in suites
    }
    assert {X25519: 80, X_WING: 1168} == WRAPPED_KEY_BYTES
    bare = len(sealing.to_wire(dataclasses.replace(sealed, recipients=())))
    costs = [WRAPPED_KEY_BYTES[suite] + CBOR_OF_ONE_RECIPIENT_BYTES + (suite is X_WING) for suite in suites]
    assert len(sealing.to_wire(sealed)) == bare + sum(costs)


def test_nothing_readable_is_on_the_wire_whoever_may_open_it():
    wire = sealing.to_wire(sealed_to(KEYS[X25519][0], KEYS[X_WING][1]))
    assert not any(secret in wire for secret in (PLATE.encode(), b"Test Street", b"test-1", b"crop"))


def test_a_key_of_another_read_opens_no_body():
    key = KEYS[X25519][0]
    one, other = sealed_to(key), sealed_to(key)
    content_key, _ = content_key_and_nonce(one, key)
    header = sealing.header(other)
    with pytest.raises(InvalidTag):
        AESGCM(content_key).decrypt(sealing.content_nonce(header), other.ciphertext, header)

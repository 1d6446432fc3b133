"""Receipts: only the agency can make a unit forget, and only its own reads."""

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from firmware import receipts
from firmware.faults import DocumentRejected
from firmware.receipts import sign_receipt, verify_receipt
from firmware.records import Receipt

KEY = Ed25519PrivateKey.generate()
DEVICE = "k-test0001"


def receipt(*ranges, device_id=DEVICE, asked_again=()):
    return Receipt(device_id=device_id, ranges=ranges, issued_utc_ms=1_800_000_000_000, asked_again=tuple(asked_again))


@st.composite
def apart_ranges(draw):
    ranges, lowest = [], 0
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=20)):
        ranges.append((lowest + gap, lowest + gap + length))
        lowest += gap + length + 2
    return ranges


@given(apart_ranges(), apart_ranges())
def test_what_the_agency_signs_the_unit_takes(ranges, asked_again):
    made = receipt(*ranges, asked_again=asked_again[: receipts.MAX_ASKED_RANGES])
    assert verify_receipt(sign_receipt(made, KEY), KEY.public_key(), DEVICE) == made


def test_the_largest_receipt_is_within_the_size_limit():
    ranges = [(number * 2**53, number * 2**53 + 2**52) for number in range(receipts.MAX_RANGES)]
    made = receipt(*ranges, asked_again=ranges[: receipts.MAX_ASKED_RANGES])
    data = sign_receipt(made, KEY)
    assert len(data) < receipts.MAX_RECEIPT_BYTES
    assert verify_receipt(data, KEY.public_key(), DEVICE) == made
    with pytest.raises(ValueError, match="at most"):
        sign_receipt(receipt(*ranges, (2**62 - 1, 2**62 - 1)), KEY)
    with pytest.raises(ValueError, match="asks for 16"):
        sign_receipt(receipt(asked_again=ranges[: receipts.MAX_ASKED_RANGES + 1]), KEY)


@pytest.mark.parametrize("name", ["k-4496zh0r", "k-" + "z" * 24])
def test_a_day_without_gaps_is_told_in_120_bytes_with_two_restarts(name):
    first, runs = 2**61, []
    for _ in range(3):  # each start leaves out up to 2**44 numbers
        runs.append((first, first + 799))
        first += 2**44
    assert len(sign_receipt(receipt((2**61, 2**61 + 2399), device_id=name), KEY)) == 96
    assert len(sign_receipt(receipt(*runs, device_id=name), KEY)) == 120
    assert len(sign_receipt(receipt((2**61, 2**61 + 2399), asked_again=[(first, first + 30)]), KEY)) <= 120


def test_another_unit_s_or_another_signer_s_receipt_is_rejected():
    with pytest.raises(DocumentRejected, match="for this unit"):
        verify_receipt(sign_receipt(receipt((1, 2), device_id="k-other001"), KEY), KEY.public_key(), DEVICE)
    with pytest.raises(DocumentRejected, match="not signed"):
        verify_receipt(sign_receipt(receipt((1, 2)), Ed25519PrivateKey.generate()), KEY.public_key(), DEVICE)


def signed(body):
    return cbor2.dumps([body, KEY.sign(receipts.signature_prefix(DEVICE) + body)], canonical=True)


@pytest.mark.parametrize(
    "steps",
    [[5, -1], [1, 1, 0, 1], [1, 4, -2, 5], [-1, 4], [0, 2**62], [2**62, 0], [True, 3], [1.0, 3], [1], [1, 2, 3]],
)
@pytest.mark.parametrize("key", [1, 3])
def test_ranges_that_touch_overlap_descend_or_are_no_integers_are_rejected(steps, key):
    verify_receipt(signed(cbor2.dumps({0: 2, 1: [], 2: 1}, canonical=True)), KEY.public_key(), DEVICE)
    with pytest.raises(DocumentRejected, match="ranges"):
        verify_receipt(
            signed(cbor2.dumps({0: 2, 1: [], 2: 1} | {key: steps}, canonical=True)), KEY.public_key(), DEVICE
        )


@pytest.mark.parametrize(
    "fields",
    [
        {0: 1, 1: [], 2: 1},
        {0: 2, 1: [[1, 1]], 2: 1},
        {0: 2, 1: [], 2: -1},
        {0: 2, 1: []},
        {0: 2, 1: [], 2: 1, 4: 1},
        {0: 2, 1: 7, 2: 1},
        {0: 2, 1: [], 2: 1, 3: []},  # nothing that is asked is not said
        {0: 2, 1: [], 2: 1, 3: [0, 0] + [1, 0] * 16},
        [1, 2],
    ],
)
def test_a_signed_body_that_is_no_receipt_is_rejected(fields):
    with pytest.raises(DocumentRejected, match="receipt body"):
        verify_receipt(signed(cbor2.dumps(fields, canonical=True)), KEY.public_key(), DEVICE)


def test_a_receipt_with_more_behind_it_is_rejected():
    good = sign_receipt(receipt((1, 5)), KEY)
    verify_receipt(good, KEY.public_key(), DEVICE)
    with pytest.raises(DocumentRejected):
        verify_receipt(good + b"\x00", KEY.public_key(), DEVICE)


def test_a_signed_body_in_another_spelling_is_rejected():
    with pytest.raises(DocumentRejected, match="canonical"):
        verify_receipt(signed(cbor2.dumps({2: 1, 1: [], 0: 2})), KEY.public_key(), DEVICE)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_rejected(data):
    with pytest.raises(DocumentRejected):
        verify_receipt(data, KEY.public_key(), DEVICE)


@given(st.integers(0), st.integers(1, 255))
def test_every_changed_byte_is_noticed(position, difference):
    data = bytearray(sign_receipt(receipt((1, 20), (30, 31)), KEY))
    data[position % len(data)] ^= difference
    with pytest.raises(DocumentRejected):
        verify_receipt(bytes(data), KEY.public_key(), DEVICE)


def test_a_receipt_above_the_size_limit_is_not_even_parsed():
    with pytest.raises(DocumentRejected, match="longer than"):
        verify_receipt(bytes(receipts.MAX_RECEIPT_BYTES + 1), KEY.public_key(), DEVICE)

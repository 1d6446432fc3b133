"""Requests for pictures and answers to them: who signed, for whom, and one spelling only."""

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import START_UTC_MS
from played_link import CONNECTED, DEVICE, RECEIPT_KEY
from played_link import Bench as UplinkBench

from firmware import wire
from firmware.faults import DocumentRejected, RejectionCause
from firmware.picture_requests import (
    PictureAnswer,
    PictureOutcome,
    decode_answer,
    encode_answer,
    sign_request,
    verify_request,
)
from firmware.receipts import sign_receipt, verify_receipt
from firmware.records import PictureRequest, Receipt, Received
from firmware.stage import Mailbox
from firmware.topics import receipt_topic

READ_ID = uuid.UUID(int=0x019000000000700080000000000000AB)
REQUEST = PictureRequest(device_id=DEVICE, read_id=READ_ID, issued_utc_ms=START_UTC_MS)
PUBLIC_KEY = RECEIPT_KEY.public_key()


def test_a_request_comes_out_as_it_went_in():
    document = sign_request(REQUEST, RECEIPT_KEY)
    assert verify_request(document, PUBLIC_KEY, DEVICE) == REQUEST
    assert len(document) < 120


@pytest.mark.parametrize(
    ("document", "device_id"),
    [
        (sign_request(REQUEST, Ed25519PrivateKey.generate()), DEVICE),
        (sign_request(REQUEST, RECEIPT_KEY), "k-test0002"),
        (sign_receipt(Receipt(device_id=DEVICE, ranges=(), issued_utc_ms=1), RECEIPT_KEY), DEVICE),
    ],
    ids=["a stranger's", "for another unit", "a receipt"],
)
def test_foreign_requests_are_refused(document, device_id):
    with pytest.raises(DocumentRejected) as refused:
        verify_request(document, PUBLIC_KEY, device_id)
    assert refused.value.cause is RejectionCause.WRONG_SIGNATURE


def test_a_request_is_no_receipt():
    with pytest.raises(DocumentRejected):
        verify_receipt(sign_request(REQUEST, RECEIPT_KEY), PUBLIC_KEY, DEVICE)


def test_what_is_no_request_is_refused_before_and_behind_the_signature():
    for document in (b"", b"\xff" * 40, bytes(300), wire.encode([b"", bytes(64)])):
        with pytest.raises(DocumentRejected):
            verify_request(document, PUBLIC_KEY, DEVICE)
    prefix = b"kestrel/picture-request/v1\x00" + DEVICE.encode() + b"\x00"
    for body in ({0: 2, 1: READ_ID.bytes, 2: 1}, {0: 1, 1: b"short", 2: 1}, {0: 1, 1: READ_ID.bytes}, [], {0: 1}):
        encoded = wire.encode(body)
        with pytest.raises(DocumentRejected):
            verify_request(wire.encode([encoded, RECEIPT_KEY.sign(prefix + encoded)]), PUBLIC_KEY, DEVICE)


@pytest.mark.parametrize("outcome", PictureOutcome)
def test_an_answer_comes_out_as_it_went_in(outcome):
    answer = PictureAnswer(
        read_id=READ_ID, outcome=outcome, sealed=b"sealed" if outcome is PictureOutcome.HERE else b""
    )
    assert decode_answer(encode_answer(answer)) == answer


@pytest.mark.parametrize(
    "fields",
    [
        {0: 1, 1: READ_ID.bytes, 2: 0},  # here, and no picture
        {0: 1, 1: READ_ID.bytes, 2: 1, 3: b"x"},  # gone, and a picture
        {0: 1, 1: READ_ID.bytes, 2: 3},
        {0: 2, 1: READ_ID.bytes, 2: 1},
        {0: 1, 1: b"", 2: 1},
        {0: 1, 1: READ_ID.bytes, 2: True},
        [],
    ],
)
def test_what_is_no_answer_is_refused(fields):
    with pytest.raises(DocumentRejected):
        decode_answer(wire.encode(fields))


def test_the_uplink_hands_on_what_the_agency_signed_and_counts_the_rest(tmp_path):
    bench = UplinkBench(tmp_path)
    bench.stage._requests = requests = Mailbox(bench.stage.wake, 4)
    at_s = bench.connect(0.0, CONNECTED)
    forged = sign_request(REQUEST, Ed25519PrivateKey.generate())
    others = sign_request(PictureRequest(device_id="k-test0002", read_id=READ_ID, issued_utc_ms=1), RECEIPT_KEY)
    for document in (sign_request(REQUEST, RECEIPT_KEY), forged, others, b"x"):
        bench.step(at_s, Received(receipt_topic(DEVICE), document))
    assert (requests.take(), requests.take()) == (REQUEST, None)
    assert bench.stage.rejected_receipts == 3
    bench.outbox.close()

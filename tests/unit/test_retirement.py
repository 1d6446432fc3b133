"""The documents of retirement: who may say it, to whom, and for how long."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from made_reads import START_UTC_MS

from firmware import retirement, wire
from firmware.faults import DocumentRejected
from firmware.receipts import verify_receipt
from firmware.retirement import (
    COMMAND_EARLY_MS,
    COMMAND_LIFE_MS,
    Cause,
    RetireCommand,
    RetiredNotice,
    key_hash,
    sign_command,
    sign_notice,
    verify_command,
    verify_notice,
)

DEVICE = "k-test0001"
FLEET_KEY, UNIT_KEY, OTHER_KEY = (Ed25519PrivateKey.generate() for _ in range(3))
COMMAND = RetireCommand(device_id=DEVICE, key_hash=key_hash(UNIT_KEY.public_key()), issued_utc_ms=START_UTC_MS)
NOTICE = RetiredNotice(device_id=DEVICE, cause=Cause.TAMPER, at_utc_ms=START_UTC_MS)


def verified(document, *, now_utc_ms=START_UTC_MS, device_id=DEVICE, unit_key=UNIT_KEY):
    return verify_command(document, FLEET_KEY.public_key(), device_id, unit_key.public_key(), now_utc_ms=now_utc_ms)


def changed(**fields):
    return sign_command(dataclasses.replace(COMMAND, **fields), FLEET_KEY)


def test_a_command_of_the_fleet_is_taken():
    assert verified(sign_command(COMMAND, FLEET_KEY)) == COMMAND
    assert len(sign_command(COMMAND, FLEET_KEY)) < retirement.MAX_DOCUMENT_BYTES


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        (sign_command(COMMAND, OTHER_KEY), "not signed by this unit's fleet"),
        (changed(device_id="k-other001"), "another unit's"),
        (changed(key_hash=key_hash(OTHER_KEY.public_key())), "earlier unit of this name"),
        (changed(issued_utc_ms=START_UTC_MS - COMMAND_LIFE_MS - 1), "older than a week"),
        (changed(issued_utc_ms=START_UTC_MS + COMMAND_EARLY_MS + 1), "from the future"),
        (changed(key_hash=b"short"), "key_hash"),
        (b"", "not CBOR"),
        (b"\x80", "not an array of body and signature"),
        (bytes(retirement.MAX_DOCUMENT_BYTES + 1), "longer than"),
    ],
)
def test_any_other_command_is_rejected_by_its_cause(document, cause):
    with pytest.raises(DocumentRejected, match=cause):
        verified(document)


def test_a_command_that_was_recorded_does_not_end_a_later_unit_of_the_same_name():
    with pytest.raises(DocumentRejected, match="earlier unit"):
        verified(sign_command(COMMAND, FLEET_KEY), unit_key=OTHER_KEY)


def test_a_unit_that_does_not_know_the_time_takes_a_command_of_any_age():
    assert verified(changed(issued_utc_ms=1), now_utc_ms=None).issued_utc_ms == 1


def test_a_command_of_another_version_says_to_update():
    fields = {0: 2, 1: DEVICE, 2: COMMAND.key_hash, 3: START_UTC_MS}
    body = wire.encode(fields)
    document = wire.encode([body, FLEET_KEY.sign(retirement.COMMAND_PREFIX + body)])
    with pytest.raises(DocumentRejected, match="update this unit"):
        verified(document)


def test_one_document_is_never_another():
    """Each kind has its own prefix under the signature, so that even one key for all would not mix them up."""
    command, notice = sign_command(COMMAND, FLEET_KEY), sign_notice(NOTICE, FLEET_KEY.sign)
    public = FLEET_KEY.public_key()
    with pytest.raises(DocumentRejected, match="not signed"):
        verify_notice(command, [public], DEVICE)
    with pytest.raises(DocumentRejected, match="not signed"):
        verified(notice)
    with pytest.raises(DocumentRejected, match="not signed"):
        verify_receipt(command, public, DEVICE)


@given(st.integers(0, 8 * 200))
def test_no_altered_command_is_taken(bit):
    document = bytearray(sign_command(COMMAND, FLEET_KEY))
    document[bit // 8 % len(document)] ^= 1 << bit % 8
    with pytest.raises(DocumentRejected):
        verified(bytes(document))


@given(st.binary(max_size=600))
def test_no_bytes_do_more_than_be_rejected(data):
    with pytest.raises(DocumentRejected):
        verified(data)
    with pytest.raises(DocumentRejected):
        verify_notice(data, [UNIT_KEY.public_key()], DEVICE)


@pytest.mark.parametrize("cause", list(Cause))
def test_a_notice_says_who_and_why(cause):
    notice = dataclasses.replace(NOTICE, cause=cause)
    assert verify_notice(sign_notice(notice, UNIT_KEY.sign), [UNIT_KEY.public_key()], DEVICE) == notice


def test_a_notice_of_another_unit_is_rejected():
    document = sign_notice(NOTICE, UNIT_KEY.sign)
    with pytest.raises(DocumentRejected, match="not signed by this unit"):
        verify_notice(document, [OTHER_KEY.public_key()], DEVICE)
    with pytest.raises(DocumentRejected, match="another unit's"):
        verify_notice(document, [UNIT_KEY.public_key()], "k-other001")

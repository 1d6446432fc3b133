"""Signed statuses, and what the receiver's table makes of them: births count, wills only of the newest session."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud.store import ReadStore
from firmware import signed_document, wire
from firmware.faults import DocumentRejected
from firmware.presence import MAX_STATUS_BYTES, SIGNATURE_PREFIX, Status, sign_status, verify_status
from firmware.receipts import SIGNATURE_PREFIX as RECEIPT_PREFIX

KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DEVICE = "k-test0001"


def status(session=1, *, is_here=True, device_id=DEVICE):
    return Status(device_id=device_id, session=session, is_here=is_here)


@given(st.integers(0, 2**56 - 1), st.booleans(), st.binary(max_size=300))
def test_a_status_comes_back_as_it_was_and_junk_does_not(session, is_here, junk):
    made = status(session, is_here=is_here)
    document = sign_status(made, KEY.sign)
    assert len(document) <= 112
    assert verify_status(document, [OTHER_KEY.public_key(), KEY.public_key()], DEVICE) == made
    with pytest.raises(DocumentRejected):
        verify_status(junk, [KEY.public_key()], DEVICE)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (sign_status(status(), OTHER_KEY.sign), "not signed by this unit"),
        (sign_status(status(device_id="k-other001"), KEY.sign), "another unit's"),
        (signed_document.signed(wire.encode({0: 1, 1: DEVICE, 2: 1, 3: True}), RECEIPT_PREFIX, KEY.sign), "not signed"),
        (signed_document.signed(wire.encode({0: 2, 1: DEVICE, 2: 1, 3: True}), SIGNATURE_PREFIX, KEY.sign), "version"),
        (signed_document.signed(wire.encode({0: 1, 1: DEVICE, 2: 1, 3: 1}), SIGNATURE_PREFIX, KEY.sign), "truth"),
        (signed_document.signed(wire.encode({0: 1, 1: DEVICE, 2: 1}), SIGNATURE_PREFIX, KEY.sign), "keys missing"),
        (
            signed_document.signed(b"\xa4\x00\x01\x01jk-test0001\x02\x18\x01\x03\xf5", SIGNATURE_PREFIX, KEY.sign),
            "canon",
        ),
        (bytes(MAX_STATUS_BYTES + 1), "longer"),
    ],
    ids=["key", "unit", "prefix", "version", "truth", "missing", "canonical", "long"],  # the bytes are new each time
)
def test_what_is_no_status_of_this_unit_is_refused(document, why):
    with pytest.raises(DocumentRejected, match=why):
        verify_status(document, [KEY.public_key()], DEVICE)


@pytest.fixture
def store(tmp_path):
    with ReadStore(tmp_path / "reads.db") as opened:
        yield opened


def test_a_unit_is_heard_of_goes_and_comes_back_and_only_changes_are_told(store):
    assert store.note_status(status(1), 100) is False  # it was never away
    assert store.note_status(status(1), 110) is False  # sent again
    assert store.note_status(status(1, is_here=False), 200) is True
    assert store.note_status(status(1, is_here=False), 210) is False
    assert store.units() == {DEVICE: (False, 200)}
    assert store.note_status(status(2), 300) is True
    assert store.note_status(status(3), 400) is False  # a new session without having been missed
    assert store.units() == {DEVICE: (True, 300)}


def test_a_will_that_comes_after_the_next_birth_says_nothing(store):
    store.note_status(status(1), 100)
    store.note_status(status(2), 200)
    assert store.note_status(status(1, is_here=False), 300) is False
    assert store.units() == {DEVICE: (True, 100)}
    assert store.note_status(status(2, is_here=False), 400) is True


def test_a_will_of_a_unit_that_nobody_has_heard_of_says_nothing(store):
    assert store.note_status(status(1, is_here=False), 100) is False
    assert store.units() == {}

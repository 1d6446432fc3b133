"""Papers of a unit: cut into parts, sealed, put together again at the receiving end, and kept for as long as meant."""

import os

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reads import START_UTC_MS, made_read, made_sealer, registered

from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.paper_rows import PARTS_KEPT_MS, TEST_KEPT_MS
from cloud.receiver import paper_lines
from cloud.receiving import Receiving, TakenPaper
from cloud.store import Outcome, ReadStore, StoreRefused
from firmware import papers, sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import DocumentRejected, RejectionCause
from firmware.papers import MAX_DOCUMENT_BYTES, MAX_PART_BYTES, PaperKind, parts_of
from firmware.receipts import verify_receipt
from firmware.records import MessageClass
from firmware.sealing import MAX_WIRE_BYTES, uuid7
from firmware.topics import read_topic
from firmware.wire import encode

DEVICE = "k-test0001"
DEVICE_KEY, RECEIPT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
SEALER = made_sealer(DEVICE_KEY, AGENCY_KEY, device_id=DEVICE)


@pytest.fixture
def store(tmp_path):
    with ReadStore(tmp_path / "reads.db") as opened:
        yield opened


@pytest.fixture
def receiving(tmp_path, store):
    registry = registered(tmp_path, DEVICE_KEY, DEVICE)
    return Receiving(registry, store, OpeningKeys([AGENCY_KEY]), RECEIPT_KEY)


def made_parts(document, kind=PaperKind.TEST, made_utc_ms=START_UTC_MS):
    return parts_of(document, kind, made_utc_ms, clock_trusted=True)


def wire_of(paper, sequence, sealer=SEALER):
    read_id = uuid7(paper.made_utc_ms, sequence.to_bytes(10, "big"))
    return sealing.to_wire(sealer.seal_paper(paper, read_id=read_id, sequence=sequence))


def take(receiving, paper, sequence, came_utc_ms=START_UTC_MS):
    return receiving.take(read_topic(DEVICE), wire_of(paper, sequence), came_utc_ms)


@settings(max_examples=30)
@given(st.integers(1, 4 * MAX_PART_BYTES), st.sampled_from(PaperKind), st.booleans())
def test_the_parts_of_a_document_make_it_up_and_survive_the_wire(size, kind, clock_trusted):
    document = os.urandom(8) * (size // 8 + 1)
    document = document[:size]
    parts = parts_of(document, kind, START_UTC_MS, clock_trusted=clock_trusted)
    assert b"".join(part.content for part in parts) == document
    assert [papers.parse(papers.payload(part)) for part in parts] == parts
    assert {part.digest for part in parts} == {papers.digest_of(document)}


def test_the_longest_part_for_four_agencies_fits_an_envelope():
    keys = [OpeningKey.generate(SuiteNumber.X_WING) for _ in range(4)]
    (part,) = made_parts(bytes(MAX_PART_BYTES))
    assert len(wire_of(part, 1, made_sealer(DEVICE_KEY, *keys, device_id=DEVICE))) <= MAX_WIRE_BYTES


@pytest.mark.parametrize("size", [0, MAX_DOCUMENT_BYTES + 1])
def test_a_document_of_no_bytes_or_too_many_is_refused(size):
    with pytest.raises(ValueError, match="bytes"):
        made_parts(bytes(size))


def test_only_what_a_unit_makes_is_a_part():
    first, last = made_parts(bytes(MAX_PART_BYTES + 1))
    change = msgspec.structs.replace
    wrong = [
        change(first, version=2), change(first, kind=9), change(first, made_utc_ms=-1), change(first, digest=b"short"),
        change(last, part=2), change(last, parts=33), change(first, content=b""), change(first, content=b"not full"),
        change(first, content=bytes(MAX_PART_BYTES + 1)), change(first, clock_trusted=1),
    ]  # fmt: skip
    payloads = [encode(msgspec.to_builtins(one, builtin_types=(bytes,))) for one in wrong]
    for data in (*payloads, b"", papers.payload(last) + b"\x00", papers.payload(last)[:-1], encode([1, 2])):
        with pytest.raises(DocumentRejected):
            papers.parse(data)


def test_a_paper_shows_no_content_and_a_read_cannot_pose_as_one():
    (part,) = made_parts(b"where it hangs")
    assert "where" not in repr(part)
    with pytest.raises(ValueError, match="no paper"):
        SEALER.seal(made_read(), message_class=MessageClass.PAPER)


def test_parts_in_any_order_make_one_document_and_all_are_confirmed(receiving, store):
    document = os.urandom(2 * MAX_PART_BYTES + 5)
    first, second, third = made_parts(document)
    assert take(receiving, third, 3).document is None
    wire = wire_of(first, 1)
    assert receiving.take(read_topic(DEVICE), wire, START_UTC_MS).document is None
    assert receiving.take(read_topic(DEVICE), wire, START_UTC_MS).outcome is Outcome.DUPLICATE
    whole = take(receiving, second, 2)
    assert isinstance(whole, TakenPaper)
    assert whole.document.content == document
    assert [one.content for one in store.documents(PaperKind.TEST)] == [document]
    (receipt,) = receiving.due_receipts(0.0, START_UTC_MS, 9).values()
    assert verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE).ranges == ((1, 3),)
    assert (receiving.stored, receiving.papers_stored, receiving.duplicates, store.count()) == (0, 3, 1, 0)
    assert store._connection.execute("SELECT COUNT(*) FROM paper_parts").fetchone() == (0,)


def test_a_document_that_is_sent_again_is_kept_and_told_once(receiving, store):
    (part,) = made_parts(b"a test")
    (told,) = paper_lines(take(receiving, part, 1))
    assert told.endswith(f"  {DEVICE}  test: a technician's test read has come through")
    assert paper_lines(take(receiving, part, 2)) == []
    assert len(store.documents(PaperKind.TEST)) == 1


def test_parts_that_are_not_of_their_document_are_counted_and_not_confirmed(receiving, store):
    first, second = made_parts(bytes(MAX_PART_BYTES) + b"end")
    take(receiving, first, 1)
    assert take(receiving, msgspec.structs.replace(second, content=b"another end"), 2) is None
    assert take(receiving, msgspec.structs.replace(second, parts=3), 3) is None
    assert receiving.rejected == {RejectionCause.BAD_PAYLOAD: 2}
    (receipt,) = receiving.due_receipts(0.0, START_UTC_MS, 9).values()
    assert verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE).ranges == ((1, 1),)
    assert take(receiving, second, 5).document is not None
    assert len(store.documents(PaperKind.TEST)) == 1


def test_a_paper_sealed_as_a_read_is_refused(receiving):
    (part,) = made_parts(b"a test")
    sealed = SEALER._unsealed(MessageClass.READ, uuid7(START_UTC_MS, bytes(10)), 1, START_UTC_MS)
    posing = SEALER._sealed(sealed, papers.payload(part), clock_trusted=True)
    assert receiving.take(read_topic(DEVICE), sealing.to_wire(posing), START_UTC_MS) is None
    assert receiving.rejected == {RejectionCause.BAD_PAYLOAD: 1}


def test_a_test_read_is_forgotten_after_a_day_and_lonely_parts_when_nothing_can_come(receiving, store):
    take(receiving, made_parts(b"a test")[0], 1)
    take(receiving, made_parts(bytes(MAX_PART_BYTES + 1))[0], 2)
    later_utc_ms = START_UTC_MS + TEST_KEPT_MS + 1
    take(receiving, made_parts(b"another", made_utc_ms=later_utc_ms)[0], 3, later_utc_ms)
    assert [one.content for one in store.documents(PaperKind.TEST)] == [b"another"]
    assert store._connection.execute("SELECT COUNT(*) FROM paper_parts").fetchone() == (1,)
    latest_utc_ms = START_UTC_MS + PARTS_KEPT_MS + 1
    take(receiving, made_parts(b"the last", made_utc_ms=latest_utc_ms)[0], 4, latest_utc_ms)
    assert store._connection.execute("SELECT COUNT(*) FROM paper_parts").fetchone() == (0,)


def test_a_document_that_nobody_sent_is_a_damaged_store(receiving, store):
    take(receiving, made_parts(b"a test")[0], 1)
    store._connection.execute("UPDATE documents SET content = x'80'")
    with pytest.raises(StoreRefused, match="damaged"):
        store.documents(PaperKind.TEST)

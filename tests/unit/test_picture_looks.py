"""The agency's side of pictures of vehicles: who looks and why is kept for ever, and what a unit answers is judged."""

import dataclasses
import sqlite3
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import START_UTC_MS, made_read, made_sealer, registered
from made_vehicles import AGENCY_KEY, DEVICE, DEVICE_KEY, PICTURE, SEALER, parts_of_answer, sealed_vehicle

from cloud import picture_looks
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.picture_rows import SEND_AGAIN_MS, Look, Purpose
from cloud.receiver import answer_line
from cloud.receiving import Receiving, TakenAnswer
from cloud.store import Outcome, ReadStore, StoreRefused
from firmware import sealing, wire
from firmware.agency_keys import SuiteNumber
from firmware.faults import RejectionCause
from firmware.papers import PaperKind, parts_of
from firmware.picture_requests import PictureAnswer, PictureOutcome, verify_request
from firmware.receipts import verify_receipt
from firmware.records import MAX_VEHICLE_BYTES, MessageClass, Picture, PictureCoding
from firmware.sealing import uuid7
from firmware.topics import read_topic

RECEIPT_KEY = Ed25519PrivateKey.generate()
PURPOSE = Purpose(case_number="24-1177", reason="hit and run", name="Ana Lee")
READ_ID = uuid.UUID(int=7)
MINUTE_MS = 60_000


@pytest.fixture
def store(tmp_path):
    with ReadStore(tmp_path / "reads.db") as opened:
        yield opened


@pytest.fixture
def receiving(tmp_path, store):
    registry = registered(tmp_path, DEVICE_KEY, DEVICE)
    return Receiving(registry, store, OpeningKeys([AGENCY_KEY]), RECEIPT_KEY)


def take(receiving, paper, sequence=1):
    sealed = SEALER.seal_paper(paper, read_id=uuid7(START_UTC_MS, sequence.to_bytes(10, "big")), sequence=sequence)
    return receiving.take(read_topic(DEVICE), sealing.to_wire(sealed), START_UTC_MS)


def here(sealed):
    return PictureAnswer(read_id=sealed.read_id, outcome=PictureOutcome.HERE, sealed=sealing.to_wire(sealed))


def take_answer(receiving, answer, sequence=1):
    (paper,) = parts_of_answer(answer)
    return take(receiving, paper, sequence)


def test_every_look_is_logged_and_no_row_can_be_changed_or_taken_away(store, tmp_path):
    store.pictures.ask(DEVICE, READ_ID, PURPOSE, START_UTC_MS)
    store.pictures.ask(DEVICE, READ_ID, dataclasses.replace(PURPOSE, name="Bo"), START_UTC_MS + 1)
    assert store.pictures.show(DEVICE, READ_ID, PURPOSE, START_UTC_MS + 2) is None  # nothing to see, nothing seen
    store.pictures.keep(DEVICE, READ_ID, PictureOutcome.HERE, PICTURE)
    assert store.pictures.show(DEVICE, READ_ID, PURPOSE, START_UTC_MS + 3) == PICTURE
    looks = store.pictures.looks()
    assert [(one.what, one.purpose.name, one.at_utc_ms - START_UTC_MS) for one in looks] == [
        (Look.ASKED, "Ana Lee", 0),
        (Look.ASKED, "Bo", 1),
        (Look.SHOWN, "Ana Lee", 3),
    ]
    with sqlite3.connect(tmp_path / "reads.db") as other:
        for statement in ("DELETE FROM picture_looks", "UPDATE picture_looks SET reason = 'none'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(statement)
    other.close()
    assert store.pictures.looks() == looks


def test_a_unit_is_asked_at_once_and_again_until_it_answers(store, receiving):
    store.pictures.ask(DEVICE, READ_ID, PURPOSE, START_UTC_MS)
    now_utc_ms = START_UTC_MS
    for again_ms in (*SEND_AGAIN_MS, SEND_AGAIN_MS[-1]):
        ((device_id, document, expiry_s),) = receiving.due_requests(now_utc_ms, 10)
        request = verify_request(document, RECEIPT_KEY.public_key(), DEVICE)
        assert (device_id, request.read_id, request.issued_utc_ms) == (DEVICE, READ_ID, now_utc_ms)
        assert expiry_s == again_ms // 1000
        assert receiving.due_requests(now_utc_ms + again_ms - 1, 10) == []
        now_utc_ms += again_ms
    answered = take_answer(receiving, PictureAnswer(read_id=READ_ID, outcome=PictureOutcome.NEVER))
    assert answer_line(answered).endswith("none was taken")
    assert receiving.due_requests(now_utc_ms, 10) == []
    assert store.pictures.ask(DEVICE, READ_ID, PURPOSE, now_utc_ms) is PictureOutcome.NEVER


def test_two_receivers_of_one_store_ask_once(store, tmp_path):
    store.pictures.ask(DEVICE, READ_ID, PURPOSE, START_UTC_MS)
    with ReadStore(tmp_path / "reads.db") as other:
        assert [len(one.pictures.take_due(START_UTC_MS, 9)) for one in (store, other)] == [1, 0]


def test_a_picture_that_comes_is_kept_once_with_its_read_and_confirmed(store, receiving):
    sealed, read = sealed_vehicle()
    taken = take_answer(receiving, here(sealed))
    assert isinstance(taken, TakenAnswer)
    assert (taken.outcome, taken.answer.read_id) == (Outcome.STORED, read.read_id)
    assert take_answer(receiving, here(sealed), 2).outcome is Outcome.STORED
    assert store.pictures.show(DEVICE, read.read_id, PURPOSE, START_UTC_MS) == PICTURE
    gone = PictureAnswer(read_id=read.read_id, outcome=PictureOutcome.GONE)
    take_answer(receiving, gone, 3)  # a request that was answered before it came again
    assert store.pictures.outcome(DEVICE, read.read_id) is PictureOutcome.HERE
    (receipt,) = receiving.due_receipts(0.0, START_UTC_MS, 9).values()
    assert verify_receipt(receipt, RECEIPT_KEY.public_key(), DEVICE).ranges == ((1, 3),)
    assert (receiving.answers_stored, receiving.stored, receiving.papers_stored) == (3, 0, 0)


def resealed(sealed, **changes):
    """The same envelope with another header, signed by the unit as it signs all."""
    changed = dataclasses.replace(sealed, **changes)
    return dataclasses.replace(changed, signature=DEVICE_KEY.sign(sealing.signed_bytes(changed)))


def test_a_picture_that_is_not_what_it_says_is_refused_and_not_confirmed(store, receiving):
    sealed, read = sealed_vehicle()
    other, _ = sealed_vehicle(START_UTC_MS + 1)
    strangers, _ = sealed_vehicle(sealer=made_sealer(Ed25519PrivateKey.generate(), AGENCY_KEY))
    other_name = "k-test0002"
    elsewhere, _ = sealed_vehicle(
        sealer=made_sealer(DEVICE_KEY, AGENCY_KEY, device_id=other_name), device_id=other_name
    )
    bad = {
        "another read's picture": (dataclasses.replace(here(sealed), read_id=other.read_id), "bad-payload"),
        "a picture under another read's header": (here(resealed(sealed, read_id=other.read_id)), "cannot-open"),
        "a stranger's picture": (here(strangers), "wrong-signature"),
        "another unit's picture": (here(elsewhere), "other-device"),
        "a read in a picture's place": (here(read), "bad-payload"),
        "no envelope": (PictureAnswer(read_id=READ_ID, outcome=PictureOutcome.HERE, sealed=b"\xff"), "bad-payload"),
    }
    for sequence, (name, (answer, cause)) in enumerate(bad.items(), start=1):
        receiving.rejected.clear()
        assert take_answer(receiving, answer, sequence) is None, name
        assert receiving.rejected == {RejectionCause(cause): 1}, name
    assert receiving.due_receipts(0.0, START_UTC_MS, 9) == {}
    assert store.pictures.outcome(DEVICE, other.read_id) is None


def test_class_and_kind_of_a_paper_belong_together(receiving):
    (test,) = parts_of(b"test", PaperKind.TEST, START_UTC_MS, clock_trusted=True)
    (answer,) = parts_of_answer(PictureAnswer(read_id=READ_ID, outcome=PictureOutcome.NEVER))
    for sequence, (paper, message_class) in enumerate(((test, MessageClass.PICTURE), (answer, MessageClass.PAPER)), 1):
        unsealed = SEALER._unsealed(message_class, uuid7(START_UTC_MS, bytes([sequence] * 10)), sequence, START_UTC_MS)
        sealed = SEALER._sealed(unsealed, sealing.papers.payload(paper), clock_trusted=True)
        assert receiving.take(read_topic(DEVICE), sealing.to_wire(sealed), START_UTC_MS) is None
    assert receiving.rejected == {"bad-payload": 2}


def test_what_a_stolen_unit_puts_in_a_picture_s_place_is_refused(receiving):
    for sequence, value in enumerate(([], [1, b""], [3, b"x"], [True, b"x"], [1, b"x", 0])):
        content = wire.encode(value)
        _, read = sealed_vehicle()
        unsealed = SEALER._unsealed(MessageClass.PICTURE, read.read_id, read.sequence, read.created_utc_ms)
        sealed = SEALER._sealed(unsealed, content, clock_trusted=True)
        assert take_answer(receiving, here(sealed), sequence) is None
    assert receiving.rejected == {"bad-payload": 5}


def test_the_largest_picture_for_four_agencies_of_the_larger_suite_is_one_message():
    sealer = made_sealer(DEVICE_KEY, *(OpeningKey.generate(SuiteNumber.X_WING) for _ in range(4)))
    read = sealer.seal(made_read())
    largest = Picture(PictureCoding.JPEG, bytes(MAX_VEHICLE_BYTES))
    (paper,) = parts_of_answer(here(sealer.seal_vehicle(largest, read, clock_trusted=True)))
    sealed = sealer.seal_paper(paper, read_id=READ_ID, sequence=2)
    assert len(sealing.to_wire(sealed)) <= sealing.MAX_WIRE_BYTES
    with pytest.raises(ValueError, match="1 to 40000 bytes"):
        sealer.seal_vehicle(Picture(PictureCoding.JPEG, largest.data + b"x"), read, clock_trusted=True)


def test_the_table_shows_who_when_why_and_what_came_of_it(store):
    store.pictures.ask(DEVICE, READ_ID, PURPOSE, START_UTC_MS)
    heading, row = picture_looks.table(store.pictures.looks()).splitlines()
    assert heading.split()[:3] == ["time", "(UTC)", "unit"]
    assert row.split() == [
        "2027-01-15T08:00:00Z", DEVICE, str(READ_ID), "asked", "24-1177", "Ana", "Lee",
        "asked,", "no", "answer", "yet;", "hit", "and", "run",
    ]  # fmt: skip
    store.pictures.keep(DEVICE, READ_ID, PictureOutcome.GONE, None)
    assert "gone: the unit kept it for its time" in picture_looks.table(store.pictures.looks())
    assert "24-1177" not in repr(store.pictures.looks())


def test_a_disk_that_refuses_is_told_in_one_sentence(store):
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreRefused, match="check the disk"):
        store.pictures.ask(DEVICE, READ_ID, PURPOSE, START_UTC_MS)

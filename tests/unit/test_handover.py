"""The hand-over record: nobody can change it or its page unseen, and the receiver keeps those of its own units only."""

import stat

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_handovers import DEVICE, LATITUDE, LONGITUDE, PAGE, made_document, made_file, made_record
from made_reads import START_UTC_MS, made_sealer, registered

from cloud import fleet_folder, handover
from cloud.__main__ import main
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiver import paper_lines
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import ReadStore
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import DocumentRejected, RejectionCause
from firmware.papers import MAX_DOCUMENT_BYTES, MAX_PART_BYTES, PaperKind, parts_of
from firmware.sealing import uuid7
from firmware.topics import read_topic

KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)


@pytest.fixture
def fleet(tmp_path):
    registered(tmp_path, KEY, DEVICE)
    (tmp_path / fleet_folder.RECEIVER_FOLDER).mkdir()
    return tmp_path


@pytest.fixture
def store(fleet):
    with ReadStore(fleet / fleet_folder.STORE) as opened:
        yield opened


@pytest.fixture
def receiving(fleet, store):
    return Receiving(Registry(fleet / fleet_folder.REGISTRY_FOLDER), store, OpeningKeys([AGENCY_KEY]), OTHER_KEY)


def take(receiving, document, sequence=1):
    """Let the receiver take a document, part by part; return what became of the last."""
    taken = None
    for number, paper in enumerate(parts_of(document, PaperKind.HANDOVER, START_UTC_MS, clock_trusted=True)):
        sealer = made_sealer(KEY, AGENCY_KEY, device_id=DEVICE)
        read_id = uuid7(START_UTC_MS, (sequence + number).to_bytes(10, "big"))
        sealed = sealer.seal_paper(paper, read_id=read_id, sequence=sequence + number)
        taken = receiving.take(read_topic(DEVICE), sealing.to_wire(sealed), START_UTC_MS + 500)
    return taken


def test_a_record_is_read_back_as_it_was_and_its_signer_is_known():
    record = made_record()
    signed = handover.decode(made_file(record, KEY))
    assert signed.record == record
    assert handover.verify(signed, PAGE, OTHER_KEY.public_key(), KEY.public_key()) == KEY.public_key()
    assert handover.own_key(signed) == KEY.public_key()
    assert handover.unpacked(made_document(KEY)) == (made_file(record, KEY), PAGE)
    assert msgspec.json.decode(handover.canonical(record))["site"]["latitude_deg"] == LATITUDE


def test_no_repr_says_where_a_unit_hangs():
    for shown in (repr(made_record()), repr(handover.decode(made_file(made_record(), KEY)))):
        assert str(LATITUDE) not in shown
        assert str(LONGITUDE) not in shown


@pytest.mark.parametrize(
    "change",
    [
        {"accepted_by": "Bob"}, {"despite": ("The unit was not checked",)}, {"site": None}, {"checks": ()},
        {"clock_trusted": False}, {"device_id": "k-test0002"},
    ],
)  # fmt: skip
def test_a_record_that_was_changed_after_it_was_signed_is_refused(change):
    signed = handover.decode(made_file(made_record(), KEY))
    if change == {"site": None}:
        change = {"site": msgspec.structs.replace(signed.record.site, latitude_deg=LATITUDE + 0.001)}
    changed = msgspec.structs.replace(signed, record=msgspec.structs.replace(signed.record, **change))
    with pytest.raises(DocumentRejected, match="changed after it was signed"):
        handover.verify(changed, PAGE, KEY.public_key())


def test_another_page_and_another_record_s_page_are_refused():
    signed = handover.decode(made_file(made_record(), KEY))
    for page in (PAGE + b" ", b""):
        with pytest.raises(DocumentRejected, match="page"):
            handover.verify(signed, page, KEY.public_key())
    other = handover.decode(made_file(made_record(accepted_by="Bob"), KEY))
    swapped = msgspec.structs.replace(signed, page_signature=other.page_signature)
    with pytest.raises(DocumentRejected, match="page"):
        handover.verify(swapped, PAGE, KEY.public_key())


def test_neither_signature_counts_as_the_other():
    signed = handover.decode(made_file(made_record(), KEY))
    swapped = msgspec.structs.replace(signed, signature=signed.page_signature, page_signature=signed.signature)
    with pytest.raises(DocumentRejected):
        handover.verify(swapped, PAGE, KEY.public_key())


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA"])
def test_what_is_no_signature_is_refused_and_no_bug(signature):
    signed = msgspec.structs.replace(handover.decode(made_file(made_record(), KEY)), signature=signature)
    with pytest.raises(DocumentRejected):
        handover.verify(signed, PAGE, KEY.public_key())


def test_a_file_has_one_spelling():
    data = made_file(made_record(), KEY)
    for other in (data + b" ", data.replace(b"  ", b" "), b"", b"{}", data.replace(b'"record"', b'"recorD"')):
        with pytest.raises(DocumentRejected):
            handover.decode(other)


@pytest.mark.parametrize("document", [b"", b"\x00\x00", b"\x00\x00\x00\x09short", b"\x00\x00\x00\x02{}no page"])
def test_what_is_no_record_with_its_page_is_refused(document):
    with pytest.raises(DocumentRejected):
        handover.unpacked(document)


def test_a_document_that_no_unit_could_send_is_not_made():
    with pytest.raises(ValueError, match="at most"):
        handover.packed(b"{}", bytes(MAX_DOCUMENT_BYTES))


def test_the_receiver_keeps_a_record_and_shows_it_in_one_line(receiving, store):
    document = made_document(KEY, PAGE + bytes(2 * MAX_PART_BYTES))
    taken = take(receiving, document)
    (told,) = paper_lines(taken)
    assert told.endswith(f"{DEVICE}  hand-over of Test Street, accepted by Ana Lee; signed by the unit")
    assert [one.content for one in store.documents(PaperKind.HANDOVER)] == [document]
    assert store.count() == 0
    despite = made_document(KEY, accepted_utc="2026-11-23T08:00:00Z", despite=("The unit was not checked",))
    (told,) = paper_lines(take(receiving, despite, 10))
    assert "despite shortcomings (1)" in told


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        (made_document(OTHER_KEY), RejectionCause.WRONG_SIGNATURE),
        (made_document(KEY, device_id="k-test0002"), RejectionCause.OTHER_DEVICE),
        (made_document(KEY)[:-1] + b"!", RejectionCause.WRONG_SIGNATURE),
        (made_document(KEY)[4:], RejectionCause.BAD_PAYLOAD),
        (b"\x00\x00\x00\x02{}%PDF-", RejectionCause.BAD_PAYLOAD),
    ],
    ids=["another key", "another unit", "another page", "no length", "no record"],
)
def test_what_is_no_record_of_the_unit_is_counted_and_not_confirmed(receiving, store, document, cause):
    assert take(receiving, document) is None
    assert receiving.rejected == {cause: 1}
    assert receiving.due_receipts(0.0, START_UTC_MS, 9) == {}
    assert store.documents(PaperKind.HANDOVER) == []


def test_the_office_lists_the_records_and_writes_their_files(receiving, fleet, tmp_path, capsys):
    take(receiving, made_document(KEY), 1)
    take(receiving, made_document(KEY, PAGE + b" of the same second"), 2)
    take(receiving, made_document(KEY, accepted_utc="2026-11-23T08:00:00Z"), 3)
    out = tmp_path / "out"
    assert main(["handovers", "--folder", str(fleet), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert shown.count(DEVICE) == 3
    assert handover.record_sha256(made_record())[:16] in shown
    assert str(LATITUDE) not in shown
    files = sorted(out.iterdir())
    assert len(files) == 6
    assert {f"{DEVICE}-20261122T193014Z.json", f"{DEVICE}-20261123T080000Z.pdf"} <= {path.name for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert (out / f"{DEVICE}-20261122T193014Z.json").read_bytes() == made_file(made_record(), KEY)
    assert (out / f"{DEVICE}-20261122T193014Z.pdf").read_bytes() == PAGE

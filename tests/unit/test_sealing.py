"""Sealing: what goes in comes out at the agency and nowhere else, and nothing about it can be changed unseen."""

import dataclasses
import uuid

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from made_health import made_health
from made_reads import PLATE, START_UTC_MS, made_read, made_sealer, sealed_around

from cloud.opening import open_health, open_read
from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware import health_report, sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import DocumentRejected, FaultCode, RejectionCause
from firmware.health_report import FaultWord
from firmware.records import Direction, MessageClass, Passage, Picture, PictureCoding, PlateText, Read, Site
from firmware.wire import MAX_CALENDAR_UTC_MS

AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
RING = OpeningKeys([AGENCY_KEY])
DEVICE_KEY = Ed25519PrivateKey.generate()
SEALER = made_sealer(DEVICE_KEY, AGENCY_KEY)

utc_ms = st.integers(0, 2**48 - 1)
calendar_ms = st.integers(0, MAX_CALENDAR_UTC_MS)
score = st.integers(0, 255).map(lambda byte: byte / 255)
degrees = st.floats(-90, 90)
plates = st.text("ABCXYZ0189", min_size=2, max_size=10)

pictures = st.builds(Picture, st.sampled_from(PictureCoding), st.binary(min_size=1, max_size=300))


@st.composite
def reads(draw):
    plate = draw(st.none() | plates)
    passage = Passage(
        first_utc_ms=draw(calendar_ms),
        last_utc_ms=draw(calendar_ms),
        last_boot_ms=draw(st.integers(0, 2**48 - 1)),
        clock_trusted=draw(st.booleans()),
        plate=PlateText(plate) if plate else None,
        character_scores=tuple(draw(score) for _ in plate or ""),
        score_ratio=draw(score),
        region=draw(st.none() | st.text(max_size=20)),
        region_score_ratio=draw(score),
        frames=draw(st.integers(0, 1000)),
        infrared=draw(st.booleans()),
        partial=draw(st.booleans()),
        direction=draw(st.none() | st.sampled_from(Direction)),
        picture=draw(
            st.none() | st.builds(Picture, st.sampled_from(PictureCoding), st.binary(min_size=1, max_size=300))
        ),
    )
    site = Site(
        name=draw(st.text(min_size=1, max_size=80)),
        latitude_deg=draw(degrees),
        longitude_deg=draw(degrees),
        bearing_deg=draw(st.floats(0, 359)),
    )
    return Read(
        read_id=uuid.UUID(bytes=draw(st.binary(min_size=16, max_size=16))),
        device_id="k-test0001",
        sequence=draw(st.integers(0, 2**62 - 1)),
        boot_id=draw(st.binary(min_size=8, max_size=8)),
        site=site,
        passage=passage,
        model_version=draw(st.text(max_size=40)),
        config_version=draw(st.integers(1, 1000)),
    )


@given(reads(), st.sampled_from([MessageClass.READ, MessageClass.ALERT]))
def test_what_is_sealed_is_what_the_agency_opens(read, message_class):
    sealed = sealing.from_wire(sealing.to_wire(SEALER.seal(read, message_class=message_class)))
    sealing.verify(sealed, DEVICE_KEY.public_key())
    assert open_read(sealed, RING) == read
    assert sealed.message_class is message_class
    assert sealed.created_utc_ms == read.passage.last_utc_ms


def test_nothing_readable_is_on_the_wire():
    wire = sealing.to_wire(SEALER.seal(made_read()))
    assert not any(secret in wire for secret in (PLATE.encode(), b"Test Street", b"test-1", b"crop"))


def test_scores_outside_0_to_1_are_pulled_in():
    read = made_read()
    passage = dataclasses.replace(read.passage, score_ratio=1.0000001, character_scores=(-0.1, 0.5))
    opened = open_read(SEALER.seal(dataclasses.replace(read, passage=passage)), RING)
    assert opened.passage.score_ratio == 1.0
    assert opened.passage.character_scores == (0.0, 128 / 255)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 2},
        {"device_id": "k-other001"},
        {"read_id": uuid.UUID(int=1)},
        {"created_utc_ms": 1},
        {"message_class": MessageClass.ALERT},
    ],
)
def test_a_swapped_header_is_rejected_by_signature_and_by_encryption(change):
    moved = dataclasses.replace(SEALER.seal(made_read()), **change)
    with pytest.raises(DocumentRejected, match="signature"):
        sealing.verify(moved, DEVICE_KEY.public_key())
    with pytest.raises(DocumentRejected, match="payload"):
        open_read(moved, RING)


def test_another_device_s_signature_and_another_agency_s_key_are_rejected():
    sealed = SEALER.seal(made_read())
    with pytest.raises(DocumentRejected, match="signature"):
        sealing.verify(sealed, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(DocumentRejected, match="other agency keys"):
        open_read(sealed, OpeningKeys([OpeningKey.generate(SuiteNumber.X25519)]))


@given(st.integers(0), st.integers(1, 255))
def test_every_changed_byte_is_noticed(position, difference):
    wire = bytearray(sealing.to_wire(SEALER.seal(made_read(picture=b""))))
    wire[position % len(wire)] ^= difference
    with pytest.raises(DocumentRejected):
        sealing.verify(sealing.from_wire(bytes(wire)), DEVICE_KEY.public_key())


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_rejected_without_being_repeated(data):
    with pytest.raises(DocumentRejected) as rejected:
        sealing.from_wire(data)
    assert len(data) < 4 or data.hex() not in str(rejected.value)


cbor_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=80) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 9), inner, max_size=9),
    max_leaves=12,
)


@given(cbor_values, st.binary(min_size=48, max_size=60))
def test_arbitrary_cbor_in_the_header_is_rejected(value, ciphertext):
    with pytest.raises(DocumentRejected):
        sealing.from_wire(cbor2.dumps([cbor2.dumps(value), [bytes(80)], ciphertext, bytes(64)]))


def header_with(**changes):
    good = cbor2.loads(sealing.header(SEALER.seal(made_read())))
    good.update({sealing.HeaderKey[name.upper()]: value for name, value in changes.items()})
    wrapped = [bytes(80)] * len(good[sealing.HeaderKey.RECIPIENTS] or [0])
    return cbor2.dumps([cbor2.dumps(good, canonical=True), wrapped, bytes(48), bytes(64)], canonical=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 3},
        {"schema": 5},
        {"schema": True},
        {"recipients": []},
        {"recipients": [[bytes(8), 9]]},
        {"recipients": [[bytes(8), True]]},
        {"recipients": [[bytes(8), 2]]},
        {"recipients": [[bytes(9), 1]]},
        {"recipients": [[bytes(8), 1, 1]]},
        {"recipients": [[b"z" * 8, 1], [b"a" * 8, 1]]},
        {"recipients": [[b"a" * 8, 1], [b"a" * 8, 1]]},
        {"recipients": [[bytes([number]) * 8, 1] for number in range(5)]},
        {"device_id": "../../etc/passwd"},
        {"device_id": "k-test0001\n"},
        {"read_id": bytes(15)},
        {"sequence": -1},
        {"sequence": 2**62},
        {"sequence": 1.0},
        {"created_utc_ms": 2**48},
        {"message_class": True},
        {"message_class": None},
        {"message_class": -2},
        {"message_class": 4},
    ],
)
def test_each_field_of_the_header_has_its_type_and_range(changes):
    assert sealing.from_wire(header_with()).sequence == 1
    with pytest.raises(DocumentRejected, match="header"):
        sealing.from_wire(header_with(**changes))


def test_another_spelling_of_the_same_envelope_is_rejected():
    header, *others = cbor2.loads(sealing.to_wire(SEALER.seal(made_read())))
    fields = cbor2.loads(header)
    backwards = cbor2.dumps(dict(reversed(fields.items())))
    with pytest.raises(DocumentRejected, match="canonical"):
        sealing.from_wire(cbor2.dumps([backwards, *others]))
    with pytest.raises(DocumentRejected, match="canonical"):
        sealing.from_wire(sealing.to_wire(SEALER.seal(made_read())) + b"\x00")


def test_an_envelope_above_the_limit_is_rejected_and_never_made():
    with pytest.raises(DocumentRejected, match="longer than"):
        sealing.from_wire(bytes(sealing.MAX_WIRE_BYTES + 1))
    biggest = SEALER.seal(made_read(picture=bytes(sealing.MAX_PICTURE_BYTES)))
    assert len(sealing.to_wire(biggest)) < sealing.MAX_WIRE_BYTES
    with pytest.raises(ValueError, match="plate picture"):
        SEALER.seal(made_read(picture=bytes(sealing.MAX_PICTURE_BYTES + 1)))


def test_a_text_that_the_receiver_would_reject_is_never_sealed():
    with pytest.raises(ValueError, match="at most 80"):
        SEALER.seal(dataclasses.replace(made_read(), model_version="m" * 81))


def test_health_is_sealed_like_a_read_and_is_none():
    with pytest.raises(ValueError, match="no health message"):
        SEALER.seal(made_read(), message_class=MessageClass.HEALTH)
    health = made_health()
    made = SEALER.seal_health(health, read_id=sealing.uuid7(health.made_utc_ms, bytes(10)), sequence=9)
    sealed = sealing.from_wire(sealing.to_wire(made))
    sealing.verify(sealed, DEVICE_KEY.public_key())
    assert (sealed.message_class, sealed.sequence) == (MessageClass.HEALTH, 9)
    assert open_health(sealed, RING) == health
    with pytest.raises(DocumentRejected, match="payload"):
        open_read(sealed, RING)
    with pytest.raises(DocumentRejected, match="payload"):
        open_health(SEALER.seal(made_read()), RING)


def test_a_heartbeat_is_a_kibibyte_at_most_whatever_it_says():
    words = [FaultWord(code=code.value, since_s=2**40, count=2**40, hint="h" * 200) for code in FaultCode]
    health = made_health(faults=tuple(words), causes={f"{number:032d}": 2**40 for number in range(64)})
    sealed = SEALER.seal_health(health, read_id=uuid.UUID(int=1), sequence=2**61)
    assert len(sealing.to_wire(sealed)) <= 1024


def test_health_whose_moment_is_not_the_header_s_is_rejected():
    sealed = SEALER.seal_health(made_health(), read_id=uuid.UUID(int=1), sequence=9)
    moved = sealed_around(sealed, health_report.payload(made_health(made_utc_ms=START_UTC_MS + 1)), AGENCY_KEY)
    with pytest.raises(DocumentRejected, match="moment") as rejected:
        open_health(moved, RING)
    assert rejected.value.cause is RejectionCause.BAD_PAYLOAD


def test_a_unit_seals_only_its_own_reads():
    with pytest.raises(ValueError, match="its own"):
        SEALER.seal(made_read(device_id="k-other001"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (3, "lower"),
        (3, 7),
        (5, 256),
        (5, 0.5),
        (2, 1),
        (10, ["x", 91.0, 0.0, 0.0]),
        (10, ["x", 1.0]),
        (14, 1),
        (14, None),
        (15, "up"),
        (15, True),
        (13, b"\xff\xd8"),
        (13, [3, b"x"]),
        (13, [True, b"x"]),
        (13, [1, b""]),
        (13, [1, b"x", 0]),
        (13, [1, bytes(sealing.MAX_PICTURE_BYTES + 1)]),
        (16, 0),
        (4, ""),
        (1, START_UTC_MS + 1),
    ],
)
def test_a_stolen_device_that_signs_nonsense_is_rejected(key, value):
    fields = cbor2.loads(sealing.payload(made_read()))
    fields[key] = value
    with pytest.raises(DocumentRejected, match="payload") as rejected:
        open_read(sealed_around(SEALER.seal(made_read()), cbor2.dumps(fields, canonical=True), AGENCY_KEY), RING)
    assert rejected.value.cause is RejectionCause.BAD_PAYLOAD


def test_a_read_is_small_enough_for_the_data_plan():
    assert len(sealing.to_wire(SEALER.seal(made_read(picture=b"")))) < 400


@given(utc_ms, st.binary(min_size=10, max_size=10))
def test_uuid7_holds_the_time_and_says_its_version(at_utc_ms, random10):
    made = sealing.uuid7(at_utc_ms, random10)
    assert made.int >> 80 == at_utc_ms
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_uuid7_of_rfc_9562():
    # appendix A.6: 2022-02-22T19:22:22Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    made = sealing.uuid7(0x017F22E279B0, bytes.fromhex("0cc3") + bytes.fromhex("18c4dc0c0c07398f"))
    assert str(made) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(("at_utc_ms", "count"), [(-1, 10), (2**48, 10), (0, 9)])
def test_uuid7_refuses_what_does_not_fit(at_utc_ms, count):
    with pytest.raises(ValueError, match="UUIDv7"):
        sealing.uuid7(at_utc_ms, bytes(count))

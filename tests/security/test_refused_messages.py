"""What the receiver refuses, each with a cause of its own, and what it must not refuse: 30 days of honest backlog."""

import dataclasses

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import START_UTC_MS, made_read, made_sealer, registry_entry

from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiver import summary
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import DAY_MS, REORDER_WINDOW_MS, STALE_AFTER_MS, Outcome, ReadStore
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import RejectionCause
from firmware.receipts import verify_receipt
from firmware.topics import read_topic

DEVICE, OTHER = "k-test0001", "k-other001"
DEVICE_KEY, OTHER_KEY, RECEIPT_KEY = (Ed25519PrivateKey.generate() for _ in range(3))
AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
HOUR_MS = 3_600_000


@pytest.fixture
def registry_path(tmp_path):
    folder = tmp_path / "registry"
    folder.mkdir()
    for device_id, key in ((DEVICE, DEVICE_KEY), (OTHER, OTHER_KEY)):
        (folder / f"{device_id}.json").write_bytes(registry_entry(device_id, key))
    return folder


@pytest.fixture
def receiver(registry_path, tmp_path):
    with ReadStore(tmp_path / "reads.db") as store:
        yield Bench(registry_path, store)


class Bench:
    """A receiver without a broker, whose clock the test sets."""

    def __init__(self, registry_path, store):
        self.store = store
        self.receiving = Receiving(Registry(registry_path), store, OpeningKeys([AGENCY_KEY]), RECEIPT_KEY)

    def take(self, wire, at_utc_ms=START_UTC_MS, *, device_id=DEVICE):
        taken = self.receiving.take(read_topic(device_id), wire, at_utc_ms)
        return taken.outcome if taken else None

    def refused(self, wire, at_utc_ms=START_UTC_MS, *, device_id=DEVICE):
        """Take a message that must be refused; return the cause, after looking that nobody gets a receipt for it."""
        before = dict(self.receiving.rejected)
        self.receiving.all_receipts(0.0, at_utc_ms)
        assert self.take(wire, at_utc_ms, device_id=device_id) is None
        assert self.receiving.all_receipts(0.0, at_utc_ms) == {}
        (cause,) = [one for one, count in self.receiving.rejected.items() if count != before.get(one, 0)]
        return cause

    def receipt_ranges(self, device_id=DEVICE):
        data = self.receiving.all_receipts(0.0, START_UTC_MS)[device_id]
        return verify_receipt(data, RECEIPT_KEY.public_key(), device_id).ranges


def wire_of(sequence=1, *, device_id=DEVICE, device_key=DEVICE_KEY, agency_key=AGENCY_KEY, clock_trusted=True, **read):
    made = made_read(sequence, device_id=device_id, **{"picture": b""} | read)
    made = dataclasses.replace(made, passage=dataclasses.replace(made.passage, clock_trusted=clock_trusted))
    return sealing.to_wire(made_sealer(device_key, agency_key, device_id=device_id).seal(made))


def with_part(position, value):
    parts = cbor2.loads(wire_of())
    parts[position] = value
    return cbor2.dumps(parts, canonical=True)


def of_schema(version):
    header = cbor2.loads(cbor2.loads(wire_of())[0])
    return with_part(0, cbor2.dumps(header | {0: version, 17: "new"}, canonical=True))


def signed_again(**changes):
    """What a thief of the unit's key can send: a read altered and signed again."""
    sealed = dataclasses.replace(sealing.from_wire(wire_of()), **changes)
    return sealing.to_wire(dataclasses.replace(sealed, signature=DEVICE_KEY.sign(sealing.signed_bytes(sealed))))


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: b"junk", RejectionCause.MALFORMED),
        (lambda: with_part(2, b"short"), RejectionCause.MALFORMED),
        (lambda: with_part(3, bytes(63)), RejectionCause.MALFORMED),
        (lambda: of_schema(3), RejectionCause.OTHER_SCHEMA),
        (lambda: of_schema(9), RejectionCause.OTHER_SCHEMA),
        (lambda: with_part(3, b""), RejectionCause.UNSIGNED),
        (lambda: with_part(3, bytes(64)), RejectionCause.WRONG_SIGNATURE),
        (lambda: wire_of(device_key=OTHER_KEY), RejectionCause.WRONG_SIGNATURE),
        (lambda: wire_of(device_id=OTHER, device_key=OTHER_KEY), RejectionCause.OTHER_DEVICE),
        (lambda: wire_of(agency_key=OpeningKey.generate(SuiteNumber.X25519)), RejectionCause.OTHER_AGENCY),
        (lambda: signed_again(sequence=2), RejectionCause.CANNOT_OPEN),
        (lambda: signed_again(ciphertext=bytes(400)), RejectionCause.CANNOT_OPEN),
        (lambda: wire_of(at_utc_ms=253_370_764_800_001), RejectionCause.BAD_PAYLOAD),
        (lambda: wire_of(at_utc_ms=START_UTC_MS - STALE_AFTER_MS - 1), RejectionCause.STALE),
    ],
)
def test_each_wrong_message_is_counted_under_its_own_cause_and_confirmed_by_nobody(receiver, make, cause):
    assert receiver.refused(make()) is cause
    assert receiver.receiving.rejected == {cause: 1}
    assert receiver.store.counters() == {cause.value: 1}
    assert receiver.store.count() == 0
    assert f"rejected 1: {cause.value}" in summary(receiver.receiving, "reads.db")


def test_a_unit_out_of_the_registry_and_an_entry_that_is_spoilt_have_causes_too(receiver, registry_path):
    wire = wire_of(device_id=OTHER, device_key=OTHER_KEY)
    (registry_path / f"{OTHER}.json").write_bytes(b"{")
    assert receiver.refused(wire, device_id=OTHER) is RejectionCause.UNUSABLE_ENTRY
    (registry_path / f"{OTHER}.json").unlink()
    assert receiver.refused(wire, device_id=OTHER) is RejectionCause.UNKNOWN_DEVICE


def test_the_names_of_the_causes_are_stable():
    """Whoever counts them elsewhere relies on these: a name may be added, none may change."""
    assert {cause.value for cause in RejectionCause} >= {
        "malformed", "other-schema", "other-device", "unknown-device", "unusable-entry", "unsigned", "wrong-signature",
        "other-agency", "cannot-open", "bad-payload", "read-id-reused", "stale", "reordered",
    }  # fmt: skip


@pytest.mark.parametrize("late_ms", [0, DAY_MS, 29 * DAY_MS, STALE_AFTER_MS])
def test_a_replay_is_a_duplicate_however_late_counted_confirmed_and_stored_once(receiver, late_ms):
    wire = wire_of(5)
    assert receiver.take(wire) is Outcome.STORED
    receiver.receipt_ranges()
    assert [receiver.take(wire, START_UTC_MS + late_ms) for _ in range(3)] == [Outcome.DUPLICATE] * 3
    assert receiver.receipt_ranges() == ((5, 5),)
    assert (receiver.store.count(), receiver.store.counters()) == (1, {"duplicate": 3})


def test_a_replay_is_known_when_retention_has_deleted_the_read_and_stale_when_even_that_is_forgotten(receiver):
    wire = wire_of(5)
    receiver.take(wire)
    with receiver.store._connection:
        receiver.store._connection.execute("DELETE FROM reads")
    much_later = START_UTC_MS + STALE_AFTER_MS + 1
    assert receiver.take(wire, much_later - 1) is Outcome.DUPLICATE
    assert receiver.take(wire_of(6, at_utc_ms=much_later), much_later) is Outcome.STORED  # forgets what is too old
    assert receiver.refused(wire, much_later) is RejectionCause.STALE
    assert receiver.store.count() == 1


def test_what_is_seen_is_forgotten_when_it_would_be_stale_and_never_without_an_age(receiver):
    receiver.take(wire_of(1))
    receiver.take(wire_of(2, clock_trusted=False, at_utc_ms=HOUR_MS))
    later = START_UTC_MS + STALE_AFTER_MS + 1
    receiver.take(wire_of(3, at_utc_ms=later), later)
    rows = receiver.store._connection.execute("SELECT sequence FROM seen ORDER BY sequence").fetchall()
    assert rows == [(2,), (3,)]


@pytest.mark.parametrize("away_ms", [72 * HOUR_MS, 30 * DAY_MS])
def test_an_honest_backlog_of_days_loses_nothing_in_whatever_order_it_comes(receiver, away_ms):
    """The newest comes first (an alert), then the oldest on; a receiver that was away as long as the unit was."""
    taken_utc_ms = [START_UTC_MS + position * away_ms // 20 for position in range(21)]
    wires = [wire_of(100 + position, at_utc_ms=at_utc_ms) for position, at_utc_ms in enumerate(taken_utc_ms)]
    arrival_ms = taken_utc_ms[-1] + HOUR_MS
    assert {receiver.take(wire, arrival_ms) for wire in [wires[-1], *wires[:-1]]} == {Outcome.STORED}
    assert receiver.receipt_ranges() == ((100, 120),)


def test_a_unit_silent_for_30_days_and_30_days_in_the_broker_s_queue_is_not_too_late(receiver):
    arrival_ms = START_UTC_MS + 60 * DAY_MS
    assert receiver.take(wire_of(1), arrival_ms) is Outcome.STORED
    assert receiver.take(wire_of(2, at_utc_ms=START_UTC_MS + 30 * DAY_MS), arrival_ms) is Outcome.STORED


def test_a_read_that_was_held_back_beyond_the_window_is_refused(receiver):
    late, just_in_time = wire_of(1), wire_of(2, at_utc_ms=START_UTC_MS + 1)
    newest_ms = START_UTC_MS + 1 + REORDER_WINDOW_MS
    receiver.take(wire_of(9, at_utc_ms=newest_ms), newest_ms + HOUR_MS)
    assert receiver.take(just_in_time, newest_ms + HOUR_MS) is Outcome.STORED
    assert receiver.refused(late, newest_ms + HOUR_MS) is RejectionCause.REORDERED
    other = wire_of(1, device_id=OTHER, device_key=OTHER_KEY)
    assert receiver.take(other, newest_ms + HOUR_MS, device_id=OTHER) is Outcome.STORED  # each unit has its own window


def test_numbers_below_those_stored_are_no_reason_to_refuse(receiver):
    for sequence in (2**61, 2**40, 7, 0):  # new cards of the same unit
        assert receiver.take(wire_of(sequence)) is Outcome.STORED


def test_a_unit_whose_clock_was_never_set_is_never_too_late(receiver):
    receiver.take(wire_of(1))
    assert receiver.take(wire_of(2, at_utc_ms=HOUR_MS, clock_trusted=False)) is Outcome.STORED


def test_a_clock_set_to_next_year_does_not_make_the_later_reads_late(receiver):
    assert receiver.take(wire_of(1, at_utc_ms=START_UTC_MS + 365 * DAY_MS)) is Outcome.STORED
    assert receiver.take(wire_of(2)) is Outcome.STORED
    with_replay = wire_of(3, at_utc_ms=START_UTC_MS + 365 * DAY_MS)
    receiver.take(with_replay)
    later = START_UTC_MS + 2 * STALE_AFTER_MS
    receiver.take(wire_of(4, at_utc_ms=later), later)
    assert receiver.take(with_replay, later) is Outcome.DUPLICATE  # kept until it could be stale


def test_another_read_under_a_used_number_is_stored_and_an_alarm(receiver):
    receiver.take(wire_of(5))
    assert receiver.take(wire_of(5)) is Outcome.SEQUENCE_REUSED
    assert (receiver.store.count(), receiver.store.counters()) == (2, {"sequence-reused": 1})


def test_another_read_under_a_used_read_id_is_refused(receiver):
    first = made_read(5, picture=b"")
    sealer = made_sealer(DEVICE_KEY, AGENCY_KEY)
    receiver.take(sealing.to_wire(sealer.seal(first)))
    for second in (dataclasses.replace(first, sequence=6), dataclasses.replace(first, model_version="other")):
        assert receiver.refused(sealing.to_wire(sealer.seal(second))) is RejectionCause.READ_ID_REUSED
    assert receiver.store.count() == 1


def test_no_unit_can_use_up_another_s_read_ids(receiver):
    """A stolen unit that knows a read id of another one must not make the receiver take the honest read for a copy."""
    honest = made_read(5, picture=b"")
    stolen = dataclasses.replace(honest, device_id=OTHER, sequence=1)
    forged = sealing.to_wire(made_sealer(OTHER_KEY, AGENCY_KEY, device_id=OTHER).seal(stolen))
    assert receiver.take(forged, device_id=OTHER) is Outcome.STORED
    assert receiver.take(sealing.to_wire(made_sealer(DEVICE_KEY, AGENCY_KEY).seal(honest))) is Outcome.STORED
    assert receiver.store.count() == 2


def test_what_was_refused_leaves_no_trace_and_the_honest_message_is_taken_after_it(receiver):
    wire = wire_of(5)
    parts = cbor2.loads(wire)
    parts[3] = bytes(64)
    assert receiver.refused(cbor2.dumps(parts, canonical=True)) is RejectionCause.WRONG_SIGNATURE
    assert receiver.take(wire) is Outcome.STORED
    assert "1 stored, 0 duplicates, 1 rejected" in summary(receiver.receiving, "reads.db")

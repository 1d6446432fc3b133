"""Gaps: what a unit is asked to send again, how often, and that it answers; over a real store and a real outbox."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kept_messages import put, tokens_to_send
from made_reads import START_UTC_MS, made_read, made_sealer, registry_entry

from cloud.confirmed import GAP_AT_MOST
from cloud.gaps import ASK_AFTER_S, GIVE_UP_AFTER_S, ROLL_CALL_AFTER_S
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import REORDER_WINDOW_MS, ReadStore
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.outbox import SEQUENCE_LEAP_BITS
from firmware.receipts import MAX_ASKED_RANGES, verify_receipt
from firmware.records import Receipt
from firmware.topics import read_topic
from firmware.wire import MAX_SEQUENCE

DEVICE = "k-test0001"
DEVICE_KEY, RECEIPT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OPENING_KEY = OpeningKey.generate(SuiteNumber.X25519)
SEALER = made_sealer(DEVICE_KEY, OPENING_KEY)
FIRST_S, SECOND_S, THIRD_S = ASK_AFTER_S


class Desk:
    """A receiver that is told when it is, and what it has asked since it was last looked at."""

    def __init__(self, folder):
        (folder / "registry").mkdir(exist_ok=True)
        (folder / "registry" / f"{DEVICE}.json").write_bytes(registry_entry(DEVICE, DEVICE_KEY))
        self.store = ReadStore(folder / "reads.db")
        self.receiving = Receiving(Registry(folder / "registry"), self.store, OpeningKeys([OPENING_KEY]), RECEIPT_KEY)

    def take(self, *sequences):
        for sequence in sequences:
            wire = sealing.to_wire(SEALER.seal(made_read(sequence, jpeg=b"")))
            assert self.receiving.take(read_topic(DEVICE), wire, START_UTC_MS + 400) is not None

    def receipts_at(self, now_s):
        """All receipts that are issued from now to the end of this second, as the unit verifies them."""
        sent = [
            self.receiving.due_receipts(now_s + part_s, START_UTC_MS + round(1000 * now_s), 100) for part_s in (0, 1)
        ]
        return [verify_receipt(receipt[DEVICE], RECEIPT_KEY.public_key(), DEVICE) for receipt in sent if receipt]

    def asked_at(self, now_s):
        return [gap for receipt in self.receipts_at(now_s) for gap in receipt.asked_again]


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.store.close()


def test_a_gap_is_asked_for_three_times_then_given_up_and_counted(desk):
    desk.take(1, 2, 3, 7, 8)
    assert desk.asked_at(0.0) == []
    assert desk.asked_at(FIRST_S - 3) == []
    asked_s = [FIRST_S, FIRST_S + SECOND_S, FIRST_S + SECOND_S + THIRD_S]
    for at_s in asked_s:
        assert desk.asked_at(at_s - 3) == []
        assert desk.asked_at(at_s + 1) == [(4, 6)]
    assert desk.store.counters() == {}
    desk.asked_at(asked_s[-1] + GIVE_UP_AFTER_S + 2)
    assert desk.store.counters() == {"missing": 3}
    desk.take(9)
    assert [desk.asked_at(asked_s[-1] + GIVE_UP_AFTER_S + later_s) for later_s in (10, 10 + FIRST_S)] == [[], []]
    assert (desk.receiving.gaps.questions, desk.receiving.gaps.given_up) == (3, 3)


def test_a_receiver_that_starts_again_does_not_ask_anew_for_what_was_given_up(desk, tmp_path):
    desk.take(1, 5)
    for at_s in (0.0, 100.0, 1000.0, 10_000.0, 100_000.0):
        desk.asked_at(at_s)
    assert desk.store.counters() == {"missing": 3}
    desk.store.close()
    again = Desk(tmp_path)
    again.take(6, 8)
    assert [again.asked_at(at_s) for at_s in (0.0, FIRST_S + 1)] == [[], [(7, 7)]]
    again.store.close()


def test_a_gap_that_fills_or_shrinks_is_left_in_peace(desk):
    desk.take(1, 10, 20, 30)
    assert desk.asked_at(0.0) == []
    desk.take(*range(11, 20), 2, 3, 21)
    assert desk.asked_at(FIRST_S + 1) == []  # 11 to 19 came, 4 to 9 and 22 to 29 are on their way
    assert desk.asked_at(2 * FIRST_S + 3) == [(4, 9), (22, 29)]


def test_a_start_of_the_unit_is_no_gap(desk):
    desk.take(1, GAP_AT_MOST + 2, 2 * GAP_AT_MOST + 4)
    desk.asked_at(0.0)
    assert desk.asked_at(FIRST_S + 1) == [(2, GAP_AT_MOST + 1)]
    assert GAP_AT_MOST / 2**SEQUENCE_LEAP_BITS < 1e-8


def test_no_more_is_asked_at_a_time_than_a_receipt_holds(desk):
    desk.take(*range(0, 100, 2))
    desk.asked_at(0.0)
    assert len(desk.asked_at(FIRST_S + 1)) == MAX_ASKED_RANGES


def test_a_unit_that_is_silent_after_the_receiver_s_start_is_asked_once_for_all_that_is_new(desk, tmp_path):
    desk.take(1, 2, 2**50)
    desk.store.close()
    again = Desk(tmp_path)
    assert again.receipts_at(0.0) == again.receipts_at(ROLL_CALL_AFTER_S - 2) == []
    (receipt,) = again.receipts_at(ROLL_CALL_AFTER_S + 1)
    assert receipt.asked_again == ((2**50 + 1, MAX_SEQUENCE),)
    assert receipt.ranges == ((1, 2), (2**50, 2**50))
    assert again.receipts_at(10 * ROLL_CALL_AFTER_S) == []
    again.store.close()


def test_a_unit_that_was_heard_or_ended_long_ago_is_not_called(desk, tmp_path):
    desk.take(1, 2)
    desk.receipts_at(0.0)
    assert desk.receipts_at(ROLL_CALL_AFTER_S + 1) == []
    desk.store.close()
    again = Desk(tmp_path)
    later_utc_ms = START_UTC_MS + REORDER_WINDOW_MS + 1
    assert [again.receiving.due_receipts(at_s, later_utc_ms, 9) for at_s in (0.0, ROLL_CALL_AFTER_S + 1)] == [{}, {}]
    again.store.close()


def asking(*ranges, issued_utc_ms=START_UTC_MS):
    return Receipt(device_id=DEVICE, ranges=(), issued_utc_ms=issued_utc_ms, asked_again=ranges)


def test_the_unit_sends_at_once_what_it_has_and_no_more_than_that(open_outbox):
    outbox = open_outbox()
    tokens = put(outbox, 6)
    for token in tokens[:4]:
        outbox.mark_sent(token)
    for token in tokens[:3]:
        outbox.acked(token, 10.0)
    assert tokens_to_send(outbox, 11.0) == tokens[4:]
    assert outbox.confirm(asking((tokens[1], tokens[5] + 1000))) == 0
    assert tokens_to_send(outbox, 11.0) == [*tokens[1:3], *tokens[4:]]  # the fourth is on its way to the broker
    assert outbox.next_due_s() <= 11.0
    for token in tokens[1:3]:
        outbox.mark_sent(token)
        outbox.acked(token, 12.0)
    assert tokens_to_send(outbox, 13.0) == tokens[4:]
    assert outbox.count() == 6


def test_a_question_that_is_played_again_costs_nothing(open_outbox):
    outbox = open_outbox()
    (token,) = put(outbox)
    for issued_utc_ms, is_heard in [(5, True), (5, False), (4, False), (6, True)]:
        outbox.mark_sent(token)
        outbox.acked(token, 10.0)
        outbox.confirm(asking((token, token), issued_utc_ms=issued_utc_ms))
        assert tokens_to_send(outbox, 11.0) == [token] * is_heard

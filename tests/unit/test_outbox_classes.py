"""Alerts before reads before health messages before pictures: on the link, in a full outbox, in how long they stay."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_messages import put, receipt, sealed, tokens_to_send
from made_reads import START_UTC_MS, KernelRandom, SetClock

from firmware import sealing
from firmware.ages import HEALTH_RETENTION_S, JUMP_MS
from firmware.faults import DeviceFault, FaultCode
from firmware.outbox import HEALTH_SHARE, UNRECEIPTED_MAX, Outbox
from firmware.records import MessageClass

PICTURE, HEALTH, READ, ALERT, PAPER = MessageClass
DAY_MS = 86_400_000
SIZE_BYTES = len(sealing.to_wire(sealed(2**40)))


def send(outbox, tokens):
    for token in tokens:
        outbox.mark_sent(token)
        outbox.acked(token, 0.0)


def test_papers_go_first_and_in_order(open_outbox):
    outbox = open_outbox()
    alerts, papers = put(outbox, 2, ALERT)[::-1], put(outbox, 3, PAPER)
    assert tokens_to_send(outbox) == papers + alerts
    send(outbox, papers[1:2])
    assert tokens_to_send(outbox) == [papers[0], papers[2], *alerts]
    assert [outbox.holds(number) for number in (*papers, papers[-1] + 1)] == [True, True, True, False]
    outbox.confirm(receipt((papers[0], papers[1])))
    assert [outbox.holds(number) for number in papers] == [False, False, True]


def test_alerts_go_first_and_newest_first_then_reads_then_health_in_order(open_outbox):
    outbox = open_outbox()
    health, reads, alerts = put(outbox, 2, HEALTH), put(outbox, 3), put(outbox, 2, ALERT)[::-1]
    assert tokens_to_send(outbox) == alerts + reads + health
    assert tokens_to_send(outbox, limit=3) == [*alerts, reads[0]]
    assert tokens_to_send(outbox, limit=1) == alerts[:1]
    send(outbox, [reads[1], health[0]])
    assert tokens_to_send(outbox, 1e9) == alerts + reads + health  # what goes again keeps its place


def test_pictures_of_vehicles_go_last_give_way_first_and_wait_with_the_reads(open_outbox):
    outbox = open_outbox(capacity_bytes=4 * SIZE_BYTES + 50)
    pictures, health, reads = put(outbox, 2, PICTURE), put(outbox, 0, HEALTH), put(outbox, 2)
    assert tokens_to_send(outbox) == [*reads, *pictures]
    assert outbox.count_of(PICTURE) == 2
    send(outbox, pictures[:1])
    outbox.ration_reads(0)
    assert (tokens_to_send(outbox, 1e9), outbox.next_due_s()) == (health, float("inf"))
    outbox.ration_reads(10**6)
    assert outbox.next_due_s() < float("inf")
    newer = put(outbox)
    assert tokens_to_send(outbox, 1e9) == [*reads, *newer, pictures[1]]
    assert outbox.dropped == {PICTURE: 1}
    put(outbox, 3)
    assert outbox.put(sealed(outbox.reserve_sequence(), PICTURE)) is False
    assert outbox.dropped == {PICTURE: 3, READ: 2}


def test_a_dead_receiver_holds_back_all_but_alerts(open_outbox):
    outbox = open_outbox()
    reads = put(outbox, UNRECEIPTED_MAX + 5)
    send(outbox, reads[:UNRECEIPTED_MAX])
    assert tokens_to_send(outbox) == []
    health, alerts = put(outbox, 1, HEALTH), put(outbox, 1, ALERT)
    assert tokens_to_send(outbox) == alerts
    outbox.confirm(receipt((reads[0], reads[0])))
    assert tokens_to_send(outbox) == [*alerts, *reads[UNRECEIPTED_MAX:], *health]


def test_health_messages_without_a_receipt_hold_back_no_read(open_outbox):
    outbox = open_outbox(capacity_bytes=100_000_000)
    health = put(outbox, UNRECEIPTED_MAX + 1, HEALTH)
    send(outbox, health[:UNRECEIPTED_MAX])
    assert tokens_to_send(outbox) == []
    reads = put(outbox, 2)
    assert tokens_to_send(outbox) == reads


def test_the_quota_drops_the_oldest_of_the_lowest_class_and_counts_it(open_outbox):
    outbox = open_outbox(capacity_bytes=4 * SIZE_BYTES + 50)
    reads = put(outbox, 2)
    alerts = put(outbox, 2, ALERT)
    newer = put(outbox)
    assert tokens_to_send(outbox) == [*alerts[::-1], reads[1], *newer]
    assert outbox.dropped == {READ: 1}
    more_alerts = put(outbox, 2, ALERT)
    assert tokens_to_send(outbox) == [*more_alerts[::-1], *alerts[::-1]]
    put(outbox)
    assert tokens_to_send(outbox) == [*more_alerts[::-1], *alerts[::-1]]  # the newcomer itself is of the lowest class
    latest = put(outbox, 1, ALERT)
    assert tokens_to_send(outbox) == [*latest, *more_alerts[::-1], alerts[1]]
    assert outbox.dropped == {READ: 4, ALERT: 1}


def test_health_gives_way_to_reads_and_never_the_other_way_round(open_outbox):
    capacity_bytes = int(3.5 * SIZE_BYTES / HEALTH_SHARE)
    outbox = open_outbox(capacity_bytes=capacity_bytes)
    health = put(outbox, 5, HEALTH)
    assert tokens_to_send(outbox) == health[2:]  # its share is full, the outbox is not
    assert outbox.dropped == {HEALTH: 2}
    room = (capacity_bytes - 3 * SIZE_BYTES) // SIZE_BYTES
    reads = put(outbox, room + 1)
    assert tokens_to_send(outbox) == [*reads, *health[3:]]  # a read takes the place of the oldest health message
    put(outbox, 2)
    assert outbox.dropped == {HEALTH: 5}
    assert outbox.put(sealed(outbox.reserve_sequence(), HEALTH)) is False
    assert outbox.dropped == {HEALTH: 6}


def test_the_quota_is_known_again_after_a_restart(open_outbox):
    put(open_outbox(), 3)
    again = open_outbox(capacity_bytes=3 * SIZE_BYTES + 50)
    put(again)
    assert (again.count(), again.dropped) == (3, {READ: 1})


def test_a_read_above_the_whole_quota_is_dropped_and_the_others_stay(open_outbox):
    outbox = open_outbox(capacity_bytes=2000)
    put(outbox, 2)
    outbox.put(sealed(outbox.reserve_sequence(), picture=bytes(3000)))
    assert (outbox.count(), outbox.dropped) == (2, {READ: 1})


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(MessageClass), st.integers(0, 3)), max_size=40), st.integers(4, 12))
def test_whatever_comes_the_books_are_right_and_no_class_displaces_a_higher_one(tmp_path_factory, steps, room):
    path = tmp_path_factory.mktemp("outbox") / "outbox.db"
    capacity_bytes = room * 1000
    outbox = Outbox(path, capacity_bytes=capacity_bytes, retention_s=1e6, clock=SetClock(), system=KernelRandom())
    for message_class, crop in steps:
        before = held(outbox)
        outbox.put(sealed(outbox.reserve_sequence(), message_class, picture=bytes(300 * crop)))
        lost = [other for number, other in before.items() if number not in held(outbox)]
        assert all(other <= message_class for other in lost)
        sizes = outbox._connection.execute("SELECT class, LENGTH(wire) FROM messages").fetchall()
        for one in MessageClass:
            assert outbox._bytes[one] == sum(size for number, size in sizes if number == one)
        assert outbox._bytes[HEALTH] <= capacity_bytes * HEALTH_SHARE
        assert sum(outbox._bytes.values()) <= capacity_bytes
    assert outbox.dropped.total() == len(steps) - outbox.count()
    outbox.close()


def held(outbox):
    return {waiting.token: waiting.message_class for waiting in outbox.next_unsent(1000, 0.0)}


def test_old_messages_expire_by_the_trusted_clock_only(open_outbox, wall_clock):
    outbox = open_outbox()
    wall_clock.trusted = False
    wall_clock.now_utc_ms = 0  # no battery behind the clock: the unit woke in 1970
    put(outbox)
    assert outbox.expire() == 0
    wall_clock.trusted, wall_clock.now_utc_ms = True, START_UTC_MS
    assert outbox.expire() == 0
    put(outbox)
    wall_clock.now_utc_ms = START_UTC_MS + 30 * DAY_MS
    assert outbox.expire() == 0
    wall_clock.now_utc_ms += 1
    assert outbox.expire() == 2
    assert (outbox.count(), outbox.expired) == (0, {READ: 2})


def test_health_expires_sooner(open_outbox, wall_clock):
    outbox = open_outbox()
    put(outbox, 2, HEALTH)
    kept = put(outbox, 1, ALERT) + put(outbox)
    wall_clock.now_utc_ms = START_UTC_MS + int(HEALTH_RETENTION_S * 1000) + 1
    assert outbox.expire() == 2
    assert tokens_to_send(outbox) == kept
    assert outbox.expired == {HEALTH: 2}


@pytest.mark.parametrize("years", [-60, -1, 1, 60])
def test_a_wall_clock_that_jumps_makes_nothing_older_or_younger(open_outbox, wall_clock, years):
    outbox = open_outbox()
    old = put(outbox)
    wall_clock.now_utc_ms += 29 * DAY_MS
    new = put(outbox)
    wall_clock.jump(years * 365 * DAY_MS)
    assert outbox.expire() == 0
    assert [waiting.expiry_s for waiting in outbox.next_unsent(9, 0.0)] == [86_400, 30 * 86_400]
    wall_clock.now_utc_ms += DAY_MS + 1
    wall_clock.jump(-years * 365 * DAY_MS)  # it is put right, and at that very moment the first one is too old
    newest = put(outbox)
    assert outbox.expire() == 1
    assert tokens_to_send(outbox) == new + newest
    assert old != new


def test_a_clock_that_drifts_or_is_corrected_a_little_has_not_jumped(open_outbox, wall_clock):
    outbox = open_outbox()
    put(outbox)
    wall_clock.jump(JUMP_MS - 1)
    assert outbox.next_unsent(9, 0.0)[0].expiry_s == 30 * 86_400 - 3600


def test_what_is_left_of_the_retention_is_how_long_a_message_is_of_use(open_outbox, wall_clock):
    outbox = open_outbox()
    wall_clock.trusted = False
    put(outbox)
    assert outbox.next_unsent(9, 0.0)[0].expiry_s == 30 * 86_400  # of an age that nobody knows
    wall_clock.trusted = True
    outbox.expire()
    wall_clock.now_utc_ms += 10 * DAY_MS
    put(outbox, 1, HEALTH)
    assert [waiting.expiry_s for waiting in outbox.next_unsent(9, 0.0)] == [20 * 86_400, HEALTH_RETENTION_S]
    wall_clock.now_utc_ms += 30 * DAY_MS  # the hourly look has not come yet
    assert [waiting.expiry_s for waiting in outbox.next_unsent(9, 0.0)] == [1, 1]


def test_the_tables_of_another_version_are_refused_and_left_as_they_are(open_outbox, tmp_path):
    path = tmp_path / "older.db"
    older = sqlite3.connect(path)
    older.execute("CREATE TABLE reads (sequence INTEGER PRIMARY KEY, urgent INTEGER NOT NULL, wire BLOB NOT NULL)")
    older.close()
    before = path.read_bytes()
    with pytest.raises(DeviceFault, match="another version of this firmware; let that one deliver it") as refused:
        open_outbox(path=path)
    assert refused.value.code is FaultCode.STORAGE_REFUSED
    assert path.read_bytes() == before

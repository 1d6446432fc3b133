"""What the uplink makes of each cause: how long it waits, what it tells, what it puts aside, and what it counts."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played_link import CONNECTED, Bench

from firmware.faults import FaultCode
from firmware.link_causes import TREATMENTS, LinkCause
from firmware.outbox import RECEIPT_WAIT_S
from firmware.records import Acked, Connected, Lost, MessageClass, Refused
from firmware.uplink import ACK_LIMIT_S, CONNECT_LIMIT_S, GUESS_S, TOO_LARGE_AGAIN_S, UNREACHABLE_AFTER

YEAR_MS = 365 * 86_400_000


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


class Highest:
    """A generator whose bytes are all ones: each wait is as long as it can be."""

    def random_bytes(self, count):
        return b"\xff" * count


@pytest.mark.parametrize("cause", LinkCause)
def test_the_wait_for_the_next_session_is_that_of_the_cause(bench, cause):
    bench.stage._system = Highest()
    treatment, now_s, waits = TREATMENTS[cause], 0.0, []
    kind = Refused if treatment.is_refusal else Lost
    for _ in range(14):
        bench.step(now_s)
        event = kind(None, "a reason", cause) if kind is Refused else kind("a reason", cause)
        retry_s = bench.step(now_s, event)
        waits.append(bench.stage._connect_at_s - now_s)
        now_s = max(retry_s, bench.stage._connect_at_s)
    expected = [min(treatment.limit_s, treatment.base_s * 2.0**attempt) for attempt in range(14)]
    assert waits == pytest.approx(expected)
    assert bench.stage.causes == {cause: 14}


@pytest.mark.parametrize("cause", LinkCause)
def test_what_waiting_does_not_mend_is_told_at_once_and_the_rest_after_a_few(bench, cause):
    treatment, now_s = TREATMENTS[cause], 0.0
    event = Refused(None, "its hint", cause) if treatment.is_refusal else Lost("its hint", cause)
    for failures in range(1, UNREACHABLE_AFTER + 1):
        bench.step(now_s)
        bench.step(now_s, event)
        now_s = bench.stage._connect_at_s
        expected = [FaultCode.BROKER_REFUSED] if treatment.is_refusal else [FaultCode.BROKER_UNREACHABLE]
        assert bench.codes() == (expected if treatment.is_refusal or failures == UNREACHABLE_AFTER else [])


@pytest.mark.parametrize("cause", [cause for cause in LinkCause if not TREATMENTS[cause].is_of_one_message])
def test_a_refused_read_pauses_all_and_stays(bench, cause):
    bench.stage._system = Highest()
    first, second = bench.put(2)
    at_s = bench.connect(0.0, dataclasses.replace(CONNECTED, receive_maximum=1))
    assert bench.link.take_tokens() == [first]
    bench.step(at_s, Refused(first, "not now", cause))
    bench.step(at_s + TREATMENTS[cause].base_s * 0.99)
    assert bench.link.take_tokens() == []
    bench.step(at_s + TREATMENTS[cause].base_s)
    assert bench.link.take_tokens() == [first]
    bench.step(at_s + 100.0, Acked(first))
    assert bench.link.take_tokens() == [second]


@pytest.mark.parametrize("cause", [LinkCause.TOO_LARGE, LinkCause.UNFIT])
def test_a_read_that_is_at_fault_itself_is_put_aside_and_the_others_go_on(bench, cause):
    first, second = bench.put(2)
    at_s = bench.connect(0.0, dataclasses.replace(CONNECTED, receive_maximum=1))
    bench.link.take_tokens()
    bench.step(at_s, Refused(first, "too large", cause))
    assert bench.link.take_tokens() == [second]
    bench.deliver(at_s + 1.0, second)
    bench.step(at_s + TOO_LARGE_AGAIN_S - 1.0)
    assert first not in bench.link.take_tokens()
    bench.step(at_s + TOO_LARGE_AGAIN_S)
    assert first in bench.link.take_tokens()
    assert bench.stage.causes == {cause: 1}


def test_a_session_that_ends_over_a_large_packet_teaches_the_limit_and_the_others_go_on(bench):
    small, (large,), later = bench.put(2), bench.put(picture=bytes(20_000)), bench.put(2)
    at_s = bench.connect(0.0)
    assert bench.link.take_tokens() == [*small, large, *later]
    bench.step(at_s, Refused(None, "too large", LinkCause.TOO_LARGE))
    at_s = bench.connect(at_s)
    assert bench.link.take_tokens() == [*small, *later]
    assert bench.stage.causes == {LinkCause.TOO_LARGE: 2}  # the broker's word, and each time it is put aside
    bench.deliver(at_s + 1.0, *small, *later)
    bench.step(at_s + TOO_LARGE_AGAIN_S + 1.0)
    assert large not in bench.link.take_tokens()
    bench.step(at_s + GUESS_S)
    assert large in bench.link.take_tokens()  # the broker's limit may have been raised since


def test_a_limit_is_learnt_from_nothing_if_nothing_was_on_its_way(bench):
    at_s = bench.connect(0.0)
    bench.step(at_s, Refused(None, "too large", LinkCause.TOO_LARGE))
    tokens = bench.put(2)
    bench.connect(at_s)
    assert bench.link.take_tokens() == tokens


def test_a_refused_status_is_told_and_holds_up_no_read(bench):
    tokens = bench.put(2)
    at_s = bench.connect(0.0, dataclasses.replace(CONNECTED, receive_maximum=1))
    bench.step(at_s, Refused(-2, "check the access list", LinkCause.NOT_AUTHORISED))
    assert bench.codes() == [FaultCode.BROKER_REFUSED]
    bench.step(at_s, Acked(tokens[0]))
    assert bench.link.take_tokens() == tokens
    assert bench.stage.causes == {LinkCause.NOT_AUTHORISED: 1}


def test_silence_is_counted_whether_it_comes_before_or_after_the_session(bench):
    bench.step(0.0)
    bench.step(CONNECT_LIMIT_S)
    assert bench.stage.causes == {LinkCause.SILENT: 1}
    bench.put()
    at_s = bench.connect(CONNECT_LIMIT_S)
    bench.step(at_s + ACK_LIMIT_S)
    assert bench.stage.causes == {LinkCause.SILENT: 2}


@pytest.mark.parametrize(("away_s", "goes_again"), [(99.0, True), (101.0, False)])
def test_a_session_that_ran_out_as_agreed_is_no_sign_that_the_broker_lost_something(bench, away_s, goes_again):
    (token,) = bench.put()
    at_s = bench.connect(0.0, dataclasses.replace(CONNECTED, session_expiry_s=100.0))
    assert bench.link.take_tokens() == [token]
    bench.step(at_s, Acked(token))
    bench.step(at_s, Lost("gone"))
    bench.step(at_s + away_s)
    bench.step(at_s + away_s, dataclasses.replace(CONNECTED, session_present=False))
    assert bench.link.take_tokens() == ([token] if goes_again else [])
    bench.step(at_s + RECEIPT_WAIT_S)
    assert bench.link.take_tokens() == ([] if goes_again else [token])  # it waits for its receipt as ever


def test_alerts_go_newest_first_and_reads_oldest_first_also_after_an_outage(bench):
    reads, alerts = bench.put(3), bench.put(3, message_class=MessageClass.ALERT)
    at_s = bench.connect(0.0)
    assert bench.link.take_tokens() == alerts[::-1] + reads
    bench.step(at_s, Lost("gone"))
    newest = bench.put(message_class=MessageClass.ALERT)
    bench.connect(at_s)
    assert bench.link.take_tokens() == newest + alerts[::-1] + reads


def test_what_is_left_of_the_retention_goes_with_each_message(bench):
    bench.put()
    bench.clock.now_utc_ms += 20 * 86_400_000
    bench.put()
    bench.connect(0.0)
    assert [expiry_s for *_, expiry_s in bench.link.published] == [10 * 86_400, 30 * 86_400]


@pytest.mark.parametrize("years", [-30, 30])
def test_a_wall_clock_that_jumps_expires_nothing_and_nothing_spins(bench, years):
    tokens = bench.put(5)
    bench.connect(0.0, dataclasses.replace(CONNECTED, receive_maximum=1))
    steps, now_s = 0, 1.0
    while now_s < 4 * 3600.0:
        if steps % 3 == 0:
            bench.clock.jump((-1) ** steps * years * YEAR_MS)
        after_s = bench.stage.step(now_s)
        if bench.stage._connected is None and bench.link.connects > bench.link.told:
            bench.link.told = bench.link.connects
            bench.link.happens(dataclasses.replace(CONNECTED, receive_maximum=1))
        bench.clock.now_utc_ms += max(0, round((after_s - now_s) * 1000)) if math.isfinite(after_s) else 0
        now_s, steps = max(now_s, after_s), steps + 1
        assert steps < 2000  # a step a few seconds at most: the played broker never acknowledges anything
    assert bench.outbox.count() == len(tokens)
    assert bench.outbox.expired.total() == 0


EVENTS = st.one_of(
    st.just(Lost("gone")),
    st.sampled_from([Refused(None, "no", cause) for cause in LinkCause]),
    st.just(dataclasses.replace(CONNECTED, session_present=False)),
    st.just(CONNECTED),
    st.just("ack"),
    st.just("ack of nothing that was ever sent"),
    st.sampled_from(list(LinkCause)),
    st.just("wait"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.integers(1, 4))
def test_whatever_happens_no_more_than_the_broker_s_limit_is_unacknowledged(tmp_path_factory, events, limit):
    bench = Bench(tmp_path_factory.mktemp("uplink"), window=3)
    bench.put(8)
    bench.put(2, message_class=MessageClass.ALERT)
    now_s, on_their_way, ended = 0.0, [], 0
    bench.step(now_s)
    for what in events:
        now_s += 400.0
        match what:
            case "ack" if on_their_way:
                bench.step(now_s, Acked(on_their_way.pop(0)))
            case "ack of nothing that was ever sent":
                bench.step(now_s, Acked(10**9))
            case LinkCause() if on_their_way:
                bench.step(now_s, Refused(on_their_way.pop(0), "no", what))
            case Connected():
                bench.step(now_s, dataclasses.replace(what, receive_maximum=limit))
            case Lost() | Refused():
                bench.step(now_s, what)
            case _:
                bench.step(now_s)
        if bench.stage.causes.total() > ended and bench.stage._connected is None:
            on_their_way.clear()
        ended = bench.stage.causes.total()
        on_their_way += bench.link.take_tokens()
        assert len(set(on_their_way)) == len(on_their_way) or bench.stage._connected is None
        assert len(bench.stage._unacked) <= min(3, limit)
    assert bench.outbox.count() == 10
    bench.outbox.close()


def test_a_way_out_that_was_mended_cuts_the_back_off_short(bench):
    at_s = bench.connect(0.0)
    assert bench.step(at_s, Lost("gone")) > at_s
    bench.stage.wake.clear()
    assert bench.link.connects == 1
    bench.stage.connect_now()
    assert bench.stage.wake.is_set()
    bench.stage.step(at_s)
    assert bench.link.connects == 2

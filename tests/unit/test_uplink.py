"""The uplink: a pure reaction to a link that the test plays, over a real outbox."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from made_reads import START_UTC_MS, made_read
from played_link import CONNECTED, DEVICE, RECEIPT_KEY, SEALER, Bench

from firmware import uplink as uplink_module
from firmware.faults import FaultCode
from firmware.outbox import RECEIPT_WAIT_S
from firmware.receipts import sign_receipt
from firmware.records import Acked, Lost, MessageClass, Receipt, Received, Refused
from firmware.topics import command_topic, device_of_read_topic, read_topic, receipt_topic
from firmware.uplink import ACK_LIMIT_S, CONNECT_LIMIT_S, full_jitter_s


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


@pytest.fixture
def narrow_bench(tmp_path):
    made = Bench(tmp_path, window=3)
    yield made
    made.outbox.close()


def receipt_message(*ranges, key=RECEIPT_KEY, device_id=DEVICE):
    receipt = Receipt(device_id=device_id, ranges=ranges, issued_utc_ms=START_UTC_MS)
    return Received(receipt_topic(DEVICE), sign_receipt(receipt, key))


def test_a_command_goes_to_the_guard_as_it_came(bench):
    bench.step(0.0, CONNECTED, Received(command_topic(DEVICE), b"whatever"))
    assert bench.commands.take() == b"whatever"
    assert bench.stage.rejected_receipts == 0


def test_it_connects_at_once_and_sends_what_waits(bench):
    tokens = bench.put(2)
    assert bench.step(0.0) == CONNECT_LIMIT_S
    assert bench.link.connects == 1
    bench.step(1.0, CONNECTED)
    topics = {topic for topic, _, _, _ in bench.link.published}
    expiries = {expiry_s for _, _, _, expiry_s in bench.link.published}
    assert (topics, expiries) == ({f"kestrel/v1/{DEVICE}/read"}, {30 * 86_400})
    assert bench.link.take_tokens() == tokens


def test_with_nothing_to_do_it_sleeps_until_it_is_woken(bench):
    bench.step(0.0)
    next_s = bench.step(1.0, CONNECTED)
    assert next_s == uplink_module.EXPIRY_PERIOD_S  # the hourly look at old reads, and nothing else
    bench.stage.wake.clear()
    bench.put()
    assert bench.stage.wake.is_set()


def test_no_more_than_the_window_is_unacknowledged_and_alerts_go_first(narrow_bench):
    usual = narrow_bench.put(5)
    narrow_bench.step(0.0)
    narrow_bench.step(1.0, CONNECTED)
    assert narrow_bench.link.take_tokens() == usual[:3]
    alert = narrow_bench.put(message_class=MessageClass.ALERT)
    narrow_bench.step(2.0)
    assert narrow_bench.link.take_tokens() == []
    narrow_bench.step(3.0, Acked(usual[0]))
    assert narrow_bench.link.take_tokens() == alert
    narrow_bench.step(4.0, Acked(usual[1]), Acked(usual[2]))
    assert narrow_bench.link.take_tokens() == usual[3:]


def test_the_broker_s_receive_maximum_narrows_the_window(bench):
    tokens = bench.put(5)
    bench.step(0.0)
    bench.step(1.0, dataclasses.replace(CONNECTED, receive_maximum=2))
    assert bench.link.take_tokens() == tokens[:2]


def test_a_receipt_frees_the_disk_and_a_puback_does_not(bench):
    (token,) = bench.put()
    bench.step(0.0)
    bench.step(1.0, CONNECTED)
    bench.step(2.0, Acked(token))
    assert bench.outbox.count() == 1
    bench.step(3.0, receipt_message((token, token)))
    assert (bench.outbox.count(), bench.stage.confirmed) == (0, 1)


@pytest.mark.parametrize(
    "message",
    [
        Received(receipt_topic(DEVICE), b"junk"),
        receipt_message((0, 2**62 - 1), key=Ed25519PrivateKey.generate()),
        receipt_message((0, 2**62 - 1), device_id="k-other001"),
        Received(receipt_topic("k-other001"), receipt_message((0, 2**62 - 1)).payload),
    ],
)
def test_a_false_receipt_is_counted_and_frees_nothing(bench, message):
    bench.put()
    bench.step(0.0)
    bench.step(1.0, CONNECTED, message)
    assert (bench.stage.rejected_receipts, bench.outbox.count()) == (1, 1)


def test_after_a_loss_only_what_was_unacknowledged_goes_again_at_once(bench):
    acked, unacked = bench.put(2)
    bench.step(0.0)
    bench.step(1.0, CONNECTED)
    bench.link.take_tokens()
    retry_s = bench.step(2.0, Acked(acked), Lost("gone"))
    assert bench.link.connects == 1
    bench.step(retry_s)
    assert bench.link.connects == 2
    bench.step(retry_s + 1.0, CONNECTED)
    assert bench.link.take_tokens() == [unacked]
    bench.step(retry_s + 2.0, Acked(unacked))
    bench.step(2.0 + RECEIPT_WAIT_S)
    assert bench.link.take_tokens() == [acked]


def test_a_broker_without_the_session_gets_everything_again(bench):
    tokens = bench.put(2)
    bench.step(0.0)
    bench.step(1.0, CONNECTED)
    bench.link.take_tokens()
    retry_s = bench.step(2.0, Acked(tokens[0]), Acked(tokens[1]), Lost("gone"))
    bench.step(retry_s)
    bench.step(retry_s, dataclasses.replace(CONNECTED, session_present=False))
    assert bench.link.take_tokens() == tokens


def test_waiting_for_a_receipt_wakes_the_stage_by_itself(bench):
    (token,) = bench.put()
    bench.step(0.0)
    bench.step(1.0, CONNECTED)
    assert bench.step(2.0, Acked(token)) == 2.0 + RECEIPT_WAIT_S


def test_losses_in_a_row_back_off_and_become_a_fault_that_a_connection_clears(bench):
    now_s, limits = 0.0, []
    for attempt in range(14):
        bench.step(now_s)
        retry_s = bench.step(now_s, Lost("nothing listens"))
        limits.append(min(300.0, 2.0**attempt))
        assert now_s <= retry_s <= now_s + limits[-1]
        now_s = retry_s
    assert limits[-1] == 300.0
    assert bench.codes() == [FaultCode.BROKER_UNREACHABLE]
    bench.step(now_s)
    bench.step(now_s, CONNECTED)
    assert bench.codes() == []


def test_only_a_connection_that_held_resets_the_back_off(bench):
    for _ in range(20):
        bench.step(1e6, Lost("flaps"))
    assert bench.stage._failures == 20
    bench.step(1e6 + 300.0)
    bench.step(1e6 + 300.0, CONNECTED)
    bench.step(1e6 + 310.0, Lost("after ten seconds"))
    assert bench.stage._failures == 21
    bench.step(1e6 + 700.0)
    bench.step(1e6 + 700.0, CONNECTED)
    assert bench.step(1e6 + 720.0, Lost("after twenty")) <= 1e6 + 721.0


@given(st.binary(min_size=4, max_size=4), st.integers(0, 10_000), st.floats(0.1, 60.0))
def test_full_jitter_is_between_nothing_and_the_doubled_base(random4, attempt, base_s):
    wait_s = full_jitter_s(random4, attempt, base_s, 300.0)
    assert 0.0 <= wait_s < 300.0
    assert wait_s <= base_s * 2.0 ** min(attempt, 30)


def test_silence_after_connecting_and_after_sending_is_a_loss(bench):
    bench.put()
    bench.step(0.0)
    retry_s = bench.step(CONNECT_LIMIT_S)
    assert bench.link.disconnects == 1
    bench.step(retry_s)
    assert bench.step(retry_s, CONNECTED) == retry_s + ACK_LIMIT_S
    assert len(bench.link.take_tokens()) == 1
    again_s = bench.step(retry_s + ACK_LIMIT_S)
    assert bench.link.disconnects == 2
    bench.step(again_s)
    bench.step(again_s, CONNECTED)
    assert len(bench.link.take_tokens()) == 1


def test_a_refused_session_is_a_fault_with_the_link_s_own_hint(bench):
    bench.step(0.0)
    retry_s = bench.step(1.0, Refused(None, "check the certificate"))
    assert bench.codes() == [FaultCode.BROKER_REFUSED]
    assert bench.faults.reports()[0].hint == "check the certificate"
    assert 1.0 <= retry_s <= 31.0


def test_a_refused_read_stays_and_everything_pauses(bench):
    first, second = bench.put(2)
    bench.step(0.0)
    bench.step(1.0, dataclasses.replace(CONNECTED, receive_maximum=1))
    resume_s = bench.step(2.0, Refused(first, "not authorised"))
    assert bench.link.take_tokens() == [first]
    assert bench.codes() == [FaultCode.BROKER_REFUSED]
    assert 2.0 <= resume_s <= 32.0
    bench.step(resume_s)
    assert bench.link.take_tokens() == [first]
    bench.step(resume_s + 1.0, Acked(first))
    assert bench.link.take_tokens() == [second]
    assert bench.codes() == []


def test_a_read_above_the_broker_s_limit_waits_and_does_not_block_the_others(bench):
    big = bench.outbox.reserve_sequence()
    bench.outbox.put(SEALER.seal(made_read(big, picture=bytes(20_000))))
    (small,) = bench.put()
    bench.step(0.0)
    bench.step(1.0, dataclasses.replace(CONNECTED, maximum_packet_bytes=10_000, receive_maximum=1))
    assert bench.link.take_tokens() == [small]
    assert bench.codes() == [FaultCode.BROKER_REFUSED]
    assert "10000 bytes" in bench.faults.reports()[0].hint


def test_a_link_that_goes_away_while_sending_is_a_loss(bench):
    (token,) = bench.put()
    bench.step(0.0)
    bench.link.is_online = False
    retry_s = bench.step(1.0, CONNECTED)
    assert 1.0 <= retry_s <= 2.0
    bench.link.is_online = True
    bench.step(retry_s)
    bench.step(retry_s, CONNECTED)
    assert bench.link.take_tokens() == [token]


def test_a_disk_that_fails_is_a_fault_and_the_session_goes_on(bench):
    bench.put()
    bench.step(0.0)
    bench.outbox._connection.execute("ALTER TABLE messages RENAME TO moved")  # "no such table" is a disk's error
    assert bench.step(1.0, CONNECTED) == 1.0 + uplink_module.STORAGE_RETRY_S
    assert bench.codes() == [FaultCode.STORAGE_REFUSED]
    bench.outbox._connection.execute("ALTER TABLE moved RENAME TO messages")
    bench.step(31.0)
    assert len(bench.link.take_tokens()) == 1


def test_close_ends_the_session_and_keeps_the_reads(bench):
    bench.put()
    bench.step(0.0)
    bench.step(1.0, CONNECTED)
    bench.stage.close()
    assert (bench.link.disconnects, bench.outbox.count()) == (1, 1)


def test_topics():
    assert device_of_read_topic(read_topic(DEVICE)) == DEVICE
    assert device_of_read_topic(receipt_topic(DEVICE)) is None
    assert device_of_read_topic("kestrel/v1/a/b/read") is None

"""The outbox: what `put` returned for survives everything but a receipt, age, and a full quota."""

import math
import sqlite3
import stat
import threading

import pytest
from kept_messages import put, receipt, sealed, tokens_to_send
from made_reads import PLATE, made_read

from firmware import outbox as outbox_module
from firmware import sealing
from firmware.faults import DeviceFault, FaultCode
from firmware.outbox import RECEIPT_WAIT_S
from firmware.records import MessageClass


def test_a_read_comes_out_as_it_went_in_and_nothing_readable_is_on_the_disk(open_outbox, tmp_path):
    outbox = open_outbox()
    read = sealed(outbox.reserve_sequence(), MessageClass.ALERT)
    outbox.put(read)
    (waiting,) = outbox.next_unsent(10, 0.0)
    assert sealing.from_wire(waiting.wire) == read
    assert waiting.message_class is MessageClass.ALERT
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert not any(PLATE.encode() in path.read_bytes() for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_only_sealed_reads_are_taken(open_outbox):
    with pytest.raises(TypeError, match="sealed"):
        open_outbox().put(made_read())


def test_a_puback_frees_the_window_and_only_a_receipt_frees_the_disk(open_outbox):
    outbox = open_outbox()
    first, second = put(outbox, 2)
    outbox.mark_sent(first)
    assert tokens_to_send(outbox, 1e9) == [second]
    outbox.acked(first, 10.0)
    assert outbox.count() == 2
    assert outbox.confirm(receipt((first, first))) == 1
    assert outbox.count() == 1
    assert tokens_to_send(outbox, 1e9) == [second]


def test_without_a_receipt_a_read_goes_again_with_doubling_patience(open_outbox):
    outbox = open_outbox()
    (token,) = put(outbox)
    now_s, waits = 100.0, []
    for _ in range(12):
        outbox.mark_sent(token)
        assert outbox.next_due_s() == math.inf
        outbox.acked(token, now_s)
        waits.append(outbox.next_due_s() - now_s)
        assert tokens_to_send(outbox, outbox.next_due_s() - 0.001) == []
        now_s = outbox.next_due_s()
        assert tokens_to_send(outbox, now_s) == [token]
    assert waits[:3] == [RECEIPT_WAIT_S, 2 * RECEIPT_WAIT_S, 4 * RECEIPT_WAIT_S]
    assert waits[-1] == outbox_module.RECEIPT_WAIT_LIMIT_S


def test_a_lost_connection_brings_back_what_was_unacknowledged_a_lost_session_everything(open_outbox):
    outbox = open_outbox()
    acked, unacked = put(outbox, 2)
    outbox.mark_sent(acked)
    outbox.mark_sent(unacked)
    outbox.acked(acked, 0.0)
    outbox.connection_lost()
    assert tokens_to_send(outbox) == [unacked]
    outbox.session_lost()
    assert tokens_to_send(outbox) == [acked, unacked]


def test_a_receipt_for_numbers_that_are_not_here_changes_nothing(open_outbox):
    outbox = open_outbox()
    (token,) = put(outbox)
    assert outbox.confirm(receipt((0, token - 1), (token + 1, 2**62 - 1))) == 0
    assert outbox.count() == 1


def test_a_long_backlog_is_not_walked_through_for_each_read(open_outbox):
    plans = []
    outbox = open_outbox(capacity_bytes=2000)
    outbox._connection.set_trace_callback(plans.append)
    put(outbox, 6)
    outbox.next_unsent(1, 0.0)
    outbox._connection.set_trace_callback(None)
    for statement in {text for text in plans if text.lstrip().startswith("SELECT") and "messages" in text}:
        steps = [row[3] for row in outbox._connection.execute("EXPLAIN QUERY PLAN " + statement)]
        assert not [step for step in steps if "TEMP B-TREE" in step or step == "SCAN messages"], statement


def test_put_wakes_whoever_listens(open_outbox):
    outbox, wake = open_outbox(), threading.Event()
    outbox.listen(wake)
    put(outbox)
    assert wake.is_set()


def test_a_put_that_is_tried_again_is_kept_once(open_outbox):
    outbox = open_outbox()
    read = sealed(outbox.reserve_sequence())
    outbox.put(read)
    outbox.put(read)
    assert outbox.count() == 1
    assert outbox._bytes[MessageClass.READ] == len(sealing.to_wire(read))


@pytest.mark.parametrize(
    ("spoil", "hint"),
    [
        (
            lambda path: path.write_bytes(b"not a database, but long enough" * 100),
            "is damaged; move it away",
        ),
        (lambda path: path.mkdir(), "cannot be used"),
    ],
)
def test_a_spoilt_file_is_a_fault_with_a_hint(open_outbox, tmp_path, spoil, hint):
    path = tmp_path / "spoilt.db"
    spoil(path)
    with pytest.raises(DeviceFault, match=hint) as refused:
        open_outbox(path=path)
    assert refused.value.code is FaultCode.STORAGE_REFUSED


def test_a_folder_that_is_not_there_is_a_fault_with_a_hint(open_outbox, tmp_path):
    with pytest.raises(DeviceFault, match="check the folder"):
        open_outbox(path=tmp_path / "nowhere" / "outbox.db")


def test_a_bug_is_not_taken_for_a_fault_of_the_disk(open_outbox):
    outbox = open_outbox()
    outbox.close()
    with pytest.raises(sqlite3.ProgrammingError):
        outbox.count()


def test_two_stages_use_it_at_once(open_outbox):
    outbox = open_outbox()
    total, taken = 60, []
    producer = threading.Thread(target=put, args=(outbox, total))
    producer.start()
    while len(taken) < total:
        for waiting in outbox.next_unsent(7, 0.0):
            outbox.mark_sent(waiting.token)
            outbox.acked(waiting.token, 0.0)
            outbox.confirm(receipt((waiting.token, waiting.token)))
            taken.append(waiting.token)
    producer.join()
    assert taken == sorted(set(taken))
    assert (outbox.count(), set(outbox._bytes.values())) == (0, {0})

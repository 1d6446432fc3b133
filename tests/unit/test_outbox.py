"""The outbox: what `put` returned for survives everything but a receipt, age, and a full quota."""

import math
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_reads import PLATE, START_UTC_MS, KernelRandom, SetClock, made_read, made_sealer

from firmware import outbox as outbox_module
from firmware import sealing
from firmware.faults import DeviceFault, FaultCode
from firmware.outbox import RECEIPT_WAIT_S, UNRECEIPTED_MAX, Outbox
from firmware.records import Receipt

SEALER = made_sealer(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
DAY_MS = 86_400_000


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def open_outbox(tmp_path, clock):
    opened = []

    def open_one(*, capacity_bytes=1_000_000, path=tmp_path / "outbox.db"):
        opened.append(
            Outbox(path, capacity_bytes=capacity_bytes, retention_s=30 * 86_400, clock=clock, system=KernelRandom())
        )
        return opened[-1]

    yield open_one
    for outbox in opened:
        outbox._connection.close()  # as a crash does: `close` would tidy up first


def sealed(sequence, *, urgent=False, jpeg=b""):
    return SEALER.seal(made_read(sequence, jpeg=jpeg), urgent=urgent)


def put(outbox, count=1, *, urgent=False):
    tokens = [outbox.reserve_sequence() for _ in range(count)]
    for token in tokens:
        outbox.put(sealed(token, urgent=urgent))
    return tokens


def receipt(*ranges):
    return Receipt(device_id="k-test0001", ranges=ranges, issued_utc_ms=START_UTC_MS)


def tokens_to_send(outbox, now_s=0.0, limit=1000):
    return [waiting.token for waiting in outbox.next_unsent(limit, now_s)]


def test_a_read_comes_out_as_it_went_in_and_nothing_readable_is_on_the_disk(open_outbox, tmp_path):
    outbox = open_outbox()
    read = sealed(outbox.reserve_sequence(), urgent=True)
    outbox.put(read)
    (waiting,) = outbox.next_unsent(10, 0.0)
    assert sealing.from_wire(waiting.wire) == read
    assert waiting.urgent
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert not any(PLATE.encode() in path.read_bytes() for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_only_sealed_reads_are_taken(open_outbox):
    with pytest.raises(TypeError, match="sealed"):
        open_outbox().put(made_read())


def test_urgent_reads_go_first_and_the_rest_in_order(open_outbox):
    outbox = open_outbox()
    usual, urgent = put(outbox, 3), put(outbox, 2, urgent=True)
    assert tokens_to_send(outbox) == urgent + usual
    assert tokens_to_send(outbox, limit=3) == [*urgent, usual[0]]


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


def test_a_dead_receiver_holds_back_all_but_urgent_reads(open_outbox):
    outbox = open_outbox()
    usual = put(outbox, UNRECEIPTED_MAX + 5)
    for token in usual[:UNRECEIPTED_MAX]:
        outbox.mark_sent(token)
        outbox.acked(token, 0.0)
    assert tokens_to_send(outbox) == []
    urgent = put(outbox, urgent=True)
    assert tokens_to_send(outbox) == urgent
    outbox.confirm(receipt((usual[0], usual[0])))
    assert tokens_to_send(outbox) == [*urgent, *usual[UNRECEIPTED_MAX:]]


def test_a_receipt_for_numbers_that_are_not_here_changes_nothing(open_outbox):
    outbox = open_outbox()
    (token,) = put(outbox)
    assert outbox.confirm(receipt((0, token - 1), (token + 1, 2**62 - 1))) == 0
    assert outbox.count() == 1


def test_the_quota_drops_the_oldest_of_the_lowest_class_and_counts_it(open_outbox):
    size_bytes = len(sealing.to_wire(sealed(2**40)))
    outbox = open_outbox(capacity_bytes=4 * size_bytes + 50)
    usual = put(outbox, 2)
    urgent = put(outbox, 2, urgent=True)
    newer = put(outbox)
    assert tokens_to_send(outbox) == [*urgent, usual[1], *newer]
    assert outbox.dropped == 1
    more_urgent = put(outbox, 2, urgent=True)
    assert tokens_to_send(outbox) == [*urgent, *more_urgent]
    put(outbox)
    assert tokens_to_send(outbox) == [*urgent, *more_urgent]  # the newcomer itself is of the lowest class
    latest = put(outbox, urgent=True)
    assert tokens_to_send(outbox) == [urgent[1], *more_urgent, *latest]
    assert outbox.dropped == 5


def test_a_long_backlog_is_not_walked_through_for_each_read(open_outbox):
    plans = []
    outbox = open_outbox(capacity_bytes=2000)
    outbox._connection.set_trace_callback(plans.append)
    put(outbox, 6)
    outbox.next_unsent(1, 0.0)
    outbox._connection.set_trace_callback(None)
    for statement in {text for text in plans if text.lstrip().startswith("SELECT") and "reads" in text}:
        steps = [row[3] for row in outbox._connection.execute("EXPLAIN QUERY PLAN " + statement)]
        assert not [step for step in steps if "TEMP B-TREE" in step or step == "SCAN reads"], statement


def test_the_quota_is_known_again_after_a_restart(open_outbox):
    size_bytes = len(sealing.to_wire(sealed(2**40)))
    put(open_outbox(), 3)
    again = open_outbox(capacity_bytes=3 * size_bytes + 50)
    put(again)
    assert (again.count(), again.dropped) == (3, 1)


def test_a_read_above_the_whole_quota_is_dropped_and_the_others_stay(open_outbox):
    outbox = open_outbox(capacity_bytes=2000)
    put(outbox, 2)
    outbox.put(sealed(outbox.reserve_sequence(), jpeg=bytes(3000)))
    assert (outbox.count(), outbox.dropped) == (2, 1)


def test_old_reads_expire_by_the_trusted_clock_only(open_outbox, clock):
    outbox = open_outbox()
    clock.trusted = False
    clock.now_utc_ms = 0  # no battery behind the clock: the unit woke in 1970
    put(outbox)
    assert outbox.expire() == 0
    clock.trusted, clock.now_utc_ms = True, START_UTC_MS
    assert outbox.expire() == 0
    put(outbox)
    clock.now_utc_ms = START_UTC_MS + 30 * DAY_MS
    assert outbox.expire() == 0
    clock.now_utc_ms += 1
    assert outbox.expire() == 2
    assert (outbox.count(), outbox.expired) == (0, 2)


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
    assert outbox._bytes == len(sealing.to_wire(read))


def put_until_refused(outbox, kept):
    while True:
        token = outbox.reserve_sequence()
        outbox.put(sealed(token, jpeg=bytes(4000)))
        kept.append(token)


def test_a_full_disk_refuses_and_loses_nothing(open_outbox):
    outbox = open_outbox()
    kept = put(outbox, 3)
    outbox._connection.execute("PRAGMA max_page_count = 1")  # no page more than there is
    with pytest.raises(DeviceFault, match=r"disk of .* is full; free space") as refused:
        put_until_refused(outbox, kept)
    assert refused.value.code is FaultCode.STORAGE_REFUSED
    assert tokens_to_send(outbox) == kept
    assert outbox.confirm(receipt((kept[0], kept[-1]))) == len(kept)  # and it can still be emptied
    outbox._connection.execute("PRAGMA max_page_count = 100000")
    assert put(outbox) == tokens_to_send(outbox)


FILL_UNTIL_REFUSED = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_outbox import Outbox, SetClock, KernelRandom, sealed, DeviceFault
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
outbox = Outbox(Path({path!r}), capacity_bytes=10**8, retention_s=1e6, clock=SetClock(), system=KernelRandom())
try:
    while True:
        number = outbox.reserve_sequence()
        outbox.put(sealed(number, jpeg=bytes(4000)))
        print(number, flush=True)
except DeviceFault as fault:
    print(fault.code, flush=True)
"""


def test_a_disk_that_ends_refuses_and_loses_nothing(open_outbox, tmp_path):
    path = tmp_path / "outbox.db"
    program = FILL_UNTIL_REFUSED.format(tests=str(Path(__file__).parent), path=str(path))
    done = run_python(program)
    *numbers, outcome = done.split()
    assert outcome == "storage-refused"
    assert len(numbers) > 10
    assert tokens_to_send(open_outbox(path=path))[: len(numbers)] == [int(number) for number in numbers]


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
    assert (outbox.count(), outbox._bytes) == (0, 0)


PUT_UNTIL_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_reads import KernelRandom, SetClock, made_read, made_sealer
from firmware.outbox import Outbox
sealer = made_sealer(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
outbox = Outbox(Path({path!r}), capacity_bytes=10**8, retention_s=1e6, clock=SetClock(), system=KernelRandom())
while True:
    number = outbox.reserve_sequence()
    print("reserved", number, flush=True)
    outbox.put(sealer.seal(made_read(number, jpeg=bytes(2000))))
    print("kept", number, flush=True)
"""


def run_python(program):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def killed_while_putting(path, after_lines):
    """Let a child put reads until it has said so many lines, kill it at once, and return all that it said."""
    program = PUT_UNTIL_KILLED.format(tests=str(Path(__file__).parent.parent), path=str(path))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True) as child:
        said = [child.stdout.readline() for _ in range(after_lines)]
        child.send_signal(signal.SIGKILL)
        said += child.stdout.readlines()
    return [line.split() for line in said if line.endswith("\n")]


def test_killed_at_any_instant_it_loses_nothing_and_repeats_no_number(open_outbox, tmp_path):
    path = tmp_path / "killed.db"
    reserved, kept = [], []
    for round_number in range(20):
        said = killed_while_putting(path, after_lines=3 + round_number)
        reserved += [int(number) for word, number in said if word == "reserved"]
        kept += [int(number) for word, number in said if word == "kept"]
    assert len(set(reserved)) == len(reserved)
    found = tokens_to_send(open_outbox(path=path), limit=100_000)
    assert set(kept) <= set(found) <= set(reserved)

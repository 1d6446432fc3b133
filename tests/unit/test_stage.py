import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.board.linux import LinuxClock
from firmware.stage import NEVER_S, Latest, Mailbox, StageThread


class Counting:
    """A stage that counts its steps and tells the test about them."""

    def __init__(self, next_s=NEVER_S, fails_at=None):
        self.name = "counting"
        self.wake = threading.Event()
        self.steps = 0
        self.stepped = threading.Semaphore(0)
        self.closed_on = None
        self._next_s = next_s
        self._fails_at = fails_at

    def step(self, now_s):
        self.steps += 1
        self.stepped.release()
        if self.steps == self._fails_at:
            raise ZeroDivisionError("a bug")
        return now_s + self._next_s

    def close(self):
        self.closed_on = threading.current_thread().name


@given(st.lists(st.integers(), max_size=30), st.integers(min_value=1, max_value=10))
def test_mailbox_keeps_the_newest_in_order_and_counts_the_rest(items, capacity):
    wake = threading.Event()
    mailbox = Mailbox(wake, capacity)
    for item in items:
        mailbox.put(item)
    kept = [mailbox.take() for _ in range(len(mailbox))]
    assert kept == items[-capacity:]
    assert mailbox.dropped == max(0, len(items) - capacity)
    assert mailbox.take() is None
    assert wake.is_set() == bool(items)


def test_latest_gives_the_newest_value_as_often_as_asked():
    latest = Latest(1)
    latest.set(2)
    assert (latest.get(), latest.get()) == (2, 2)


def test_stage_thread_steps_at_once_when_woken_and_closes_on_its_own_thread():
    stage, bugs = Counting(), []
    thread = StageThread(stage, LinuxClock().monotonic_s, lambda name, bug: bugs.append((name, bug)))
    thread.start()
    assert stage.stepped.acquire(timeout=5)
    stage.wake.set()
    assert stage.stepped.acquire(timeout=5)
    thread.ask_to_stop()
    assert thread.join(5)
    assert stage.closed_on == "counting"
    assert bugs == []


def test_stage_thread_steps_again_when_due():
    stage = Counting(next_s=0.01)
    thread = StageThread(stage, LinuxClock().monotonic_s, lambda name, bug: None)
    thread.start()
    assert all(stage.stepped.acquire(timeout=5) for _ in range(5))
    thread.ask_to_stop()
    assert thread.join(5)


def test_a_waiting_stage_still_shows_a_heartbeat():
    stage = Counting()
    beats = threading.Semaphore(0)
    now_s = iter(range(10_000))

    def clock_s():
        beats.release()
        return float(next(now_s))

    thread = StageThread(stage, clock_s, lambda name, bug: None)
    thread.LONGEST_WAIT_S = 0.01
    thread.start()
    assert all(beats.acquire(timeout=5) for _ in range(10))
    assert stage.steps == 1
    assert thread.heartbeat_s > 5
    thread.ask_to_stop()
    assert thread.join(5)


def test_a_bug_is_reported_and_the_stage_is_closed():
    stage, bugs = Counting(fails_at=1), []
    thread = StageThread(stage, LinuxClock().monotonic_s, lambda name, bug: bugs.append((name, type(bug))))
    thread.start()
    assert thread.join(5)
    assert bugs == [("counting", ZeroDivisionError)]
    assert stage.closed_on == "counting"


def test_a_stage_that_cannot_close_is_reported_as_well():
    class CannotClose(Counting):
        def close(self):
            raise OSError("no")

    bugs = []
    thread = StageThread(CannotClose(fails_at=1), LinuxClock().monotonic_s, lambda name, bug: bugs.append(type(bug)))
    thread.start()
    assert thread.join(5)
    assert bugs == [ZeroDivisionError, OSError]


def test_join_says_when_a_stage_does_not_stop():
    release = threading.Event()

    class Busy(Counting):
        def step(self, now_s):
            self.stepped.release()
            release.wait(10)
            return NEVER_S

    stage = Busy()
    thread = StageThread(stage, LinuxClock().monotonic_s, lambda name, bug: pytest.fail("no bug here"))
    thread.start()
    assert stage.stepped.acquire(timeout=5)
    thread.ask_to_stop()
    assert not thread.join(0.01)
    release.set()
    assert thread.join(5)

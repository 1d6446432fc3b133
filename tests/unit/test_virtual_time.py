import threading

import pytest

from firmware.stage import NEVER_S
from hw_sim.runner import EPOCH_UTC_MS, VirtualClock, VirtualTime, VirtualTimers


class Ticking:
    def __init__(self, name, journal, every_s=NEVER_S, wakes=None):
        self.name, self.wake, self.closed = name, threading.Event(), False
        self._journal, self._every_s, self._wakes = journal, every_s, wakes

    def step(self, now_s):
        self._journal.append((self.name, now_s))
        if self._wakes:
            self._wakes.wake.set()
        return now_s + self._every_s

    def close(self):
        self.closed = True


def test_due_stages_step_at_their_times_and_the_rest_is_jumped_over():
    journal = []
    time = VirtualTime([Ticking("slow", journal, 10.0), Ticking("once", journal)], VirtualClock())
    time.run_until(25.0)
    assert journal == [("slow", 0.0), ("once", 0.0), ("slow", 10.0), ("slow", 20.0)]


def test_a_woken_stage_steps_at_the_very_instant():
    journal = []
    taker = Ticking("taker", journal)
    VirtualTime([Ticking("giver", journal, 4.0, wakes=taker), taker], VirtualClock()).run_until(5.0)
    assert journal == [("giver", 0.0), ("taker", 0.0), ("giver", 4.0), ("taker", 4.0)]


def test_a_run_can_go_on_and_the_clock_stands_where_it_ended():
    clock, journal = VirtualClock(start_s=50.0), []
    time = VirtualTime([Ticking("a", journal, 3.0)], clock)
    time.run_until(55.0)
    assert clock.monotonic_s() == 55.0
    assert clock.utc_ms() == EPOCH_UTC_MS + 5000
    time.run_until(57.0)
    assert [at_s for _, at_s in journal] == [50.0, 53.0, 56.0]


def test_two_stages_that_wake_each_other_for_ever_are_an_error():
    one, other = Ticking("one", []), Ticking("other", [])
    one._wakes, other._wakes = other, one
    with pytest.raises(RuntimeError, match="no rest"):
        VirtualTime([one, other], VirtualClock()).run_until(1.0)


def test_two_stages_of_one_name_are_refused():
    with pytest.raises(ValueError, match="one name"):
        VirtualTime([Ticking("a", []), Ticking("a", [])], VirtualClock())


def test_closing_closes_all():
    stages = [Ticking("a", []), Ticking("b", [])]
    VirtualTime(stages, VirtualClock()).close()
    assert all(stage.closed for stage in stages)


def test_the_wall_clock_steps_and_monotonic_time_does_not():
    clock = VirtualClock()
    clock.advance_to(1.0)
    clock.step_wall_clock(-3_600_000)
    assert clock.monotonic_s() == 1.0
    assert clock.utc_ms() == EPOCH_UTC_MS + 1000 - 3_600_000
    clock.distrust()
    assert not clock.is_trusted()
    with pytest.raises(ValueError, match="backwards"):
        clock.advance_to(0.5)


def test_virtual_timers_call_once_when_due_unless_cancelled():
    clock, calls = VirtualClock(start_s=10.0), []
    timers = VirtualTimers(clock)
    time = VirtualTime([timers], clock)
    for delay_s, name in ((2.0, "late"), (1.0, "early"), (1.5, "middle")):
        timer = timers.timer(delay_s, lambda name=name: calls.append((name, clock.monotonic_s())))
        timer.start()
    timers.timer(0.5, lambda: calls.append(("never started", 0.0)))
    timer = timers.timer(1.2, lambda: calls.append(("cancelled", 0.0)))
    timer.start()
    timer.cancel()
    time.run_until(11.2)
    assert calls == [("early", 11.0)]
    time.run_until(20.0)
    assert calls == [("early", 11.0), ("middle", 11.5), ("late", 12.0)]
    time.close()

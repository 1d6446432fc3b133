"""Real time that stands while pictures are drawn, and the timers that follow it."""

import threading

import pytest

from firmware.board.linux import LinuxClock
from hw_sim.pausing_clock import PausingClock
from hw_sim.runner import EPOCH_UTC_MS, VirtualClock


def test_time_stands_while_one_or_more_draw_and_goes_on_without_a_jump():
    wall = VirtualClock(start_s=100.0)
    clock = PausingClock(wall)
    wall.advance_to(101.0)
    assert clock.monotonic_s() == 101.0
    with clock.standing():
        wall.advance_to(103.0)
        assert clock.monotonic_s() == 101.0
        with clock.standing():
            wall.advance_to(104.0)
        assert clock.monotonic_s() == 101.0
    assert clock.monotonic_s() == 101.0
    wall.advance_to(105.0)
    assert clock.monotonic_s() == 102.0
    assert clock.utc_ms() == EPOCH_UTC_MS + 5000
    wall.distrust()
    assert not clock.is_trusted()


def test_a_drawing_that_fails_does_not_stop_the_world():
    wall = VirtualClock()
    clock = PausingClock(wall)
    with pytest.raises(ZeroDivisionError), clock.standing():
        _ = 1 / 0
    wall.advance_to(2.0)
    assert clock.monotonic_s() == 2.0


def test_a_timer_waits_for_the_worlds_time_and_can_be_cancelled():
    wall = LinuxClock()
    clock, called = PausingClock(wall), threading.Event()
    cancelled = clock.timer(0.05, called.set)
    cancelled.start()
    cancelled.cancel()
    assert not called.wait(0.15)
    timer = clock.timer(0.05, called.set)
    timer.start()
    begun_s = wall.monotonic_s()
    with clock.standing():
        assert not called.wait(0.2)
    assert called.wait(5.0)
    assert wall.monotonic_s() - begun_s >= 0.24
    assert clock.monotonic_s() - begun_s >= 0.04

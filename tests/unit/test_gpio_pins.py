import contextlib
import threading

import pytest
from gpiozero import OutputDevice
from gpiozero.pins.mock import MockFactory, MockPWMPin

from firmware.board.gpio_pins import EDGES_WAITING, LONGEST_LEASE_S, GpioLamp, GpioRail, GpioTrigger
from firmware.faults import DeviceFault, FaultCode
from firmware.records import TriggerSource
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers


@pytest.fixture
def pins():
    factory = MockFactory()
    yield factory
    factory.reset()


@pytest.fixture
def clock():
    return VirtualClock(start_s=100.0)


def listening(pins, clock, **options):
    trigger, wake = GpioTrigger(17, TriggerSource.PIR, clock, pin_factory=pins, **options), threading.Event()
    trigger.listen(wake)
    return trigger, wake, pins.pin(17)


def test_a_rising_edge_wakes_and_carries_its_time(pins, clock):
    trigger, wake, line = listening(pins, clock)
    clock.advance_to(101.5)
    line.drive_high()
    assert wake.is_set()
    (edge,) = trigger.edges()
    assert (edge.source, edge.at_s) == (TriggerSource.PIR, 101.5)
    assert trigger.edges() == []
    trigger.close()


def test_a_falling_edge_is_nothing_and_a_held_line_is_one_edge(pins, clock):
    trigger, wake, line = listening(pins, clock)
    line.drive_high()
    line.drive_high()
    line.drive_low()
    assert len(trigger.edges()) == 1
    wake.clear()
    line.drive_high()
    assert wake.is_set()
    trigger.close()


def test_a_beam_with_the_pull_up_on_fires_when_the_rear_end_has_left_it(pins, clock):
    trigger, wake, line = listening(pins, clock, is_pulled_up=True)
    assert line.pull == "up"
    line.drive_low()
    assert not wake.is_set()
    line.drive_high()
    assert wake.is_set()
    assert len(trigger.edges()) == 1
    trigger.close()


def test_a_chattering_line_does_not_fill_the_memory(pins, clock):
    trigger, _, line = listening(pins, clock)
    for number in range(EDGES_WAITING * 2):
        clock.advance_to(100.0 + number)
        line.drive_high()
        line.drive_low()
    edges = trigger.edges()
    assert len(edges) == EDGES_WAITING
    assert edges[-1].at_s == 100.0 + EDGES_WAITING * 2 - 1
    trigger.close()


def test_a_line_that_is_taken_is_a_fault_with_a_hint(pins, clock):
    trigger, _, _ = listening(pins, clock)
    with pytest.raises(DeviceFault, match="BCM 17") as refused:
        GpioTrigger(17, TriggerSource.IR_BEAM, clock, pin_factory=pins).listen(threading.Event())
    assert refused.value.code is FaultCode.TRIGGER_ABSENT
    trigger.close()


def test_a_line_that_was_given_back_can_be_taken_again(pins, clock):
    listening(pins, clock)[0].close()
    trigger, wake, line = listening(pins, clock)
    line.drive_high()
    assert wake.is_set()
    trigger.close()


def test_closing_what_never_listened_is_nothing(pins, clock):
    GpioTrigger(17, TriggerSource.PIR, clock, pin_factory=pins).close()


class Timers:
    """Timers that end when the test says so."""

    def __init__(self):
        self.running = []

    def __call__(self, delay_s, call):
        return Timer(self, delay_s, call)

    def end(self):
        for timer in list(self.running):
            timer.cancel()
            timer.call()


class Timer:
    def __init__(self, timers, delay_s, call):
        self.timers, self.delay_s, self.call = timers, delay_s, call

    def start(self):
        self.timers.running.append(self)

    def cancel(self):
        if self in self.timers.running:
            self.timers.running.remove(self)


@pytest.fixture
def lamp_pins():
    factory = MockFactory(pin_class=MockPWMPin)
    yield factory
    factory.reset()


def test_a_lamp_is_dark_until_leased_and_falls_when_its_lease_ends(lamp_pins):
    timers = Timers()
    lamp = GpioLamp(18, pin_factory=lamp_pins, make_timer=timers)
    line = lamp_pins.pin(18)
    assert line.state == 0
    lamp.renew(0.6, 1.0)
    assert line.state == pytest.approx(0.6)
    assert [timer.delay_s for timer in timers.running] == [1.0]
    timers.end()
    assert line.state == 0
    lamp.renew(1.0, 0.5)
    assert line.state == 1.0
    lamp.close()


def test_a_renewed_lease_ends_when_the_newest_one_does(lamp_pins):
    timers = Timers()
    lamp = GpioLamp(18, pin_factory=lamp_pins, make_timer=timers)
    lamp.renew(1.0, 1.0)
    late = timers.running[0]
    lamp.renew(0.5, 1.0)
    assert len(timers.running) == 1
    late.call()  # was already ending when the lease was renewed
    assert lamp_pins.pin(18).state == pytest.approx(0.5)
    lamp.close()


def test_a_lamp_falls_on_a_thread_of_its_own_while_everybody_else_hangs(lamp_pins):
    lamp = GpioLamp(18, pin_factory=lamp_pins)
    lamp.renew(1.0, 0.05)
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    assert timers
    for timer in timers:
        timer.join(5)
    assert lamp_pins.pin(18).state == 0
    lamp.close()


def test_closing_darkens_the_lamp_and_gives_its_line_back(lamp_pins):
    lamp = GpioLamp(18, pin_factory=lamp_pins)
    lamp.renew(1.0, 1.0)
    lamp.close()
    lamp.close()
    assert lamp_pins.pin(18).state == 0
    assert not [
        each for each in threading.enumerate() if isinstance(each, threading.Timer) and not each.finished.is_set()
    ]
    GpioLamp(18, pin_factory=lamp_pins).renew(0.0, 0.01)


@pytest.mark.parametrize(("lamp_ratio", "for_s"), [(1.1, 1.0), (-0.1, 1.0), (1.0, 0.0), (1.0, LONGEST_LEASE_S + 0.1)])
def test_no_lease_is_for_ever_and_no_lamp_gives_more_than_it_has(lamp_pins, lamp_ratio, for_s):
    with pytest.raises(ValueError, match="at most"):
        GpioLamp(18, pin_factory=lamp_pins).renew(lamp_ratio, for_s)


def test_a_lamp_whose_line_is_taken_is_a_fault_with_a_hint(lamp_pins):
    first = GpioLamp(18, pin_factory=lamp_pins)
    first.renew(0.5, 1.0)
    with pytest.raises(DeviceFault, match="BCM 18") as refused:
        GpioLamp(18, pin_factory=lamp_pins).renew(0.5, 1.0)
    assert refused.value.code is FaultCode.LAMP_ABSENT
    first.close()


def a_rail(pins, timers, *, off_when_high):
    return GpioRail(23, off_when_high=off_when_high, pin_factory=pins, make_timer=timers.timer)


@pytest.mark.parametrize("off_when_high", [True, False])
def test_a_supply_is_cut_for_a_while_and_comes_back_by_itself(pins, clock, off_when_high):
    timers = VirtualTimers(clock)
    time = VirtualTime([timers], clock)
    rail, line = a_rail(pins, timers, off_when_high=off_when_high), pins.pin(23)
    rail.cut(10.0)
    assert (line.function, line.state) == ("output", off_when_high)
    time.run_until(clock.monotonic_s() + 9.0)
    assert line.state == off_when_high
    rail.cut(10.0)  # again before it is over: from now on
    time.run_until(clock.monotonic_s() + 9.0)
    assert line.state == off_when_high
    time.run_until(clock.monotonic_s() + 2.0)
    assert line.function == "input"  # the switch's own pull keeps the supply on


def test_a_supply_is_given_back_at_the_end_and_is_never_cut_for_long(pins, clock):
    rail, line = a_rail(pins, VirtualTimers(clock), off_when_high=True), pins.pin(23)
    rail.close()
    rail.cut(10.0)
    assert line.state
    rail.close()
    assert line.function == "input"
    for too_long_s in (0.0, 61.0, float("inf")):
        with pytest.raises(ValueError, match="at most"):
            rail.cut(too_long_s)


def test_a_supply_whose_line_cannot_be_driven_is_a_fault(pins, clock):
    with (
        contextlib.closing(OutputDevice(23, pin_factory=pins)),
        pytest.raises(DeviceFault, match=r"modem\.power_pin") as fault,
    ):
        a_rail(pins, VirtualTimers(clock), off_when_high=True).cut(1.0)
    assert fault.value.code is FaultCode.RAIL_ABSENT

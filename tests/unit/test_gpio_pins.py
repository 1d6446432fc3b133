import threading

import pytest
from gpiozero.pins.mock import MockFactory

from firmware.board.gpio_pins import EDGES_WAITING, GpioTrigger
from firmware.faults import DeviceFault, FaultCode
from firmware.records import TriggerSource
from hw_sim.runner import VirtualClock


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

"""The simulated PIR, light beam, radar and lamp: they share mock pins with the firmware and obey the parts' rules."""

import pytest
from gpiozero import DigitalInputDevice, PWMOutputDevice
from gpiozero.pins.mock import MockFactory, MockPWMPin
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.stage import NEVER_S
from hw_sim.sensors import PirRules, RadarRules, SimIrBeam, SimLamp, SimPir, SimRadar, Stuck, Subject


class Line:
    """One pin: the world drives it, an input device listens, and virtual time says when."""

    def __init__(self, number: int, *, pull_up: bool) -> None:
        self.factory = MockFactory()
        self.pin = self.factory.pin(number)
        self.device = DigitalInputDevice(number, pull_up=pull_up, pin_factory=self.factory)
        self.device.when_activated = lambda: self.rises_s.append(self.now_s)
        self.device.when_deactivated = lambda: self.falls_s.append(self.now_s)
        self.now_s = 0.0
        self.rises_s: list[float] = []
        self.falls_s: list[float] = []

    def run(self, sensor, until_s: float) -> None:
        while sensor.next_change_s <= until_s:
            self.now_s = sensor.next_change_s
            sensor.deliver(self.now_s)
        self.now_s = until_s

    def close(self) -> None:
        self.device.close()
        self.factory.close()


@pytest.fixture
def pir_line():
    line = Line(17, pull_up=False)
    yield line
    line.close()


@pytest.fixture
def beam_line():
    line = Line(27, pull_up=True)
    yield line
    line.close()


RULES = PirRules()


def _warm(line: Line, seed: int = 1, **rules) -> SimPir:
    return SimPir(line.pin, seed=seed, powered_at_s=-1000.0, rules=PirRules(**rules))


def _passing(at_s: float) -> Subject:
    return Subject(at_s=at_s, until_s=at_s + 0.3)


def test_pir_answers_late_and_holds(pir_line: Line) -> None:
    pir = _warm(pir_line)
    pir_line.run(pir, 0.0)  # the glitch of long ago
    pir_line.rises_s.clear(), pir_line.falls_s.clear()
    pir.notice(_passing(10.0))
    pir_line.run(pir, 30.0)
    (rise_s,), (fall_s,) = pir_line.rises_s, pir_line.falls_s
    assert 10.1 <= rise_s <= 11.0
    assert fall_s == pytest.approx(rise_s + RULES.hold_s)


def test_pir_lag_is_seeded_and_varies(pir_line: Line) -> None:
    def lags(seed: int) -> list[float]:
        pir = _warm(pir_line, seed)
        pir_line.run(pir, 0.0)
        pir_line.rises_s.clear()
        starts_s = [10.0 * n for n in range(1, 12)]
        for at_s in starts_s:
            pir.notice(_passing(at_s))
        pir_line.run(pir, 200.0)
        return [rise_s - at_s for rise_s, at_s in zip(pir_line.rises_s, starts_s, strict=True)]

    first = lags(1)
    assert first == lags(1)
    assert first != lags(2)
    assert max(first) - min(first) > 0.3


def test_pir_is_blind_while_high_and_just_after(pir_line: Line) -> None:
    pir = _warm(pir_line)
    pir_line.run(pir, 0.0)
    pir_line.rises_s.clear()
    for at_s in (10.0, 11.5, 13.0, 20.0):
        pir.notice(_passing(at_s))
    pir_line.run(pir, 40.0)
    assert len(pir_line.rises_s) == 2
    assert 20.0 < pir_line.rises_s[1] <= 21.0
    assert pir.ignored == 2


def test_pir_warms_up_with_one_glitch(pir_line: Line) -> None:
    pir = SimPir(pir_line.pin, seed=1, powered_at_s=100.0)
    for at_s in (105.0, 115.0, 125.0):
        pir.notice(_passing(at_s))
    pir.notice(_passing(131.0))
    pir_line.run(pir, 140.0)
    assert pir_line.rises_s[0] == pytest.approx(101.0)
    assert len(pir_line.rises_s) == 2
    assert 131.0 < pir_line.rises_s[1] < 132.1
    assert pir.ignored == 3


def test_pir_forgets_when_its_power_fails(pir_line: Line) -> None:
    pir = _warm(pir_line)
    pir_line.run(pir, 0.0)
    pir_line.rises_s.clear()
    pir.notice(_passing(10.0))
    pir.power_on(10.05)
    pir_line.run(pir, 30.0)
    assert pir_line.rises_s == [pytest.approx(11.05)]
    assert not pir_line.pin.state


@given(starts_s=st.lists(st.floats(0.0, 100.0), max_size=30), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_pir_never_rises_again_before_hold_and_dead_time(starts_s: list[float], seed: int) -> None:
    line = Line(17, pull_up=False)
    try:
        pir = _warm(line, seed)
        line.run(pir, -1.0)
        line.rises_s.clear()
        for at_s in sorted(starts_s):
            pir.notice(_passing(at_s))
        line.run(pir, 200.0)
        gaps_s = [later - earlier for earlier, later in zip(line.rises_s, line.rises_s[1:], strict=False)]
        assert all(gap_s >= RULES.hold_s + RULES.dead_s for gap_s in gaps_s)
        assert bool(line.rises_s) == bool(starts_s)
        assert not line.pin.state
        assert pir.next_change_s == NEVER_S
    finally:
        line.close()


@pytest.mark.parametrize("lag_s", [0.0, 0.4, 0.8])
def test_pir_lag_hold_and_dead_time_can_be_set(pir_line: Line, lag_s: float) -> None:
    pir = _warm(pir_line, lag_s=(lag_s, lag_s), hold_s=0.5, dead_s=1.0)
    pir_line.run(pir, 0.0)  # the glitch of long ago
    pir_line.rises_s.clear(), pir_line.falls_s.clear()
    for at_s in (10.0, 11.0, 12.0):
        pir.notice(_passing(at_s))
    pir_line.run(pir, 20.0)
    assert pir_line.rises_s == pytest.approx([10.0 + lag_s, 12.0 + lag_s])
    assert pir_line.falls_s == pytest.approx([10.5 + lag_s, 12.5 + lag_s])


def test_pir_misses_and_invents_at_its_rates(pir_line: Line) -> None:
    pir = _warm(pir_line, missed_ratio=0.5, hold_s=0.1, dead_s=0.1)
    for n in range(200):
        pir.notice(_passing(10.0 * n))
    pir_line.run(pir, 2010.0)
    assert 70 <= len(pir_line.rises_s) <= 130
    pir_line.rises_s.clear()
    alarmed = SimPir(pir_line.pin, seed=2, powered_at_s=2000.0, rules=PirRules(false_per_hour=60.0))
    pir_line.run(alarmed, 2000.0 + 36_000.0)
    assert 450 <= len(pir_line.rises_s) <= 650  # 600 less those that fall into hold and dead time


@pytest.mark.parametrize("stuck", list(Stuck))
def test_a_stuck_pir_never_moves(pir_line: Line, stuck: Stuck) -> None:
    pir = _warm(pir_line, stuck=stuck, false_per_hour=100.0)
    pir_line.rises_s.clear(), pir_line.falls_s.clear()
    pir.notice(_passing(10.0))
    pir_line.run(pir, 1000.0)
    assert pir_line.rises_s == pir_line.falls_s == []
    assert bool(pir_line.pin.state) == (stuck is Stuck.HIGH)


@pytest.mark.parametrize("wrong", [{"lag_s": (1.0, 0.5)}, {"hold_s": -1.0}, {"missed_ratio": 1.5}])
def test_rules_without_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"below zero|between 0 and 1"):
        PirRules(**wrong)


def test_beam_is_low_exactly_while_it_is_broken(beam_line: Line) -> None:
    beam = SimIrBeam(beam_line.pin, powered_at_s=-10.0)
    beam_line.run(beam, 0.0)
    beam_line.rises_s.clear(), beam_line.falls_s.clear()
    beam.notice(Subject(at_s=5.0, until_s=5.4))
    beam_line.run(beam, 4.9)
    assert beam_line.pin.state
    beam_line.run(beam, 5.2)
    assert not beam_line.pin.state
    beam_line.run(beam, 6.0)
    assert beam_line.pin.state
    assert beam_line.rises_s == [5.0]  # active is low: the device is active while the beam is broken
    assert beam_line.falls_s == [5.4]


def test_beam_stays_broken_while_any_vehicle_is_in_it(beam_line: Line) -> None:
    beam = SimIrBeam(beam_line.pin, powered_at_s=-10.0)
    beam_line.run(beam, 0.0)
    beam_line.rises_s.clear(), beam_line.falls_s.clear()
    beam.notice(Subject(at_s=5.0, until_s=6.0))
    beam.notice(Subject(at_s=5.5, until_s=7.0))
    beam_line.run(beam, 10.0)
    assert beam_line.rises_s == [5.0]
    assert beam_line.falls_s == [7.0]


def test_beam_locks_after_power_and_pulls_nothing_without(beam_line: Line) -> None:
    beam = SimIrBeam(beam_line.pin, powered_at_s=20.0)
    beam.notice(Subject(at_s=5.0, until_s=6.0))
    beam_line.run(beam, 19.0)
    assert beam_line.rises_s == []
    beam_line.run(beam, 30.0)
    assert beam_line.rises_s == [20.0]
    assert beam_line.falls_s == [pytest.approx(20.05)]


def test_sensors_that_have_long_had_power_are_quiet(pir_line: Line, beam_line: Line) -> None:
    pir = SimPir(pir_line.pin, seed=1, powered_at_s=-3600.0)
    beam = SimIrBeam(beam_line.pin, powered_at_s=-3600.0)
    pir.deliver(0.0)
    beam.deliver(0.0)
    assert pir_line.rises_s == []
    assert beam_line.rises_s == []
    pir.notice(_passing(1.0))
    beam.notice(_passing(1.0))
    pir_line.run(pir, 5.0)
    beam_line.run(beam, 5.0)
    assert len(pir_line.rises_s) == 1
    assert beam_line.rises_s == [1.0]


def test_radar_is_high_from_report_to_report(pir_line: Line) -> None:
    radar = SimRadar(pir_line.pin, seed=1, powered_at_s=-100.0, rules=RadarRules(report_s=0.1, hold_s=0.3))
    radar.notice(Subject(at_s=5.02, until_s=5.41))
    pir_line.run(radar, 10.0)
    assert pir_line.rises_s == pytest.approx([5.1])
    assert pir_line.falls_s == pytest.approx([5.8])  # held to 5.71


def test_radar_sees_two_close_vehicles_as_one_and_those_apart_as_two(pir_line: Line) -> None:
    radar = SimRadar(pir_line.pin, seed=1, powered_at_s=-100.0)
    for at_s in (5.0, 5.4, 8.0):
        radar.notice(Subject(at_s=at_s, until_s=at_s + 0.3))
    pir_line.run(radar, 20.0)
    assert pir_line.rises_s == pytest.approx([5.0, 8.0])
    assert radar.next_change_s == NEVER_S


def test_radar_misses_and_invents_at_its_rates(pir_line: Line) -> None:
    rules = RadarRules(missed_ratio=0.25, false_per_hour=36.0)
    radar = SimRadar(pir_line.pin, seed=3, powered_at_s=0.0, rules=rules)
    for n in range(400):
        radar.notice(Subject(at_s=10.0 * n, until_s=10.0 * n + 0.3))
    pir_line.run(radar, 4000.0)
    assert 300 <= len(pir_line.rises_s) <= 370  # 300 vehicles and 40 false alarms, some of them in a vehicle's pulse


def test_the_lamp_shines_as_its_line_says_and_not_when_nobody_drives_it() -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    lamp = SimLamp(factory.pin(18))
    assert lamp.ratio == 0.0
    line = PWMOutputDevice(18, frequency=1000, pin_factory=factory)
    line.value = 0.7
    assert lamp.ratio == pytest.approx(0.7)
    line.close()
    assert lamp.ratio == 0.0
    factory.close()

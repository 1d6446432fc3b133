"""When the wall clock is believed: two sources, bounds, disputes, and jumps by years in either direction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.clock_watch import LOOK_EVERY_S, ClockStage
from firmware.expiry import ExpiryStage
from firmware.faults import FaultBook, FaultCode
from firmware.wall_clock import AGREES_WITHIN_MS, EARLIEST_UTC_MS, LATEST_UTC_MS, JudgedClock
from hw_sim.runner import VirtualClock

NOW_UTC_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
START_S = 50.0


def clocks(utc_ms=NOW_UTC_MS, *, by_ntp):
    source = VirtualClock(start_s=START_S, utc_ms=utc_ms)
    if not by_ntp:
        source.distrust()
    return source, JudgedClock(source)


def test_a_clock_that_ntp_has_set_is_believed_as_it_is():
    source, clock = clocks(by_ntp=True)
    assert (clock.is_trusted(), clock.utc_ms(), clock.monotonic_s()) == (True, NOW_UTC_MS, START_S)
    source.advance_to(60.0)
    assert clock.utc_ms() == NOW_UTC_MS + 10_000
    source.step_wall_clock(-400)  # NTP slews and steps
    assert clock.utc_ms() == NOW_UTC_MS + 9_600
    assert (clock.is_trusted(), clock.dispute()) == (True, "")
    assert clock.boot_id() == source.boot_id()


def test_a_clock_that_nobody_has_set_is_a_guess():
    _, clock = clocks(by_ntp=False)
    assert (clock.is_trusted(), clock.utc_ms(), clock.dispute()) == (False, NOW_UTC_MS, "")


def test_the_networks_time_is_taken_where_ntp_is_silent_and_goes_on_by_monotonic_time():
    source, clock = clocks(utc_ms=EARLIEST_UTC_MS - 9 * YEAR_MS, by_ntp=False)
    clock.hear(NOW_UTC_MS, 40.0)
    assert clock.is_trusted()
    assert clock.utc_ms() == NOW_UTC_MS + 10_000  # heard ten seconds ago
    source.step_wall_clock(50 * YEAR_MS)
    assert (clock.is_trusted(), clock.utc_ms()) == (True, NOW_UTC_MS + 10_000)


@pytest.mark.parametrize("utc_ms", [0, -1, EARLIEST_UTC_MS - 1, LATEST_UTC_MS, 2**62])
def test_what_is_out_of_bounds_is_passed_over(utc_ms):
    source, clock = clocks(by_ntp=False)
    clock.hear(utc_ms, START_S)
    assert not clock.is_trusted()
    source.trust()
    source.step_wall_clock(utc_ms - source.utc_ms())
    assert not clock.is_trusted()
    assert clock.utc_ms() == source.utc_ms()
    assert "before this firmware" in clock.dispute()


@pytest.mark.parametrize("apart_ms", [HOUR_MS + 1, -HOUR_MS - 1, 10 * YEAR_MS, -1 * YEAR_MS])
@pytest.mark.parametrize("network_first", [False, True])
def test_two_sources_that_disagree_are_a_dispute_whoever_came_first(apart_ms, network_first):
    source, clock = clocks(by_ntp=not network_first)
    if network_first:
        clock.hear(NOW_UTC_MS + apart_ms, START_S)
        assert clock.is_trusted()
        source.trust()
    else:
        assert clock.is_trusted()
        clock.hear(NOW_UTC_MS + apart_ms, START_S)
    assert not clock.is_trusted()
    assert "more than an hour apart" in clock.dispute()
    assert clock.utc_ms() == (NOW_UTC_MS + apart_ms if network_first else NOW_UTC_MS)  # as it was before
    clock.hear(NOW_UTC_MS, START_S)
    assert (clock.is_trusted(), clock.dispute(), clock.utc_ms()) == (True, "", NOW_UTC_MS)


@pytest.mark.parametrize("apart_ms", [HOUR_MS, -HOUR_MS, 0, 900])
def test_within_the_hour_ntp_counts(apart_ms):
    _, clock = clocks(by_ntp=True)
    clock.hear(NOW_UTC_MS + apart_ms, START_S)
    assert (clock.is_trusted(), clock.utc_ms()) == (True, NOW_UTC_MS)


@pytest.mark.parametrize("years", [-12, 12, -1, 1])
def test_a_wall_clock_that_jumps_by_years_moves_nothing_until_somebody_confirms_it(years):
    source, clock = clocks(by_ntp=True)
    assert clock.is_trusted()
    source.advance_to(START_S + 60.0)
    source.step_wall_clock(years * YEAR_MS)
    expected_ms = NOW_UTC_MS + 60_000
    assert (clock.is_trusted(), clock.utc_ms()) == (False, expected_ms)
    assert clock.dispute()
    source.step_wall_clock(-years * YEAR_MS)
    assert (clock.is_trusted(), clock.utc_ms(), clock.dispute()) == (True, expected_ms, "")


def test_a_jump_that_the_network_confirms_is_taken():
    source, clock = clocks(by_ntp=True)
    assert clock.is_trusted()
    source.step_wall_clock(2 * YEAR_MS)
    clock.hear(NOW_UTC_MS + 2 * YEAR_MS + 900, START_S)
    assert (clock.is_trusted(), clock.utc_ms()) == (True, NOW_UTC_MS + 2 * YEAR_MS)


def test_a_network_whose_time_jumps_is_not_followed():
    _, clock = clocks(by_ntp=False)
    clock.hear(NOW_UTC_MS, START_S)
    assert clock.is_trusted()
    clock.hear(NOW_UTC_MS + YEAR_MS, START_S)
    assert (clock.is_trusted(), clock.utc_ms()) == (False, NOW_UTC_MS)
    assert "cellular network's time jumped" in clock.dispute()


def test_a_clock_once_set_stays_trusted_when_ntp_falls_silent():
    source, clock = clocks(by_ntp=True)
    assert clock.is_trusted()
    source.distrust()
    source.advance_to(START_S + 3 * 86_400.0)
    source.step_wall_clock(-5 * YEAR_MS)
    assert (clock.is_trusted(), clock.utc_ms()) == (True, NOW_UTC_MS + 3 * 86_400_000)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wall"), st.integers(-40 * YEAR_MS, 40 * YEAR_MS)),
        st.tuples(st.just("hear"), st.integers(-(2**50), 2**50)),
        st.tuples(st.just("pass"), st.integers(0, 100_000)),
        st.tuples(st.just("ntp"), st.booleans()),
    ),
    max_size=30,
)


@given(STEPS)
def test_while_it_is_trusted_it_never_jumps_by_more_than_sources_may_differ(steps):
    """Unless both sources say so together, whatever happens in whichever order."""
    source, clock = clocks(by_ntp=True)
    offset_ms = clock.utc_ms() - clock.monotonic_s() * 1000
    for what, value in steps:
        if what == "wall":
            source.step_wall_clock(value)
        elif what == "hear":
            clock.hear(value, clock.monotonic_s())
        elif what == "pass":
            source.advance_to(source.monotonic_s() + value)
        else:
            (source.trust if value else source.distrust)()
        utc_ms = clock.utc_ms()
        assert utc_ms >= 0 or utc_ms == source.utc_ms()
        if clock.is_trusted():
            now_ms = utc_ms - clock.monotonic_s() * 1000
            both = source.is_trusted() and clock._network_ms is not None
            assert both or abs(now_ms - offset_ms) <= AGREES_WITHIN_MS + 1
            offset_ms = now_ms


def test_certificates_are_judged_by_trusted_time_only_whatever_the_wall_clock_does():
    source, clock = clocks(by_ntp=True)
    faults = FaultBook()
    expiry = ExpiryStage(NOW_UTC_MS + YEAR_MS, clock, faults)
    expiry.step(0.0)
    source.step_wall_clock(10 * YEAR_MS)
    expiry.step(3600.0)
    assert faults.reports() == []
    clock.hear(NOW_UTC_MS + 10 * YEAR_MS, START_S)
    expiry.step(7200.0)
    assert [report.code for report in faults.reports()] == [FaultCode.CERTIFICATE_EXPIRING]


def test_a_dispute_is_latched_once_and_cleared_when_it_is_over(caplog):
    _, clock = clocks(by_ntp=True)
    faults = FaultBook()
    stage = ClockStage(clock, faults)
    assert stage.step(0.0) == LOOK_EVERY_S
    assert faults.reports() == []
    clock.hear(NOW_UTC_MS + YEAR_MS, START_S)
    stage.step(60.0)
    stage.step(120.0)
    assert [(report.code, report.count) for report in faults.reports()] == [(FaultCode.CLOCK_DISPUTED, 2)]
    assert len(caplog.records) == 1
    clock.hear(NOW_UTC_MS, START_S)
    stage.step(180.0)
    assert faults.reports() == []

"""A certificate that runs out is told in time, and a clock that nobody has set is not believed."""

import logging

import pytest
from made_reads import START_UTC_MS, SetClock

from firmware.expiry import LOOK_EVERY_S, UNTRUSTED_LOOK_EVERY_S, ExpiryStage
from firmware.faults import FaultBook, FaultCode
from firmware.identity import MS_PER_DAY


def stage_with(days, *, trusted=True):
    faults = FaultBook()
    end = START_UTC_MS + round(days * MS_PER_DAY)
    clock = SetClock(trusted=trusted)
    return ExpiryStage(end, clock, faults), faults, clock


def codes(faults):
    return [report.code for report in faults.reports()]


@pytest.mark.parametrize(
    ("days", "warns", "fails"),
    [
        (31, False, False),
        (30.1, False, False),
        (30, True, False),
        (7.1, True, False),
        (7, True, True),
        (-1, True, True),
    ],
)
def test_thirty_days_before_it_warns_and_seven_days_before_it_is_a_fault(days, warns, fails, caplog):
    stage, faults, _ = stage_with(days)
    assert stage.step(0.0) == LOOK_EVERY_S
    assert bool(caplog.records) is warns
    assert (codes(faults) == [FaultCode.CERTIFICATE_EXPIRING]) is fails
    if warns:
        assert "kestrel-provision unit rotate" in caplog.text
    assert ("has run out" in caplog.text) is (days < 0)


def test_it_warns_once_a_day_and_latches_once(caplog):
    stage, faults, clock = stage_with(20)
    caplog.set_level(logging.WARNING)
    for hour in range(48):
        stage.step(hour * 3600.0)
    assert len(caplog.records) == 2
    clock.now_utc_ms += 15 * MS_PER_DAY
    caplog.clear()
    for hour in range(48, 60):
        stage.step(hour * 3600.0)
    assert len(caplog.records) == 1
    assert faults.reports()[0].count == 12


def test_a_clock_that_nobody_has_set_is_not_believed(caplog):
    stage, faults, clock = stage_with(-100, trusted=False)
    assert stage.step(0.0) == UNTRUSTED_LOOK_EVERY_S
    assert not caplog.records
    clock.trusted = True
    stage.step(60.0)
    assert codes(faults) == [FaultCode.CERTIFICATE_EXPIRING]
    clock.now_utc_ms -= 200 * MS_PER_DAY  # the date was wrong, and is put right
    stage.step(120.0)
    assert codes(faults) == []

"""The stage that looks at battery and panel: what it tells, and that nothing it suffers stops anything."""

import logging

import pytest

from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.power import LOOK_EVERY_S, PowerStage
from firmware.records import PowerSample
from firmware.stage import NEVER_S

SAMPLE = PowerSample(at_s=1.0, battery_v=13.3, battery_a=0.8, panel_v=18.0, panel_w=14.0, board_c=None)
ABSENT = DeviceFault(FaultCode.METER_ABSENT, "check its plug")
NONSENSE = DeviceFault(FaultCode.METER_NONSENSE, "check its wires")


class ToldMeter:
    """Answers what it is told to, in this order."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def sample(self):
        answer = self.answers.pop(0)
        if isinstance(answer, DeviceFault):
            raise answer
        return answer


@pytest.fixture
def faults():
    return FaultBook()


def codes(faults):
    return [report.code for report in faults.reports()]


def test_it_looks_each_minute_and_keeps_the_newest(faults):
    stage = PowerStage(ToldMeter(SAMPLE), faults=faults)
    assert stage.sample.get() is None
    assert stage.step(7.0) == 7.0 + LOOK_EVERY_S
    assert stage.sample.get() is SAMPLE
    assert codes(faults) == []


def test_a_meter_at_fault_is_latched_once_and_the_old_sample_is_not_told_any_more(faults, caplog):
    stage = PowerStage(ToldMeter(SAMPLE, ABSENT, ABSENT), faults=faults)
    for minute in range(3):
        assert stage.step(60.0 * minute) == 60.0 * (minute + 1)
    assert stage.sample.get() is None
    (report,) = faults.reports()
    assert (report.code, report.first_s, report.count, report.hint) == (
        FaultCode.METER_ABSENT,
        60.0,
        2,
        "check its plug",
    )
    assert [line.message for line in caplog.records if line.levelno == logging.ERROR] == [
        "meter-absent: check its plug"
    ]


def test_one_fault_takes_the_place_of_the_other_and_a_sample_ends_both(faults, caplog):
    caplog.set_level(logging.INFO)
    stage = PowerStage(ToldMeter(ABSENT, NONSENSE, SAMPLE, SAMPLE), faults=faults)
    stage.step(0.0)
    stage.step(60.0)
    assert codes(faults) == [FaultCode.METER_NONSENSE]
    stage.step(120.0)
    stage.step(180.0)
    assert codes(faults) == []
    assert stage.sample.get() is SAMPLE
    assert [line.message for line in caplog.records].count("battery and panel are measured again") == 1


def test_other_faults_are_left_alone(faults):
    faults.latch(DeviceFault(FaultCode.CAMERA_SILENT, "check its cable"), 0.0)
    PowerStage(ToldMeter(SAMPLE), faults=faults).step(0.0)
    assert codes(faults) == [FaultCode.CAMERA_SILENT]


def test_without_a_meter_there_is_nothing_to_do(faults):
    stage = PowerStage(None, faults=faults)
    assert stage.step(0.0) == NEVER_S
    assert stage.sample.get() is None

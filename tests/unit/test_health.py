"""When a unit says how it fares, and that it says what is so."""

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kept_messages import sealed
from made_reads import KernelRandom, SetClock, made_config, made_sealer

from cloud.opening import open_health
from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware import VERSION, sealing
from firmware.agency_keys import SuiteNumber
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.health import FIRST_AFTER_S, LOOK_EVERY_S, NEW_FAULT_AFTER_S, Counts, HealthStage, Sources
from firmware.health_report import KeyPlace, PowerState, Spent, Thrift
from firmware.modem_records import (
    AccessTechnology,
    ModemState,
    ModemStatus,
    Registration,
)
from firmware.outbox import Outbox
from firmware.records import BoardState, MessageClass, PowerSample
from firmware.stage import Latest

AGENCY_KEY = OpeningKey.generate(SuiteNumber.X25519)
NOTHING = Counts(frames_read=0, frames_given_up=0, reads_sealed=0, reads_lost=0)
PERIOD_S = made_config().health.period_s
CABLE = DeviceFault(FaultCode.CAMERA_SILENT, "check the camera's cable")


class WarmSystem(KernelRandom):
    def board_state(self):
        return BoardState(board_c=61.25, throttled=0x50000)


class Bench:
    def __init__(self, folder):
        self.clock, self.faults, self.counts, self.causes = SetClock(), FaultBook(), NOTHING, {}
        self.spent, self.modem, self.factor = Latest(None), None, Latest(1)
        self.power = Latest(None)
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**7, retention_s=1e7, clock=self.clock, system=KernelRandom()
        )
        self.stage = HealthStage(
            made_sealer(Ed25519PrivateKey.generate(), AGENCY_KEY),
            self.outbox,
            made_config(),
            Sources(
                model_version="m-1",
                counts=lambda: self.counts,
                causes=lambda: self.causes,
                spent=self.spent,
                power=self.power,
                modem=lambda: self.modem,
                factor=self.factor,
            ),
            clock=self.clock,
            system=WarmSystem(),
            faults=self.faults,
        )
        self.now_s = 0.0

    def run(self, for_s):
        """Step the stage as its thread does for so long; return what it said."""
        before, end_s = len(self.told()), self.now_s + for_s
        while self.now_s < end_s:
            self.now_s = min(end_s, self.stage.step(self.now_s))
            self.clock.now_utc_ms += int(LOOK_EVERY_S * 1000)
        return self.told()[before:]

    def told(self):
        waiting = [one for one in self.outbox.next_unsent(10**4, 0.0) if one.message_class is MessageClass.HEALTH]
        return [open_health(sealing.from_wire(one.wire), OpeningKeys([AGENCY_KEY])) for one in waiting]


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


def test_a_message_comes_soon_after_the_start_and_then_each_period(bench):
    assert bench.run(FIRST_AFTER_S) == []
    assert len(bench.run(LOOK_EVERY_S)) == 1
    assert len(bench.run(10 * PERIOD_S)) == 10
    bench.factor.set(4)
    assert len(bench.run(8 * PERIOD_S)) == 2


def test_it_says_what_is_so(bench):
    bench.outbox.put(sealed(bench.outbox.reserve_sequence()))
    bench.counts = Counts(frames_read=9, frames_given_up=2, reads_sealed=7, reads_lost=1)
    bench.spent.set(Spent(day_bytes=1, month_bytes=2, thrift=Thrift.SMALL_PICTURES))
    bench.modem = ModemStatus(
        at_s=0.0,
        state=ModemState.CONNECTED,
        registration=Registration.HOME,
        technology=AccessTechnology.LTE,
        operator_code="00101",
        quality_ratio=0.5,
        rssi_dbm=-67.0,
        rsrp_dbm=-97.3,
        rsrq_db=None,
        is_connected=True,
        sent_bytes=None,
        received_bytes=None,
        network_utc_ms=None,
    )
    bench.causes = {"lost": 3}
    bench.faults.latch(CABLE, 10.0)
    (health,) = bench.run(FIRST_AFTER_S + LOOK_EVERY_S)
    assert (health.firmware_version, health.model_version, health.config_version) == (VERSION, "m-1", 1)
    assert (health.key_place, health.clock_trusted, health.uptime_s) == (KeyPlace.FILE, True, 60)
    assert (health.waiting, health.oldest_s) == (1, 60)
    assert health.waiting_bytes == bench.outbox.waiting_bytes() - len(bench.outbox.next_unsent(9, 0.0)[1].wire)
    assert (health.frames_read, health.frames_given_up, health.reads_sealed, health.reads_lost) == (9, 2, 7, 1)
    assert (health.spent.month_bytes, health.spent.thrift) == (2, Thrift.SMALL_PICTURES)
    assert (health.board_decidegrees, health.throttled) == (612, 0x50000)
    assert health.modem.signal_dbm == -97
    assert health.causes == {"lost": 3}
    assert [(one.code, one.since_s, one.count, one.hint) for one in health.faults] == [
        ("camera-silent", 50, 1, "check the camera's cable")
    ]


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ({"battery_v": 13.312, "battery_a": -0.1904, "panel_w": 0.0}, (13_312, -190, 0)),
        ({"battery_v": 13.3, "battery_a": 1.5, "panel_v": 18.1, "panel_w": 24.66}, (13_300, 1500, 24_660)),
        ({"battery_v": 13.3, "battery_a": 1.5}, (13_300, 1500, None)),
        ({"panel_v": 18.1, "panel_w": 24.66}, (None, None, 24_660)),
    ],
)
def test_battery_and_panel_are_told_as_far_as_they_are_measured(bench, measured, told):
    rest = dict.fromkeys(["battery_v", "battery_a", "panel_v", "panel_w", "board_c"])
    bench.power.set(PowerSample(at_s=1.0, **rest | measured))
    (health,) = bench.run(FIRST_AFTER_S + LOOK_EVERY_S)
    assert health.power == PowerState(battery_mv=told[0], battery_ma=told[1], panel_mw=told[2])
    bench.power.set(None)
    assert bench.run(PERIOD_S)[-1].power is None


def test_reads_of_the_last_hour_are_those_of_the_last_hour(bench):
    for minute in range(180):
        bench.counts = dataclasses.replace(NOTHING, reads_sealed=2 * minute if minute < 120 else 240)
        bench.run(LOOK_EVERY_S)
        if minute == 119:
            assert bench.stage.report(bench.now_s).reads_last_hour == 120
    assert bench.stage.report(bench.now_s).reads_last_hour == 2


def test_a_fault_that_is_new_is_told_at_once_but_not_again_and_again(bench):
    bench.run(FIRST_AFTER_S + LOOK_EVERY_S)
    bench.run(NEW_FAULT_AFTER_S)
    bench.faults.latch(CABLE, bench.now_s)
    (health,) = bench.run(LOOK_EVERY_S)
    assert health.faults[0].code == "camera-silent"
    assert bench.run(PERIOD_S / 2) == []
    told = 0
    for minute in range(60):  # two parts that come and go each minute
        bench.faults.clear(FaultCode.LAMP_ABSENT if minute % 2 else FaultCode.CAMERA_SILENT)
        bench.faults.latch(CABLE if minute % 2 else DeviceFault(FaultCode.LAMP_ABSENT, "check the lamp"), bench.now_s)
        told += len(bench.run(LOOK_EVERY_S))
    assert 3 <= told <= 4


def test_a_clock_that_nobody_has_set_is_told_as_such(bench):
    bench.clock.trusted = False
    bench.outbox.put(sealed(bench.outbox.reserve_sequence()))
    (health,) = bench.run(FIRST_AFTER_S + LOOK_EVERY_S)
    assert (health.clock_trusted, health.oldest_s) == (False, None)


def test_a_disk_that_refuses_is_a_fault_and_the_next_minute_tries_again(bench, monkeypatch):
    def refuse(message):
        raise DeviceFault(FaultCode.STORAGE_REFUSED, "the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(bench.outbox, "put", refuse)
        assert bench.run(FIRST_AFTER_S + LOOK_EVERY_S) == []
    (health,) = bench.run(LOOK_EVERY_S)
    assert health.faults[0].code == "storage-refused"


def test_setup_says_the_same_version():
    assert f'version="{VERSION}"' in (Path(__file__).resolve().parents[2] / "setup.py").read_text()

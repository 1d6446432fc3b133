"""The recovery ladder in virtual time, before a simulated modem: what is done when, and what must never be done."""

import itertools
import threading
from pathlib import Path

import pytest

from firmware.config import ModemConfig
from firmware.erasure import MARK_NAME, leave_mark
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.identity import REBOOTED_NAME
from firmware.key_files import NEXT_KEY_NAME
from firmware.modem_records import (
    ModemOrder,
)
from firmware.recovery import AFTER_S, BACK_OFF_S, REBOOT_AGAIN_S, STABLE_S, RecoveryStage, Rung
from firmware.retirement import Cause
from firmware.wall_clock import JudgedClock
from hw_sim.board import open_modem
from hw_sim.host import SimHost
from hw_sim.modem import ModemFailure
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers

START_S = 100.0
BROKEN_AT_S = 400.0
DAY_S = 86_400.0


class Sender:
    """Stands where the uplink stands: asks every few seconds, and is answered if anything passes."""

    name = "sender"

    def __init__(self, modem):
        self.wake = threading.Event()
        self.acked_at_s, self.has_something_to_say, self.answers = -float("inf"), True, []
        self._modem = modem

    def step(self, now_s):
        if self.has_something_to_say and self._modem.passes():
            self.acked_at_s = now_s
            self.answers.append(now_s)
        return now_s + 5.0

    def close(self):
        pass


class Unit:
    """One start of a unit with a modem, in virtual time."""

    def __init__(
        self, folder: Path, *, power_pin=23, boot=1, failure=ModemFailure.NOTHING, start_s=START_S, stage=None
    ):
        self.clock = VirtualClock(start_s=start_s, boot_id=boot.to_bytes(8, "big"))
        timers = VirtualTimers(self.clock)
        self.modem, rail = open_modem(ModemConfig(power_pin=power_pin), self.clock, make_timer=timers.timer)
        self.modem.fail(failure)
        self.sender, self.faults = Sender(self.modem), FaultBook()
        self.host = SimHost(on_reboot=self._rebooted)
        self.reboots_s, self.mended, self.held = [], [], False
        self.judged = JudgedClock(self.clock)
        self.stage = RecoveryStage(
            self.modem,
            rail,
            folder,
            acked_at_s=lambda: self.sender.acked_at_s,
            has_something_to_say=self._has_something_to_say,
            on_mended=lambda: self.mended.append(self.clock.monotonic_s()),
            clock=self.judged,
            system=self.host,
            faults=self.faults,
            is_held=lambda: self.held,
        )
        self.used: list[tuple[Rung, float]] = []
        self.time = VirtualTime([timers, self.sender, self.stage, _Watch(self)], self.clock)

    def run_for(self, seconds):
        self.time.run_until(self.clock.monotonic_s() + seconds)

    def codes(self):
        return {report.code for report in self.faults.reports()}

    def _has_something_to_say(self, _now_s):
        return self.sender.has_something_to_say

    def _rebooted(self):
        self.reboots_s.append(self.clock.monotonic_s())
        self.modem.reboot_host()


class _Watch:
    """Notes when a rung was used, by the stage's own count."""

    name = "watch"

    def __init__(self, unit):
        self.wake, self._unit, self._before = threading.Event(), unit, {}

    def step(self, now_s):
        self._unit.used += [(rung, now_s) for rung in Rung if self._unit.stage.rungs[rung] > self._before.get(rung, 0)]
        self._before = dict(self._unit.stage.rungs)
        return now_s + 1.0

    def close(self):
        pass


@pytest.fixture
def unit(tmp_path):
    one = Unit(tmp_path)
    one.run_for(BROKEN_AT_S - START_S)
    assert one.used == []
    yield one
    one.time.close()


MENDED_BY = {
    ModemFailure.BEARER: [Rung.RECONNECT],
    ModemFailure.FIRMWARE: [Rung.RECONNECT, Rung.RESET],
    ModemFailure.SUPPLY: [Rung.RECONNECT, Rung.RESET, Rung.POWER],
    ModemFailure.HOST: [Rung.RECONNECT, Rung.RESET, Rung.POWER, Rung.REBOOT],
}


@pytest.mark.parametrize("failure", MENDED_BY)
def test_what_can_be_mended_is_mended_within_ten_minutes_by_the_mildest_that_helps(unit, failure):
    unit.modem.fail(failure)
    unit.run_for(660.0)
    assert [rung for rung, _ in unit.used] == MENDED_BY[failure]
    for rung, at_s in unit.used:
        assert at_s - BROKEN_AT_S == pytest.approx(AFTER_S[rung], abs=12.0)
    assert next(at_s for at_s in unit.sender.answers if at_s > BROKEN_AT_S + 5.0) < BROKEN_AT_S + 600.0
    assert unit.modem.failure is ModemFailure.NOTHING
    assert unit.mended  # the uplink was told to try at once
    before = list(unit.used)
    unit.run_for(STABLE_S * 3)
    assert unit.used == before


def test_a_unit_without_a_switch_goes_from_the_reset_to_the_reboot(tmp_path):
    unit = Unit(tmp_path, power_pin=None, failure=ModemFailure.NETWORK)
    unit.run_for(600.0)
    assert [rung for rung, _ in unit.used] == [Rung.RECONNECT, Rung.RESET, Rung.REBOOT]


def test_each_rung_backs_off_by_doubling_and_there_are_three_reboots_a_day_at_most(tmp_path):
    """Three days without a network. Each reboot is a new start of the unit, which knows only what lies on the disk."""
    reboots_s, boot, ended_s = [], 0, 0.0
    while ended_s < 3 * DAY_S:
        boot += 1
        unit = Unit(tmp_path, boot=boot, failure=ModemFailure.NETWORK, start_s=30.0)
        while not unit.reboots_s and ended_s + unit.clock.monotonic_s() < 3 * DAY_S:
            unit.run_for(60.0)
        if boot == 2:
            resets_s = [at_s for rung, at_s in unit.used if rung is Rung.RESET]
            gaps_s = [later - earlier for earlier, later in itertools.pairwise(resets_s)]
            assert gaps_s[:4] == pytest.approx([BACK_OFF_S * 2**n for n in range(4)], abs=15)
        ended_s += unit.clock.monotonic_s()
        reboots_s += [ended_s] if unit.reboots_s else []
        unit.time.close()
    assert reboots_s[0] < 700.0
    for begun_s in reboots_s:
        assert sum(begun_s <= at_s < begun_s + DAY_S for at_s in reboots_s) <= 3
    assert len(reboots_s) >= 7


def test_with_nothing_to_say_silence_is_no_fault(unit):
    unit.modem.fail(ModemFailure.NETWORK)
    unit.sender.has_something_to_say = False
    unit.run_for(DAY_S)
    assert unit.used == []
    unit.sender.has_something_to_say = True
    unit.run_for(60.0)
    assert unit.used == []  # silence counts from when somebody asked
    unit.run_for(60.0)
    assert [rung for rung, _ in unit.used] == [Rung.RECONNECT]


def test_a_broker_that_cannot_be_reached_is_reason_enough_with_an_empty_outbox(unit):
    unit.modem.fail(ModemFailure.BEARER)
    unit.sender.has_something_to_say = False
    unit.faults.latch(DeviceFault(FaultCode.BROKER_UNREACHABLE, "no answer"), BROKEN_AT_S)
    unit.run_for(120.0)
    assert [rung for rung, _ in unit.used] == [Rung.RECONNECT]


def test_a_modem_that_calls_itself_connected_is_not_believed(unit):
    unit.modem.fail(ModemFailure.BEARER)
    unit.run_for(70.0)
    assert unit.stage.status.is_connected
    unit.run_for(30.0)
    assert unit.modem.done == [ModemOrder.RECONNECT]


def test_a_refusal_is_an_answer_until_an_attempt_finds_nobody(unit):
    unit.modem.fail(ModemFailure.NETWORK)
    for _ in range(60):
        unit.faults.latch(DeviceFault(FaultCode.BROKER_REFUSED, "not authorised"), unit.clock.monotonic_s())
        unit.run_for(60.0)
    assert unit.used == []
    unit.run_for(3600.0)
    assert unit.used == []  # it stands while the uplink waits before its next attempt
    unit.faults.latch(DeviceFault(FaultCode.BROKER_UNREACHABLE, "no answer"), unit.clock.monotonic_s())
    unit.run_for(80.0)
    assert unit.used == []  # silence counts from the first attempt without an answer
    unit.run_for(20.0)
    assert [rung for rung, _ in unit.used] == [Rung.RECONNECT]


def test_while_it_is_held_nothing_is_done_and_silence_counts_from_its_end(unit):
    unit.modem.fail(ModemFailure.NETWORK)
    unit.held = True
    unit.run_for(DAY_S)
    assert unit.used == []
    unit.held = False
    unit.run_for(80.0)
    assert unit.used == []
    unit.run_for(20.0)
    assert [rung for rung, _ in unit.used] == [Rung.RECONNECT]


def test_what_helps_for_minutes_only_is_followed_by_the_next_rung(unit):
    for _ in range(2):
        unit.modem.fail(ModemFailure.BEARER)
        unit.run_for(110.0 if not unit.used else 230.0)
        assert unit.modem.failure is ModemFailure.NOTHING or unit.used[-1][0] is Rung.RESET
        unit.run_for(STABLE_S / 2)
    assert [rung for rung, _ in unit.used] == [Rung.RECONNECT, Rung.RESET]


def test_after_stable_minutes_the_ladder_begins_from_its_foot(unit):
    for number in range(3):
        unit.modem.fail(ModemFailure.BEARER)
        unit.run_for(120.0)
        assert [rung for rung, _ in unit.used] == [Rung.RECONNECT] * (number + 1)
        unit.run_for(STABLE_S + 60.0)


def test_no_reboot_while_keys_are_being_changed(unit, tmp_path):
    unit.modem.fail(ModemFailure.NETWORK)
    (tmp_path / "device.crt").write_text("before")
    unit.run_for(400.0)
    (tmp_path / NEXT_KEY_NAME).write_text("asked for")
    unit.run_for(590.0)
    assert Rung.REBOOT not in unit.stage.rungs
    unit.run_for(120.0)
    assert unit.stage.rungs[Rung.REBOOT] == 1


def test_no_reboot_of_a_unit_that_erases_itself(unit, tmp_path):
    unit.modem.fail(ModemFailure.NETWORK)
    leave_mark(tmp_path, Cause.COMMAND)
    assert (tmp_path / MARK_NAME).exists()
    unit.run_for(2000.0)
    assert Rung.REBOOT not in unit.stage.rungs
    assert not unit.host.reboots


def test_a_reboot_that_cannot_be_noted_is_not_asked_for(unit, tmp_path):
    unit.modem.fail(ModemFailure.NETWORK)
    (tmp_path / REBOOTED_NAME).mkdir()  # cannot be replaced by a file
    unit.run_for(600.0)
    assert unit.host.reboots == 0
    assert FaultCode.STORAGE_REFUSED in unit.codes()


def test_a_service_that_starts_again_after_a_reboot_was_refused_does_not_ask_at_once(tmp_path):
    unit = Unit(tmp_path, failure=ModemFailure.NETWORK)
    unit.run_for(600.0)
    assert unit.host.reboots == 1
    again = Unit(tmp_path, failure=ModemFailure.NETWORK, start_s=START_S + 700.0)
    again.run_for(REBOOT_AGAIN_S - 60.0)
    assert again.host.reboots == 0
    again.run_for(1000.0)
    assert again.host.reboots == 1


def test_a_mark_that_cannot_be_read_counts_as_a_reboot(tmp_path):
    (tmp_path / REBOOTED_NAME).mkdir()
    unit = Unit(tmp_path, failure=ModemFailure.NETWORK)
    unit.run_for(3600.0)
    assert Rung.REBOOT not in unit.stage.rungs


def test_a_switch_that_cannot_be_driven_is_a_fault_and_the_ladder_goes_on(unit):
    unit.modem.fail(ModemFailure.HOST)

    class Broken:
        def cut(self, for_s):
            raise DeviceFault(FaultCode.RAIL_ABSENT, "the line is held")

        def close(self):
            pass

    unit.stage._rail = Broken()
    unit.run_for(600.0)
    assert FaultCode.RAIL_ABSENT in unit.codes()
    assert unit.host.reboots == 1


def test_a_modem_that_is_away_after_a_reset_is_no_fault_and_one_that_hangs_is(unit, caplog):
    unit.modem.fail(ModemFailure.FIRMWARE)
    unit.run_for(80.0)
    assert unit.codes() == {FaultCode.MODEM_SILENT}
    assert unit.stage.status is None
    unit.run_for(AFTER_S[Rung.RESET])
    assert unit.stage.status is not None
    assert unit.codes() == set()
    unit.modem.fail(ModemFailure.SUPPLY)
    unit.run_for(70.0)
    assert unit.codes() == {FaultCode.MODEM_ABSENT}
    assert [line.message for line in caplog.records].count("modem-silent: the modem does not answer") == 1


def test_each_use_of_a_rung_is_logged_once(unit, caplog):
    unit.modem.fail(ModemFailure.NETWORK)
    unit.run_for(600.0)
    lines = [line.getMessage() for line in caplog.records if "next:" in line.getMessage()]
    assert [line.partition("next: ")[2] for line in lines] == list(Rung)


def test_the_networks_time_reaches_the_clock(tmp_path):
    unit = Unit(tmp_path)
    unit.clock.distrust()
    utc_ms = unit.clock.utc_ms() + 30 * 86_400_000
    unit.run_for(1.0)
    assert not unit.judged.is_trusted()
    unit.modem.tell_time(utc_ms)
    unit.run_for(61.0)
    assert unit.judged.is_trusted()
    assert unit.judged.utc_ms() == pytest.approx(utc_ms + 61_000, abs=1)


def test_closing_gives_modem_and_supply_back(unit):
    unit.modem.fail(ModemFailure.NETWORK)
    unit.run_for(AFTER_S[Rung.POWER] + 5.0)
    assert not unit.modem._has_supply
    unit.stage.close()
    assert unit.modem._has_supply

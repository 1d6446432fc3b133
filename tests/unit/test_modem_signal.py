"""The signal as a modem tells it: over D-Bus to a ModemManager of our own, and from the simulated modem."""

import threading

import pytest
from dbus_fast import Variant
from modem_manager import IDENTITIES, MODEM_3GPP

from firmware.board.linux import LinuxClock
from firmware.board.modem import ManagedModem
from firmware.faults import DeviceFault, FaultCode
from hw_sim.modem import ModemFailure, ModemRules, SimModem
from hw_sim.runner import VirtualClock
from provisioning.signal_log import ModemSignal, Reception, summary_of
from provisioning.survey_session import looks


@pytest.fixture
def signal(bus):
    one = ModemSignal(ManagedModem(LinuxClock(), bus_address=bus, answer_limit_s=1.0, signal_period_s=2))
    yield one
    one.close()


def test_the_level_is_rsrp_and_the_network_that_the_modem_names(manager, signal):
    first = signal.sample(0.0)
    assert (first.rsrp_dbm, first.technology, first.is_registered) == (
        None,
        "LTE",
        True,
    )  # it was only asked to measure
    second = signal.sample(2.0)
    assert (second.at_s, second.rsrp_dbm, second.technology, second.is_registered) == (2.0, -103.5, "LTE", True)
    assert summary_of([first, second]).lost_ratio == 0.0


def test_it_is_measured_as_often_as_is_looked_and_the_service_s_own_period_comes_back(manager, bus, signal):
    manager._rate = 60
    signal.sample(0.0)
    assert manager._rate == 2
    service = ModemSignal(ManagedModem(LinuxClock(), bus_address=bus))
    service.sample(0.0)
    service.close()
    assert manager._rate == 60


def test_a_modem_that_nobody_serves_has_lost_its_cell(manager, signal):
    signal.sample(0.0)
    manager.changed = {MODEM_3GPP: {"RegistrationState": Variant("u", 2)}}  # searching
    sample = signal.sample(2.0)
    assert (sample.rsrp_dbm, sample.is_registered) == (None, False)
    assert summary_of([sample]).reception is Reception.NONE


def test_without_a_modem_it_says_so_and_where_to_look(manager, signal):
    manager.unplug()
    with pytest.raises(DeviceFault) as caught:
        signal.sample(0.0)
    assert caught.value.code is FaultCode.MODEM_ABSENT
    assert "mmcli -L" in caught.value.hint
    assert not any(identity in str(caught.value) for identity in IDENTITIES.values())


def test_a_modem_that_goes_away_in_the_midst_of_a_log_does_not_end_it(manager, signal):
    now = [0.0]

    def wait(for_s):
        now[0] += for_s
        if now[0] == 6.0:
            manager.unplug()
        if now[0] == 10.0:
            manager.plug()

    taken = looks(signal, 12.0, now_s=lambda: now[0], wait=wait)
    assert [sample.is_registered for sample in taken] == [True, True, True, False, False, True, True]
    assert summary_of(taken).reception is Reception.POOR


def test_a_service_that_does_not_answer_is_silent(manager, signal):
    manager.silent.add("GetManagedObjects")
    with pytest.raises(DeviceFault, match=r"^modem-silent: "):
        signal.sample(0.0)


def test_a_port_that_never_answers_does_not_hold_anybody_up():
    mute = ModemSignal(SimModem(LinuxClock(), Timers().make), answer_limit_s=0.05)
    with pytest.raises(DeviceFault, match=r"^modem-silent: "):
        mute.sample(0.0)


class Timers:
    """Timers that a test lets run out."""

    def __init__(self):
        self.calls = []

    def make(self, _delay_s, call):
        self.calls.append(call)
        return threading.Timer(0.0, lambda: None)

    def run(self):
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def simulated(clock, timers, **rules):
    return SimModem(clock, timers.make, ModemRules(**rules), seed=3)


def levels(clock, count, **rules):
    timers = Timers()
    signal = ModemSignal(simulated(clock, timers, **rules))
    found = []
    for _ in range(count):
        signal.ask()
        assert not signal.heard()  # it takes its time, and nobody waits
        timers.run()
        assert signal.heard()
        found.append(signal.newest)
        clock.advance_to(clock.monotonic_s() + 2.0)
    return found


def test_a_simulated_cell_fades_around_its_mean_and_repeats():
    found = levels(VirtualClock(start_s=100.0), 150)
    assert [one.rsrp_dbm for one in found] == [one.rsrp_dbm for one in levels(VirtualClock(start_s=100.0), 150)]
    summary = summary_of(found)
    assert summary.median_dbm == pytest.approx(-97.0, abs=1.5)
    assert 4.0 < summary.best_dbm - summary.worst_dbm < 20.0
    weak = summary_of(levels(VirtualClock(start_s=100.0), 150, rsrp_dbm=-116.0))
    assert weak.reception is Reception.POOR


def test_what_is_wrong_with_the_simulated_modem_is_told_while_somebody_aims():
    timers, clock = Timers(), VirtualClock(start_s=100.0)
    modem = simulated(clock, timers)
    signal = ModemSignal(modem)
    for failure, code in (
        (ModemFailure.SUPPLY, FaultCode.MODEM_ABSENT),
        (ModemFailure.FIRMWARE, FaultCode.MODEM_SILENT),
    ):
        modem.fail(failure)
        signal.ask()
        timers.run()
        assert signal.heard()
        assert signal.fault.code is code
    modem.fail(ModemFailure.NETWORK)
    signal.ask()
    timers.run()
    signal.heard()
    assert signal.fault is None
    assert not signal.newest.is_registered

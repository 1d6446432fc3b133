"""The modem's adapter against a ModemManager on a bus of its own: each order really called, each way to fail."""

import dataclasses
import logging
import threading

import pytest
from dbus_fast import Variant
from modem_manager import IDENTITIES, ModemManager, private_bus

from firmware.board import logind
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.board.modem import BEARER, MODEM, MODEM_3GPP, ROOT, SIGNAL, ManagedModem
from firmware.faults import DeviceFault, FaultCode
from firmware.modem_records import (
    AccessTechnology,
    CardState,
    ModemDone,
    ModemFlaw,
    ModemOrder,
    ModemState,
    ModemStatus,
    ModemTrouble,
    Registration,
)

PATIENCE_S = 15.0
UTC_MS = 1_800_028_800_000  # 2027-01-15T08:00:00-08:00


class Asked:
    """A modem, and the event that follows an order."""

    def __init__(self, address, **limits):
        self.wake = threading.Event()
        self.modem = ManagedModem(LinuxClock(), bus_address=address, **({"answer_limit_s": 5.0} | limits))
        self.modem.listen(self.wake)

    def __call__(self, order):
        assert self.modem.ask(order)
        assert self.wake.wait(PATIENCE_S)
        self.wake.clear()
        (event,) = self.modem.events()
        return event


@pytest.fixture
def asked(bus):
    one = Asked(bus, redial_wait_s=0.3)
    yield one
    one.modem.close()
    assert not one.modem._thread.is_alive()


def test_a_look_tells_what_the_modem_says_and_whose_network_it_is_on(manager, asked):
    status = asked(ModemOrder.LOOK)
    assert isinstance(status, ModemStatus)
    assert dataclasses.replace(status, at_s=0.0) == ModemStatus(
        at_s=0.0,
        state=ModemState.CONNECTED,
        registration=Registration.HOME,
        technology=AccessTechnology.LTE,
        operator_code="310410",
        quality_ratio=0.57,
        rssi_dbm=None,  # nobody has asked for levels yet
        rsrp_dbm=None,
        rsrq_db=None,
        is_connected=True,
        sent_bytes=1_200,
        received_bytes=3_400,
        network_utc_ms=UTC_MS,
    )
    assert 0.0 <= LinuxClock().monotonic_s() - status.at_s < PATIENCE_S
    again = asked(ModemOrder.LOOK)
    assert (again.rssi_dbm, again.rsrp_dbm, again.rsrq_db) == (-71.0, -103.5, -12.0)
    assert [member for _, member in manager.calls] == ["Setup"]  # once


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((-1, 3, 0), (ModemState.FAILED, Registration.DENIED, AccessTechnology.NONE)),
        ((7, 2, 1 << 5), (ModemState.SEARCHING, Registration.SEARCHING, AccessTechnology.UMTS)),
        ((8, 5, 1 << 16), (ModemState.REGISTERED, Registration.ROAMING, AccessTechnology.LTE_M)),
        ((11, 1, 1 << 14 | 1 << 15), (ModemState.CONNECTED, Registration.HOME, AccessTechnology.NR5G)),
        ((99, 99, 1 << 31), (ModemState.UNKNOWN, Registration.UNKNOWN, AccessTechnology.OTHER)),
    ],
)
def test_numbers_of_modem_manager_become_words(manager, asked, said, expected):
    state, registration, bits = said
    manager.changed = {
        MODEM: {"State": Variant("i", state), "AccessTechnologies": Variant("u", bits)},
        MODEM_3GPP: {"RegistrationState": Variant("u", registration), "OperatorCode": Variant("s", "call me")},
    }
    status = asked(ModemOrder.LOOK)
    assert (status.state, status.registration, status.technology) == expected
    assert status.operator_code == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((11, 0, 1), CardState.READY),
        ((11, 0, 3), CardState.READY),  # the second PIN guards no data
        ((2, 0, 2), CardState.LOCKED),
        ((2, 0, 4), CardState.LOCKED),  # PUK
        ((-1, 2, 0), CardState.MISSING),
        ((-1, 3, 0), CardState.BAD),
        ((-1, 1, 0), CardState.UNKNOWN),
    ],
)
def test_how_the_card_is_comes_of_why_the_modem_failed_and_of_its_lock(manager, asked, said, expected):
    state, reason, lock = said
    manager.changed = {
        MODEM: {
            "State": Variant("i", state),
            "StateFailedReason": Variant("u", reason),
            "UnlockRequired": Variant("u", lock),
        }
    }
    assert asked(ModemOrder.LOOK).card is expected


@pytest.mark.parametrize("text", ["", "yesterday", "2027-01-15T08:00:00"])
def test_a_time_without_a_zone_is_no_time(manager, asked, text):
    manager.network_time = text
    assert asked(ModemOrder.LOOK).network_utc_ms is None


def test_a_network_that_tells_no_time_is_no_trouble(manager, asked):
    manager.refused["GetNetworkTime"] = "org.freedesktop.ModemManager1.Error.Core.Unsupported"
    assert asked(ModemOrder.LOOK).network_utc_ms is None


def test_impossible_levels_are_not_told(manager, asked):
    manager.changed = {SIGNAL: {"Lte": Variant("a{sv}", {"rsrp": Variant("d", -32768.0), "rssi": Variant("d", 0.0)})}}
    status = asked(ModemOrder.LOOK)
    assert (status.rssi_dbm, status.rsrp_dbm, status.rsrq_db) == (None, None, None)


def test_reconnecting_ends_the_connection_and_leaves_the_rest_to_whoever_keeps_it(manager, asked):
    assert asked(ModemOrder.RECONNECT) == ModemDone(order=ModemOrder.RECONNECT)
    assert manager.calls == [(f"{ROOT}/Bearer/0", "Disconnect")]
    assert manager.connected


def test_reconnecting_connects_the_bearer_where_nobody_else_does(manager, asked):
    manager.redials = False
    assert asked(ModemOrder.RECONNECT) == ModemDone(order=ModemOrder.RECONNECT)
    assert manager.calls == [(f"{ROOT}/Bearer/0", "Disconnect"), (f"{ROOT}/Bearer/0", "Connect")]
    assert manager.connected


def test_with_nothing_connected_the_radio_is_switched_off_and_on(manager, asked):
    manager.connected = False
    assert asked(ModemOrder.RECONNECT) == ModemDone(order=ModemOrder.RECONNECT)
    assert manager.calls == [(f"{ROOT}/Modem/0", "Enable"), (f"{ROOT}/Modem/0", "Enable")]
    assert manager.connected


def test_a_reset_modem_is_found_again_under_its_new_path(manager, asked):
    assert asked(ModemOrder.RESET) == ModemDone(order=ModemOrder.RESET)
    assert manager.calls == [(f"{ROOT}/Modem/0", "Reset")]
    trouble = asked(ModemOrder.LOOK)
    assert (trouble.order, trouble.flaw) == (ModemOrder.LOOK, ModemFlaw.ABSENT)
    assert "mmcli -L" in trouble.hint
    for _ in range(20):
        if isinstance(status := asked(ModemOrder.LOOK), ModemStatus):
            break
        threading.Event().wait(0.1)
    assert status.is_connected
    assert asked(ModemOrder.RECONNECT) == ModemDone(order=ModemOrder.RECONNECT)
    assert manager.calls[-1] == (f"{ROOT}/Bearer/1", "Disconnect")


def test_of_ten_modems_the_first_by_number_counts(manager, asked):
    manager.path = f"{ROOT}/Modem/9"
    faces = manager._faces()
    other = faces | {MODEM: faces[MODEM] | {"State": Variant("i", 3)}}
    objects = {f"{ROOT}/Modem/10": other, f"{ROOT}/Modem/9": faces, f"{ROOT}/SIM/0": {}}
    manager.answers["GetManagedObjects"] = ("a{oa{sa{sv}}}", [objects])
    assert asked(ModemOrder.LOOK).state is ModemState.CONNECTED


@pytest.mark.parametrize("member", ["GetManagedObjects", "GetAll", "GetNetworkTime"])
def test_a_method_that_is_never_answered_is_given_up(manager, asked, member):
    manager.silent.add(member)
    trouble = asked(ModemOrder.LOOK)
    assert trouble == ModemTrouble(
        order=ModemOrder.LOOK, flaw=ModemFlaw.SILENT, hint=f"{member} was not answered; check the modem: `mmcli -m any`"
    )
    manager.silent.clear()
    assert isinstance(asked(ModemOrder.LOOK), ModemStatus)


@pytest.mark.parametrize(("order", "member"), [(ModemOrder.RECONNECT, "Disconnect"), (ModemOrder.RESET, "Reset")])
def test_what_may_not_be_done_is_refused_by_name_only(manager, asked, order, member):
    manager.refused[member] = "org.freedesktop.ModemManager1.Error.Core.Unauthorized"
    trouble = asked(order)
    assert (trouble.order, trouble.flaw) == (order, ModemFlaw.REFUSED)
    assert "Error.Core.Unauthorized" in trouble.hint
    assert IDENTITIES["IMSI"] not in trouble.hint


WRONG = [
    ({MODEM: {"State": Variant("s", "connected")}}, "State"),
    ({MODEM: {"SignalQuality": Variant("u", 5)}}, "SignalQuality"),
    ({MODEM: {"AccessTechnologies": Variant("i", -1)}}, "AccessTechnologies"),
    ({MODEM: {"Bearers": Variant("as", ["/a"])}}, "Bearers"),
    ({MODEM_3GPP: {"OperatorCode": Variant("ay", b"310410")}}, "OperatorCode"),
    ({SIGNAL: {"Lte": Variant("a{sv}", {"rsrp": Variant("s", "strong")})}}, "rsrp"),
    ({SIGNAL: {"Rate": Variant("s", "often")}}, "Rate"),
    ({BEARER: {"Connected": Variant("s", "yes")}}, "Connected"),
    ({BEARER: {"Stats": Variant("a{sv}", {"tx-bytes": Variant("d", 1.5)})}}, "tx-bytes"),
]


@pytest.mark.parametrize(("changed", "name"), WRONG, ids=[name for _, name in WRONG])
def test_an_answer_of_another_type_is_nonsense_and_ends_nothing(manager, asked, changed, name):
    manager.changed = changed
    trouble = asked(ModemOrder.LOOK)
    assert (trouble.order, trouble.flaw) == (ModemOrder.LOOK, ModemFlaw.NONSENSE)
    assert name in trouble.hint
    manager.changed = {}
    assert isinstance(asked(ModemOrder.LOOK), ModemStatus)


def test_an_answer_of_another_signature_is_nonsense(manager, asked):
    manager.answers["GetManagedObjects"] = ("s", ["here they are"])
    assert asked(ModemOrder.LOOK).flaw is ModemFlaw.NONSENSE


def test_without_modem_manager_there_is_no_modem(bus, asked):
    assert asked(ModemOrder.LOOK).flaw is ModemFlaw.ABSENT


def test_without_a_bus_and_with_one_that_comes_later(tmp_path):
    one = Asked(f"unix:path={tmp_path}/bus")
    try:
        trouble = one(ModemOrder.LOOK)
        assert trouble.flaw is ModemFlaw.SILENT
        assert "dbus.service" in trouble.hint
        with private_bus(tmp_path) as (address, _), ModemManager(address):
            assert isinstance(one(ModemOrder.LOOK), ModemStatus)
    finally:
        one.modem.close()


def test_a_bus_that_dies_is_told_and_another_in_its_place_is_found(tmp_path):
    one = Asked(f"unix:path={tmp_path}/bus")
    try:
        with private_bus(tmp_path) as (address, daemon), ModemManager(address):
            assert isinstance(one(ModemOrder.LOOK), ModemStatus)
            daemon.kill()
            daemon.wait(10)
            assert one(ModemOrder.LOOK).flaw is ModemFlaw.SILENT
        (tmp_path / "bus").unlink(missing_ok=True)
        with private_bus(tmp_path) as (address, _), ModemManager(address):
            assert isinstance(one(ModemOrder.LOOK), ModemStatus)
    finally:
        one.modem.close()


def test_a_bus_that_dies_while_it_is_asked(tmp_path):
    one = Asked(f"unix:path={tmp_path}/bus")
    try:
        with private_bus(tmp_path) as (address, daemon), ModemManager(address) as manager:
            manager.silent.add("GetManagedObjects")
            threading.Timer(0.3, daemon.kill).start()
            assert one(ModemOrder.LOOK).flaw is ModemFlaw.SILENT
    finally:
        one.modem.close()


def test_an_order_is_taken_once_while_it_waits_and_closing_gives_it_up(manager, bus):
    one = Asked(bus, answer_limit_s=30.0)
    manager.silent.add("GetManagedObjects")
    assert one.modem.ask(ModemOrder.LOOK)
    assert not one.modem.ask(ModemOrder.LOOK)
    assert one.modem.ask(ModemOrder.RESET)
    one.modem.close()
    assert not one.modem._thread.is_alive()
    assert one.modem.events() == []
    with pytest.raises(RuntimeError, match="does not run"):
        one.modem.ask(ModemOrder.LOOK)


def test_nothing_that_names_subscriber_or_device_is_kept_or_logged(manager, asked, caplog):
    """All that the process logs at the most talkative level, and all that the adapter holds and hands on."""
    caplog.set_level(logging.DEBUG)
    told = [asked(order) for order in (ModemOrder.LOOK, ModemOrder.RECONNECT)]
    manager.refused["Reset"] = f"org.example.Error.Modem{IDENTITIES['IMEI']}"
    told.append(asked(ModemOrder.RESET))
    manager.changed = {MODEM: {"State": Variant("s", IDENTITIES["own number"])}}
    told.append(asked(ModemOrder.LOOK))
    held = repr(told) + repr(vars(asked.modem)) + caplog.text
    assert [what for what, text in IDENTITIES.items() if text.lstrip("+") in held] == []
    assert "310410" in held  # what is looked for would be found


def test_a_reboot_is_asked_of_logind_and_of_nobody_else(manager, bus):
    LinuxSystem(bus_address=bus).reboot()
    assert manager.calls == [("/org/freedesktop/login1", "Reboot")]


@pytest.mark.parametrize("fails", ["refused", "silent"])
def test_a_reboot_that_is_not_allowed_is_a_fault_that_says_what_to_do(manager, bus, fails):
    if fails == "refused":
        manager.refused["Reboot"] = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    else:
        manager.silent.add("Reboot")
    with pytest.raises(DeviceFault, match="kestrel-provision card install") as refused:
        logind.reboot(bus, answer_limit_s=0.5)
    assert refused.value.code is FaultCode.REBOOT_REFUSED


def test_a_reboot_without_a_bus_is_a_fault(tmp_path):
    with pytest.raises(DeviceFault, match="bus is gone"):
        LinuxSystem(bus_address=f"unix:path={tmp_path}/nobody").reboot()

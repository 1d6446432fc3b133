"""A ModemManager for tests: a service on a private message bus, with one modem, one bearer and a subscriber.

It speaks real D-Bus through a real dbus-daemon. World face: attributes that a test sets. It obeys the part's own rules:
a reset modem vanishes and comes back under another path, a bearer that is connected cannot be connected again, RSRP and
RSRQ are told only after somebody has asked for them.
"""

import asyncio
import contextlib
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from firmware.board.modem import BEARER, MODEM, MODEM_3GPP, ROOT, SERVICE, SIGNAL, TIME

IDENTITIES = {
    "own number": "+15550001234",
    "IMEI": "356938035643809",
    "IMSI": "310150123456789",
    "ICCID": "8991101200003204510",
}
"""What names subscriber and device. The IMEI is the one of 3GPP's own example, the others are of test ranges."""

LOGIND = "org.freedesktop.login1"
REGISTERED, CONNECTED = 8, 11  # MMModemState


@contextlib.contextmanager
def private_bus(folder: Path):
    """A message bus of its own; yields its address and the process."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed; `make message-bus` installs it")
    address = f"unix:path={folder}/bus"
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", f"--address={address}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as daemon:
        try:
            assert daemon.stdout.readline().startswith(address)
            yield address, daemon
        finally:
            daemon.kill()


class ModemManager:
    """The service, and systemd-logind's beside it. World face: the attributes, `unplug` and `plug`."""

    def __init__(self, address: str) -> None:
        self.calls: list[tuple[str, str]] = []  # (path, member) of what changes something
        self.silent: set[str] = set()  # members that are never answered
        self.refused: dict[str, str] = {}  # members to error names
        self.answers: dict[str, tuple[str, list]] = {}  # members to another answer, and its type
        self.redials = True  # somebody like NetworkManager connects again
        self.connected = True
        self.path = f"{ROOT}/Modem/0"
        self.is_there = True
        self.network_time = "2027-01-15T08:00:00-08:00"
        self.changed: dict[str, dict[str, Variant]] = {}  # properties that differ, by interface
        self._numbers = 0
        self._rate = 0
        self._address = address
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def unplug(self):
        self.is_there = False

    def plug(self):
        """Come back, as always under another path."""
        self._numbers += 1
        self.path = f"{ROOT}/Modem/{self._numbers}"
        self.is_there, self.connected, self._rate = True, self.redials, 0

    async def _serve(self):
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        bus = await MessageBus(bus_address=self._address).connect()
        for name in (SERVICE, LOGIND):
            await bus.request_name(name)
        bus.add_message_handler(self._answer)
        self._ready.set()
        ended = asyncio.ensure_future(bus.wait_for_disconnect())
        await self._over.wait()
        if bus.connected:
            bus.disconnect()
        await asyncio.wait([ended])
        if not ended.cancelled():
            ended.exception()  # a bus that was killed

    def _answer(self, message):
        if message.message_type is not MessageType.METHOD_CALL or message.destination not in {SERVICE, LOGIND}:
            return None
        member = message.member
        if member not in {"GetManagedObjects", "GetAll", "GetNetworkTime"}:
            self.calls.append((message.path, member))
        if member in self.silent:
            return True  # dealt with, and nothing said
        if member in self.refused:
            return Message.new_error(message, self.refused[member], f"refused to {IDENTITIES['IMSI']}")
        if member in self.answers:
            return Message.new_method_return(message, *self.answers[member])
        signature, body = self._done(message, member)
        if signature is None:
            return Message.new_error(message, *body)
        return Message.new_method_return(message, signature, body)

    def _done(self, message, member):
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [{self.path: self._faces()} if self.is_there else {}]
        if member == "Reboot":
            return "", []
        if not self.is_there or (message.path != self.path and "/Bearer/" not in message.path):
            return None, ["org.freedesktop.DBus.Error.UnknownObject", "gone"]
        return getattr(self, f"_{member.lower()}")(*message.body)

    def _getall(self, _interface):
        statistics = {"tx-bytes": Variant("t", 1_200), "rx-bytes": Variant("t", 3_400)}
        bearer = {
            "Connected": Variant("b", self.connected),
            "Interface": Variant("s", "wwan0"),
            "Stats": Variant("a{sv}", statistics if self.connected else {}),
        }
        return "a{sv}", [bearer | self.changed.get(BEARER, {})]

    def _getnetworktime(self):
        return "s", [self.network_time]

    def _setup(self, rate):
        self._rate = rate
        return "", []

    def _disconnect(self):
        self.connected = self.redials
        return "", []

    def _connect(self):
        if self.connected:
            return None, [f"{SERVICE}.Error.Core.WrongState", "connected already"]
        self.connected = True
        return "", []

    def _enable(self, is_on):
        self.connected = is_on and self.redials
        return "", []

    def _reset(self):
        self.unplug()
        self._loop.call_later(0.3, self.plug)
        return "", []

    def _faces(self):
        levels = {"rssi": Variant("d", -71.0), "rsrp": Variant("d", -103.5), "rsrq": Variant("d", -12.0)}
        faces = {
            MODEM: {
                "State": Variant("i", CONNECTED if self.connected else REGISTERED),
                "AccessTechnologies": Variant("u", 1 << 14),
                "SignalQuality": Variant("(ub)", [57, True]),
                "Bearers": Variant("ao", [f"{ROOT}/Bearer/{self._numbers}"]),
                "OwnNumbers": Variant("as", [IDENTITIES["own number"]]),
                "EquipmentIdentifier": Variant("s", IDENTITIES["IMEI"]),
                "DeviceIdentifier": Variant("s", IDENTITIES["ICCID"]),
            },
            MODEM_3GPP: {
                "Imei": Variant("s", IDENTITIES["IMEI"]),
                "RegistrationState": Variant("u", 1),
                "OperatorCode": Variant("s", "310410"),
                "OperatorName": Variant("s", "Test network"),
            },
            SIGNAL: {
                "Rate": Variant("u", self._rate),
                "Lte": Variant("a{sv}", levels if self._rate else {}),
                "Nr5g": Variant("a{sv}", {}),
            },
            TIME: {},
        }
        return {name: properties | self.changed.get(name, {}) for name, properties in faces.items()}

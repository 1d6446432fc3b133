"""The cellular modem through ModemManager, over D-Bus. It translates, nothing else; recovery.py decides.

One thread with one event loop takes orders, one at a time, and appends an event for each. The modem is looked for anew
at every order, because it comes back under another path after each reset. ModemManager names subscriber and device in
the same answer (own number, IMEI); of it only what `ModemStatus` has is looked at, and nothing of it is kept or logged.

Interfaces: https://www.freedesktop.org/software/ModemManager/api/latest/ (ModemManager 1.20 of Debian 12).
"""

import asyncio
import contextlib
import datetime as dt
import math
import re
import threading
from collections import deque
from typing import Any, Final

from dbus_fast import Variant

from firmware.board.system_bus import PROPERTIES, SYSTEM_BUS, CallFailed, CallFlaw, SystemBus, value_of
from firmware.modem_records import (
    AccessTechnology,
    CardState,
    ModemDone,
    ModemEvent,
    ModemFlaw,
    ModemOrder,
    ModemState,
    ModemStatus,
    ModemTrouble,
    Registration,
)
from firmware.ports import Clock
from firmware.stage import drained

SERVICE: Final = "org.freedesktop.ModemManager1"
ROOT: Final = "/org/freedesktop/ModemManager1"
MODEM: Final = f"{SERVICE}.Modem"
MODEM_3GPP: Final = f"{MODEM}.Modem3gpp"
SIGNAL: Final = f"{MODEM}.Signal"
TIME: Final = f"{MODEM}.Time"
BEARER: Final = f"{SERVICE}.Bearer"

ANSWER_LIMIT_S: Final = 10.0
"""For what ModemManager knows or has only to pass on."""

DIAL_LIMIT_S: Final = 60.0
"""For what the network has a part in: to connect, to disconnect, to switch the radio off and on."""

REDIAL_WAIT_S: Final = 15.0
"""Whoever keeps the connection (NetworkManager) is given so long to make it anew by itself."""

LOOK_AGAIN_S: Final = 1.0
CLOSE_LIMIT_S: Final = 5.0

SIGNAL_PERIOD_S: Final = 60
"""ModemManager asks the modem for RSRP and RSRQ only where somebody has said how often (Signal.Setup).

For a unit each minute will do; whoever aims an antenna wants it sooner."""

_STATES: Final = dict(enumerate(ModemState, start=-1))  # MMModemState counts from -1

_REGISTRATIONS: Final = {
    0: Registration.IDLE,
    1: Registration.HOME,
    2: Registration.SEARCHING,
    3: Registration.DENIED,
    5: Registration.ROAMING,
    6: Registration.LIMITED,
    7: Registration.LIMITED,
    8: Registration.LIMITED,
    9: Registration.HOME,
    10: Registration.ROAMING,
}
"""MMModem3gppRegistrationState; 9 and 10 are data with calls on another network."""

_TECHNOLOGIES: Final = (
    (1 << 15, AccessTechnology.NR5G),
    (1 << 14, AccessTechnology.LTE),
    (1 << 16, AccessTechnology.LTE_M),
    (1 << 17, AccessTechnology.NB_IOT),
    (0b1_1111 << 5, AccessTechnology.UMTS),
    (0b1111 << 1, AccessTechnology.GSM),
)
"""MMModemAccessTechnology, bit by bit: the newest counts."""

_FLAWS: Final = {
    CallFlaw.NO_BUS: (ModemFlaw.SILENT, "check dbus.service"),
    CallFlaw.NOBODY: (ModemFlaw.ABSENT, "check ModemManager.service, the modem's supply and its plug: `mmcli -L`"),
    CallFlaw.SILENT: (ModemFlaw.SILENT, "check the modem: `mmcli -m any`"),
    CallFlaw.REFUSED: (ModemFlaw.REFUSED, "check the modem: `mmcli -m any`; leave is given by `card install`"),
    CallFlaw.NONSENSE: (ModemFlaw.NONSENSE, "check that ModemManager is of this Debian release"),
}

_CARD_FLAWS: Final = {2: CardState.MISSING, 3: CardState.BAD}
"""MMModemStateFailedReason."""

_CARD_IS_OPEN: Final = frozenset({1, 3, 5})
"""MMModemLock: none, and those of the second PIN, which guards no data."""

_WEAKEST_DBM: Final = -160.0
_OPERATOR: Final = re.compile(r"[0-9]{5,6}")


class ManagedModem:
    """The Modem port over ModemManager."""

    def __init__(
        self,
        clock: Clock,
        *,
        bus_address: str = SYSTEM_BUS,
        answer_limit_s: float = ANSWER_LIMIT_S,
        redial_wait_s: float = REDIAL_WAIT_S,
        signal_period_s: int = SIGNAL_PERIOD_S,
    ) -> None:
        """Take where the bus is, and how often RSRP is measured anew. Nothing is connected before the first order."""
        self._clock = clock
        self._bus_address = bus_address
        self._answer_limit_s = answer_limit_s
        self._redial_wait_s = redial_wait_s
        self._signal_period_s = signal_period_s
        self._events: deque[ModemEvent] = deque()  # at most one for each pending order
        self._pending: set[ModemOrder] = set()
        self._orders: asyncio.Queue[ModemOrder] = asyncio.Queue()
        self._wake: threading.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modem-bus", daemon=False)

    def listen(self, wake: threading.Event) -> None:
        """Start the thread that carries orders out; set `wake` at every event."""
        self._wake = wake
        self._thread.start()
        self._is_ready.wait()

    def ask(self, order: ModemOrder) -> bool:
        """Take `order`; False if the same one is still waiting or under way. Never waits."""
        if self._loop is None or not self._thread.is_alive():
            raise RuntimeError("the modem's thread does not run")
        if order in self._pending:
            return False
        self._pending.add(order)
        self._loop.call_soon_threadsafe(self._orders.put_nowait, order)
        return True

    def events(self) -> list[ModemEvent]:
        """Return and forget the events since the last call, oldest first."""
        return drained(self._events)

    def close(self) -> None:
        """Give up what is under way and end the thread."""
        if self._loop is None or self._serving is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(CLOSE_LIMIT_S)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        """Carry orders out until cancelled. The only thing that this thread tells others are appended events."""
        self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
        bus = SystemBus(self._bus_address, self._answer_limit_s)
        self._is_ready.set()
        try:
            while True:
                order = await self._orders.get()
                self._events.append(await self._outcome(bus, order))
                self._pending.discard(order)
                if self._wake is not None:
                    self._wake.set()
        finally:
            bus.close()

    async def _outcome(self, bus: SystemBus, order: ModemOrder) -> ModemEvent:
        try:
            match order:
                case ModemOrder.LOOK:
                    return await self._status(bus)
                case ModemOrder.RECONNECT:
                    await self._reconnect(bus)
                case ModemOrder.RESET:
                    path, _ = await _modem(bus)
                    await bus.call(SERVICE, path, f"{MODEM}.Reset", limit_s=DIAL_LIMIT_S)
        except CallFailed as failed:
            flaw, hint = _FLAWS[failed.flaw]
            return ModemTrouble(order=order, flaw=flaw, hint=f"{failed}; {hint}")
        return ModemDone(order=order)

    async def _status(self, bus: SystemBus) -> ModemStatus:
        """Return what the modem says. Raises CallFailed."""
        path, faces = await _modem(bus)
        modem, network = faces[MODEM], faces.get(MODEM_3GPP, {})
        quality, _is_recent = value_of(modem, "SignalQuality", "(ub)")
        operator = value_of(network, "OperatorCode", "s") if network else ""
        connected = [bearer for _, bearer in await _bearers(bus, modem) if value_of(bearer, "Connected", "b")]
        statistics = value_of(connected[0], "Stats", "a{sv}") if connected else {}
        signal = await self._signal(bus, path, faces.get(SIGNAL))
        network_utc_ms = await _network_time(bus, path) if TIME in faces else None
        return ModemStatus(
            at_s=self._clock.monotonic_s(),
            state=_STATES.get(value_of(modem, "State", "i"), ModemState.UNKNOWN),
            registration=_registration(network),
            technology=_technology(value_of(modem, "AccessTechnologies", "u")),
            operator_code=operator if _OPERATOR.fullmatch(operator) else "",
            quality_ratio=min(quality, 100) / 100,
            rssi_dbm=_level(signal, "rssi"),
            rsrp_dbm=_level(signal, "rsrp"),
            rsrq_db=_level(signal, "rsrq"),
            is_connected=bool(connected),
            sent_bytes=_count(statistics, "tx-bytes"),
            received_bytes=_count(statistics, "rx-bytes"),
            network_utc_ms=network_utc_ms,
            card=_card(modem),
        )

    async def _signal(self, bus: SystemBus, path: str, face: dict[str, Variant] | None) -> dict[str, Variant]:
        """Return the levels by the newest technology that has any; ask for them from now on, as often as wanted."""
        if face is None:
            return {}
        if value_of(face, "Rate", "u") != self._signal_period_s:
            with contextlib.suppress(CallFailed):  # one that cannot measure has told how strong it is by its quality
                await bus.call(SERVICE, path, f"{SIGNAL}.Setup", "u", (self._signal_period_s,))
        levels: list[dict[str, Variant]] = [
            value_of(face, name, "a{sv}") for name in ("Nr5g", "Lte", "Umts", "Gsm") if name in face
        ]
        return next((found for found in levels if found), {})

    async def _reconnect(self, bus: SystemBus) -> None:
        """End what is connected, or else switch the radio off and on; see that something connects. Raises CallFailed.

        NetworkManager connects again as soon as it sees that the connection is gone. Where nobody does, the bearer is
        connected here.
        """
        path, faces = await _modem(bus)
        before = await _bearers(bus, faces[MODEM])
        connected = [one for one, bearer in before if value_of(bearer, "Connected", "b")]
        for one in connected:
            await bus.call(SERVICE, one, f"{BEARER}.Disconnect", limit_s=DIAL_LIMIT_S)
        if not connected:
            for is_on in (False, True):
                await bus.call(SERVICE, path, f"{MODEM}.Enable", "b", (is_on,), limit_s=DIAL_LIMIT_S)
        for _ in range(math.ceil(self._redial_wait_s / LOOK_AGAIN_S)):
            await asyncio.sleep(min(LOOK_AGAIN_S, self._redial_wait_s))
            _, faces = await _modem(bus)
            if any(value_of(bearer, "Connected", "b") for _, bearer in await _bearers(bus, faces[MODEM])):
                return
        if bearers := value_of(faces[MODEM], "Bearers", "ao"):
            await bus.call(SERVICE, bearers[0], f"{BEARER}.Connect", limit_s=DIAL_LIMIT_S)


async def _modem(bus: SystemBus) -> tuple[str, dict[str, dict[str, Variant]]]:
    """Return the path of the first modem and its properties by interface. Raises CallFailed, also if there is none."""
    (objects,) = await bus.call(
        SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager.GetManagedObjects", answer="a{oa{sa{sv}}}"
    )
    modems = [path for path, faces in objects.items() if MODEM in faces]
    if not modems:
        raise CallFailed(CallFlaw.NOBODY, "there is no modem")
    path = min(modems, key=lambda one: (len(one), one))  # /10 comes after /9
    return path, objects[path]


async def _bearers(bus: SystemBus, modem: dict[str, Variant]) -> list[tuple[str, dict[str, Variant]]]:
    """Return path and properties of each bearer; they are no objects of the object manager. Raises CallFailed."""
    found = []
    for path in value_of(modem, "Bearers", "ao"):
        (properties,) = await bus.call(SERVICE, path, f"{PROPERTIES}.GetAll", "s", (BEARER,), answer="a{sv}")
        found.append((path, properties))
    return found


async def _network_time(bus: SystemBus, path: str) -> int | None:
    """Return the network's time in milliseconds since 1970, or None where it has not told, or not from which zone."""
    try:
        (text,) = await bus.call(SERVICE, path, f"{TIME}.GetNetworkTime", answer="s")
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    except CallFailed as failed:
        if failed.flaw is CallFlaw.REFUSED:
            return None
        raise
    return None if moment.tzinfo is None else round(moment.timestamp() * 1000)


def _registration(network: dict[str, Variant]) -> Registration:
    if not network:
        return Registration.UNKNOWN
    return _REGISTRATIONS.get(value_of(network, "RegistrationState", "u"), Registration.UNKNOWN)


def _card(modem: dict[str, Variant]) -> CardState:
    """Return what the modem says of its SIM card; a modem that failed says why, any other which lock it waits for."""
    flaw = value_of(modem, "StateFailedReason", "u") if "StateFailedReason" in modem else 0
    if flaw in _CARD_FLAWS:
        return _CARD_FLAWS[flaw]
    lock = value_of(modem, "UnlockRequired", "u") if "UnlockRequired" in modem else 0
    if lock == 0:
        return CardState.UNKNOWN
    return CardState.READY if lock in _CARD_IS_OPEN else CardState.LOCKED


def _technology(bits: int) -> AccessTechnology:
    if not bits:
        return AccessTechnology.NONE
    return next((technology for mask, technology in _TECHNOLOGIES if bits & mask), AccessTechnology.OTHER)


def _level(signal: dict[str, Variant], name: str) -> float | None:
    """Return a level in dBm or dB, or None: some modems say impossible numbers for what they do not know."""
    if name not in signal:
        return None
    level: float = value_of(signal, name, "d")
    return level if _WEAKEST_DBM <= level < 0.0 else None


def _count(statistics: dict[str, Any], name: str) -> int | None:
    return int(value_of(statistics, name, "t")) if name in statistics else None

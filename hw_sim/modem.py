"""The simulated modem with its supply: what it can be made to suffer, and which rung of the ladder mends what.

Device face: the Modem port, and the line of its supply, which the device's own GPIO adapter drives. World face: `fail`,
`passes`, `tell_time`. It obeys the part's rules: answers take their time, an order to a modem that hangs is never
carried out, and one that was reset or without supply is away for half a minute before anybody can ask it anything.
Nothing here reads a clock but the one that it is given.
"""

import dataclasses
import enum
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gpiozero.pins.mock import MockFactory, MockPin

from firmware.board.gpio_pins import Timer
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

LOOK_S: Final = 0.2
RECONNECT_S: Final = 4.0
RESET_S: Final = 1.0
SILENCE_S: Final = 10.0  # what the device's adapter waits before it gives up


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemRules:
    """How long a modem takes to start, and then to find its network and connect; and how strong its cell is."""

    away_s: float = 25.0
    registering_s: float = 12.0
    rsrp_dbm: float = -97.0  # in the mean


BEARER_DB: Final = 31.0
"""All that comes in over 20 MHz of LTE (RSSI) against one of its 1,200 subcarriers (RSRP): 10 log 1200."""


class ModemFailure(enum.IntEnum):
    """What is wrong, by the least that mends it."""

    NOTHING = 0
    BEARER = 1  # connected by its own word, and nothing passes; a new connection mends it
    FIRMWARE = 2  # hangs; a reset mends it
    SUPPLY = 3  # has fallen off the bus; only a cut of its supply mends it
    HOST = 4  # this side of the plug; only a reboot mends it
    NETWORK = 5  # out there; nothing here mends it


class SupplyPin(MockPin):  # type: ignore[misc]  # gpiozero is not typed
    """A line that tells of each change of its level."""

    on_change: Callable[[bool], None] = staticmethod(lambda _is_high: None)

    def _change_state(self, value: bool) -> bool:  # noqa: FBT001  gpiozero's own signature
        has_changed = bool(super()._change_state(value))
        if has_changed:
            self.on_change(bool(value))
        return has_changed


class SimModem:
    """A modem whose answers come from timers. World face: `fail`, `passes`, `tell_time`, `answer_with`."""

    def __init__(
        self,
        clock: Clock,
        make_timer: Callable[[float, Callable[[], None]], Timer],
        rules: ModemRules = ModemRules(),
        *,
        seed: int = 1,
    ) -> None:
        """Take the time, and what makes a timer of it. The modem is registered and connected."""
        self.failure = ModemFailure.NOTHING
        self.done: list[ModemOrder] = []  # what was carried out, looks left out
        self._clock, self._make_timer, self._rules = clock, make_timer, rules
        self._wake: threading.Event | None = None
        self._events: deque[ModemEvent] = deque()
        self._pending: set[ModemOrder] = set()
        self._has_supply = True
        self._back_at_s = 0.0  # when it can be asked again
        self._connected_at_s = 0.0
        self._network_offset_ms: float | None = None
        self._otherwise: dict[str, Any] = {}
        self._is_closed = False
        self._generator = np.random.default_rng([seed, 36])
        self._phase = float(self._generator.uniform(0.0, 2.0 * math.pi))

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every event from now on."""
        self._wake = wake

    def ask(self, order: ModemOrder) -> bool:
        """Take `order`; False if the same one is under way."""
        if order in self._pending:
            return False
        self._pending.add(order)
        duration_s = {ModemOrder.LOOK: LOOK_S, ModemOrder.RECONNECT: RECONNECT_S, ModemOrder.RESET: RESET_S}[order]
        if self._hangs(order):
            duration_s = SILENCE_S
        self._make_timer(duration_s, lambda: self._finish(order)).start()
        return True

    def events(self) -> list[ModemEvent]:
        """Return and forget the events since the last call, oldest first."""
        return drained(self._events)

    def close(self) -> None:
        """Say nothing more."""
        self._is_closed = True

    def fail(self, failure: ModemFailure) -> None:
        """Let this happen to it."""
        self.failure = failure

    def passes(self) -> bool:
        """Say whether at this moment anything gets through."""
        now_s = self._clock.monotonic_s()
        return self.failure is ModemFailure.NOTHING and self._has_supply and now_s >= self._connected_at_s

    def tell_time(self, utc_ms: int | None) -> None:
        """Let the network say that it is `utc_ms` now, and go on from there; None: it does not say."""
        self._network_offset_ms = None if utc_ms is None else utc_ms - self._clock.monotonic_s() * 1000

    def answer_with(self, **fields: Any) -> None:
        """Let it say so of itself from now on, whatever else is true: fields of ModemStatus."""
        self._otherwise = fields

    def supply(self, *, is_on: bool) -> None:
        """Take its supply away or give it back."""
        if is_on and not self._has_supply:
            self._mend(ModemFailure.SUPPLY)
            self._go_away()
        self._has_supply = is_on

    def reboot_host(self) -> None:
        """Start the machine anew; a modem keeps its supply."""
        self._mend(ModemFailure.HOST)
        self._go_away()

    def _go_away(self) -> None:
        self._back_at_s = self._clock.monotonic_s() + self._rules.away_s
        self._connected_at_s = self._back_at_s + self._rules.registering_s

    def _mend(self, up_to: ModemFailure) -> None:
        if self.failure <= up_to:
            self.failure = ModemFailure.NOTHING

    def _hangs(self, order: ModemOrder) -> bool:
        """Say whether nobody answers: a modem that hangs still has its reset line."""
        return self.failure is ModemFailure.HOST or (
            self.failure is ModemFailure.FIRMWARE and order is not ModemOrder.RESET
        )

    def _finish(self, order: ModemOrder) -> None:
        if self._is_closed:
            return
        self._events.append(self._outcome(order))
        self._pending.discard(order)
        if self._wake is not None:
            self._wake.set()

    def _outcome(self, order: ModemOrder) -> ModemEvent:
        now_s = self._clock.monotonic_s()
        if self._hangs(order):
            return ModemTrouble(order=order, flaw=ModemFlaw.SILENT, hint="the modem does not answer")
        if self.failure is ModemFailure.SUPPLY or not self._has_supply or now_s < self._back_at_s:
            return ModemTrouble(order=order, flaw=ModemFlaw.ABSENT, hint="there is no modem")
        if order is ModemOrder.LOOK:
            return self._status(now_s)
        self.done.append(order)
        if order is ModemOrder.RESET:
            self._mend(ModemFailure.FIRMWARE)
            self._go_away()
        else:
            self._mend(ModemFailure.BEARER)
        return ModemDone(order=order)

    def _status(self, now_s: float) -> ModemStatus:
        is_connected = now_s >= self._connected_at_s and self.failure is not ModemFailure.NETWORK
        offset_ms = self._network_offset_ms
        rsrp_dbm = self._faded_dbm(now_s)
        status = ModemStatus(
            at_s=now_s,
            state=ModemState.CONNECTED if is_connected else ModemState.SEARCHING,
            registration=Registration.HOME if is_connected else Registration.SEARCHING,
            technology=AccessTechnology.LTE if is_connected else AccessTechnology.NONE,
            operator_code="00101" if is_connected else "",  # the test network of 3GPP TS 23.003
            quality_ratio=0.5 if is_connected else 0.0,
            rssi_dbm=rsrp_dbm + BEARER_DB if is_connected else None,
            rsrp_dbm=rsrp_dbm if is_connected else None,
            rsrq_db=-11.0 if is_connected else None,
            is_connected=is_connected,
            sent_bytes=0 if is_connected else None,
            received_bytes=0 if is_connected else None,
            network_utc_ms=None if offset_ms is None else round(now_s * 1000 + offset_ms),
            card=CardState.READY,
        )
        return dataclasses.replace(status, **self._otherwise)

    def _faded_dbm(self, now_s: float) -> float:
        """Return the cell's level: it fades slowly as clouds of people move, and quickly as vehicles pass."""
        slow_db = 3.0 * math.sin(now_s / 40.0 + self._phase)
        return round(self._rules.rsrp_dbm + slow_db + float(self._generator.normal(0.0, 1.8)), 1)


def wire_supply(modem: SimModem, pins: MockFactory, number: int, *, off_when_high: bool) -> None:
    """Hang the modem's supply on BCM line `number` of a factory that makes `SupplyPin`s, through a load switch."""
    pin: Any = pins.pin(number)
    pin.on_change = lambda is_high: modem.supply(is_on=is_high is not off_when_high)

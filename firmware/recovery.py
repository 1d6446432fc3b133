"""The recovery ladder: what is done when the broker has been silent for minutes, mildest first.

The one judge is what the broker or the receiver acknowledges (`UplinkStage.acked_at_s`), never a ping and never what
the modem says of itself: one that calls itself connected may reach nobody. Silence counts only while there is something
to say, and a refusal is an answer: no modem is to blame for it. After ten minutes all that can help has helped:

    90 s    bearer reconnect      a stale session of the carrier, a lost address; the uplink's own attempts come before
    180 s   modem reset           a modem that hangs; it is back after half a minute
    300 s   supply off for 10 s   a modem that does not even hear the reset; where a switch is (modem.power_pin)
    420 s   reboot                what hangs on this side: USB, drivers, ModemManager

Each rung has its own back-off, doubled each time, from a quarter of an hour to six. It is forgotten after ten minutes
in which the broker went on answering, so that what helps for a minute only is followed by the next rung. At most one
reboot in eight hours of running, three a day, which a mark on the disk remembers; who cannot write it does not reboot.
"""

import enum
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware import durable_files, erasure
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.identity import REBOOTED_NAME
from firmware.modem_records import (
    ModemDone,
    ModemEvent,
    ModemFlaw,
    ModemOrder,
    ModemStatus,
    ModemTrouble,
)
from firmware.ports import BoardClock, Modem, Rail, System

LOG = logging.getLogger(__name__)


class Rung(enum.StrEnum):
    """What can be done, mildest first."""

    RECONNECT = "bearer reconnect"
    RESET = "modem reset"
    POWER = "supply off and on"
    REBOOT = "reboot"


AFTER_S: Final = {Rung.RECONNECT: 90.0, Rung.RESET: 180.0, Rung.POWER: 300.0, Rung.REBOOT: 420.0}
"""From the first silent second. The uplink gives a connection up after 60 s without an acknowledgement. Then come the
half minute that a modem takes to connect, the minute or so that one takes to start, register and connect, and at the
end what is left of ten minutes for a Pi that starts as well."""

BACK_OFF_S: Final = 900.0
BACK_OFF_LIMIT_S: Final = 6 * 3600.0
STABLE_S: Final = 600.0

REBOOT_AGAIN_S: Final = 8 * 3600.0
CHANGED_LATELY_S: Final = 600.0
"""While somebody changes the unit's keys, certificates or configuration, and so long after, it is not rebooted."""

WATCHED_SUFFIXES: Final = frozenset({".key", ".crt", ".crl", ".json"})

POWER_OFF_S: Final = 10.0
AWAY_S: Final = 90.0
"""A modem that was reset or without supply may be away for so long before that is a fault."""

LOOK_EVERY_S: Final = 60.0
LOOK_CLOSELY_S: Final = 5.0
"""After a rung: the sooner the uplink hears that the modem is connected, the sooner it is known whether that helped."""

JUDGE_EVERY_S: Final = 5.0

FAULT_CODES: Final = {
    ModemFlaw.ABSENT: FaultCode.MODEM_ABSENT,
    ModemFlaw.SILENT: FaultCode.MODEM_SILENT,
    ModemFlaw.REFUSED: FaultCode.MODEM_REFUSED,
    ModemFlaw.NONSENSE: FaultCode.MODEM_NONSENSE,
}


class RecoveryStage:
    """Looks at the modem each minute, and climbs the ladder while the broker is silent.

    For the health report: `status`, the modem's newest; `rungs`, how often each was used since the start.
    """

    name = "recovery"

    def __init__(
        self,
        modem: Modem,
        rail: Rail | None,
        folder: Path,
        *,
        acked_at_s: Callable[[], float],
        has_something_to_say: Callable[[float], bool],
        on_mended: Callable[[], None],
        clock: BoardClock,
        system: System,
        faults: FaultBook,
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the parts; `folder` is the unit's, whose changes put a reboot off.

        `on_mended` is called when the way out may be open again; `is_held` while the modem sleeps by plan.
        """
        self.wake = threading.Event()
        self.status: ModemStatus | None = None
        self.rungs: Counter[Rung] = Counter()
        self._modem, self._rail, self._folder = modem, rail, folder
        self._acked_at_s = acked_at_s
        self._has_something_to_say = has_something_to_say
        self._on_mended = on_mended
        self._clock, self._system, self._faults = clock, system, faults
        self._is_held = is_held
        self._ladder = [rung for rung in Rung if rung is not Rung.POWER or rail is not None]
        self._uses: Counter[Rung] = Counter()  # since all was well
        self._not_before_s = dict.fromkeys(Rung, -math.inf)
        self._not_before_s[Rung.REBOOT] = self._reboot_allowed_s()
        self._used_at_s = -math.inf  # when any rung was last used
        self._steady_since_s: float | None = None
        self._asking_since_s: float | None = None  # since when there is something to say
        self._latched: dict[FaultCode, int] = {}
        self._outcome_s = {FaultCode.BROKER_REFUSED: -math.inf, FaultCode.BROKER_UNREACHABLE: -math.inf}
        self._files: frozenset[tuple[str, int, int]] = frozenset()
        self._changed_at_s = -math.inf
        self._look_at_s = -math.inf
        self._was_connected = True  # nobody has said otherwise
        self._is_listening = False

    def step(self, now_s: float) -> float:
        """Take what the modem says, judge the silence, use a rung if it is time. Return when to look again."""
        if not self._is_listening:
            self._modem.listen(self.wake)
            self._is_listening = True
        for event in self._modem.events():
            self._react(event, now_s)
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + (LOOK_CLOSELY_S if now_s - self._used_at_s <= AWAY_S else LOOK_EVERY_S)
            self._modem.ask(ModemOrder.LOOK)
            self._note_changes(now_s)
        self._climb(now_s)
        return min(now_s + JUDGE_EVERY_S, self._look_at_s)

    def close(self) -> None:
        """Give modem and supply back."""
        self._modem.close()
        if self._rail is not None:
            self._rail.close()

    def _react(self, event: ModemEvent, now_s: float) -> None:
        match event:
            case ModemStatus():
                if event.is_connected and not self._was_connected:
                    self._on_mended()
                self.status, self._was_connected = event, event.is_connected
                for code in (FaultCode.MODEM_ABSENT, FaultCode.MODEM_SILENT, FaultCode.MODEM_NONSENSE):
                    self._faults.clear(code)
                if event.network_utc_ms is not None:
                    self._clock.hear(event.network_utc_ms, event.at_s)
            case ModemDone(order=order):
                LOG.info("the modem has done what it was asked: %s", order)
                self._faults.clear(FaultCode.MODEM_REFUSED)
                self._on_mended()
            case ModemTrouble(flaw=flaw, hint=hint):
                self.status, self._was_connected = None, False
                if flaw is not ModemFlaw.ABSENT or now_s - self._used_at_s > AWAY_S:
                    self._faults.tell(DeviceFault(FAULT_CODES[flaw], hint), now_s, LOG)

    def _climb(self, now_s: float) -> None:
        silent_since_s = self._silent_since_s(now_s)
        self._forget_if_steady(silent_since_s, now_s)
        if silent_since_s is None:
            return
        for rung in self._ladder:
            if now_s >= max(silent_since_s + AFTER_S[rung], self._not_before_s[rung]):
                self._use(rung, now_s - silent_since_s, now_s)
                return

    def _silent_since_s(self, now_s: float) -> float | None:
        """Return since when nobody answers although there is something to say; None if that is not so."""
        self._note_outcomes(now_s)
        try:
            is_asking = not (self._is_held() or self._is_refused()) and (
                FaultCode.BROKER_UNREACHABLE in self._latched or self._has_something_to_say(now_s)
            )
        except DeviceFault as fault:  # the disk; the modem is not to blame
            self._faults.tell(fault, now_s, LOG)
            is_asking = False
        if not is_asking:
            self._asking_since_s = None
            return None
        if self._asking_since_s is None:
            self._asking_since_s = now_s
        return max(self._asking_since_s, self._acked_at_s())

    def _note_outcomes(self, now_s: float) -> None:
        """Note when the uplink last found the broker refusing, and when unreachable: each time the fault counts up."""
        latched = {one.code: one.count for one in self._faults.reports() if one.code in self._outcome_s}
        for code, count in latched.items():
            if count != self._latched.get(code):
                self._outcome_s[code] = now_s
        self._latched = latched

    def _is_refused(self) -> bool:
        """Say whether the newest attempt was refused: an answer, which stands until an attempt finds nobody."""
        is_newest = self._outcome_s[FaultCode.BROKER_REFUSED] >= self._outcome_s[FaultCode.BROKER_UNREACHABLE]
        return FaultCode.BROKER_REFUSED in self._latched and is_newest

    def _forget_if_steady(self, silent_since_s: float | None, now_s: float) -> None:
        """Begin the ladder from its foot again once the broker has gone on answering for STABLE_S after a rung."""
        answered_at_s = max(self._acked_at_s(), self._outcome_s[FaultCode.BROKER_REFUSED])
        is_silent = silent_since_s is not None and now_s - silent_since_s >= AFTER_S[Rung.RECONNECT]
        if not self._uses or is_silent or answered_at_s <= self._used_at_s:
            self._steady_since_s = None
            return
        if self._steady_since_s is None:
            self._steady_since_s = now_s
        if now_s - self._steady_since_s >= STABLE_S:
            LOG.info("the broker answers again and goes on doing so")
            self._uses.clear()
            for rung in (Rung.RECONNECT, Rung.RESET, Rung.POWER):
                self._not_before_s[rung] = -math.inf

    def _use(self, rung: Rung, silent_s: float, now_s: float) -> None:
        """Use `rung`, and put its next use off whether or not it could be done."""
        if rung is Rung.REBOOT and self._is_changing(now_s):
            return
        self._not_before_s[rung] = now_s + min(BACK_OFF_LIMIT_S, BACK_OFF_S * 2.0 ** self._uses[rung])
        self._uses[rung] += 1
        self.rungs[rung] += 1
        self._used_at_s = now_s
        LOG.warning("the broker has acknowledged nothing for %d s; next: %s", silent_s, rung)
        try:
            self._do(rung, now_s)
        except DeviceFault as fault:
            self._faults.tell(fault, now_s, LOG)

    def _do(self, rung: Rung, now_s: float) -> None:
        """Carry `rung` out. Raises DeviceFault (RAIL_ABSENT, REBOOT_REFUSED, STORAGE_REFUSED)."""
        match rung:
            case Rung.RECONNECT:
                self._modem.ask(ModemOrder.RECONNECT)
            case Rung.RESET:
                self._modem.ask(ModemOrder.RESET)
            case Rung.POWER if self._rail is not None:
                self._rail.cut(POWER_OFF_S)
                self._faults.clear(FaultCode.RAIL_ABSENT)
            case Rung.REBOOT:
                self._not_before_s[rung] = now_s + REBOOT_AGAIN_S
                self._leave_mark()
                self._system.reboot()

    def _leave_mark(self) -> None:
        try:
            durable_files.write(self._folder / REBOOTED_NAME, self._mark())
        except OSError as error:
            hint = f"that the unit rebooted cannot be noted ({error.strerror}), so it does not; check the card: `dmesg`"
            raise DeviceFault(FaultCode.STORAGE_REFUSED, hint) from error

    def _reboot_allowed_s(self) -> float:
        """Return from when on a reboot is allowed, by the mark of the last one (monotonic seconds, since the boot)."""
        try:
            mark = (self._folder / REBOOTED_NAME).read_bytes()
        except FileNotFoundError:
            return -math.inf
        except OSError:
            mark = b""  # there, and unreadable
        return REBOOT_AGAIN_S + (self._clock.monotonic_s() if mark == self._mark() else 0.0)

    def _mark(self) -> bytes:
        return self._clock.boot_id().hex().encode() + b"\n"

    def _note_changes(self, now_s: float) -> None:
        """Look whether somebody has changed the unit's keys, certificates or configuration since the last look."""
        try:
            files = frozenset(
                (path.name, path.stat().st_ino, path.stat().st_mtime_ns)
                for path in self._folder.iterdir()
                if path.suffix in WATCHED_SUFFIXES
            )
        except OSError:  # one that vanished between the two looks
            files = frozenset()
        if files != self._files and self._files:
            self._changed_at_s = now_s
        self._files = files

    def _is_changing(self, now_s: float) -> bool:
        """Say whether this is no moment for a reboot: keys are being changed, or the unit is erasing itself."""
        self._note_changes(now_s)
        is_erasing = (self._folder / erasure.MARK_NAME).exists()
        return is_erasing or now_s - self._changed_at_s < CHANGED_LATELY_S

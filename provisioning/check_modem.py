"""The modem: whether it is there, has a SIM card, a network, a connection, and how strong it hears the cell."""

import threading

from firmware.modem_records import (
    AccessTechnology,
    CardState,
    ModemEvent,
    ModemFlaw,
    ModemOrder,
    ModemState,
    ModemStatus,
    ModemTrouble,
    Registration,
)
from firmware.ports import Clock, Modem
from provisioning.check_words import STRONG, USABLE, Finding, halves, said
from provisioning.checking import Bench
from provisioning.part_reports import PartReport
from provisioning.signal_log import GOOD_DBM, USABLE_DBM

PATIENCE_S = 20.0
"""A modem that was just switched on finds its network in this time, or it has none."""

ANSWER_LIMIT_S = 15.0
LOOK_AGAIN_S = 1.0

TECHNOLOGIES = {
    AccessTechnology.NONE: "no network",
    AccessTechnology.GSM: "GSM (2G)",
    AccessTechnology.UMTS: "UMTS (3G)",
    AccessTechnology.LTE: "LTE",
    AccessTechnology.LTE_M: "LTE-M",
    AccessTechnology.NB_IOT: "NB-IoT",
    AccessTechnology.NR5G: "5G",
    AccessTechnology.OTHER: "another network",
}
_CARDS = {
    CardState.MISSING: Finding.SIM_MISSING,
    CardState.BAD: Finding.SIM_BAD,
    CardState.LOCKED: Finding.SIM_LOCKED,
}
_FLAWS = {
    ModemFlaw.ABSENT: Finding.MODEM_NOT_THERE,
    ModemFlaw.SILENT: Finding.MODEM_SILENT,
    ModemFlaw.REFUSED: Finding.MODEM_REFUSED,
    ModemFlaw.NONSENSE: Finding.MODEM_REFUSED,
}
_ON_ITS_WAY = frozenset(
    {
        ModemState.INITIALIZING, ModemState.ENABLING, ModemState.ENABLED, ModemState.SEARCHING, ModemState.REGISTERED,
        ModemState.CONNECTING,
    }
)  # fmt: skip


def look(bench: Bench) -> PartReport:
    """Look at the modem."""
    if bench.board.modem is None:
        return said(Finding.MODEM_ABSENT)
    ask(bench)
    if bench.modem_said is None:
        return said(Finding.MODEM_SILENT, detail=f"no answer in {ANSWER_LIMIT_S:.0f} s")
    return modem_of(bench.modem_said)


def ask(bench: Bench) -> None:
    """Ask the modem, if there is one, until it is connected, or until it should long have been; once in a check."""
    if bench.board.modem is None or bench.was_modem_asked:
        return
    bench.was_modem_asked = True
    bench.modem_said = _asked(bench.board.modem, bench.board.clock)
    if isinstance(bench.modem_said, ModemStatus) and bench.modem_said.network_utc_ms is not None:
        bench.board.clock.hear(bench.modem_said.network_utc_ms, bench.modem_said.at_s)  # as the service does


def modem_of(answer: ModemEvent) -> PartReport:
    """Return what an answer of the modem says. Pure."""
    if isinstance(answer, ModemTrouble):
        return said(_FLAWS[answer.flaw], **halves(answer.hint))
    if not isinstance(answer, ModemStatus):
        return said(Finding.MODEM_REFUSED, detail="it answered what was not asked")
    if (finding := _without_network(answer)) is not None:
        return said(finding, registration=str(answer.registration))
    return _with_network(answer)


def _with_network(answer: ModemStatus) -> PartReport:
    """Return how well a modem that is in a network is connected."""
    technology, level = TECHNOLOGIES[answer.technology], answer.rsrp_dbm
    if not answer.is_connected:
        shown = "not measured" if level is None else f"{level:.0f} dBm"
        return said(Finding.MODEM_NO_BEARER, technology=technology, level=shown, rsrp_dbm=level)
    if level is None:
        return said(
            Finding.MODEM_NO_LEVEL,
            technology=technology,
            registration=str(answer.registration),
            quality=answer.quality_ratio,
        )
    if level < USABLE_DBM:
        return said(Finding.MODEM_WEAK, technology=technology, rsrp_dbm=level, least_dbm=USABLE_DBM)
    return said(
        Finding.MODEM_GOOD,
        technology=technology,
        registration=str(answer.registration),
        rsrp_dbm=level,
        reception=STRONG if level >= GOOD_DBM else USABLE,
    )


def _without_network(status: ModemStatus) -> Finding | None:
    """Return why the modem is not in a network, or None if it is."""
    if status.card in _CARDS:
        return _CARDS[status.card]
    if status.state is ModemState.LOCKED:
        return Finding.SIM_LOCKED
    if status.state is ModemState.FAILED:
        return Finding.MODEM_BROKEN
    if status.registration is Registration.DENIED:
        return Finding.MODEM_DENIED
    is_registered = status.registration in {Registration.HOME, Registration.ROAMING}
    return None if is_registered or status.is_connected else Finding.MODEM_SEARCHING


def _asked(modem: Modem, clock: Clock) -> ModemEvent | None:
    """Return the last answer; one that is on its way to a connection is asked again. None: there was no answer."""
    wake, pause = threading.Event(), threading.Event()
    modem.listen(wake)
    begun_s, answer = clock.monotonic_s(), None
    try:
        while True:
            modem.ask(ModemOrder.LOOK)
            events: list[ModemEvent] = []
            asked_s = clock.monotonic_s()
            while not events and clock.monotonic_s() - asked_s < ANSWER_LIMIT_S:
                wake.wait(LOOK_AGAIN_S)
                wake.clear()
                events = modem.events()
            answer = events[-1] if events else None
            is_on_its_way = isinstance(answer, ModemStatus) and not answer.is_connected and answer.state in _ON_ITS_WAY
            if not is_on_its_way or _is_final(answer) or clock.monotonic_s() - begun_s > PATIENCE_S:
                return answer
            pause.wait(LOOK_AGAIN_S)
    finally:
        modem.close()


def _is_final(answer: ModemEvent | None) -> bool:
    """Say whether waiting will not help: a card that is missing, locked or refused."""
    return isinstance(answer, ModemStatus) and (answer.card in _CARDS or answer.registration is Registration.DENIED)

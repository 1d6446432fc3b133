"""The time: who set it, whether it is believed, and how far it is from the cellular network's."""

import datetime as dt

from firmware.modem_records import ModemStatus
from firmware.wall_clock import EARLIEST_UTC_MS
from provisioning import check_modem
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench
from provisioning.part_reports import PartReport

OFF_AT_MOST_S = 30.0
"""A network says its time to the second, and some say it late; a certificate or a read bears more than this."""


def look(bench: Bench) -> PartReport:
    """Compare the unit's clock with what it has heard."""
    check_modem.ask(bench)  # the cell's word is a source too
    clock, answer = bench.board.clock, bench.modem_said
    offset_s = None
    if isinstance(answer, ModemStatus) and answer.network_utc_ms is not None:
        heard_ms = answer.network_utc_ms + (clock.monotonic_s() - answer.at_s) * 1000
        offset_s = (clock.utc_ms() - heard_ms) / 1000
    return time_of(
        clock.utc_ms(),
        is_trusted=clock.is_trusted(),
        by_ntp=bench.facts.clock_is_trusted,
        dispute=clock.dispute(),
        offset_s=offset_s,
    )


def time_of(utc_ms: int, *, is_trusted: bool, by_ntp: bool, dispute: str, offset_s: float | None) -> PartReport:
    """Return what is to be thought of a clock that says `utc_ms`, milliseconds since 1970. Pure."""
    moment = dt.datetime.fromtimestamp(utc_ms / 1000, tz=dt.UTC)
    utc = f"{moment:%Y-%m-%d %H:%M:%S}"
    if utc_ms < EARLIEST_UTC_MS:
        return said(Finding.TIME_1970, year=moment.year, utc=utc)
    if dispute:
        return said(Finding.TIME_DISPUTED, **halves(dispute), utc=utc)
    if not is_trusted:
        return said(Finding.TIME_UNSET, utc=utc)
    if offset_s is not None and abs(offset_s) > OFF_AT_MOST_S:
        return said(Finding.TIME_OFF, utc=utc, offset_s=offset_s)
    beside = "" if offset_s is None or not by_ntp else f", {offset_s:+.1f} s beside the network's time"
    source = "a time server (NTP)" if by_ntp else "the cellular network"
    return said(Finding.TIME_GOOD, utc=utc, source=source, beside=beside, offset_s=offset_s)

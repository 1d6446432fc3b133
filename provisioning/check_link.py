"""The way to the office: a sealed test read, as far as it comes, and why it came no farther.

The read goes the way of all reads, through outbox, uplink, broker and receiver, and comes back as a signed receipt.
"""

import dataclasses
import socket
from typing import Final

from firmware.faults import ConfigRejected, DeviceFault, KestrelError
from firmware.link_causes import LinkCause
from firmware.papers import PaperKind
from firmware.ports import Link
from firmware.records import Connected, LinkEvent, Lost, Refused
from provisioning import round_trip
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench
from provisioning.link_around import LinkAround
from provisioning.part_reports import PartReport
from provisioning.round_trip import RoundTrip

TEST_READ: Final = b"test"

TIMEOUT_S: Final = 30.0
"""What a weak cell may need for TLS and a receipt. A receiver answers within a second."""

UNREACHABLE_TIMES: Final = 3

_FINDINGS: Final = {
    LinkCause.UNREACHABLE: Finding.BROKER_NO_WAY,
    LinkCause.SILENT: Finding.BROKER_NO_WAY,
    LinkCause.LOST: Finding.BROKER_NO_WAY,
    LinkCause.TLS_REFUSED: Finding.BROKER_TLS,
    LinkCause.TLS_SESSION_REFUSED: Finding.BROKER_TLS,
    LinkCause.NOT_AUTHORISED: Finding.BROKER_FORBIDS,
    LinkCause.TAKEN_OVER: Finding.BROKER_FORBIDS,
}
_FINAL: Final = frozenset({LinkCause.TLS_REFUSED, LinkCause.NOT_AUTHORISED, LinkCause.UNSUPPORTED, LinkCause.MOVED})
"""Trying again soon does not help."""


class Hopeless(KestrelError):
    """The broker has said what waiting does not mend."""


class NotingLink(LinkAround):
    """The Link port around another one: notes why a session came to nothing, and gives up where waiting is no use."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.cause: LinkCause | None = None
        self.reason = ""
        self._losses = 0

    def events(self) -> list[LinkEvent]:
        """As the port says. Raises Hopeless."""
        events = super().events()
        for event in events:
            match event:
                case Connected():
                    self.cause, self.reason, self._losses = None, "", 0
                case Lost(reason=reason, cause=cause) | Refused(reason=reason, cause=cause):
                    self.cause, self.reason = cause, reason
                    self._losses += 1
                    if cause in _FINAL or (cause is LinkCause.UNREACHABLE and self._losses >= UNREACHABLE_TIMES):
                        raise Hopeless(reason)
        return events


def look(bench: Bench) -> PartReport:
    """Send a test read and wait until the receiver has confirmed it."""
    host, port = bench.settings.uplink.host, bench.settings.uplink.port
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return said(Finding.BROKER_NO_NAME, host=host)
    link = NotingLink(bench.board.link)
    try:
        trip = round_trip.send(
            bench.folder,
            dataclasses.replace(bench.board, link=link),
            bench.settings,
            TEST_READ,
            PaperKind.TEST,
            timeout_s=TIMEOUT_S,
            on_progress=lambda _sentence: None,
        )
    except Hopeless:
        return not_taken(link.cause, link.reason)
    except (ConfigRejected, DeviceFault) as fault:
        sentence = fault.hint if isinstance(fault, DeviceFault) else str(fault)
        return said(Finding.BROKER_BLOCKED, **halves(sentence))
    return trip_of(trip, link.cause, link.reason)


def trip_of(trip: RoundTrip, cause: LinkCause | None, reason: str) -> PartReport:
    """Return what became of a test read. Pure."""
    if trip.confirmed_s is not None and trip.acknowledged_s is not None:
        return said(Finding.BROKER_GOOD, acknowledged_s=trip.acknowledged_s, confirmed_s=trip.confirmed_s)
    if trip.acknowledged_s is not None:
        return said(Finding.RECEIVER_AWAY, acknowledged_s=trip.acknowledged_s, waited_s=TIMEOUT_S)
    return not_taken(cause, reason or trip.hint)


def not_taken(cause: LinkCause | None, reason: str) -> PartReport:
    """Return why the broker has not taken a test read. Pure."""
    finding = Finding.BROKER_NO_WAY if cause is None else _FINDINGS.get(cause, Finding.BROKER_REFUSES)
    detail, _, _ = reason.partition("; ")
    return said(finding, detail=detail, cause="silent" if cause is None else str(cause))

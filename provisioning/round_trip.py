"""One document on its way to the receiver and back: by the unit's own outbox, link, key and receipts.

The service must be stopped, for only one program works as a unit. What else waits in the outbox goes too, behind the
document, and is confirmed as ever; nothing is lost when time is up, since all that is not confirmed stays there.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware import erasure, identity, outgoing, sole_use
from firmware.config import DeviceConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.outgoing import Outgoing
from firmware.papers import PaperKind, parts_of
from firmware.ports import Board, Clock, Link, System
from firmware.records import Acked, Connected, LinkEvent, Lost, Refused
from firmware.sealing import uuid7
from provisioning.link_around import LinkAround

LOOK_EVERY_S: Final = 0.2

WAITS: Final = "leave it, it waits in the outbox and goes by itself when there is signal"
_NO_RECEIPT: Final = (
    "the broker has taken it, but no receiver has confirmed it: ask the office whether `kestrel-cloud receive` runs; "
    f"{WAITS}"
)
_SLOW: Final = f"the broker was reached, but did not take all of it in time: the signal is weak; {WAITS}"
_SILENT: Final = f"the broker has not answered yet; check uplink.host and the modem's signal; {WAITS}"
_FULL: Final = "the outbox has no room for it; bring the unit to where there is signal, so that it empties itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """What became of a document: seconds from when it was sealed; None for what did not come in time."""

    sequence: int  # of its first part
    acknowledged_s: float | None  # the broker has all of it
    confirmed_s: float | None  # the receiver has stored it and has said so, signed
    hint: str  # what is amiss and what to do; empty if it was confirmed


def send(
    unit_folder: Path,
    board: Board,
    settings: DeviceConfig,
    document: bytes,
    kind: PaperKind,
    *,
    timeout_s: float,
    on_progress: Callable[[str], None],
) -> RoundTrip:
    """Seal `document`, send it, and wait for the receiver's receipt, `timeout_s` at most; return how it went.

    `on_progress` gets a sentence at each step. The caller opened `board` and closes its camera. Raises ValueError for
    a document that is too long, ConfigRejected (keys and certificates), DeviceFault (STORAGE_REFUSED: the disk, or the
    service is running; KEY_UNUSABLE) and Retired, if the fleet's command to erase was waiting for the unit.
    """
    with (
        erasure.unless_retired(unit_folder, lambda _: board.keys),
        sole_use.held(unit_folder / identity.OUTBOX_NAME),
    ):
        link = _WatchedLink(board.link)
        # who works at the unit has its lid open
        way_out = outgoing.build(dataclasses.replace(board, link=link, tamper=None), settings, unit_folder, FaultBook())
        try:
            begun_s = board.clock.monotonic_s()
            sequences = _put(way_out, board.clock, board.system, document, kind)
            on_progress("The document is sealed and in the outbox; calling the broker.")
            trip = _Trip(way_out, link, sequences, begun_s, on_progress)
            return trip.run(board.clock, begun_s + timeout_s)
        finally:
            for stage in (way_out.spending, way_out.uplink, way_out.guard):
                stage.close()
            way_out.outbox.close()


def _put(way_out: Outgoing, clock: Clock, system: System, document: bytes, kind: PaperKind) -> list[int]:
    """Seal the document's parts and put them in the outbox; return their numbers. Raises ValueError and DeviceFault."""
    utc_ms, sequences = clock.utc_ms(), []
    for paper in parts_of(document, kind, utc_ms, clock_trusted=clock.is_trusted()):
        sequences.append(way_out.outbox.reserve_sequence())
        read_id = uuid7(utc_ms, system.random_bytes(10))
        if not way_out.outbox.put(way_out.sealer.seal_paper(paper, read_id=read_id, sequence=sequences[-1])):
            raise DeviceFault(FaultCode.STORAGE_REFUSED, _FULL)
    return sequences


class _WatchedLink(LinkAround):
    """A link that notes what the broker said about it."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.acknowledged: set[int] = set()
        self.was_connected = False
        self.reason = ""  # of the last thing that came to nothing

    def events(self) -> list[LinkEvent]:
        """As the port says; note what matters."""
        events = super().events()
        for event in events:
            match event:
                case Connected():
                    self.was_connected, self.reason = True, ""
                case Acked(token=token):
                    self.acknowledged.add(token)
                case Lost(reason=reason) | Refused(reason=reason):
                    self.reason = reason
        return events


class _Trip:
    """The way of one document, once it is in the outbox."""

    def __init__(
        self,
        way_out: Outgoing,
        link: _WatchedLink,
        sequences: list[int],
        begun_s: float,
        on_progress: Callable[[str], None],
    ) -> None:
        self._way_out, self._link, self._sequences = way_out, link, sequences
        self._begun_s, self._on_progress = begun_s, on_progress
        self._stages = (way_out.spending, way_out.uplink, way_out.guard)
        self._due_s = {stage.name: begun_s for stage in self._stages}
        self._acknowledged_s: float | None = None
        self._said = ""

    def run(self, clock: Clock, deadline_s: float) -> RoundTrip:
        """Step the way out until the document is confirmed, the unit is erased or time is up."""
        while True:
            now_s = clock.monotonic_s()
            self._step(now_s)
            if self._way_out.guard.is_over.is_set():  # who called says that the unit is no more
                return self._outcome(None)
            self._look(now_s)
            if not any(self._way_out.outbox.holds(sequence) for sequence in self._sequences):
                self._say(f"The receiver has confirmed it after {now_s - self._begun_s:.1f} s.")
                return self._outcome(now_s - self._begun_s)
            if now_s >= deadline_s:
                return self._outcome(None)
            self._way_out.uplink.wake.wait(min(LOOK_EVERY_S, deadline_s - now_s))

    def _step(self, now_s: float) -> None:
        for stage in self._stages:
            if stage.wake.is_set() or self._due_s[stage.name] <= now_s:
                stage.wake.clear()
                self._due_s[stage.name] = stage.step(now_s)

    def _look(self, now_s: float) -> None:
        """Note how far it has got, and say so if that is new."""
        taken = sum(sequence in self._link.acknowledged for sequence in self._sequences)
        if taken == len(self._sequences) and self._acknowledged_s is None:
            self._acknowledged_s = now_s - self._begun_s
        if taken:
            self._say(f"The broker has {taken} of {len(self._sequences)} parts.")
        elif self._link.reason:
            self._say(f"No answer yet: {self._link.reason}; trying again.")
        elif self._link.was_connected:
            self._say("The broker has let the unit in.")

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._on_progress(sentence)

    def _outcome(self, confirmed_s: float | None) -> RoundTrip:
        # a receipt may overtake the broker's word: what the receiver has, the broker had
        acknowledged_s = confirmed_s if self._acknowledged_s is None else self._acknowledged_s
        return RoundTrip(
            sequence=self._sequences[0],
            acknowledged_s=acknowledged_s,
            confirmed_s=confirmed_s,
            hint="" if confirmed_s is not None else self._hint(),
        )

    def _hint(self) -> str:
        if self._acknowledged_s is not None:
            return _NO_RECEIPT
        if self._link.reason:
            return f"{self._link.reason}; {WAITS}"
        return _SLOW if self._link.was_connected else _SILENT

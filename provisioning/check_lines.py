"""PIR, beam, radar and lid: whether their lines are at rest when nothing passes, and answer when something does.

All lines are watched at the same time, while the camera runs as it does in service: a supply that sags under its load
shows on the lines.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from firmware.faults import DeviceFault
from firmware.ports import TriggerInput
from firmware.records import TriggerSource
from provisioning.check_eyes import Eyes
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench, Look
from provisioning.part_reports import PartName, PartReport

QUIET_S = 3.0
"""A line that was at rest once in this time is not stuck."""

STUCK_S = 8.0
"""A PIR holds for some seconds after each body; a line that never rests for so long is stuck."""

LOOK_EVERY_S = 0.02
CHATTER_HZ = 5.0
"""Vehicles come at most once a second; a hand waves twice."""

PARTS = {
    TriggerSource.PIR: PartName.PIR,
    TriggerSource.IR_BEAM: PartName.BEAM,
    TriggerSource.RADAR: PartName.RADAR,
}
_STUCK = {
    PartName.PIR: Finding.PIR_STUCK,
    PartName.BEAM: Finding.BEAM_STUCK,
    PartName.RADAR: Finding.RADAR_STUCK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a line did while it was watched for `seconds`; `fault` is a sentence if it could not be."""

    seconds: float
    edges: int = 0
    was_at_rest: bool = False
    fault: str = ""


def looks(eyes: Eyes) -> dict[PartName, Look]:
    """Return how the trigger lines are looked at: the first look watches all of them."""
    watched: dict[PartName, Watched] = {}

    def look_at(part: PartName) -> Callable[[Bench], PartReport]:
        def look(bench: Bench) -> PartReport:
            if not watched:
                watched.update(_watch(eyes, bench))
            return (
                said(Finding.LINE_ABSENT, part) if part not in watched else line_of(part, watched[part], bench.wave_s)
            )

        return look

    return {part: look_at(part) for part in PARTS.values()}


def line_of(part: PartName, seen: Watched, wave_s: float) -> PartReport:
    """Return what a line's behaviour says of its sensor. Pure."""
    values = {"edges": seen.edges, "seconds": seen.seconds}
    if seen.fault:
        return said(Finding.LINE_NOT_THERE, part, **halves(seen.fault))
    if not seen.was_at_rest:
        return said(_STUCK[part], **values)
    if seen.edges > CHATTER_HZ * seen.seconds:
        return said(Finding.LINE_CHATTERS, part, **values)
    if not seen.edges:
        return said(Finding.LINE_DEAD if wave_s > 0 else Finding.LINE_QUIET, part, **values)
    return said(Finding.LINE_GOOD, part, **values)


def look_at_lid(bench: Bench) -> PartReport:
    """Look at the tamper contact."""
    contact = bench.board.tamper
    if contact is None:
        return said(Finding.LID_ABSENT)
    try:
        contact.listen(threading.Event())
        is_open = contact.is_tampered()
    except DeviceFault as fault:
        return said(Finding.LID_NOT_THERE, **halves(fault.hint))
    finally:
        contact.close()
    return said(Finding.LID_OPEN if is_open else Finding.LID_GOOD)


def _watch(eyes: Eyes, bench: Bench) -> dict[PartName, Watched]:
    """Watch all lines together until each has been at rest, or is stuck, and for as long as somebody waves."""
    try:
        eyes.open()
    except DeviceFault as fault:
        bench.tell(f"the lines are watched without the camera ({fault.code})")
    if bench.wave_s > 0:
        bench.tell(f"wave your hand before each sensor for {bench.wave_s:.0f} s, now")
    watched = {}
    listening: list[TriggerInput] = []
    try:
        for line in bench.board.triggers:
            try:
                line.listen(threading.Event())
                listening.append(line)
            except DeviceFault as fault:
                watched[PARTS[line.source]] = Watched(seconds=0.0, fault=fault.hint)
        return watched | _seen(listening, bench)
    finally:
        for line in listening:
            line.close()


def _seen(lines: list[TriggerInput], bench: Bench) -> dict[PartName, Watched]:
    clock, pause = bench.board.clock, threading.Event()
    begun_s, seconds = clock.monotonic_s(), 0.0
    at_rest: set[PartName] = set()
    edges = {PARTS[line.source]: 0 for line in lines}
    while seconds < max(QUIET_S, bench.wave_s) or (len(at_rest) < len(lines) and seconds < max(STUCK_S, bench.wave_s)):
        pause.wait(LOOK_EVERY_S)
        for line in lines:
            part = PARTS[line.source]
            edges[part] += len(line.edges())
            if not line.is_triggered():
                at_rest.add(part)
        seconds = clock.monotonic_s() - begun_s
    return {part: Watched(seconds=seconds, edges=count, was_at_rest=part in at_rest) for part, count in edges.items()}

"""What a check of a unit answers: one report a part, by name, and how they add up.

Owns the names of the parts and what is looked at; how each is looked at is in the `check_` modules, and what is said
of it in `provisioning.check_words`.
"""

import dataclasses
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from firmware.config import DeviceConfig
from firmware.modem_records import ModemEvent
from firmware.ports import Board
from firmware.self_check import Check, Facts, report

Measured = float | int | bool | str | None
"""A value of a report's `measured`; its name says the unit. Never a plate, never a coordinate."""


class PartName(enum.StrEnum):
    """The parts of a unit, in the order in which they are looked at."""

    IDENTITY = "identity"
    DISK = "disk"
    MODEM = "modem"
    TIME = "time"
    FIREWALL = "firewall"
    SOCKETS = "sockets"
    SYSTEM = "system"
    NETWORKS = "networks"
    CAMERA = "camera"
    FOCUS = "focus"
    EXPOSURE = "exposure"
    LAMP = "lamp"
    METER = "meter"
    BATTERY = "battery"
    PANEL = "panel"
    PIR = "pir"
    BEAM = "beam"
    RADAR = "radar"
    LID = "lid"
    BROKER = "broker"


class PartState(enum.StrEnum):
    """How one part does. `absent` is a part that this unit's configuration does not name."""

    PASS = "pass"  # noqa: S105  a state and no password
    WARN = "warn"
    FAIL = "fail"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """One part: what was found, the likely cause and what to do (both empty if nothing is to be done)."""

    part: PartName
    state: PartState
    found: str
    cause: str = ""
    next_step: str = ""
    measured: dict[str, Measured] = field(default_factory=dict)


@dataclass(kw_only=True)
class Bench:
    """A unit that lies open for being looked at, and what the looks have in common."""

    settings: DeviceConfig
    folder: Path
    board: Board
    look_at_machine: Callable[[], Facts]
    tell: Callable[[str], None]  # what a technician should do or wait for at this moment
    wave_s: float = 0.0  # for so long the technician waves a hand before the sensors; 0: not asked
    light_phase: str = ""  # day, dusk or night by the camera; empty as long as it was not asked
    was_modem_asked: bool = False
    modem_said: ModemEvent | None = None  # its last answer; None: it was not asked, or gave none

    @cached_property
    def facts(self) -> Facts:
        """What is seen of the machine; about a second the first time."""
        return self.look_at_machine()

    @cached_property
    def enforced(self) -> dict[str, Check]:
        """Return what the firmware's own self-check says of these facts, by name."""
        return {check.name: check for check in report(self.settings, self.facts).checks}


Look = Callable[[Bench], PartReport]


def worst(reports: Iterable[PartReport]) -> PartState:
    """Return the state of all together: fail if one fails, warn if one warns, else pass."""
    states = {one.state for one in reports}
    return next((state for state in (PartState.FAIL, PartState.WARN) if state in states), PartState.PASS)


def document(reports: Iterable[PartReport], *, device_id: str, made_utc: str, firmware: str) -> dict[str, Any]:
    """Return what is written as JSON; floats have three digits behind the point."""
    return {
        "version": 1,
        "device_id": device_id,
        "made_utc": made_utc,
        "firmware": firmware,
        "parts": [_plain(one) for one in reports],
    }


def _plain(one: PartReport) -> dict[str, Any]:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in one.measured.items()}
    return dataclasses.asdict(dataclasses.replace(one, measured=rounded))

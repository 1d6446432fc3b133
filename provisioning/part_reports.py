"""What a check of a unit answers: one report a part, by name, and how they add up."""

import dataclasses
import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

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

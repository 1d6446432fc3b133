"""What a check of a unit looks at.

How each part is looked at is in the `check_` modules, what comes of it in `provisioning.part_reports`, and what is said
of it in `provisioning.check_words`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from firmware.config import DeviceConfig
from firmware.modem_records import ModemEvent
from firmware.ports import Board
from firmware.self_check import Check, Facts, report
from provisioning.part_reports import PartReport


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

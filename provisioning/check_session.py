"""One check: opens the board, looks at part after part, says each as it comes, keeps the whole in the unit's folder.

Owns the order and what is written. The unit's service must be stopped, for camera, lines and outbox have one user.
"""

import argparse
import datetime as dt
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from cloud.handover import Step
from cloud.registry import UTC_FORMAT
from firmware import config, identity
from firmware.app import MODELS_FOLDER
from firmware.board import host_facts
from firmware.board.linux import LinuxClock
from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from firmware.config import DeviceConfig
from firmware.faults import ConfigRejected, DeviceFault
from firmware.ports import Board
from firmware.self_check import Facts, ServiceFacts
from provisioning import (
    check_board,
    check_camera,
    check_disk,
    check_lamp,
    check_lines,
    check_link,
    check_machine,
    check_modem,
    check_time,
    check_words,
    durable_files,
    handover_folder,
)
from provisioning.check_eyes import Eyes
from provisioning.check_power import PowerLooks
from provisioning.check_progress import Progress
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench, Look
from provisioning.host import UNIT_FOLDER
from provisioning.part_reports import PartName, PartReport, PartState, document, worst

SUMMARIES = {
    PartState.PASS: "GOOD: every part that this unit has does its work.",
    PartState.WARN: "GOOD, BUT LOOK AT THE WARNINGS: {warned}.",
    PartState.FAIL: "NOT GOOD: {failed} failed. Do what is said above, then check again.",
}
"""The last line, in one place, because it is what is read from two metres away."""

NOT_KEPT = "Only some parts were looked at, so nothing is kept for the hand-over; run the whole check for that."


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A unit that was opened for a check."""

    settings: DeviceConfig
    folder: Path
    board: Board
    look_at_machine: Callable[[], Facts]


class Tells(Protocol):
    """Whoever wants to know what is looked at."""

    def begin(self, what: str) -> None:
        """Know what is looked at from now on."""
        ...

    def tell(self, sentence: str) -> None:
        """Take a sentence on what somebody should do now."""
        ...


def run(options: argparse.Namespace) -> int:
    """Check a unit; return 0 if no part failed, else 1. Raises ConfigRejected and OSError."""
    with Progress(sys.stderr) as progress:

        def show(report: PartReport) -> None:
            progress.clear()
            sys.stdout.write(check_words.line(report))
            sys.stdout.flush()

        reports = checked(options, progress, show)
    sys.stdout.write(summary(reports) + "\n")
    return EXIT_FAULT if worst(reports) is PartState.FAIL else EXIT_STOPPED


def checked(options: argparse.Namespace, progress: Tells, show: Callable[[PartReport], None]) -> list[PartReport]:
    """Look at every part that is wanted, hand each report to `show` as it comes, and keep them. Raises as `run`."""
    if options.amiss and options.board != "sim":
        raise ConfigRejected("--amiss belongs to --board sim; leave it out on a real unit")
    wanted = options.only or list(PartName)
    with ExitStack() as stack:
        progress.begin("the unit is opened")
        opening = _simulated(options, wanted) if options.board == "sim" else _on_the_pi(options)
        opened = stack.enter_context(opening)
        bench = Bench(
            settings=opened.settings,
            folder=opened.folder,
            board=opened.board,
            look_at_machine=opened.look_at_machine,
            tell=progress.tell,
            wave_s=options.wave,
        )
        eyes = Eyes(bench.board.camera, bench.board.lamp, bench.settings.capture, bench.board.clock)
        stack.callback(eyes.close)
        reports = []
        for report in looked(bench, table(eyes), wanted, progress):
            show(report)
            reports.append(report)
        _keep(options, bench, reports)
    return reports


def table(eyes: Eyes) -> dict[PartName, Look]:
    """Return how each part is looked at, in the order of looking."""
    looks: dict[PartName, Look] = {
        PartName.IDENTITY: check_machine.look_at_identity,
        PartName.DISK: check_disk.look,
        PartName.MODEM: check_modem.look,
        PartName.TIME: check_time.look,
        **check_machine.looks(),
        **check_camera.looks(eyes),
        PartName.LAMP: lambda bench: check_lamp.look(eyes, bench),
        **PowerLooks().looks(),
        **check_lines.looks(eyes),
        PartName.LID: check_lines.look_at_lid,
        PartName.BROKER: check_link.look,
    }
    return looks


def looked(bench: Bench, looks: dict[PartName, Look], wanted: list[PartName], progress: Tells) -> Iterator[PartReport]:
    """Yield the report of each wanted part as it comes. A part that raises its fault has failed, and the next comes."""
    for part, look in looks.items():
        if part not in wanted:
            continue
        progress.begin(f"{part} is looked at")
        try:
            yield look(bench)
        except (DeviceFault, ConfigRejected) as fault:
            yield said(Finding.PART_FAULT, part, **halves(str(fault)))
        except OSError as error:
            detail = error.strerror or type(error).__name__
            yield said(Finding.PART_FAULT, part, detail=detail, hint="check the disk")


def summary(reports: list[PartReport]) -> str:
    """Return the last line."""
    failed, warned = (
        ", ".join(one.part for one in reports if one.state is state) for state in (PartState.FAIL, PartState.WARN)
    )
    return SUMMARIES[worst(reports)].format(failed=failed, warned=warned)


def _keep(options: argparse.Namespace, bench: Bench, reports: list[PartReport]) -> None:
    """Write the record beside the unit's files and where it is wanted. Raises OSError for the latter."""
    made = document(
        reports,
        device_id=bench.settings.device_id,
        made_utc=f"{dt.datetime.fromtimestamp(bench.board.clock.utc_ms() / 1000, tz=dt.UTC):{UTC_FORMAT}}",
        firmware=_firmware_version(),
    )
    data = msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
    if options.only is None:
        try:
            handover_folder.keep(bench.folder, handover_folder.answer_name(Step.CHECK), data)
        except OSError as error:
            sys.stderr.write(
                f"{bench.folder}: the record cannot be kept there ({error.strerror}); put the part `disk` right first\n"
            )
    else:
        sys.stderr.write(f"{NOT_KEPT}\n")
    if options.json is not None:
        durable_files.write(options.json, data)


def _firmware_version() -> str:
    try:
        return importlib.metadata.version(host_facts.PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@contextmanager
def _on_the_pi(options: argparse.Namespace) -> Iterator[Opened]:
    """Open the unit of this machine. Raises ConfigRejected."""
    folder = options.unit_folder or Path("/") / UNIT_FOLDER
    settings = config.load(folder / identity.CONFIG_NAME)
    if isinstance(host_facts.service(), ServiceFacts):
        raise ConfigRejected(
            "the service runs and has camera and outbox to itself; stop it with `sudo systemctl stop kestrel`, check, "
            "and start it again"
        )
    models = options.models or MODELS_FOLDER
    yield Opened(
        settings=settings,
        folder=folder,
        board=check_board.open_pi(settings, folder),
        look_at_machine=lambda: host_facts.look(settings, folder, models, LinuxClock()),
    )


@contextmanager
def _simulated(options: argparse.Namespace, wanted: list[PartName]) -> Iterator[Opened]:
    """Open a simulated unit. What simulates is imported here, because a unit's own tool does without."""
    from hw_sim import amiss_parts  # noqa: PLC0415
    from hw_sim.board import open_unit  # noqa: PLC0415
    from hw_sim.light import LightLevel  # noqa: PLC0415
    from hw_sim.practice import practice_unit  # noqa: PLC0415
    from hw_sim.surroundings import World  # noqa: PLC0415

    faults = _faults(options.amiss, [str(fault) for fault in amiss_parts.PartFault])
    named = frozenset(amiss_parts.PartFault(fault) for fault in faults)
    if options.unit_folder is not None and any(fault.startswith("broker=") for fault in faults):
        raise ConfigRejected("--amiss broker=... needs the practice unit, whose office is here; leave UNIT out")
    with ExitStack() as stack:
        folder = options.unit_folder or stack.enter_context(practice_unit(named, with_office=PartName.BROKER in wanted))
        settings = config.load(folder / identity.CONFIG_NAME)
        unit = open_unit(settings, folder, World(light=LightLevel(options.light), seed=options.seed), named)
        if unit.modem is not None and not any(fault.startswith("time=") for fault in faults):
            unit.modem.tell_time(LinuxClock().utc_ms())

        def look_at_machine() -> Facts:
            clock = amiss_parts.clock_of(named, LinuxClock())
            facts = host_facts.look(settings, folder, options.models or MODELS_FOLDER, clock)
            return amiss_parts.seen_of(named, facts, settings)

        yield Opened(settings=settings, folder=folder, board=unit.board, look_at_machine=look_at_machine)


def _faults(given: list[str], known: list[str]) -> list[str]:
    """Return the faults that were asked for. Raises ConfigRejected for one that nobody knows."""
    for fault in given:
        if fault not in known:
            raise ConfigRejected(f"--amiss {fault} is no fault that can be practised; give one of {', '.join(known)}")
    return given

"""The camera service without a camera: the same stages on a simulated board, and the whole system in one command."""

import argparse
import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from firmware import app, config, erasure, identity, sole_use
from firmware.app import MODELS_FOLDER, Machine
from firmware.board import log_output
from firmware.board.linux import forbid_dumps
from firmware.board.log_output import LogFormat
from firmware.board.pkcs11_token import key_store_in
from firmware.command_line import EXIT_STOPPED, ended
from firmware.reading import Recogniser
from firmware.recognition import PlateReader
from hw_sim import demonstration, fleet_command, link_command, office
from hw_sim.board import open_unit
from hw_sim.closing_time import ClosingTime
from hw_sim.grid import Cell, Setting, run_grid, table
from hw_sim.light import LightLevel
from hw_sim.option_types import EXIT_INTERRUPTED, number
from hw_sim.pictures import write_contact_sheet, write_pictures
from hw_sim.surroundings import World
from hw_sim.view import View

DESCRIPTION = "Kestrel on a simulated road: vehicles pass, plates are read, sealed, sent, opened and printed."
EPILOG = """examples:
  python -m hw_sim run                        a road by day, until Ctrl-C, with broker and receiver
  python -m hw_sim run --light night --mph 75 --view    by night, with a page to watch
  python -m hw_sim run --passes 20            the same for 20 vehicles, with a summary
  python -m hw_sim run --source photographs   pictures of a folder, or a video file, in place of the road
  python -m hw_sim device --folder unit       one camera alone, made with `kestrel-provision unit new`
  python -m hw_sim grid --mph 75 --light day,night --rain 0 --passes 50 --seed 7    how much is captured and read
  python -m hw_sim picture --mph 75 --light night --out pictures    the frames of one pass, with the truth
  python -m hw_sim link --scenario outage72h --json link.json    three days offline, and how they drain
  python -m hw_sim fleet --cameras 50 --reads-per-minute 50 --minutes 1    a load on broker and receiver
  python -m hw_sim office FLEET               broker and receiver of a fleet, for units that are provisioned here

exit codes: 0 ended or stopped on request, 1 fault or bug, 2 usage or configuration, 3 the unit is
  retired, 130 a grid, a link or a load that was interrupted"""

_MPH = number(1.0, 150.0, "miles per hour")
_RAIN = number(0.0, 1.0, "rain")
_HOUR = number(0.0, 24.0, "an hour")
_DELAY = number(0.0, math.inf, "a delay")


def process() -> int:
    """Be the whole process, kept as the service keeps its own: no core, no values of a bug. Returns as `main`."""
    forbid_dumps()
    log_output.catch_strays()
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    options = _parser().parse_args(arguments)
    log_output.begin(options.log_level, options.log_format, packages=(*log_output.OWN_PACKAGES, "hw_sim"))
    return ended("kestrel-sim", lambda: options.command(options))


def _device(options: argparse.Namespace) -> int:
    """Run the service as `python -m firmware` does, on the simulated board, until all has been shown and confirmed."""
    with (
        app.stop_requests() as request,
        erasure.unless_retired(options.folder, key_store_in),
        sole_use.held(options.folder / identity.OUTBOX_NAME),
    ):
        settings = config.load(options.folder / identity.CONFIG_NAME)
        unit = open_unit(settings, options.folder, _world(options))
        reader: Recogniser = PlateReader.load(
            options.models, detection_score_ratio=settings.reading.detection_score_ratio
        )
        if options.view is not None:
            reader = View(reader, options.view, reporting_score_ratio=settings.reading.reporting_score_ratio)
        machine = app.build(unit.board, settings, options.folder, reader)
        closing_time = ClosingTime(unit.camera, machine)
        code = app.run(unit.board, dataclasses.replace(machine, stages=(*machine.stages, closing_time)), request)
        sys.stdout.write(f"{_summary(machine, waiting=closing_time.waiting, unreadable=unit.camera.unreadable)}\n")
        return code


def _run(options: argparse.Namespace) -> int:
    log_options = ["--log-level", options.log_level, "--log-format", options.log_format]
    return demonstration.run(_world(options), options.folder, with_view=options.view, log_options=log_options)


def _world(options: argparse.Namespace) -> World:
    return World(
        source=options.source,
        passes=options.passes,
        seed=options.seed,
        mph=options.mph,
        light=options.light,
        rain_ratio=options.rain,
        hour=options.hour,
    )


def _grid(options: argparse.Namespace) -> int:
    """Measure the grid and print it as a table; if a file is named, what is known is written there after each run."""
    cells = [
        Cell(mph=mph, light=light, rain_ratio=rain)
        for mph, light, rain in itertools.product(options.mph, options.light, options.rain)
    ]
    setting = Setting(
        models=options.models,
        plates_csv=options.plates,
        root=options.root,
        pir_delay_s=None if options.pir_delay_ms is None else options.pir_delay_ms / 1000,
    )
    if options.json is not None:
        options.json.open("a").close()  # what cannot be written is said before the work and not after it

    def write(answer: dict[str, Any]) -> None:
        if options.json is not None:
            options.json.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")

    try:
        answer = run_grid(
            cells, passes=options.passes, seed=options.seed, setting=setting, processes=options.jobs, told=write
        )
    except KeyboardInterrupt:
        where = "" if options.json is None else f"; what was counted until then is in {options.json}"
        sys.stderr.write(f"\nkestrel-sim: the grid was interrupted{where}\n")  # the bar may stand on the line
        return EXIT_INTERRUPTED
    sys.stdout.write(table(answer))
    return EXIT_STOPPED


def _picture(options: argparse.Namespace) -> int:
    if options.sheet:
        options.out.mkdir(parents=True, exist_ok=True)
        write_contact_sheet(options.out / "sheet.png", seed=options.seed)
        sys.stdout.write(f"day, dusk and night, dry and wet, slow and fast: {options.out / 'sheet.png'}\n")
        return EXIT_STOPPED
    written = write_pictures(options.out, mph=options.mph, light=options.light, rain=options.rain, seed=options.seed)
    sys.stdout.write(f"{len(written)} frames of one pass, each with its truth as JSON, in {options.out}\n")
    return EXIT_STOPPED


def _summary(machine: Machine, *, waiting: int, unreadable: int) -> str:
    """Return what a run did in one line: counts only."""
    reading = machine.reading
    parts = [
        f"{reading.frames_read} frames read",
        f"{reading.reads_sealed} reads sealed",
        f"{machine.uplink.confirmed} confirmed",
        f"{waiting} waiting",
        f"{reading.tracker.below_reporting} plates too doubtful",
        f"{reading.tracker.repeated} repeated",
    ]
    troubles = {
        "frames came too fast": reading.frames.dropped,
        "frames were no pictures": reading.frames_rejected,
        "reads lost": reading.reads_lost,
        "files unreadable": unreadable,
    }
    return "device: " + ", ".join(parts + [f"{count} {trouble}" for trouble, count in troubles.items() if count])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel-sim",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    device = commands.add_parser("device", help="one camera alone: the twin of `python -m firmware`")
    device.add_argument("--folder", type=Path, required=True, help="the unit's folder: config.json, keys, outbox")
    device.add_argument(
        "--models", type=Path, default=MODELS_FOLDER, help="folder of the networks (default: %(default)s)"
    )
    device.set_defaults(command=_device)

    run = commands.add_parser("run", help="the whole system: fleet, broker, receiver and a camera, in one terminal")
    run.add_argument("--folder", type=Path, help="where fleet, unit and store are kept (default: a new one)")
    run.set_defaults(command=_run)

    for command, level in ((device, "info"), (run, "warning")):
        command.add_argument("--source", type=_source, help="a folder of photographs or a video file, not the road")
        command.add_argument("--passes", type=_count, help="vehicles on the road (default: until stopped)")
        command.add_argument("--seed", type=_seed, default=1, help="the same seed, the same vehicles (default: 1)")
        command.add_argument("--mph", type=_MPH, help="speed of all vehicles (default: 25 to 75)")
        _add_conditions(command)
        command.add_argument("--hour", type=_HOUR, help="traffic of a weekday from this hour on (default: steady)")
        command.add_argument("--log-level", choices=log_output.LEVELS, default=level)
        command.add_argument("--log-format", type=LogFormat, choices=list(LogFormat), default=LogFormat.AUTO)
    device.add_argument("--view", type=Path, metavar="DIR", help="write a page there that shows what the unit sees")
    run.add_argument("--view", action="store_true", help="write a page that shows what the unit sees, and say where")
    _add_grid(commands)
    _add_picture(commands)
    link_command.add_to(commands)
    fleet_command.add_to(commands)
    office.add_to(commands)
    return parser


def _add_grid(commands: Any) -> None:
    grid = commands.add_parser("grid", help="captured and read by speed, light and rain, in virtual time")
    grid.add_argument("--mph", type=_list_of(_MPH), default=[5.0, 25.0, 45.0, 60.0, 75.0, 100.0], help="5,25,...")
    grid.add_argument("--light", type=_list_of(_light), default=list(LightLevel), help="of day,dusk,night")
    grid.add_argument("--rain", type=_list_of(_RAIN), default=[0.0, 1.0], help="0 dry to 1 heavy, such as 0,1")
    grid.add_argument("--passes", type=_count, default=200, help="vehicles a cell (default: 200)")
    grid.add_argument("--seed", type=_seed, default=1, help="the same seed, the same answer (default: 1)")
    grid.add_argument("--json", type=Path, metavar="OUT", help="write the answer there, as it grows")
    grid.add_argument("--plates", type=Path, metavar="CSV", help="photographed plates: columns image, text, region")
    grid.add_argument("--root", type=Path, metavar="DIR", help="what the table's images are relative to")
    grid.add_argument(
        "--pir-delay-ms",
        type=_DELAY,
        help="a PIR this late; inf for a dead one (default: 100 to 1000)",
    )
    grid.add_argument("--jobs", type=_count, help="processes (default: one a core)")
    grid.add_argument("--models", type=Path, default=MODELS_FOLDER, help="the networks (default: %(default)s)")
    grid.set_defaults(command=_grid, log_level="warning", log_format=LogFormat.TEXT)


def _add_picture(commands: Any) -> None:
    picture = commands.add_parser("picture", help="the frames of one pass as PNG, with the truth beside each")
    picture.add_argument("--mph", type=_MPH, default=75.0, help="default: 75")
    _add_conditions(picture)
    picture.add_argument("--seed", type=_seed, default=1, help="default: 1")
    picture.add_argument("--sheet", action="store_true", help="one sheet of all lights and weathers instead")
    picture.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    picture.set_defaults(command=_picture, log_level="warning", log_format=LogFormat.TEXT)


def _add_conditions(command: argparse.ArgumentParser) -> None:
    command.add_argument("--light", type=_light, default=LightLevel.DAY, help="day, dusk or night (default: day)")
    command.add_argument("--rain", type=_RAIN, default=0.0, help="0 dry to 1 heavy (default: 0)")


def _list_of(one: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return what reads a list with commas. Raises ArgumentTypeError."""

    def read(text: str) -> list[Any]:
        return [one(part) for part in text.split(",")]

    return read


def _light(text: str) -> LightLevel:
    """Return a light level. Raises ArgumentTypeError."""
    try:
        return LightLevel(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not day, dusk or night") from None


def _seed(text: str) -> int:
    """Return a whole number from 0. Raises ArgumentTypeError."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number from 0")
    return int(text)


def _source(text: str) -> Path:
    """Return a path whose ~ counts even where the shell left it, as in `make run SOURCE=~/photos`."""
    return Path(text).expanduser()


def _count(text: str) -> int:
    """Return a whole number above zero. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return int(text)


if __name__ == "__main__":
    sys.exit(process())

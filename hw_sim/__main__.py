"""The camera service without a camera: the same stages on a simulated board, and the whole system in one command."""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware import app, config, identity
from firmware.app import LOG_FORMAT, MODELS_FOLDER, Machine
from firmware.command_line import ended
from hw_sim import demonstration
from hw_sim.board import open_unit
from hw_sim.closing_time import ClosingTime

DESCRIPTION = "Kestrel on a simulated road: vehicles pass, plates are read, sealed, sent, opened and printed."
EPILOG = """examples:
  python -m hw_sim run                        a road by day, until Ctrl-C, with broker and receiver
  python -m hw_sim run --passes 20            the same for 20 vehicles, with a summary
  python -m hw_sim run --source photographs   pictures of a folder, or a video file, in place of the road
  python -m hw_sim device --folder unit       one camera alone, made with `kestrel-provision unit new`

exit codes: 0 ended or stopped on request, 1 fault or bug, 2 usage or configuration"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level.upper(), format=LOG_FORMAT)
    return ended("kestrel-sim", lambda: options.command(options))


def _device(options: argparse.Namespace) -> int:
    """Run the service as `python -m firmware` does, on the simulated board, until all has been shown and confirmed."""
    with app.stop_requests() as request:
        settings = config.load(options.folder / identity.CONFIG_NAME)
        unit = open_unit(settings, options.folder, source=options.source, passes=options.passes, seed=options.seed)
        machine = app.build(unit.board, settings, options.folder, options.models)
        closing_time = ClosingTime(unit.camera, machine)
        code = app.run(unit.board, dataclasses.replace(machine, stages=(*machine.stages, closing_time)), request)
        sys.stdout.write(f"{_summary(machine, waiting=closing_time.waiting, unreadable=unit.camera.unreadable)}\n")
        return code


def _run(options: argparse.Namespace) -> int:
    return demonstration.run(options.source, options.passes, options.folder)


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
        command.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default=level)
    device.add_argument(
        "--seed", type=int, default=1, help="of the road: the same seed, the same vehicles (default: 1)"
    )
    return parser


def _source(text: str) -> Path:
    """Return a path whose ~ counts even where the shell left it, as in `make run SOURCE=~/photos`."""
    return Path(text).expanduser()


def _count(text: str) -> int:
    """Return a whole number above zero. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

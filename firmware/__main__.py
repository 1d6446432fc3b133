"""Start the camera service on a Raspberry Pi, or say what is enforced on the unit; nothing else."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from firmware import app, config, erasure, identity, self_check, sole_use
from firmware.board import host_facts, log_output
from firmware.board.linux import LinuxClock, forbid_dumps
from firmware.board.log_output import LogFormat
from firmware.board.pi import open_board
from firmware.board.pkcs11_token import key_store_in
from firmware.command_line import EXIT_FAULT, EXIT_STOPPED, ended
from firmware.recognition import PlateReader


def process() -> int:
    """Be the whole process of the service: nothing of its memory leaves it, however it ends. Returns as `main`."""
    forbid_dumps()
    log_output.catch_strays()
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service; return its exit code: 0 stopped on request, 1 fault or bug, 2 usage or files, 3 retired."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.self_check and (options.config or options.json):
        parser.error("--config and --json belong to --self-check")
    log_output.begin(options.log_level, options.log_format)
    return ended("kestrel", lambda: _check(options) if options.self_check else _serve(options))


def _check(options: argparse.Namespace) -> int:
    """Say what is enforced on this unit now; return 0 if all is, 1 if something is not. Raises ConfigRejected."""
    path = options.config or options.folder / identity.CONFIG_NAME
    settings = config.load(path)
    answer = self_check.report(settings, host_facts.look(settings, path.parent, options.models, LinuxClock()))
    sys.stdout.write(self_check.table(answer))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n")
    return EXIT_STOPPED if answer.passed else EXIT_FAULT


def _serve(options: argparse.Namespace) -> int:
    """Run the unit in the folder that the options name until it is asked to stop; return the exit code."""
    with (
        app.stop_requests() as request,
        erasure.unless_retired(options.folder, key_store_in),
        sole_use.held(options.folder / identity.OUTBOX_NAME),
    ):
        settings = config.load(options.folder / identity.CONFIG_NAME)
        board = open_board(settings, options.folder)
        reader = PlateReader.load(options.models, detection_score_ratio=settings.reading.detection_score_ratio)
        return app.run(board, app.build(board, settings, options.folder, reader), request)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel",
        description="The camera service: sees, reads, seals and publishes licence plates.",
        epilog="Exit codes: 0 stopped on request or all enforced, 1 fault, bug or something not enforced, "
        "2 usage or configuration, 3 retired.",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/var/lib/kestrel"),
        help="the unit's folder: config.json, keys, outbox (default: %(default)s)",
    )
    parser.add_argument(
        "--models", type=Path, default=app.MODELS_FOLDER, help="folder of the networks (default: %(default)s)"
    )
    parser.add_argument("--log-level", choices=log_output.LEVELS, default="info", help="default: %(default)s")
    parser.add_argument(
        "--log-format",
        type=LogFormat,
        choices=list(LogFormat),
        default=LogFormat.AUTO,
        help="auto: the journal's own fields where systemd listens, else text (default: %(default)s)",
    )
    checking = parser.add_argument_group("what is enforced on this unit")
    checking.add_argument("--self-check", action="store_true", help="say it, and end; as root nothing stays unknown")
    checking.add_argument("--config", type=Path, metavar="FILE", help="the unit's config.json (default: the folder's)")
    checking.add_argument("--json", type=Path, metavar="OUT", help="write the answer there too")
    return parser


if __name__ == "__main__":
    sys.exit(process())

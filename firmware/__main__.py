"""Start the camera service on a Raspberry Pi: arguments, configuration, board, run; nothing else."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware import app, config, identity
from firmware.board import log_output
from firmware.board.linux import forbid_dumps
from firmware.board.log_output import LogFormat
from firmware.board.pi import open_board
from firmware.command_line import ended
from firmware.recognition import PlateReader


def process() -> int:
    """Be the whole process of the service: nothing of its memory leaves it, however it ends. Returns as `main`."""
    forbid_dumps()
    log_output.catch_strays()
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service; return its exit code: 0 stopped on request, 1 fault or bug, 2 usage or configuration."""
    options = _parser().parse_args(arguments)
    log_output.begin(options.log_level, options.log_format)
    return ended("kestrel", lambda: _serve(options))


def _serve(options: argparse.Namespace) -> int:
    """Run the unit in the folder that the options name until it is asked to stop; return the exit code."""
    with app.stop_requests() as request:
        settings = config.load(options.folder / identity.CONFIG_NAME)
        board = open_board(settings, options.folder)
        reader = PlateReader.load(options.models, detection_score_ratio=settings.reading.detection_score_ratio)
        return app.run(board, app.build(board, settings, options.folder, reader), request)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel",
        description="The camera service: sees, reads, seals and publishes licence plates.",
        epilog="Exit codes: 0 stopped on request, 1 fault or bug, 2 usage or configuration.",
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
    return parser


if __name__ == "__main__":
    sys.exit(process())

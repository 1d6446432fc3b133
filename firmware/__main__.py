"""Start the camera service on a Raspberry Pi: arguments, configuration, board, run; nothing else."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware import app, config, erasure, identity
from firmware.board.pi import open_board
from firmware.command_line import ended
from firmware.recognition import PlateReader


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service; return its exit code: 0 stopped on request, 1 fault or bug, 2 usage or files, 3 retired."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level.upper(), format=app.LOG_FORMAT)
    return ended("kestrel", lambda: _serve(options))


def _serve(options: argparse.Namespace) -> int:
    """Run the unit in the folder that the options name until it is asked to stop; return the exit code."""
    with app.stop_requests() as request, erasure.unless_retired(options.folder):
        settings = config.load(options.folder / identity.CONFIG_NAME)
        board = open_board(settings, options.folder)
        reader = PlateReader.load(options.models, detection_score_ratio=settings.reading.detection_score_ratio)
        return app.run(board, app.build(board, settings, options.folder, reader), request)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel",
        description="The camera service: sees, reads, seals and publishes licence plates.",
        epilog="Exit codes: 0 stopped on request, 1 fault or bug, 2 usage or configuration, 3 retired.",
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
    parser.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], default="info", help="default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

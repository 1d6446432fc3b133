"""Measure the device's own models on labelled pictures: `python -m models.evaluate scenes|crops|passages|boxes`.

`--report` lays the errors out to be looked at; `pin` writes figures into the models' manifest. Counting is done in
models.measuring and models.figures.
"""

import argparse
import errno
import json
import os
import sys
import tempfile
from pathlib import Path

import cv2

from firmware.faults import DeviceFault
from models.data import DataMissing, Row, load_rows, refuse_versioned
from models.measuring import boxes, crops, passages, scenes
from models.pinning import pin_figures
from models.report import write_report

MODELS = Path(__file__).parent


def _chosen(options: argparse.Namespace) -> list[Row]:
    rows = load_rows(options.table)
    chosen = [
        row
        for row in rows
        if (options.split is None or row.split == options.split) and (options.set is None or row.set == options.set)
    ]
    if rows and not chosen:
        wanted = [f"{name} {value}" for name, value in (("set", options.set), ("split", options.split)) if value]
        raise DataMissing(f"{options.table}: no row of {', '.join(wanted)}; choose another --set or --split")
    return chosen


def _writable_file(path: Path) -> None:
    """Make the folder of a file and return if the file can be written there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.evaluate", description="Measure the device's own models on labelled pictures."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("scenes", help="whole pictures in, text out; DIR holds x.jpg with x.txt beside it")
    whole.add_argument("folder", type=Path, metavar="DIR")
    for name, what in (
        ("crops", "plates cut out already; columns image,text,region"),
        ("passages", "several pictures of each plate, voted as a unit votes; columns image,x,y,w,h,text,region,track"),
        ("boxes", "plate boxes; columns of plates.csv"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("table", type=Path, metavar="CSV")
        command.add_argument(
            "--root", type=Path, required=True, help="folder that the table's picture names start from"
        )
        command.add_argument("--split", help="only rows of this split, where the table has one")
        command.add_argument("--set", help="only rows of this set, where the table has one")
    for command in commands.choices.values():
        command.add_argument("--json", type=Path, metavar="OUT", help="write the result here as well")
        command.add_argument(
            "--report", type=Path, metavar="DIR", help="write a page with every error to DIR/index.html"
        )
    pin = commands.add_parser("pin", help="write results into the models' manifest")
    pin.add_argument("results", type=Path, nargs="+", metavar="JSON", help="what --json wrote; pinned by file name")
    for command in commands.choices.values():
        command.add_argument(
            "--models", type=Path, default=MODELS, help="folder of the models (default: the product's)"
        )
    return parser


def _measure(options: argparse.Namespace) -> None:
    """Run one measurement, print its figures as JSON, then write what is asked for."""
    if options.json:
        _writable_file(options.json)
    if options.report:
        refuse_versioned(options.report)
    if options.command == "scenes":
        measurement = scenes(options.folder, options.models)
    else:
        work = {"crops": crops, "passages": passages, "boxes": boxes}[options.command]
        measurement = work(_chosen(options), options.root, options.models)
    text = json.dumps({**measurement.figures, "models": measurement.models}, indent=2)
    print(text, flush=True)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.report:
        write_report(measurement, options.report)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and print what it found. Returns the exit code: 2 for wrong input, 1 for a fault."""
    options = _parser().parse_args(arguments)
    cv2.setNumThreads(1)
    try:
        if options.command == "pin":
            count = pin_figures(options.results, options.models)
            print(f"{options.models}: {count} measurements pinned")
        else:
            _measure(options)
    except DataMissing as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    except DeviceFault as error:
        print(f"evaluate: {error.hint}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"evaluate: {error.filename}: {error.strerror}; choose another file", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The agency's command line: `receive` hears the reads of a fleet, `list` shows what is stored."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from cloud import fleet_folder
from cloud.broker_files import RECEIVER_USER
from cloud.receiver import HEADING, Receiver, ReceiverSettings, line
from cloud.store import ReadStore
from firmware.command_line import ended
from firmware.faults import ConfigRejected


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done or told to stop, 1 broker or disk refused, 2 usage or files."""
    options = _parser().parse_args(arguments)
    return ended("kestrel-cloud", lambda: options.command(options))


def _receive(options: argparse.Namespace) -> None:
    fleet = fleet_folder.load(options.folder)
    if options.name not in (names := fleet_folder.receivers(options.folder)):
        raise ConfigRejected(
            f"{options.folder}: has no receiver of this name, but {', '.join(names)}; make one with "
            "`kestrel-provision fleet add-receiver`"
        )
    settings = ReceiverSettings(
        folder=options.folder,
        host=options.host or fleet.host,
        port=options.port or fleet.port,
        store_path=options.store or options.folder / fleet_folder.STORE,
        count=options.count,
        name=options.name,
    )
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    Receiver(settings, stopping).run()


def _list(options: argparse.Namespace) -> None:
    path = options.store or options.folder / fleet_folder.STORE
    if not path.exists():
        raise ConfigRejected(f"{path}: there is no store yet; `kestrel-cloud receive` makes it")
    with ReadStore(path) as store:
        sys.stdout.write(HEADING + "\n")
        for read in store.reads(options.last):
            sys.stdout.write(line(read) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel-cloud",
        description="The receiving end: hears, opens, stores and confirms the reads of a fleet.",
        epilog="Exit codes: 0 done or told to stop, 1 the broker or the disk refused, 2 usage or files.",
    )
    commands = parser.add_subparsers(title="command", required=True, metavar="receive|list")
    receive = commands.add_parser("receive", help="hear reads, store them, send receipts, show each as a line")
    receive.add_argument("--host", help="the broker (default: the fleet's)")
    receive.add_argument("--port", type=_port, help="its port (default: the fleet's)")
    receive.add_argument("--count", type=_at_least_one, help="end after so many new reads (default: never)")
    receive.add_argument("--name", default=RECEIVER_USER, help="which of the fleet's receivers (default: %(default)s)")
    receive.set_defaults(command=_receive)
    listing = commands.add_parser("list", help="show the newest stored reads")
    listing.add_argument("--last", type=_at_least_one, default=20, help="how many (default: %(default)s)")
    listing.set_defaults(command=_list)
    for command in (receive, listing):
        command.add_argument("--folder", type=Path, required=True, help="the fleet's folder")
        command.add_argument("--store", type=Path, help="the store (default: receiver/reads.db in the fleet's folder)")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError("must be a port, 1 to 65535")
    return number


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())

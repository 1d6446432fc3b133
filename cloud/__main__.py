"""The agency's command line: `receive` hears a fleet; the others show what is stored, or ask for more."""

import argparse
import datetime as dt
import signal
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec

from cloud import fleet_folder, handovers, picture_looks, units
from cloud.broker_files import RECEIVER_USER
from cloud.plate_pictures import unpacked
from cloud.read_rows import StoredRead
from cloud.receiver import HEADING, Receiver, ReceiverSettings, line
from cloud.registry import Registry
from cloud.store import ReadStore
from firmware import durable_files
from firmware.command_line import ended
from firmware.faults import ConfigRejected, DocumentRejected
from firmware.picture_requests import PictureOutcome


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
    purpose = picture_looks.purpose_of(options)
    with ReadStore(_store_path(options)) as store:
        reads = store.reads(options.last)
        outcomes = _outcomes(store, reads) if options.ids or options.pictures else {}
        sys.stdout.write(HEADING + (f"  {'read id':<36}  vehicle\n" if options.ids else "\n"))
        for read in reads:
            outcome = outcomes.get((read.device_id, read.read_id))
            vehicle = "--" if outcome is None else outcome.name.lower()
            sys.stdout.write(line(read) + (f"  {read.read_id}  {vehicle}\n" if options.ids else "\n"))
        if options.pictures is None:
            return
        _write_pictures(reads, options.pictures)
        if purpose is not None:
            names = [(read.device_id, read.read_id) for read in reads]
            count = picture_looks.write_pictures(store, names, options.pictures, purpose)
            sys.stdout.write(f"{count} pictures of vehicles written, each logged with its case.\n")
        elif count := list(outcomes.values()).count(PictureOutcome.HERE):
            sys.stdout.write(f"{count} pictures of vehicles are here too: say --case, --reason and --by to see them.\n")


def _outcomes(store: ReadStore, reads: list[StoredRead]) -> dict[tuple[str, uuid.UUID], PictureOutcome | None]:
    """Return what the units have answered about the vehicles of `reads`, by unit and read. Raises StoreRefused."""
    with store.group():
        return {(one.device_id, one.read_id): store.pictures.outcome(one.device_id, one.read_id) for one in reads}


def _write_pictures(reads: list[StoredRead], folder: Path) -> None:
    """Write the pictures of `reads` as PNG, named by read id, for their owner's eyes only. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for read in reads:
        if read.picture is None:
            continue
        try:
            image = unpacked(read.picture)
        except DocumentRejected as rejected:
            sys.stderr.write(f"kestrel-cloud: read {read.read_id}: {rejected}\n")
            continue
        durable_files.write(folder / f"{read.read_id}.png", cv2.imencode(".png", image)[1].tobytes())


def _units(options: argparse.Namespace) -> None:
    registry = Registry(options.folder / fleet_folder.REGISTRY_FOLDER)
    with ReadStore(_store_path(options)) as store:
        fares = units.all_units(registry, store)
    if options.json:
        sys.stdout.buffer.write(msgspec.json.format(units.encode(fares), indent=2) + b"\n")
    else:
        sys.stdout.write(units.table(fares, int(dt.datetime.now(tz=dt.UTC).timestamp() * 1000)))


def _handovers(options: argparse.Namespace) -> None:
    with ReadStore(_store_path(options)) as store:
        records = handovers.all_records(store)
    sys.stdout.write(handovers.table([signed for signed, _, _ in records]))
    if options.out is not None:
        written = handovers.write_files(options.out, records)
        sys.stdout.write(f"{len(written)} files written to {options.out}; they say where units hang.\n")


def _store_path(options: argparse.Namespace) -> Path:
    path: Path = options.store or options.folder / fleet_folder.STORE
    if not path.exists():
        raise ConfigRejected(f"{path}: there is no store yet; `kestrel-cloud receive` makes it")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel-cloud",
        description="The receiving end: hears, opens, stores and confirms the reads of a fleet.",
        epilog="Exit codes: 0 done or told to stop, 1 the broker or the disk refused, 2 usage or files.",
    )
    commands = parser.add_subparsers(title="command", required=True, metavar="receive|list|units|handovers|...")
    receive = commands.add_parser("receive", help="hear reads, store them, send receipts, show each as a line")
    receive.add_argument("--host", help="the broker (default: the fleet's)")
    receive.add_argument("--port", type=_port, help="its port (default: the fleet's)")
    receive.add_argument("--count", type=_at_least_one, help="end after so many new reads (default: never)")
    receive.add_argument("--name", default=RECEIVER_USER, help="which of the fleet's receivers (default: %(default)s)")
    receive.set_defaults(command=_receive)
    listing = commands.add_parser("list", help="show the newest stored reads")
    listing.add_argument("--last", type=_at_least_one, default=20, help="how many (default: %(default)s)")
    listing.add_argument("--pictures", type=Path, metavar="DIR", help="write the plates' pictures there, as PNG")
    listing.add_argument("--ids", action="store_true", help="show read ids, and whether the vehicle's picture is here")
    picture_looks.add_purpose(listing, is_required=False)
    listing.set_defaults(command=_list)
    every = commands.add_parser("units", help="show all units and how they fared when they last said so")
    every.add_argument("--json", action="store_true", help="all that they said, as JSON")
    every.set_defaults(command=_units)
    kept = commands.add_parser("handovers", help="show the hand-over records that units have sent")
    kept.add_argument("--out", type=Path, metavar="DIR", help="write them there, JSON and PDF of each")
    kept.set_defaults(command=_handovers)
    asking = picture_looks.add_to(commands, _store_path)
    for command in (receive, listing, every, kept, *asking):
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

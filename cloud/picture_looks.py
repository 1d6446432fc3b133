"""`kestrel-cloud request-picture` and `requests`: asking for pictures of vehicles, and who has looked at which and why.

Nobody sees a picture of a vehicle without a case number, a reason and a name, which are kept for ever. They stay here:
a unit is told a read's id and nothing else.
"""

import argparse
import datetime as dt
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import cv2

from cloud import fleet_folder
from cloud.picture_rows import LoggedLook, Purpose
from cloud.plate_pictures import unpacked
from cloud.registry import UTC_FORMAT, Registry, State
from cloud.store import ReadStore
from firmware import durable_files
from firmware.faults import ConfigRejected, DocumentRejected
from firmware.picture_requests import PictureOutcome

ANSWERS: Final[Mapping[PictureOutcome, str]] = MappingProxyType(
    {
        PictureOutcome.HERE: "it is here",
        PictureOutcome.GONE: "gone: the unit kept it for its time, or needed the room",
        PictureOutcome.NEVER: "none was taken",
    }
)
WAITING: Final = "asked, no answer yet"
MAX_CHARACTERS: Final = 200
"""Of a case number, a reason and a name."""

StorePath = Callable[[argparse.Namespace], Path]

_HEADING: Final = (
    f"{'time (UTC)':<20}  {'unit':<28}  {'read':<36}  {'what':<5}  {'case':<16}  {'by':<20}  picture; reason"
)


def add_to(commands: Any, store_path: StorePath) -> list[argparse.ArgumentParser]:
    """Add both commands; return them, to be given the options that all have."""
    asking = commands.add_parser("request-picture", help="ask a unit for the picture of the vehicle of one read")
    asking.add_argument("read_id", type=_read_id, metavar="READ_ID", help="of a stored read: `list --ids` shows them")
    add_purpose(asking, is_required=True)
    asking.set_defaults(command=lambda options: _request(options, store_path(options)))
    every = commands.add_parser("requests", help="show who asked for, or was shown, pictures of vehicles, and why")
    every.set_defaults(command=lambda options: _requests(store_path(options)))
    return [asking, every]


def add_purpose(command: argparse.ArgumentParser, *, is_required: bool) -> None:
    """Add the three options that say why somebody looks at vehicles."""
    why = "" if is_required else "; for vehicles' pictures"
    for option, metavar, what in (
        ("--case", "NUMBER", "the case's number"),
        ("--reason", "TEXT", "why the picture is needed"),
        ("--by", "NAME", "who looks"),
    ):
        command.add_argument(option, metavar=metavar, type=_words, required=is_required, help=f"{what}{why}; kept")


def purpose_of(options: argparse.Namespace) -> Purpose | None:
    """Return why somebody looks; None if nothing was said. Raises ConfigRejected if something was and something not."""
    said = (options.case, options.reason, options.by)
    if not any(said):
        return None
    if not all(said):
        raise ConfigRejected("--case, --reason and --by go together: every look at a vehicle's picture is logged")
    return Purpose(case_number=options.case, reason=options.reason, name=options.by)


def write_pictures(store: ReadStore, reads: Iterable[tuple[str, uuid.UUID]], folder: Path, purpose: Purpose) -> int:
    """Write the pictures of these reads' vehicles into `folder` as PNG, each look logged; return how many.

    Raises OSError and StoreRefused.
    """
    written = 0
    for device_id, read_id in reads:
        picture = store.pictures.show(device_id, read_id, purpose, _utc_ms())
        if picture is None:
            continue
        try:
            image = unpacked(picture)
        except DocumentRejected as rejected:
            sys.stderr.write(f"kestrel-cloud: vehicle of read {read_id}: {rejected}\n")
            continue
        durable_files.write(folder / f"{read_id}-vehicle.png", cv2.imencode(".png", image)[1].tobytes())
        written += 1
    return written


def table(looks: Iterable[LoggedLook]) -> str:
    """Return the audit as a table for people, oldest first."""
    return "".join(f"{text}\n" for text in (_HEADING, *map(_line, looks)))


def _line(look: LoggedLook) -> str:
    at = dt.datetime.fromtimestamp(look.at_utc_ms / 1000, tz=dt.UTC)
    state = WAITING if look.outcome is None else ANSWERS[look.outcome]
    purpose = look.purpose
    return (
        f"{at:{UTC_FORMAT}}  {look.device_id:<28}  {look.read_id}  {look.what:<5}  {purpose.case_number:<16}  "
        f"{purpose.name:<20}  {state}; {purpose.reason}"
    )


def _request(options: argparse.Namespace, path: Path) -> None:
    purpose = Purpose(case_number=options.case, reason=options.reason, name=options.by)
    with ReadStore(path) as store:
        device_id = store.pictures.unit_of(options.read_id)
        if device_id is None:
            raise ConfigRejected(f"{path}: holds no read of this id; `kestrel-cloud list --ids` shows them")
        registry = Registry(options.folder / fleet_folder.REGISTRY_FOLDER)
        states = {unit.device_id: unit.state for unit in registry.units()}
        outcome = store.pictures.ask(device_id, options.read_id, purpose, _utc_ms())
    if outcome is PictureOutcome.HERE:
        sys.stdout.write("It is here: `kestrel-cloud list --pictures DIR` writes it, with the same case and reason.\n")
    elif outcome is not None:
        sys.stdout.write(f"The unit has answered before: {ANSWERS[outcome]}.\n")
    elif states.get(device_id) is not State.ACTIVE:
        sys.stdout.write(f"The request is logged, but {device_id} is no active unit any more and will not answer.\n")
    else:
        sys.stdout.write(
            f"The request is logged; `kestrel-cloud receive` asks {device_id} now, and again until it answers.\n"
        )


def _requests(path: Path) -> None:
    with ReadStore(path) as store:
        sys.stdout.write(table(store.pictures.looks()))


def _read_id(text: str) -> uuid.UUID:
    """Return a read's id. Raises ArgumentTypeError."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be the id of a read, as `kestrel-cloud list --ids` shows it") from None


def _words(text: str) -> str:
    """Return words that can be kept and shown. Raises ArgumentTypeError."""
    words = text.strip()
    if not words or len(words) > MAX_CHARACTERS or not words.isprintable():
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_CHARACTERS} printable characters")
    return words


def _utc_ms() -> int:
    return time.time_ns() // 1_000_000

"""One acceptance: what was done and measured becomes a record, signed by the unit, kept beside it, sent to the office.

Nothing is signed before all is there and good, or a reason was given for what is not. Killed at any moment, it can be
run again: a record is on the disk whole or not at all, and what was put in the outbox goes by itself.
"""

import argparse
import contextlib
import datetime as dt
import hashlib
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cloud import handover
from cloud.handover import HandoverRecord, SignedHandover
from cloud.registry import UTC_FORMAT
from firmware import VERSION, config, identity, sole_use, tflite
from firmware.app import MODELS_FOLDER
from firmware.board import pi
from firmware.config import DeviceConfig
from firmware.faults import ConfigRejected
from firmware.papers import PaperKind
from firmware.ports import Board
from provisioning import accept_words, durable_files, handover_folder, handover_photos, handover_sources, round_trip
from provisioning.check_progress import moving
from provisioning.handover_page import Signed, page
from provisioning.handover_photos import Picture
from provisioning.handover_sources import NEVER_ACCEPTED, Gathered
from provisioning.round_trip import RoundTrip

SECONDS_AT_MOST = 3600.0


def run(options: argparse.Namespace) -> RoundTrip:
    """Hand a unit over and print what becomes of it. Raises as `accepted`."""
    with moving() as make_room:

        def say(sentence: str) -> None:
            make_room()
            _say(sentence)

        trip = accepted(options, say)
        say(accept_words.outcome(trip))
        return trip


def accepted(options: argparse.Namespace, say: Callable[[str], None]) -> RoundTrip:
    """Hand a unit over, say how it goes, and return what became of it: to say that is the caller's.

    Raises ConfigRejected for what is missing or amiss, DeviceFault for a part that does not work or a service that is
    running, and OSError.
    """
    folder: Path = options.unit
    settings = config.load(folder / identity.CONFIG_NAME)
    if options.rear_plates_only != "yes":
        raise ConfigRejected(accept_words.NOT_REAR_ONLY)
    if not 0 < options.seconds <= SECONDS_AT_MOST:
        raise ConfigRejected(f"--seconds {options.seconds:g} is no time to wait; give 1 to {SECONDS_AT_MOST:.0f}")
    gathered = handover_sources.gather(folder, settings, dt.datetime.now(dt.UTC))
    _refuse_what_is_amiss(gathered, options.despite)
    models = options.models or MODELS_FOLDER
    pictures = handover_photos.of_phone(options.photo, models)
    with sole_use.held(folder / identity.OUTBOX_NAME):
        pass  # the service has the camera too; this says so before anything else does
    with _opened(options.board, settings, folder) as board:
        unit = _Unit(folder=folder, settings=settings, board=board, models=models)
        say(accept_words.LOOKING)
        pictures.append(handover_photos.of_unit(board, settings.capture, settings.mount, models))
        signed, pdf = unit.signed(unit.record(options, gathered, pictures), pictures, options.tongue.said)
        files = _kept(folder, signed, pdf, options.out)
        say(accept_words.SEALING)
        document = handover.packed(handover.encode(signed), pdf)
        trip = round_trip.send(
            folder, board, settings, document, PaperKind.HANDOVER, timeout_s=options.seconds, on_progress=say
        )
    for path in files:
        say(f"Kept as {path}")
    return trip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """The unit that is handed over."""

    folder: Path
    settings: DeviceConfig
    board: Board
    models: Path

    def record(self, options: argparse.Namespace, gathered: Gathered, pictures: list[Picture]) -> HandoverRecord:
        """Return what is to be signed. Raises ConfigRejected for a name or a reason that is too long, DeviceFault."""
        accepted = dt.datetime.fromtimestamp(self.board.clock.utc_ms() / 1000, tz=dt.UTC)
        record = HandoverRecord(
            device_id=self.settings.device_id,
            accepted_utc=accepted.strftime(UTC_FORMAT),
            clock_trusted=self.board.clock.is_trusted(),
            accepted_by=options.by.strip(),
            site=self.settings.site,
            rear_plates_only="confirmed",
            versions=self._versions(),
            sources=gathered.sources,
            checks=gathered.checks,
            aim=gathered.aim,
            survey=gathered.survey,
            photos=tuple(one.photo for one in pictures),
            despite=tuple(accept_words.shortcoming(one) for one in gathered.shortcomings),
            reason=options.despite.strip() if gathered.shortcomings else "",
        )
        try:
            return msgspec.convert(msgspec.to_builtins(record), HandoverRecord)
        except msgspec.ValidationError as error:
            raise ConfigRejected(
                f"the record cannot be made ({error}); give a name and a reason, both short"
            ) from error

    def signed(
        self, record: HandoverRecord, pictures: list[Picture], say: Callable[[str], str]
    ) -> tuple[SignedHandover, bytes]:
        """Return the signed record and its page. Raises ConfigRejected and DeviceFault(KEY_UNUSABLE)."""
        key = identity.load(self.folder, self.settings.device_id, self.board.keys).device_key
        signature = handover.signature_of(record, key.sign)
        facts = Signed(fingerprint=handover.fingerprint(key.public_key()), signature=signature)
        pdf = page(record, facts, pictures, say)
        return handover.sealed_with_page(record, signature, pdf, key.public_key(), key.sign), pdf

    def _versions(self) -> dict[str, str]:
        """Return what runs on the unit. Raises DeviceFault(MODEL_REFUSED) and OSError."""
        networks = {path.name: f"SHA-256 {_sha256(path)}" for path in sorted(self.models.glob("*.tflite"))}
        return {
            "Firmware": VERSION,
            "Networks": tflite.read_manifest(self.models).version,
            **networks,
            "Configuration": f"{self.settings.version}, SHA-256 {_sha256(self.folder / identity.CONFIG_NAME)}",
            "Operating system": _system_name(),
            "Kernel": f"{platform.release()} {platform.machine()}",
            "Signing key": self.board.keys.describe(),
        }


def _refuse_what_is_amiss(gathered: Gathered, reason: str) -> None:
    """Return if nothing is amiss, or a reason was given for what may be accepted with one. Raises ConfigRejected."""
    never = tuple(one for one in gathered.shortcomings if one.flaw in NEVER_ACCEPTED)
    if never:
        raise ConfigRejected(accept_words.refused(never, can_be_accepted=False))
    if gathered.shortcomings and len(reason.strip()) < 3:
        raise ConfigRejected(accept_words.refused(gathered.shortcomings, can_be_accepted=True))


@contextlib.contextmanager
def _opened(kind: str, settings: DeviceConfig, folder: Path) -> Iterator[Board]:
    """Open the unit's board: the Pi's, or the simulated one, which a unit's own tool does without."""
    if kind == "sim":
        from hw_sim.board import open_unit  # noqa: PLC0415
        from hw_sim.surroundings import World  # noqa: PLC0415

        board = open_unit(settings, folder, World()).board
    else:
        board = pi.open_board(settings, folder)
    try:
        yield board
    finally:
        for trigger in board.triggers:
            trigger.close()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _kept(folder: Path, signed: SignedHandover, pdf: bytes, out: Path | None) -> list[Path]:
    """Write record and page beside the unit, and where else they are wanted; return where. Raises OSError."""
    stamp = signed.record.accepted_utc.replace("-", "").replace(":", "")
    files = {f"accepted-{stamp}.pdf": pdf, f"accepted-{stamp}.json": handover.encode(signed)}  # the page first
    kept = [handover_folder.keep(folder, name, data) for name, data in files.items()]
    if out is not None:
        durable_files.make_folder(out)
        for name, data in files.items():
            kept.append(out / f"{signed.record.device_id}-{name}")
            durable_files.write(kept[-1], data)
    return kept


def _say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()

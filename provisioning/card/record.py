"""What was done to a card, written on it: /etc/kestrel/card.json. It also remembers what was asked for."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import msgspec

from firmware import strict_json
from firmware.faults import DocumentRejected
from provisioning import durable_files
from provisioning.card.bundle import Bundle
from provisioning.card.debian import INSTALLED, OF_THE_CAMERA, READ_ONLY, REQUIRED, dpkg_states
from provisioning.card.findings import Finding, Flaw, Part
from provisioning.card.mounted import Card
from provisioning.card.programs import installed_release

PATH: Final = PurePosixPath("etc/kestrel/card.json")
VERSION: Final = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a card is. Holds no secret."""

    version: int = VERSION
    release: str | None
    suite: str
    architecture: str
    python: str
    wheels: dict[str, str]  # Python packages by name, with their versions
    packages: dict[str, str]  # Debian packages likewise, those that this installer asks for
    absent: list[str]  # of the camera's packages
    is_read_only: bool
    kept_account: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStep:
    """The record; comes last, for it tells what the others have done."""

    card: Card
    bundle: Bundle | None
    is_read_only: bool
    kept_account: str | None
    part: Part = Part.RECORD

    def missing(self) -> list[Finding]:
        """Return whether the record tells of something else. Raises OSError."""
        if load(self.card) == self._wanted():
            return []
        return [Finding(part=self.part, flaw=Flaw.RECORD_DIFFERS, what=str(PATH))]

    def do(self) -> None:
        """Write the record. Raises OSError."""
        place = self.card.root / PATH
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        durable_files.publish(place, msgspec.json.format(msgspec.json.encode(self._wanted()), indent=2) + b"\n")

    def _wanted(self) -> Record:
        versions = {name: version for name, (state, version) in dpkg_states(self.card).items() if state == INSTALLED}
        before = load(self.card)
        known = self.bundle.contents.wheels if self.bundle else before.wheels if before else {}
        return Record(
            release=installed_release(self.card),
            suite=self.card.suite,
            architecture=self.card.architecture,
            python=self.card.python,
            wheels=known,
            packages={name: versions[name] for name in (*REQUIRED, *OF_THE_CAMERA, READ_ONLY) if name in versions},
            absent=[name for name in OF_THE_CAMERA if name not in versions],
            is_read_only=self.is_read_only,
            kept_account=self.kept_account,
        )


def load(card: Card) -> Record | None:
    """Return the card's record, or None if there is none that can be read. Raises OSError."""
    try:
        return strict_json.read(card.root / PATH, Record)
    except (FileNotFoundError, DocumentRejected):
        return None

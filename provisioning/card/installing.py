"""The table of steps that make a card a unit's, and the one way in which they are gone through.

A step says what is missing and does what is missing. Checking asks them all; installing asks each, lets it do, and asks
again. Nothing else decides what is left to do, so an installation may be killed anywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from firmware import config, identity
from firmware.config import DeviceConfig
from provisioning.card import mounted, record
from provisioning.card.bundle import Bundle
from provisioning.card.debian import OF_THE_CAMERA, PackagesStep
from provisioning.card.findings import Finding, Flaw, Part, Refusal
from provisioning.card.inside import Inside
from provisioning.card.log_ins import LogInsStep
from provisioning.card.mounted import Card
from provisioning.card.mounts import LABELS, MountsStep
from provisioning.card.programs import ProgramsStep
from provisioning.card.record import RecordStep
from provisioning.card.wording import CardRefused, said
from provisioning.host import UNIT_FOLDER
from provisioning.host import install as host

ACCOUNT: Final = "kestrel"
MARGIN_MB: Final = 500
"""What stays free for journal, outbox and updates."""


class Step(Protocol):
    """One part of the installation."""

    @property
    def part(self) -> Part:
        """Return which part this is."""
        ...

    def missing(self) -> list[Finding]:
        """Return what is not as it should be; nothing if there is nothing to do. Raises OSError."""
        ...

    def do(self) -> None:
        """Do what is missing; may be killed anywhere and done again. Raises CardRefused, OSError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for; None is as the card's record says, and else no."""

    is_read_only: bool | None = None
    kept_account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsStep:
    """Files and links of the host (provisioning.host)."""

    card: Card
    settings: DeviceConfig | None
    part: Part = Part.SETTINGS

    def missing(self) -> list[Finding]:
        """Return which files and links are missing or differ. Raises OSError."""
        paths = host.differences(self.card.root, self.settings)
        return [Finding(part=self.part, flaw=Flaw.FILE_DIFFERS, what=str(path)) for path in paths]

    def do(self) -> None:
        """Write them. Raises OSError."""
        host.install(self.card.root, self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStep:
    """The account of the service, as etc/sysusers.d/kestrel.conf describes it."""

    card: Card
    inside: Inside
    part: Part = Part.ACCOUNT

    def missing(self) -> list[Finding]:
        """Return whether the account is there. Raises OSError."""
        lines = (self.card.root / "etc/passwd").read_text(encoding="utf-8", errors="replace").splitlines()
        is_there = any(line.startswith(f"{ACCOUNT}:") for line in lines)
        return [] if is_there else [Finding(part=self.part, flaw=Flaw.ACCOUNT_MISSING, what=ACCOUNT)]

    def do(self) -> None:
        """Let systemd make it. Raises CardRefused."""
        self.inside.run(["systemd-sysusers"])


def steps(
    card: Card, bundle: Bundle | None, inside: Inside, wishes: Wishes, *, labels: Path = LABELS
) -> tuple[Step, ...]:
    """Return all steps in their order. Raises ConfigRejected (the unit's own configuration), OSError."""
    known = record.load(card)
    is_read_only = wishes.is_read_only if wishes.is_read_only is not None else bool(known and known.is_read_only)
    kept_account = wishes.kept_account or (known.kept_account if known else None)
    return (
        PackagesStep(card=card, bundle=bundle, inside=inside, is_read_only=is_read_only),
        ProgramsStep(card=card, bundle=bundle, inside=inside),
        SettingsStep(card=card, settings=unit_settings(card)),
        AccountStep(card=card, inside=inside),
        LogInsStep(card=card, kept_account=kept_account),
        MountsStep(card=card, is_read_only=is_read_only, labels=labels),
        RecordStep(card=card, bundle=bundle, is_read_only=is_read_only, kept_account=kept_account),
    )


def unit_settings(card: Card) -> DeviceConfig | None:
    """Return the configuration of the unit on this card, or None if there is none yet. Raises ConfigRejected."""
    path = card.root / UNIT_FOLDER / identity.CONFIG_NAME
    return config.load(path) if path.exists() else None


def absent_for_the_camera(card: Card) -> list[str]:
    """Return the packages of the camera that the card's record says are not there."""
    known = record.load(card)
    return known.absent if known else list(OF_THE_CAMERA)


def examine(table: Sequence[Step]) -> dict[Part, list[Finding]]:
    """Return what is missing of each part. Raises OSError."""
    return {step.part: step.missing() for step in table}


def carry_out(table: Sequence[Step], begun: Callable[[Part], None], ended: Callable[[Part, int], None]) -> int:
    """Do what is missing, tell of each part how many things; return how many in all. Raises CardRefused, OSError."""
    mended = 0
    for step in table:
        begun(step.part)
        found = step.missing()
        if found:
            step.do()
            left = step.missing()
            if left:
                raise CardRefused(Refusal.NOT_MENDED, part=step.part, what=said(left[0]))
        mended += len(found)
        ended(step.part, len(found))
    return mended


def require_fit(card: Card, bundle: Bundle | None, table: Sequence[Step], mounts: str) -> None:
    """Return if there is a chance that all steps end well. `mounts`: /proc/mounts. Raises CardRefused, OSError."""
    if card.is_running and mounted.is_overlaid(mounts):
        raise CardRefused(Refusal.READ_ONLY_NOW)
    if host.is_boot_partition_missing(card.root):
        raise CardRefused(Refusal.BOOT_NOT_MOUNTED, root=str(card.root / host.BOOT_CONFIG.parent))
    lacking = {step.part for step in table if step.missing()} & {Part.PACKAGES, Part.PROGRAMS}
    if not lacking:
        return
    if bundle is None:
        what = {Part.PACKAGES: "Debian packages", Part.PROGRAMS: "our programs"}
        raise CardRefused(Refusal.NO_BUNDLE, what=" and ".join(what[part] for part in sorted(lacking)))
    needed = bundle.contents.needed_mb + MARGIN_MB
    if Part.PROGRAMS in lacking and card.free_mb() < needed:
        raise CardRefused(Refusal.TOO_LITTLE_SPACE, free=str(card.free_mb()), needed=str(needed))

"""`kestrel-provision card`: options, progress, and what is said at the end.

A command loads what it needs when it runs: another one need not wait for that.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from provisioning.card.findings import Finding, Part

if TYPE_CHECKING:
    from provisioning.card import mounted

MOUNTS: Final = Path("/proc/self/mounts")
FINDINGS_SHOWN: Final = 8


class Progress:
    """Says on `stream` what is being done, and on a terminal for how long already."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._title, self._begun_s = "", 0.0

    def begun(self, title: str) -> None:
        """Say that something begins; what was begun before is over."""
        if self._title:
            self.ended("done")
        self._title, self._begun_s = title, time.monotonic()
        self._stream.write(f"{title} ..." if self._stream.isatty() else f"{title} ...\n")
        self._stream.flush()

    def tick(self) -> None:
        """Say that it still goes on."""
        if self._stream.isatty():
            self._stream.write(f"\r{self._title} ... {time.monotonic() - self._begun_s:.0f} s")
            self._stream.flush()

    def ended(self, result: str) -> None:
        """Say how it ended."""
        start = f"\r{self._title}: " if self._stream.isatty() else "    "
        self._stream.write(f"{start}{result} ({time.monotonic() - self._begun_s:.1f} s)\n")
        self._stream.flush()
        self._title = ""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `card` and their options."""
    from provisioning.card.mounted import PROCESSORS, PYTHONS  # noqa: PLC0415

    commands = parser.add_subparsers(title="command", required=True, metavar="bundle|install|check")
    making = commands.add_parser(
        "bundle", help="fetch what a card needs into a folder; needs a network, a card does not"
    )
    making.add_argument("--out", type=Path, required=True, help="the bundle's folder")
    making.add_argument("--suite", choices=sorted(PYTHONS), required=True, help="Debian 12 or 13")
    making.add_argument("--arch", choices=sorted(PROCESSORS), default="arm64", help="default: %(default)s")
    making.add_argument("--sources", type=Path, help="sources.list for apt (default: this machine's Debian)")
    making.set_defaults(command=_bundle)
    installs = commands.add_parser("install", help="make a card a unit's; a second time changes nothing")
    installs.add_argument("--bundle", type=Path, help="the bundle's folder; not needed when all of it is installed")
    keeping = installs.add_mutually_exclusive_group()
    keeping.add_argument("--read-only", action="store_true", default=None, help="writable only: the unit's partition")
    keeping.add_argument("--writable", action="store_false", dest="read_only", help="the other way (the default)")
    installs.add_argument("--log-in", metavar="ACCOUNT", help="the one account that keeps its password (default: none)")
    installs.set_defaults(command=_install)
    checks = commands.add_parser("check", help="say of each part of a card whether it is as it should be")
    checks.set_defaults(command=_check, bundle=None, read_only=None, log_in=None)
    for command in (installs, checks):
        command.add_argument("--root", type=Path, default=Path("/"), help="where the card is mounted (default: /)")


def _bundle(options: argparse.Namespace) -> None:
    from provisioning.card import fetching  # noqa: PLC0415

    progress = Progress(sys.stdout)
    wanted = fetching.Wanted(suite=options.suite, architecture=options.arch, sources=options.sources)
    made = fetching.make(options.out, wanted, progress.begun, progress.tick).contents
    progress.ended("done")
    sys.stdout.write(
        f"{options.out} is for Debian's {made.suite} on {made.architecture}: {len(made.wheels)} Python packages, "
        f"{len(made.packages)} Debian packages; a card needs {made.needed_mb} MB for it.\n"
    )
    if made.absent:
        sys.stdout.write(f"Not in these sources: {', '.join(made.absent)}; a unit's camera needs them.\n")


def _install(options: argparse.Namespace) -> None:
    from provisioning.card import bundle, installing, mounted  # noqa: PLC0415
    from provisioning.card.inside import InsideRoot, locked  # noqa: PLC0415

    mounted.require_superuser()
    progress = Progress(sys.stdout)
    with mounted.answering(options.root):
        card = mounted.look(options.root)
    given = None
    if options.bundle:
        progress.begun("The bundle is read")
        given = bundle.load_for(options.bundle, card, progress.tick)
        progress.ended("done")
    with mounted.answering(card.root), locked(card.root) as lock:
        inside = InsideRoot(card=card, bundle_folder=given.folder if given else None, lock=lock, tick=progress.tick)
        wishes = installing.Wishes(is_read_only=options.read_only, kept_account=options.log_in)
        table = installing.steps(card, given, inside, wishes)
        installing.require_fit(card, given, table, MOUNTS.read_text(encoding="utf-8"))
        mended = installing.carry_out(
            table,
            lambda part: progress.begun(_title(part)),
            lambda _, count: progress.ended(f"{count} done" if count else "as it should be"),
        )
        _say_end(card, mended)


def _say_end(card: "mounted.Card", mended: int) -> None:
    from provisioning.card import installing  # noqa: PLC0415

    if not mended:
        sys.stdout.write("Nothing was to be done.\n")
    absent = installing.absent_for_the_camera(card)
    if absent:
        sys.stdout.write(f"Not on the card: {', '.join(absent)}; a camera needs them, from Raspberry Pi's archive.\n")
    if installing.unit_settings(card) is None:
        sys.stdout.write(
            "There is no unit on the card yet, so its firewall lets nothing out but DNS and time: make one with "
            "`kestrel-provision unit new`, then do this again.\n"
        )
    elif mended:
        sys.stdout.write("Start the card, then ask it: `sudo /opt/kestrel/bin/kestrel --self-check`.\n")


def _check(options: argparse.Namespace) -> int:
    from provisioning.card import mounted  # noqa: PLC0415

    with mounted.answering(options.root):
        return _check_on(mounted.look(options.root))


def _check_on(card: "mounted.Card") -> int:
    from provisioning.card import installing  # noqa: PLC0415
    from provisioning.card.wording import MEND, PARTS, said  # noqa: PLC0415

    found = _examined(card)
    for part, flaws in found.items():
        sys.stdout.write(f"{part:<10} {'fail' if flaws else 'pass'}  {PARTS[part]}\n")
        for flaw in flaws[:FINDINGS_SHOWN]:
            sys.stdout.write(f"{'':<16}{said(flaw)}\n")
        if len(flaws) > FINDINGS_SHOWN:
            sys.stdout.write(f"{'':<16}and {len(flaws) - FINDINGS_SHOWN} more\n")
    absent = installing.absent_for_the_camera(card)
    if absent:
        sys.stdout.write(f"camera     warn  {', '.join(absent)} not installed\n")
    wrong = any(found.values())
    sys.stdout.write(f"{MEND}\n" if wrong else f"{card.root} is as it should be\n")
    return EXIT_FAULT if wrong else EXIT_STOPPED


def _examined(card: "mounted.Card") -> dict[Part, list[Finding]]:
    """Return what is amiss with each part; meanwhile a terminal shows that something happens, a file does not."""
    from provisioning.card import installing  # noqa: PLC0415
    from provisioning.card.inside import InsideRoot, locked  # noqa: PLC0415

    progress = Progress(sys.stderr) if sys.stderr.isatty() else None
    if progress:
        progress.begun("Looking at the card")
    with locked(card.root) as lock:
        tick = progress.tick if progress else _silent
        inside = InsideRoot(card=card, bundle_folder=None, lock=lock, tick=tick)
        found = installing.examine(installing.steps(card, None, inside, installing.Wishes()))
    if progress:
        progress.ended("done")
    return found


def _silent() -> None:
    """Say nothing."""


def _title(part: Part) -> str:
    from provisioning.card.wording import PARTS  # noqa: PLC0415

    return f"[{list(Part).index(part) + 1}/{len(Part)}] {PARTS[part]}"

"""`kestrel-provision card`: options, progress, and what is said at the end."""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from provisioning.card import bundle, fetching, installing, mounted
from provisioning.card.findings import Part
from provisioning.card.inside import InsideRoot, locked
from provisioning.card.installing import Wishes
from provisioning.card.wording import MEND, PARTS, said

MOUNTS: Final = Path("/proc/self/mounts")
FINDINGS_SHOWN: Final = 8


class Progress:
    """Says what is being done, and on a terminal for how long already."""

    def __init__(self) -> None:
        self._title, self._begun_s = "", 0.0

    def begun(self, title: str) -> None:
        """Say that something begins."""
        self._title, self._begun_s = title, time.monotonic()
        sys.stdout.write(f"{title} ..." if sys.stdout.isatty() else f"{title} ...\n")
        sys.stdout.flush()

    def tick(self) -> None:
        """Say that it still goes on."""
        if sys.stdout.isatty():
            sys.stdout.write(f"\r{self._title} ... {time.monotonic() - self._begun_s:.0f} s")
            sys.stdout.flush()

    def ended(self, result: str) -> None:
        """Say how it ended."""
        start = f"\r{self._title}: " if sys.stdout.isatty() else "    "
        sys.stdout.write(f"{start}{result} ({time.monotonic() - self._begun_s:.1f} s)\n")
        sys.stdout.flush()


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `card` and their options."""
    commands = parser.add_subparsers(title="command", required=True, metavar="bundle|install|check")
    making = commands.add_parser(
        "bundle", help="fetch what a card needs into a folder; needs a network, a card does not"
    )
    making.add_argument("--out", type=Path, required=True, help="the bundle's folder")
    making.add_argument("--suite", choices=sorted(mounted.PYTHONS), required=True, help="Debian 12 or 13")
    making.add_argument("--arch", choices=sorted(fetching.PROCESSORS), default="arm64", help="default: %(default)s")
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
    progress = Progress()
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
    mounted.require_superuser()
    progress = Progress()
    with mounted.answering(options.root):
        card = mounted.look(options.root)
    given = bundle.load_for(options.bundle, card) if options.bundle else None
    with mounted.answering(card.root), locked(card.root) as lock:
        inside = InsideRoot(card=card, bundle_folder=given.folder if given else None, lock=lock, tick=progress.tick)
        wishes = Wishes(is_read_only=options.read_only, kept_account=options.log_in)
        table = installing.steps(card, given, inside, wishes)
        installing.require_fit(card, given, table, MOUNTS.read_text(encoding="utf-8"))
        mended = installing.carry_out(
            table,
            lambda part: progress.begun(_title(part)),
            lambda _, count: progress.ended(f"{count} done" if count else "as it should be"),
        )
        _say_end(card, mended)


def _say_end(card: mounted.Card, mended: int) -> None:
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
    with mounted.answering(options.root):
        return _check_on(mounted.look(options.root))


def _check_on(card: mounted.Card) -> int:
    with locked(card.root) as lock:
        inside = InsideRoot(card=card, bundle_folder=None, lock=lock, tick=lambda: None)
        found = installing.examine(installing.steps(card, None, inside, Wishes()))
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


def _title(part: Part) -> str:
    return f"[{list(Part).index(part) + 1}/{len(Part)}] {PARTS[part]}"

"""The options of `kestrel-provision guide`; screen, steps and board are loaded when they are asked for."""

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from firmware.faults import ConfigRejected
from provisioning import speaking
from provisioning.host import UNIT_FOLDER

PRACTICE_FOLDER = Path("practice")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--board", choices=["pi", "sim"], default="pi", help="sim: practise, all on this machine")
    parser.add_argument("--fleet", type=Path, help="the fleet's folder, where it is at hand (sim: practice/fleet)")
    parser.add_argument("--unit", type=Path, help="the unit's folder (default: /var/lib/kestrel; sim: practice/unit)")
    parser.add_argument("--site", type=Path, metavar="JSON", help="the site's file: what would be asked for")
    parser.add_argument("--by", metavar="NAME", help="who does the work; stands in the hand-over record")
    parser.add_argument(
        "--rear-plates-only", choices=["yes"], help="you have seen that the camera shows rears, no fronts and no faces"
    )
    parser.add_argument(
        "--photo",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="of the unit; once for each, six at most",
    )
    parser.add_argument("--plain", action="store_true", help="line by line: for a dumb terminal or a screen reader")
    parser.add_argument("--yes", action="store_true", help="ask nothing, end at the first failure; with --plain")
    parser.add_argument("--seed", type=int, default=1, help="sim: the same seed, the same traffic (default: 1)")
    parser.set_defaults(command=_guide)


def _guide(options: argparse.Namespace) -> int:
    if options.yes and not options.plain:
        raise ConfigRejected("--yes asks nothing and shows no screen; give --plain too")
    speaking.begin("Looking at what is done already ...")
    from provisioning import guide_plain, guide_steps  # noqa: PLC0415
    from provisioning.guide_state import StateFile  # noqa: PLC0415
    from provisioning.guiding import Guide, Job  # noqa: PLC0415

    is_practice = options.board == "sim"
    unit_folder = options.unit or (PRACTICE_FOLDER / "unit" if is_practice else Path("/") / UNIT_FOLDER)
    fleet_folder = options.fleet or (PRACTICE_FOLDER / "fleet" if is_practice else None)
    file = StateFile(unit_folder)
    with file.held(), contextlib.ExitStack() as stack:
        office = _practice_office(stack, fleet_folder) if is_practice and fleet_folder else None
        job = Job(
            board=options.board, fleet=fleet_folder, unit=unit_folder, file=file, office=office,
            tongue=options.tongue, seed=options.seed,
        )  # fmt: skip
        _keep_given(job, options)
        guide = Guide(job, guide_steps.steps())
        if options.plain or not _is_screen():
            return guide_plain.PlainGuide(guide, asks=not options.yes).run()
        # A serial console prints what it does not know of that protocol; Textual reads this when it is imported.
        os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
        from provisioning import guide_screen  # noqa: PLC0415

        return guide_screen.run(guide)


def _practice_office(stack: contextlib.ExitStack, fleet: Path) -> Any:
    """Return the office of a practice fleet, which ends with `stack`. A unit's own tool does without."""
    from hw_sim.practice_office import PracticeOffice  # noqa: PLC0415

    return stack.enter_context(PracticeOffice(fleet))


def _keep_given(job: Any, options: argparse.Namespace) -> None:
    """Keep what was given as options, as if it had been typed in. Raises ConfigRejected."""
    from provisioning import guide_place  # noqa: PLC0415

    if options.by:
        job.file.change(by=options.by.strip())
    if options.rear_plates_only:
        job.file.change(rear_plates_only=True)
    if options.photo:
        job.file.change(photos=tuple(str(photo) for photo in options.photo))
    if options.site is not None and guide_place.settings_of(job) is None:
        guide_place.take_file(job, options.site)


def _is_screen() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown", ""}

"""The options of `kestrel-provision check`.

What it does is in `provisioning.check_session`, loaded when it is asked for: OpenCV and the networks take a second that
the other commands need not wait.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from provisioning.checking import PartName

WAVE_AT_MOST_S = 120.0
NAMES = ", ".join(f"`{part}`" for part in PartName)
"""In any language as they are typed in."""


def add_to(subjects: Any) -> None:
    """Add the command to the parser's subjects."""
    parser = subjects.add_parser("check", help="look at every part of a unit and say what to do")
    parser.add_argument(
        "unit_folder", type=Path, nargs="?", metavar="UNIT", help="the unit's folder (default: /var/lib/kestrel)"
    )
    parser.add_argument("--board", choices=["pi", "sim"], default="pi", help="sim: practise on a simulated unit")
    parser.add_argument("--only", type=_parts, metavar="PART,...", help=f"only these parts, of {NAMES}")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the reports there too")
    parser.add_argument(
        "--wave",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="wave before the sensors for so long: do they answer?",
    )
    parser.add_argument("--models", type=Path, help="folder of the networks (default: the product's own)")
    practice = parser.add_argument_group("with --board sim")
    practice.add_argument("--light", choices=["day", "dusk", "night"], default="day", help="default: day")
    practice.add_argument("--seed", type=int, default=1, help="the same seed, the same traffic (default: 1)")
    practice.add_argument(
        "--amiss",
        nargs="+",
        action="extend",
        default=[],
        metavar="PART=FAULT",
        help="what is wrong with the unit; `--amiss list` says what can be",
    )
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    sys.stderr.write("Looking at the unit ...\n")  # before what takes a second to load
    sys.stderr.flush()
    from provisioning import check_session  # noqa: PLC0415

    return check_session.run(options)


def _parts(text: str) -> list[PartName]:
    """Return the parts of a list with commas. Raises ArgumentTypeError."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list(PartName):
            raise argparse.ArgumentTypeError(f"there is no part {name!r}; the parts are {NAMES}")
    return [PartName(name) for name in names]


def _seconds(text: str) -> float:
    """Return seconds. Raises ArgumentTypeError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= WAVE_AT_MOST_S:
        raise argparse.ArgumentTypeError(f"must be 0 to {WAVE_AT_MOST_S:.0f} seconds")
    return seconds

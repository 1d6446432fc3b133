"""The options of `kestrel-provision aim`.

What it does is in `provisioning.aim_session`, loaded when it is asked for: OpenCV and the networks take a second that
the other commands need not wait.
"""

import argparse
from pathlib import Path

from provisioning import speaking


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--config", type=Path, help="the unit's config.json (default: the one in /var/lib/kestrel)")
    parser.add_argument("--board", choices=["pi", "sim"], default="pi", help="sim: practise on a simulated road")
    parser.add_argument("--page", type=Path, metavar="DIR", help="write a page there that renews itself, for a browser")
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the last numbers there; the hand-over keeps them anyway"
    )
    parser.add_argument("--frames", type=int, help="end after so many pictures (default: Ctrl-C)")
    parser.add_argument("--seconds", type=float, help="end after so long (default: Ctrl-C)")
    parser.add_argument("--until-good", action="store_true", help="end as soon as the aim is good")
    parser.add_argument("--colours", choices=["24bit", "256", "none"], help="default: what the terminal says it has")
    parser.add_argument("--models", type=Path, help="folder of the networks (default: the product's own)")
    practice = parser.add_argument_group("with --board sim")
    practice.add_argument("--light", choices=["day", "dusk", "night"], default="day", help="default: day")
    practice.add_argument("--seed", type=int, default=1, help="the same seed, the same traffic (default: 1)")
    practice.add_argument(
        "--amiss",
        choices=["left", "right", "high", "low", "focus", "dark", "glare"],
        help="what is wrong with the unit",
    )
    parser.set_defaults(command=_aim)


def _aim(options: argparse.Namespace) -> int:
    speaking.begin("The camera starts ...")
    from provisioning import aim_session  # noqa: PLC0415

    return aim_session.run(options)

"""The technician's command line: fleets, units, and the machine that a unit runs on."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from firmware.command_line import ended
from provisioning import (
    accept_command,
    aim_command,
    check_command,
    fleet_commands,
    guide_command,
    site_command,
    speaking,
    survey_command,
    unit_commands,
)
from provisioning.card import commands as card
from provisioning.host import commands as host
from provisioning.tongue import Tongue

SUBJECTS: Final[Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]]] = {
    "fleet": ("make and list fleets, take units out", fleet_commands.add_to),
    "site": ("write and check the file that says what differs from site to site", site_command.add_to),
    "unit": ("make and retire units", unit_commands.add_to),
    "card": ("make a card a unit's: programs, service, firewall, radios off", card.add_to),
    "host": ("what a unit does to itself", host.add_to),
    "aim": ("look through the camera and say how to turn it", aim_command.add_to),
    "survey": ("before mounting: line of sight, sun, panel and battery, signal", survey_command.add_to),
    "check": ("look at every part of a unit and say what to do", check_command.add_to),
    "accept": ("hand a unit over: the record, signed, as PDF and JSON, and sent", accept_command.add_to),
    "verify": ("say whether a hand-over record is whole, and who signed it", accept_command.add_verify_to),
    "guide": ("all of it, step by step: from a blank card to a signed hand-over", guide_command.add_to),
}
"""What can be worked on: what is said of it, and its options. The modules named here load nothing that takes long."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 the disk refused, 2 usage or configuration."""
    language, rest = speaking.chosen(sys.argv[1:] if arguments is None else arguments, os.environ)
    tongue = Tongue(language)
    with speaking.spoken(tongue):
        options = _parser(tongue, rest[0] if rest else "").parse_args(rest)
        return ended("kestrel-provision", lambda: options.command(options))


def _parser(tongue: Tongue, asked: str) -> argparse.ArgumentParser:
    """Return the parser with all subjects, and the options of the one that is asked for."""
    parser = speaking.parser_class(tongue)(
        prog="kestrel-provision",
        description="Makes fleets and units: keys, certificates, configuration.",
        epilog="Exit codes: 0 done, 1 the disk refused, 2 usage or configuration.",
    )
    speaking.add_option(parser)
    parser.set_defaults(tongue=tongue)
    subjects = parser.add_subparsers(title="what to work on", required=True, metavar="|".join(SUBJECTS))
    for name, (summary, add_options_to) in SUBJECTS.items():
        subject = subjects.add_parser(name, help=summary)
        if name == asked:
            add_options_to(subject)
    return parser


if __name__ == "__main__":
    sys.exit(main())

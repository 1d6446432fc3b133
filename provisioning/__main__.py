"""The technician's command line: fleets, units, and the machine that a unit runs on."""

import argparse
import os
import sys
from collections.abc import Sequence

from firmware.command_line import ended
from provisioning import (
    accept_command,
    aim_command,
    check_command,
    fleet_commands,
    speaking,
    survey_command,
    unit_commands,
)
from provisioning.card import commands as card
from provisioning.host import addresses
from provisioning.tongue import Tongue


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 the disk refused, 2 usage or configuration."""
    language, rest = speaking.chosen(sys.argv[1:] if arguments is None else arguments, os.environ)
    tongue = Tongue(language)
    with speaking.spoken(tongue):
        options = _parser(tongue).parse_args(rest)
        return ended("kestrel-provision", lambda: options.command(options))


def _parser(tongue: Tongue) -> argparse.ArgumentParser:
    parser = speaking.parser_class(tongue)(
        prog="kestrel-provision",
        description="Makes fleets and units: keys, certificates, configuration.",
        epilog="Exit codes: 0 done, 1 the disk refused, 2 usage or configuration.",
    )
    speaking.add_option(parser)
    parser.set_defaults(tongue=tongue)
    subjects = parser.add_subparsers(
        title="what to work on", required=True, metavar="fleet|unit|card|host|aim|survey|check|accept|verify"
    )
    fleet_commands.add_to(subjects)
    unit_commands.add_to(subjects)
    card.add_to(subjects.add_parser("card", help="make a card a unit's: programs, service, firewall, radios off"))
    _add_host_commands(subjects.add_parser("host", help="what a unit does to itself"))
    aim_command.add_to(subjects)
    survey_command.add_to(subjects)
    check_command.add_to(subjects)
    accept_command.add_to(subjects)
    return parser


def _add_host_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="command", required=True, metavar="addresses")
    filling = commands.add_parser(
        "addresses", help="put the addresses of names in the firewall; the unit does it itself"
    )
    filling.add_argument("places", type=addresses.parsed, nargs="*", metavar="HOST:PORT", help="what the unit calls")
    filling.set_defaults(command=_host_addresses)


def _host_addresses(options: argparse.Namespace) -> None:
    sys.stdout.write(f"{addresses.fill(options.places)} addresses in the firewall\n")


if __name__ == "__main__":
    sys.exit(main())

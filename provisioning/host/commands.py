"""The options of `kestrel-provision host`: what a unit does to itself."""

import argparse
import sys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `host` and their options."""
    from provisioning.host import addresses  # noqa: PLC0415  brings the configuration, which the other subjects need not

    commands = parser.add_subparsers(title="command", required=True, metavar="addresses")
    filling = commands.add_parser(
        "addresses", help="put the addresses of names in the firewall; the unit does it itself"
    )
    filling.add_argument("places", type=addresses.parsed, nargs="*", metavar="HOST:PORT", help="what the unit calls")
    filling.set_defaults(command=_addresses)


def _addresses(options: argparse.Namespace) -> None:
    from provisioning.host import addresses  # noqa: PLC0415

    sys.stdout.write(f"{addresses.fill(options.places)} addresses in the firewall\n")

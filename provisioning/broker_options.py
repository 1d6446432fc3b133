"""The options of commands that shut a unit out or ask the broker; what they do is in `provisioning.broker_notice`."""

import argparse
from pathlib import Path


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that shuts a unit out: why, and which broker is to know."""
    parser.add_argument("--reason", required=True, help="for the registry, such as 'stolen'; at most 80 characters")
    parser.add_argument(
        "--broker", type=Path, metavar="CONF", help="the mosquitto.conf of a broker on this machine, to tell it at once"
    )
    add_proof_to(parser)


def add_proof_to(parser: argparse.ArgumentParser) -> None:
    """Add the option of asking the broker."""
    parser.add_argument(
        "--prove", action="store_true", help="knock at the fleet's broker, and say what it does with the unit"
    )

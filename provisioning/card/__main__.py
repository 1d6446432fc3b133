"""`python -m provisioning.card`: the card's commands alone, which need few packages; begin.sh of a bundle uses it."""

import argparse
import sys
from collections.abc import Sequence

from firmware.command_line import ended
from provisioning.card import commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 refused or not as it should be, 2 usage or configuration."""
    parser = argparse.ArgumentParser(prog="kestrel-provision card", description="Makes a card a unit's.")
    commands.add_to(parser)
    options = parser.parse_args(arguments)
    return ended("kestrel-provision", lambda: options.command(options))


if __name__ == "__main__":
    sys.exit(main())

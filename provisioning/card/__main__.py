"""`python -m provisioning.card`: the card's commands alone, which need few packages; begin.sh of a bundle uses it."""

import os
import sys
from collections.abc import Sequence

from firmware.command_line import ended
from provisioning import speaking
from provisioning.card import commands
from provisioning.tongue import Tongue


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 refused or not as it should be, 2 usage or configuration."""
    language, rest = speaking.chosen(sys.argv[1:] if arguments is None else arguments, os.environ)
    tongue = Tongue(language)
    with speaking.spoken(tongue):
        parser = speaking.parser_class(tongue)(prog="kestrel-provision card", description="Makes a card a unit's.")
        speaking.add_option(parser)
        commands.add_to(parser)
        options = parser.parse_args(rest)
        return ended("kestrel-provision", lambda: options.command(options))


if __name__ == "__main__":
    sys.exit(main())

"""Each command that README shows is one that the parsers take: a renamed option cannot stay behind there."""

import re
import shlex
from pathlib import Path

import pytest

from cloud.__main__ import _parser as cloud_parser
from hw_sim.__main__ import _parser as sim_parser
from provisioning import __main__ as tool
from provisioning import speaking
from provisioning.tongue import Language, Tongue

README = Path(__file__).parents[2] / "README.md"
PROGRAMS = ("kestrel-provision", "kestrel-cloud", "python -m hw_sim")
OPTIONAL = re.compile(r"\[[^\]]*\]")
BEFORE = re.compile(r"^(sudo +)?(\S*/bin/)?")
NAME_ONLY = re.compile(r"[a-z_ -]+")
"""A command's name in a sentence, without what it needs."""

READ_ID = "01900000-0000-7000-8000-0000000000ab"


def shown():
    """Return the command lines of README's code blocks and of its text, without prompts and remarks."""
    text = README.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [line.strip() for line in text.split("\n") if line.startswith("    ")]
    blocks += [line.strip() for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.split("\n")]
    inline = [
        " ".join(one.split()) for one in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    ]
    whole = [*blocks, *(one for one in inline if not NAME_ONLY.fullmatch(one))]
    lines = [OPTIONAL.sub("", BEFORE.sub("", line)) for line in whole]
    return sorted({line for line in lines if line.startswith(PROGRAMS)})


def parser_of(words):
    """Return the parser of a command line, and the words for it."""
    if words[0] == "kestrel-provision":
        _, rest = speaking.chosen(words[1:], {})
        return tool._parser(Tongue(Language.ENGLISH), rest[0]), rest
    if words[0] == "kestrel-cloud":
        return cloud_parser(), words[1:]
    return sim_parser(), words[3:]


@pytest.mark.parametrize("line", shown())
def test_a_command_that_is_shown_is_taken(line, capsys):
    parser, words = parser_of(shlex.split(line.replace("READ_ID", READ_ID), comments=True))
    if "--help" in words:
        return
    try:
        parser.parse_args(words)
    except SystemExit:
        pytest.fail(f"{line}: {capsys.readouterr().err}")


def test_the_commands_of_a_technicians_day_are_shown():
    steps = {line.split()[1] for line in shown() if line.startswith("kestrel-provision")}
    assert steps >= {"guide", "fleet", "site", "unit", "card", "survey", "check", "aim", "accept", "verify"}

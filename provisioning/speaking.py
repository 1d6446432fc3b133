"""The edge between the tool and the person: which language, what is written, and the help.

Commands write English to standard output and error, whole sentences at a time; here they are said in the language that
was asked for. A text that moves the cursor is a screen, made in that language by whoever drew it.
"""

import argparse
import contextlib
import io
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

from provisioning.tongue import Language, Tongue

OPTION: Final = "--language"
VARIABLES: Final = ("KESTREL_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Asked in this order when the option is not there; the last three are POSIX's (XBD 8.2)."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that every command has; `chosen` has taken it away from the arguments before."""
    parser.add_argument(
        OPTION, choices=[str(one) for one in Language], help="English or Spanish (default: this machine's language)"
    )


def chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Language, list[str]]:
    """Return the language, and the arguments without the option that names it, wherever it stood.

    A wrong name ends the program with 2, as argparse does.
    """
    found = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    preferred = Language.SPANISH if found.split("_")[0].split(".")[0].lower() == Language.SPANISH else Language.ENGLISH
    asking = parser_class(Tongue(preferred))(prog="kestrel-provision", add_help=False, allow_abbrev=False)
    add_option(asking)
    with spoken(Tongue(preferred)):
        options, rest = asking.parse_known_args(arguments)
    return Language(options.language or preferred), rest


@contextlib.contextmanager
def spoken(tongue: Tongue) -> Iterator[None]:
    """Say whatever is written to standard output and error meanwhile in another language than English."""
    if tongue.language is Language.ENGLISH:
        yield
        return
    out, errors = Spoken(sys.stdout, tongue), Spoken(sys.stderr, tongue)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        yield


def begin(sentence: str) -> None:
    """Say on a terminal what begins, before what takes a second to load; a file gets what comes of it alone."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


class Spoken(io.TextIOBase):
    """A stream that says what is written to it in another language; all else is the stream's own."""

    def __init__(self, stream: TextIO, tongue: Tongue) -> None:
        self._stream, self._tongue = stream, tongue

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What the stream's letters are written in."""
        return self._stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write `text`; letters that the terminal does not know lose their accents. Raises OSError."""
        said = text if "\x1b[" in text else self._tongue.said(text)
        try:
            said.encode(self.encoding)
        except UnicodeEncodeError:
            said = "".join(sign for sign in unicodedata.normalize("NFD", said) if sign.isascii())
        self._stream.write(said)
        return len(text)

    def flush(self) -> None:
        """Write what waits. Raises OSError."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Say whether a person looks on."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's number. Raises OSError if it has none."""
        return self._stream.fileno()

    @property
    def plain(self) -> TextIO:
        """The stream itself, for what has been said in the other language already."""
        return self._stream


def parser_class(tongue: Tongue) -> type[argparse.ArgumentParser]:
    """Return a kind of parser whose help, and that of its subcommands, is in the tongue's language."""

    class _Help(argparse.HelpFormatter):
        def start_section(self, heading: str | None) -> None:
            super().start_section(heading and tongue.said(heading))

        def add_text(self, text: str | None) -> None:
            super().add_text(text and tongue.said(text))

        def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
            super().add_usage(usage, actions, groups, tongue.said("usage: ") if prefix is None else prefix)

        def _get_help_string(self, action: argparse.Action) -> str | None:
            return action.help and tongue.said(action.help)

    class _Parser(argparse.ArgumentParser):
        def __init__(self, *positional: Any, **named: Any) -> None:
            super().__init__(*positional, **({"formatter_class": _Help} | named))

        def print_help(self, file: Any = None) -> None:
            super().print_help(_plain(file or sys.stdout))

        def print_usage(self, file: Any = None) -> None:
            super().print_usage(_plain(file or sys.stdout))

    return _Parser


def _plain(stream: Any) -> Any:
    return stream.plain if isinstance(stream, Spoken) else stream

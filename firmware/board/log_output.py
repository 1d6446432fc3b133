"""Where log lines go: to the journal with its fields, or to standard error as text or JSON.

Also what happens to what Python itself would print, exceptions that nobody caught and warnings: it becomes a line like
any other, without values.
"""

import enum
import faulthandler
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final

from firmware.board.journal import IDENTIFIER, JournalHandler, is_heard
from firmware.log_lines import Phrase, described, is_own, line_of, printable

LEVELS: Final = ("debug", "info", "warning", "error")
OWN_PACKAGES: Final = ("firmware",)
STANDARD_ERROR: Final = 2

LOG = logging.getLogger(__name__)


class LogFormat(enum.StrEnum):
    """What `--log-format` offers."""

    AUTO = "auto"  # journal where systemd has connected standard error to it, else text
    JOURNAL = "journal"
    TEXT = "text"
    JSON = "json"


def begin(level: str, form: LogFormat, *, packages: Sequence[str] = OWN_PACKAGES) -> None:
    """Log from `level` on, in this form; of other libraries than `packages` only warnings, and those without words."""
    handler = _handler(form, packages)
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or is_own(record, packages))
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for package in packages:
        logging.getLogger(package).setLevel(level.upper())
    logging.raiseExceptions = False  # a line that cannot be written is dropped: logging would print its values


def catch_strays() -> None:
    """Log what nobody caught, on whatever thread, and Python's warnings, without values; and where a crash happened."""
    sys.excepthook = _on_exception
    threading.excepthook = _on_thread_exception
    sys.unraisablehook = _on_unraisable
    warnings.showwarning = _on_warning  # type: ignore[assignment]  # the warnings module names what we leave unread
    faulthandler.enable()  # files and lines alone: no core is left to look into


def _handler(form: LogFormat, packages: Iterable[str]) -> logging.Handler:
    if form is LogFormat.AUTO:
        is_journal = is_heard(os.environ.get("JOURNAL_STREAM", ""), STANDARD_ERROR)
        form = LogFormat.JOURNAL if is_journal else LogFormat.TEXT
    if form is LogFormat.JOURNAL:
        return JournalHandler(packages)
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines(packages) if form is LogFormat.JSON else _TextLines(packages))
    return handler


class _TextLines(logging.Formatter):
    """Level, logger, sentence: for people."""

    def __init__(self, packages: Iterable[str]) -> None:
        super().__init__()
        self._packages = tuple(packages)

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record, self._packages)
        return printable(f"{line.level} {line.logger}: {line.message}")


class _JsonLines(logging.Formatter):
    """One object a line, with the journal's fields in small letters."""

    def __init__(self, packages: Iterable[str]) -> None:
        super().__init__()
        self._packages = tuple(packages)

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record, self._packages)
        named = {name.lower(): value for name, value in line.fields().items()}
        return json.dumps({"utc_s": round(line.made_utc_s, 3), "level": line.level, "program": IDENTIFIER} | named)


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    LOG.critical("a bug ends the process: %s", described(error))


def _on_thread_exception(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        LOG.critical("a bug ends a thread: %s", described(told.exc_value))


def _on_unraisable(told: Any) -> None:
    if told.exc_value is not None:
        LOG.error("an exception that nobody can catch: %s", described(told.exc_value))


def _on_warning(_message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    LOG.warning("Python warns: %s", Phrase(f"{category.__name__} at {filename}:{lineno}"))

"""What a log line may hold: sentences of our own, numbers, names of faults, files and reads. Nothing else gets through.

A log call is a constant sentence with typed values in it (`LOG.info("%d reads are gone", count)`), and what a value is
decides whether it is shown: a bare text, bytes, an array or somebody else's exception is not. So a plate, a key or a
coordinate that strays into a log call is withheld and not published. Of other libraries' lines only the place is shown.
Pure: a record in, a line out; firmware.board writes it.
"""

import enum
import logging
import math
import numbers
import traceback
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from firmware.faults import DeviceFault, FaultCode, KestrelError

MESSAGE_CHARACTERS: Final = 4096
"""No line is longer: a datagram to the journal must stay far below the kernel's 208 KiB (unix(7), wmem_default)."""

FRAMES_AT_MOST: Final = 25
"""Of a long call path, as of an endless recursion, only the innermost calls are told."""

_LEVELS: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels of logging to those of syslog (RFC 5424, section 6.2.1)."""


class Phrase(str):
    """A text that is this program's own words: a literal, or sentences made of literals, numbers and names of faults.

    Whoever makes one vouches for that; a text that came from a picture, a file's content or the network is none.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line, with nothing in it that must not be told."""

    message: str
    priority: int  # of syslog: 2 critical, 3 error, 4 warning, 6 info, 7 debug
    level: str
    logger: str
    stage: str  # the thread's name, which is the stage's
    event: str = ""  # the constant sentence without its values: the same for all lines of one kind
    fault: FaultCode | None = None
    read_id: uuid.UUID | None = None
    file: str
    line: int
    function: str
    made_utc_s: float

    def fields(self) -> dict[str, str]:
        """Return the line as fields of the journal (systemd.journal-fields(7)); ours begin with KESTREL_."""
        named = {
            "MESSAGE": self.message,
            "PRIORITY": str(self.priority),
            "CODE_FILE": self.file,
            "CODE_LINE": str(self.line),
            "CODE_FUNC": self.function,
            "KESTREL_LOGGER": self.logger,
            "KESTREL_STAGE": self.stage,
            "KESTREL_EVENT": self.event,
            "KESTREL_FAULT": self.fault or "",
            "KESTREL_READ": "" if self.read_id is None else str(self.read_id),
        }
        return {name: value for name, value in named.items() if value}


def is_own(record: logging.LogRecord, packages: Iterable[str]) -> bool:
    """Say whether `record` is of one of these packages."""
    return record.name.partition(".")[0] in packages


def line_of(record: logging.LogRecord, packages: Iterable[str]) -> LogLine:
    """Return what may be told of `record`; `packages` are those whose sentences are ours. Never raises."""
    own = is_own(record, packages)
    values = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    message = _sentence(record.msg, values) if own else f"{record.name} has something to say at {_place(record)}"
    if record.exc_info and record.exc_info[1] is not None:
        message = f"{message}: {described(record.exc_info[1])}"
    return LogLine(
        message=message[:MESSAGE_CHARACTERS],
        priority=next((priority for level, priority in _LEVELS if record.levelno >= level), 7),
        level=record.levelname,
        logger=record.name,
        stage="main" if record.threadName == "MainThread" else str(record.threadName),
        event=record.msg[:MESSAGE_CHARACTERS] if own and isinstance(record.msg, str) else "",
        fault=next((code for value in values if (code := _fault_of(value)) is not None), None) if own else None,
        read_id=next((value for value in values if isinstance(value, uuid.UUID)), None) if own else None,
        file=record.pathname,
        line=record.lineno,
        function=record.funcName or "",
        made_utc_s=record.created,
    )


def described(error: BaseException) -> Phrase:
    """Return what `error` is and where it came from, without any value: a message of Python may quote a plate."""
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), limit=-FRAMES_AT_MOST, lookup_lines=False
    )
    path = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    what = str(error) if isinstance(error, KestrelError) else type(error).__name__
    return Phrase(f"{what} ({'; '.join(path)})")


def printable(text: str) -> str:
    """Return `text` on one line, without what could steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _sentence(template: object, values: tuple[object, ...]) -> str:
    if not isinstance(template, str):
        return f"({type(template).__name__} withheld)"
    try:
        return template % tuple(_shown(value) for value in values) if values else template
    except (TypeError, ValueError):  # a value was withheld where a number belongs
        return f"{template} (values withheld)"


def _shown(value: object) -> object:
    """Return `value` if it may be told, else what it is."""
    if value is None or isinstance(value, Phrase | enum.Enum | uuid.UUID | PurePath | KestrelError):
        return value
    if isinstance(value, numbers.Real):
        return value if math.isfinite(value) else float(value)
    return f"({type(value).__name__} withheld)"


def _fault_of(value: object) -> FaultCode | None:
    if isinstance(value, DeviceFault):
        return value.code
    return value if isinstance(value, FaultCode) else None


def _place(record: logging.LogRecord) -> str:
    return f"{Path(record.pathname).name}:{record.lineno} in {record.funcName}"

"""Strict JSON (RFC 8259) into typed records: what configuration, registry, fleet and model manifest are written in.

Owns the limits and the wording of what is refused, and no document. The one idea: size and depth are looked at before
anything is parsed, a key that is there twice is a mistake and no choice, and no message repeats what the document says.
"""

import json
import re
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from firmware.faults import DocumentRejected

T = TypeVar("T")

MAX_BYTES: Final = 65_536
"""Of one document: a unit's configuration has 1 KB, a model manifest 10 KB."""

MAX_DEPTH: Final = 16

_TEXT_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_UNKNOWN_KEY: Final = re.compile(r"unknown field `(.*?)`(?= - at `[^`]*`\Z|\Z)", re.DOTALL)
_NONE_OF_A_SET: Final = re.compile(r"\AInvalid (?:enum )?value .*?( - at `[^`]*`)?\Z", re.DOTALL)
_SHOWN_KEY: Final = re.compile(r"[a-z_]{1,32}")  # a key's misspelling, and never a plate, a number or a key's bytes


def read(path: Path, kind: type[T]) -> T:
    """Return the record in the file at `path`. Raises OSError, and DocumentRejected as `decoded` does."""
    with path.open("rb") as file:
        return decoded(file.read(MAX_BYTES + 1), kind)


def decoded(data: bytes, kind: type[T]) -> T:
    """Return the record of type `kind` in `data`, at most MAX_BYTES long and MAX_DEPTH deep.

    Raises DocumentRejected with half a sentence on one line, which names keys and bounds and no value.
    """
    if len(data) > MAX_BYTES:
        raise DocumentRejected(f"longer than {MAX_BYTES} bytes")
    if _depth(data) > MAX_DEPTH:
        raise DocumentRejected(f"nested deeper than {MAX_DEPTH} levels")
    try:
        record = msgspec.json.decode(data, type=kind)
        json.loads(data, object_pairs_hook=_without_twins)  # msgspec takes the last of two without a word
    except msgspec.MsgspecError as error:
        raise DocumentRejected(_worded(str(error))) from None
    except UnicodeDecodeError:
        raise DocumentRejected("not UTF-8") from None
    except (ValueError, RecursionError):
        raise DocumentRejected("JSON is malformed: a number of thousands of digits") from None
    return record


def _depth(data: bytes) -> int:
    """Return how deep brackets are nested outside of texts."""
    deepest = depth = 0
    for mark in _TEXT_OR_BRACKET.finditer(data):
        first = data[mark.start()]
        depth += (first in b"[{") - (first in b"]}")
        deepest = max(deepest, depth)
    return deepest


def _without_twins(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise DocumentRejected("a key is there twice")


def _worded(message: str) -> str:
    """Return msgspec's message without what it quotes of the document: a strange key, a value that is none of a set."""
    return _NONE_OF_A_SET.sub(r"Not one of the known values\1", _UNKNOWN_KEY.sub(_shown, message))


def _shown(match: re.Match[str]) -> str:
    return match[0] if _SHOWN_KEY.fullmatch(match[1]) else "unknown field"

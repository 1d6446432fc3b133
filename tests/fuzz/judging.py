"""What a decoder of bytes from outside may do with them: take them, or refuse them as documented, soon and discreetly.

A target is one such decoder with seeds that it takes. `judge` feeds it once and raises `Misbehaved`, or lets through
whatever exception is not documented.
"""

import functools
import re
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import reasoncodes

TIME_LIMIT_S = 2.0
MEMORY_LIMIT_BYTES = 64_000_000
MESSAGE_LIMIT_CHARACTERS = 400
FREE_DIGITS = 5
"""Positions and sizes may be told; a number with more digits must stand in the source."""

ROOT = Path(__file__).resolve().parents[2]

LIBRARY_WORDS = frozenset(
    # the sentences of msgspec, SQLite and the operating system
    """
    unicode escaped escape pair least most to utf
    a access array at attempt bool byte CBORDecodeEOF CBORDecodeError character characters column comma
    constraint contains control data database datatype decoding denied Directory directory disk during encoding
    end error escape exists Expected failed few field file File float format got has hex image in Input int
    Integer invalid is Is JSON key length locked logic long malformed many matching mismatch missing name near
    no No not null Number number Object of open or out pair Permission range readonly regex required sequence
    SQL str string such surrogate syntax table text to token too trailing truncated unable unexpected unknown
    unrecognized unsupported utf value write
    """.split()  # noqa: SIM905  a list of words is no shorter as a list
)


@dataclass(frozen=True)
class Target:
    """One decoder: `feed` gives it the bytes, `documented` is what may come out, `seeds` makes inputs that it takes."""

    name: str
    feed: Callable[[bytes], None]
    documented: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]
    longest_bytes: int = 4096
    may_tell: str = (
        ""  # a pattern: what of the input a refusal may repeat, because it is public and a technician needs it
    )


class Misbehaved(Exception):
    """A decoder took too long or too much, or said more than it should."""


def judge(target: Target, data: bytes) -> bool:
    """Feed `data`; return whether it was taken. Raises Misbehaved, or what the decoder does not document."""
    began_s, peak_kb = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    is_taken = True
    try:
        target.feed(data)
    except target.documented as refusal:
        is_taken = False
        if type(refusal) not in target.documented:
            raise
        _judge_message(str(refusal), target.may_tell)
    if (took_s := time.process_time() - began_s) > TIME_LIMIT_S:
        raise Misbehaved(f"{target.name}: {len(data)} bytes took {took_s:.1f} s of CPU")
    grown_bytes = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb)
    if grown_bytes > MEMORY_LIMIT_BYTES:
        raise Misbehaved(f"{target.name}: {len(data)} bytes took {grown_bytes} bytes of memory")
    return is_taken


def _judge_message(message: str, may_tell: str) -> None:
    """Every word of a refusal must be one of ours: then no value of the input can be among them."""
    if len(message) > MESSAGE_LIMIT_CHARACTERS or not message.isprintable():
        raise Misbehaved(f"a refusal of {len(message)} characters, or one that is no line of text")
    for public in (
        r"\S*kestrel-fuzz-\w+",
        r"\bk-[0-9a-z]{4,24}\b",
        r"\bSQLITE_[A-Z_]+\b",
        r"unknown field `[a-z_]{1,32}`",
        r"Expected `(?:int|float)` [<>]=? -?[0-9.e+]+",
        may_tell,
    ):  # a path, a unit, an error's name, a misspelt key, a bound that our source declares
        message = re.sub(public, "", message) if public else message
    strangers = [word for word in re.findall(r"\w+", message) if not _is_ours(word)]
    if strangers:
        raise Misbehaved(f"a refusal that says {strangers}: {message}")


def _is_ours(word: str) -> bool:
    return (word.isascii() and word.isdecimal() and len(word) <= FREE_DIGITS) or word in _vocabulary()


@functools.cache
def _vocabulary() -> frozenset[str]:
    sources = [
        path for package in ("firmware", "cloud", "provisioning", "hw_sim") for path in (ROOT / package).rglob("*.py")
    ]
    sources.append(Path(reasoncodes.__file__))  # the names that MQTT gives to refusals
    words = {word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    numbers = {word.replace("_", "") for word in words if word[0].isdigit()}
    names = {word.lower() for word in words}  # fields are told by the small names of their keys
    return frozenset(words | names | numbers | LIBRARY_WORDS)

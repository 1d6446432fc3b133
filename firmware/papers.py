"""Papers: documents besides reads that a unit seals and sends, in parts that a broker takes.

A test read proves the whole way to the receiver and back, and no plate is in it; a hand-over record says how a unit was
accepted; a vehicle's picture leaves because somebody asked for it. All travel as reads do: sealed, numbered, confirmed
by receipts. A document is cut into parts, each of which is a message of its own, that names the whole by its SHA-256.
What is in a document is the business of who wrote it.
"""

import enum
import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from firmware import wire
from firmware.faults import DocumentRejected

VERSION: Final = 1

MAX_PART_BYTES: Final = 49_152
"""With its seal for four agencies, X-Wing ones at that, still below `sealing.MAX_WIRE_BYTES`."""

MAX_PARTS: Final = 32
MAX_DOCUMENT_BYTES: Final = MAX_PART_BYTES * MAX_PARTS

DIGEST_BYTES: Final = 32


class PaperKind(enum.IntEnum):
    """What a document is. The numbers are the wire's and the store's."""

    TEST = 1  # proves the way; the receiver forgets it within days
    HANDOVER = 2  # kept
    VEHICLE = 3  # the answer to a request for a vehicle's picture, in one part, of message class PICTURE


class Paper(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One part of a document. `digest` is the SHA-256 of the whole; parts count from 0."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    kind: PaperKind
    made_utc_ms: Annotated[int, Meta(ge=0, le=wire.MAX_CALENDAR_UTC_MS)]
    clock_trusted: bool
    digest: Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    part: Annotated[int, Meta(ge=0, lt=MAX_PARTS)]
    parts: Annotated[int, Meta(ge=1, le=MAX_PARTS)]
    content: Annotated[bytes, Meta(min_length=1, max_length=MAX_PART_BYTES)]

    def __repr__(self) -> str:
        return f"Paper({self.kind.name}, part {self.part} of {self.parts})"


def parts_of(document: bytes, kind: PaperKind, made_utc_ms: int, *, clock_trusted: bool) -> list[Paper]:
    """Return `document` in parts, first to last. Raises ValueError if it is empty or above MAX_DOCUMENT_BYTES."""
    if not 1 <= len(document) <= MAX_DOCUMENT_BYTES:
        raise ValueError(f"a document has 1 to {MAX_DOCUMENT_BYTES} bytes")
    contents = [document[begin : begin + MAX_PART_BYTES] for begin in range(0, len(document), MAX_PART_BYTES)]
    return [
        Paper(
            kind=kind,
            made_utc_ms=made_utc_ms,
            clock_trusted=clock_trusted,
            digest=digest_of(document),
            part=part,
            parts=len(contents),
            content=content,
        )
        for part, content in enumerate(contents)
    ]


def digest_of(document: bytes) -> bytes:
    """Return the SHA-256 of a document, by which its parts name it."""
    return hashlib.sha256(document).digest()


def payload(paper: Paper) -> bytes:
    """Return the canonical CBOR of `paper`: the array of its fields in their order."""
    return wire.encode(msgspec.to_builtins(paper, builtin_types=(bytes,)))


def parse(data: bytes) -> Paper:
    """Return the part in a payload. Raises DocumentRejected for all that `payload` does not make of `parts_of`."""
    try:
        paper = msgspec.convert(wire.decode(data, "payload"), Paper)
    except msgspec.ValidationError:
        raise DocumentRejected("payload: not a part of a document of a unit") from None
    if paper.part >= paper.parts:
        raise DocumentRejected("payload: a part beyond the last one")
    if paper.part < paper.parts - 1 and len(paper.content) != MAX_PART_BYTES:
        raise DocumentRejected("payload: a part before the last one is not full")
    if payload(paper) != data:
        raise DocumentRejected("payload: not canonical CBOR")
    return paper

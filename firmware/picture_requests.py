"""Requests for the picture of a vehicle, and what a unit answers.

A request is the agency's signed word to one unit about one read. Why somebody wants to look (the case, the reason, the
name) stays with the agency and never travels. It comes on the topic of receipts, where the unit listens already and
only the receiver may publish, signed by the same key under another prefix. It is good for a week, so that one which was
recorded and withheld is of no use for ever; a unit whose clock cannot be trusted takes it all the same.

An answer travels sealed, as a paper: with the picture as it lay on the unit's disk, sealed once more under the id of
its read, so that no picture can be passed off as another read's; or with the word that there is none, and why.
"""

import enum
import uuid
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import signed_document, wire
from firmware.faults import DocumentRejected
from firmware.records import PictureRequest

VERSION: Final = 1
SIGNATURE_PREFIX: Final = b"kestrel/picture-request/v1\x00"
MAX_REQUEST_BYTES: Final = 256
"""An id, a time and a signature are about 100 bytes."""

REQUEST_LIFE_MS: Final = 7 * 86_400_000
REQUEST_EARLY_MS: Final = 86_400_000
"""The office's clock may be this much ahead of the unit's."""

_READ_ID_BYTES: Final = 16


class RequestKey(enum.IntEnum):
    """The integer keys of a request's body. The unit's name is in the signature alone."""

    VERSION = 0
    READ_ID = 1
    ISSUED_UTC_MS = 2


class AnswerKey(enum.IntEnum):
    """The integer keys of an answer."""

    VERSION = 0
    READ_ID = 1
    OUTCOME = 2
    SEALED = 3  # the envelope of the picture; absent if there is none


class PictureOutcome(enum.IntEnum):
    """What became of a request. The numbers are the wire's and the store's."""

    HERE = 0
    GONE = 1  # it was kept for its time, or gave way to newer ones
    NEVER = 2  # none was taken of this read, or it cannot be read any more


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureAnswer:
    """What a unit has of one read; `sealed` is the envelope of the picture, empty if there is none."""

    read_id: uuid.UUID
    outcome: PictureOutcome
    sealed: bytes = field(default=b"", repr=False)


def sign_request(request: PictureRequest, receipt_key: Ed25519PrivateKey) -> bytes:
    """Return `request` as it travels: the CBOR array [body, signature]."""
    return signed_document.signed(_body(request), _prefix(request.device_id), receipt_key.sign)


def verify_request(data: bytes, public_key: Ed25519PublicKey, device_id: str) -> PictureRequest:
    """Return the request in `data` if the agency signed it for this unit; `flaw` judges its age.

    Raises DocumentRejected. No byte of the body is interpreted before its signature is good.
    """
    name = "picture request"
    if len(data) > MAX_REQUEST_BYTES:
        raise DocumentRejected(f"{name}: longer than {MAX_REQUEST_BYTES} bytes")
    whose = "this unit's agency for this unit"
    body = signed_document.verified_body(data, _prefix(device_id), public_key, name=name, whose=whose)
    fields = wire.Fields(wire.decode(body, name), RequestKey, name)
    _check_version(fields.integer(RequestKey.VERSION, 0, wire.MAX_SEQUENCE), name)
    request = PictureRequest(
        device_id=device_id,
        read_id=_read_id(fields, RequestKey.READ_ID),
        issued_utc_ms=fields.integer(RequestKey.ISSUED_UTC_MS, 0, wire.MAX_UTC_MS),
    )
    if _body(request) != body:
        raise DocumentRejected(f"{name}: not canonical CBOR")
    return request


def flaw(request: PictureRequest, now_utc_ms: int | None) -> str:
    """Return what is wrong with the age of `request`, or nothing. `now_utc_ms`: None for a clock not to be trusted."""
    if now_utc_ms is not None and request.issued_utc_ms < now_utc_ms - REQUEST_LIFE_MS:
        return "it is older than a week"
    if now_utc_ms is not None and request.issued_utc_ms > now_utc_ms + REQUEST_EARLY_MS:
        return "it is from the future; check the office's clock"
    return ""


def encode_answer(answer: PictureAnswer) -> bytes:
    """Return `answer` as canonical CBOR: the content of a paper."""
    fields: dict[int, object] = {
        AnswerKey.VERSION: VERSION,
        AnswerKey.READ_ID: answer.read_id.bytes,
        AnswerKey.OUTCOME: int(answer.outcome),
    }
    if answer.sealed:
        fields[AnswerKey.SEALED] = answer.sealed
    return wire.encode(fields)


def decode_answer(data: bytes) -> PictureAnswer:
    """Return the answer in `data`, its picture still sealed. Raises DocumentRejected."""
    name = "picture answer"
    fields = wire.Fields(wire.decode(data, name), AnswerKey, name, optional=frozenset({int(AnswerKey.SEALED)}))
    _check_version(fields.integer(AnswerKey.VERSION, 0, wire.MAX_SEQUENCE), name)
    outcome = PictureOutcome(fields.integer(AnswerKey.OUTCOME, min(PictureOutcome), max(PictureOutcome)))
    has_picture = fields.has(AnswerKey.SEALED)
    if has_picture is not (outcome is PictureOutcome.HERE):
        raise DocumentRejected(f"{name}: a picture where there is none, or none where there is one")
    answer = PictureAnswer(
        read_id=_read_id(fields, AnswerKey.READ_ID),
        outcome=outcome,
        sealed=fields.octets(AnswerKey.SEALED, 1, wire.MAX_DOCUMENT_BYTES) if has_picture else b"",
    )
    if encode_answer(answer) != data:
        raise DocumentRejected(f"{name}: not canonical CBOR")
    return answer


def _body(request: PictureRequest) -> bytes:
    return wire.encode(
        {
            RequestKey.VERSION: VERSION,
            RequestKey.READ_ID: request.read_id.bytes,
            RequestKey.ISSUED_UTC_MS: request.issued_utc_ms,
        }
    )


def _prefix(device_id: str) -> bytes:
    """Return what is signed before the body: a request to one unit is none to another."""
    return SIGNATURE_PREFIX + device_id.encode() + b"\x00"


def _read_id(fields: wire.Fields, key: enum.IntEnum) -> uuid.UUID:
    return uuid.UUID(bytes=fields.octets(key, _READ_ID_BYTES, _READ_ID_BYTES))


def _check_version(version: int, name: str) -> None:
    if version != VERSION:
        raise DocumentRejected(f"{name}: the version is not known here; update whoever reads it")

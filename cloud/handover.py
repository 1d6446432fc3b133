"""The hand-over record of a unit: what it is, who signed it, and how it travels. Read here, written by provisioning.

A file of JSON holds the record, the unit's signature of it, and its signature of the page for people, a PDF: so neither
can be changed, nor one be put beside another's. The record is signed in its canonical form: keys in order, nothing
between them (`canonical`). What is signed begins with a name of what it is, which keeps it from being anything else.
"""

import base64
import enum
import hashlib
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from firmware import strict_json
from firmware.config import DEVICE_ID_PATTERN, Base64Key, SiteConfig
from firmware.faults import DocumentRejected, RejectionCause
from firmware.papers import MAX_DOCUMENT_BYTES
from firmware.signed_document import is_signed

KIND: Final = "kestrel-handover/v1"
RECORD_PREFIX: Final = b"kestrel/handover/v1\x00"
PAGE_PREFIX: Final = b"kestrel/handover-page/v1\x00"

PDF_BEGINS: Final = b"%PDF-"
_LENGTH_BYTES: Final = 4

Line = Annotated[str, Meta(max_length=400)]
Word = Annotated[str, Meta(min_length=1, max_length=80)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="SHA-256, hexadecimal")]
UtcText = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z")]
Value = float | int | bool | Annotated[str, Meta(max_length=200)] | None


class Step(enum.StrEnum):
    """What is done before a hand-over, in this order."""

    SURVEY = "survey"
    CHECK = "check"
    AIM = "aim"


class _Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A part of the record."""


class Source(_Part, frozen=True, kw_only=True):
    """One of the files that the record rests on, and how that step had ended."""

    name: Step
    made_utc: UtcText
    sha256: Digest
    passed: bool


class Checked(_Part, frozen=True, kw_only=True):
    """What the check found of one part of the unit."""

    part: Word
    state: Literal["pass", "warn", "fail", "absent"]
    found: Line
    cause: Line = ""
    next_step: Line = ""
    measured: Annotated[dict[Word, Value], Meta(max_length=64)] = {}


class Number(_Part, frozen=True, kw_only=True):
    """One measured number by its name, with its unit."""

    name: Word
    value: Word


class Photo(_Part, frozen=True, kw_only=True):
    """One picture of the page: JPEG, as it lies in the PDF."""

    taken_by: Literal["technician", "unit"]
    sha256: Digest
    width_px: Annotated[int, Meta(ge=1, le=4096)]
    height_px: Annotated[int, Meta(ge=1, le=4096)]
    size_bytes: Annotated[int, Meta(ge=1, le=1_000_000)]


class HandoverRecord(_Part, frozen=True, kw_only=True):
    """How a unit was handed over: who, where, what was seen and measured, and what was accepted all the same."""

    kind: Literal["kestrel-handover/v1"] = KIND
    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    accepted_utc: UtcText
    clock_trusted: bool
    accepted_by: Word
    site: SiteConfig
    rear_plates_only: Literal["confirmed"]
    versions: Annotated[dict[Word, Annotated[str, Meta(max_length=200)]], Meta(max_length=24)]
    sources: Annotated[tuple[Source, ...], Meta(max_length=3)]
    checks: Annotated[tuple[Checked, ...], Meta(max_length=48)]
    aim: Annotated[tuple[Number, ...], Meta(max_length=32)]
    survey: Annotated[tuple[Number, ...], Meta(max_length=32)]
    photos: Annotated[tuple[Photo, ...], Meta(max_length=12)]
    despite: Annotated[tuple[Line, ...], Meta(max_length=24)] = ()  # what was wrong, and accepted
    reason: Line = ""  # why it was accepted all the same

    def __repr__(self) -> str:
        return f"HandoverRecord({self.device_id}, {self.accepted_utc})"


class SignedHandover(_Part, frozen=True, kw_only=True):
    """The file: the record, and the unit's word for it and for its page."""

    record: HandoverRecord
    public_key: Base64Key  # Ed25519, raw: which of the unit's keys it was
    signature: Annotated[str, Meta(max_length=128)]
    page_sha256: Digest
    page_signature: Annotated[str, Meta(max_length=128)]

    def __repr__(self) -> str:
        return f"SignedHandover({self.record!r})"


def canonical(record: HandoverRecord) -> bytes:
    """Return the bytes of `record` that are signed: JSON, keys in order, UTF-8, no blanks."""
    return msgspec.json.encode(record, order="sorted")


def record_sha256(record: HandoverRecord) -> str:
    """Return the SHA-256 of the canonical record, hexadecimal: what the page names it by."""
    return hashlib.sha256(canonical(record)).hexdigest()


def fingerprint(public_key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a raw public key, hexadecimal."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()


def signature_of(record: HandoverRecord, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the signature of `record`; `sign` returns the Ed25519 signature of what it is given."""
    return sign(_record_message(record))


def sealed_with_page(
    record: HandoverRecord,
    signature: bytes,
    page: bytes,
    public_key: Ed25519PublicKey,
    sign: Callable[[bytes], bytes],
) -> SignedHandover:
    """Return the file for a signed record and its page; the page's signature names the record too."""
    return SignedHandover(
        record=record,
        public_key=base64.b64encode(public_key.public_bytes_raw()).decode(),
        signature=base64.b64encode(signature).decode(),
        page_sha256=hashlib.sha256(page).hexdigest(),
        page_signature=base64.b64encode(sign(_page_message(record, page))).decode(),
    )


def encode(signed: SignedHandover) -> bytes:
    """Return the content of the file: JSON for people too."""
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def decode(data: bytes) -> SignedHandover:
    """Return the file's content, its signatures not yet checked. Raises DocumentRejected, without a value of it.

    Only the very bytes that `encode` makes are taken.
    """
    try:
        signed = strict_json.decoded(data, SignedHandover)
    except DocumentRejected as rejected:
        raise DocumentRejected(f"hand-over record: {rejected}") from None
    if encode(signed) != data:
        raise DocumentRejected("hand-over record: not written as the technician's tool writes it")
    return signed


def own_key(signed: SignedHandover) -> Ed25519PublicKey:
    """Return the key that the record names; whose it is must be known from elsewhere. Raises DocumentRejected."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(signed.public_key, validate=True))
    except ValueError:
        raise DocumentRejected("hand-over record: its key is not an Ed25519 key") from None


def verify(signed: SignedHandover, page: bytes, *public_keys: Ed25519PublicKey) -> Ed25519PublicKey:
    """Return which of these keys signed both the record and `page`. Raises DocumentRejected."""
    key = next((one for one in public_keys if _is_of(signed.signature, _record_message(signed.record), one)), None)
    if key is None:
        raise DocumentRejected(
            "hand-over record: it was changed after it was signed, or another unit signed it",
            RejectionCause.WRONG_SIGNATURE,
        )
    is_same = signed.page_sha256 == hashlib.sha256(page).hexdigest()
    if not (is_same and _is_of(signed.page_signature, _page_message(signed.record, page), key)):
        raise DocumentRejected(
            "hand-over record: the page is not the one that was signed with it", RejectionCause.WRONG_SIGNATURE
        )
    return key


def packed(record_file: bytes, page: bytes) -> bytes:
    """Return the document that travels: the length of the record's file in four bytes, the file, the page.

    Raises ValueError if that is more than a unit can send.
    """
    document = len(record_file).to_bytes(_LENGTH_BYTES, "big") + record_file + page
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"a hand-over record has at most {MAX_DOCUMENT_BYTES} bytes")
    return document


def unpacked(document: bytes) -> tuple[bytes, bytes]:
    """Return the record's file and the page in a document. Raises DocumentRejected."""
    length = int.from_bytes(document[:_LENGTH_BYTES], "big")
    record_file, page = document[_LENGTH_BYTES : _LENGTH_BYTES + length], document[_LENGTH_BYTES + length :]
    if len(document) < _LENGTH_BYTES or len(record_file) != length or not page.startswith(PDF_BEGINS):
        raise DocumentRejected("hand-over record: not a record with its page")
    return record_file, page


def opened(document: bytes, device_id: str, *public_keys: Ed25519PublicKey) -> SignedHandover:
    """Return the record in a document that came from `device_id`, whose keys these are. Raises DocumentRejected."""
    record_file, page = unpacked(document)
    signed = decode(record_file)
    if signed.record.device_id != device_id:
        raise DocumentRejected("hand-over record: it is another unit's", RejectionCause.OTHER_DEVICE)
    verify(signed, page, *public_keys)
    return signed


def _record_message(record: HandoverRecord) -> bytes:
    return RECORD_PREFIX + canonical(record)


def _page_message(record: HandoverRecord, page: bytes) -> bytes:
    return PAGE_PREFIX + hashlib.sha256(canonical(record)).digest() + hashlib.sha256(page).digest()


def _is_of(signature: str, message: bytes, key: Ed25519PublicKey) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return is_signed(raw, message, key)

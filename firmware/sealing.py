"""From a read in the clear to bytes that only its agencies can open: AES-256-GCM and HPKE (RFC 9180), signed (Ed25519).

This file owns the wire format of a read and every envelope; health_report.py what a health message says, agency_keys.py
the suites, receipts.py the answer, cloud.opening the receiver's side. The one idea: the unit holds the agencies' public
keys and nothing that opens, so a stolen unit cannot read its own backlog.

A read is encrypted once, with a content key of its own, and the content key is sealed to each agency: a second agency
costs about 95 bytes and not the picture once more. Everything that travels in the clear (the header) is bound three
times: into the AEAD's associated data and the HPKE `info`, so that nothing opens under another header, and into the
signature, so that nobody else can send for this unit.

AES-GCM breaks when a key meets a nonce twice (RFC 5116, section 3.2; the limit for random nonces is 2**32 messages a
key, NIST SP 800-38D, section 8.3). Here each key encrypts one message: a content key is 32 fresh bytes of the kernel's
generator for each read, and HPKE derives a fresh key from a fresh encapsulation for each recipient. No counter and no
nonce is remembered, so that no crash, no copied card and no wrong clock can bring one back. The content nonce is made
from the header, which no two reads share: even a generator that repeats itself meets another nonce. Neither nonce
travels; GCM costs its 16 bytes of tag.
"""

import dataclasses
import enum
import hashlib
import uuid
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firmware import agency_keys, health_report, papers, wire
from firmware.agency_keys import AgencyKey, SuiteNumber
from firmware.config import AGENCY_KEYS_AT_MOST
from firmware.faults import DocumentRejected, RejectionCause
from firmware.health_report import Health
from firmware.papers import Paper, PaperKind
from firmware.records import MAX_VEHICLE_BYTES, MessageClass, Picture, Read, Recipient, SealedRead
from firmware.signed_document import is_signed

SCHEMA_VERSION: Final = 4
"""Of header and payload. Whoever changes a key of either raises it: a receiver takes one version."""

INFO_PREFIX: Final = b"kestrel/key/v1\x00"
SIGNATURE_PREFIX: Final = b"kestrel/envelope/v2\x00"

MAX_WIRE_BYTES: Final = wire.MAX_DOCUMENT_BYTES
"""Half of the smallest limit of the brokers in use (128 KiB a message), and far above a read with its plate crop."""

MAX_PICTURE_BYTES: Final = 32_768
"""A crop above this is a mistake of whoever made it; below 4 KB is usual."""

MAX_TEXT_CHARACTERS: Final = 80
"""Of the site's name, the region and the model version."""

BOOT_ID_BYTES: Final = 8

_READ_ID_BYTES: Final = 16
_ED25519_SIGNATURE_BYTES: Final = 64
_GCM_NONCE_BYTES: Final = 12


class HeaderKey(enum.IntEnum):
    """The integer keys of the header, which travels in the clear."""

    SCHEMA = 0
    DEVICE_ID = 1
    READ_ID = 2
    SEQUENCE = 3
    RECIPIENTS = 4  # [[key id, suite], ...], ascending by key id
    CREATED_UTC_MS = 6
    MESSAGE_CLASS = 7


class PayloadKey(enum.IntEnum):
    """The integer keys of the payload, which only the agency sees. Scores are 0..255 for a ratio of 0..1."""

    FIRST_UTC_MS = 0
    LAST_UTC_MS = 1
    CLOCK_TRUSTED = 2
    PLATE = 3  # text, or null
    CHARACTER_SCORES = 4  # byte string, one byte a character
    SCORE = 5
    REGION = 6  # text, or null
    REGION_SCORE = 7
    FRAMES = 8
    INFRARED = 9
    SITE = 10  # [name, latitude, longitude, bearing], degrees
    MODEL_VERSION = 11
    CONFIG_VERSION = 12
    PICTURE = 13  # [coding, byte string]; absent when there is none
    PARTIAL = 14
    DIRECTION = 15  # "away" or "towards" as seen from the camera, or null
    BOOT_ID = 16  # byte string of 8: which start of the unit
    LAST_BOOT_MS = 17  # the last moment, milliseconds since that start


def uuid7(utc_ms: int, random10: bytes) -> uuid.UUID:
    """Return a UUIDv7 (RFC 9562, section 5.7) of the milliseconds since 1970 and ten random bytes.

    Raises ValueError if the time does not fit 48 bits or there are not ten bytes.
    """
    if not 0 <= utc_ms <= wire.MAX_UTC_MS or len(random10) != 10:
        raise ValueError("a UUIDv7 needs 48 bits of milliseconds and ten random bytes")
    random_a, random_b = random10[:2], random10[2:]
    version_and_a = 0x7000 | int.from_bytes(random_a, "big") & 0x0FFF
    variant_and_b = 0x8000_0000_0000_0000 | int.from_bytes(random_b, "big") & 0x3FFF_FFFF_FFFF_FFFF
    return uuid.UUID(int=utc_ms << 80 | version_and_a << 64 | variant_and_b)


def header(sealed: SealedRead) -> bytes:
    """Return the canonical CBOR map of everything about `sealed` that travels in the clear."""
    return wire.encode(
        {
            HeaderKey.SCHEMA: SCHEMA_VERSION,
            HeaderKey.DEVICE_ID: sealed.device_id,
            HeaderKey.READ_ID: sealed.read_id.bytes,
            HeaderKey.SEQUENCE: sealed.sequence,
            HeaderKey.RECIPIENTS: [[one.key_id, one.suite] for one in sealed.recipients],
            HeaderKey.CREATED_UTC_MS: sealed.created_utc_ms,
            HeaderKey.MESSAGE_CLASS: int(sealed.message_class),
        }
    )


def to_wire(sealed: SealedRead) -> bytes:
    """Return the envelope: the CBOR array [header, [wrapped key, ...], ciphertext, signature]."""
    return wire.encode([header(sealed), _wrapped_keys(sealed), sealed.ciphertext, sealed.signature])


def from_wire(data: bytes) -> SealedRead:
    """Return the sealed read in `data`, its signature not yet checked.

    Only the very bytes that `to_wire` makes are taken, so that two spellings of one read cannot exist.
    Raises DocumentRejected, without a byte of `data` in the message.
    """
    header_bytes, wrapped_keys, ciphertext, signature = _envelope_parts(data)
    value = wire.decode(header_bytes, "header")
    _check_schema(value)
    fields = wire.Fields(value, HeaderKey, "header")
    fields.integer(HeaderKey.SCHEMA, SCHEMA_VERSION, SCHEMA_VERSION)
    sealed = SealedRead(
        read_id=uuid.UUID(bytes=fields.octets(HeaderKey.READ_ID, _READ_ID_BYTES, _READ_ID_BYTES)),
        device_id=fields.device_id(HeaderKey.DEVICE_ID),
        sequence=fields.integer(HeaderKey.SEQUENCE, 0, wire.MAX_SEQUENCE),
        message_class=MessageClass(fields.integer(HeaderKey.MESSAGE_CLASS, min(MessageClass), max(MessageClass))),
        created_utc_ms=fields.integer(HeaderKey.CREATED_UTC_MS, 0, wire.MAX_UTC_MS),
        recipients=_recipients(fields.array(HeaderKey.RECIPIENTS, AGENCY_KEYS_AT_MOST), wrapped_keys),
        ciphertext=ciphertext,
        signature=signature,
    )
    if to_wire(sealed) != data:
        raise DocumentRejected("envelope: not canonical CBOR")
    return sealed


def _envelope_parts(data: bytes) -> tuple[bytes, list[object], bytes, bytes]:
    """Return the four parts of an envelope, their sizes checked. Raises DocumentRejected."""
    if len(data) > MAX_WIRE_BYTES:
        raise DocumentRejected(f"envelope: longer than {MAX_WIRE_BYTES} bytes")
    parts = wire.decode(data, "envelope")
    match parts:
        case [bytes() as header_bytes, list() as wrapped_keys, bytes() as ciphertext, bytes() as signature]:
            pass
        case _:
            raise DocumentRejected("envelope: not header, wrapped keys, ciphertext and signature")
    if not signature:
        raise DocumentRejected("envelope: nobody has signed it", RejectionCause.UNSIGNED)
    if len(ciphertext) < agency_keys.GCM_TAG_BYTES or len(signature) != _ED25519_SIGNATURE_BYTES:
        raise DocumentRejected("envelope: ciphertext or signature has an impossible length")
    return header_bytes, wrapped_keys, ciphertext, signature


def _check_schema(value: object) -> None:
    """Return if the header is of this version, whatever else is in it. Raises DocumentRejected."""
    version = value.get(int(HeaderKey.SCHEMA)) if isinstance(value, dict) else None
    if type(version) is int and version != SCHEMA_VERSION:
        raise DocumentRejected(
            "header: the schema version is not known here; update this receiver", RejectionCause.OTHER_SCHEMA
        )


def _recipients(entries: list[object], wrapped_keys: list[object]) -> tuple[Recipient, ...]:
    """Return who can open, from the header's entries and the envelope's wrapped keys. Raises DocumentRejected."""
    if not 1 <= len(entries) == len(wrapped_keys):
        raise DocumentRejected("header: recipients and wrapped keys are not as many, or none")
    recipients: list[Recipient] = []
    before = b""
    for entry, wrapped in zip(entries, wrapped_keys, strict=True):
        match entry, wrapped:
            case [bytes() as key_id, int() as number], bytes() as wrapped_key if type(number) is int:
                pass
            case _:
                raise DocumentRejected("header: a recipient is not a key id and a suite, with a wrapped key")
        if number not in agency_keys.WRAPPED_KEY_BYTES:
            raise DocumentRejected(
                "header: the suite is not known here; update this receiver", RejectionCause.OTHER_SCHEMA
            )
        suite = SuiteNumber(number)
        is_in_order = len(key_id) == agency_keys.KEY_ID_BYTES and key_id > before
        if not is_in_order or len(wrapped_key) != agency_keys.WRAPPED_KEY_BYTES[suite]:
            raise DocumentRejected(
                "header: recipients are not in order, or a key id or wrapped key is not of its length"
            )
        recipients.append(Recipient(key_id=key_id, suite=suite, wrapped_key=wrapped_key))
        before = key_id
    return tuple(recipients)


def _wrapped_keys(sealed: SealedRead) -> list[bytes]:
    return [one.wrapped_key for one in sealed.recipients]


def signed_bytes(sealed: SealedRead) -> bytes:
    """Return what the device signs: all of the envelope but the signature. CBOR makes the borders unambiguous."""
    return SIGNATURE_PREFIX + wire.encode([header(sealed), _wrapped_keys(sealed), sealed.ciphertext])


def content_nonce(header_bytes: bytes) -> bytes:
    """Return the AEAD nonce of a read. Its content key is used once, so that any nonce would do."""
    return hashlib.sha256(header_bytes).digest()[:_GCM_NONCE_BYTES]


def verify(sealed: SealedRead, *device_public_keys: Ed25519PublicKey) -> None:
    """Return if the device of these keys signed `sealed` with one of them. Raises DocumentRejected."""
    if not is_signed(sealed.signature, signed_bytes(sealed), *device_public_keys):
        raise DocumentRejected(
            "envelope: the signature is not of the device that the header names", RejectionCause.WRONG_SIGNATURE
        )


def payload(read: Read) -> bytes:
    """Return the plaintext CBOR map of `read`: what only the agency sees. Identity and sequence are in the header."""
    passage, site = read.passage, read.site
    fields: dict[int, object] = {
        PayloadKey.FIRST_UTC_MS: passage.first_utc_ms,
        PayloadKey.LAST_UTC_MS: passage.last_utc_ms,
        PayloadKey.CLOCK_TRUSTED: passage.clock_trusted,
        PayloadKey.PLATE: passage.plate.text if passage.plate else None,
        PayloadKey.CHARACTER_SCORES: bytes(_score_byte(score) for score in passage.character_scores),
        PayloadKey.SCORE: _score_byte(passage.score_ratio),
        PayloadKey.REGION: passage.region,
        PayloadKey.REGION_SCORE: _score_byte(passage.region_score_ratio),
        PayloadKey.FRAMES: passage.frames,
        PayloadKey.INFRARED: passage.infrared,
        PayloadKey.SITE: [site.name, *map(float, (site.latitude_deg, site.longitude_deg, site.bearing_deg))],
        PayloadKey.MODEL_VERSION: read.model_version,
        PayloadKey.CONFIG_VERSION: read.config_version,
        PayloadKey.PARTIAL: passage.partial,
        PayloadKey.DIRECTION: passage.direction.value if passage.direction else None,
        PayloadKey.BOOT_ID: read.boot_id,
        PayloadKey.LAST_BOOT_MS: passage.last_boot_ms,
    }
    if passage.picture is not None:
        fields[PayloadKey.PICTURE] = [int(passage.picture.coding), passage.picture.data]
    return wire.encode(fields)


def _score_byte(ratio: float) -> int:
    """Return a ratio as 0..255, rounded; a score outside 0..1 is pulled to the nearer end."""
    return round(255 * min(1.0, max(0.0, ratio)))


class Sealer:
    """Seals the reads of one unit. Holds the unit's signing key and the agencies' public keys, nothing that opens."""

    def __init__(self, device_id: str, device_key: Ed25519PrivateKey, keys: Iterable[AgencyKey]) -> None:
        self._device_id = device_id
        self._device_key = device_key
        self._keys = tuple(keys)

    def seal(self, read: Read, *, message_class: MessageClass = MessageClass.READ) -> SealedRead:
        """Return `read` sealed to the agencies whose keys are valid at the passage's last moment, and signed.

        That moment travels in the clear. Raises ValueError for what the receiver would have to reject: another unit's
        read, a read as health or as a paper, a picture above MAX_PICTURE_BYTES, a text above MAX_TEXT_CHARACTERS.
        """
        if read.device_id != self._device_id:
            raise ValueError("a unit seals only its own reads")
        if message_class not in {MessageClass.READ, MessageClass.ALERT}:
            raise ValueError("a read is no health message and no paper")
        if read.passage.picture is not None and not 0 < len(read.passage.picture.data) <= MAX_PICTURE_BYTES:
            raise ValueError(f"a plate picture has 1 to {MAX_PICTURE_BYTES} bytes")
        texts = (read.site.name, read.passage.region or "", read.model_version)
        if max(map(len, texts)) > MAX_TEXT_CHARACTERS:
            raise ValueError(f"site name, region and model version have at most {MAX_TEXT_CHARACTERS} characters")
        unsealed = self._unsealed(message_class, read.read_id, read.sequence, read.passage.last_utc_ms)
        return self._sealed(unsealed, payload(read), clock_trusted=read.passage.clock_trusted)

    def seal_health(self, health: Health, *, read_id: uuid.UUID, sequence: int) -> SealedRead:
        """Return `health` as a message of class HEALTH, sealed and signed as a read is."""
        unsealed = self._unsealed(MessageClass.HEALTH, read_id, sequence, health.made_utc_ms)
        return self._sealed(unsealed, health_report.payload(health), clock_trusted=health.clock_trusted)

    def seal_paper(self, paper: Paper, *, read_id: uuid.UUID, sequence: int) -> SealedRead:
        """Return one part of a document, sealed and signed as a read is: of class PAPER, or PICTURE for a vehicle's."""
        message_class = MessageClass.PICTURE if paper.kind is PaperKind.VEHICLE else MessageClass.PAPER
        unsealed = self._unsealed(message_class, read_id, sequence, paper.made_utc_ms)
        return self._sealed(unsealed, papers.payload(paper), clock_trusted=paper.clock_trusted)

    def seal_vehicle(self, vehicle: Picture, read: SealedRead, *, clock_trusted: bool) -> SealedRead:
        """Return the picture of the vehicle of `read` under the read's own id and number, sealed and signed as it is.

        It is no message: it lies on the disk, and travels as a paper's content. Raises ValueError above
        MAX_VEHICLE_BYTES.
        """
        if not 0 < len(vehicle.data) <= MAX_VEHICLE_BYTES:
            raise ValueError(f"a vehicle's picture has 1 to {MAX_VEHICLE_BYTES} bytes")
        unsealed = self._unsealed(MessageClass.PICTURE, read.read_id, read.sequence, read.created_utc_ms)
        return self._sealed(unsealed, wire.encode([int(vehicle.coding), vehicle.data]), clock_trusted=clock_trusted)

    def _unsealed(
        self, message_class: MessageClass, read_id: uuid.UUID, sequence: int, created_utc_ms: int
    ) -> SealedRead:
        return SealedRead(
            read_id=read_id,
            device_id=self._device_id,
            sequence=sequence,
            message_class=message_class,
            created_utc_ms=created_utc_ms,
            recipients=(),
            ciphertext=b"",
            signature=b"",
        )

    def _sealed(self, unsealed: SealedRead, plaintext: bytes, *, clock_trusted: bool) -> SealedRead:
        """Return `unsealed` with the payload sealed to the keys that are valid at its moment, and signed."""
        keys = agency_keys.recipients_at(self._keys, unsealed.created_utc_ms, clock_trusted=clock_trusted)
        recipients = tuple(Recipient(key_id=key.key_id, suite=key.suite) for key in keys)
        unsigned = self._encrypted(dataclasses.replace(unsealed, recipients=recipients), plaintext, keys)
        return dataclasses.replace(unsigned, signature=self._device_key.sign(signed_bytes(unsigned)))

    def _encrypted(self, unsealed: SealedRead, plaintext: bytes, keys: tuple[AgencyKey, ...]) -> SealedRead:
        """Return `unsealed` with the payload under a fresh content key, and that key sealed to each of `keys`."""
        header_bytes = header(unsealed)
        content_key = AESGCM.generate_key(8 * agency_keys.CONTENT_KEY_BYTES)
        wrapped = [
            agency_keys.hpke_suite(key.suite).encrypt(content_key, key.public_key, info=INFO_PREFIX + header_bytes)
            for key in keys
        ]
        return dataclasses.replace(
            unsealed,
            recipients=tuple(
                dataclasses.replace(one, wrapped_key=wrapped_key)
                for one, wrapped_key in zip(unsealed.recipients, wrapped, strict=True)
            ),
            ciphertext=AESGCM(content_key).encrypt(content_nonce(header_bytes), plaintext, header_bytes),
        )

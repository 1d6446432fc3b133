"""From a read in the clear to bytes that only the agency can open: HPKE (RFC 9180) inside an Ed25519-signed envelope.

This file owns the wire format of a read; receipts.py owns the answer, cloud.opening the receiver's side. The one idea:
the unit holds the agency's public key and nothing that opens, so a stolen unit cannot read its own backlog. Everything
that travels in the clear (the header) is bound twice: into the HPKE `info`, so that no ciphertext opens under another
header, and into the signature, so that nobody else can send for this unit.
"""

import dataclasses
import enum
import hashlib
import uuid
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from firmware import wire
from firmware.faults import DocumentRejected
from firmware.records import Read, SealedRead

SCHEMA_VERSION: Final = 2
"""Of header and payload. Whoever changes a key of either raises it: a receiver takes one version."""

SUITE_X25519_AES256GCM: Final = 1
"""HPKE base mode, DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002 (RFC 9180, section 7)."""

INFO_PREFIX: Final = b"kestrel/read/v1\x00"
SIGNATURE_PREFIX: Final = b"kestrel/envelope/v1\x00"

MAX_WIRE_BYTES: Final = wire.MAX_DOCUMENT_BYTES
"""Half of the smallest limit of the brokers in use (128 KiB a message), and far above a read with its plate crop."""

MAX_PLATE_JPEG_BYTES: Final = 32_768
"""A crop above this is a mistake of whoever made it; about 4 KB is usual."""

MAX_TEXT_CHARACTERS: Final = 80
"""Of the site's name, the region and the model version."""

_READ_ID_BYTES: Final = 16
_KEY_ID_BYTES: Final = 8
_ED25519_SIGNATURE_BYTES: Final = 64
_HPKE_OVERHEAD_BYTES: Final = 48  # 32 bytes of encapsulated key, 16 bytes of GCM tag


class HeaderKey(enum.IntEnum):
    """The integer keys of the header, which travels in the clear."""

    SCHEMA = 0
    DEVICE_ID = 1
    READ_ID = 2
    SEQUENCE = 3
    KEY_ID = 4
    SUITE = 5
    CREATED_UTC_MS = 6
    URGENT = 7


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
    PLATE_JPEG = 13  # byte string; absent when there is no crop
    PARTIAL = 14
    DIRECTION = 15  # "away" or "towards" as seen from the camera, or null


def suite() -> Suite:
    """Return the HPKE suite of SUITE_X25519_AES256GCM."""
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def key_id(agency_public_key: X25519PublicKey) -> bytes:
    """Return the 8 bytes by which a receiver finds its private key: the start of SHA-256 of the raw public key."""
    return hashlib.sha256(agency_public_key.public_bytes_raw()).digest()[:_KEY_ID_BYTES]


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
            HeaderKey.KEY_ID: sealed.key_id,
            HeaderKey.SUITE: sealed.suite,
            HeaderKey.CREATED_UTC_MS: sealed.created_utc_ms,
            HeaderKey.URGENT: sealed.urgent,
        }
    )


def to_wire(sealed: SealedRead) -> bytes:
    """Return the envelope: the CBOR array [header, ciphertext, signature] of byte strings."""
    return wire.encode([header(sealed), sealed.ciphertext, sealed.signature])


def from_wire(data: bytes) -> SealedRead:
    """Return the sealed read in `data`, its signature not yet checked.

    Only the very bytes that `to_wire` makes are taken, so that two spellings of one read cannot exist.
    Raises DocumentRejected, without a byte of `data` in the message.
    """
    header_bytes, ciphertext, signature = _envelope_parts(data)
    fields = wire.Fields(wire.decode(header_bytes, "header"), HeaderKey, "header")
    if fields.integer(HeaderKey.SCHEMA, 0, wire.MAX_SEQUENCE) != SCHEMA_VERSION:
        raise DocumentRejected("header: the schema version is not known here; update this receiver")
    if fields.integer(HeaderKey.SUITE, 0, wire.MAX_SEQUENCE) != SUITE_X25519_AES256GCM:
        raise DocumentRejected("header: the HPKE suite is not known here; update this receiver")
    sealed = SealedRead(
        read_id=uuid.UUID(bytes=fields.octets(HeaderKey.READ_ID, _READ_ID_BYTES, _READ_ID_BYTES)),
        device_id=fields.device_id(HeaderKey.DEVICE_ID),
        sequence=fields.integer(HeaderKey.SEQUENCE, 0, wire.MAX_SEQUENCE),
        urgent=fields.boolean(HeaderKey.URGENT),
        created_utc_ms=fields.integer(HeaderKey.CREATED_UTC_MS, 0, wire.MAX_UTC_MS),
        key_id=fields.octets(HeaderKey.KEY_ID, _KEY_ID_BYTES, _KEY_ID_BYTES),
        suite=SUITE_X25519_AES256GCM,
        ciphertext=ciphertext,
        signature=signature,
    )
    if to_wire(sealed) != data:
        raise DocumentRejected("envelope: not canonical CBOR")
    return sealed


def _envelope_parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return header, ciphertext and signature of an envelope, their sizes checked. Raises DocumentRejected."""
    if len(data) > MAX_WIRE_BYTES:
        raise DocumentRejected(f"envelope: longer than {MAX_WIRE_BYTES} bytes")
    parts = wire.decode(data, "envelope")
    match parts:
        case [bytes() as header_bytes, bytes() as ciphertext, bytes() as signature]:
            pass
        case _:
            raise DocumentRejected("envelope: not an array of three byte strings")
    if len(ciphertext) < _HPKE_OVERHEAD_BYTES or len(signature) != _ED25519_SIGNATURE_BYTES:
        raise DocumentRejected("envelope: ciphertext or signature has an impossible length")
    return header_bytes, ciphertext, signature


def signed_bytes(header_bytes: bytes, ciphertext: bytes) -> bytes:
    """Return what the device signs. The length makes the border between header and ciphertext unambiguous."""
    return SIGNATURE_PREFIX + len(header_bytes).to_bytes(4, "big") + header_bytes + ciphertext


def verify(sealed: SealedRead, device_public_key: Ed25519PublicKey) -> None:
    """Return if the device of this key signed `sealed`. Raises DocumentRejected."""
    try:
        device_public_key.verify(sealed.signature, signed_bytes(header(sealed), sealed.ciphertext))
    except InvalidSignature as error:
        raise DocumentRejected("envelope: the signature is not of the device that the header names") from error


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
    }
    if passage.plate_jpeg:
        fields[PayloadKey.PLATE_JPEG] = passage.plate_jpeg
    return wire.encode(fields)


def _score_byte(ratio: float) -> int:
    """Return a ratio as 0..255, rounded; a score outside 0..1 is pulled to the nearer end."""
    return round(255 * min(1.0, max(0.0, ratio)))


class Sealer:
    """Seals the reads of one unit. Holds the unit's signing key and the agency's public key, nothing that opens."""

    def __init__(self, device_id: str, device_key: Ed25519PrivateKey, agency_public_key: X25519PublicKey) -> None:
        self._device_id = device_id
        self._device_key = device_key
        self._agency_public_key = agency_public_key
        self._key_id = key_id(agency_public_key)
        self._suite = suite()

    def seal(self, read: Read, *, urgent: bool = False) -> SealedRead:
        """Return `read` sealed to the agency and signed by this unit; its time in the clear is the passage's last.

        Raises ValueError for what the receiver would have to reject: another unit's read, a picture above
        MAX_PLATE_JPEG_BYTES, a text above MAX_TEXT_CHARACTERS.
        """
        if read.device_id != self._device_id:
            raise ValueError("a unit seals only its own reads")
        if len(read.passage.plate_jpeg) > MAX_PLATE_JPEG_BYTES:
            raise ValueError(f"a plate picture must stay below {MAX_PLATE_JPEG_BYTES} bytes")
        texts = (read.site.name, read.passage.region or "", read.model_version)
        if max(map(len, texts)) > MAX_TEXT_CHARACTERS:
            raise ValueError(f"site name, region and model version have at most {MAX_TEXT_CHARACTERS} characters")
        unsigned = SealedRead(
            read_id=read.read_id,
            device_id=read.device_id,
            sequence=read.sequence,
            urgent=urgent,
            created_utc_ms=read.passage.last_utc_ms,
            key_id=self._key_id,
            suite=SUITE_X25519_AES256GCM,
            ciphertext=b"",
            signature=b"",
        )
        header_bytes = header(unsigned)
        ciphertext = self._suite.encrypt(payload(read), self._agency_public_key, info=INFO_PREFIX + header_bytes)
        signature = self._device_key.sign(signed_bytes(header_bytes, ciphertext))
        return dataclasses.replace(unsigned, ciphertext=ciphertext, signature=signature)

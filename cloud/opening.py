"""The receiver's side of sealing: with one of the agency's private keys, what a unit sealed can be read again.

Strict like every parser of this product: what a device signed and what only the agency can open is still checked field
by field, because a stolen device signs too.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud.opening_keys import OpeningKeys
from firmware import agency_keys, health_report, papers, sealing, wire
from firmware.faults import DocumentRejected, RejectionCause
from firmware.health_report import Health
from firmware.papers import Paper, PaperKind
from firmware.records import (
    MAX_VEHICLE_BYTES,
    Direction,
    MessageClass,
    Passage,
    Picture,
    PictureCoding,
    PlateText,
    Read,
    SealedRead,
    Site,
)
from firmware.sealing import PayloadKey

MAX_CHARACTERS: Final = 16
MAX_FRAMES: Final = 1_000_000
_CODINGS: Final = frozenset(map(int, PictureCoding))
_OPTIONAL: Final = frozenset({int(PayloadKey.PICTURE)})


def open_read(sealed: SealedRead, keys: OpeningKeys) -> Read:
    """Return the read in `sealed`, whose signature has been verified.

    Raises DocumentRejected: sealed to other keys only, altered, moved under another header, or not a read inside.
    """
    plaintext = _decrypted(sealed, keys)
    with _within_the_seal():
        return _parsed(sealed, plaintext)


def open_health(sealed: SealedRead, keys: OpeningKeys) -> Health:
    """Return the health in `sealed`, whose signature has been verified and whose class is HEALTH.

    Raises DocumentRejected as `open_read` does.
    """
    plaintext = _decrypted(sealed, keys)
    with _within_the_seal():
        health = health_report.parse(plaintext)
        _check_moment(health.made_utc_ms, sealed)
    return health


def open_paper(sealed: SealedRead, keys: OpeningKeys) -> Paper:
    """Return the part of a document in `sealed`, whose signature has been verified; its class is PAPER or PICTURE.

    Raises DocumentRejected as `open_read` does.
    """
    plaintext = _decrypted(sealed, keys)
    with _within_the_seal():
        paper = papers.parse(plaintext)
        _check_moment(paper.made_utc_ms, sealed)
        if (paper.kind is PaperKind.VEHICLE) is not (sealed.message_class is MessageClass.PICTURE):
            raise DocumentRejected("payload: a paper of another class than the header's")
    return paper


def open_vehicle(sealed: SealedRead, keys: OpeningKeys) -> Picture:
    """Return the picture of a vehicle in `sealed`, whose signature has been verified. Raises DocumentRejected."""
    plaintext = _decrypted(sealed, keys)
    match wire.decode(plaintext, "picture"):
        case [int() as coding, bytes() as data] if type(coding) is int:
            pass
        case _:
            raise DocumentRejected("picture: not a coding and its bytes")
    if coding not in _CODINGS or not 1 <= len(data) <= MAX_VEHICLE_BYTES:
        raise DocumentRejected("picture: of no known coding, or of an impossible length")
    if wire.encode([coding, data]) != plaintext:
        raise DocumentRejected("picture: not canonical CBOR")
    return Picture(PictureCoding(coding), data)


@contextlib.contextmanager
def malformed_is_bad_payload() -> Iterator[None]:
    """Count what is malformed in here as what it is: something that was signed and sealed well."""
    try:
        yield
    except DocumentRejected as rejected:
        if rejected.cause is not RejectionCause.MALFORMED:
            raise
        raise DocumentRejected(str(rejected), RejectionCause.BAD_PAYLOAD) from None


@contextlib.contextmanager
def _within_the_seal() -> Iterator[None]:
    """Count whatever is wrong with a payload as that."""
    try:
        yield
    except DocumentRejected as rejected:
        raise DocumentRejected(str(rejected), RejectionCause.BAD_PAYLOAD) from None


def _check_moment(utc_ms: int, sealed: SealedRead) -> None:
    if utc_ms != sealed.created_utc_ms:
        raise DocumentRejected("payload: its moment is not the header's")


def _decrypted(sealed: SealedRead, keys: OpeningKeys) -> bytes:
    """Return the payload's bytes. Raises DocumentRejected."""
    found = keys.match(sealed.recipients)
    if found is None:
        raise DocumentRejected("payload: sealed to other agency keys than this receiver's", RejectionCause.OTHER_AGENCY)
    key, recipient = found
    header_bytes = sealing.header(sealed)
    try:
        content_key = agency_keys.hpke_suite(key.suite).decrypt(
            recipient.wrapped_key, key.private_key, info=sealing.INFO_PREFIX + header_bytes
        )
        return AESGCM(content_key).decrypt(sealing.content_nonce(header_bytes), sealed.ciphertext, header_bytes)
    except (InvalidTag, ValueError):  # ValueError: an encapsulated key of low order, a content key of another length
        raise DocumentRejected(
            "payload: cannot be opened; altered, or under another header", RejectionCause.CANNOT_OPEN
        ) from None


def _parsed(sealed: SealedRead, plaintext: bytes) -> Read:
    """Return the read that the payload holds. Raises DocumentRejected."""
    fields = wire.Fields(wire.decode(plaintext, "payload"), PayloadKey, "payload", optional=_OPTIONAL)
    read = Read(
        read_id=sealed.read_id,
        device_id=sealed.device_id,
        sequence=sealed.sequence,
        boot_id=fields.octets(PayloadKey.BOOT_ID, sealing.BOOT_ID_BYTES, sealing.BOOT_ID_BYTES),
        site=_site(fields.array(PayloadKey.SITE, 4)),
        passage=_passage(fields),
        model_version=fields.text(PayloadKey.MODEL_VERSION, sealing.MAX_TEXT_CHARACTERS),
        config_version=fields.integer(PayloadKey.CONFIG_VERSION, 0, wire.MAX_SEQUENCE),
    )
    if sealing.payload(read) != plaintext:
        raise DocumentRejected("payload: not canonical CBOR")
    if read.passage.last_utc_ms != sealed.created_utc_ms:
        raise DocumentRejected("payload: its last moment is not the header's")
    return read


def _passage(fields: wire.Fields) -> Passage:
    return Passage(
        first_utc_ms=fields.integer(PayloadKey.FIRST_UTC_MS, 0, wire.MAX_CALENDAR_UTC_MS),
        last_utc_ms=fields.integer(PayloadKey.LAST_UTC_MS, 0, wire.MAX_CALENDAR_UTC_MS),
        last_boot_ms=fields.integer(PayloadKey.LAST_BOOT_MS, 0, wire.MAX_UTC_MS),
        clock_trusted=fields.boolean(PayloadKey.CLOCK_TRUSTED),
        plate=_plate(fields.text_or_none(PayloadKey.PLATE, MAX_CHARACTERS)),
        character_scores=tuple(score / 255 for score in fields.octets(PayloadKey.CHARACTER_SCORES, 0, MAX_CHARACTERS)),
        score_ratio=fields.integer(PayloadKey.SCORE, 0, 255) / 255,
        region=fields.text_or_none(PayloadKey.REGION, sealing.MAX_TEXT_CHARACTERS),
        region_score_ratio=fields.integer(PayloadKey.REGION_SCORE, 0, 255) / 255,
        frames=fields.integer(PayloadKey.FRAMES, 0, MAX_FRAMES),
        infrared=fields.boolean(PayloadKey.INFRARED),
        partial=fields.boolean(PayloadKey.PARTIAL),
        direction=_direction(fields.text_or_none(PayloadKey.DIRECTION, MAX_CHARACTERS)),
        picture=_picture(fields.array(PayloadKey.PICTURE, 2)) if fields.has(PayloadKey.PICTURE) else None,
    )


def _plate(text: str | None) -> PlateText | None:
    try:
        return None if text is None else PlateText(text)
    except ValueError:
        raise DocumentRejected("payload: plate is not a normalised plate") from None


def _picture(parts: list[object]) -> Picture:
    match parts:
        case [int() as coding, bytes() as data] if type(coding) is int and coding in _CODINGS:
            if 1 <= len(data) <= sealing.MAX_PICTURE_BYTES:
                return Picture(PictureCoding(coding), data)
    raise DocumentRejected("payload: picture is not a coding that is known here and its bytes")


def _direction(text: str | None) -> Direction | None:
    try:
        return None if text is None else Direction(text)
    except ValueError:
        raise DocumentRejected("payload: direction is neither away nor towards") from None


def _site(parts: list[object]) -> Site:
    match parts:
        case [str() as name, float() as latitude, float() as longitude, float() as bearing] if (
            1 <= len(name) <= sealing.MAX_TEXT_CHARACTERS
            and abs(latitude) <= 90
            and abs(longitude) <= 180
            and 0 <= bearing < 360
        ):
            return Site(name=name, latitude_deg=latitude, longitude_deg=longitude, bearing_deg=bearing)
        case _:
            raise DocumentRejected("payload: site is not a name, latitude, longitude and bearing")

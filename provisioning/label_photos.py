"""What a technician brings of a label: the text of a scan, the name typed by hand, or a photo of it."""

import contextlib
from pathlib import Path
from typing import Any, Final

from firmware.faults import ConfigRejected
from provisioning import labels, speaking
from provisioning.check_progress import moving
from provisioning.labels import Label

PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".heic", ".webp"})
PHOTO_BYTES_AT_MOST: Final = 40_000_000
PIXELS_AT_MOST: Final = 60_000_000
SMALLEST_PX: Final = 21
"""The modules of the smallest code there is."""

SIDES_PX: Final = (1600, 800, 2800, 1200, 2000)
"""Longer sides at which a photo is looked at: a telephone's 4,000 px are too fine for the finder, and slow.

Of 60 made-up photos three sizes and one finder left 2 unread; of 120 these left none.
"""


def given(text: str) -> Label:
    """Return the label that an option names: a photo's path, or the label's text. Raises ConfigRejected."""
    path = Path(text) if len(text) <= labels.TEXT_AT_MOST and "\x00" not in text else None
    if path is None or path.suffix.lower() not in PHOTO_SUFFIXES:
        return labels.parsed(text)
    try:
        with path.open("rb") as file:
            data = file.read(PHOTO_BYTES_AT_MOST + 1)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: the label's photo cannot be read ({error.strerror}); give its path, or the name on the label"
        ) from error
    speaking.begin("Reading the label in the photo ...")
    with moving():
        return photographed(data)


def photographed(data: bytes) -> Label:
    """Return the label in the bytes of a photo, JPEG or PNG. Raises ConfigRejected."""
    import cv2  # noqa: PLC0415  slow to load, and a label's text needs none of it
    import numpy as np  # noqa: PLC0415

    sides = _sides(data[:PHOTO_BYTES_AT_MOST])
    if sides is None:
        raise ConfigRejected(
            "this photo is neither JPEG nor PNG; let the telephone save it as JPEG, or type the name on the label, "
            "k-..."
        )
    picture = None
    if min(sides) >= SMALLEST_PX and sides[0] * sides[1] <= PIXELS_AT_MOST:
        with contextlib.suppress(cv2.error):
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    found = [] if picture is None else _codes(cv2, picture)
    if not found:
        raise ConfigRejected(
            "no code can be read in this photo; take it again from a hand's width, straight on and without glare, or "
            "type the name on the label, k-..."
        )
    ours = [text for text in found if text.upper().startswith(labels.PREFIX)]
    return labels.parsed((ours or found)[0])  # a housing may bear other people's codes too


def _codes(cv2: Any, picture: Any) -> list[str]:
    """Return the texts of the codes in a grey picture, from the first size at which one is read."""
    finders = (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco())
    for ratio in dict.fromkeys(min(1.0, side_px / max(picture.shape)) for side_px in SIDES_PX):
        size = tuple(max(SMALLEST_PX, round(ratio * side)) for side in picture.shape[::-1])
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        for finder in finders:
            with contextlib.suppress(cv2.error, UnicodeDecodeError):  # what it finds may be no text
                _, texts, _, _ = finder.detectAndDecodeMulti(small)
                if found := [text for text in texts if text]:
                    return found
    return []


def _sides(data: bytes) -> tuple[int, int] | None:
    """Return width and height that a JPEG's or PNG's own header says, None for anything else.

    Looked at first, because the decoder would take memory for whatever a header claims.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at = 2 if data[:3] == b"\xff\xd8\xff" else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:  # segments (ITU-T T.81, B.1): marker, length, content
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None

"""The reads of simulated cameras: as large as real ones, of vehicles that never were, no two alike."""

import random
from typing import Final

from firmware.records import Read
from hw_sim.invented_reads import invented_read

PICTURE_BYTES: Final = (2800, 3800)
"""A plate's picture, as evidence.py makes it: with it an envelope has 3.1 to 4.1 KB."""

BOOT_ID: Final = bytes(8)
"""These cameras have been running since 1970."""

PLATE_CHARACTERS: Final = 7
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def made_read(device_id: str, sequence: int, number: int, utc_ms: int, chance: random.Random) -> Read:
    """Return the `number`-th read of a camera: a vehicle that went by at `utc_ms` (milliseconds since 1970)."""
    return invented_read(
        device_id,
        sequence,
        plate_of(number),
        utc_ms=utc_ms,
        boot=(BOOT_ID, utc_ms),
        picture_bytes=chance.randint(*PICTURE_BYTES),
        chance=chance,
    )


def plate_of(number: int) -> str:
    """Return the made-up plate of a camera's read with this number: no two of one camera are alike."""
    text = ""
    for _ in range(PLATE_CHARACTERS):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text

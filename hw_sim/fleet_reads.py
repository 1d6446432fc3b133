"""The reads of simulated cameras: as large as real ones, of vehicles that never were, no two alike."""

import random
from typing import Final

from firmware import sealing
from firmware.records import Direction, Passage, PlateText, Read, Site

SITE: Final = Site(name="Fleet", latitude_deg=37.0, longitude_deg=-122.0, bearing_deg=0.0)
CROP_BYTES: Final = (3400, 4600)
"""A plate's picture, as evidence.py makes it: with it an envelope has 3.7 to 4.9 KB."""

PASSAGE_MS: Final = 400
PLATE_CHARACTERS: Final = 7
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def made_read(device_id: str, sequence: int, number: int, utc_ms: int, chance: random.Random) -> Read:
    """Return the `number`-th read of a camera: a vehicle that went by at `utc_ms` (milliseconds since 1970)."""
    passage = Passage(
        first_utc_ms=utc_ms - PASSAGE_MS,
        last_utc_ms=utc_ms,
        clock_trusted=True,
        plate=PlateText(plate_of(number)),
        character_scores=tuple([1.0] * PLATE_CHARACTERS),
        score_ratio=1.0,
        region=None,
        region_score_ratio=0.0,
        frames=8,
        infrared=False,
        partial=False,
        direction=Direction.AWAY,
        plate_jpeg=chance.randbytes(chance.randint(*CROP_BYTES)),
    )
    return Read(
        read_id=sealing.uuid7(utc_ms, chance.randbytes(10)),
        device_id=device_id,
        sequence=sequence,
        site=SITE,
        passage=passage,
        model_version="fleet-1",
        config_version=1,
    )


def plate_of(number: int) -> str:
    """Return the made-up plate of a camera's read with this number: no two of one camera are alike."""
    text = ""
    for _ in range(PLATE_CHARACTERS):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text

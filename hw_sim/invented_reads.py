"""Reads of vehicles that never were, as large as real ones: what a link, a broker and a receiver are loaded with."""

from random import Random
from typing import Final

from firmware.records import Direction, Passage, Picture, PictureCoding, PlateText, Read, Site
from firmware.sealing import uuid7

PASSAGE_MS: Final = 400
NOWHERE: Final = Site(name="Nowhere", latitude_deg=37.0, longitude_deg=-122.0)
"""Of one word: the load test takes the receiver's lines apart at spaces."""


def invented_read(
    device_id: str,
    sequence: int,
    plate: str,
    *,
    utc_ms: int,
    boot: tuple[bytes, int],
    picture_bytes: int,
    chance: Random,
) -> Read:
    """Return a read of a vehicle that went by at `utc_ms` (milliseconds since 1970).

    `boot` is the start of the unit and the milliseconds since then. The picture is of chance, so that nothing on the
    way can make it shorter.
    """
    boot_id, last_boot_ms = boot
    passage = Passage(
        first_utc_ms=utc_ms - PASSAGE_MS,
        last_utc_ms=utc_ms,
        last_boot_ms=last_boot_ms,
        clock_trusted=True,
        plate=PlateText(plate),
        character_scores=(1.0,) * len(plate),
        score_ratio=1.0,
        region="US-CA",
        region_score_ratio=1.0,
        frames=8,
        infrared=False,
        direction=Direction.AWAY,
        picture=Picture(PictureCoding.AVIF, chance.randbytes(picture_bytes)),
    )
    return Read(
        read_id=uuid7(utc_ms, chance.randbytes(10)),
        device_id=device_id,
        sequence=sequence,
        boot_id=boot_id,
        site=NOWHERE,
        passage=passage,
        model_version="invented-1",
        config_version=1,
    )

"""The plates that the vehicles of the simulated road carry, seen from the front and without light.

Owns the record that the road takes, the source of drawn plates and how often a plate is something else than its
state's common issue; photographs of real plates are `photographed_plates`'. The one idea: a face is reflectances and
not a picture, so that sun, headlights and the infrared lamp can each light it in their own way.
"""

import functools
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from firmware.records import Grey, Image
from hw_sim import serials
from hw_sim.plate_drawing import paper_plate, pressed
from hw_sim.plate_looks import PlateLook
from hw_sim.plate_paint import INCH_M
from hw_sim.plate_wear import WornPlate, worn
from hw_sim.state_looks_a_to_m import LOOKS as _LOOKS_A_TO_M
from hw_sim.state_looks_m_to_w import LOOKS as _LOOKS_M_TO_W

PERSONAL_SHARE = 0.12
"""Between the 4 % of the whole country and the 16 % of Virginia (AAMVA survey of personalised plates, 2007)."""
STACKED_SHARE = 0.02
PAPER_SHARE = 0.025
MISSING_SHARE = 0.015
"""Estimates: no count of such plates on American roads is known."""

LOOKS: tuple[PlateLook, ...] = _LOOKS_A_TO_M + _LOOKS_M_TO_W
"""The issues of the 50 states and the District of Columbia; some have two."""

_STATE_NAMES = {
    "US-CA": "California", "US-TX": "Texas", "US-FL": "Florida", "US-GA": "Georgia", "US-NY": "New York",
    "US-CO": "Colorado", "US-AZ": "Arizona", "US-NC": "North Carolina", "US-NJ": "New Jersey", "US-OH": "Ohio",
}  # fmt: skip
"""Where paper plates are given out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateFace:
    """One plate as its vehicle wears it; its text is not shown. All arrays are of one height and width.

    `visible` uint8 (h, w, 3) BGR and `infrared` uint8 (h, w), at 850 nm, are sRGB-coded diffuse reflectances. `retro`
    uint8 (h, w) is the share of uncovered retro-reflective sheeting, 255 for all. `alpha` uint8 (h, w) is the outline.
    """

    text: str = field(repr=False)
    region: str | None  # such as "US-CA"
    visible: Image
    infrared: Grey
    retro: Grey
    alpha: Grey
    width_m: float
    height_m: float
    is_readable: bool  # whether a person could read every character


class PlateSource(Protocol):
    """Where the vehicles of a road take their plates from."""

    def face(self, generator: np.random.Generator) -> PlateFace | None:
        """Return the next vehicle's plate, or None for a vehicle without one."""
        ...


class DrawnPlates:
    """Plates drawn after the present issues of all states, each state as likely as any other."""

    def face(self, generator: np.random.Generator) -> PlateFace | None:
        """Draw a plate with its wear, or return None."""
        fate = generator.random()
        if fate < MISSING_SHARE:
            return None
        if fate < MISSING_SHARE + PAPER_SHARE:
            return _paper_face(generator)
        looks = _by_region()[serials.pick(generator, _REGIONS)]
        return drawn_face(serials.pick(generator, looks), generator)


def drawn_face(look: PlateLook, generator: np.random.Generator) -> PlateFace:
    """Draw a worn plate of one issue."""
    marked = _marked_serial(look, generator)
    plate = pressed(look, marked, generator)
    return _face(serials.plain(marked), look.region, worn(plate, look, generator))


def _marked_serial(look: PlateLook, generator: np.random.Generator) -> str:
    fate = generator.random()
    if fate < PERSONAL_SHARE:
        return serials.personal_choice(generator)
    if fate < PERSONAL_SHARE + STACKED_SHARE:
        return serials.stacked_serial(look.letters, generator)
    return serials.serial(serials.pick(generator, look.serials), look.letters, generator)


def _paper_face(generator: np.random.Generator) -> PlateFace:
    region = serials.pick(generator, tuple(_STATE_NAMES))
    number = serials.temporary_number(generator)
    plate = paper_plate(number, _STATE_NAMES[region], generator)
    return _face(number, region, worn(plate, _by_region()[region][0], generator, is_paper=True))


def _face(text: str, region: str, plate: WornPlate) -> PlateFace:
    return PlateFace(
        text=text,
        region=region,
        visible=np.ascontiguousarray(plate.sheet[:, :, :3]),
        infrared=np.ascontiguousarray(plate.sheet[:, :, 3]),
        retro=np.ascontiguousarray(plate.sheet[:, :, 4]),
        alpha=plate.alpha,
        width_m=plate.width_inches * INCH_M,
        height_m=plate.height_inches * INCH_M,
        is_readable=plate.is_readable,
    )


@functools.cache
def _by_region() -> dict[str, tuple[PlateLook, ...]]:
    return {look.region: tuple(other for other in LOOKS if other.region == look.region) for look in LOOKS}


_REGIONS = tuple(dict.fromkeys(look.region for look in LOOKS))

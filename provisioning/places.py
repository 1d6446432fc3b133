"""Whether a location can be meant: beside the fleet's other sites, and by what people mistype. Pure.

Owns the comparison and its sentences; where the other sites are, others know.
"""

import enum
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provisioning.sun import Place

if TYPE_CHECKING:
    from firmware.config import SiteConfig

EARTH_KM = 6371.0
FARTHEST_SITE_KM = 800.0
"""Sites of one fleet lie in one state and its neighbours: California is 1,240 km long."""


class PlaceFlaw(enum.StrEnum):
    """Why a location cannot be meant."""

    SWAPPED = "swapped"
    LONGITUDE_SIGN = "longitude-sign"
    LATITUDE_SIGN = "latitude-sign"
    BOTH_SIGNS = "both-signs"
    FAR_FROM_FLEET = "far-from-fleet"
    NULL_ISLAND = "null-island"


_SENTENCES = {
    PlaceFlaw.SWAPPED: "latitude and longitude are the wrong way round; give latitude {other:g} and longitude {one:g}",
    PlaceFlaw.LONGITUDE_SIGN: "longitude {other:g} is {km:,.0f} km from the fleet's other sites, and {minus_other:g} "
    "would be near them; correct its sign (west is negative)",
    PlaceFlaw.LATITUDE_SIGN: "latitude {one:g} is {km:,.0f} km from the fleet's other sites, and {minus_one:g} "
    "would be near them; correct its sign (south is negative)",
    PlaceFlaw.BOTH_SIGNS: "this place is {km:,.0f} km from the fleet's other sites, and latitude {minus_one:g}, "
    "longitude {minus_other:g} would be near them; correct both signs (south and west are negative)",
    PlaceFlaw.FAR_FROM_FLEET: "this place is {km:,.0f} km from the nearest other site of the fleet; check the "
    "sign and the digits of latitude and longitude",
    PlaceFlaw.NULL_ISLAND: "0, 0 lies in the ocean off Africa; give the latitude and longitude of the site",
}


def place_of(site: "SiteConfig") -> Place:
    """Return where a configured site is."""
    return Place(latitude_deg=site.latitude_deg, longitude_deg=site.longitude_deg)


def place_flaw(latitude_deg: float, longitude_deg: float, others: Sequence[Place]) -> PlaceFlaw | None:
    """Return why this cannot be where the unit will hang, beside the fleet's other sites; None if it can."""
    is_latitude_beyond = abs(latitude_deg) > 90 >= abs(longitude_deg)
    if is_latitude_beyond:
        return PlaceFlaw.SWAPPED
    if latitude_deg == 0 and longitude_deg == 0:
        return PlaceFlaw.NULL_ISLAND
    place = Place(latitude_deg=latitude_deg, longitude_deg=longitude_deg)
    if not others or nearest_km(place, others) <= FARTHEST_SITE_KM:
        return None
    meant = {
        PlaceFlaw.LONGITUDE_SIGN: (latitude_deg, -longitude_deg),
        PlaceFlaw.LATITUDE_SIGN: (-latitude_deg, longitude_deg),
        PlaceFlaw.BOTH_SIGNS: (-latitude_deg, -longitude_deg),
        PlaceFlaw.SWAPPED: (longitude_deg, latitude_deg),
    }
    for flaw, (north_deg, east_deg) in meant.items():
        if abs(north_deg) <= 90:
            place = Place(latitude_deg=north_deg, longitude_deg=east_deg)
            if nearest_km(place, others) <= FARTHEST_SITE_KM:
                return flaw
    return PlaceFlaw.FAR_FROM_FLEET


def nearest_km(place: Place, others: Sequence[Place]) -> float:
    """Return how far the nearest of the other sites is (haversine, on a sphere)."""
    return min(_apart_km(place, other) for other in others)


def _apart_km(one: Place, other: Place) -> float:
    north, other_north = math.radians(one.latitude_deg), math.radians(other.latitude_deg)
    east = math.radians(one.longitude_deg - other.longitude_deg)
    share = math.sin((north - other_north) / 2) ** 2
    share += math.cos(north) * math.cos(other_north) * math.sin(east / 2) ** 2
    return 2.0 * EARTH_KM * math.asin(min(1.0, math.sqrt(share)))


def refusal(flaw: PlaceFlaw, latitude_deg: float, longitude_deg: float, km: float) -> str:
    """Return why a location is refused. It says no coordinate but what the technician has just typed in."""
    return _SENTENCES[flaw].format(
        one=latitude_deg, other=longitude_deg, minus_one=-latitude_deg, minus_other=-longitude_deg, km=km
    )

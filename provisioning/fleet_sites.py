"""What the office keeps of each unit's configuration: the last one that it gave, and so where its sites are.

One file a unit in the fleet's folder, which no unit and no other machine needs: the registry, which the receiver reads,
says nothing of places. A configuration for stock has no site yet. Each change has a higher version than the one before,
by which a unit knows an older bundle.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cloud import fleet_folder
from firmware import strict_json
from firmware.config import SiteConfig
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning import durable_files
from provisioning.places import PlaceFlaw, nearest_km, place_flaw, place_of, refusal
from provisioning.sun import Place

MEANT_FAR: Final = frozenset(PlaceFlaw) - {PlaceFlaw.NULL_ISLAND}
"""What may be meant after all, if somebody says so."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a configuration that is looked at here; the rest has been checked before it was written."""

    version: int
    site: SiteConfig | None = None


def path_of(fleet_path: Path, device_id: str) -> Path:
    """Return where the unit's last configuration lies or will lie."""
    return fleet_path / fleet_folder.CONFIGURATIONS_FOLDER / f"{device_id}.json"


def last(fleet_path: Path, device_id: str) -> dict[str, Any] | None:
    """Return what the unit was last given, as JSON has it; None if nothing. Raises ConfigRejected."""
    path = path_of(fleet_path, device_id)
    if not path.exists():
        return None
    _kept(path)
    parts: dict[str, Any] = json.loads(path.read_bytes())
    return parts


def numbered(parts: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `parts` with the version that follows what was given `before`: the same one, if nothing else changed."""
    if before is None:
        return {"version": 1, **parts}
    is_same = {**parts, "version": before["version"]} == dict(before)
    return {"version": before["version"] if is_same else before["version"] + 1, **parts}


def keep(fleet_path: Path, device_id: str, parts: Mapping[str, Any]) -> None:
    """Write what the unit is given. Raises OSError."""
    path = path_of(fleet_path, device_id)
    durable_files.make_folder(path.parent)
    durable_files.write(path, json.dumps(parts, indent=2, ensure_ascii=False).encode() + b"\n")


def places(fleet_path: Path, *, but: str) -> list[Place]:
    """Return where the fleet's units hang, as far as the office was told, without that of `but`.

    Raises ConfigRejected.
    """
    paths = sorted((fleet_path / fleet_folder.CONFIGURATIONS_FOLDER).glob("k-*.json"))
    sites = [_kept(path).site for path in paths if path.stem != but]
    return [place_of(site) for site in sites if site]


def middle(known: Sequence[Place]) -> tuple[int, int] | None:
    """Return latitude and longitude in the middle of the places, in whole degrees (about 100 km), so that none is told.

    The median: one place that was mistyped does not move it. None without places.
    """
    if not known:
        return None
    north = statistics.median(place.latitude_deg for place in known)
    return round(north), round(statistics.median(place.longitude_deg for place in known))


def refuse_place(site: SiteConfig, others: Sequence[Place], *, is_far_meant: bool) -> None:
    """Return if a unit may hang there, beside the fleet's other sites. Raises ConfigRejected.

    `is_far_meant`: the distance to the others is no mistake.
    """
    flaw = place_flaw(site.latitude_deg, site.longitude_deg, others)
    if flaw is None or (is_far_meant and flaw in MEANT_FAR):
        return
    km = nearest_km(place_of(site), others) if others else 0.0
    if flaw is PlaceFlaw.FAR_FROM_FLEET:
        raise ConfigRejected(
            f"this place is {km:,.0f} km from the nearest other site of the fleet; check the digits of latitude and "
            "longitude, and add --far if it is meant"
        )
    raise ConfigRejected(refusal(flaw, site.latitude_deg, site.longitude_deg, km))


def _kept(path: Path) -> _Kept:
    try:
        return strict_json.read(path, _Kept)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the fleet's own file") from error
    except DocumentRejected as error:
        raise ConfigRejected(f"{path}: {error}; bring the fleet's own file back from a copy") from error

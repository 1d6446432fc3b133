"""What differs from site to site, as one file: a configuration without what the fleet and the unit say themselves.

There is no second schema. The type of the file is made of firmware.config's own fields, so that it knows a section as
soon as the unit does, and what passes here is read by `firmware.config.decode` once more, whole. Owns reading,
completing and the sentences for what is refused.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from firmware import strict_json
from firmware.config import DEVICE_ID_PATTERN, DeviceConfig, MountConfig, SiteConfig, UplinkConfig
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning import places, site_words
from provisioning.places import PlaceFlaw

NOT_OF_A_SITE: Final = frozenset({"version", "device_id", "seal", "token"})
"""The fleet numbers configurations, names units and holds the keys; a unit knows where its own key lies."""

NOT_OF_A_SITE_S_UPLINK: Final = frozenset({"host", "port"})
"""The fleet's broker."""

OTHERS_TO_SAY: Final = NOT_OF_A_SITE | NOT_OF_A_SITE_S_UPLINK

_SECTIONS: Final = {one.name: one for one in msgspec.structs.fields(DeviceConfig) if one.name not in NOT_OF_A_SITE}

_UplinkBySite: Final = msgspec.defstruct(
    "_UplinkBySite",
    [
        (one.name, one.type, one.default)
        for one in msgspec.structs.fields(UplinkConfig)
        if one.name not in NOT_OF_A_SITE_S_UPLINK
    ],
    forbid_unknown_fields=True, frozen=True, kw_only=True,
)  # fmt: skip

_TYPES: Final[dict[str, Any]] = {name: section.type for name, section in _SECTIONS.items()} | {"uplink": _UplinkBySite}
_DEFAULTS: Final[dict[str, Any]] = {
    name: section.default for name, section in _SECTIONS.items() if not section.required
} | {"uplink": _UplinkBySite()}

_SiteFile: Any = msgspec.defstruct(
    "_SiteFile",
    [(name, kind, _DEFAULTS[name]) if name in _DEFAULTS else (name, kind) for name, kind in _TYPES.items()],
    forbid_unknown_fields=True, frozen=True, kw_only=True,
)  # fmt: skip

_CORNER: Final = re.compile(r"\[\s+([-0-9.e]+),\s+([-0-9.e]+)\s+\]")  # of a lane: one line each

SHOWN: Final = ("mount", "capture", "budget")
"""Sections that a new site file spells out with their defaults, to be changed in place; others are seldom wanted."""


class _TypedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed for a place, without bounds."""

    latitude_deg: float
    longitude_deg: float


class _Typed(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a site file, as it was typed, in which the two are easily confused."""

    site: _TypedPlace


class _Survey(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a survey that a site file says too."""

    kind: Literal["kestrel-survey/v1"]
    site: SiteConfig
    mount: MountConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """What a site file says: where the unit will hang, and the other sections, as JSON has them and as far as given."""

    site: SiteConfig = field(repr=False)
    others: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def sections(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {"site": msgspec.to_builtins(self.site), **self.others}


NOWHERE: Final = SitePlan(site=SiteConfig(name="nowhere", latitude_deg=0.0, longitude_deg=0.0))
"""Stands in for a site that nobody knows yet while all else is checked."""


def load(path: Path) -> SitePlan:
    """Return what the site file at `path` says. Raises ConfigRejected with one sentence for a technician."""
    try:
        with path.open("rb") as file:
            data = file.read(strict_json.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: the site file cannot be read ({error.strerror}); make one with `kestrel-provision site new`"
        ) from error
    return decode(data, str(path))


def of_survey(path: Path) -> SitePlan:
    """Return place and mount of the survey at `path`. Raises ConfigRejected."""
    try:
        survey = msgspec.json.decode(path.read_bytes(), type=_Survey)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: the survey cannot be read ({error.strerror}); give the survey.json that `survey` wrote"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigRejected(f"{path} is no survey; give the survey.json that `survey` wrote") from None
    return SitePlan(site=survey.site, others={"mount": msgspec.to_builtins(survey.mount)})


def decode(data: bytes, name: str) -> SitePlan:
    """Return what the bytes of a site file say; `name` says in an error where they came from. Raises ConfigRejected."""
    try:
        checked = strict_json.decoded(data, _SiteFile)
    except DocumentRejected as error:
        _refuse_swapped(data, name)
        raise ConfigRejected(f"{name}: {site_words.sentence(str(error), OTHERS_TO_SAY)}") from error
    return SitePlan(site=checked.site, others={key: part for key, part in json.loads(data).items() if key != "site"})


def _refuse_swapped(data: bytes, name: str) -> None:
    """Return if latitude and longitude are not simply the wrong way round. Raises ConfigRejected."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        typed = msgspec.json.decode(data, type=_Typed).site
        if places.place_flaw(typed.latitude_deg, typed.longitude_deg, []) is PlaceFlaw.SWAPPED:
            words = places.refusal(PlaceFlaw.SWAPPED, typed.latitude_deg, typed.longitude_deg, 0.0)
            raise ConfigRejected(f"{name}: {words}")


def encode(plan: SitePlan, *, shown: tuple[str, ...] = ()) -> bytes:
    """Return `plan` as a site file, with the defaults of the sections `shown` that it does not name."""
    parts = plan.sections()
    for name in shown:
        parts.setdefault(name, msgspec.to_builtins(_DEFAULTS[name]))
    text = json.dumps(parts, indent=2, ensure_ascii=False)
    return _CORNER.sub(r"[\1, \2]", text).encode() + b"\n"


def sections_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a configuration, as JSON has it and maybe without a site, a site file would say."""
    own = {key: part for key, part in parts.items() if key not in NOT_OF_A_SITE}
    uplink = {key: part for key, part in own.pop("uplink", {}).items() if key not in NOT_OF_A_SITE_S_UPLINK}
    return {**own, "uplink": uplink} if uplink else own


def merged(parts: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fleet's part of a configuration with the site's sections put in."""
    uplink = {**parts.get("uplink", {}), **sections.get("uplink", {})}
    return {**parts, **sections, "uplink": uplink}


def refuse_bad_name(device_id: str) -> None:
    """Return if `device_id` may be a unit's name: it becomes part of paths. Raises ConfigRejected."""
    if not re.fullmatch(DEVICE_ID_PATTERN, device_id):
        raise ConfigRejected(
            "the unit's name (device_id) must be k- and 4 to 24 small letters or digits; give another with --id, or "
            "none"
        )


def completed(partial: Mapping[str, Any], plan: SitePlan | None, name: str) -> DeviceConfig:
    """Return the configuration of the fleet's part, as JSON has it, and the site's, read as a unit would read it.

    Without `plan` the fleet's part must be whole. `name` says in an error where the site's part came from. Raises
    ConfigRejected.
    """
    parts = merged(partial, plan.sections() if plan else {})
    try:
        return strict_json.decoded(json.dumps(parts).encode(), DeviceConfig)
    except DocumentRejected as error:
        raise ConfigRejected(f"{name}: {site_words.sentence(str(error), OTHERS_TO_SAY)}") from error


def check(plan: SitePlan, name: str) -> None:
    """Return if a unit would take `plan`, beside keys and a broker that are nobody's. Raises ConfigRejected."""
    nobodys_key = "A" * 43 + "="
    seal = {"agency_keys": [{"key": nobodys_key}], "receipt_key": nobodys_key, "retirement_key": nobodys_key}
    completed({"version": 1, "device_id": "k-none", "seal": seal, "uplink": {"host": "none"}}, plan, name)

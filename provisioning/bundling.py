"""A unit prepared in the depot: the office makes one encrypted file of all that it needs, and the unit applies it.

provisioning.bundles owns the file, signing.py what the office gives, unit.py how it is taken into use; here they meet.
The depot may not know where a unit will hang: then the technician gives the site at the roadside, and the unit checks
it as the office would, beside the middle of the fleet's other sites. A bundle can be applied again, and so can one that
was cut short at any instant. An older one than the unit has is refused by its configuration's version.
"""

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud import fleet_folder
from firmware import config, identity, key_files
from firmware.config import DeviceConfig
from firmware.faults import ConfigRejected
from provisioning import bundles, durable_files, fleet, fleet_sites, labels, signing, site_files, unit
from provisioning.bundles import Contents
from provisioning.labels import Label
from provisioning.requests import UnitRequest
from provisioning.site_files import SitePlan
from provisioning.sun import Place


def make(
    fleet_path: Path,
    request: UnitRequest,
    now: dt.datetime,
    *,
    plan: SitePlan | None = None,
    is_far_meant: bool = False,
) -> bytes:
    """Certify and register what `request` asks for; return the bundle for that unit as the bytes of a file.

    Raises ConfigRejected as `signing.issue` does, and OSError.
    """
    update_root = _update_root(fleet_path)
    issued = signing.issue(fleet_path, request, now, plan=plan, is_far_meant=is_far_meant)
    contents = Contents(answer=issued.answer, settings=issued.settings, region=issued.region, update_root=update_root)
    return bundles.sealed(contents, request.device_id, request.bundle_key, fleet.signing_authority(fleet_path, now))


def apply(
    unit_folder: Path,
    path: Path,
    now: dt.datetime,
    *,
    plan: SitePlan | None = None,
    label: Label | None = None,
    is_far_meant: bool = False,
) -> DeviceConfig:
    """Take the bundle at `path` into use; return the unit's configuration as it is then.

    `plan` is the site, where the bundle has none; `label` is what was read on the unit's housing. Raises ConfigRejected
    with one sentence for each way in which the bundle is not this unit's, DeviceFault(KEY_UNUSABLE), and OSError.
    """
    present = _present(unit_folder)
    device_id = _own_name(unit_folder, present)
    bundle = bundles.parsed(_read(path), str(path))
    if bundle.device_id != device_id:
        raise ConfigRejected(
            f"{path} is for {bundle.device_id} and this unit is {device_id}; bring the bundle of {device_id}"
        )
    authority = None if present is None else identity.load_certificate(unit_folder / identity.AUTHORITY_NAME)
    contents = bundles.opened(bundle, _keys(unit_folder), authority, str(path))
    if label is not None:
        made = contents.answer.parsed()[-1]
        own = labels.of(device_id, identity.public_key_of(made), authority or contents.answer.parsed_authority())
        labels.compare(label, own, is_first_key=present is None)
    settings = _settings(contents, present, plan, is_far_meant=is_far_meant)
    unit.take(unit_folder, msgspec.structs.replace(contents.answer, config=settings), now)
    if contents.update_root is not None:
        durable_files.write(unit_folder / identity.UPDATE_ROOT_NAME, contents.update_root.encode())
    return settings


def _present(unit_folder: Path) -> DeviceConfig | None:
    path = unit_folder / identity.CONFIG_NAME
    return config.load(path) if path.exists() else None


def _own_name(unit_folder: Path, present: DeviceConfig | None) -> str:
    """Return the name of the unit whose folder this is. Raises ConfigRejected."""
    if present is not None:
        return present.device_id
    asked = unit.waiting(unit_folder)
    if asked is None:
        raise ConfigRejected(
            f"{unit_folder}: there is no unit and none that has asked to be one; begin with `kestrel-provision unit "
            "request`"
        )
    return asked.device_id


def _keys(unit_folder: Path) -> list[Ed25519PrivateKey]:
    """Return the keys in the unit's files, the present one and the one that waits. Raises ConfigRejected."""
    paths = [unit_folder / name for name in (key_files.KEY_NAME, key_files.NEXT_KEY_NAME)]
    return [key_files.load_key(path) for path in paths if path.exists()]


def _settings(
    contents: Contents, present: DeviceConfig | None, plan: SitePlan | None, *, is_far_meant: bool
) -> DeviceConfig:
    """Return the configuration that the unit is to have, read as the service will read it. Raises ConfigRejected."""
    given = contents.settings
    if present is not None and _version(given) < present.version:
        raise ConfigRejected(
            f"the bundle has version {_version(given)} of the configuration and the unit has {present.version}: it is "
            "an older one; bring the newest"
        )
    if plan is not None and "site" in given:
        raise ConfigRejected("the office has put the site into this bundle; leave --site and --name out")
    if plan is not None:
        others = [] if contents.region is None else [_place(contents.region)]
        fleet_sites.refuse_place(plan.site, others, is_far_meant=is_far_meant)
        return site_files.completed(given, plan, "the site")
    if "site" not in given and present is not None:  # completed at the roadside before
        sections = site_files.sections_of(json.loads(msgspec.json.encode(present)))
        given = site_files.merged(given, sections)
    if "site" not in given:
        raise ConfigRejected("the bundle does not say where this unit hangs; give its site file with --site FILE")
    return site_files.completed(given, None, "the bundle")


def _version(settings: Mapping[str, Any]) -> int:
    version = settings.get("version")
    return version if isinstance(version, int) else 0


def _place(region: tuple[int, int]) -> Place:
    return Place(latitude_deg=float(region[0]), longitude_deg=float(region[1]))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(bundles.FILE_BYTES_AT_MOST + 1)
    except OSError as error:
        raise ConfigRejected(f"{path}: the bundle cannot be read ({error.strerror}); {bundles.FETCH_AGAIN}") from error


def _update_root(fleet_path: Path) -> str | None:
    """Return the fleet's root of trust for updates, None if it has none. Raises ConfigRejected."""
    path = fleet_path / fleet_folder.UPDATE_ROOT
    if not path.exists():
        return None
    try:
        text = path.read_bytes().decode()
        json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigRejected(f"{path}: not the root of trust for updates; bring the fleet's own file") from None
    return text

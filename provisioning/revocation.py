"""Taking units out of the fleet: their entries in the registry, and what the broker reads of that.

The registry says who is active; the list of revoked certificates and the access list follow from it. Both are written
into the fleet's broker folder, and count from when the broker has read them: `installed_broker` sees to that where the
broker runs, and somebody who carries the files there otherwise.
"""

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from cloud import broker_files, fleet_folder, registry
from cloud.registry import UTC_FORMAT, Registry, State, Unit
from firmware.faults import ConfigRejected
from provisioning import certificates, durable_files, fleet

WARN_DAYS: Final = 2 * 365
"""So long before the authority and its list run out, `fleet list` says so: a new fleet takes time to roll out."""


def end(fleet_path: Path, device_id: str, state: State, reason: str, now: dt.datetime) -> Unit:
    """Mark a unit as revoked or retired and make the broker's files anew; return its entry.

    A unit that is out already keeps its date and its reason; a revoked one may still become retired. Raises
    ConfigRejected if there is no such unit or a file is not what it should be, and OSError.
    """
    fleet_folder.load(fleet_path)
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    unit = units.unit(device_id)
    fleet.signing_authority(fleet_path, now)  # before anything is marked: the lists are signed last
    if unit.state is State.ACTIVE:
        unit = msgspec.structs.replace(unit, state=state, ended_utc=now.strftime(UTC_FORMAT), reason=reason)
    elif state is State.RETIRED:
        unit = msgspec.structs.replace(unit, state=state)
    durable_files.write(units.path(device_id), registry.encode(registry.checked(unit)))
    renew(fleet_path, now)
    return unit


def renew(fleet_path: Path, now: dt.datetime) -> x509.CertificateRevocationList:
    """Write the list of revoked certificates and the access list as the registry has them; return the former.

    Raises ConfigRejected and OSError.
    """
    authority = fleet.signing_authority(fleet_path, now)
    ended = [
        unit for unit in Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).units() if unit.state is not State.ACTIVE
    ]
    revoked = certificates.revocation_list(
        authority,
        {int(serial, 16): _date(unit) for unit in ended for serial in unit.certificate_serials},
        current(fleet_path),
        now,
    )
    folder = fleet_path / fleet_folder.BROKER_FOLDER
    durable_files.write(folder / broker_files.REVOKED_NAME, certificates.revocation_list_pem(revoked))
    durable_files.write(
        folder / broker_files.ACCESS_NAME,
        broker_files.access_list([unit.device_id for unit in ended], fleet_folder.receivers(fleet_path)).encode(),
    )
    return revoked


def current(fleet_path: Path) -> x509.CertificateRevocationList | None:
    """Return the fleet's list of revoked certificates, or None if there is none. Raises ConfigRejected."""
    path = fleet_path / fleet_folder.BROKER_FOLDER / broker_files.REVOKED_NAME
    if not path.exists():
        return None
    try:
        return x509.load_pem_x509_crl(path.read_bytes())
    except ValueError as error:
        hint = "bring it back from the broker's machine, or what was revoked and removed since is forgotten"
        raise ConfigRejected(f"{path}: not a list of revoked certificates; {hint}") from error


def warning(fleet_path: Path, now: dt.datetime) -> str:
    """Return a sentence if the list of revoked certificates is missing or runs out within WARN_DAYS, or an empty one.

    Raises ConfigRejected.
    """
    revoked = current(fleet_path)
    if revoked is None:
        name = fleet_path / fleet_folder.BROKER_FOLDER / broker_files.REVOKED_NAME
        return f"{name} is missing, without which the broker does not start; bring it back from the broker's machine"
    ends = revoked.next_update_utc
    if ends is None or ends - now > dt.timedelta(days=WARN_DAYS):
        return ""
    if ends < now:
        return (
            f"the fleet's authority and its list of revoked certificates ran out on {ends:%Y-%m-%d}, and the broker "
            "lets nobody in; make a new fleet and move the units to it"
        )
    return (
        f"the fleet's authority and its list of revoked certificates run out on {ends:%Y-%m-%d}, and then the broker "
        "lets nobody in; make a new fleet before that and move the units to it"
    )


def _date(unit: Unit) -> dt.datetime:
    return registry.moment(unit.ended_utc or unit.enrolled_utc)

"""A unit: its key, its certificate, its configuration, and its entry in the fleet's registry.

Names are random: they say nothing about serial, place or order. The unit's folder is what lies on its card under
/var/lib/kestrel; config.json is written last, so that a folder without it is no unit.
"""

import base64
import datetime as dt
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud import fleet_folder, registry
from cloud.fleet_folder import Fleet
from cloud.registry import Registry
from firmware import config, identity
from firmware.config import DeviceConfig, SealConfig, SiteConfig, UplinkConfig
from firmware.faults import ConfigRejected
from provisioning import certificates, durable_files, fleet

ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u that a technician could mistake or read as a word."""

ID_CHARACTERS: Final = 8  # 40 bits: a fleet of 10,000 units meets a collision, which is refused, once in 22,000 fleets


def new_id() -> str:
    """Return a random name for a unit."""
    return "k-" + "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_CHARACTERS))


def enrol(
    fleet_path: Path, unit_folder: Path, site: SiteConfig, now: dt.datetime, *, device_id: str | None = None
) -> DeviceConfig:
    """Make the unit's folder and register the unit; return its configuration.

    Raises ConfigRejected if the folder holds a unit, the name is taken or a value is out of bounds, and OSError.
    """
    shared = fleet_folder.load(fleet_path)
    settings = _settings(shared, site, device_id or new_id())
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    if (unit_folder / identity.CONFIG_NAME).exists():
        raise ConfigRejected(f"{unit_folder}: there is a unit already; it stays as it is, choose another folder")
    if units.path(settings.device_id).exists():
        raise ConfigRejected(f"{settings.device_id}: the fleet has a unit of this name; choose another, or none")
    authority = fleet.load_authority(fleet_path)
    device_key = Ed25519PrivateKey.generate()
    request = certificates.signing_request(device_key, settings.device_id)
    certificate = certificates.client_certificate(authority, request, settings.device_id, now, certificates.UNIT_DAYS)
    entry = registry.Unit(
        device_id=settings.device_id,
        public_key=base64.b64encode(device_key.public_key().public_bytes_raw()).decode(),
        certificate_serial=f"{certificate.serial_number:x}",
        site_name=site.name,
        enrolled_utc=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    durable_files.make_folder(unit_folder)
    durable_files.write(unit_folder / identity.KEY_NAME, certificates.key_pem(device_key))
    durable_files.write(unit_folder / identity.CERTIFICATE_NAME, certificates.certificate_pem(certificate))
    authority_pem = certificates.certificate_pem(authority.certificate)
    durable_files.write(unit_folder / identity.AUTHORITY_NAME, authority_pem)
    durable_files.write(units.path(settings.device_id), registry.encode(entry))
    durable_files.write(unit_folder / identity.CONFIG_NAME, config.encode(settings))
    return settings


def _settings(shared: Fleet, site: SiteConfig, device_id: str) -> DeviceConfig:
    """Return the configuration, checked by the very reader of the unit. Raises ConfigRejected."""
    settings = DeviceConfig(
        version=1,
        device_id=device_id,
        site=site,
        seal=SealConfig(
            agency_keys=shared.agency_keys, receipt_key=shared.receipt_key, retirement_key=shared.retirement_key
        ),
        uplink=UplinkConfig(host=shared.host, port=shared.port),
    )
    return config.decode(msgspec.json.encode(settings), "the unit's configuration")

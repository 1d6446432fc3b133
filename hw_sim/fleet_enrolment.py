"""Many units of one fleet at once, by provisioning's own authority: a certificate, a key and a registry entry each.

`kestrel-provision unit new` looks at every entry of the registry and waits for the disk at each file, which is right
for one unit and takes minutes for a thousand. These units live for one run, so that neither is needed.
"""

import datetime as dt
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud import fleet_folder, registry
from cloud.registry import UTC_FORMAT, Registry, Unit
from hw_sim.fleet_cameras import CameraFiles
from hw_sim.invented_reads import NOWHERE
from provisioning import certificates, durable_files, fleet
from provisioning.signing import base64_of

CAMERAS_FOLDER: Final = "cameras"


def enrol_many(fleet_path: Path, folder: Path, count: int, now: dt.datetime) -> list[CameraFiles]:
    """Return `count` units of the fleet in `fleet_path`, their files in `folder`/cameras; those there are, are kept.

    Raises ConfigRejected if the fleet's authority cannot be read, and OSError.
    """
    authority = fleet.load_authority(fleet_path)
    entries = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    home = folder / CAMERAS_FOLDER
    durable_files.make_folder(home)
    cameras = []
    for number in range(count):
        device_id = f"k-{number:08d}"
        camera = CameraFiles(device_id=device_id, certificate=home / f"{device_id}.crt", key=home / f"{device_id}.key")
        cameras.append(camera)
        if entries.path(device_id).exists():
            continue
        key = Ed25519PrivateKey.generate()
        request = certificates.signing_request(key, device_id)
        made = certificates.client_certificate(authority, request, device_id, now, certificates.UNIT_DAYS)
        entry = Unit(
            device_id=device_id,
            public_key=base64_of(made),
            certificate_serials=(f"{made.serial_number:x}",),
            certificate_until_utc=made.not_valid_after_utc.strftime(UTC_FORMAT),
            site_name=NOWHERE.name,
            enrolled_utc=now.strftime(UTC_FORMAT),
        )
        _write(camera.key, certificates.key_pem(key))
        _write(camera.certificate, certificates.certificate_pem(made))
        _write(entries.path(device_id), registry.encode(entry))  # last: with it the unit is there
    return cameras


def _write(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)

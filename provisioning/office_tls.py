"""How the office calls the broker: with a certificate made for one call, whose key no disk keeps any longer."""

import datetime as dt
import tempfile
from pathlib import Path

from cloud import fleet_folder
from firmware import erasure, identity, key_files
from firmware.board.tls import FleetContext, tls_context
from provisioning import certificates, durable_files, fleet


def tls_as(fleet_path: Path, name: str, now: dt.datetime, *, serial: int | None = None) -> FleetContext:
    """Return TLS with a new key, certified for a day as `name`'s; with that serial number, or one by chance.

    Its files lie in a private folder, which is where OpenSSL reads them, and are gone when this returns. Raises
    ConfigRejected and OSError.
    """
    authority = fleet.signing_authority(fleet_path, now)
    key = certificates.new_tls_key()
    request = certificates.signing_request(key, name)
    certificate = certificates.client_certificate(authority, request, name, now, days=1, serial=serial)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)  # mode 0700
        durable_files.write(folder / key_files.KEY_NAME, certificates.key_pem(key))
        durable_files.write(folder / identity.CERTIFICATE_NAME, certificates.certificate_pem(certificate))
        try:
            return tls_context(
                fleet_path / fleet_folder.AUTHORITY_CERTIFICATE,
                folder / identity.CERTIFICATE_NAME,
                folder / key_files.KEY_NAME,
            )
        finally:
            erasure.destroy_key(folder)

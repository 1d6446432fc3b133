"""The broker on this very machine: its files renewed, and the running Mosquitto told to read them.

Mosquitto 2.0.11 reads the access list and the list of revoked certificates again at SIGHUP (measured with Debian 12's).
It does not look at the certificates of those who are connected: what silences them is the access list, at once.
"""

import os
import signal
from pathlib import Path
from typing import Final

from cryptography import x509

from cloud import broker_files, fleet_folder
from cloud.registry import Registry
from firmware.faults import ConfigRejected
from provisioning import durable_files, fleet

PROC: Final = Path("/proc")
RENEWED: Final = {"crlfile": broker_files.REVOKED_NAME, "acl_file": broker_files.ACCESS_NAME}
"""Settings of mosquitto.conf(5), and the file of the fleet's broker folder that each one names."""


def renew(fleet_path: Path, configuration: Path) -> None:
    """Put the fleet's lists where `configuration`, a mosquitto.conf, names them, and let Mosquitto read them.

    Raises ConfigRejected if that configuration is not of a Kestrel broker or its Mosquitto does not run, and OSError.
    """
    places = _places(configuration)
    number = _process(Path(places["pid_file"]))
    for setting, name in RENEWED.items():
        made, installed = fleet_path / fleet_folder.BROKER_FOLDER / name, Path(places[setting])
        if not (installed.exists() and installed.samefile(made)):
            owner = (installed if installed.exists() else installed.parent).stat()
            durable_files.write(installed, made.read_bytes())
            os.chown(installed, owner.st_uid, owner.st_gid)
    os.kill(number, signal.SIGHUP)


def check_shut_out(fleet_path: Path, configuration: Path, device_id: str) -> None:
    """Return if the lists that `configuration` names shut this unit out: every serial number of it, and its topics.

    Raises ConfigRejected with what they lack, and OSError.
    """
    places = _places(configuration)
    unit = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(device_id)
    revoked_path, access_path = Path(places["crlfile"]), Path(places["acl_file"])
    hint = "let the broker have the fleet's own lists, and do this again"
    try:
        revoked = x509.load_pem_x509_crl(revoked_path.read_bytes())
    except ValueError:
        raise ConfigRejected(f"{revoked_path}: not a list of revoked certificates; {hint}") from None
    if not revoked.is_signature_valid(fleet.load_authority(fleet_path).key.public_key()):
        raise ConfigRejected(f"{revoked_path}: not signed by this fleet's authority; {hint}")
    if any(
        revoked.get_revoked_certificate_by_serial_number(int(serial, 16)) is None for serial in unit.certificate_serials
    ):
        raise ConfigRejected(f"{revoked_path}: does not name every certificate of {device_id}; {hint}")
    if f"\nuser {device_id}\ntopic deny kestrel/v1/#\n" not in access_path.read_text(encoding="utf-8"):
        raise ConfigRejected(f"{access_path}: does not deny {device_id} its topics; {hint}")


def _places(configuration: Path) -> dict[str, str]:
    """Return what the settings are that name files. Raises ConfigRejected if one is missing, and OSError."""
    words = [line.split(maxsplit=1) for line in configuration.read_text(encoding="utf-8").splitlines()]
    settings = {pair[0]: pair[1].strip() for pair in words if len(pair) == 2}
    missing = ({*RENEWED, "pid_file"}) - settings.keys()
    if missing:
        hint = "copy the fleet's broker folder there again and restart Mosquitto"
        raise ConfigRejected(f"{configuration}: has no {' and no '.join(sorted(missing))}; {hint}")
    return settings


def _process(pid_file: Path) -> int:
    """Return the number of the Mosquitto that wrote `pid_file`. Raises ConfigRejected if it does not run."""
    try:
        number = int(pid_file.read_text(encoding="ascii"))
        name = (PROC / str(number) / "comm").read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigRejected(f"{pid_file}: names no process that runs; start Mosquitto, and do this again") from error
    if name != "mosquitto":
        raise ConfigRejected(f"{pid_file}: its process is not Mosquitto; start Mosquitto, and do this again")
    return number

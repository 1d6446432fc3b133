"""What a broker knows of a unit that was shut out: told at once where it runs here, and asked whether it obeys."""

import argparse
import datetime as dt
import ssl
import sys
from pathlib import Path

from cloud import broker_files, fleet_folder
from provisioning import fleet, installed_broker, revocation
from provisioning.check_progress import moving


def shut_out(
    fleet_path: Path, device_id: str, options: argparse.Namespace, now: dt.datetime, own: ssl.SSLContext | None = None
) -> None:
    """Let the broker on this machine know, or say how the one on another gets to know; then ask it, where it can be.

    `own` is TLS as the unit had it. Raises ConfigRejected, NotProven and OSError.
    """
    if options.broker is not None:
        installed_broker.renew(fleet_path, options.broker)
        installed_broker.check_shut_out(fleet_path, options.broker, device_id)
        sys.stdout.write("The broker on this machine has been told: the unit is silent and does not get in again.\n")
    elif not options.prove:
        folder = fleet_path / fleet_folder.BROKER_FOLDER
        sys.stdout.write(
            f"The broker does not know yet: copy {folder / broker_files.REVOKED_NAME} and "
            f"{folder / broker_files.ACCESS_NAME} to {fleet.INSTALLED_FOLDER} on its machine, owned by mosquitto, run "
            f"`systemctl reload mosquitto` there, and then `kestrel-provision fleet prove {fleet_path} {device_id}`.\n"
        )
        return
    prove(fleet_path, device_id, now, own)


def prove(fleet_path: Path, device_id: str, now: dt.datetime, own: ssl.SSLContext | None = None) -> None:
    """Knock at the fleet's broker for a unit that is out, and say how it refuses. `own` is TLS as the unit had it.

    Raises ConfigRejected, NotProven and OSError.
    """
    announce(fleet_path)
    from provisioning import broker_proof  # noqa: PLC0415  paho takes its time, and whoever only warns does without

    with moving():
        refusal = broker_proof.refused(fleet_path, device_id, now, own)
    serials, words = refusal.serials, refusal.words
    if refusal.with_own_key:
        sys.stdout.write(
            f"Proven: the broker let the office in and refused {device_id} ({words}), called with the unit's own key "
            f"and with its serial numbers ({serials}).\n"
        )
    else:
        sys.stdout.write(
            f"Proven: the broker let the office in and refused {device_id} ({words}), called with its serial numbers "
            f"({serials}).\n"
        )


def announce(fleet_path: Path) -> None:
    """Say that the broker is asked, which may take a while, after all that was said before. Raises ConfigRejected."""
    shared = fleet_folder.load(fleet_path)
    sys.stdout.write(f"Asking the broker at {shared.host} port {shared.port} ...\n")
    sys.stdout.flush()


def warn(fleet_path: Path, now: dt.datetime) -> None:
    """Say on standard error if the broker will soon let nobody in any more. Raises ConfigRejected."""
    warning = revocation.warning(fleet_path, now)
    if warning:
        sys.stderr.write(f"kestrel-provision: {warning}\n")

"""How a broker gets to know that a unit has been shut out: told at once where it runs here, else said what to copy."""

import argparse
import datetime as dt
import sys
from pathlib import Path

from cloud import broker_files, fleet_folder
from provisioning import fleet, installed_broker, revocation


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that shuts a unit out: why, and which broker is to know."""
    parser.add_argument("--reason", required=True, help="for the registry, such as 'stolen'; at most 80 characters")
    parser.add_argument(
        "--broker", type=Path, metavar="CONF", help="the mosquitto.conf of a broker on this machine, to tell it at once"
    )


def renew(fleet_path: Path, broker: Path | None) -> None:
    """Let the broker on this machine know, or say how the broker on another one gets to know.

    Raises ConfigRejected and OSError.
    """
    if broker is not None:
        installed_broker.renew(fleet_path, broker)
        sys.stdout.write("The broker on this machine has been told: the unit is silent and does not get in again.\n")
        return
    folder = fleet_path / fleet_folder.BROKER_FOLDER
    sys.stdout.write(
        f"The broker does not know yet: copy {folder / broker_files.REVOKED_NAME} and "
        f"{folder / broker_files.ACCESS_NAME} to {fleet.INSTALLED_FOLDER} on its machine, owned by mosquitto, and run "
        "`systemctl reload mosquitto` there.\n"
    )


def warn(fleet_path: Path, now: dt.datetime) -> None:
    """Say on standard error if the broker will soon let nobody in any more. Raises ConfigRejected."""
    warning = revocation.warning(fleet_path, now)
    if warning:
        sys.stderr.write(f"kestrel-provision: {warning}\n")

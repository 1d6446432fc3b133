"""Further receivers of a fleet: each has a certificate of its own, because at the broker a name is a session."""

import datetime as dt
from pathlib import Path

from cloud import fleet_folder
from cloud.broker_files import RECEIVER_USER
from provisioning import durable_files, fleet, revocation


def add(folder: Path, now: dt.datetime) -> str:
    """Make one more receiver of the fleet in `folder`, and the broker's access list anew; return the receiver's name.

    A half-made one, without its certificate, is made again. Raises ConfigRejected and OSError.
    """
    fleet_folder.load(folder)
    authority = fleet.signing_authority(folder, now)
    taken = fleet_folder.receivers(folder)
    numbers = [int(name.rpartition("-")[2]) for name in taken if name != RECEIVER_USER]
    name = f"{RECEIVER_USER}-{max(numbers, default=1) + 1}"
    durable_files.make_folder(folder / name)
    for path, content in fleet.receiver_files(folder, authority, name, now).items():
        durable_files.write(folder / path, content)
    revocation.renew(folder, now)
    return name

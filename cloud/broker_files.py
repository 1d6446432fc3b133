"""The broker's configuration as files: the template beside this module, filled in for one machine.

The broker itself is Mosquitto as Debian packages it. Owns no process and no key.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

CONFIGURATION_NAME: Final = "mosquitto.conf"
SERVICE_NAME: Final = "mosquitto.service.d.conf"
ACCESS_NAME: Final = "access.acl"
AUTHORITY_NAME: Final = "fleet-ca.crt"
REVOKED_NAME: Final = "fleet-ca.crl"
CERTIFICATE_NAME: Final = "broker.crt"
KEY_NAME: Final = "broker.key"
RECEIVER_USER: Final = "receiver"
"""The common name of the first receiver's certificate; the access list knows it by this name."""

OPERATOR_USER: Final = "operator"
"""Who tells units to erase themselves: the office, with a certificate that lives for one command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPlace:
    """Where one broker runs: what `configuration` fills into the template.

    `address` is the local address to listen on, empty for all; `user` is the account that Mosquitto changes to when it
    is started as root, and that must be able to read `folder` and to write `state_folder`.
    """

    port: int
    folder: Path
    state_folder: Path
    user: str = "mosquitto"
    address: str = ""


def configuration(place: BrokerPlace) -> str:
    """Return mosquitto.conf for `place`."""
    template = string.Template(resources.files("cloud").joinpath("mosquitto.conf.in").read_text(encoding="utf-8"))
    return template.substitute(
        port=place.port,
        address=f" {place.address}" if place.address else "",
        folder=place.folder,
        state_folder=place.state_folder,
        user=place.user,
    )


def service_settings() -> str:
    """Return what the broker's machine adds to Debian's mosquitto.service."""
    return resources.files("cloud").joinpath(SERVICE_NAME).read_text(encoding="utf-8")


def access_list(shut_out: Sequence[str] = (), receivers: Sequence[str] = (RECEIVER_USER,)) -> str:
    """Return the access list of a fleet; the units `shut_out` may not use any topic, each of `receivers` may the same.

    Mosquitto 2.0 reads it again at SIGHUP and asks it at each message, also of those who were connected before. The
    list of revoked certificates it asks only when somebody connects.
    """
    text = resources.files("cloud").joinpath("access.acl").read_text(encoding="utf-8")
    (first,) = (block for block in text.split("\n\n") if block.startswith(f"user {RECEIVER_USER}\n"))
    for name in receivers:
        if name != RECEIVER_USER:
            text += "\n" + first.strip("\n").replace(f"user {RECEIVER_USER}\n", f"user {name}\n") + "\n"
    return text + "".join(f"\nuser {device_id}\ntopic deny kestrel/v1/#\n" for device_id in shut_out)

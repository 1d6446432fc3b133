"""The host's files as they must be for one unit: `files/`, filled in from the unit's configuration. Writes nothing."""

import ipaddress
import string
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from firmware.board.power_meter import BUS, place
from firmware.config import DeviceConfig
from provisioning.host.addresses import KEPT_DAYS, SET_SIZE, Called, called_places, element

TEMPLATE_SUFFIX: Final = ".in"

DEVICE_NODES: Final = {"media": 16, "video": 64, "v4l-subdev": 32, "gpiochip": 16}
"""Nodes of camera and pins, and how many of each are looked for: a Pi 5 has video35 and gpiochip13."""

MODEM_RIGHTS: Final = (
    "org.freedesktop.ModemManager1.Device.Control",
    "org.freedesktop.ModemManager1.Time",
    "org.freedesktop.login1.reboot",
)
"""Actions of polkit that the service of a unit with a modem may take; that of one without may take none."""

UNICAST4: Final = (("1.0.0.0", "126.255.255.255"), ("128.0.0.0", "223.255.255.255"))
UNICAST6: Final = ("2000::/3", "fc00::/7", "fe80::/10")
"""What another machine can have as its address: no loopback, no multicast, no broadcast (RFC 6890)."""


def host_files(settings: DeviceConfig | None) -> dict[PurePosixPath, bytes]:
    """Return the content of each file of the host by its path below the root.

    On a card without a unit's configuration yet, nothing is called, and the firewall lets nothing be called.
    """
    words = _words(called_places(settings) if settings else ()) | _rights(settings) | _meters(settings)
    found = {}
    for path, source in _walk(resources.files("provisioning").joinpath("host", "files"), PurePosixPath()):
        content = source.read_text(encoding="utf-8")
        if path.suffix == TEMPLATE_SUFFIX:
            path, content = path.with_suffix(""), string.Template(content).substitute(words)  # noqa: PLW2901
        found[path] = content.encode()
    return found


def _walk(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        else:
            yield path / entry.name, entry


def _words(places: tuple[Called, ...]) -> dict[str, str]:
    """Return what stands for each placeholder of the templates."""
    names = [place for place in places if place.address is None]
    allowed = _unicast() if names else sorted({str(place.address) for place in places})
    return {
        "elements4": _elements(places, 4),
        "elements6": _elements(places, 6),
        "set_size": str(SET_SIZE),
        "kept_days": str(KEPT_DAYS),
        "names": "".join(f" {place}" for place in names),
        "addresses": "".join(f"IPAddressAllow={address}\n" for address in allowed),
        "addresses_meaning": "no loopback, multicast or broadcast." if names else "the addresses of the configuration.",
        "device_nodes": "\n".join(
            "BindPaths=" + " ".join(f"-/dev/{name}{number}" for number in range(count))
            for name, count in DEVICE_NODES.items()
        ),
    }


def _rights(settings: DeviceConfig | None) -> dict[str, str]:
    """Return what stands for the placeholders of the polkit rules."""
    rights = () if settings is None or settings.modem is None else MODEM_RIGHTS
    meaning = "For a unit with a modem." if rights else "This unit has no modem, so that it may ask for nothing."
    return {"rights": ", ".join(f'"{right}"' for right in rights), "rights_meaning": meaning}


def _meters(settings: DeviceConfig | None) -> dict[str, str]:
    """Return the udev rules by which the kernel learns of the unit's meters. udev(7)."""
    meters = [] if settings is None or settings.power is None else settings.power.meters()
    if not meters:
        return {"meters": "# This unit has no such chips."}
    added = [
        f'ACTION=="add", SUBSYSTEM=="i2c", KERNEL=="i2c-{BUS}", ATTR{{new_device}}="{meter.chip} {meter.address}"'
        for meter in meters
    ]
    shunts = [
        f'ACTION=="add", SUBSYSTEM=="hwmon", KERNELS=="{place(meter)}", '
        f'ATTR{{shunt_resistor}}="{round(meter.shunt_mohm * 1000)}"'
        for meter in meters
    ]
    return {"meters": "\n".join([*added, *shunts])}


def _elements(places: tuple[Called, ...], version: int) -> str:
    found = [
        element(place.address, place.port)
        for place in places
        if place.address is not None and place.address.version == version
    ]
    return f"        elements = {{ {', '.join(found)} }}\n" if found else ""


def _unicast() -> list[str]:
    ranges = [
        str(network)
        for first, last in UNICAST4
        for network in ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    ]
    return [*ranges, *UNICAST6]

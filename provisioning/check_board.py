"""The Pi's board for a check: as the service opens it, but what cannot be opened is an absent part and not the end."""

import threading
from pathlib import Path

from firmware import identity
from firmware.board import pi
from firmware.board.linux import LinuxClock
from firmware.board.mqtt_link import MqttLink
from firmware.board.pi_camera import PiCamera
from firmware.board.pkcs11_token import key_store
from firmware.config import DeviceConfig
from firmware.faults import ConfigRejected, DeviceFault
from firmware.key_files import KeyFiles
from firmware.ports import Board, Camera, KeyStore, Link, Shot
from firmware.records import Light, LinkEvent
from firmware.wall_clock import JudgedClock


def open_pi(settings: DeviceConfig, folder: Path) -> Board:
    """Return the parts of the unit whose folder this is. No part is started yet, and none that is broken stops it."""
    clock = JudgedClock(LinuxClock())
    keys: KeyStore = KeyFiles(folder)
    link: Link = AbsentLink()
    try:
        camera: Camera = PiCamera(clock)
    except DeviceFault as fault:
        camera = AbsentCamera(fault)
    try:
        keys = key_store(settings.token, folder)
        link = MqttLink(settings.uplink, identity.load(folder, settings.device_id, keys))
    except (ConfigRejected, DeviceFault):
        link = AbsentLink()  # the part `identity` says why
    return pi.assembled(settings, clock, camera=camera, keys=keys, link=link)


class AbsentCamera:
    """The Camera port of a camera that cannot even be looked for."""

    def __init__(self, fault: DeviceFault) -> None:
        self._fault = fault

    def listen(self, wake: threading.Event) -> None:  # noqa: ARG002  the port's own
        """Raise what is wrong."""
        raise self._fault

    def shots(self) -> list[Shot]:
        """Return none."""
        return []

    def set_light(self, light: Light) -> None:
        """Do nothing."""

    def restart(self) -> None:
        """Raise what is wrong."""
        raise self._fault

    def close(self) -> None:
        """Hold nothing, release nothing."""


class AbsentLink:
    """The Link port of a unit without a usable key: never connected."""

    def listen(self, wake: threading.Event) -> None:
        """Do nothing."""

    def connect(self) -> None:
        """Do nothing."""

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:  # noqa: ARG002  the port's own
        """Return that the link is offline."""
        return False

    def events(self) -> list[LinkEvent]:
        """Return none."""
        return []

    def disconnect(self) -> None:
        """Do nothing."""

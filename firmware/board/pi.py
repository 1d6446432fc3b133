"""The Raspberry Pi board: which part hangs on which connector."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware import identity
from firmware.board.gpio_pins import GpioContact, GpioLamp, GpioRail, GpioTrigger, Timer
from firmware.board.interface_meter import InterfaceMeter
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.board.modem import ManagedModem
from firmware.board.mqtt_link import MqttLink
from firmware.board.pi_camera import PiCamera
from firmware.board.pkcs11_token import key_store
from firmware.board.power_meter import HwmonMeter, ReadText, read_hwmon
from firmware.config import CaptureConfig, DeviceConfig, GuardConfig, ModemConfig, PowerConfig
from firmware.ports import (
    Board,
    BoardClock,
    Camera,
    Clock,
    IrLamp,
    KeyStore,
    Link,
    PowerMeter,
    Rail,
    TamperContact,
    TriggerInput,
)
from firmware.records import TriggerSource
from firmware.wall_clock import JudgedClock


def open_board(config: DeviceConfig, folder: Path) -> Board:
    """Return the parts of the unit whose folder this is. No part is started yet.

    Raises DeviceFault(CAMERA_ABSENT) without picamera2, DeviceFault(KEY_UNUSABLE) without the token
    that holds the key, and ConfigRejected for keys and certificates.
    """
    clock = JudgedClock(LinuxClock())
    keys, camera = key_store(config.token, folder), PiCamera(clock)
    link = MqttLink(config.uplink, identity.load(folder, config.device_id, keys))
    return assembled(config, clock, camera=camera, keys=keys, link=link)


def assembled(config: DeviceConfig, clock: BoardClock, *, camera: Camera, keys: KeyStore, link: Link) -> Board:
    """Return the parts that hang on a Pi's connectors besides those given. No part is started yet."""
    return Board(
        camera=camera,
        lamp=lamp(config.capture),
        triggers=triggers(config.capture, clock),
        link=link,
        keys=keys,
        clock=clock,
        system=LinuxSystem(os.environ.get("NOTIFY_SOCKET", "")),
        tamper=tamper_contact(config.guard),
        meter=InterfaceMeter(config.budget.interface),
        power=power_meter(config.power, clock),
        modem=None if config.modem is None else ManagedModem(clock),
        modem_rail=modem_rail(config.modem),
    )


def triggers(config: CaptureConfig, clock: Clock, *, pin_factory: Any = None) -> tuple[TriggerInput, ...]:
    """Return the trigger lines that the configuration names, on the pins of a gpiozero factory (None: its default).

    A beam has an open collector. A radar sensor drives its line high while something moves before it.
    """
    lines: list[TriggerInput] = []
    if config.pir_pin is not None:
        lines.append(GpioTrigger(config.pir_pin, TriggerSource.PIR, clock, pin_factory=pin_factory))
    if config.ir_beam_pin is not None:
        beam = GpioTrigger(config.ir_beam_pin, TriggerSource.IR_BEAM, clock, is_pulled_up=True, pin_factory=pin_factory)
        lines.append(beam)
    if config.radar_pin is not None:
        lines.append(GpioTrigger(config.radar_pin, TriggerSource.RADAR, clock, pin_factory=pin_factory))
    return tuple(lines)


def lamp(config: CaptureConfig, *, pin_factory: Any = None) -> IrLamp | None:
    """Return the infrared lamp on the line that the configuration names, or None for a unit without one."""
    return None if config.lamp_pin is None else GpioLamp(config.lamp_pin, pin_factory=pin_factory)


def tamper_contact(config: GuardConfig, *, pin_factory: Any = None) -> TamperContact | None:
    """Return the tamper contact on the line that the configuration names, or None for a unit without one."""
    if config.tamper_pin is None:
        return None
    return GpioContact(config.tamper_pin, tampered_when_open=config.tampered_when == "open", pin_factory=pin_factory)


def modem_rail(
    config: ModemConfig | None,
    *,
    pin_factory: Any = None,
    make_timer: Callable[[float, Callable[[], None]], Timer] = threading.Timer,
) -> Rail | None:
    """Return the switch in the modem's supply, or None for a unit without one."""
    if config is None or config.power_pin is None:
        return None
    off_when_high = config.power_off_when == "high"
    return GpioRail(config.power_pin, off_when_high=off_when_high, pin_factory=pin_factory, make_timer=make_timer)


def power_meter(config: PowerConfig | None, clock: Clock, *, read: ReadText = read_hwmon) -> PowerMeter | None:
    """Return the meters of battery and panel that the configuration names, or None for a unit without any."""
    return None if config is None else HwmonMeter(config, clock, read=read)

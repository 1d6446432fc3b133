"""The simulated board: the device's own adapters, and behind them the road or recorded pictures.

Owns which simulated part hangs on which connector, as `firmware.board.pi` does for the real ones. Camera, trigger lines
and lamp are the device's adapters on stand-ins for the vendors' parts. Service manager and link are the device's own,
and so is the clock, but for the time that drawing takes.
"""

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from gpiozero.pins.mock import MockFactory

from firmware import identity
from firmware.board import pi
from firmware.board.gpio_pins import GpioLamp, Timer
from firmware.board.linux import LinuxClock
from firmware.board.mqtt_link import MqttLink
from firmware.board.pi_camera import PiCamera
from firmware.board.pkcs11_token import key_store
from firmware.config import CaptureConfig, DeviceConfig, ModemConfig, PowerConfig
from firmware.ports import Board, Camera, Clock, IrLamp, PowerMeter, Rail, TriggerInput
from firmware.stage import NEVER_S
from firmware.wall_clock import JudgedClock
from hw_sim import amiss_parts, imx296
from hw_sim.amiss_parts import Faults
from hw_sim.camera import CameraFaults, Scene, SimCamera
from hw_sim.driven_pins import DrivenPin
from hw_sim.host import SimHost
from hw_sim.lid import ContactPin, SimLid
from hw_sim.light import draw_sky
from hw_sim.metered_link import MeteredLink
from hw_sim.modem import ModemRules, SimModem, SupplyPin, wire_supply
from hw_sim.pausing_clock import PausingClock
from hw_sim.power import SimPower, irradiance_of
from hw_sim.replay import PhotographScene, VideoScene, open_scene
from hw_sim.road import RoadScene
from hw_sim.sensors import PirRules, Sensor, SimIrBeam, SimLamp, SimPir, SimRadar
from hw_sim.surroundings import World

WARM_S = 3600.0
"""The sensors have had power for so long, so that a run begins with a PIR that has warmed up."""

UNSTARTED_S = 0.01
"""How often a world in virtual time looks whether somebody has started its camera by now."""

PHOTOGRAPH_HOLD_S, PHOTOGRAPH_GAP_S = 1.0, 0.6

MakeTimer = Callable[[float, Callable[[], None]], Timer]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedParts:
    """A unit's parts with both faces: what the firmware holds, and what the world drives."""

    camera: Camera
    lamp: IrLamp | None
    triggers: tuple[TriggerInput, ...]
    world: SimCamera
    sensors: tuple[Sensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedUnit:
    """A board, and the world face of camera, lid (None: no contact tells of it), modem and supply (None: none)."""

    board: Board
    camera: SimCamera
    lid: SimLid | None
    modem: SimModem | None
    power: SimPower | None


def open_unit(config: DeviceConfig, folder: Path, world: World, faults: Faults = ()) -> SimulatedUnit:
    """Return the simulated unit whose folder this is, before the pictures or the road of `world`; `faults` are its.

    Raises ConfigRejected: keys and certificates, or no pictures.
    """
    pausing = PausingClock(amiss_parts.clock_of(faults, LinuxClock()))
    clock = JudgedClock(pausing)
    keys = key_store(config.token, folder)
    link = MeteredLink(MqttLink(config.uplink, identity.load(folder, config.device_id, keys)))
    if world.source is not None:
        scene: Scene = open_scene(world.source, hold_s=PHOTOGRAPH_HOLD_S, gap_s=PHOTOGRAPH_GAP_S)
    else:
        scene = RoadScene(world.road(world.passes, amiss_parts.mount_of(faults)))
    parts = open_parts(
        config.capture,
        clock,
        amiss_parts.scene_of(faults, scene),
        seed=world.seed,
        faults=amiss_parts.camera_faults(faults),
        pir=amiss_parts.pir_rules(faults),
        make_timer=pausing.timer,
        standing=pausing.standing,
    )
    lid_pins = MockFactory(pin_class=ContactPin)
    modem, rail = open_modem(config.modem, clock, make_timer=pausing.timer)
    power, meter = open_power(config.power, clock, world)
    board = Board(
        camera=parts.camera,
        lamp=parts.lamp,
        triggers=parts.triggers,
        link=link,
        keys=keys,
        clock=clock,
        system=SimHost(os.environ.get("NOTIFY_SOCKET", ""), modem.reboot_host if modem else lambda: None),
        tamper=pi.tamper_contact(config.guard, pin_factory=lid_pins),
        meter=link,
        power=meter,
        modem=modem,
        modem_rail=rail,
    )
    tamper_pin = config.guard.tamper_pin
    lid = None if tamper_pin is None else SimLid(lid_pins, tamper_pin)
    amiss_parts.befall(faults, camera=parts.world, sensors=parts.sensors, lid=lid, modem=modem, power=power)
    return SimulatedUnit(board=board, camera=parts.world, lid=lid, modem=modem, power=power)


def open_parts(
    config: CaptureConfig,
    clock: Clock,
    scene: Scene,
    *,
    seed: int,
    faults: CameraFaults | None = None,
    pir: PirRules | None = None,
    self_paced: bool = True,
    make_timer: MakeTimer = threading.Timer,
    standing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> SimulatedParts:
    """Return camera, lamp and trigger lines that the configuration names, wired as on the Pi, before `scene`.

    A road's pictures are of the IMX296's size; recorded ones say theirs, and have no lamp, which would change nothing.
    With `self_paced=False` somebody else owns the time: a `WorldStage` and, for `make_timer`, `VirtualTimers.timer`.
    """
    pins = MockFactory(pin_class=DrivenPin)
    powered_at_s = clock.monotonic_s() - WARM_S
    sensors: list[Sensor] = []
    if config.pir_pin is not None:
        sensors.append(SimPir(pins.pin(config.pir_pin), seed=seed, powered_at_s=powered_at_s, rules=pir))
    if config.ir_beam_pin is not None:
        sensors.append(SimIrBeam(pins.pin(config.ir_beam_pin), powered_at_s=powered_at_s))
    if config.radar_pin is not None:
        sensors.append(SimRadar(pins.pin(config.radar_pin), seed=seed, powered_at_s=powered_at_s))
    size_px, lamp_pin = imx296.SIZE_PX, config.lamp_pin
    if isinstance(scene, PhotographScene | VideoScene):
        size_px, lamp_pin = scene.size_px, None
    world = SimCamera(
        scene,
        clock,
        size_px=size_px,
        sensors=sensors,
        lamp=None if lamp_pin is None else SimLamp(pins.pin(lamp_pin)),
        faults=faults,
        seed=seed,
        self_paced=self_paced,
        standing=standing,
    )
    return SimulatedParts(
        camera=PiCamera(clock, open_camera=world.open),
        lamp=None if lamp_pin is None else GpioLamp(lamp_pin, pin_factory=pins, make_timer=make_timer),
        triggers=pi.triggers(config, clock, pin_factory=pins),
        world=world,
        sensors=tuple(sensors),
    )


def open_modem(
    config: ModemConfig | None, clock: Clock, *, make_timer: MakeTimer, rules: ModemRules | None = None
) -> tuple[SimModem, Rail | None] | tuple[None, None]:
    """Return the modem that the configuration names, and the switch in its supply as on the Pi; None without one."""
    if config is None:
        return None, None
    modem, pins = SimModem(clock, make_timer, rules or ModemRules()), MockFactory(pin_class=SupplyPin)
    if config.power_pin is not None:
        wire_supply(modem, pins, config.power_pin, off_when_high=config.power_off_when == "high")
    return modem, pi.modem_rail(config, pin_factory=pins, make_timer=make_timer)


def open_power(
    config: PowerConfig | None, clock: Clock, world: World
) -> tuple[SimPower, PowerMeter | None] | tuple[None, None]:
    """Return the supply in the light of `world` and the meters that the configuration names; None without any."""
    if config is None:
        return None, None
    power = SimPower(config, clock, irradiance_of(draw_sky(world.conditions, world.seed)), seed=world.seed)
    return power, pi.power_meter(config, clock, read=power.read)


class WorldStage:
    """The world before a camera as the first stage of a `VirtualTime`: it goes on as far as the time."""

    def __init__(self, camera: SimCamera) -> None:
        self.name = "world"
        self.wake = threading.Event()
        self._camera = camera

    def step(self, now_s: float) -> float:
        """Let everything happen that is due."""
        self._camera.deliver(now_s)
        return now_s + UNSTARTED_S if self._camera.next_frame_s == NEVER_S else self._camera.next_event_s

    def close(self) -> None:
        """Leave the camera to the stage that listens to it."""

"""The simulated board: the road or recorded pictures before the camera, sensors on mock pins, and a real MQTT link.

Owns which simulated part hangs on which connector, as `firmware.board.pi` does for the real ones. Clock, service
manager and link are the device's own: nothing about them needs simulating while a run takes real time.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpiozero.pins.mock import MockFactory

from firmware import identity
from firmware.board import pi
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.board.mqtt_link import MqttLink
from firmware.config import CaptureConfig, DeviceConfig
from firmware.ports import Board, Clock, TriggerInput
from firmware.stage import NEVER_S
from hw_sim.camera import ReplayCamera, RoadCamera, SimCamera
from hw_sim.road import Road
from hw_sim.sensors import Sensor, SimIrBeam, SimPir

WARM_S = 3600.0
"""The sensors have had power for so long, so that a run begins with a PIR that has warmed up."""

UNLISTENED_S = 0.01
"""How often a world in virtual time looks whether somebody listens to its camera by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """The trigger lines of a unit with both faces: what the firmware listens to, and what the world drives."""

    triggers: tuple[TriggerInput, ...]
    world: tuple[Sensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedUnit:
    """A board, and the world face of its camera."""

    board: Board
    camera: SimCamera


def open_unit(
    config: DeviceConfig, folder: Path, *, source: Path | None, passes: int | None, seed: int
) -> SimulatedUnit:
    """Return the simulated unit whose folder this is, before the road or before the pictures of `source`.

    Raises ConfigRejected: keys and certificates, or no pictures.
    """
    clock = LinuxClock()
    sensors = open_sensors(config.capture, clock, seed=seed)
    link = MqttLink(config.uplink, identity.load(folder, config.device_id))
    camera = open_camera(clock, source=source, passes=passes, seed=seed, sensors=sensors.world)
    board = Board(
        camera=camera,
        triggers=sensors.triggers,
        link=link,
        clock=clock,
        system=LinuxSystem(os.environ.get("NOTIFY_SOCKET", "")),
    )
    return SimulatedUnit(board=board, camera=camera)


def open_sensors(config: CaptureConfig, clock: Clock, *, seed: int) -> Sensors:
    """Return the sensors that the configuration names, wired as on the Pi, on mock pins of their own."""
    pins = MockFactory()
    powered_at_s = clock.monotonic_s() - WARM_S
    world: list[Sensor] = []
    if config.pir_pin is not None:
        world.append(SimPir(pins.pin(config.pir_pin), seed=seed, powered_at_s=powered_at_s))
    if config.ir_beam_pin is not None:
        world.append(SimIrBeam(pins.pin(config.ir_beam_pin), powered_at_s=powered_at_s))
    return Sensors(triggers=pi.triggers(config, clock, pin_factory=pins), world=tuple(world))


def open_camera(
    clock: Clock,
    *,
    source: Path | None,
    passes: int | None,
    seed: int,
    sensors: Sequence[Sensor] = (),
    self_paced: bool = True,
) -> SimCamera:
    """Return a camera before the seeded road, or before `source`. Raises ConfigRejected if there are no pictures."""
    if source is not None:
        return ReplayCamera(source, clock, sensors=sensors, self_paced=self_paced)
    return RoadCamera(Road(seed, passes), clock, sensors=sensors, self_paced=self_paced)


class WorldStage:
    """The world before a camera as the first stage of a `VirtualTime`: it goes on as far as the time."""

    def __init__(self, camera: SimCamera) -> None:
        self.name = "world"
        self.wake = threading.Event()
        self._camera = camera

    def step(self, now_s: float) -> float:
        """Let everything happen that is due."""
        self._camera.deliver(now_s)
        return now_s + UNLISTENED_S if self._camera.next_frame_s == NEVER_S else self._camera.next_event_s

    def close(self) -> None:
        """Leave the camera to the stage that listens to it."""

"""Units of which a part is broken, for those who learn to check one and for the tests of the tool that tells.

Owns the faults by part, and how each is brought about: on the part's own world face where it has one, in what stands
before the camera, in the clock, or in what is seen of the machine.
"""

import dataclasses
import enum
from collections.abc import Collection
from typing import Any, Final

from firmware.config import DeviceConfig
from firmware.identity import MS_PER_DAY
from firmware.modem_records import CardState, ModemState, Registration
from firmware.ports import Clock
from firmware.records import Grey, Image, Light
from firmware.self_check import CertificateFacts, DiskFacts, Facts, KeyFacts, Unseen, WaitingSocket
from hw_sim.amiss import Amiss, hung
from hw_sim.camera import CameraFaults, Scene, SimCamera
from hw_sim.lid import SimLid
from hw_sim.modem import ModemFailure, SimModem
from hw_sim.power import PowerAmiss, SimPower
from hw_sim.scene_around import SceneAround
from hw_sim.sensors import PirRules, Sensor, SimIrBeam, SimRadar, Stuck, Subject
from hw_sim.world import Mount


class PartFault(enum.StrEnum):
    """A part and what is wrong with it, as the command line names it."""

    CAMERA_ABSENT = "camera=absent"
    CAMERA_SILENT = "camera=silent"
    CAMERA_FROZEN = "camera=frozen"
    CAMERA_COVERED = "camera=covered"
    CAMERA_LOSES = "camera=loses"
    FOCUS_BLURRED = "focus=blurred"
    EXPOSURE_IGNORED = "exposure=ignored"  # the sensor says that it obeys, and does not
    EXPOSURE_UNHEARD = "exposure=unheard"
    LAMP_DEAD = "lamp=dead"
    PIR_STUCK = "pir=stuck"
    PIR_DEAD = "pir=dead"
    BEAM_BROKEN = "beam=broken"
    RADAR_STUCK = "radar=stuck"
    LID_OPEN = "lid=open"
    METER_ABSENT = "meter=absent"
    METER_NONSENSE = "meter=nonsense"
    BATTERY_LOW = "battery=low"
    PANEL_DARK = "panel=dark"
    MODEM_ABSENT = "modem=absent"
    MODEM_SILENT = "modem=silent"
    MODEM_UNREGISTERED = "modem=unregistered"
    MODEM_DENIED = "modem=denied"
    MODEM_WEAK = "modem=weak"
    MODEM_NO_APN = "modem=no-apn"
    SIM_MISSING = "modem=no-sim"
    SIM_LOCKED = "modem=sim-locked"
    TIME_1970 = "time=1970"
    TIME_UNSET = "time=unset"
    IDENTITY_EXPIRED = "identity=expired"
    IDENTITY_KEYLESS = "identity=no-key"
    DISK_FULL = "disk=full"
    DISK_READ_ONLY = "disk=read-only"
    FIREWALL_OPEN = "firewall=open"
    SOCKETS_OPEN = "sockets=open"
    BROKER_AWAY = "broker=away"
    BROKER_UNNAMED = "broker=unnamed"
    BROKER_FOREIGN = "broker=foreign"
    RECEIVER_AWAY = "broker=no-receiver"


Faults = Collection[PartFault]

DROPPED_RATIO: Final = 0.25
FOREVER_S: Final = 1e9
THROUGH_A_CAP: Final = 1e-7
NOWHERE: Final = "broker.invalid"  # RFC 2606: a name that nobody will ever have

_SUPPLIES: Final = {
    PartFault.METER_ABSENT: PowerAmiss.ABSENT,
    PartFault.METER_NONSENSE: PowerAmiss.NONSENSE,
    PartFault.BATTERY_LOW: PowerAmiss.BATTERY_LOW,
    PartFault.PANEL_DARK: PowerAmiss.PANEL_DARK,
}
_MODEM_ANSWERS: Final[dict[PartFault, dict[str, Any]]] = {
    PartFault.MODEM_DENIED: {"registration": Registration.DENIED, "state": ModemState.ENABLED, "is_connected": False},
    PartFault.MODEM_WEAK: {"rsrp_dbm": -118.0, "quality_ratio": 0.1},
    PartFault.MODEM_NO_APN: {"state": ModemState.REGISTERED, "is_connected": False},
    PartFault.SIM_MISSING: {
        "state": ModemState.FAILED, "card": CardState.MISSING,
        "registration": Registration.UNKNOWN, "is_connected": False,
    },
    PartFault.SIM_LOCKED: {
        "state": ModemState.LOCKED, "card": CardState.LOCKED,
        "registration": Registration.UNKNOWN, "is_connected": False,
    },
}  # fmt: skip


def clock_of(faults: Faults, clock: Clock) -> Clock:
    """Return the clock of a unit that has not heard the time, or the clock itself."""
    if PartFault.TIME_1970 in faults or PartFault.TIME_UNSET in faults:
        return UnsetClock(clock, is_1970=PartFault.TIME_1970 in faults)
    return clock


def mount_of(faults: Faults) -> Mount:
    """Return how the unit hangs and what it looks through."""
    return hung(Amiss.FOCUS if PartFault.FOCUS_BLURRED in faults else None)


def scene_of(faults: Faults, scene: Scene) -> Scene:
    """Return what the sensor sees of `scene`."""
    return OtherwiseSeen(scene, faults) if faults else scene


def camera_faults(faults: Faults) -> CameraFaults | None:
    """Return what goes wrong with frames by chance."""
    return CameraFaults(drop_ratio=DROPPED_RATIO) if PartFault.CAMERA_LOSES in faults else None


def pir_rules(faults: Faults) -> PirRules | None:
    """Return how the PIR behaves, None: as ever."""
    if PartFault.PIR_STUCK in faults:
        return PirRules(stuck=Stuck.HIGH)
    return PirRules(stuck=Stuck.LOW) if PartFault.PIR_DEAD in faults else None


def befall(
    faults: Faults,
    *,
    camera: SimCamera,
    sensors: Collection[Sensor],
    lid: SimLid | None,
    modem: SimModem | None,
    power: SimPower | None,
) -> None:
    """Let it happen to the parts that have a world face for it."""
    if PartFault.CAMERA_ABSENT in faults:
        camera.unplug()
    if PartFault.CAMERA_SILENT in faults:
        camera.freeze()
    if PartFault.EXPOSURE_UNHEARD in faults:
        camera.deafen()
    for sensor in sensors:
        is_held = (isinstance(sensor, SimIrBeam) and PartFault.BEAM_BROKEN in faults) or (
            isinstance(sensor, SimRadar) and PartFault.RADAR_STUCK in faults
        )
        if is_held:
            sensor.notice(Subject(at_s=0.0, until_s=FOREVER_S))
    if lid is not None and PartFault.LID_OPEN in faults:
        lid.open()
    if modem is not None:
        _befall_modem(faults, modem)
    for fault in faults:
        if power is not None and fault in _SUPPLIES:
            power.fail(_SUPPLIES[fault])


def seen_of(faults: Faults, facts: Facts, settings: DeviceConfig) -> Facts:
    """Return what is seen of a simulated unit's machine.

    Beneath it is a laptop, whose own open ports are none of the unit's.
    """
    unseen = Unseen(why="a simulated unit has no firewall of its own", how="check it on the unit itself")
    facts = dataclasses.replace(facts, sockets=(), ruleset=unseen)
    if PartFault.SOCKETS_OPEN in faults:
        listening = WaitingSocket(protocol="tcp", address="192.0.2.7", port=8080, uid=0, owner="httpd")  # RFC 5737
        facts = dataclasses.replace(facts, sockets=(listening,))
    if PartFault.FIREWALL_OPEN in faults:
        facts = dataclasses.replace(facts, ruleset=b'{"nftables": []}')
    if PartFault.IDENTITY_KEYLESS in faults:
        problem = f"the key of {settings.device_id} is not there; make the unit again: `kestrel-provision unit new`"
        facts = dataclasses.replace(facts, key=KeyFacts(kind="none", mode=0, problem=problem))
    if PartFault.IDENTITY_EXPIRED in faults:
        ended = CertificateFacts(from_utc_ms=0, until_utc_ms=facts.now_utc_ms - 3 * MS_PER_DAY)
        facts = dataclasses.replace(facts, certificate=ended)
    if PartFault.DISK_FULL in faults or PartFault.DISK_READ_ONLY in faults:
        disk = DiskFacts(
            is_read_only=PartFault.DISK_READ_ONLY in faults, free_bytes=3_000_000, outbox_bytes=0, folder_mode=0o700
        )
        facts = dataclasses.replace(facts, disk=disk)
    return facts


class UnsetClock:
    """A clock that nobody has set since the start; `is_1970`: it began at the beginning."""

    def __init__(self, clock: Clock, *, is_1970: bool) -> None:
        self._clock, self._is_1970 = clock, is_1970

    def monotonic_s(self) -> float:
        """Return the seconds of the clock beneath."""
        return self._clock.monotonic_s()

    def utc_ms(self) -> int:
        """Return the wall clock in milliseconds since 1970."""
        return round(self._clock.monotonic_s() * 1000) if self._is_1970 else self._clock.utc_ms()

    def is_trusted(self) -> bool:
        """Say that nobody has set it."""
        return False

    def boot_id(self) -> bytes:
        """Return the start's name."""
        return self._clock.boot_id()


class OtherwiseSeen(SceneAround):
    """A scene before a sensor that shows one picture for ever, exposes as it likes, or sees no light or no lamp."""

    def __init__(self, inside: Scene, faults: Faults) -> None:
        super().__init__(inside)
        self._faults = faults
        self._picture: Image | None = None
        self._small: Grey | None = None
        self._light: Light | None = None

    def picture_at(self, elapsed_s: float, light: Light) -> Image:
        """Return the exposure, uint8 (H, W, 3) BGR."""
        if PartFault.CAMERA_FROZEN not in self._faults:
            return super().picture_at(elapsed_s, self._used(light))
        if self._picture is None:
            self._picture = super().picture_at(elapsed_s, light)
        return self._picture.copy()

    def small_at(self, elapsed_s: float, light: Light) -> Grey:
        """Return the small picture of the same exposure, uint8 (H / 4, W / 4)."""
        if PartFault.CAMERA_FROZEN not in self._faults:
            return super().small_at(elapsed_s, self._used(light))
        if self._small is None:
            self._small = super().small_at(elapsed_s, light)
        return self._small.copy()

    def _used(self, light: Light) -> Light:
        if PartFault.EXPOSURE_IGNORED in self._faults:
            self._light = self._light or light
            light = dataclasses.replace(self._light, lamp_ratio=light.lamp_ratio)
        if PartFault.CAMERA_COVERED in self._faults:
            light = dataclasses.replace(light, exposure_us=light.exposure_us * THROUGH_A_CAP)
        return dataclasses.replace(light, lamp_ratio=0.0) if PartFault.LAMP_DEAD in self._faults else light


def _befall_modem(faults: Faults, modem: SimModem) -> None:
    failures = {
        PartFault.MODEM_ABSENT: ModemFailure.SUPPLY,
        PartFault.MODEM_SILENT: ModemFailure.FIRMWARE,
        PartFault.MODEM_UNREGISTERED: ModemFailure.NETWORK,
    }
    for fault in faults:
        if fault in failures:
            modem.fail(failures[fault])
        if fault in _MODEM_ANSWERS:
            modem.answer_with(**_MODEM_ANSWERS[fault])

"""One unit before a road in virtual time: all that a unit runs but its link, and the key that opens what it sealed."""

import functools
import math
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.opening import open_read
from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware import sealing
from firmware.agency_keys import AgencyKey, SuiteNumber
from firmware.board.linux import LinuxSystem
from firmware.capture import CaptureStage
from firmware.config import AgencyKeyConfig, CaptureConfig, DeviceConfig, SealConfig, SiteConfig, UplinkConfig
from firmware.faults import FaultBook
from firmware.outbox import Outbox
from firmware.reading import ReadingStage
from firmware.recognition import PlateReader
from firmware.sealing import Sealer
from firmware.stage import Stage
from hw_sim.board import WorldStage, open_parts
from hw_sim.camera import CameraFaults
from hw_sim.road import Road, RoadScene
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers
from hw_sim.scoring import Told
from hw_sim.sensors import PirRules

START_S = 1000.0
LARGEST_OUTBOX_BYTES = 100_000_000


@functools.lru_cache(maxsize=1)
def reader_of(models: Path) -> PlateReader:
    """Return the networks of a folder, loaded once. Raises DeviceFault(MODEL_REFUSED)."""
    return PlateReader.load(models, detection_score_ratio=_config().reading.detection_score_ratio)


class VirtualUnit:
    """A unit before a road in virtual time, without a link; the agency's key is at hand to open what it sealed.

    `pir_delay_s` is None for the sensor's own lag, infinite for a dead PIR.
    `as_run` puts another stage in the place of the one that reads, which it is to step.
    """

    def __init__(
        self,
        road: Road,
        models: Path,
        folder: Path,
        *,
        seed: int,
        pir_delay_s: float | None = None,
        as_run: Callable[[ReadingStage], Stage] = lambda stage: stage,
    ) -> None:
        self._clock = VirtualClock(start_s=START_S)
        opening_key = OpeningKey.generate(SuiteNumber.X25519)
        self._opening_keys = OpeningKeys([opening_key])
        system, faults, config = LinuxSystem(), FaultBook(), _config()
        timers = VirtualTimers(self._clock)
        parts = open_parts(
            config.capture,
            self._clock,
            RoadScene(road),
            seed=seed,
            faults=CameraFaults(drop_ratio=0.002, jitter_s=0.0002),
            pir=_pir_rules(pir_delay_s),
            self_paced=False,
            make_timer=timers.timer,
        )
        self._world = parts.world
        self._outbox = Outbox(
            folder / "outbox.db",
            capacity_bytes=LARGEST_OUTBOX_BYTES,
            retention_s=86_400.0,
            clock=self._clock,
            system=system,
        )
        self.reading = ReadingStage(
            reader_of(models),
            Sealer(
                config.device_id,
                Ed25519PrivateKey.generate(),
                [AgencyKey.from_raw(opening_key.suite, opening_key.public_bytes)],
            ),
            self._outbox,
            clock=self._clock,
            system=system,
            config=config,
            faults=faults,
        )
        self.capture = CaptureStage(
            parts.camera, parts.triggers, self.reading.frames, config.capture, faults, lamp=parts.lamp, system=system
        )
        self.time = VirtualTime([WorldStage(self._world), timers, self.capture, as_run(self.reading)], self._clock)

    def told(self) -> list[Told]:
        """Return all that was sealed so far, as the agency opens it, in seconds of the road."""
        waiting = self._outbox.next_unsent(10**6, self._clock.monotonic_s())
        reads = [open_read(sealing.from_wire(one.wire), self._opening_keys) for one in waiting]
        offset_s = self._clock.utc_ms() / 1000 - self._clock.monotonic_s() + self._world.start_s
        return [
            Told(
                text="" if read.passage.plate is None else read.passage.plate.text,
                region=read.passage.region,
                from_s=read.passage.first_utc_ms / 1000 - offset_s,
                to_s=read.passage.last_utc_ms / 1000 - offset_s,
                partial=read.passage.partial,
            )
            for read in reads
        ]

    def close(self) -> None:
        """Stop all stages and give the disk back."""
        self.time.close()
        self._outbox.close()


def _config() -> DeviceConfig:
    nobodys_key = "A" * 43 + "="
    return DeviceConfig(
        version=1,
        device_id="k-grid",
        site=SiteConfig(name="grid", latitude_deg=0.0, longitude_deg=0.0),
        seal=SealConfig(
            agency_keys=(AgencyKeyConfig(key=nobodys_key),), receipt_key=nobodys_key, retirement_key=nobodys_key
        ),
        uplink=UplinkConfig(host="localhost"),
        capture=CaptureConfig(),
    )


def _pir_rules(delay_s: float | None) -> PirRules:
    if delay_s is None:
        return PirRules()
    return PirRules(missed_ratio=1.0) if math.isinf(delay_s) else PirRules(lag_s=(delay_s, delay_s))

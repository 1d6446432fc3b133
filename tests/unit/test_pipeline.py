"""From the simulated road to sealed reads on disk in virtual time: all is the device's own but the networks."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cloud.opening import open_read
from firmware import sealing
from firmware.board.linux import LinuxSystem
from firmware.capture import CaptureStage
from firmware.faults import FaultBook, FaultCode
from firmware.outbox import Outbox
from firmware.reading import ReadingStage
from firmware.records import Box, Character, Reading, TriggerSource
from firmware.sealing import Sealer
from hw_sim.board import WorldStage, open_sensors
from hw_sim.camera import RoadCamera
from hw_sim.road import Road
from hw_sim.runner import VirtualClock, VirtualTime

PASSES = 3
SEED = 11
RATE_HZ = 30.0


class TruthReader:
    """Reads what the road says is there, as a perfect network would."""

    version = "truth"

    def __init__(self, road, camera):
        self._road, self._camera = road, camera

    def read(self, image, *, frame_number, at_s):
        return [
            Reading(
                frame_number=frame_number,
                at_s=at_s,
                box=self._box(plate.corners_px),
                characters=tuple(Character(char, 0.9) for char in plate.text),
                score_ratio=0.9,
                region=None,
                region_score_ratio=0.0,
            )
            for plate in self._road.truth(at_s - self._camera.start_s)
        ]

    def _box(self, corners_px):
        corners = np.array(corners_px)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return Box(x_px=left, y_px=top, w_px=right - left, h_px=bottom - top, score_ratio=0.9)


class Rig:
    """A unit on the simulated road without a link, in virtual time."""

    def __init__(self, config, folder):
        self.clock, self.faults = VirtualClock(), FaultBook()
        self.road = Road(SEED, PASSES)
        sensors = open_sensors(config.capture, self.clock, seed=SEED)
        self.camera = RoadCamera(self.road, self.clock, RATE_HZ, sensors=sensors.world, self_paced=False)
        self.agency_key = X25519PrivateKey.generate()
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**6, retention_s=86400.0, clock=self.clock, system=LinuxSystem()
        )
        self.reading = ReadingStage(
            TruthReader(self.road, self.camera),
            Sealer(config.device_id, Ed25519PrivateKey.generate(), self.agency_key.public_key()),
            self.outbox,
            system=LinuxSystem(),
            config=config,
            faults=self.faults,
        )
        self.capture = CaptureStage(self.camera, sensors.triggers, self.reading.frames, config.capture, self.faults)
        self.time = VirtualTime([WorldStage(self.camera), self.capture, self.reading], self.clock)

    def reads(self):
        waiting = self.outbox.next_unsent(1000, self.clock.monotonic_s())
        return [open_read(sealing.from_wire(one.wire), self.agency_key) for one in waiting]

    def close(self):
        self.time.close()
        self.outbox.close()


@pytest.fixture
def rig(device_config, tmp_path):
    rig = Rig(device_config, tmp_path)
    yield rig
    rig.close()


def test_every_vehicle_is_one_read_in_order_with_its_own_time(rig):
    rig.time.run_until(rig.road.end_s + 1.0)
    reads, vehicles = rig.reads(), rig.road.vehicles
    assert [read.passage.plate.text for read in reads] == [vehicle.text for vehicle in vehicles]
    assert [read.sequence - reads[0].sequence for read in reads] == list(range(PASSES))
    for read, vehicle in zip(reads, vehicles, strict=True):
        passes_utc_ms = rig.clock.utc_ms() - round(
            (rig.clock.monotonic_s() - rig.camera.start_s - vehicle.passes_s) * 1000
        )
        assert read.passage.first_utc_ms - 1500 <= passes_utc_ms <= read.passage.last_utc_ms + 1500
        assert read.passage.frames >= 2
        assert read.passage.plate_jpeg
    assert rig.reading.reads_lost == rig.reading.frames_rejected == 0
    assert rig.faults.reports() == []


def test_all_three_triggers_fire_and_an_empty_road_is_not_read(rig):
    rig.time.run_until(rig.road.end_s)
    assert {TriggerSource.MOTION, TriggerSource.PIR, TriggerSource.IR_BEAM} == set(rig.capture.triggers_seen)
    before = rig.reading.frames_read
    rig.time.run_until(rig.road.end_s + 5.0)
    assert rig.reading.frames_read == before
    assert before < rig.capture.frames_seen


def test_a_hung_camera_is_latched_and_its_return_clears_it(rig):
    rig.time.run_until(1.0)
    rig.camera.freeze()
    rig.time.run_until(6.0)
    assert [report.code for report in rig.faults.reports()] == [FaultCode.CAMERA_SILENT]
    rig.camera.thaw()
    rig.time.run_until(7.0)
    assert rig.faults.reports() == []

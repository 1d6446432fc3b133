"""From the simulated road to sealed reads on disk in virtual time: all is the device's own but the networks."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import made_sealer

from cloud.opening import open_read
from cloud.opening_keys import OpeningKey, OpeningKeys
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.board.linux import LinuxSystem
from firmware.capture import CaptureStage
from firmware.faults import FaultBook, FaultCode
from firmware.outbox import Outbox
from firmware.reading import ReadingStage
from firmware.records import Box, Character, Reading, TriggerSource
from hw_sim.board import WorldStage, open_parts
from hw_sim.light import Conditions, LightLevel
from hw_sim.plate_faces import DrawnPlates
from hw_sim.road import Road, RoadScene
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers

PASSES = 3
SEED = 11


class CleanPlates:
    """Every vehicle has a plate that a person can read."""

    def face(self, generator):
        while (face := DrawnPlates().face(generator)) is None or not face.is_readable:
            pass
        return face


class TruthReader:
    """Reads what the road says is there, as a perfect network would."""

    version = "truth"

    def __init__(self, road, world):
        self._road, self._world = road, world

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
            for plate in self._road.truth(at_s - self._world.start_s)
        ]

    def _box(self, corners_px):
        corners = np.array(corners_px)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return Box(x_px=left, y_px=top, w_px=right - left, h_px=bottom - top, score_ratio=0.9)


class Rig:
    """A unit on the simulated road without a link, in virtual time."""

    def __init__(self, config, folder, *, light=LightLevel.DAY, passes=PASSES):
        self.clock, self.faults = VirtualClock(), FaultBook()
        self.road = Road(SEED, passes, plates=CleanPlates(), conditions=Conditions(light=light))
        timers = VirtualTimers(self.clock)
        parts = open_parts(
            config.capture, self.clock, RoadScene(self.road), seed=SEED, self_paced=False, make_timer=timers.timer
        )
        self.world = parts.world
        opening_key = OpeningKey.generate(SuiteNumber.X25519)
        self.opening_keys = OpeningKeys([opening_key])
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**6, retention_s=86400.0, clock=self.clock, system=LinuxSystem()
        )
        self.reading = ReadingStage(
            TruthReader(self.road, self.world),
            made_sealer(Ed25519PrivateKey.generate(), opening_key, device_id=config.device_id),
            self.outbox,
            clock=self.clock,
            system=LinuxSystem(),
            config=config,
            faults=self.faults,
        )
        self.capture = CaptureStage(
            parts.camera,
            parts.triggers,
            self.reading.frames,
            config.capture,
            self.faults,
            lamp=parts.lamp,
            system=LinuxSystem(),
        )
        self.time = VirtualTime([WorldStage(self.world), timers, self.capture, self.reading], self.clock)

    def reads(self):
        waiting = self.outbox.next_unsent(1000, self.clock.monotonic_s())
        return [open_read(sealing.from_wire(one.wire), self.opening_keys) for one in waiting]

    def close(self):
        self.time.close()
        self.outbox.close()


@pytest.fixture
def rig(device_config, tmp_path):
    rig = Rig(device_config, tmp_path)
    yield rig
    rig.close()


def test_every_vehicle_is_one_read_in_order_with_its_own_time_and_an_empty_road_is_not_read(rig):
    rig.time.run_until(rig.road.end_s + 1.0)
    reads, vehicles = rig.reads(), rig.road.vehicles
    assert [read.passage.plate.text for read in reads] == [vehicle.text for vehicle in vehicles]
    assert [read.sequence - reads[0].sequence for read in reads] == list(range(PASSES))
    for read, vehicle in zip(reads, vehicles, strict=True):
        passes_utc_ms = rig.clock.utc_ms() - round(
            (rig.clock.monotonic_s() - rig.world.start_s - vehicle.passes_s) * 1000
        )
        assert read.passage.first_utc_ms - 1500 <= passes_utc_ms <= read.passage.last_utc_ms + 1500
        assert read.passage.frames >= 2
        assert read.passage.picture
    assert rig.reading.reads_lost == rig.reading.frames_rejected == 0
    assert rig.faults.reports() == []
    assert set(rig.capture.triggers_seen) == set(TriggerSource)
    before = rig.reading.frames_read
    rig.time.run_until(rig.road.end_s + 6.0)
    assert rig.reading.frames_read == before
    assert before < rig.capture.frames_developed < rig.capture.frames_seen


def test_at_night_the_lamp_is_lit_and_falls_when_the_stages_stop(device_config, tmp_path):
    rig = Rig(device_config, tmp_path, light=LightLevel.NIGHT, passes=2)
    rig.time.run_until(rig.road.end_s + 1.0)
    reads = rig.reads()
    assert [read.passage.plate.text for read in reads] == [vehicle.text for vehicle in rig.road.vehicles]
    assert all(read.passage.infrared for read in reads)
    assert rig.world.lamp_ratio > 0.0
    rig.close()
    assert rig.world.lamp_ratio == 0.0


def test_a_hung_sensor_that_a_restart_mends_costs_three_seconds_and_no_fault(rig):
    rig.time.run_until(1.0)
    rig.world.freeze(heals_by_restart=True)
    rig.time.run_until(6.0)
    assert rig.capture.restarts == 1
    assert rig.faults.reports() == []
    seen = rig.capture.frames_seen
    rig.time.run_until(7.0)
    assert rig.capture.frames_seen >= seen + 28


def test_a_sensor_that_no_restart_mends_is_latched_and_its_return_clears_it(rig):
    rig.time.run_until(1.0)
    rig.world.freeze()
    rig.time.run_until(9.0)
    assert rig.capture.restarts == 1
    assert [report.code for report in rig.faults.reports()] == [FaultCode.CAMERA_SILENT]
    rig.world.thaw()
    rig.time.run_until(10.0)
    assert rig.faults.reports() == []


def test_nonsense_and_broken_pictures_of_a_sensor_stop_nothing(device_config, tmp_path):
    rig = Rig(device_config, tmp_path, passes=1)
    rig.time.run_until(1.0)
    rig.world.spoil_next(11)
    rig.world.misshape_next(11)
    rig.time.run_until(2.0)
    assert [report.code for report in rig.faults.reports()] == [FaultCode.CAMERA_NONSENSE]
    rig.time.run_until(rig.road.end_s + 12.0)
    assert rig.faults.reports() == []
    assert [read.passage.plate.text for read in rig.reads()] == [vehicle.text for vehicle in rig.road.vehicles]
    assert rig.reading.frames_rejected == 0
    rig.close()

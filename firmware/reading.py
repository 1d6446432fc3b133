"""From frames to sealed reads: the stage in which a plate is in the clear, in memory only, until it is sealed."""

import dataclasses
import logging
import threading
from collections import deque
from typing import Protocol

import numpy as np

from firmware.config import DeviceConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.outbox import Outbox
from firmware.ports import Clock, System
from firmware.records import (
    Frame,
    Image,
    MessageClass,
    Passage,
    PictureSize,
    Read,
    Reading,
    SealedRead,
    Site,
    TakenVehicle,
)
from firmware.sealing import Sealer, uuid7
from firmware.stage import NEVER_S, Latest, Mailbox
from firmware.tracking import Tracker

FRAMES_WAITING = 16
"""Half a second of what passes, 76 MB of 1456x1088; when more wait, the oldest is given up."""

SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 16, 8192
"""A frame outside these did not come from a sensor; native code downstream multiplies its sides."""

LOOK_AGAIN_S = 0.1
"""While all plates in view have been read alike often enough, one frame in this time is read and the others are passed
over: they would cost the most of what a vehicle costs and change no letter. The next vehicle, at 100 mph in view for
0.2 s, is met with two more frames to come."""

STORE_AGAIN_S = 10.0
"""A disk that refused is asked again this often."""

UNSTORED_AT_MOST = 64
"""Sealed reads that wait in memory for a disk that refuses: about 300 kB."""

LOG = logging.getLogger(__name__)


class Recogniser(Protocol):
    """What the stage needs of `firmware.recognition.PlateReader`."""

    version: str

    def read(self, image: Image, *, frame_number: int, at_s: float) -> list[Reading]:
        """Return what each plate in the picture says."""
        ...


class ReadingStage:
    """Reads plates out of frames, joins them to passages, seals each passage and puts it in the outbox.

    Counters for the health report: `frames_read`, `frames_passed_over`, `frames_rejected`, `reads_sealed`,
    `reads_lost`, `vehicles_lost`, and the tracker's.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        sealer: Sealer,
        outbox: Outbox,
        *,
        clock: Clock,
        system: System,
        config: DeviceConfig,
        faults: FaultBook,
        picture: Latest[PictureSize | None] | None = None,
        vehicles: Mailbox[TakenVehicle] | None = None,
    ) -> None:
        """Without `vehicles` no picture of a vehicle is taken."""
        self.name = "reading"
        self.wake = threading.Event()
        self.frames: Mailbox[Frame] = Mailbox(self.wake, FRAMES_WAITING)
        self.tracker = Tracker(
            reporting_score_ratio=config.reading.reporting_score_ratio,
            picture=picture,
            with_rears=vehicles is not None,
        )
        self.frames_read = 0
        self.frames_passed_over = 0
        self.frames_rejected = 0
        self.reads_sealed = 0
        self.reads_lost = 0
        self.vehicles_lost = 0
        self._recogniser = recogniser
        self._sealer = sealer
        self._outbox = outbox
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._system = system
        self._config = config
        self._faults = faults
        self._vehicles = vehicles
        self._read_s = float("-inf")  # when the newest frame that was read was taken
        self._wall_offset_ms = 0.0  # wall clock less monotonic time, by the newest frame; for the log's latency only
        self._unstored: deque[SealedRead] = deque()
        self._store_again_s = NEVER_S

    def step(self, now_s: float) -> float:
        """Read one frame, so that the heartbeat shows between two; without one, end the tracks that are over."""
        if now_s >= self._store_again_s:
            self._store(now_s)
        frame = self.frames.take()
        if frame is None:
            self._report(self.tracker.end_unseen(now_s), now_s)
            return min(self.tracker.next_end_s(), self._store_again_s)
        self._take_in(frame, now_s)
        return now_s

    def close(self) -> None:
        """Read the frames that wait, and seal what the tracker holds: a passage seen is a passage reported."""
        last_s = 0.0
        while (frame := self.frames.take()) is not None:
            last_s = frame.at_s
            self._take_in(frame, last_s)
        self._report(self.tracker.end_all(), last_s)
        self.reads_lost += len(self._unstored)

    def _take_in(self, frame: Frame, now_s: float) -> None:
        """Read `frame`, unless it is not a picture or can be spared, and report the passages that ended before it."""
        if not is_picture(frame.image):
            self.frames_rejected += 1
            return
        if frame.at_s - self._read_s < LOOK_AGAIN_S and self.tracker.has_read_enough(frame.at_s):
            self.frames_passed_over += 1
            return
        self._read_s = frame.at_s
        self._wall_offset_ms = frame.taken_utc_ms - frame.at_s * 1000
        readings = self._recogniser.read(frame.image, frame_number=frame.number, at_s=frame.at_s)
        self.frames_read += 1
        self._report(self.tracker.see(frame, readings), now_s)

    def _report(self, passages: list[Passage], now_s: float) -> None:
        """Seal each passage and put it on disk."""
        for passage in passages:
            try:
                sealed = self._sealer.seal(self._read_of(self._set_right(passage), self._outbox.reserve_sequence()))
            except DeviceFault as fault:  # the disk, or the token that holds the key
                self._faults.tell(fault, now_s, LOG)
                self.reads_lost += 1
                continue
            self._faults.clear(FaultCode.KEY_UNUSABLE)
            self._unstored.append(sealed)
            self.reads_sealed += 1
            self._hand_on_vehicle(passage, sealed)
        if passages:
            self._store(now_s)

    def _hand_on_vehicle(self, passage: Passage, read: SealedRead) -> None:
        """Seal the picture of the vehicle at once; what keeps it gets it sealed only. With an alert it goes along."""
        if self._vehicles is None or passage.vehicle is None:
            return
        try:
            sealed = self._sealer.seal_vehicle(passage.vehicle, read, clock_trusted=passage.clock_trusted)
        except DeviceFault:  # the token, which has just sealed the read; the next read will tell
            self.vehicles_lost += 1
            return
        self._vehicles.put(TakenVehicle(sealed=sealed, is_alert=read.message_class is MessageClass.ALERT))

    def _set_right(self, passage: Passage) -> Passage:
        """Return `passage` with its times counted back from now, if the clock was set since they were taken.

        What is sealed cannot be set right any more; there the receiver does it by a later read of the same start.
        """
        if passage.clock_trusted or not self._clock.is_trusted():
            return passage
        self._wall_offset_ms = self._clock.utc_ms() - self._clock.monotonic_s() * 1000
        last_utc_ms = max(0, round(self._wall_offset_ms + passage.last_boot_ms))
        first_utc_ms = max(0, last_utc_ms - (passage.last_utc_ms - passage.first_utc_ms))
        return dataclasses.replace(passage, first_utc_ms=first_utc_ms, last_utc_ms=last_utc_ms, clock_trusted=True)

    def _read_of(self, passage: Passage, sequence: int) -> Read:
        site = self._config.site
        return Read(
            read_id=uuid7(passage.last_utc_ms, self._system.random_bytes(10)),
            device_id=self._config.device_id,
            sequence=sequence,
            boot_id=self._boot_id,
            site=Site(
                name=site.name,
                latitude_deg=site.latitude_deg,
                longitude_deg=site.longitude_deg,
                bearing_deg=site.bearing_deg,
            ),
            passage=passage,
            model_version=self._recogniser.version,
            config_version=self._config.version,
        )

    def _store(self, now_s: float) -> None:
        """Put what is sealed in the outbox; while the disk refuses, keep a bounded number of sealed reads in memory."""
        self._store_again_s = NEVER_S
        while self._unstored:
            try:
                is_kept = self._outbox.put(self._unstored[0])
            except DeviceFault as fault:
                self._faults.tell(fault, now_s, LOG)
                self._store_again_s = now_s + STORE_AGAIN_S
                break
            self._faults.clear(FaultCode.STORAGE_REFUSED)
            sealed = self._unstored.popleft()
            if not is_kept:
                self.reads_lost += 1
                LOG.warning("read %s is given up: the outbox is full of what comes first", sealed.read_id)
                continue
            latency_s = now_s - (sealed.created_utc_ms - self._wall_offset_ms) / 1000
            LOG.info("read %s is sealed and stored %.1f s after its vehicle was last seen", sealed.read_id, latency_s)
        while len(self._unstored) > UNSTORED_AT_MOST:
            self._unstored.remove(min(self._unstored, key=lambda sealed: (sealed.message_class, sealed.sequence)))
            self.reads_lost += 1


def is_picture(image: Image) -> bool:
    """Say whether `image` is what a `Frame` promises: uint8 (H, W, 3), row after row, with sides that sensors have."""
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.flags.c_contiguous
        and all(SMALLEST_SIDE_PX <= side <= LARGEST_SIDE_PX for side in image.shape[:2])
    )

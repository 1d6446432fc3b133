"""Pictures of vehicles that never were, sealed as a unit seals them, and a stage that keeps and answers."""

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.opening_keys import OpeningKey
from firmware import papers, picture_requests, rears, sealing
from firmware.agency_keys import SuiteNumber
from firmware.config import PicturesConfig
from firmware.faults import FaultBook
from firmware.outbox import Outbox
from firmware.records import Box, MessageClass, PictureRequest, TakenVehicle
from firmware.stage import Latest
from firmware.vehicle_folder import VehicleFolder
from firmware.vehicles import VehicleStage
from tests.made_reads import START_UTC_MS, KernelRandom, SetClock, made_read, made_sealer

DEVICE = "k-test0001"
DEVICE_KEY, AGENCY_KEY = Ed25519PrivateKey.generate(), OpeningKey.generate(SuiteNumber.X25519)
SEALER = made_sealer(DEVICE_KEY, AGENCY_KEY)
HOUR_MS = 3_600_000


def made_picture():
    noise = np.random.default_rng(4).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    return rears.packed(rears.rear_around(image, Box(x_px=250, y_px=250, w_px=100, h_px=50, score_ratio=0.9)))


PICTURE = made_picture()


def sealed_vehicle(
    at_utc_ms=START_UTC_MS, *, sealer=SEALER, message_class=MessageClass.READ, sequence=1, device_id=DEVICE
):
    """The envelope of a vehicle's picture, and of the read to which it belongs."""
    read = sealer.seal(made_read(sequence, at_utc_ms=at_utc_ms, device_id=device_id), message_class=message_class)
    return sealer.seal_vehicle(PICTURE, read, clock_trusted=True), read


def request_for(read_id, issued_utc_ms=START_UTC_MS, device_id=DEVICE):
    return PictureRequest(device_id=device_id, read_id=read_id, issued_utc_ms=issued_utc_ms)


class VehicleBench:
    """The stage with a real folder and a real outbox; what it answers is opened by the test."""

    def __init__(self, folder, **config):
        self.path, self.clock = folder / "vehicles", SetClock()
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**7, retention_s=1e7, clock=self.clock, system=KernelRandom()
        )
        self.has_room = Latest[bool](True)  # noqa: FBT003  a hand-over of a truth value
        self.faults = FaultBook()
        self.folder = VehicleFolder(self.path, PicturesConfig(**config), DEVICE, DEVICE_KEY.public_key())
        self.stage = VehicleStage(
            self.folder,
            SEALER,
            self.outbox,
            has_room=self.has_room,
            clock=self.clock,
            system=KernelRandom(),
            faults=self.faults,
        )
        self.now_s = 0.0
        self.stage.step(self.now_s)

    def take(self, at_utc_ms=START_UTC_MS, **changes):
        """Let a vehicle pass; return the id of its read."""
        sealed, read = sealed_vehicle(at_utc_ms, **changes)
        self.stage.taken.put(TakenVehicle(sealed=sealed, is_alert=read.message_class is MessageClass.ALERT))
        self.step()
        return sealed.read_id

    def ask(self, read_id, issued_utc_ms=START_UTC_MS):
        self.stage.requests.put(request_for(read_id, issued_utc_ms))
        self.step()

    def step(self, after_s=1.0):
        self.now_s += after_s
        return self.stage.step(self.now_s)

    def answers(self, open_paper):
        """What waits in the outbox, opened; `open_paper` opens a sealed paper."""
        waiting = self.outbox.next_unsent(1000, self.now_s)
        return [
            picture_requests.decode_answer(open_paper(sealing.from_wire(one.wire)).content)
            for one in waiting
            if one.message_class is MessageClass.PICTURE
        ]


def parts_of_answer(answer, utc_ms=START_UTC_MS):
    document = picture_requests.encode_answer(answer)
    return papers.parts_of(document, papers.PaperKind.VEHICLE, utc_ms, clock_trusted=True)

"""What a receiver finds inside a seal that a stolen unit has made: pictures of plates, health, papers, records."""

import functools

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud import answers, handover
from cloud.opening import open_vehicle
from cloud.opening_keys import OpeningKeys
from cloud.plate_pictures import unpacked
from firmware import health_report, papers, picture_requests, sealing, wire
from firmware.evidence import FULL_PICTURE, packed
from firmware.faults import DocumentRejected
from firmware.health_report import FaultWord, Spent, Thrift
from firmware.papers import PaperKind
from firmware.picture_requests import PictureAnswer, PictureOutcome
from firmware.records import Picture, PictureCoding
from tests.fuzz.judging import Target
from tests.made_handovers import DEVICE, made_document
from tests.made_health import made_health
from tests.made_reads import sealed_around
from tests.made_vehicles import AGENCY_KEY, DEVICE_KEY, PICTURE, sealed_vehicle


def _crop() -> np.ndarray:
    noise = np.random.default_rng(4).integers(0, 255, (40, 90, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def _avif_seeds() -> list[bytes]:
    return [packed(_crop(), FULL_PICTURE).data]


def _jpeg_seeds() -> list[bytes]:
    further = ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    return [cv2.imencode(".jpg", _crop(), [cv2.IMWRITE_JPEG_QUALITY, 60, *words])[1].tobytes() for words in further]


def _health_seeds() -> list[bytes]:
    word = FaultWord(code="camera-silent", since_s=7, count=3, hint="check the cable")
    spent = Spent(day_bytes=10**7, month_bytes=4 * 10**8, thrift=Thrift.SMALL_PICTURES)
    full = made_health(faults=(word,), causes={"lost": 3}, spent=spent, board_decidegrees=613, throttled=0x50000)
    return [health_report.payload(full), health_report.payload(made_health())]


def _unpack(coding: PictureCoding, data: bytes) -> None:
    unpacked(Picture(coding, data))


def _health(data: bytes) -> None:
    health = health_report.parse(data)
    if health_report.payload(health) != data:
        raise AssertionError("health with two spellings")


def _paper_seeds() -> list[bytes]:
    document = bytes(papers.MAX_PART_BYTES + 40)
    parts = papers.parts_of(document, PaperKind.HANDOVER, 1_800_000_000_000, clock_trusted=True)
    tests = papers.parts_of(b"test", PaperKind.TEST, 0, clock_trusted=False)
    return [papers.payload(one) for one in (parts[-1], *tests)]


def _paper(data: bytes) -> None:
    paper = papers.parse(data)
    if papers.payload(paper) != data:
        raise AssertionError("a paper with two spellings")


@functools.cache
def _unit_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def _handover_seeds() -> list[bytes]:
    return [made_document(_unit_key()), made_document(_unit_key(), checks=(), despite=("The unit was not checked",))]


def _handover(data: bytes) -> None:
    """Take `data` as the document of a unit that has cut and sealed it well."""
    handover.opened(data, DEVICE, _unit_key().public_key())


def _record(data: bytes) -> None:
    if handover.encode(handover.decode(data)) != data:
        raise AssertionError("a hand-over record with two spellings")


def _answer_seeds() -> list[bytes]:
    sealed, _ = sealed_vehicle()
    here = PictureAnswer(read_id=sealed.read_id, outcome=PictureOutcome.HERE, sealed=sealing.to_wire(sealed))
    never = PictureAnswer(read_id=sealed.read_id, outcome=PictureOutcome.NEVER)
    return [picture_requests.encode_answer(one) for one in (here, never)]


def _answer(data: bytes) -> None:
    """Take `data` as the answer of a unit that has sealed it well, picture and all."""
    if not 1 <= len(data) <= papers.MAX_PART_BYTES:
        return
    (paper,) = papers.parts_of(data, PaperKind.VEHICLE, 0, clock_trusted=True)
    answers.opened(paper, DEVICE, OpeningKeys([AGENCY_KEY]), DEVICE_KEY.public_key())


def _vehicle(data: bytes) -> None:
    """Open `data` as what a stolen unit has sealed in a picture's place."""
    sealed, _ = sealed_vehicle()
    open_vehicle(sealed_around(sealed, data, AGENCY_KEY), OpeningKeys([AGENCY_KEY]))


PICTURES_AND_HEALTH = (
    Target("avif", lambda data: _unpack(PictureCoding.AVIF, data), (DocumentRejected,), _avif_seeds, 32_768),
    Target("jpeg", lambda data: _unpack(PictureCoding.JPEG, data), (DocumentRejected,), _jpeg_seeds, 32_768),
    Target("health", _health, (DocumentRejected,), _health_seeds),
    Target("paper", _paper, (DocumentRejected,), _paper_seeds),
    Target("answer", _answer, (DocumentRejected,), _answer_seeds),
    Target("vehicle", _vehicle, (DocumentRejected,), lambda: [wire.encode([1, PICTURE.data]), wire.encode([2, b"x"])]),
    Target("handover", _handover, (DocumentRejected,), _handover_seeds),
    Target("record", _record, (DocumentRejected,), lambda: [handover.unpacked(one)[0] for one in _handover_seeds()]),
)

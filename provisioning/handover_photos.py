"""Pictures for the hand-over: made small, without what a phone writes beside them, and with plates covered.

What a phone says of place, time and owner (EXIF) goes when the picture is developed and packed anew; a plate that
happens to be in it is covered, as in all that the technician's tool shows.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np

from cloud.handover import Photo
from firmware.config import CaptureConfig, MountConfig
from firmware.detect import PlateDetector
from firmware.faults import ConfigRejected, DeviceFault, FaultCode
from firmware.lane import Point
from firmware.ocr import corners_of
from firmware.ports import Board, Clock
from firmware.records import Image
from provisioning.aim_watch import COVERED_RATIO, AimWatch, drawn

LONGEST_PX: Final = 900
LARGEST_BYTES: Final = 70_000
PHOTOS_AT_MOST: Final = 6
FILE_AT_MOST_BYTES: Final = 60_000_000

_QUALITIES: Final = (72, 60, 48, 36, 24)
_GREY: Final = (200, 200, 200)

LOOK_S: Final = 2.0
"""So long the light settles before a picture counts."""

LOOK_LIMIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it goes on the page: JPEG bytes, and what the record says of it."""

    photo: Photo
    jpeg: bytes = field(repr=False)


def of_phone(paths: list[Path], models: Path) -> list[Picture]:
    """Return the photographs at `paths`, small. Raises ConfigRejected (no picture) and DeviceFault (the networks)."""
    if len(paths) > PHOTOS_AT_MOST:
        raise ConfigRejected(f"there are {len(paths)} photos; give {PHOTOS_AT_MOST} at most")
    if not paths:
        return []
    detector = PlateDetector.load(models, COVERED_RATIO)
    return [_packed(_covered(_shrunk(_read(path)), detector), "technician") for path in paths]


def of_unit(board: Board, capture: CaptureConfig, mount: MountConfig, models: Path) -> Picture:
    """Return what the unit's camera sees now, its plates covered. Raises DeviceFault."""
    watch = AimWatch(board.camera, board.lamp, capture, mount, models=models, detection_ratio=COVERED_RATIO)
    try:
        watch.start()
        view = _settled(watch, board.clock, capture.lane)
    finally:
        watch.close()
    return _packed(view, "unit")


def _settled(watch: AimWatch, clock: Clock, lane: tuple[Point, ...]) -> Image:
    """Return a picture once the light has settled. Raises DeviceFault(CAMERA_SILENT)."""
    begun_s = clock.monotonic_s()
    while True:
        now_s = clock.monotonic_s()
        watch.step(now_s)
        if watch.newest is not None and now_s - begun_s >= LOOK_S:
            return drawn(watch.newest, lane, LONGEST_PX)
        if now_s - begun_s > LOOK_LIMIT_S:
            raise DeviceFault(FaultCode.CAMERA_SILENT, "no picture came; check the camera's cable and start again")
        watch.wake.wait(0.05)
        watch.wake.clear()


def _read(path: Path) -> Image:
    """Return the picture in a file, upright. Raises ConfigRejected."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_AT_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigRejected(f"{path}: the photo cannot be read ({error.strerror}); check its name") from error
    image = None
    if 0 < len(data) <= FILE_AT_MOST_BYTES:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # turned as its EXIF says
        except cv2.error:
            image = None
    if image is None:
        raise ConfigRejected(
            f"{path}: this is no picture in JPEG or PNG; set the phone's camera to JPEG, or send a screenshot of it"
        )
    return np.asarray(image, np.uint8)


def _shrunk(image: Image) -> Image:
    scale = min(1.0, LONGEST_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _covered(image: Image, detector: PlateDetector) -> Image:
    for box in detector.detect(image):
        cv2.fillPoly(image, [np.round(corners_of(box)).astype(np.int32)], _GREY)
    return image


def _packed(image: Image, taken_by: Literal["technician", "unit"]) -> Picture:
    """Return `image` as JPEG of at most LARGEST_BYTES, or as small as it gets."""
    data = b""
    for quality in _QUALITIES:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= LARGEST_BYTES:
            break
    return Picture(
        Photo(
            taken_by=taken_by,
            sha256=hashlib.sha256(data).hexdigest(),
            width_px=image.shape[1],
            height_px=image.shape[0],
            size_bytes=len(data),
        ),
        data,
    )

"""What stands between the camera and `provisioning.aiming`: takes its shots, holds its light, finds plates in them.

The light is held by the unit's own governor, so that what is judged is what the unit will see. Whole pictures are
copied while something moves, and wait; plates are looked for in one of them at a time, however slow the machine is.
"""

import itertools
import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.config import CaptureConfig, MountConfig
from firmware.detect import PlateDetector
from firmware.exposure import M_S_PER_MPH
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.lane import Point
from firmware.lighting import Lighting
from firmware.motion import MotionGate
from firmware.ocr import corners_of
from firmware.ports import Camera, IrLamp, Shot
from firmware.records import Frame, Image
from provisioning.aiming import GRID, Aim, Aiming

PICTURES_WAITING = 24
"""Whole pictures that wait to be looked at, 4.7 MB each."""

LOOKS_A_METRE = 1.0
"""A copy for each metre that the fastest traffic drives: some eight on the way of a plate through the picture."""

WHILE_STILL_S = 0.5
COVERED_RATIO = 0.2
"""From this score on what may be a plate is covered in what is shown; what counts is surer."""

DARK_LEVEL = 24.0
"""A picture darker than this is shown with its shadows raised, so that one sees where the camera looks at night."""

_RAISED = np.array([round(255.0 * (level / 255.0) ** 0.45) for level in range(256)], np.uint8)

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest picture, uint8 (H, W, 3) BGR, and the corners of all plates that were found in it, (4, 2) each."""

    picture: Image = field(repr=False)
    plates_px: tuple[npt.NDArray[np.float32], ...]


class AimWatch:
    """Looks through one unit's camera for as long as somebody aims it."""

    def __init__(
        self,
        camera: Camera,
        lamp: IrLamp | None,
        capture: CaptureConfig,
        mount: MountConfig,
        *,
        models: Path,
        detection_ratio: float,
    ) -> None:
        """Load the networks of `models`; boxes from `detection_ratio` on count. Raises DeviceFault."""
        self.wake = threading.Event()
        self.frames = 0
        self.newest: Seen | None = None
        self._camera, self._capture, self._detection_ratio = camera, capture, detection_ratio
        self._detector = PlateDetector.load(models, min(COVERED_RATIO, detection_ratio))
        self._faults = FaultBook()
        self._lighting = Lighting(camera, lamp, capture, self._faults)
        self._aiming = Aiming(capture, mount, has_lamp=lamp is not None)
        self._gates = [
            tuple(MotionGate(cell) for cell in _cells()) for _ in range(2)
        ]  # one set an alternating exposure
        self._waiting: deque[tuple[Frame, bool]] = deque(maxlen=PICTURES_WAITING)
        self._copied_s = float("-inf")
        self._while_moving_s = 0.9 / LOOKS_A_METRE / (capture.speed_mph * M_S_PER_MPH)  # 0.9: shots come when they come
        self._first = 2

    def start(self) -> None:
        """Let the camera run. Raises DeviceFault(CAMERA_ABSENT)."""
        self._camera.listen(self.wake)

    def step(self, now_s: float) -> bool:
        """Take in what came and look for plates in one picture; return whether more wait.

        Raises DeviceFault of a camera that is silent.
        """
        for shot in self._shots():
            try:
                self._take_in(shot, now_s)
            finally:
                shot.release()
        if self._waiting:
            frame, moves = self._waiting.popleft()
            boxes = self._detector.detect(frame.image)
            sure = [box for box in boxes if box.score_ratio >= self._detection_ratio]
            self._aiming.note_picture(frame, sure, moves=moves)
            self.newest = Seen(frame.image, tuple(corners_of(box) for box in boxes))
            self.frames += 1
        return bool(self._waiting)

    def aim(self) -> Aim:
        """Return how the camera is aimed, as far as that is known."""
        return self._aiming.aim()

    def close(self) -> None:
        """Let the lamp fall and give the camera back."""
        self._lighting.close()
        self._camera.close()

    def _shots(self) -> list[Shot]:
        try:
            return self._camera.shots()
        except DeviceFault as fault:
            if fault.code is not FaultCode.CAMERA_NONSENSE:
                raise
            LOG.warning("%s", fault)  # one bad frame; a camera that delivers no others falls silent
            return []

    def _take_in(self, shot: Shot, now_s: float) -> None:
        arm = self._lighting.arm_of(shot)
        cells = [gate.look(shot.small, shot.at_s).changed_ratio for gate in self._gates[arm]]
        if self._first > 0:  # a gate's first picture counts as changed altogether
            self._first -= 1
            cells = [0.0] * len(cells)
        cells = [ratio if ratio >= self._capture.motion_ratio else 0.0 for ratio in cells]
        moves = max(cells) > 0
        self._lighting.see(shot, moves=moves, now_s=now_s)
        lamp_ratio = self._lighting.lamp_ratio_at(shot.at_s)
        self._aiming.note_shot(shot.small, shot.light, shot.at_s, phase=self._lighting.phase, cells=cells)
        if shot.at_s - self._copied_s >= (self._while_moving_s if moves else WHILE_STILL_S):
            self._copied_s = shot.at_s
            self._waiting.append((shot.develop(infrared=lamp_ratio > 0), moves))


def _cells() -> list[tuple[Point, ...]]:
    """Return the cells of motion, row by row, as polygons."""
    edges = [index / GRID for index in range(GRID + 1)]
    return [
        ((left, top), (right, top), (right, bottom), (left, bottom))
        for top, bottom in itertools.pairwise(edges)
        for left, right in itertools.pairwise(edges)
    ]


def drawn(view: Seen, lane: tuple[Point, ...], width_px: int) -> Image:
    """Return the picture at a width with lane mask and middle marked and all its plates covered, uint8 (h, w, 3) BGR.

    Nobody needs to read a plate in order to aim, and what is shown may lie on a disk.
    """
    picture, plates = view.picture, view.plates_px
    scale = width_px / picture.shape[1]
    size = (width_px, round(picture.shape[0] * scale))
    shown = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    if float(np.median(shown)) < DARK_LEVEL:
        shown = np.asarray(cv2.LUT(shown, _RAISED), np.uint8)
    thick = max(1, width_px // 320)
    corners = np.round(np.array(lane) * (size[0] - 1, size[1] - 1)).astype(np.int32)
    cv2.polylines(shown, [corners], isClosed=True, color=(255, 160, 0), thickness=thick, lineType=cv2.LINE_AA)
    middle = (size[0] // 2, size[1] // 2)
    cv2.drawMarker(shown, middle, (0, 220, 255), cv2.MARKER_CROSS, max(6, width_px // 16), thick)
    for plate in plates:
        quad = np.round(np.array(plate) * scale).astype(np.int32)
        cv2.fillPoly(shown, [quad], (200, 200, 200))
        cv2.polylines(shown, [quad], isClosed=True, color=(60, 220, 60), thickness=2 * thick, lineType=cv2.LINE_AA)
    return shown

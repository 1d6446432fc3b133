"""A whole picture to all the plates in it: the detector finds, the OCR reads. Device and evaluation both call this."""

import dataclasses
from pathlib import Path
from typing import Self

from firmware.detect import PlateDetector
from firmware.ocr import PlateOcr, PlateReading
from firmware.records import Box, Image, Reading
from firmware.tflite import read_manifest

REGION_SCORE_RATIO = 0.8
"""Below this the region is null: a wrong state is worse than none."""

SECOND_LOOK_RATIO = 0.8
"""A plate read with less is looked at again without its corners, which may themselves be what was wrong."""


class PlateReader:
    """Both networks of one model folder. `version` names them in every read."""

    def __init__(self, detector: PlateDetector, ocr: PlateOcr, version: str) -> None:
        self._detector, self._ocr = detector, ocr
        self.version = version

    @classmethod
    def load(cls, folder: Path, *, detection_score_ratio: float) -> Self:
        """Load the networks of `folder`. Raises DeviceFault(MODEL_REFUSED)."""
        version = read_manifest(folder).version
        return cls(PlateDetector.load(folder, detection_score_ratio), PlateOcr.load(folder), version)

    def read(self, image: Image, *, frame_number: int, at_s: float) -> list[Reading]:
        """Return what each plate of `image` uint8 (H, W, 3) BGR says, the surest first; an unreadable one is empty."""
        readings = []
        for box in self._detector.detect(image):
            plate = self._looked_at(image, box)
            sure = plate.region_score_ratio >= REGION_SCORE_RATIO
            readings.append(
                Reading(
                    frame_number=frame_number,
                    at_s=at_s,
                    box=box,
                    characters=plate.characters,
                    score_ratio=plate.score_ratio,
                    region=plate.region if sure else None,
                    region_score_ratio=plate.region_score_ratio,
                    alternatives=plate.alternatives,
                )
            )
        return readings

    def _looked_at(self, image: Image, box: Box) -> PlateReading:
        """Return the likelier of two readings: rectified by the corners, and if that is doubtful by the upright box."""
        first = self._ocr.read(image, box)
        if first.score_ratio >= SECOND_LOOK_RATIO:
            return first
        second = self._ocr.read(image, dataclasses.replace(box, corners_px=()))
        return max(first, second, key=lambda plate: plate.score_ratio)

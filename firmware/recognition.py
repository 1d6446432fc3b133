"""A whole picture to all the plates in it: the detector finds, the OCR reads. Device and evaluation both call this."""

from pathlib import Path
from typing import Self

from firmware.detect import PlateDetector
from firmware.ocr import PlateOcr
from firmware.records import Box, Image, Reading
from firmware.tflite import read_manifest


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
        boxes = self._detector.detect(image)
        return [read_box(self._ocr, image, box, frame_number=frame_number, at_s=at_s) for box in boxes]


def read_box(ocr: PlateOcr, image: Image, box: Box, *, frame_number: int, at_s: float) -> Reading:
    """Return what the plate in `box` of `image` uint8 (H, W, 3) BGR says."""
    plate = ocr.read(image, box)
    return Reading(
        frame_number=frame_number,
        at_s=at_s,
        box=box,
        characters=plate.characters,
        score_ratio=plate.score_ratio,
        region=plate.sure_region,
        region_score_ratio=plate.region_score_ratio,
        alternatives=plate.alternatives,
    )

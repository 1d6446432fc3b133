"""How detector and OCR play together: second looks, and what is left unanswered."""

import numpy as np
import pytest

from firmware.ocr import PlateReading
from firmware.recognition import REGION_SCORE_RATIO, SECOND_LOOK_RATIO, PlateReader
from firmware.records import Box, Character

QUAD = ((10.0, 10.0), (90.0, 14.0), (90.0, 44.0), (10.0, 40.0))
BOX = Box(x_px=10, y_px=10, w_px=80, h_px=34, score_ratio=0.9, corners_px=QUAD)
PICTURE = np.zeros((100, 100, 3), np.uint8)


class ScriptedDetector:
    def detect(self, image):
        return [BOX]


class ScriptedOcr:
    """Says one thing of a plate rectified by its corners and another of the upright box, and counts the looks."""

    def __init__(self, by_corners, by_box, region_score_ratio=0.9):
        self.by_corners, self.by_box, self.region_score_ratio = by_corners, by_box, region_score_ratio
        self.looks = 0

    def read(self, image, box):
        self.looks += 1
        text, score_ratio = self.by_corners if box.corners_px else self.by_box
        return PlateReading(
            characters=tuple(Character(char, score_ratio) for char in text),
            score_ratio=score_ratio,
            alternatives=(),
            region="US-OR",
            region_score_ratio=self.region_score_ratio,
        )


def read(ocr):
    (reading,) = PlateReader(ScriptedDetector(), ocr, "test-1").read(PICTURE, frame_number=3, at_s=1.5)
    return reading


def test_a_sure_reading_needs_no_second_look():
    ocr = ScriptedOcr(("ABC123", SECOND_LOOK_RATIO), ("XYZ789", 1.0))
    assert read(ocr).text == "ABC123"
    assert ocr.looks == 1


@pytest.mark.parametrize(("by_box", "text"), [(0.7, "XYZ789"), (0.2, "ABC123")])
def test_of_two_doubtful_readings_the_likelier_counts(by_box, text):
    ocr = ScriptedOcr(("ABC123", 0.4), ("XYZ789", by_box))
    assert read(ocr).text == text
    assert ocr.looks == 2


@pytest.mark.parametrize(("score_ratio", "region"), [(REGION_SCORE_RATIO, "US-OR"), (REGION_SCORE_RATIO - 0.01, None)])
def test_an_unsure_region_is_null(score_ratio, region):
    assert read(ScriptedOcr(("ABC123", 1.0), ("", 0.0), score_ratio)).region == region


def test_a_reading_says_which_frame_and_box_it_is_of():
    reading = read(ScriptedOcr(("ABC123", 1.0), ("", 0.0)))
    assert (reading.frame_number, reading.at_s, reading.box) == (3, 1.5, BOX)

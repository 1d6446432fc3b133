"""How detector and OCR play together, and what is left unanswered."""

import numpy as np
import pytest

from firmware.ocr import REGION_SCORE_RATIO, PlateReading
from firmware.recognition import PlateReader
from firmware.records import Box, Character

QUAD = ((10.0, 10.0), (90.0, 14.0), (90.0, 44.0), (10.0, 40.0))
BOX = Box(x_px=10, y_px=10, w_px=80, h_px=34, score_ratio=0.9, corners_px=QUAD)
PICTURE = np.zeros((100, 100, 3), np.uint8)


class ScriptedDetector:
    def detect(self, image):
        return [BOX]


class ScriptedOcr:
    """Says one thing of every plate."""

    def __init__(self, text, region_score_ratio=0.9):
        self.text, self.region_score_ratio = text, region_score_ratio

    def read(self, image, box):
        return PlateReading(
            characters=tuple(Character(char, 0.9) for char in self.text),
            score_ratio=0.9,
            alternatives=(),
            region="US-OR",
            region_score_ratio=self.region_score_ratio,
        )


def read(ocr):
    (reading,) = PlateReader(ScriptedDetector(), ocr, "test-1").read(PICTURE, frame_number=3, at_s=1.5)
    return reading


@pytest.mark.parametrize(("score_ratio", "region"), [(REGION_SCORE_RATIO, "US-OR"), (REGION_SCORE_RATIO - 0.01, None)])
def test_an_unsure_region_is_null(score_ratio, region):
    assert read(ScriptedOcr("ABC123", score_ratio)).region == region


def test_a_reading_says_which_frame_and_box_it_is_of():
    reading = read(ScriptedOcr("ABC123"))
    assert (reading.frame_number, reading.at_s, reading.box) == (3, 1.5, BOX)

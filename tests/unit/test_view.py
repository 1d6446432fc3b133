"""The page that shows what a simulated unit sees."""

import json

import cv2
import numpy as np
import pytest

from firmware.records import Box, Character, Reading
from hw_sim.view import WIDTH_PX, View

PICTURE = np.full((544, 728, 3), 60, np.uint8)


class Telling:
    """A recogniser that reads one plate, which moves, until it falls silent."""

    version = "made-1"

    def __init__(self):
        self.is_silent = False

    def read(self, image, *, frame_number, at_s):
        box = Box(x_px=200.0 + frame_number, y_px=300.0, w_px=130.0, h_px=65.0, score_ratio=0.9)
        reading = Reading(
            frame_number=frame_number,
            at_s=at_s,
            box=box,
            characters=tuple(Character(char, 0.99) for char in "7ABC123"),
            score_ratio=0.98,
            region="US-CA",
            region_score_ratio=0.9,
        )
        return [] if self.is_silent else [reading]


@pytest.fixture
def telling():
    return Telling()


@pytest.fixture
def view(telling, tmp_path):
    return View(telling, tmp_path / "view", reporting_score_ratio=0.5)


def state_of(view):
    text = (view.page.parent / "state.js").read_text()
    assert text.startswith("show(")
    assert text.endswith(")")
    return json.loads(text[5:-1])


def test_the_page_is_there_before_the_first_picture(view):
    assert "state.js" in view.page.read_text()
    assert state_of(view) == {"frame": 0, "at_s": 0.0, "reads": []}


def test_it_answers_as_the_recogniser_inside_and_marks_the_plate(view):
    readings = view.read(PICTURE, frame_number=1, at_s=10.0)
    assert (view.version, readings[0].text) == ("made-1", "7ABC123")
    shown = cv2.imread(str(view.page.parent / "picture.jpg"))
    assert shown.shape == (round(544 * WIDTH_PX / 728), WIDTH_PX, 3)
    scale = WIDTH_PX / 728
    edge = shown[round(332 * scale), round(201 * scale)].astype(int)
    assert edge[1] > edge[0] + 40
    assert abs(int(shown[10, 10, 0]) - 60) < 4


def test_a_passage_that_ended_is_listed_once_with_the_newest_first(view, telling):
    for number in range(1, 6):
        view.read(PICTURE, frame_number=number, at_s=10.0 + number / 30)
    telling.is_silent = True
    for number in range(6, 9):
        view.read(PICTURE, frame_number=number, at_s=10.0 + number)
    (read,) = state_of(view)["reads"]
    assert (read["plate"], read["region"], read["partial"], read["frames"]) == ("7ABC123", "US-CA", False, 5)


def test_an_empty_road_does_not_replace_a_plate_at_once(view, telling):
    view.read(PICTURE, frame_number=1, at_s=10.0)
    before = (view.page.parent / "picture.jpg").read_bytes()
    telling.is_silent = True
    view.read(PICTURE, frame_number=2, at_s=10.5)
    assert (view.page.parent / "picture.jpg").read_bytes() == before
    view.read(PICTURE, frame_number=3, at_s=13.0)
    assert (view.page.parent / "picture.jpg").read_bytes() != before
    assert list(view.page.parent.glob(".*")) == []

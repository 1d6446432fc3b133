"""Letterboxing and decoding, against the targets that the network is trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import detect
from firmware.detect import COLUMNS, HEIGHT_PX, ROWS, WIDTH_PX
from models.detect_targets import targets_of


@given(st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=30)
def test_letterbox_fits_any_picture_and_knows_the_way_back(width: int, height: int) -> None:
    canvas, fit = detect.letterbox(np.zeros((height, width, 3), np.uint8))
    assert canvas.shape == (HEIGHT_PX, WIDTH_PX, 3)
    corner = np.array([fit.left_px, fit.top_px], np.float32)
    assert fit.to_picture(corner).tolist() == [0, 0]
    far = fit.to_picture(corner + np.array([width, height], np.float32) * np.float32(fit.scale))
    assert far == pytest.approx([width, height], rel=1e-3)


def test_letterbox_keeps_the_picture_and_greys_the_rest() -> None:
    canvas, fit = detect.letterbox(np.full((720, 1280, 3), 255, np.uint8))
    assert fit.scale == pytest.approx(0.4)
    assert (canvas[48:336] == 255).all()
    assert (canvas[:48] == detect.FILL).all()
    assert (canvas[336:] == detect.FILL).all()


def maps_of(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the maps of a network that has learnt its targets perfectly."""
    targets = targets_of(quads, np.ones(len(quads), bool))
    boxes, corners = np.zeros((ROWS, COLUMNS, 4), np.float32), np.zeros((ROWS, COLUMNS, 8), np.float32)
    boxes[targets.cells[:, 0], targets.cells[:, 1]] = targets.boxes
    corners[targets.cells[:, 0], targets.cells[:, 1]] = targets.corners
    score = np.clip(targets.score[0], 1e-6, 1 - 1e-6)
    return np.log(score / (1 - score)), boxes, corners


@given(st.floats(60, 440), st.floats(60, 320), st.floats(14, 100), st.floats(0.2, 0.5), st.floats(-0.2, 0.2))
def test_decode_undoes_the_training_targets(x: float, y: float, w: float, aspect: float, tilt: float) -> None:
    half_w, half_h = w / 2, w * aspect / 2
    slope = tilt * half_w
    quad = np.array(
        [
            [x - half_w, y - half_h - slope],
            [x + half_w, y - half_h + slope],
            [x + half_w, y + half_h + slope],
            [x - half_w, y + half_h - slope],
        ],
        np.float32,
    )
    scores, boxes, corners = detect.decode(*maps_of(quad[None]), 0.5)
    assert len(scores) == 1
    assert boxes[0] == pytest.approx([*quad.min(axis=0), *np.ptp(quad, axis=0)], abs=0.05)
    assert corners[0] == pytest.approx(quad, abs=0.05)


def test_decode_keeps_two_plates_and_drops_the_double() -> None:
    first = np.array([[100, 100], [180, 100], [180, 130], [100, 130]], np.float32)
    quads = np.stack([first, first + np.float32([150, 60]), first + np.float32([4, 2])])
    scores, boxes, _ = detect.decode(*maps_of(quads), 0.5)
    assert len(scores) == 2
    assert sorted(round(float(x) / 50) for x in boxes[:, 0]) == [2, 5]


def test_decode_drops_the_writing_on_a_plate() -> None:
    plate = np.array([[100, 100], [300, 100], [300, 200], [100, 200]], np.float32)
    writing = np.array([[170, 102], [230, 102], [230, 116], [170, 116]], np.float32)
    logits, boxes, corners = maps_of(np.stack([plate, writing]))
    logits[:15] -= 10  # the plate scores higher
    scores, found, _ = detect.decode(logits, boxes, corners, 0.5)
    assert len(scores) == 1
    assert found[0] == pytest.approx([100, 100, 200, 100], abs=0.1)


def test_decode_of_an_empty_road_is_empty() -> None:
    nothing = np.full((ROWS, COLUMNS), -8, np.float32)
    zeros = np.zeros((ROWS, COLUMNS, 8), np.float32)
    scores, boxes, corners = detect.decode(nothing, zeros[..., :4], zeros, 0.4)
    assert (len(scores), boxes.shape, corners.shape) == (0, (0, 4), (0, 4, 2))


@given(st.tuples(*[st.floats(1, 100)] * 8))
def test_overlap_is_symmetric_and_whole_only_for_itself(numbers: tuple[float, ...]) -> None:
    a, b = np.array([numbers[:4]], np.float32), np.array([numbers[4:]], np.float32)
    assert detect.overlap(a, b)[0, 0] == pytest.approx(detect.overlap(b, a)[0, 0], abs=1e-5)
    assert detect.overlap(a, a)[0, 0] == pytest.approx(1, abs=1e-4)
    assert 0 <= detect.overlap(a, b)[0, 0] <= 1.0001


def test_nothing_is_asked_in_a_doubtful_area_but_beside_a_plate() -> None:
    plate = np.array([[100, 100], [180, 100], [180, 130], [100, 130]], np.float32)
    far, near = plate + np.float32([200, 150]), plate + np.float32([30, 0])
    targets = targets_of(plate[None], np.ones(1, bool), np.stack([far, near]))
    assert not targets.asked[0, 250 // 8 + 2 : 275 // 8, 300 // 8 + 1 : 375 // 8].any()
    assert targets.asked[0, 115 // 8, 140 // 8] == 1
    assert targets.asked.mean() > 0.9


@pytest.mark.parametrize("shift", [(-60, 0), (-120, -90)])
def test_a_plate_mostly_out_of_sight_is_neither_asked_for_nor_false(shift: tuple[int, int]) -> None:
    plate = np.array([[5, 5], [85, 5], [85, 35], [5, 35]], np.float32) + np.float32(shift)
    targets = targets_of(plate[None], np.ones(1, bool))
    assert len(targets.cells) == 0
    assert not targets.score.any()
    assert targets.asked[0, 1, 1] == (0 if shift == (-60, 0) else 1)

"""Training pictures for the detector: plates stay where they are drawn, and what is cut is not asked for."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data import Row
from models.detect_laying import framed, lay_plate, new_corners
from models.detect_scenes import Scene, SceneSource, load_scenes, warp

RED = (0, 0, 255)


def scene_with_red_plate() -> Scene:
    """Return a black picture whose only red is its plate."""
    image = np.zeros((300, 400, 3), np.uint8)
    image[120:150, 150:240] = RED
    corners = np.array([[150, 120], [240, 120], [240, 150], [150, 150]], np.float32)
    doubtful = np.array([[10, 10], [60, 10], [60, 30], [10, 30]], np.float32)
    return Scene(image=image, corners_px=corners[None], cornered=np.array([False]), doubtful_px=doubtful[None])


@pytest.mark.parametrize("seed", range(8))
def test_plates_go_along_when_the_picture_is_turned(seed: int) -> None:
    turned = warp(scene_with_red_plate(), 512, 384, np.random.default_rng(seed))
    low, high = turned.corners_px[0].min(axis=0), turned.corners_px[0].max(axis=0)
    rows, columns = np.nonzero((turned.image[..., 2] > 128) & (turned.image[..., 0] < 64))
    if (low >= 0).all() and (high <= (512, 384)).all():
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx([*low, *high], abs=3)
    assert turned.doubtful_px.shape == (1, 4, 2)


def test_drawn_pictures_have_the_networks_size_and_one_corner_flag_a_plate() -> None:
    plates = [np.full((60, 120, 3), 200, np.uint8)]
    source = SceneSource([scene_with_red_plate()], [scene_with_red_plate()], plates, 3)
    for _ in range(12):
        drawn = source.picture()
        assert drawn.image.shape == (384, 512, 3)
        assert drawn.corners_px.shape == (len(drawn.cornered), 4, 2)


def test_a_frame_surrounds_the_plate_and_leaves_it_in_place() -> None:
    rng = np.random.default_rng(1)
    plate = np.full((60, 120, 3), RED, np.uint8)
    corners = new_corners(np.array([100, 100, 120, 60], np.float32), rng, 2.0)
    wider, outer = framed(plate, corners, rng)
    assert (outer.min(axis=0) <= corners.min(axis=0)).all()
    assert (outer.max(axis=0) >= corners.max(axis=0)).all()
    image = np.full((300, 400, 3), 128, np.uint8)
    lay_plate(image, wider, outer, rng)
    x, y = corners.mean(axis=0).astype(int)
    assert image[y, x, 2] > image[y, x, 0] + 50


def row(kind: str, box: tuple[float, float, float, float] | None) -> Row:
    """Return a row of the picture `a.png`."""
    return Row(set="cars", split="train", kind=kind, image="a.png", box_px=box, text="", region="", flags="")


def test_doubtful_rows_become_areas_and_empty_pictures_stay(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    (marked,) = load_scenes(tmp_path, [row("plate", (1, 2, 10, 5)), row("doubtful", (20, 20, 9, 4))], "train")
    assert (len(marked.corners_px), len(marked.doubtful_px)) == (1, 1)
    assert marked.doubtful_px[0, 0].tolist() == [20, 20]
    (empty,) = load_scenes(tmp_path, [row("empty", None)], "train")
    assert (len(empty.corners_px), len(empty.doubtful_px)) == (0, 0)
    assert load_scenes(tmp_path, [row("vehicle", (1, 2, 10, 5))], "train") == []

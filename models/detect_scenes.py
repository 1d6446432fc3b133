"""Training pictures for the detector: photographs with plate boxes, turned about, with more plates laid into them."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.detect import FILL, HEIGHT_PX, WIDTH_PX
from firmware.ocr import corners_of_box
from firmware.records import Image
from models import degrade
from models.data import CROP_SETS, Row, corners_of_row, read_image
from models.detect_laying import framed, lay_plate, new_corners, write

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

NO_AREAS = np.zeros((0, 4, 2), np.float32)
ASIDE_RATIO = 0.2  # of the pictures come from the second list
FOUR_RATIO = 0.25  # of the pictures are made of four


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture with its plates: corners (N, 4, 2) in pixels, and which of them are real corners and not just a box.

    In the areas `doubtful_px` (M, 4, 2) there may be a plate or not: nothing is asked there.
    """

    image: Image
    corners_px: Float
    cornered: npt.NDArray[np.bool_]
    doubtful_px: Float = field(default_factory=NO_AREAS.copy)


def load_scenes(root: Path, rows: list[Row], split: str) -> list[Scene]:
    """Return the pictures of a split that have plate boxes or are known to show none, at most 1024 px wide."""
    by_image: dict[str, list[Row]] = {}
    for row in rows:
        if row.split != split or row.set in CROP_SETS:
            continue
        if row.kind == "empty" or (row.kind in ("plate", "doubtful") and row.box_px):
            by_image.setdefault(row.image, []).append(row)
    return [_scene(read_image(root / name), marked) for name, marked in by_image.items()]


def _scene(image: Image, rows: list[Row]) -> Scene:
    quads = [corners_of_row(row, image) for row in rows]
    scale = min(1.0, 1024 / image.shape[1])
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    plates = [place for place, row in enumerate(rows) if row.kind == "plate"]
    doubtful = [place for place, row in enumerate(rows) if row.kind == "doubtful"]
    scaled = np.array([quad for quad, _ in quads], np.float32).reshape(-1, 4, 2) * np.float32(scale)
    cornered = np.array([is_labelled for _, is_labelled in quads], bool)
    return Scene(image=image, corners_px=scaled[plates], cornered=cornered[plates], doubtful_px=scaled[doubtful])


def load_plates(root: Path, rows: list[Row]) -> list[Image]:
    """Return the bare plate pictures of the training split, to be laid into scenes."""
    return [
        read_image(root / row.image) for row in rows if row.split == "train" and row.set in ("us_plates", "eu_crops")
    ]


class SceneSource:
    """Draws training pictures for ever, from one seed: `scenes` in turn, every fifth or so from `aside`."""

    def __init__(self, scenes: list[Scene], aside: list[Scene], plates: list[Image], seed: int) -> None:
        self._scenes, self._aside, self._plates = scenes, aside, plates
        self._rng = np.random.default_rng(seed)
        self._order: list[int] = []

    def picture(self) -> Scene:
        """Return one augmented input, 512 x 384, with its plates and its doubtful areas in input pixels."""
        rng = self._rng
        scene = self._of_four() if rng.random() < FOUR_RATIO else self._one(WIDTH_PX, HEIGHT_PX)
        image, corners, doubtful = scene.image, scene.corners_px, scene.doubtful_px
        if rng.random() < 0.08:
            write(image, rng)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            corners, doubtful = (_mirrored(quads) for quads in (corners, doubtful))
        if rng.random() < 0.6:
            image = degrade.road_camera(image, rng, strength=0.35)
        return Scene(image=image, corners_px=corners, cornered=scene.cornered, doubtful_px=doubtful)

    def _next(self) -> Scene:
        if self._aside and self._rng.random() < ASIDE_RATIO:
            return self._aside[int(self._rng.integers(len(self._aside)))]
        if not self._order:
            self._order = list(self._rng.permutation(len(self._scenes)))
        return self._scenes[self._order.pop()]

    def _one(self, width: int, height: int) -> Scene:
        """Return a photograph turned about into a picture of this size."""
        scene = self._next()
        if self._rng.random() < 0.5:
            scene = self._with_more_plates(scene)
        return warp(scene, width, height, self._rng)

    def _of_four(self) -> Scene:
        """Return four photographs side by side: small plates, and much that is no plate."""
        column, row = (round(float(self._rng.uniform(0.35, 0.65)) * size) for size in (WIDTH_PX, HEIGHT_PX))
        canvas = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        parts = []
        for left, right in ((0, column), (column, WIDTH_PX)):
            for top, bottom in ((0, row), (row, HEIGHT_PX)):
                part = self._one(right - left, bottom - top)
                canvas[top:bottom, left:right] = part.image
                parts.append(_moved(_uncut(part), np.array([left, top], np.float32)))
        return Scene(
            image=canvas,
            corners_px=np.concatenate([part.corners_px for part in parts]),
            cornered=np.concatenate([part.cornered for part in parts]),
            doubtful_px=np.concatenate([part.doubtful_px for part in parts]),
        )

    def _with_more_plates(self, scene: Scene) -> Scene:
        """Replace labelled plates by others, and now and then lay one elsewhere."""
        rng, image = self._rng, scene.image.copy()
        corners, cornered = scene.corners_px.copy(), scene.cornered.copy()
        for place, quad in enumerate(corners):
            low, size = quad.min(axis=0), np.ptp(quad, axis=0)
            if rng.random() < 0.6 and size[0] > 16:
                plate = self._plate()
                fresh = new_corners(np.array([*low, *size], np.float32), rng, plate.shape[1] / plate.shape[0])
                fresh = fresh.mean(axis=0) + (fresh - fresh.mean(axis=0)) * 1.12  # cover the old one
                if (np.ptp(fresh, axis=0) > 0.9 * size).all():
                    self._lay(image, plate, fresh)
                    corners[place], cornered[place] = fresh, True
        if rng.random() < 0.25:
            plate = self._plate()
            w = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))) * image.shape[1]
            room = np.maximum(1, (image.shape[1] - w, image.shape[0] - w / 2))
            where = np.array([*rng.uniform(0, room), w, w / 2], np.float32)
            fresh = new_corners(where, rng, plate.shape[1] / plate.shape[0])
            inside = (fresh.min(axis=0) > 0).all() and (fresh.max(axis=0) < (image.shape[1], image.shape[0])).all()
            if inside and not _touches(fresh, np.concatenate([corners, scene.doubtful_px])):
                self._lay(image, plate, fresh)
                corners, cornered = np.concatenate([corners, fresh[None]]), np.append(cornered, True)
        return Scene(image=image, corners_px=corners, cornered=cornered, doubtful_px=scene.doubtful_px)

    def _plate(self) -> Image:
        return self._plates[int(self._rng.integers(len(self._plates)))]

    def _lay(self, image: Image, plate: Image, corners: Float) -> None:
        if self._rng.random() < 0.25:
            plate, corners = framed(plate, corners, self._rng)
        lay_plate(image, plate, corners, self._rng)


def _touches(quad: Float, others: Float) -> bool:
    """Return whether a plate at `quad` (4, 2) would stand in or beside one of `others` (N, 4, 2)."""
    apart = np.abs(quad.mean(axis=0) - others.mean(axis=1))
    return bool((apart < 0.7 * (np.ptp(quad, axis=0) + np.ptp(others, axis=1))).all(axis=1).any())


def _mirrored(quads: Float) -> Float:
    return np.asarray((quads * (-1, 1) + (WIDTH_PX, 0))[:, [1, 0, 3, 2]], np.float32)


def _moved(scene: Scene, shift: Float) -> Scene:
    return Scene(
        image=scene.image,
        corners_px=scene.corners_px + shift,
        cornered=scene.cornered,
        doubtful_px=scene.doubtful_px + shift,
    )


def _uncut(scene: Scene) -> Scene:
    """Return the scene without the plates that its edge cuts: these are doubtful, as far as they are in view."""
    size = np.array([scene.image.shape[1], scene.image.shape[0]], np.float32)
    whole = ((scene.corners_px >= 0) & (scene.corners_px <= size)).all(axis=(1, 2))
    partial = np.concatenate([scene.corners_px[~whole], scene.doubtful_px])
    low, high = np.clip(partial.min(axis=1), 0, size), np.clip(partial.max(axis=1), 0, size)
    seen = (high - low > 1).all(axis=1)
    areas = [corners_of_box(*box) for box in np.concatenate([low, high - low], axis=1)[seen]]
    return Scene(
        image=scene.image,
        corners_px=scene.corners_px[whole],
        cornered=scene.cornered[whole],
        doubtful_px=np.array(areas, np.float32).reshape(-1, 4, 2),
    )


def warp(scene: Scene, width_px: int, height_px: int, rng: Rng) -> Scene:
    """Scale, shift, turn and stretch a picture into one of this size; the plates go along."""
    image, corners = scene.image, scene.corners_px
    height, width = image.shape[:2]
    fit = min(width_px / width, height_px / height)
    smallest = 0.45 if width_px == WIDTH_PX else 0.8  # a quarter of the input is small enough
    draw = rng.normal(0, 0.12) if rng.random() < 0.5 else rng.uniform(np.log(smallest), np.log(2.0))
    zoom = float(np.exp(draw)) * fit
    stretch = float(np.exp(rng.normal(0, 0.12)))
    turn = np.deg2rad(rng.normal(0, 3))
    matrix = np.array([[np.cos(turn) * stretch, -np.sin(turn)], [np.sin(turn) * stretch, np.cos(turn)]]) * zoom
    middle = np.array([width / 2, height / 2])
    if zoom > 1.3 * fit and len(corners):  # zoomed in: keep a plate in view
        middle = corners[int(rng.integers(len(corners)))].mean(axis=0)
    room = np.array([width_px, height_px])
    slack = np.abs(room - np.array([width, height]) * zoom) / 2
    shift = room / 2 - matrix @ middle + rng.uniform(-1, 1, 2) * np.minimum(slack + 0.03 * room, 0.3 * room)
    reduced = max(1.0, 2.0 ** np.floor(np.log2(1 / zoom)))
    if reduced > 1:
        image = np.asarray(
            cv2.resize(image, (int(width / reduced), int(height / reduced)), interpolation=cv2.INTER_AREA)
        )
    if zoom * reduced < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / (zoom * reduced)), np.uint8)
    affine = np.hstack([matrix * reduced, shift[:, None]])
    out = cv2.warpAffine(image, affine, (width_px, height_px), flags=cv2.INTER_LINEAR, borderValue=(float(FILL),) * 3)
    return Scene(
        image=np.asarray(out, np.uint8),
        corners_px=(corners @ matrix.T + shift).astype(np.float32),
        cornered=scene.cornered,
        doubtful_px=(scene.doubtful_px @ matrix.T + shift).astype(np.float32),
    )

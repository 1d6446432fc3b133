"""Training pictures for the detector: photographs with plate boxes, turned about, with more plates laid into them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.detect import COLUMNS, HEIGHT_PX, ROWS, STRIDE_PX, WIDTH_PX
from firmware.ocr import corners_of_box
from firmware.records import Image
from models import degrade
from models.data import CROP_SETS, Row, corners_of_row, read_image

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

SMALLEST_PX = 5.0  # a plate narrower than this in the network's input is not asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture with its plates: corners (N, 4, 2) in pixels, and which of them are real corners and not just a box."""

    image: Image
    corners_px: Float
    cornered: npt.NDArray[np.bool_]


def load_scenes(root: Path, rows: list[Row], split: str) -> list[Scene]:
    """Return the pictures of a split that have plate boxes, at most 1024 px wide."""
    by_image: dict[str, list[Row]] = {}
    for row in rows:
        if row.split == split and row.kind == "plate" and row.set not in CROP_SETS and row.box_px:
            by_image.setdefault(row.image, []).append(row)
    scenes = []
    for name, plates in by_image.items():
        image = read_image(root / name)
        corners, cornered = [], []
        for row in plates:
            quad, is_labelled = corners_of_row(row, image)
            corners.append(quad)
            cornered.append(is_labelled)
        scale = min(1.0, 1024 / image.shape[1])
        if scale < 1:
            image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        scenes.append(
            Scene(
                image=image, corners_px=np.array(corners, np.float32) * np.float32(scale), cornered=np.array(cornered)
            )
        )
    return scenes


def load_plates(root: Path, rows: list[Row]) -> list[Image]:
    """Return the bare plate pictures of the training split, to be laid into scenes."""
    return [
        read_image(root / row.image) for row in rows if row.split == "train" and row.set in ("us_plates", "eu_crops")
    ]


def lay_plate(image: Image, plate: Image, corners: Float, rng: Rng) -> None:
    """Draw `plate` into `image` at `corners` (4, 2), in the light of what was there, edges softened."""
    low = np.maximum(0, np.floor(corners.min(axis=0)).astype(int) - 2)
    high = np.minimum((image.shape[1], image.shape[0]), np.ceil(corners.max(axis=0)).astype(int) + 2)
    if (high - low < 4).any():
        return
    patch = image[low[1] : high[1], low[0] : high[0]]
    width = float(np.ptp(corners[:, 0]))
    scale = min(1.0, 1.3 * width / plate.shape[1])
    plate = np.asarray(cv2.resize(plate, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    light = float(patch.mean()) / 128
    gain = np.clip(rng.normal(0.35 + 0.65 * light, 0.15), 0.15, 1.3)
    lit = np.clip(plate * gain + rng.normal(0, 6), 0, 255).astype(np.uint8)
    source = corners_of_box(0, 0, plate.shape[1], plate.shape[0])
    transform = cv2.getPerspectiveTransform(source, (corners - low).astype(np.float32))
    size = (patch.shape[1], patch.shape[0])
    laid = cv2.warpPerspective(lit, transform, size)
    mask = cv2.warpPerspective(np.full(plate.shape[:2], 255, np.uint8), transform, size)
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 0.9)).astype(np.float32)[..., None] / 255
    patch[:] = (laid * mask + patch * (1 - mask)).astype(np.uint8)


def new_corners(box: Float, rng: Rng, aspect: float) -> Float:
    """Return corners (4, 2) of a plate of this aspect about where the box x, y, w, h is, tilted as on the road."""
    x, y, w, h = box
    half = np.array([w, w / aspect], np.float32) / 2
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * half
    turn, shear = np.deg2rad(rng.normal(0, 5)), rng.normal(0, 0.12)
    squeeze = rng.uniform(0.7, 1.0)
    matrix = np.array(
        [[np.cos(turn) * squeeze, -np.sin(turn)], [np.sin(turn) * squeeze + shear * squeeze, np.cos(turn)]]
    )
    taper = 1 + rng.normal(0, 0.05)
    unit[1:3, 1] *= taper
    return (unit @ matrix.T + (x + w / 2, y + h / 2)).astype(np.float32)


class SceneSource:
    """Draws training batches for ever, from one seed."""

    def __init__(self, scenes: list[Scene], plates: list[Image], seed: int) -> None:
        self._scenes, self._plates = scenes, plates
        self._rng = np.random.default_rng(seed)
        self._order: list[int] = []

    def picture(self) -> tuple[Image, Float, npt.NDArray[np.bool_]]:
        """Return one augmented input uint8 (384, 512, 3), its corners (N, 4, 2) and which of them are real corners."""
        rng = self._rng
        if not self._order:
            self._order = list(rng.permutation(len(self._scenes)))
        scene = self._scenes[self._order.pop()]
        image, corners, cornered = scene.image, scene.corners_px.copy(), scene.cornered.copy()
        if rng.random() < 0.5:
            image = image.copy()
            corners, cornered = self._with_more_plates(image, corners, cornered)
        image, corners = warp(image, corners, rng)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            corners = corners * (-1, 1) + (WIDTH_PX, 0)
            corners = corners[:, [1, 0, 3, 2]]
        if rng.random() < 0.6:
            image = degrade.road_camera(image, rng, strength=0.35)
        return image, corners.astype(np.float32), cornered

    def _with_more_plates(
        self, image: Image, corners: Float, cornered: npt.NDArray[np.bool_]
    ) -> tuple[Float, npt.NDArray[np.bool_]]:
        """Replace labelled plates by others, and now and then lay one elsewhere."""
        rng = self._rng
        for place, quad in enumerate(corners):
            low, size = quad.min(axis=0), np.ptp(quad, axis=0)
            if rng.random() < 0.6 and size[0] > 16:
                plate = self._plates[int(rng.integers(len(self._plates)))]
                fresh = new_corners(np.array([*low, *size], np.float32), rng, plate.shape[1] / plate.shape[0])
                fresh = fresh.mean(axis=0) + (fresh - fresh.mean(axis=0)) * 1.12  # cover the old one
                if (np.ptp(fresh, axis=0) > 0.9 * size).all():
                    lay_plate(image, plate, fresh, rng)
                    corners[place], cornered[place] = fresh, True
        if rng.random() < 0.4:
            plate = self._plates[int(rng.integers(len(self._plates)))]
            w = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))) * image.shape[1]
            where = np.array(
                [rng.uniform(0, image.shape[1] - w), rng.uniform(0, image.shape[0] - w / 2), w, w / 2], np.float32
            )
            fresh = new_corners(where, rng, plate.shape[1] / plate.shape[0])
            near = [
                (
                    np.abs(fresh.mean(axis=0) - quad.mean(axis=0))
                    < 0.7 * (np.ptp(fresh, axis=0) + np.ptp(quad, axis=0))
                ).all()
                for quad in corners
            ]
            inside = (fresh.min(axis=0) > 0).all() and (fresh.max(axis=0) < (image.shape[1], image.shape[0])).all()
            if inside and not any(near):
                lay_plate(image, plate, fresh, rng)
                return np.concatenate([corners, fresh[None]]), np.append(cornered, True)
        return corners, cornered


def warp(image: Image, corners: Float, rng: Rng) -> tuple[Image, Float]:
    """Scale, shift, turn and stretch a picture into the network's input; the plates go along."""
    height, width = image.shape[:2]
    fit = min(WIDTH_PX / width, HEIGHT_PX / height)
    zoom = float(np.exp(rng.normal(0, 0.12) if rng.random() < 0.5 else rng.uniform(np.log(0.55), np.log(2.0)))) * fit
    stretch = float(np.exp(rng.normal(0, 0.12)))
    turn = np.deg2rad(rng.normal(0, 3))
    matrix = np.array([[np.cos(turn) * stretch, -np.sin(turn)], [np.sin(turn) * stretch, np.cos(turn)]]) * zoom
    middle = np.array([width / 2, height / 2])
    if zoom > 1.3 * fit and len(corners):  # zoomed in: keep a plate in view
        middle = corners[int(rng.integers(len(corners)))].mean(axis=0)
    room = np.array([WIDTH_PX, HEIGHT_PX])
    slack = np.abs(room - np.array([width, height]) * zoom) / 2
    shift = room / 2 - matrix @ middle + rng.uniform(-1, 1, 2) * np.minimum(slack + 0.03 * room, 0.3 * room)
    if zoom < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / zoom), np.uint8)
    affine = np.hstack([matrix, shift[:, None]])
    fill = (114.0, 114.0, 114.0)
    out = cv2.warpAffine(image, affine, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR, borderValue=fill)
    return np.asarray(out, np.uint8), (corners @ matrix.T + shift).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the network should answer: score (1, 48, 64), and for N cells their index and box, corners and weights."""

    score: Float
    cells: npt.NDArray[np.int64]  # (N, 2) row, column
    boxes: Float  # (N, 4)
    corners: Float  # (N, 8)
    weights: Float  # (N,)
    cornered: Float  # (N,) 1 where the corners are known


def targets_of(corners: Float, cornered: npt.NDArray[np.bool_]) -> Targets:
    """Return the targets of one input picture with plates at `corners` (N, 4, 2) in input pixels."""
    score = np.zeros((ROWS, COLUMNS), np.float32)
    cells, boxes, places, weights, known = [], [], [], [], []
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32) + 0.5
    for quad, has_corners in zip(corners, cornered, strict=True):
        low, high = quad.min(axis=0), quad.max(axis=0)
        clipped_low, clipped_high = np.maximum(low, 0), np.minimum(high, (WIDTH_PX, HEIGHT_PX))
        if ((clipped_high - clipped_low) < 0.6 * (high - low)).any() or high[0] - low[0] < SMALLEST_PX:
            continue  # mostly out of sight, or too small to ask for
        cut = (clipped_low != low).any() or (clipped_high != high).any()
        (w, h), (x, y) = (clipped_high - clipped_low) / STRIDE_PX, (clipped_high + clipped_low) / 2 / STRIDE_PX
        sigma_x, sigma_y = max(0.45, w / 8), max(0.45, h / 8)
        heat = np.exp(-((columns - x) ** 2) / (2 * sigma_x**2) - (rows - y) ** 2 / (2 * sigma_y**2))
        column, row = min(COLUMNS - 1, int(x)), min(ROWS - 1, int(y))
        np.maximum(score, heat, out=score)
        score[row, column] = 1.0
        near = np.argwhere(heat > 0.4)
        near = near if len(near) else np.array([[row, column]])
        for r, c in near:
            cells.append((r, c))
            boxes.append((x - c - 0.5, y - r - 0.5, np.log(w), np.log(h)))
            places.append(((quad - clipped_low) / (clipped_high - clipped_low) - corners_of_box(0, 0, 1, 1)).reshape(8))
            weights.append(heat[r, c] / len(near) ** 0.5)
            known.append(float(has_corners and not cut))
    return Targets(
        score=score[None],
        cells=np.array(cells, np.int64).reshape(-1, 2),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        corners=np.array(places, np.float32).reshape(-1, 8),
        weights=np.array(weights, np.float32),
        cornered=np.array(known, np.float32),
    )

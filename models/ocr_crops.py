"""Training crops for the OCR: photographs with text and rendered plates, cut as the device cuts them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.ocr import ALPHABET, HEIGHT_PX, WIDTH_PX, corners_of_box, normalise, rectify
from firmware.records import Image
from models import degrade, rendered
from models.data import CROP_SETS, DataMissing, Row, corners_of_row, read_image, region_index, text_rows
from models.relettered import Lettering, is_long
from models.signs import with_sign_beside

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

SHARES = {
    "us_plates": 0.17,
    "us_stacked": 0.08,
    "relettered_us": 0.34,
    "relettered_eu": 0.10,
    "eu_crops": 0.09,
    "br_gate": 0.03,
    "scenes": 0.15,
    "rendered": 0.04,
}
"""How often a training crop comes from where. What has no crops leaves its share to the others."""

RENDERED_KEPT = 4000  # drawing a plate costs more than a training step on it, so each is used a few times
RENDERED_FRESH_RATIO = 0.15
RENDERED_FIRST = 200

SIGN_BESIDE_RATIO = 0.2  # of the bare plates of one line

STORED_LIMIT_PX = 448  # nothing that trains the OCR needs a wider plate in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture with the plate's corners (4, 2) in it, its text and its region's index (-1: unknown)."""

    image: Image
    corners_px: Float
    text: str
    region: int
    worn: bool  # seen by a camera in the street already, so that little need be done to it


def load_sample(root: Path, row: Row) -> Sample:
    """Return a row as a sample: the plate with 40 % of its size around it, at most 448 px wide. Raises DataMissing."""
    image = read_image(root / row.image)
    corners, _ = corners_of_row(row, image)
    left, top = np.maximum(0, corners.min(axis=0) - 0.4 * np.ptp(corners, axis=0)).astype(int)
    right, bottom = (corners.max(axis=0) + 0.4 * np.ptp(corners, axis=0)).astype(int) + 1
    image, corners = image[top:bottom, left:right], corners - (left, top)
    scale = min(1.0, STORED_LIMIT_PX / max(1.0, float(np.ptp(corners[:, 0]))))
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image, corners = cv2.resize(image, size, interpolation=cv2.INTER_AREA), corners * scale
    return Sample(
        image=np.ascontiguousarray(image),
        corners_px=corners.astype(np.float32),
        text=row.text,
        region=region_index(row.region),
        worn=row.set == "br_gate" or row.set not in CROP_SETS,
    )


def load_samples(root: Path, rows: list[Row], split: str) -> dict[str, list[Sample]]:
    """Return the samples of a split by source: the crop sets by name, all scene sets under "scenes"."""
    samples: dict[str, list[Sample]] = {}
    for row in text_rows(rows, split):
        if row.box_px and (row.box_px[2] < 24 or row.box_px[3] < 8):
            continue  # nobody could have read that
        name = row.set if row.set in CROP_SETS else "scenes"
        name = "us_stacked" if row.flags == "stacked" else name  # the hardest of all: drawn more often
        try:
            samples.setdefault(name, []).append(load_sample(root, row))
        except DataMissing as error:
            print(f"left out: {error}")
    return samples


def augmented(sample: Sample, rng: Rng) -> Image:
    """Return one training crop uint8 (64, 160, 3) BGR: seen from a distance, at an angle, through a bad day."""
    image, corners = sample.image, sample.corners_px
    # A bare plate: there is nothing around it, so put something there.
    whole = float(np.ptp(corners[:, 0])) >= image.shape[1] - 1
    if whole and is_long(image) and rng.random() < SIGN_BESIDE_RATIO:
        image, corners = with_sign_beside(image, rng)
    width, height = (float(extent) for extent in np.ptp(corners, axis=0))
    seen_px = min(width, float(np.exp(rng.uniform(np.log(100 if sample.worn else 52), np.log(230)))))
    if whole:
        pad = int(0.12 * width)
        fill = tuple(float(c) for c in rng.integers(0, 200, 3))
        mode = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
        image = cv2.copyMakeBorder(image, pad, pad, pad, pad, mode, value=fill)
        corners = corners + pad
    scale = seen_px / width
    target = (corners - corners.mean(axis=0)) * scale
    target += rng.normal(0, 0.02, (4, 2)) * (width * scale, height * scale) * rng.choice((0.2, 1.0, 1.8))
    turn = np.deg2rad(rng.normal(0, 3))
    shear = rng.normal(0, 0.06)
    matrix = np.array([[np.cos(turn), -np.sin(turn) + shear], [np.sin(turn), np.cos(turn)]])
    target = (target @ matrix.T).astype(np.float32)
    margin = 0.15 * np.ptp(target, axis=0)
    target += margin - target.min(axis=0)
    size = np.ceil(target.max(axis=0) + margin).astype(int)
    interpolation = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
    if scale < 0.7:  # warpPerspective aliases when it shrinks
        image = cv2.resize(image, None, fx=scale * 1.25, fy=scale * 1.25, interpolation=interpolation)
        corners = corners * (scale * 1.25)
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    seen = cv2.warpPerspective(image, transform, (int(size[0]), int(size[1])), borderMode=cv2.BORDER_REPLICATE)
    strength = float(np.clip(seen_px / 140, 0.45, 1.3)) if rng.random() < 0.7 else 0.15
    seen = degrade.road_camera(seen, rng, strength=strength * (0.4 if sample.worn else 1.0))
    return rectify(seen, detected(target, rng))


def detected(corners: Float, rng: Rng) -> Float:
    """Return the corners as a detector might answer them: near the true ones, or the upright box around them."""
    size = np.ptp(corners, axis=0)
    if rng.random() < 0.4:
        low, high = corners.min(axis=0), corners.max(axis=0)
        corners = corners_of_box(low[0], low[1], high[0] - low[0], high[1] - low[1])
    off = rng.choice((1.0, 2.0))  # a small or a tilted plate's box is off by more, and more in height than in width
    shift = rng.normal(0, (0.015 * off, 0.02 * off))
    grow = 1 + rng.normal(0.01, (0.03 * off, 0.045 * off))
    middle = corners.mean(axis=0)
    moved = middle + (corners - middle) * grow + shift * size + rng.normal(0, 0.01, (4, 2)) * size
    return moved.astype(np.float32)


def encode_text(text: str) -> list[int]:
    """Return the text as class indices."""
    return [ALPHABET.index(char) for char in text]


class CropSource:
    """Draws training batches by SHARES, for ever, from one seed."""

    def __init__(self, samples: dict[str, list[Sample]], seed: int) -> None:
        self._samples = samples
        self._rng = np.random.default_rng(seed)
        self._drawn: list[Sample] = []
        self._share_out({})

    def _share_out(self, lettering: dict[str, Lettering]) -> None:
        self._lettering = lettering
        endless = {"rendered", *lettering}
        self._names = [name for name in SHARES if self._samples.get(name) or name in endless]
        shares = np.array([SHARES[name] for name in self._names])
        self._shares = shares / shares.sum()

    def take(self, lettering: dict[str, Lettering]) -> None:
        """From now on draw relettered plates too, each kind for the share of its name."""
        self._share_out({name: kind for name, kind in lettering.items() if len(kind)})

    def _sample(self) -> Sample:
        name = self._names[int(self._rng.choice(len(self._names), p=self._shares))]
        if name in self._lettering:
            image, text, region = self._lettering[name].plate(self._rng)
            corners = corners_of_box(0, 0, image.shape[1], image.shape[0])
            return Sample(image=image, corners_px=corners, text=text, region=region, worn=False)
        if name != "rendered":
            return self._samples[name][int(self._rng.integers(len(self._samples[name])))]
        if len(self._drawn) < RENDERED_FIRST or self._rng.random() < RENDERED_FRESH_RATIO:
            image, text = rendered.render(self._rng)
            corners = corners_of_box(0, 0, image.shape[1], image.shape[0])
            sample = Sample(image=image, corners_px=corners, text=text, region=-1, worn=False)
            if len(self._drawn) < RENDERED_KEPT:
                self._drawn.append(sample)
            else:
                self._drawn[int(self._rng.integers(RENDERED_KEPT))] = sample
            return sample
        return self._drawn[int(self._rng.integers(len(self._drawn)))]

    def batch(self, count: int) -> tuple[Float, list[list[int]], npt.NDArray[np.int64]]:
        """Return images float32 (count, 3, 64, 160), texts as class indices, and region indices (-1: unknown)."""
        images = np.empty((count, HEIGHT_PX, WIDTH_PX, 3), np.float32)
        texts, regions = [], np.empty(count, np.int64)
        for place in range(count):
            sample = self._sample()
            images[place] = normalise(augmented(sample, self._rng))
            texts.append(encode_text(sample.text))
            regions[place] = sample.region
        return images.transpose(0, 3, 1, 2), texts, regions

"""The frozen degraded set: `python -m models.degraded_set CSV --root DIR --out DIR` makes it from the val crops.

With `--views N` each plate is seen N times while it drives away, in one light and with noise, motion and place on the
pixel grid of its own in each picture: what a unit votes over.

Each crop is brought to the 60 to 90 px that a plate has on a road camera's picture, and suffers one or two of what
happens there. It is a measure and no training: nothing here is shared with models.degrade. What a crop suffers depends
on its name and the seed alone, and everything but the codecs is double precision with a random stream that NumPy keeps
(RandomState; NEP 19), so the set comes out the same on any machine; the digest over all pixels proves it.

Light is what adds up in the lens, on the moving sensor and in its pixels: both blurs and the sampling work on linear
light, and shot noise grows with its square root. Widths, paths and sigmas are in pixels of the picture that comes out.
"""

import argparse
import csv
import hashlib
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image
from models.data import DataMissing, Row, load_rows, read_image, refuse_versioned

SEED = 2026
FROZEN_SHA256 = {  # by the number of views; seed 2026, 778 plates
    1: "abb9c8c00df4625172ce16dbc65327d6ba3a1a57b3f0bc364beb142403f68459",
    5: "90329b0a9202118bf4eb3f525feb56271a028d1671e06946187fbadac3735178",
}
MARGIN_PX = 12  # of plain body paint around the plate
PLATE_ASPECT = 2.0  # 12 x 6 inches
GAMMA = 2.2
MID_GREY = 118.0
MOTION_STEPS = 9
PRINT_LEFT_RATIO = 0.6  # of the print's contrast that infrared light leaves at least
TWO_EFFECTS_SHARE = 0.6
MILDER = 0.7  # of the range of severity is used where two effects come together

EFFECTS = ("defocus", "motion", "noise", "contrast", "jpeg", "dusk", "infrared")
SMALLER = 0.94  # from one view to the next: 75 mph, 17 m away, 30 pictures a second
NOT_TOGETHER = ({"defocus", "motion"}, {"dusk", "infrared"}, {"dusk", "contrast"}, {"dusk", "noise"})

Light = npt.NDArray[np.float64]
"""float64 (H, W, 3), BGR: grey levels 0..255 where coded, 0..1 where linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suffering:
    """What one plate suffers: its size in the picture, and how hard each effect is, 0..1; absent ones are not there."""

    width_px: float
    left_px: float  # where the plate begins on the pixel grid, beyond the margin
    top_px: float
    paint: tuple[float, float, float]
    severity: dict[str, float]
    rng: np.random.RandomState

    @classmethod
    def drawn(cls, seed: int, name: str) -> "Suffering":
        """Return what the crop of this name suffers."""
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        rng = np.random.RandomState(np.frombuffer(digest, "<u4"))
        width, left, top, shade, two = rng.random_sample(5)
        paint = 25 + 95 * shade + 12 * (rng.random_sample(3) - 0.5)
        order = [EFFECTS[place] for place in rng.permutation(len(EFFECTS))]
        hardness = rng.random_sample(2)
        chosen = order[:1]
        if two < TWO_EFFECTS_SHARE:
            chosen.append(next(effect for effect in order[1:] if {chosen[0], effect} not in NOT_TOGETHER))
            hardness = hardness * MILDER
        return cls(
            width_px=60 + 30 * width,
            left_px=left,
            top_px=top,
            paint=(float(paint[0]), float(paint[1]), float(paint[2])),
            severity={effect: float(hard) for effect, hard in zip(chosen, hardness, strict=False)},
            rng=rng,
        )

    def later(self, seed: int, name: str, view: int) -> "Suffering":
        """Return what the same plate suffers in the same light so many pictures later; itself for none."""
        if not view:
            return self
        digest = hashlib.sha256(f"{seed}:{name}:{view}".encode()).digest()
        rng = np.random.RandomState(np.frombuffer(digest, "<u4"))
        left, top = rng.random_sample(2)
        return replace(self, width_px=self.width_px * SMALLER**view, left_px=left, top_px=top, rng=rng)

    def between(self, effect: str, mild: float, hard: float) -> float | None:
        """Return an effect's strength between its mildest and its hardest, or None where it is not there."""
        return mild + (hard - mild) * self.severity[effect] if effect in self.severity else None


def linear(coded: Light) -> Light:
    """Return linear light 0..1 of grey levels."""
    return np.asarray((np.clip(coded, 0, 255) / 255) ** GAMMA)


def coded(light: Light) -> Light:
    """Return grey levels of linear light."""
    return np.asarray(255 * np.clip(light, 0, 1) ** (1 / GAMMA))


def lit(plate: Light, how: Suffering) -> Light:
    """Return the scene in another light: through haze or glare, at dusk, or by the infrared lamp."""
    if (contrast := how.between("contrast", 0.8, 0.35)) is not None:
        veil = how.rng.uniform(90, 170)
        plate = veil + contrast * (plate - veil)
    if "infrared" in how.severity:
        plate = infrared(plate, fading=0.15 + 0.25 * how.severity["infrared"], white=how.rng.uniform(225, 245))
    if (share := how.between("dusk", 0.20, 0.07)) is not None:
        warmth = how.rng.uniform(-0.2, 0.15)
        plate = coded(share * linear(plate) * np.array([1 - warmth, 1.0, 1 + warmth]))
    return plate


def infrared(plate: Light, *, fading: float, white: float) -> Light:
    """Return the plate as at 850 nm: grey, its retro-reflective ground bright, print in colour faded, in black not."""
    blue, green, red = np.moveaxis(linear(plate), -1, 0)
    luma = 0.0722 * blue + 0.7152 * green + 0.2126 * red
    grey = luma + 0.5 * np.maximum(0.0, red - luma)
    brightest = np.maximum(np.maximum(blue, green), red)
    colourfulness = (brightest - np.minimum(np.minimum(blue, green), red)) / np.maximum(brightest, 0.05)
    height, width = grey.shape
    middle = (slice(height // 5, height - height // 5), slice(width // 8, width - width // 8))
    levels = coded(grey)
    for weaker in (1.0, 0.7, 0.4, 0.1):  # what is printed in colour alone pales, but not to nothing
        levels = coded(grey + weaker * fading * colourfulness * (1 - grey))
        if _span(levels[middle]) >= PRINT_LEFT_RATIO * _span(coded(luma)[middle]):
            break
    low, high = np.percentile(levels, (1, 95))
    levels = 20 + (levels - low) * (white - 20) / max(40.0, high - low)
    return np.asarray(np.repeat(levels[..., None], 3, axis=2))


def _span(levels: Light) -> float:
    low, high = np.percentile(levels, (10, 90))
    return float(high - low)


def sampling(source: int, begin_px: float, size_px: float, target: int, sigma_px: float) -> Light:
    """Return the matrix (target, source) that images `source` samples, size_px wide from begin_px on, onto pixels.

    Each pixel averages over its own width, blurred by a Gaussian before; beyond the source is its outermost sample.
    """
    edges = (np.arange(target + 1) - begin_px) * source / size_px
    places = np.arange(source) + 0.5
    covered = np.clip(edges[:, None] - np.arange(source), 0, 1)
    covered[:, 0] += np.minimum(edges, 0)
    covered[:, -1] += np.maximum(edges - source, 0)
    matrix = np.diff(covered, axis=0)
    matrix /= matrix.sum(axis=1, keepdims=True)
    if sigma_px > 0:
        sigma = sigma_px * source / size_px
        kernel = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
        matrix = matrix @ (kernel / kernel.sum(axis=1, keepdims=True))
    return np.asarray(matrix)


def exposed(scene: Light, plate_px: tuple[float, float, float, float], size: tuple[int, int], how: Suffering) -> Light:
    """Return linear light on the sensor's (height, width) `size`, where the scene covers plate_px (x, y, w, h)."""
    sigma = how.between("defocus", 0.4, 0.8) or 0.0
    path = how.between("motion", 1.0, 2.0) or 0.0
    angle = how.rng.normal(np.pi / 2, 0.35)  # what drives towards a camera moves down its picture
    steps = np.linspace(-0.5, 0.5, MOTION_STEPS) * path if path else np.zeros(1)
    channels = np.ascontiguousarray(np.moveaxis(scene, -1, 0))
    total = np.zeros((3, *size))
    x, y, w, h = plate_px
    for step in steps:
        down = sampling(scene.shape[0], y + step * np.sin(angle), h, size[0], sigma)
        across = sampling(scene.shape[1], x + step * np.cos(angle), w, size[1], sigma)
        total += down @ channels @ across.T
    return np.asarray(np.moveaxis(total / len(steps), 0, -1))


def noisy(light: Light, sigma: float, rng: np.random.RandomState) -> Light:
    """Return linear light with shot and read noise that together have `sigma` grey levels at middle grey."""
    middle = (MID_GREY / 255) ** GAMMA
    slope = 255 / GAMMA * middle ** (1 / GAMMA - 1)  # grey levels by linear light, at middle grey
    deviation = sigma / slope * np.sqrt(0.7 * light / middle + 0.3)
    grey, own = rng.standard_normal(light.shape[:2]), rng.standard_normal(light.shape)
    if float(np.max(np.ptp(light, axis=2))) < 1e-9:
        own = np.repeat(rng.standard_normal(light.shape[:2])[..., None], 3, axis=2)
    return np.asarray(light + deviation * (grey[..., None] + own) * np.sqrt(0.5))


def degraded(plate: Image, how: Suffering) -> tuple[Image, tuple[float, float, float, float]]:
    """Return the picture uint8 (H, W, 3) that a road camera took of a plate, and the plate's box in it."""
    width, height = how.width_px, how.width_px / PLATE_ASPECT
    x, y = MARGIN_PX + how.left_px, MARGIN_PX + how.top_px
    size = (int(np.ceil(y + height)) + MARGIN_PX, int(np.ceil(x + width)) + MARGIN_PX)
    # The paint around the plate is part of the scene, at the scene's own resolution.
    wide, high = (round(2 * MARGIN_PX * plate.shape[1] / width), round(2 * MARGIN_PX * plate.shape[0] / height))
    scene = np.empty((plate.shape[0] + 2 * high, plate.shape[1] + 2 * wide, 3))
    scene[:] = how.paint
    scene[high:-high, wide:-wide] = plate
    scale_x, scale_y = width / plate.shape[1], height / plate.shape[0]
    whole_px = (x - wide * scale_x, y - high * scale_y, scene.shape[1] * scale_x, scene.shape[0] * scale_y)
    light = exposed(linear(lit(scene, how)), whole_px, size, how)
    sigma = how.between("noise", 3, 12)
    if sigma is None:
        sigma = how.rng.uniform(2, 4) if {"dusk", "infrared"} & set(how.severity) else 1.0
    image = np.asarray(np.rint(coded(noisy(light, sigma, how.rng))), np.uint8)
    if (quality := how.between("jpeg", 85, 40)) is not None:
        packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image, (x, y, width, height)


def crops_of(table: Path, name: str, split: str) -> list[Row]:
    """Return the rows of a set's split whose whole picture is the plate, by name. Raises DataMissing."""
    rows = [row for row in load_rows(table) if (row.set, row.split) == (name, split) and row.box_px is None]
    if not rows:
        raise DataMissing(
            f"{table}: holds no plate of {name}, {split} that is cut out; choose another --set or --split"
        )
    return sorted(rows, key=lambda row: row.image)


def make_set(rows: list[Row], root: Path, out: Path, seed: int, views: int = 1) -> tuple[Counter[str], str]:
    """Write the pictures and plates.csv; return how many suffered what, and the digest. Raises DataMissing, OSError."""
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    columns = ("set", "split", "kind", "image", "x", "y", "w", "h", "text", "region", "flags", "source", "track")
    with (out / "plates.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in rows:
            plate, first = read_image(root / row.image), Suffering.drawn(seed, row.image)
            track = hashlib.sha256(row.image.encode()).hexdigest()[:16]
            flags = " ".join((*row.flags.split(), *first.severity))
            counts.update(first.severity.keys())
            for view in range(views):
                image, box = degraded(plate, first.later(seed, row.image, view))
                name = f"{track}-{view}.png" if view else f"{track}.png"
                (out / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
                digest.update(f"{name} {image.shape}\n".encode() + image.tobytes())
                edges = [f"{edge:.3f}" for edge in box]
                line = (f"{row.set}_degraded", row.split, row.kind, name, *edges, row.text, row.region, flags)
                table.writerow((*line, row.image, track))
    return counts, digest.hexdigest()


def _count(text: str) -> int:
    """Return a whole number above zero. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Make the set that the options name; return the exit code."""
    parser = argparse.ArgumentParser(description="Make the frozen degraded set for models.evaluate crops.")
    parser.add_argument("table", type=Path, metavar="CSV")
    parser.add_argument("--root", type=Path, required=True, help="folder that the table's picture names start from")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures and their table; never in git")
    parser.add_argument("--set", default="us_plates")
    parser.add_argument("--split", default="val")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--views", type=_count, default=1, help="pictures of each plate while it drives away")
    options = parser.parse_args(arguments)
    try:
        refuse_versioned(options.out)
        rows = crops_of(options.table, options.set, options.split)
        counts, digest = make_set(rows, options.root, options.out, options.seed, options.views)
    except DataMissing as error:
        print(f"degraded_set: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"degraded_set: {error.filename}: {error.strerror}; check the folders", file=sys.stderr)
        return 1
    suffered = ", ".join(f"{effect} {counts[effect]}" for effect in EFFECTS)
    known = "the frozen set" if digest == FROZEN_SHA256.get(options.views) else "not the frozen set"
    print(f"{options.out}: {len(rows)} plates ({suffered})\nsha256 {digest}: {known}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

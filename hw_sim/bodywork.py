"""The bodies of the simulated vehicles and the textures of their panels: paint, glass, lamps, seams and wheels.

Owns shapes and colours; hw_sim.vehicles puts the textures together in space. Sizes are those of ordinary American
vehicles of each class, to a few centimetres; no maker's design is copied.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image
from hw_sim.lettering import Mask
from hw_sim.plate_art import Colour
from hw_sim.world import Texture

PLASTIC_BGR: Colour = (46, 46, 47)

_DETAIL_PX_PER_M = 260
_SIDE_PX_PER_M = 110
_GLASS: Colour = (52, 46, 40)
_RUBBER: Colour = (30, 30, 31)
_Level = Callable[[float], float]
"""From a height above the road to a share of the rear face, counted from its top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One class of body. Heights are above the road, lengths run forward from the rear end."""

    name: str
    width_m: float
    length_m: float
    bumper_z_m: float  # lower edge of the bumper
    belt_z_m: float  # upper edge of the rear face: where the rear window or the roof begins
    roof_z_m: float
    deck_m: float  # length of the boot lid or the bed
    window_run_m: float  # how far the rear window leans forward; 0: there is none above the rear face
    roof_m: float
    taper_m: float  # how much narrower the roof is, on each side
    plate_z_m: float


BODIES: tuple[Body, ...] = (
    Body(name="sedan", width_m=1.84, length_m=4.85, bumper_z_m=0.24, belt_z_m=1.03, roof_z_m=1.44, deck_m=0.50,
         window_run_m=0.62, roof_m=1.5, taper_m=0.17, plate_z_m=0.80),
    Body(name="hatchback", width_m=1.78, length_m=4.2, bumper_z_m=0.24, belt_z_m=0.98, roof_z_m=1.48, deck_m=0.0,
         window_run_m=0.36, roof_m=1.9, taper_m=0.15, plate_z_m=0.76),
    Body(name="suv", width_m=1.93, length_m=4.8, bumper_z_m=0.32, belt_z_m=1.12, roof_z_m=1.72, deck_m=0.0,
         window_run_m=0.24, roof_m=2.7, taper_m=0.13, plate_z_m=0.93),
    Body(name="pickup", width_m=2.0, length_m=5.8, bumper_z_m=0.42, belt_z_m=1.24, roof_z_m=1.9, deck_m=1.75,
         window_run_m=0.16, roof_m=1.75, taper_m=0.15, plate_z_m=0.60),
    Body(name="van", width_m=2.02, length_m=5.6, bumper_z_m=0.36, belt_z_m=2.35, roof_z_m=2.35, deck_m=0.0,
         window_run_m=0.0, roof_m=4.3, taper_m=0.0, plate_z_m=0.98),
)  # fmt: skip

PAINTS_BGR: tuple[Colour, ...] = (
    (226, 228, 230), (34, 33, 32), (172, 174, 176), (98, 98, 96), (124, 72, 34), (38, 34, 148), (96, 128, 146),
    (72, 84, 48), (46, 30, 84), (150, 122, 84),
)  # fmt: skip


def lit(colour: Colour, factor: float) -> Colour:
    """Return the colour in more or less light; dark paint still mirrors some sky."""
    blue, green, red = (min(255, round(channel * factor + max(0.0, factor - 0.9) * 40)) for channel in colour)
    return blue, green, red


def cut_out(image: Image, mask: Mask) -> Texture:
    """Join colours and silhouette into a texture whose colours are multiplied with its alpha."""
    alpha = np.asarray(mask, np.uint8)
    return np.dstack([cv2.multiply(image, cv2.merge([alpha] * 3), scale=1.0 / 255.0), alpha])


def _gradient(width_px: int, height_px: int, upper: Colour, lower: Colour) -> Image:
    mix = np.linspace(0.0, 1.0, height_px, dtype=np.float32)[:, None, None]
    rows = np.array(upper, np.float32) * (1.0 - mix) + np.array(lower, np.float32) * mix
    return np.repeat(rows, width_px, axis=1).astype(np.uint8)


def _box(
    mask_or_image: npt.NDArray[np.uint8], box: tuple[float, float, float, float], radius: float, colour: Colour | int
) -> None:
    """Fill a rounded box (left, top, right, bottom), as shares of the size; the radius is one of the width."""
    height_px, width_px = mask_or_image.shape[:2]
    left, right = round(box[0] * width_px), round(box[2] * width_px)
    top, bottom = round(box[1] * height_px), round(box[3] * height_px)
    corner = max(1, min(round(radius * width_px), (right - left) // 2, (bottom - top) // 2))
    points = [
        cv2.ellipse2Poly((x, y), (corner, corner), 0, begin, begin + 90, 6)
        for x, y, begin in (
            (right - corner, bottom - corner, 0), (left + corner, bottom - corner, 90),
            (left + corner, top + corner, 180), (right - corner, top + corner, 270),
        )
    ]  # fmt: skip
    cv2.fillPoly(mask_or_image, [np.concatenate(points)], colour, cv2.LINE_AA)


def draw_sheet(width_m: float, length_m: float, colour: Colour, round_m: float) -> Texture:
    """Return a level sheet of paint with round corners: bright in the middle, where it mirrors the sky."""
    width_px, height_px = round(width_m * _SIDE_PX_PER_M), max(4, round(length_m * _SIDE_PX_PER_M))
    image = _gradient(width_px, height_px, lit(colour, 1.05), lit(colour, 0.92))
    across = 1.0 - 0.22 * np.linspace(-1.0, 1.0, width_px) ** 4
    image = np.clip(image * across[None, :, None], 0, 255).astype(np.uint8)
    mask = np.zeros((height_px, width_px), np.uint8)
    _box(mask, (0, 0, 1, 1), round_m / width_m, 255)
    return cut_out(image, mask)


def draw_window(body: Body, paint: Colour) -> Texture:
    """Return the rear window in its frame; it is narrower at the roof."""
    width_px = round(body.width_m * _DETAIL_PX_PER_M)
    height_px = round(np.hypot(body.window_run_m, body.roof_z_m - body.belt_z_m) * _DETAIL_PX_PER_M)
    inset = body.taper_m / body.width_m
    image = _gradient(width_px, height_px, lit(paint, 0.98), lit(paint, 0.84))
    mask = np.zeros((height_px, width_px), np.uint8)
    cv2.fillPoly(mask, [_corners(width_px, height_px, upper=inset, lower=0.0, top=0.0, bottom=1.0)], 255, cv2.LINE_AA)
    glass = np.zeros((height_px, width_px), np.uint8)
    cv2.fillPoly(
        glass, [_corners(width_px, height_px, upper=inset + 0.055, lower=0.07, top=0.09, bottom=0.9)], 255, cv2.LINE_AA
    )
    glass = np.asarray(cv2.GaussianBlur(glass, (0, 0), 1.5), np.uint8)
    sky = _gradient(width_px, height_px, (128, 112, 98), _GLASS)
    for row in range(round(0.2 * height_px), round(0.84 * height_px), max(8, height_px // 14)):
        cv2.line(sky, (0, row), (width_px, row), (70, 66, 62), 1)  # the heating wires
    alpha = glass[:, :, None].astype(np.float32) / 255.0
    image = (image * (1.0 - alpha) + sky * alpha).astype(np.uint8)
    _box(image, (0.43, 0.085, 0.57, 0.085 + 9 / height_px), 0.003, (44, 34, 150))  # the third brake light
    return cut_out(image, mask)


def _corners(
    width_px: int, height_px: int, *, upper: float, lower: float, top: float, bottom: float
) -> npt.NDArray[np.int32]:
    """Return a trapezium as int32 (4, 2): insets of the width above and below, top and bottom of the height."""
    return np.array(
        [
            (upper * width_px, top * height_px), ((1 - upper) * width_px - 1, top * height_px),
            ((1 - lower) * width_px - 1, bottom * height_px), (lower * width_px, bottom * height_px),
        ]
    ).round().astype(np.int32)  # fmt: skip


def draw_rear(body: Body, paint: Colour) -> Texture:
    """Return the rear face from the road to the belt: wheels, bumper, lamps, seams and the recess of the plate."""
    width_px, height_px = round(body.width_m * _DETAIL_PX_PER_M), round(body.belt_z_m * _DETAIL_PX_PER_M)
    image = _gradient(width_px, height_px, lit(paint, 1.0), lit(paint, 0.7))
    mask = np.zeros((height_px, width_px), np.uint8)

    def level(z_m: float) -> float:
        return 1.0 - z_m / body.belt_z_m

    for left, right in ((0.03, 0.15), (0.85, 0.97)):
        _box(mask, (left, level(0.45), right, 1.0), 0.02, 255)
        _box(image, (left, level(0.45), right, 1.0), 0.02, _RUBBER)
    _box(mask, (0, 0, 1, 0.5), 0.012, 255)
    _box(mask, (0, 0.3, 1, level(body.bumper_z_m)), 0.045, 255)
    bumper_top = body.bumper_z_m + 0.26
    _box(image, (0.0, level(bumper_top), 1.0, level(body.bumper_z_m)), 0.03, lit(paint, 0.78))
    _box(image, (0.08, level(body.bumper_z_m + 0.1), 0.92, level(body.bumper_z_m)), 0.02, PLASTIC_BGR)
    for left in (0.07, 0.85):  # reflectors
        _box(image, (left, level(bumper_top - 0.11), left + 0.08, level(bumper_top - 0.14)), 0.004, (36, 30, 150))
    seam = lit(paint, 0.45)
    for z_m in (bumper_top, body.belt_z_m - 0.035):
        cv2.line(image, (round(0.02 * width_px), round(level(z_m) * height_px)),
                 (round(0.98 * width_px), round(level(z_m) * height_px)), seam, 2, cv2.LINE_AA)  # fmt: skip
    _draw_lamps(image, body, level)
    if body.window_run_m == 0:
        _draw_doors(image, body, level, seam)
    recess = (
        0.5 - 0.21 / body.width_m,
        level(body.plate_z_m + 0.115),
        0.5 + 0.21 / body.width_m,
        level(body.plate_z_m - 0.105),
    )
    _box(image, recess, 0.018, lit(paint, 0.5))
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.uint8)
    return cut_out(image, mask)


def _draw_lamps(image: Image, body: Body, level: _Level) -> None:
    """Draw both tail-lamps: tall on vans and pickups, wide on cars."""
    is_tall = body.belt_z_m > 1.2
    top = body.belt_z_m - 0.09 if body.window_run_m > 0 else 1.5
    height_m, width_share = (0.42, 0.085) if is_tall else (0.19, 0.2)
    for left in (0.012, 0.988 - width_share):
        _box(image, (left, level(top), left + width_share, level(top - height_m)), 0.018, (30, 20, 118))
        inner = (left + 0.01, level(top - 0.015), left + width_share - 0.01, level(top - 0.6 * height_m))
        _box(image, inner, 0.012, (48, 34, 190))
        _box(image, (left + 0.014, level(top - 0.66 * height_m), left + width_share - 0.014,
                     level(top - 0.9 * height_m)), 0.01, (196, 200, 214))  # fmt: skip


def _draw_doors(image: Image, body: Body, level: _Level, seam: Colour) -> None:
    """Draw the two rear doors of a van with their windows."""
    height_px, width_px = image.shape[:2]
    cv2.line(image, (width_px // 2, 0), (width_px // 2, round(level(body.bumper_z_m + 0.27) * height_px)), seam, 2)
    for left, right in ((0.09, 0.46), (0.54, 0.91)):
        _box(image, (left, level(2.15), right, level(1.55)), 0.02, (30, 28, 26))
        _box(image, (left + 0.012, level(2.13), right - 0.012, level(1.57)), 0.015, (84, 74, 66))
    _box(image, (0.47, level(1.28), 0.485, level(1.06)), 0.005, PLASTIC_BGR)


def draw_side_body(body: Body, paint: Colour) -> Texture:
    """Return the right side below the belt; its first column is the rear end."""
    width_px, height_px = round(body.length_m * _SIDE_PX_PER_M), round(body.belt_z_m * _SIDE_PX_PER_M)
    image = _gradient(width_px, height_px, lit(paint, 0.86), lit(paint, 0.52))
    mask = np.zeros((height_px, width_px), np.uint8)
    sill = 1.0 - body.bumper_z_m / body.belt_z_m
    _box(mask, (0, 0, 1, sill), 0.012, 255)
    nose = np.array([(0.945, 0.0), (1.0, 0.0), (1.0, 0.25)]) * (width_px, height_px)
    cv2.fillPoly(mask, [nose.round().astype(np.int32)], 0)
    radius_px = round(0.34 * _SIDE_PX_PER_M)
    for y_m in (0.95, body.length_m - 0.95):
        centre = (round(y_m * _SIDE_PX_PER_M), height_px - radius_px)
        cv2.circle(image, centre, round(1.18 * radius_px), (20, 20, 20), -1, cv2.LINE_AA)
        cv2.circle(mask, centre, radius_px, 255, -1, cv2.LINE_AA)
        cv2.circle(image, centre, radius_px, _RUBBER, -1, cv2.LINE_AA)
        cv2.circle(image, centre, round(0.62 * radius_px), (140, 142, 144), -1, cv2.LINE_AA)
    if body.window_run_m > 0:
        for share in (0.36, 0.58):
            cv2.line(
                image,
                (round(share * width_px), 0),
                (round(share * width_px), round(0.72 * height_px)),
                lit(paint, 0.4),
                1,
            )
    return cut_out(image, mask)


def draw_side_windows(body: Body, paint: Colour) -> Texture:
    """Return the right side above the belt: pillars in the body's colour around dark glass."""
    width_px = round(body.length_m * _SIDE_PX_PER_M)
    height_px = round(np.hypot(body.taper_m, body.roof_z_m - body.belt_z_m) * _SIDE_PX_PER_M)
    image = np.zeros((height_px, width_px, 3), np.uint8)
    image[:] = lit(paint, 0.8)
    mask = np.zeros((height_px, width_px), np.uint8)
    begins, leans = body.deck_m / body.length_m, body.window_run_m / body.length_m
    ends = begins + leans + body.roof_m / body.length_m
    outline = np.array([(begins, 1.0), (begins + leans, 0.0), (ends, 0.0), (min(1.0, ends + 0.17), 1.0)])
    size = np.array([width_px, height_px])
    cv2.fillPoly(mask, [(outline * size).round().astype(np.int32)], 255, cv2.LINE_AA)
    middle = outline.mean(axis=0)
    inner = middle + (outline - middle) * (0.9, 0.74)
    cv2.fillPoly(image, [(inner * size).round().astype(np.int32)], _GLASS, cv2.LINE_AA)
    for share in (0.36, 0.58):
        cv2.line(image, (round(share * width_px), 0), (round(share * width_px), height_px), lit(paint, 0.7), 7)
    return cut_out(image, mask)

"""The bodies of the simulated vehicles: shapes, paints, and the surfaces of all but the rear face.

Owns shapes and colours; hw_sim.rear_faces draws the rear, hw_sim.vehicles puts all together in space. Sizes are those
of ordinary American vehicles of each class, to a few centimetres; no maker's design is copied.
"""

from dataclasses import dataclass

import numpy as np

from hw_sim.drawing import Board, Material, box
from hw_sim.skins import Surface

SIDE_PX_PER_M = 110.0

PLASTIC = Material(bgr=(48, 48, 49), infrared=70, gloss=0.12)
GLASS = Material(bgr=(30, 29, 27), infrared=40, gloss=1.0)
RUBBER = Material(bgr=(40, 40, 41), infrared=48)
CHROME = Material(bgr=(120, 118, 116), infrared=120, gloss=8.0)
STEEL = Material(bgr=(128, 130, 131), infrared=128, gloss=0.6)
UNDERSIDE = Material(bgr=(16, 16, 16), infrared=18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One class of body. Heights are above the road, lengths run forward from the rear end."""

    name: str
    width_m: float
    length_m: float
    bumper_z_m: float  # lower edge of the bumper
    bumper_top_m: float
    bumper_out_m: float  # how far it stands out behind the rear face
    belt_z_m: float  # upper edge of the rear face: where the rear window or the roof begins
    roof_z_m: float
    deck_m: float  # length of the boot lid or the bed
    window_run_m: float  # how far the rear window leans forward; 0: there is none above the rear face
    roof_m: float
    taper_m: float  # how much narrower the roof is, on each side
    plate_z_m: float
    plate_x_m: float = 0.0
    share: float = 0.1  # of the traffic


BODIES: tuple[Body, ...] = (
    Body(name="sedan", width_m=1.84, length_m=4.85, bumper_z_m=0.26, bumper_top_m=0.60, bumper_out_m=0.06,
         belt_z_m=1.05, roof_z_m=1.45, deck_m=0.45, window_run_m=0.68, roof_m=1.4, taper_m=0.19, plate_z_m=0.82,
         share=0.22),
    Body(name="hatchback", width_m=1.78, length_m=4.2, bumper_z_m=0.26, bumper_top_m=0.62, bumper_out_m=0.07,
         belt_z_m=1.00, roof_z_m=1.49, deck_m=0.0, window_run_m=0.32, roof_m=1.9, taper_m=0.16, plate_z_m=0.80,
         share=0.08),
    Body(name="suv", width_m=1.90, length_m=4.7, bumper_z_m=0.36, bumper_top_m=0.72, bumper_out_m=0.07,
         belt_z_m=1.14, roof_z_m=1.69, deck_m=0.0, window_run_m=0.26, roof_m=2.6, taper_m=0.15, plate_z_m=0.95,
         share=0.30),
    Body(name="large suv", width_m=2.03, length_m=5.3, bumper_z_m=0.40, bumper_top_m=0.78, bumper_out_m=0.09,
         belt_z_m=1.25, roof_z_m=1.90, deck_m=0.0, window_run_m=0.14, roof_m=3.3, taper_m=0.12, plate_z_m=1.02,
         share=0.08),
    Body(name="pickup", width_m=2.02, length_m=5.9, bumper_z_m=0.46, bumper_top_m=0.72, bumper_out_m=0.16,
         belt_z_m=1.26, roof_z_m=1.92, deck_m=1.75, window_run_m=0.12, roof_m=1.8, taper_m=0.16, plate_z_m=0.61,
         share=0.17),
    Body(name="minivan", width_m=1.99, length_m=5.15, bumper_z_m=0.30, bumper_top_m=0.66, bumper_out_m=0.08,
         belt_z_m=1.12, roof_z_m=1.76, deck_m=0.0, window_run_m=0.20, roof_m=3.0, taper_m=0.13, plate_z_m=0.90,
         share=0.05),
    Body(name="van", width_m=2.02, length_m=5.6, bumper_z_m=0.40, bumper_top_m=0.62, bumper_out_m=0.10,
         belt_z_m=2.40, roof_z_m=2.40, deck_m=0.0, window_run_m=0.0, roof_m=4.3, taper_m=0.0, plate_z_m=0.92,
         share=0.06),
    Body(name="box truck", width_m=2.42, length_m=8.2, bumper_z_m=0.48, bumper_top_m=0.62, bumper_out_m=0.05,
         belt_z_m=3.45, roof_z_m=3.45, deck_m=0.0, window_run_m=0.0, roof_m=5.8, taper_m=0.0, plate_z_m=0.80,
         plate_x_m=-0.55, share=0.04),
)  # fmt: skip
"""Shares as on US roads, roughly: half sport-utility vehicles and pickups."""

PAINTS: tuple[Material, ...] = tuple(
    Material(bgr=bgr, infrared=infrared, gloss=1.0)
    for bgr, infrared in (
        ((226, 228, 230), 218), ((222, 224, 226), 214), ((32, 30, 30), 40), ((38, 35, 33), 60), ((158, 160, 161), 150),
        ((176, 178, 180), 166), ((98, 97, 95), 104), ((74, 72, 70), 88), ((112, 62, 28), 120), ((70, 38, 20), 96),
        ((36, 30, 138), 168), ((40, 34, 96), 140), ((98, 126, 142), 150), ((66, 78, 44), 104), ((144, 116, 80), 150),
        ((40, 60, 96), 130), ((30, 150, 214), 190),
    )
)  # fmt: skip
"""White, black, silver and grey most often, as on the road. Infrared light sees most dyes pale, and carbon black."""


def wheels(body: Body) -> Surface:
    """Return what is seen below the rear bumper: both tyres before the dark of the underside."""
    board = Board(body.width_m, body.bumper_z_m, SIDE_PX_PER_M, UNDERSIDE)
    half = body.width_m / 2.0
    tyre_m = 0.24 if body.width_m < 2.2 else 0.5
    outline = [box(-half + 0.05, 0.13, half - 0.05, body.bumper_z_m)]
    for side in (-1.0, 1.0):
        inner, outer = side * (half - 0.07 - tyre_m), side * (half - 0.07)
        tyre = box(min(inner, outer), 0.0, max(inner, outer), body.bumper_z_m + 0.1, 0.04)
        outline.append(tyre)
        board.stamp(tyre, RUBBER, raise_m=0.03, soft_m=0.02)
        for groove in (0.3, 0.5, 0.7):
            x = inner + (outer - inner) * groove
            board.stamp(box(x - 0.006, 0.0, x + 0.006, body.bumper_top_m), RUBBER.dimmed(0.4))
        board.shade(box(min(inner, outer), 0.22, max(inner, outer), body.bumper_top_m), 0.3, 0.06)
    board.stamp(box(-0.5, 0.24, -0.1, 0.34, 0.04), STEEL.dimmed(0.3))
    board.cut(*outline)
    return board.surface()


def top_sheet(width_m: float, length_m: float, paint: Material, *, radius_m: float, ribs: int = 0) -> Surface:
    """Return a roof, bonnet, deck or bed cover: a sheet of metal, a little curved, with round corners."""
    board = Board(width_m, max(0.1, length_m), SIDE_PX_PER_M, paint)
    across = np.linspace(-1.0, 1.0, 129)
    board.curve(-0.05 * width_m * across**4, upright=False)
    for rib in range(ribs):
        x = (rib + 0.5) / ribs * width_m - width_m / 2.0
        board.bulge(box(x - 0.02, 0.1, x + 0.02, length_m - 0.1, 0.02), 0.012, 0.012)
    board.cut(box(-width_m / 2.0, 0.0, width_m / 2.0, max(0.1, length_m), radius_m))
    return board.surface()


def side_body(body: Body, paint: Material) -> Surface:
    """Return the right side below the belt; x runs forward, its first column is the rear end."""
    board = Board(body.length_m, body.belt_z_m, SIDE_PX_PER_M, paint)
    start = -body.length_m / 2.0
    heights = np.array([-0.16, -0.09, -0.03, 0.0, -0.01, -0.035, -0.02]) * min(1.0, body.belt_z_m)
    if body.window_run_m > 0:
        board.curve(heights, upright=True)
    sill = box(start, body.bumper_z_m, -start, body.bumper_z_m + 0.14, 0.03)
    board.stamp(sill, PLASTIC)
    outlines = [box(start, body.bumper_z_m, -start, body.belt_z_m, 0.015)]
    radius_m = 0.34 if body.width_m < 2.2 else 0.45
    around = np.linspace(0.0, 2.0 * np.pi, 40)
    for y_m in (0.95, body.length_m - 0.95):
        circle = np.column_stack([np.cos(around), np.sin(around)])
        centre = np.array([start + y_m, radius_m])
        outlines.append(centre + circle * radius_m)
        board.stamp(centre + circle * (1.16 * radius_m), UNDERSIDE)
        board.stamp(centre + circle * radius_m, RUBBER)
        board.stamp(centre + circle * (0.64 * radius_m), STEEL)
        for spoke in range(5):
            angle = spoke * 2.0 * np.pi / 5.0
            board.stamp(
                centre + 0.42 * radius_m * np.array([np.cos(angle), np.sin(angle)]) + circle * (0.13 * radius_m),
                UNDERSIDE,
            )
    if body.window_run_m > 0:
        for share in (0.36, 0.58, 0.78):
            x = start + share * body.length_m
            board.stamp(box(x, body.bumper_z_m + 0.15, x + 0.012, body.belt_z_m), paint.dimmed(0.25))
            board.stamp(box(x + 0.1, body.belt_z_m - 0.2, x + 0.3, body.belt_z_m - 0.16, 0.02), paint, raise_m=0.03)
    board.cut(*outlines)
    return board.surface()


def side_windows(body: Body, paint: Material) -> Surface:
    """Return the right side above the belt: pillars in the body's colour around dark glass."""
    height_m = float(np.hypot(body.taper_m, body.roof_z_m - body.belt_z_m))
    board = Board(body.length_m, height_m, SIDE_PX_PER_M, paint)
    start = -body.length_m / 2.0
    begins, leans = start + body.deck_m, body.window_run_m
    ends = begins + leans + body.roof_m
    outline = np.array([(begins, 0.0), (begins + leans, height_m), (ends, height_m), (min(-start, ends + 0.75), 0.0)])
    middle = outline.mean(axis=0)
    board.stamp(middle + (outline - middle) * (0.93, 0.76), GLASS)
    for share in (0.36, 0.58):
        x = start + share * body.length_m
        board.stamp(box(x - 0.04, 0.0, x + 0.04, height_m), paint.dimmed(0.5))
    board.cut(outline)
    return board.surface()

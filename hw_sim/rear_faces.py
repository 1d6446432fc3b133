"""The rear faces of the simulated vehicles: lamps, seams, bumpers, badges, windows and what people stick on them.

Owns what stands around a plate, and with it most of what a plate detector may be tempted by. Every vehicle draws its
details from its own generator; badges are made-up words.
"""

from dataclasses import dataclass, replace

import numpy as np

from hw_sim.bodywork import CHROME, GLASS, PLASTIC, STEEL, UNDERSIDE, Body
from hw_sim.drawing import Board, Material, box, mirrored
from hw_sim.skins import Surface

REAR_PX_PER_M = 240.0
_WINDOW_PX_PER_M = 180.0

_BADGES = ("AURIGA", "TRAVERSA", "NOMAD", "LYNX", "CASCADE", "ORION", "SUMMIT", "VELA", "MERIDIAN", "BRISK")
_TRIMS = ("XLE", "2.0T", "4x4", "LT", "AWD", "V6", "SE", "HYBRID", "Z71", "EX-L", "GT")
_FIRMS = ("BLUE MESA MOVING", "ACE PLUMBING 555-0134", "HARBOR FRESH PRODUCE", "NORTHWIND PARCEL")
_RED = Material(bgr=(26, 18, 120), infrared=150, gloss=1.0)
_DARK_RED = Material(bgr=(18, 12, 66), infrared=118, gloss=1.0)
_CLEAR = Material(bgr=(190, 192, 196), infrared=190, gloss=1.2)
_AMBER = Material(bgr=(20, 96, 190), infrared=180, gloss=1.0)
_REFLEX = Material(bgr=(34, 24, 160), infrared=150, gloss=0.6, retro=0.22)
_TAPE = (Material(bgr=(40, 30, 170), infrared=190, retro=0.5), Material(bgr=(225, 226, 228), infrared=228, retro=0.8))
_WHITE = Material(bgr=(222, 224, 226), infrared=220)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """What one vehicle draws for itself. `lamp_cd_m2` is the luminance of its tail-lamps now; 0: they are off."""

    lamp_style: int
    lamp_cd_m2: float
    is_braking: bool
    badge: str
    trim_badge: str
    firm: str
    has_hitch: bool
    has_spoiler: bool
    exhausts: int
    stickers: int
    dark_bumper: bool
    chrome_bar: bool
    grime_ratio: float
    seed: int


def draw_trim(body: Body, generator: np.random.Generator, *, headlamps: bool, rain_ratio: float) -> Trim:
    """Draw a vehicle's details."""
    pick = generator.integers
    lit_cd_m2 = float(generator.uniform(250.0, 900.0)) if headlamps and generator.random() > 0.02 else 0.0
    return Trim(
        lamp_style=int(pick(4)), lamp_cd_m2=lit_cd_m2, is_braking=bool(generator.random() < 0.07),
        badge=_BADGES[int(pick(len(_BADGES)))], trim_badge=_TRIMS[int(pick(len(_TRIMS)))],
        firm=_FIRMS[int(pick(len(_FIRMS)))],
        has_hitch=bool(generator.random() < (0.6 if body.name in {"pickup", "large suv"} else 0.12)),
        has_spoiler=bool(generator.random() < 0.35), exhausts=int(pick(3)),
        stickers=int(pick(4)) if generator.random() < 0.4 else 0, dark_bumper=bool(generator.random() < 0.5),
        chrome_bar=bool(generator.random() < 0.4),
        grime_ratio=float(np.clip(generator.gamma(1.6, 0.07) + 0.1 * rain_ratio, 0.0, 0.6)), seed=int(pick(1 << 30)),
    )  # fmt: skip


def rear_base_m(body: Body) -> float:
    """Return where the drawn rear face begins: the bumper hides what is below."""
    return body.bumper_top_m - 0.1


def rear_face(body: Body, paint: Material, trim: Trim) -> Surface:
    """Return the rear from the bumper to the belt; it is a little narrower and rounder at the top."""
    base = rear_base_m(body)
    board = Board(body.width_m, body.belt_z_m - base, REAR_PX_PER_M, paint, base_m=base)
    half, belt = body.width_m / 2.0, body.belt_z_m
    is_box = body.window_run_m == 0.0
    edge = np.linspace(-1.0, 1.0, 129)
    board.curve(-0.12 * np.abs(edge) ** 6, upright=False)
    if not is_box:
        # From the bumper up: out to the crease below the lid's upper edge, then in towards the window.
        rise = np.linspace(0.0, 1.0, 97)
        board.curve(0.05 * np.sin(rise * 2.6) + 0.03 * np.exp(-(((rise - 0.78) / 0.07) ** 2)), upright=True)
    seam = paint.dimmed(0.12)
    _draw_lamps(board, body, trim)
    if body.name == "box truck":
        _draw_roller_door(board, body, trim)
    elif is_box:
        _draw_doors(board, body, trim, seam)
    elif body.name == "pickup":
        _draw_tailgate(board, body, trim, seam)
    else:
        _draw_lid(board, body, trim, seam)
    _draw_recess(board, body, paint)
    board.shade(box(-half, 0.0, half, body.bumper_top_m + 0.02), 0.25, 0.03)
    outline = box(-half, base, half, belt) if is_box else np.array(
        [(-half + 0.01, base), (half - 0.01, base), (half, base + 0.1), (half, belt - 0.12), (half - 0.03, belt),
         (-half + 0.03, belt), (-half, belt - 0.12), (-half, base + 0.1)]
    )  # fmt: skip
    board.cut(outline)
    _soil(board, trim, belt)
    return board.surface()


def bumper(body: Body, paint: Material, trim: Trim) -> Surface:
    """Return the bumper, which stands out behind the rear face, with all that hangs on it."""
    height_m = body.bumper_top_m - body.bumper_z_m
    is_steel = body.name in {"pickup", "box truck"}
    skin = (CHROME if trim.chrome_bar else PLASTIC) if is_steel else paint
    board = Board(body.width_m, height_m, REAR_PX_PER_M, skin)
    half = body.width_m / 2.0
    board.curve(np.array([-0.10, -0.03, 0.0, 0.0, -0.01, -0.06]) * (0.6 if is_steel else 1.0), upright=True)
    edge = np.linspace(-1.0, 1.0, 129)
    board.curve(-0.14 * np.abs(edge) ** 5, upright=False)
    if not is_steel:
        lower = height_m * (0.55 if trim.dark_bumper else 0.32)
        board.stamp(box(-0.86 * half, 0.0, 0.86 * half, lower, 0.06), PLASTIC, raise_m=-0.012, soft_m=0.006)
    else:
        board.stamp(box(-0.9 * half, 0.82 * height_m, 0.9 * half, height_m, 0.02), PLASTIC)
    for side in (-1.0, 1.0):
        centre = side * 0.74 * half
        board.stamp(box(centre - 0.09, 0.6 * height_m, centre + 0.09, 0.6 * height_m + 0.035, 0.01), _REFLEX)
        if trim.exhausts > (side > 0):
            tip = box(side * 0.55 * half - 0.05, 0.02, side * 0.55 * half + 0.05, 0.09, 0.03)
            board.stamp(tip, CHROME)
            board.stamp(
                box(float(np.min(tip[:, 0])) + 0.012, 0.03, float(np.max(tip[:, 0])) - 0.012, 0.08, 0.02), UNDERSIDE
            )
    if trim.has_hitch:
        board.stamp(box(-0.06, 0.0, 0.06, 0.1, 0.01), PLASTIC.dimmed(0.7), raise_m=0.03, soft_m=0.005)
        board.stamp(box(-0.03, 0.02, 0.03, 0.08, 0.005), UNDERSIDE)
    if body.name == "pickup":
        _draw_recess(board, body, PLASTIC, base_m=body.bumper_z_m)
    if body.name == "box truck":
        _draw_tape(board, 0.35 * height_m, 0.05)
    board.cut(box(-half + 0.015, 0.0, half - 0.015, height_m, 0.07))
    _soil(board, trim, 2.2 * height_m)
    return board.surface()


def rear_window(body: Body, paint: Material, trim: Trim) -> Surface:
    """Return the rear window in its frame; it is narrower at the roof."""
    height_m = float(np.hypot(body.window_run_m, body.roof_z_m - body.belt_z_m))
    board = Board(body.width_m, height_m, _WINDOW_PX_PER_M, paint)
    half, upper = body.width_m / 2.0, body.width_m / 2.0 - body.taper_m
    frame = np.array([(-half, 0.0), (half, 0.0), (upper, height_m - 0.04), (upper - 0.06, height_m),
                      (-upper + 0.06, height_m), (-upper, height_m - 0.04)])  # fmt: skip
    board.curve(-0.08 * np.abs(np.linspace(-1.0, 1.0, 97)) ** 3, upright=False)
    low, high = 0.10 * height_m, 0.86 * height_m
    glass = np.array([(-half + 0.17, low), (half - 0.17, low), (upper - 0.10, high), (-upper + 0.10, high)])
    board.stamp(glass, PLASTIC.dimmed(0.5))
    middle = glass.mean(axis=0)
    board.stamp(middle + (glass - middle) * (0.955, 0.91), GLASS)
    inside = Material(bgr=(20, 20, 20), infrared=30, gloss=1.0)
    for x in (-0.42, 0.42):  # head-rests, seen through the glass
        board.stamp(box(x - 0.13, low + 0.02, x + 0.13, low + 0.30 * height_m, 0.05), inside)
    for row in range(1, 10):
        z = low + (high - low) * row / 10.0
        width = (half - 0.2) * (1 - row / 10.0) + (upper - 0.14) * row / 10.0
        board.stamp(box(-width, z - 0.002, width, z + 0.002), Material(bgr=(35, 35, 35), infrared=48, gloss=1.0))
    lit = 3_500.0 if trim.is_braking else 0.0
    board.stamp(
        box(-0.16, high + 0.02, 0.16, high + 0.045, 0.01),
        Material(bgr=(30, 20, 110), infrared=140, gloss=0.8, glow_bgr=(0.02 * lit, 0.05 * lit, lit)),
    )
    if body.deck_m == 0.0:  # a hatch's window has a wiper
        board.stamp(
            np.array([(-0.02, low - 0.02), (0.02, low - 0.02), (0.44, low + 0.10), (0.43, low + 0.13)]), PLASTIC
        )
    if trim.has_spoiler:
        board.stamp(box(-upper + 0.03, high + 0.05, upper - 0.03, height_m, 0.03), paint, raise_m=0.05, soft_m=0.01)
    generator = np.random.default_rng(trim.seed)
    for _ in range(trim.stickers):
        x, z = float(generator.uniform(-half + 0.25, half - 0.35)), float(generator.uniform(low + 0.03, low + 0.12))
        colour = tuple(int(value) for value in np.clip(generator.normal(170, 34, 3), 40, 230))
        sticker = Material(bgr=(colour[0], colour[1], colour[2]), infrared=200, gloss=0.5)
        board.stamp(box(x, z, x + float(generator.uniform(0.06, 0.16)), z + 0.07, 0.02), sticker)
    board.cut(frame)
    return board.surface()


def _draw_lamps(board: Board, body: Body, trim: Trim) -> None:
    """Draw both tail-lamps: tall on vans, pickups and sport-utility vehicles, wide on cars; some joined by a bar."""
    half, belt = body.width_m / 2.0, body.belt_z_m
    glow = trim.lamp_cd_m2 + (5_000.0 if trim.is_braking else 0.0)
    lens = replace(_RED, glow_bgr=(0.015 * glow, 0.04 * glow, glow))
    if body.name == "box truck":
        for side in (-1.0, 1.0):
            board.stamp(box(side * 0.95 - 0.09, 0.70, side * 0.95 + 0.09, 0.82, 0.02), _DARK_RED)
            board.stamp(box(side * 0.95 - 0.075, 0.715, side * 0.95 + 0.075, 0.805, 0.02), lens)
        return
    is_tall = body.belt_z_m > 1.2 or trim.lamp_style == 0
    top = min(belt - 0.05, 1.45)
    width_m, height_m = (0.17, min(0.46, top - body.bumper_top_m - 0.04)) if is_tall else (0.40, 0.17)
    if trim.lamp_style == 3 and not is_tall:
        board.stamp(box(-half + 0.1, top - 0.10, half - 0.1, top - 0.04, 0.02), lens)
    outer = box(half - 0.02 - width_m, top - height_m, half - 0.02, top, 0.05)
    middle = (outer.max(axis=0) + outer.min(axis=0)) / 2.0
    for turn in (lambda each: each, mirrored):
        board.stamp(turn(outer), _DARK_RED, raise_m=0.015, soft_m=0.01)
        board.stamp(turn(middle + (outer - middle) * (0.9, 0.88)), _RED)
        low, high = outer.min(axis=0), outer.max(axis=0)
        if is_tall:
            board.stamp(turn(box(low[0] + 0.02, low[1] + 0.5 * height_m, high[0] - 0.02, high[1] - 0.02, 0.03)), lens)
            board.stamp(turn(box(low[0] + 0.02, low[1] + 0.28 * height_m, high[0] - 0.02, low[1] + 0.45 * height_m,
                                 0.02)), _CLEAR)  # fmt: skip
            board.stamp(
                turn(box(low[0] + 0.02, low[1] + 0.02, high[0] - 0.02, low[1] + 0.24 * height_m, 0.02)), _REFLEX
            )
        else:
            board.stamp(turn(box(low[0] + 0.16, low[1] + 0.02, high[0] - 0.02, high[1] - 0.02, 0.03)), lens)
            board.stamp(turn(box(low[0] + 0.03, low[1] + 0.03, low[0] + 0.14, high[1] - 0.03, 0.02)),
                        _AMBER if trim.lamp_style == 1 else _CLEAR)  # fmt: skip
            board.stamp(turn(box(high[0] - 0.09, low[1] + 0.03, high[0] - 0.03, low[1] + 0.09, 0.01)), _REFLEX)


def _draw_lid(board: Board, body: Body, trim: Trim, seam: Material) -> None:
    """Draw a boot lid or hatch: its seams, the bar above the plate, badges."""
    half, belt = body.width_m / 2.0, body.belt_z_m
    low = body.bumper_top_m + 0.02
    for side in (-1.0, 1.0):
        x = side * (half - 0.24)
        board.stamp(box(x - 0.004, low, x + 0.004, belt), seam, raise_m=-0.004, soft_m=0.003)
    board.stamp(box(-half + 0.24, low, half - 0.24, low + 0.008), seam)
    bar = box(-0.42, body.plate_z_m + 0.10, 0.42, body.plate_z_m + 0.135, 0.012)
    board.stamp(bar, CHROME if trim.chrome_bar else seam.dimmed(4.0), raise_m=0.025, soft_m=0.006)
    top = min(belt - 0.07, body.plate_z_m + 0.2)
    board.stamp(box(-0.05, top - 0.03, 0.05, top + 0.03, 0.03), CHROME, raise_m=0.006, soft_m=0.004)
    board.letters(trim.badge, -half + 0.30, low + 0.05, 0.036, CHROME)
    board.letters(trim.trim_badge, half - 0.46, low + 0.05, 0.034, CHROME)


def _draw_tailgate(board: Board, body: Body, trim: Trim, seam: Material) -> None:
    """Draw a pickup's tailgate with the big pressed letters that detectors take for plates."""
    half, belt = body.width_m / 2.0, body.belt_z_m
    for side in (-1.0, 1.0):
        x = side * (half - 0.21)
        board.stamp(box(x - 0.006, body.bumper_top_m, x + 0.006, belt), seam, raise_m=-0.006, soft_m=0.004)
    board.bulge(box(-half + 0.3, body.bumper_top_m + 0.1, half - 0.3, belt - 0.16, 0.04), -0.014, 0.012)
    board.stamp(box(-0.13, belt - 0.13, 0.13, belt - 0.05, 0.02), PLASTIC, raise_m=-0.01, soft_m=0.004)
    board.letters(trim.badge, -0.075 * len(trim.badge), 0.86, 0.11, CHROME if trim.chrome_bar else PLASTIC)
    board.letters(trim.trim_badge, half - 0.5, body.bumper_top_m + 0.06, 0.05, CHROME)


def _draw_doors(board: Board, body: Body, trim: Trim, seam: Material) -> None:
    """Draw the two rear doors of a van with their windows, hinges and a firm's name."""
    half = body.width_m / 2.0
    board.stamp(box(-0.006, body.bumper_top_m, 0.006, body.belt_z_m - 0.1), seam, raise_m=-0.005, soft_m=0.004)
    for side in (-1.0, 1.0):
        low, high = sorted((side * 0.12, side * (half - 0.16)))
        board.stamp(box(low, 1.5, high, 2.12, 0.06), PLASTIC.dimmed(0.5))
        board.stamp(box(low + 0.03, 1.53, high - 0.03, 2.09, 0.05), GLASS)
        for z in (0.9, 1.4, 2.0):
            board.stamp(box(side * (half - 0.06) - 0.04, z, side * (half - 0.06) + 0.04, z + 0.07, 0.01), PLASTIC)
    board.bulge(box(-half + 0.2, body.bumper_top_m + 0.1, half - 0.2, 1.4, 0.03), -0.012, 0.01)
    board.stamp(box(0.03, 1.05, 0.10, 1.25, 0.02), PLASTIC, raise_m=0.02, soft_m=0.005)
    board.letters(trim.firm, -half + 0.25, 1.2, 0.06, Material(bgr=(120, 60, 30), infrared=120, gloss=0.4))


def _draw_roller_door(board: Board, body: Body, trim: Trim) -> None:
    """Draw the roll-up door of a box body: ribs, frame, lettering and conspicuity tape (49 CFR 571.108)."""
    half, belt = body.width_m / 2.0, body.belt_z_m
    board.stamp(box(-half, 0.9, half, belt), STEEL)
    board.stamp(box(-half + 0.1, 1.05, half - 0.1, belt - 0.14), _WHITE)
    for row in range(10):
        z = 1.05 + row * (belt - 1.2) / 10.0
        board.stamp(box(-half + 0.1, z, half - 0.1, z + 0.012), _WHITE.dimmed(0.45), raise_m=-0.006, soft_m=0.004)
    board.letters(trim.firm, -half + 0.2, 2.35, 0.10, Material(bgr=(130, 50, 20), infrared=90))
    board.letters("HOW IS MY DRIVING?  555-0177", -half + 0.3, 1.5, 0.055, Material(bgr=(30, 30, 36), infrared=40))
    board.stamp(box(-half, body.bumper_top_m, half, 0.9), PLASTIC)
    _draw_tape(board, 0.94, 0.05)


def _draw_tape(board: Board, base_m: float, height_m: float) -> None:
    for index in range(int(board.width_m / 0.2)):
        left = -board.width_m / 2.0 + 0.06 + index * 0.2
        board.stamp(box(left, base_m, left + 0.2, base_m + height_m), _TAPE[index % 2])


def _draw_recess(board: Board, body: Body, paint: Material, *, base_m: float = 0.0) -> None:
    """Press the recess of the plate into the sheet; its upper edge, where the plate's lamps hang, throws a shadow."""
    x, z = body.plate_x_m, body.plate_z_m - base_m
    recess = box(x - 0.21, z - 0.105, x + 0.21, z + 0.115, 0.03)
    board.stamp(recess, paint.dimmed(0.62), raise_m=-0.03, soft_m=0.008)
    board.shade(box(x - 0.21, z + 0.05, x + 0.21, z + 0.115), 0.35, 0.02)
    for side in (-0.08, 0.08):
        board.stamp(box(x + side - 0.02, z + 0.092, x + side + 0.02, z + 0.104, 0.004), _CLEAR)


def _soil(board: Board, trim: Trim, clean_from_m: float) -> None:
    """Lay dust on the lower part, in clouds, as the wake behind a vehicle does."""
    if trim.grime_ratio < 0.02:
        return
    generator = np.random.default_rng(trim.seed)
    clouds = generator.random((9, 13), dtype=np.float32)
    low = np.linspace(0.0, 1.0, 9, dtype=np.float32)[:, None] * min(1.0, board.height_m / clean_from_m)
    board.soil(np.clip(trim.grime_ratio * (0.35 + low) * (0.5 + clouds), 0.0, 0.8), (108, 116, 122))

"""The vehicles of the simulated road, seen from behind, as flat panels in space with their skins in the hour's light.

Owns where each panel and the plate of a vehicle are; knows nothing of time or of the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.bodywork import PLASTIC, Body, side_body, side_windows, top_sheet, wheels
from hw_sim.drawing import Material
from hw_sim.light import Sky
from hw_sim.plate_faces import PlateFace
from hw_sim.rear_faces import Trim, bumper, rear_base_m, rear_face, rear_window
from hw_sim.skins import Skin, Surface, bake
from hw_sim.world import Sheet, Vector

PLATE_LEAN = 0.08
"""The plate's lower edge stands out by this share of its height, as the plate follows the lean of the tailgate."""

_SHADOW_PX_PER_M = 24
_SEEN_FROM_Y_M = 9.5  # where the rear end is when the skins' reflections are worked out
_PLATE_LAMP_CD_M2 = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A panel of a vehicle with its skin; its place is that of a vehicle whose rear end is at (0, 0)."""

    sheet: Sheet
    skin: Skin


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What a vehicle takes from the road: shares 0..1 of the hour's light, float32 (h, w), lying on `sheet`."""

    sheet: Sheet
    shares: npt.NDArray[np.float32]


class VehicleArt:
    """The panels of one vehicle, drawn once. Its rear end is at y = 0 and its middle at x = 0 until it is placed."""

    def __init__(
        self, body: Body, paint: Material, trim: Trim, face: PlateFace | None, roll_rad: float, *, lens_m: Vector,
        sky: Sky,
    ) -> None:  # fmt: skip
        self.body = body
        self.shadow = cast_shadow(body, sky)

        def part(sheet: Sheet, surface: Surface) -> Part:
            towards = lens_m - (0.0, _SEEN_FROM_Y_M, 0.0) - sheet.middle_m()
            return Part(sheet=sheet, skin=bake(surface, sheet, towards, sky))

        half, out = body.width_m / 2.0, body.bumper_out_m
        self._under = part(_upright(body.width_m, 0.55, (0.0, body.bumper_z_m)), wheels(body))
        self._tops = [part(*each) for each in _tops(body, paint)]
        if body.window_run_m > 0:
            window = _upright(body.width_m, body.deck_m, (body.belt_z_m, body.roof_z_m), body.window_run_m)
            self._tops.append(part(window, rear_window(body, paint, trim)))
        self._right = [part(*each) for each in _sides(body, paint)] if lens_m[0] > half - 0.5 else []
        self.rear = part(_upright(body.width_m, 0.0, (rear_base_m(body), body.belt_z_m)), rear_face(body, paint, trim))
        self._rest = [self.rear]
        bumper_sheet = _upright(body.width_m, -out, (body.bumper_z_m, body.bumper_top_m))
        lid = Sheet(
            origin_m=np.array([-half + 0.02, 0.0, body.bumper_top_m - 0.01]),
            across_m=np.array([body.width_m - 0.04, 0.0, 0.0]),
            down_m=np.array([0.0, -out, -0.005]),
        )
        ledge = PLASTIC if body.name in {"pickup", "box truck"} else paint
        self._rest += [part(lid, top_sheet(body.width_m - 0.04, out, ledge, radius_m=0.01)),
                       part(bumper_sheet, bumper(body, paint, trim))]  # fmt: skip
        self.plate: Part | None = None
        if face is not None:
            sheet = plate_sheet(body, roll_rad, 0.0, 0.0, face)
            self.plate = part(sheet, _plate_surface(face, lit=trim.lamp_cd_m2 > 0.0))

    def parts(self, x_m: float, seen_from_x_m: float) -> list[Part]:
        """Return the panels that are seen when the vehicle's middle is at `x_m`, farthest first."""
        bonnet, *tops = self._tops
        sides = self._right if seen_from_x_m - x_m > self.body.width_m / 2.0 - self.body.taper_m else []
        plate = [] if self.plate is None else [self.plate]
        return [self._under, bonnet, *sides, *tops, *self._rest, *plate]


def plate_sheet(body: Body, roll_rad: float, x_m: float, y_m: float, face: PlateFace) -> Sheet:
    """Return where the plate is; the vehicle's rear end is at (x_m, y_m)."""
    across = face.width_m * np.array([np.cos(roll_rad), 0.0, -np.sin(roll_rad)])
    down = face.height_m * np.array([-np.sin(roll_rad), -PLATE_LEAN, -np.cos(roll_rad)])
    is_on_bumper = body.plate_z_m < body.bumper_top_m
    out_m = 0.015 + (body.bumper_out_m if is_on_bumper else 0.0)
    origin = np.array([x_m + body.plate_x_m, y_m - out_m, body.plate_z_m]) - across / 2.0 - down / 2.0
    return Sheet(origin_m=origin, across_m=across, down_m=down)


def cast_shadow(body: Body, sky: Sky) -> Shadow:
    """Return the shadow on the road: sharp towards the sun's other side, and the dark that lies under every vehicle."""
    half, length, height = body.width_m / 2.0, body.length_m, body.roof_z_m
    sun_x, sun_y, sun_z = sky.towards_sun
    reach = np.array([-sun_x, -sun_y]) * (height / max(0.25, sun_z)) if sky.sun_lux > 0 else np.zeros(2)
    foot = np.array([(-half, 0.0), (half, 0.0), (half, length), (-half, length)])
    low = np.minimum(foot.min(axis=0), (foot + reach).min(axis=0)) - 0.7
    high = np.maximum(foot.max(axis=0), (foot + reach).max(axis=0)) + 0.7
    size = np.ceil((high - low) * _SHADOW_PX_PER_M).astype(int)
    shares = np.zeros((size[1], size[0]), np.float32)

    def fill(points: npt.NDArray[np.float64], share: float, soft_m: float) -> None:
        pixels = np.column_stack([points[:, 0] - low[0], high[1] - points[:, 1]]) * _SHADOW_PX_PER_M
        layer = np.zeros_like(shares)
        hull = cv2.convexHull(np.round(pixels * 16).astype(np.int32))
        cv2.fillConvexPoly(layer, hull, share, cv2.LINE_AA, 4)
        np.maximum(shares, cv2.GaussianBlur(layer, (0, 0), soft_m * _SHADOW_PX_PER_M), out=shares)

    sun_share = sky.sun_lux * max(0.0, sun_z) / max(1e-6, sky.ground_lux)
    if sun_share > 0:
        fill(np.concatenate([foot, foot * (0.85, 1.0) + reach]), 0.94 * sun_share, 0.05)
    fill(foot * (1.08, 1.0), 0.62, 0.28)
    fill(foot * (0.96, 0.97) + (0.0, 0.05), 0.93, 0.10)
    sheet = Sheet(
        origin_m=np.array([low[0], high[1], 0.0]),
        across_m=np.array([high[0] - low[0], 0.0, 0.0]),
        down_m=np.array([0.0, low[1] - high[1], 0.0]),
    )
    return Shadow(sheet=sheet, shares=shares)


def _plate_surface(face: PlateFace, *, lit: bool) -> Surface:
    """Return the plate as a surface: its lamps light it from above, so that it is brighter there."""
    glow = None
    if lit:
        rows = np.linspace(1.3, 0.5, face.visible.shape[0], dtype=np.float32)[:, None, None]
        glow = (face.visible.astype(np.float32) / 255.0) ** 2.2 * (rows * np.float32(_PLATE_LAMP_CD_M2))
    height_px = face.visible.shape[0]
    return Surface(
        visible=face.visible,
        infrared=face.infrared,
        gloss=np.full((height_px, face.visible.shape[1]), 0.25, np.float32),
        alpha=face.alpha,
        retro=face.retro,
        glow=glow,
        px_per_m=height_px / face.height_m,
    )


def _tops(body: Body, paint: Material) -> list[tuple[Sheet, Surface]]:
    """Return bonnet, roof and rear deck, farthest first."""
    half, roof_half = body.width_m / 2.0, body.width_m / 2.0 - body.taper_m
    roof_begins = body.deck_m + body.window_run_m
    front_m = 0.97 * body.length_m
    bonnet_m = max(0.3, front_m - roof_begins - body.roof_m)  # the windscreen leans over it, unseen
    bonnet_z = min(1.15, body.belt_z_m)
    ribs = 7 if body.window_run_m == 0 else 0
    panels = [
        (_flat(half, front_m, bonnet_m, bonnet_z), top_sheet(body.width_m, bonnet_m, paint, radius_m=0.2)),
        (_flat(roof_half, roof_begins + body.roof_m, body.roof_m, body.roof_z_m),
         top_sheet(2 * roof_half, body.roof_m, paint, radius_m=0.12, ribs=ribs)),
    ]  # fmt: skip
    if body.deck_m > 0:
        is_bed = body.window_run_m < 0.3
        deck = PLASTIC if is_bed else paint
        panels.append(
            (_flat(half, body.deck_m, body.deck_m, body.belt_z_m),
             top_sheet(body.width_m, body.deck_m, deck, radius_m=0.06, ribs=3 if is_bed else 0))
        )  # fmt: skip
    return panels


def _sides(body: Body, paint: Material) -> list[tuple[Sheet, Surface]]:
    """Return the right side: the windows, which lean inwards, and the body below them."""
    half = body.width_m / 2.0
    along = np.array([0.0, body.length_m, 0.0])
    lower = Sheet(
        origin_m=np.array([half, -0.02, body.belt_z_m]), across_m=along, down_m=np.array([0.0, 0.0, -body.belt_z_m])
    )
    if body.window_run_m == 0:
        return [(lower, side_body(body, paint))]
    upper = Sheet(
        origin_m=np.array([half - body.taper_m, 0.0, body.roof_z_m]),
        across_m=along,
        down_m=np.array([body.taper_m, 0.0, body.belt_z_m - body.roof_z_m]),
    )
    return [(upper, side_windows(body, paint)), (lower, side_body(body, paint))]


def _flat(half_m: float, far_y_m: float, length_m: float, z_m: float) -> Sheet:
    return Sheet(
        origin_m=np.array([-half_m, far_y_m, z_m]),
        across_m=np.array([2.0 * half_m, 0.0, 0.0]),
        down_m=np.array([0.0, -length_m, 0.0]),
    )


def _upright(width_m: float, y_m: float, z_m: tuple[float, float], lean_m: float = 0.0) -> Sheet:
    return Sheet(
        origin_m=np.array([-width_m / 2.0, y_m + lean_m, z_m[1]]),
        across_m=np.array([width_m, 0.0, 0.0]),
        down_m=np.array([0.0, -lean_m, z_m[0] - z_m[1]]),
    )

"""The vehicles of the simulated road, seen from behind, as flat panels in space.

Owns where each panel and the plate of a vehicle are; knows nothing of time or of the picture.
"""

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.bodywork import (
    PLASTIC_BGR,
    Body,
    cut_out,
    draw_rear,
    draw_sheet,
    draw_side_body,
    draw_side_windows,
    draw_window,
    lit,
)
from hw_sim.plate_art import PLATE_HEIGHT_M, PLATE_WIDTH_M, Colour, PlateLook, draw_plate, plate_outline
from hw_sim.world import Panel, Texture, Vector

_PLATE_PX = 416
_SHADOW_PX_PER_M = 30


class VehicleArt:
    """The panels of one vehicle, drawn once. Its rear end is at y = 0 and its middle at x = 0 until it is placed."""

    def __init__(self, body: Body, paint_bgr: Colour, text: str, look: PlateLook, plate_roll_rad: float) -> None:
        self.body = body
        self._panels = _body_panels(body, paint_bgr)
        self._right = _side_panels(body, paint_bgr)
        self._plate = _plate_panel(body, text, look, plate_roll_rad)
        self._shadow = _shadow_panel(body)

    def panels(self, x_m: float, y_m: float, seen_from_x_m: float) -> list[Panel]:
        """Return all panels that are seen from `seen_from_x_m`, farthest first, with the rear end at (x_m, y_m)."""
        sides: list[Panel] = []
        if seen_from_x_m - x_m > self.body.width_m / 2.0:
            sides = self._right
        elif x_m - seen_from_x_m > self.body.width_m / 2.0:
            sides = [_mirrored(panel) for panel in self._right]
        shift = np.array([x_m, y_m, 0.0])
        bonnet, *rest = self._panels
        return [_moved(panel, shift) for panel in (self._shadow, bonnet, *sides, *rest, self._plate)]


def plate_corners_m(body: Body, roll_rad: float, x_m: float, y_m: float) -> npt.NDArray[np.float64]:
    """Return the plate's corners, float64 (4, 3): clockwise from the top left; the rear end is at (x_m, y_m)."""
    across = PLATE_WIDTH_M * np.array([np.cos(roll_rad), 0.0, -np.sin(roll_rad)])
    # The lower edge stands out a little, as the plate follows the lean of the tailgate.
    down = PLATE_HEIGHT_M * np.array([-np.sin(roll_rad), -0.08, -np.cos(roll_rad)])
    origin = np.array([x_m, y_m - 0.012, body.plate_z_m]) - across / 2.0 - down / 2.0
    return np.stack([origin, origin + across, origin + across + down, origin + down])


def _moved(panel: Panel, shift_m: Vector) -> Panel:
    return Panel(origin_m=panel.origin_m + shift_m, across_m=panel.across_m, down_m=panel.down_m, texture=panel.texture)


def _mirrored(panel: Panel) -> Panel:
    flip = np.array([-1.0, 1.0, 1.0])
    return Panel(
        origin_m=panel.origin_m * flip,
        across_m=panel.across_m * flip,
        down_m=panel.down_m * flip,
        texture=panel.texture,
    )


def _plate_panel(body: Body, text: str, look: PlateLook, roll_rad: float) -> Panel:
    face = draw_plate(text, look, _PLATE_PX)
    corners = plate_corners_m(body, roll_rad, 0.0, 0.0)
    return Panel(
        origin_m=corners[0],
        across_m=corners[1] - corners[0],
        down_m=corners[3] - corners[0],
        texture=cut_out(face, plate_outline(_PLATE_PX)),
    )


def _shadow_panel(body: Body) -> Panel:
    """Return the soft shadow on the road, the sun standing high and to the left."""
    width_m, length_m, margin_m = body.width_m + 0.25, body.length_m, 0.45
    rows, columns = (
        round((length_m + 2 * margin_m) * _SHADOW_PX_PER_M),
        round((width_m + 2 * margin_m) * _SHADOW_PX_PER_M),
    )
    shade = np.zeros((rows, columns), np.uint8)
    edge = round(margin_m * _SHADOW_PX_PER_M)
    shade[edge:-edge, edge:-edge] = 185
    shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), 5.0), np.uint8)
    texture = np.zeros((rows, columns, 4), np.uint8)
    texture[:, :, 3] = shade
    return Panel(
        origin_m=np.array([-body.width_m / 2.0 - margin_m, body.length_m + margin_m, 0.0]),
        across_m=np.array([width_m + 2 * margin_m, 0.0, 0.0]),
        down_m=np.array([0.0, -(length_m + 2 * margin_m), 0.0]),
        texture=texture,
    )


def _body_panels(body: Body, paint: Colour) -> list[Panel]:
    """Return bonnet, roof, rear window, deck and rear face."""
    half, roof_half = body.width_m / 2.0, body.width_m / 2.0 - body.taper_m
    roof_begins = body.deck_m + body.window_run_m
    front_m = 0.97 * body.length_m
    bonnet_m = front_m - roof_begins - body.roof_m  # it begins below the windscreen, which leans over it unseen
    bonnet_z = min(1.15, body.belt_z_m)
    panels = [
        _flat(half, front_m, bonnet_m, bonnet_z, draw_sheet(body.width_m, bonnet_m, lit(paint, 1.08), 0.16)),
        _flat(roof_half, roof_begins + body.roof_m, body.roof_m, body.roof_z_m,
              draw_sheet(2 * roof_half, body.roof_m, lit(paint, 1.12), 0.1)),
    ]  # fmt: skip
    if body.window_run_m > 0:
        panels.append(
            _upright(
                body.width_m, body.deck_m, (body.belt_z_m, body.roof_z_m), body.window_run_m, draw_window(body, paint)
            )
        )
    if body.deck_m > 0:
        colour = lit(paint, 1.06) if body.window_run_m > 0.3 else PLASTIC_BGR  # a boot lid, or the cover of a bed
        panels.append(
            _flat(half, body.deck_m, body.deck_m, body.belt_z_m, draw_sheet(body.width_m, body.deck_m, colour, 0.06))
        )
    panels.append(_upright(body.width_m, 0.0, (0.0, body.belt_z_m), 0.0, draw_rear(body, paint)))
    return panels


def _side_panels(body: Body, paint: Colour) -> list[Panel]:
    """Return the right side: the windows, which lean inwards, and the body below them."""
    half = body.width_m / 2.0
    along = np.array([0.0, body.length_m, 0.0])
    lower = Panel(
        origin_m=np.array([half, 0.0, body.belt_z_m]),
        across_m=along,
        down_m=np.array([0.0, 0.0, -body.belt_z_m]),
        texture=draw_side_body(body, paint),
    )
    if body.window_run_m == 0:
        return [lower]
    upper = Panel(
        origin_m=np.array([half - body.taper_m, 0.0, body.roof_z_m]),
        across_m=along,
        down_m=np.array([body.taper_m, 0.0, body.belt_z_m - body.roof_z_m]),
        texture=draw_side_windows(body, paint),
    )
    return [upper, lower]


def _flat(half_m: float, far_y_m: float, length_m: float, z_m: float, texture: Texture) -> Panel:
    return Panel(
        origin_m=np.array([-half_m, far_y_m, z_m]),
        across_m=np.array([2.0 * half_m, 0.0, 0.0]),
        down_m=np.array([0.0, -length_m, 0.0]),
        texture=texture,
    )


def _upright(width_m: float, y_m: float, z_m: tuple[float, float], lean_m: float, texture: Texture) -> Panel:
    return Panel(
        origin_m=np.array([-width_m / 2.0, y_m + lean_m, z_m[1]]),
        across_m=np.array([width_m, 0.0, 0.0]),
        down_m=np.array([0.0, -lean_m, z_m[0] - z_m[1]]),
        texture=texture,
    )

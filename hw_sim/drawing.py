"""A drawing board for surfaces: shapes in metres, stamped in materials, with relief.

Owns anti-aliased shapes on a board and nothing of what they mean. x runs to the right from the middle of the board, z
up.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.skins import Surface
from hw_sim.world import Mask

Colour = tuple[int, int, int]
"""Blue, green, red; 0..255, sRGB-coded."""

_SHIFT_BITS = 4
_DIODE_PITCH_M = 0.028


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What something is made of: colour, infrared reflectance 0..255 (sRGB-coded, as the colour is), polish 0..1.

    `retro` is the share 0..1 of a retro-reflector, `glow_bgr` cd/m2.
    """

    bgr: Colour
    infrared: int
    gloss: float = 0.0
    retro: float = 0.0
    glow_bgr: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def dimmed(self, factor: float) -> "Material":
        """Return the same material, as bright as `factor` says."""
        blue, green, red = (min(255, round(channel * factor)) for channel in self.bgr)
        return replace(self, bgr=(blue, green, red), infrared=min(255, round(self.infrared * factor)))


class Board:
    """A surface being drawn. All of it is `ground` to begin with, and nothing of it is there until `cut` says so."""

    def __init__(
        self, width_m: float, height_m: float, px_per_m: float, ground: Material, *, base_m: float = 0.0
    ) -> None:
        """Begin a board whose lower edge is at z = `base_m`."""
        self.base_m = base_m
        self.width_m, self.height_m, self.px_per_m = width_m, height_m, px_per_m
        self.size = (max(4, round(width_m * px_per_m)), max(4, round(height_m * px_per_m)))
        shape = (self.size[1], self.size[0])
        self._visible = np.full((*shape, 3), ground.bgr, np.uint8)
        self._infrared = np.full(shape, ground.infrared, np.uint8)
        self._gloss = np.full(shape, ground.gloss, np.float32)
        self._relief_m = np.zeros(shape, np.float32)
        self._retro = np.zeros(shape, np.float32)
        self._glow = np.zeros((*shape, 3), np.float32)
        self._alpha: Mask | None = None
        self._mirrors = self._glows = False

    def cut(self, *outlines: npt.NDArray[np.float64]) -> None:
        """Let only these outlines, each (N, 2) metres, be there."""
        self._alpha = self._filled(*outlines)

    def stamp(
        self, outline: npt.NDArray[np.float64], material: Material, *, raise_m: float = 0.0, soft_m: float = 0.0
    ) -> None:
        """Fill an outline with a material; let it stand out by `raise_m`, its flanks `soft_m` wide."""
        spare_px = 2 + 3 * soft_m * self.px_per_m
        points = self._fixed(outline)
        low = np.maximum(np.floor(points.min(axis=0) / 16 - spare_px), 0).astype(int)
        high = np.minimum(np.ceil(points.max(axis=0) / 16 + spare_px) + 1, self.size).astype(int)
        if np.any(low >= high):
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(mask, [points - np.asarray(low * 16, np.int32)], 255, cv2.LINE_AA, _SHIFT_BITS)
        self._blend(slice(low[1], high[1]), slice(low[0], high[0]), mask, material)
        if raise_m:
            self._raise(slice(low[1], high[1]), slice(low[0], high[0]), mask, raise_m, soft_m)

    def bulge(self, outline: npt.NDArray[np.float64], raise_m: float, soft_m: float) -> None:
        """Let an outline stand out (or in, below zero) with flanks `soft_m` wide, whatever it is made of."""
        self._raise(slice(None), slice(None), self._filled(outline), raise_m, soft_m)

    def letters(self, text: str, left_m: float, base_m: float, height_m: float, material: Material) -> None:
        """Write a badge in plain strokes."""
        scale = height_m * self.px_per_m / 21.0  # the capitals of Hershey's letters are 21 units high
        thickness = max(1, round(0.16 * height_m * self.px_per_m))
        (width_px, height_px), below_px = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thickness)
        left_px, base_px = (int(each) for each in self._fixed(np.array([[left_m, base_m]]))[0] // 16)
        left_px, top_px = max(0, left_px), max(0, base_px - height_px - thickness)
        rows = slice(top_px, min(self.size[1], base_px + below_px))
        columns = slice(left_px, min(self.size[0], left_px + width_px))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        cv2.putText(mask, text, (0, base_px - top_px), cv2.FONT_HERSHEY_DUPLEX, scale, 255, thickness, cv2.LINE_AA)
        self._blend(rows, columns, mask, material)
        self._raise(rows, columns, mask, 0.002, 0.002)

    def curve(self, heights_m: npt.NDArray[np.float64], *, upright: bool) -> None:
        """Add a relief that is the same along one axis: of the height if `upright`, else of the width."""
        rows, columns = self._relief_m.shape
        count = rows if upright else columns
        given = np.interp(np.linspace(0.0, 1.0, count), np.linspace(0.0, 1.0, len(heights_m)), heights_m)
        smooth = max(1.0, 0.7 * count / len(heights_m))  # no facets where few heights are given
        line = cv2.GaussianBlur(np.asarray(given, np.float32)[:, None], (0, 0), smooth, borderType=cv2.BORDER_REPLICATE)
        line = np.asarray(line, np.float32)[:, 0]
        self._relief_m += line[::-1, None] if upright else line[None, :]

    def shade(self, outline: npt.NDArray[np.float64], factor: float, soft_m: float) -> None:
        """Darken what lies in the shade of something, to `factor` of its light."""
        mask = self._filled(outline)
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.5, soft_m * self.px_per_m)).astype(np.float32) / 255.0
        dark = 1.0 - soft * (1.0 - factor ** (1.0 / 2.2))
        self._visible[:] = (self._visible * dark[..., None]).astype(np.uint8)
        self._infrared[:] = (self._infrared * dark).astype(np.uint8)
        self._gloss *= 1.0 - soft * (1.0 - factor)

    def soil(self, grime: npt.NDArray[np.float32], colour: Colour) -> None:
        """Cover the surface with dust, (h, w) shares."""
        share = cv2.resize(grime, self.size, interpolation=cv2.INTER_LINEAR)
        self._visible[:] = (self._visible * (1.0 - share[..., None]) + np.array(colour) * share[..., None]).astype(
            np.uint8
        )
        self._infrared[:] = (self._infrared * (1.0 - share) + 105.0 * share).astype(np.uint8)
        self._gloss *= 1.0 - share

    def surface(self) -> Surface:
        """Return what was drawn."""
        glows, mirrors = self._glows and bool(self._glow.any()), self._mirrors and bool(self._retro.any())
        if glows:  # lamps are rows of diodes behind ribbed lenses
            self._glow *= _lattice(self.size, _DIODE_PITCH_M * self.px_per_m, 0.45, 1.9)[:, :, None]
        return Surface(
            visible=self._visible,
            infrared=self._infrared,
            gloss=self._gloss,
            relief_m=cv2.GaussianBlur(self._relief_m, (0, 0), 1.0) if self._relief_m.any() else None,
            alpha=self._alpha,
            retro=(self._retro * 255.0).astype(np.uint8) if mirrors else None,
            glow=self._glow if glows else None,
            px_per_m=self.px_per_m,
        )

    def _filled(self, *outlines: npt.NDArray[np.float64]) -> Mask:
        """Return the mask of these outlines on the whole board."""
        mask = np.zeros((self.size[1], self.size[0]), np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [self._fixed(outline)], 255, cv2.LINE_AA, _SHIFT_BITS)
        return mask

    def _fixed(self, outline: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Return an outline as fixed-point pixels."""
        x = (outline[:, 0] + self.width_m / 2.0) * self.px_per_m
        y = (self.base_m + self.height_m - outline[:, 1]) * self.px_per_m
        return np.asarray(np.round(np.column_stack([x, y]) * (1 << _SHIFT_BITS)), np.int32)

    def _blend(self, rows: slice, columns: slice, mask: Mask, material: Material) -> None:
        share = mask.astype(np.float32) / 255.0
        rest = 1.0 - share
        self._mirrors |= material.retro > 0.0
        self._glows |= any(material.glow_bgr)
        for plane, value in ((self._infrared, material.infrared), (self._gloss, material.gloss)):
            plane[rows, columns] = plane[rows, columns] * rest + np.float32(value) * share
        if self._mirrors:
            self._retro[rows, columns] = self._retro[rows, columns] * rest + np.float32(material.retro) * share
        for image, colour, is_there in (
            (self._visible, material.bgr, True), (self._glow, material.glow_bgr, self._glows)
        ):  # fmt: skip
            if is_there:
                window = image[rows, columns]
                window[:] = window * rest[..., None] + np.array(colour, np.float32) * share[..., None]

    def _raise(self, rows: slice, columns: slice, mask: Mask, raise_m: float, soft_m: float) -> None:
        height = mask.astype(np.float32) * np.float32(raise_m / 255.0)
        if soft_m > 0:
            height = np.asarray(cv2.GaussianBlur(height, (0, 0), max(0.5, soft_m * self.px_per_m)), np.float32)
        self._relief_m[rows, columns] += height


def _lattice(size: tuple[int, int], pitch_px: float, low: float, high: float) -> npt.NDArray[np.float32]:
    """Return a pattern of bright spots, float32 (h, w), between `low` and `high`."""
    x, y = (0.5 + 0.5 * np.cos(2.0 * np.pi / pitch_px * np.arange(count, dtype=np.float32)) for count in size)
    return np.asarray(low + (high - low) * (y[:, None] * x[None, :]) ** 1.2, np.float32)


def box(left: float, low: float, right: float, high: float, radius: float = 0.0) -> npt.NDArray[np.float64]:
    """Return the outline of a box with round corners, in metres."""
    radius = min(radius, (right - left) / 2.0, (high - low) / 2.0)
    if radius <= 0:
        return np.array([(left, low), (right, low), (right, high), (left, high)])
    angles = np.linspace(0.0, np.pi / 2.0, 6)
    corners = ((right, high, 0.0), (left, high, 0.5), (left, low, 1.0), (right, low, 1.5))
    parts = []
    for x, z, turn in corners:
        around = angles + turn * np.pi
        inward = np.array([x - np.sign(x - (left + right) / 2) * radius, z - np.sign(z - (low + high) / 2) * radius])
        parts.append(inward + radius * np.column_stack([np.cos(around), np.sin(around)]))
    return np.concatenate(parts)


def mirrored(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the outline on the other side of the middle."""
    return outline * (-1.0, 1.0)

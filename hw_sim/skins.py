"""What surfaces are made of, how the hour's light falls on them, and how they are laid into a linear picture.

Owns the way from a drawn surface to pixels; knows nothing of vehicles or the road. A surface is drawn once in
reflectances; `bake` works out once per vehicle what it sends towards the lens in the light of the hour, and per unit of
the lamp; each exposure only weighs the two and warps the sum into the picture.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from hw_sim.light import (
    ASPHALT_REFLECTANCE,
    DAY_INFRARED_RATIO,
    INFRARED_TINT,
    LUMINANCE,
    MATT_PER_LAMP,
    MATT_PER_LUX,
    RETRO_PER_LAMP,
    Sky,
)
from hw_sim.optics import Linear, Scratch, grey_of, reflectance_of, strips
from hw_sim.world import Mask, Placed, Sheet, Vector

_VERGE_RATIO = 1.8  # the light from below comes from the verge too, which is brighter than asphalt
_CLEAR_COAT = 0.045  # what lacquer and glass mirror at right angles (Fresnel, n = 1.5)
_GLINT = 5.0
_TREE_LINE = 0.16  # the mirrored horizon is dark up to this slope

_STRIP_PX = 1 << 14  # what is worked out for so few at a time stays in the processor's cache
_TO_FOUR = cv2.COLOR_BGR2BGRA
_Plane = npt.NDArray[np.float32]
_Levels = npt.NDArray[np.uint8]
_Vectors = tuple[_Plane, _Plane, _Plane]
"""x, y and z: planes are worked on several times as fast as vectors of three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A drawn surface, (h, w). Colours are sRGB-coded reflectances.

    `relief_m` is the height outwards in metres, `gloss` the share of a mirror's polish, `retro` the share of
    retro-reflective sheeting, `glow` cd/m2 in blue, green, red of what shines by itself.
    """

    visible: _Levels  # (h, w, 3)
    infrared: _Levels
    gloss: _Plane
    relief_m: _Plane | None = None
    alpha: _Levels | None = None
    retro: _Levels | None = None
    glow: _Plane | None = None
    px_per_m: float = 100.0

    def cut(self, rows: slice) -> "Surface":
        """Return some rows of it, without relief."""
        return Surface(
            visible=self.visible[rows], infrared=self.infrared[rows], gloss=self.gloss[rows],
            retro=None if self.retro is None else self.retro[rows],
            glow=None if self.glow is None else self.glow[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How one exposure weighs a skin's parts: linear picture values per electron and microsecond."""

    ambient: float
    lamp: float
    retro: float


@dataclass(slots=True)
class _Level:
    """A skin at one size. The last sum is kept: by day it stays the same from exposure to exposure."""

    ambient: Linear
    lamp: Linear
    retro: Linear | None
    opacity: _Plane | None
    solid: _Levels | None = None  # instead of the opacity, in a grey picture: 255 where it is above a half
    weighed: tuple[Weights, Linear] | None = None

    def halved(self) -> "_Level":
        size = (max(1, self.ambient.shape[1] // 2), max(1, self.ambient.shape[0] // 2))

        def shrunk(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)

        return _Level(
            ambient=shrunk(self.ambient),
            lamp=shrunk(self.lamp),
            retro=None if self.retro is None else shrunk(self.retro),
            opacity=None if self.opacity is None else shrunk(self.opacity),
        )

    def grey(self) -> "_Level":
        """Return the same for a grey picture."""
        solid = None if self.opacity is None else np.where(self.opacity > 0.5, np.uint8(255), np.uint8(0))
        return _Level(
            ambient=grey_of(self.ambient), lamp=grey_of(self.lamp),
            retro=None if self.retro is None else grey_of(self.retro), opacity=None, solid=solid,
        )  # fmt: skip

    def sum(self, weights: Weights) -> Linear:
        """Return the light towards the lens until it is asked for again; in colour the opacity is its fourth plane."""
        if self.weighed is not None and self.weighed[0] == weights:
            return self.weighed[1]
        total = np.empty_like(self.ambient) if self.weighed is None else self.weighed[1]
        cv2.addWeighted(self.ambient, weights.ambient, self.lamp, weights.lamp, 0.0, dst=total)
        if self.retro is not None and weights.retro > 0.0:
            cv2.addWeighted(total, 1.0, self.retro, weights.retro, 0.0, dst=total)
        if self.opacity is not None:
            cv2.insertChannel(self.opacity, total, 3)
        self.weighed = (weights, total)
        return total


@dataclass(slots=True)
class Skin:
    """A surface in the hour's light: electrons per microsecond, at its own size and, when asked for, at its halves."""

    levels: list[_Level]
    greys: dict[int, _Level] = field(default_factory=dict)

    @property
    def is_retro(self) -> bool:
        """Whether any of it sends light back to where it comes from."""
        return self.levels[0].retro is not None

    def at(self, across_px: float, down_px: float, *, is_grey: bool) -> _Level:
        """Return the size that is least above the one shown, so that no fine line flickers."""
        index = self._index(across_px, down_px)
        if not is_grey:
            return self.levels[index]
        if index not in self.greys:
            self.greys[index] = self.levels[index].grey()
        return self.greys[index]

    def _index(self, across_px: float, down_px: float) -> int:
        index = 0
        while True:
            while len(self.levels) <= index:
                self.levels.append(self.levels[-1].halved())
            rows, columns = self.levels[index].ambient.shape[:2]
            if columns < 1.7 * max(1.0, across_px) or rows < 1.7 * max(1.0, down_px) or min(rows, columns) < 4:
                return index
            index += 1


def bake(surface: Surface, sheet: Sheet, towards_lens: Vector, sky: Sky) -> Skin:
    """Return what `surface` sends towards the lens when it hangs as `sheet` does; its front looks to the lens."""
    across = sheet.across_m / np.linalg.norm(sheet.across_m)
    down = sheet.down_m / np.linalg.norm(sheet.down_m)
    normal = np.cross(down, across)
    normal *= np.sign(normal @ towards_lens) or 1.0
    towards_lens = towards_lens / np.linalg.norm(towards_lens)
    normals = _normals(surface, normal, across, down)
    height, width = surface.visible.shape[:2]
    ambient, lamp = np.empty((height, width, 4), np.float32), np.empty((height, width, 4), np.float32)
    for rows in strips((height, width), _STRIP_PX):
        x, y, z = (plane if len(plane) == 1 else plane[rows] for plane in normals)
        light, infrared = _sent(surface.cut(rows), (x, y, z), towards_lens, sky)
        cv2.merge([*light, infrared], dst=ambient[rows])
        cv2.merge([*(infrared * tint for tint in INFRARED_TINT), infrared], dst=lamp[rows])
    retro = None
    if surface.retro is not None:
        sheeting = (surface.retro * np.float32(RETRO_PER_LAMP / 255.0))[..., None] * INFRARED_TINT
        retro = np.asarray(cv2.cvtColor(np.asarray(sheeting, np.float32), _TO_FOUR), np.float32)
    opacity = None if surface.alpha is None else surface.alpha.astype(np.float32) / np.float32(255.0)
    return Skin([_Level(ambient=ambient, lamp=lamp, retro=retro, opacity=opacity)])


def _sent(surface: Surface, normals: _Vectors, towards_lens: Vector, sky: Sky) -> tuple[list[_Plane], _Plane]:
    """Return what goes to the lens: of the hour's light in blue, green and red, and of the full lamp's; all (h, w)."""
    facing = np.maximum(_along(normals, towards_lens), 0.0)
    upward, sun = 0.5 + 0.5 * normals[2], np.maximum(_along(normals, sky.towards_sun), 0.0)
    below_lux = (1.0 - upward) * np.float32(_VERGE_RATIO * ASPHALT_REFLECTANCE * sky.ground_lux)
    infrared = reflectance_of(surface.infrared)
    unseen = infrared * (sun * np.float32(sky.sun_lux) + upward * np.float32(sky.sky_lux) + below_lux)
    unseen *= np.float32(MATT_PER_LUX * DAY_INFRARED_RATIO)
    mirrored = _mirrored(surface, normals, facing, towards_lens, sky) if np.any(surface.gloss) else None
    visible = cv2.split(surface.visible)
    light = []
    for channel, tint in enumerate(INFRARED_TINT):
        lux = sun * np.float32(sky.sun_bgr[channel] * sky.sun_lux) + below_lux
        lux += upward * np.float32(sky.sky_bgr[channel] * sky.sky_lux)
        plane = reflectance_of(np.asarray(visible[channel], np.uint8)) * (lux * np.float32(MATT_PER_LUX))
        plane += unseen * tint
        if mirrored is not None:
            plane += mirrored[channel]
        if surface.glow is not None:
            plane += surface.glow[:, :, channel] * np.float32(LUMINANCE)
        light.append(np.asarray(plane, np.float32))
    lamp = infrared * facing * np.float32(MATT_PER_LAMP)
    if surface.retro is not None:
        lamp *= 1.0 - surface.retro * np.float32(1.0 / 255.0)
    return light, np.asarray(lamp, np.float32)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A part of the linear picture that is being worked on; its first pixel is (left, top).

    `covered` marks what has been laid on it so far.
    """

    picture: Linear
    covered: Mask
    left: int
    top: int
    scratch: Scratch

    @property
    def is_grey(self) -> bool:
        """Whether the picture has one plane only."""
        return self.picture.ndim == 2

    def lay(self, placed: Placed, skin: Skin, weights: Weights) -> None:
        """Lay a skin on it: all of its outline hides what is below."""
        part = self._part(placed)
        if part is None:
            return
        low_x, low_y, window, covered = part
        size = (window.shape[1], window.shape[0])
        level = skin.at(placed.across_px, placed.down_px, is_grey=self.is_grey)
        matrix = _from_texture(placed, low_x, low_y, level.ambient.shape)
        mask = placed.fill(low_x, low_y, self.scratch.bytes("mask", covered.shape))
        colours = self.scratch.floats("colours", window.shape)
        cv2.warpPerspective(
            level.sum(weights), matrix, size, dst=colours, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if level.opacity is not None:
            opacity = cv2.extractChannel(colours, 3, dst=self.scratch.floats("opacity", covered.shape))
            mask[opacity <= 0.5] = 0  # cv2.compare would take the number for one pixel
        if level.solid is not None:
            solid = self.scratch.bytes("solid", covered.shape)
            cv2.warpPerspective(
                level.solid, matrix, size, dst=solid, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
            )
            cv2.bitwise_and(mask, solid, dst=mask)
        cv2.copyTo(colours, mask, window)
        cv2.bitwise_or(covered, mask, dst=covered)

    def tint(self, placed: Placed, alpha: _Plane | None, light: Linear | None) -> None:
        """Lay something translucent on it: what lies below keeps 1 - alpha, and `light` is added.

        `alpha` is float32 (h, w), `light` too or, in colour, float32 (h, w, 4), each of any size of its own; None takes
        or adds nothing.
        """
        part = self._part(placed)
        if part is None:
            return
        low_x, low_y, window, _ = part
        size = (window.shape[1], window.shape[0])
        if alpha is not None:
            matrix = _from_texture(placed, low_x, low_y, alpha.shape)
            kept = self.scratch.floats("kept", window.shape[:2])
            cv2.warpPerspective(1.0 - alpha, matrix, size, dst=kept, flags=cv2.INTER_LINEAR, borderValue=1.0)
            cv2.multiply(window, self._planes(kept), dst=window)
        if light is not None:
            matrix = _from_texture(placed, low_x, low_y, light.shape)
            more = self.scratch.floats("more", (*window.shape[:2], *light.shape[2:]))
            cv2.warpPerspective(light, matrix, size, dst=more, flags=cv2.INTER_LINEAR)
            cv2.add(window, more if light.ndim == window.ndim else self._planes(more), dst=window)

    def _planes(self, plane: _Plane) -> Linear:
        """Return `plane` for each of the picture's planes, in scratch memory."""
        if self.is_grey:
            return plane
        planes = self.scratch.floats("colours", (*plane.shape, 4))
        return np.asarray(cv2.merge([plane, plane, plane, plane], dst=planes), np.float32)

    def _part(self, placed: Placed) -> tuple[int, int, Linear, Mask] | None:
        """Return where the placed box begins, as pixels of the whole picture, and its part of the canvas."""
        low_x, low_y = max(placed.box[0], self.left), max(placed.box[1], self.top)
        high_x = min(placed.box[2], self.left + self.picture.shape[1])
        high_y = min(placed.box[3], self.top + self.picture.shape[0])
        if low_x >= high_x or low_y >= high_y:
            return None
        rows, columns = slice(low_y - self.top, high_y - self.top), slice(low_x - self.left, high_x - self.left)
        return low_x, low_y, self.picture[rows, columns], self.covered[rows, columns]


def _from_texture(placed: Placed, left: int, top: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the matrix from texture pixels to a window's; texture pixel i has its centre at (i + 0.5) / size."""
    rows, columns = shape[:2]
    to_share = np.array([[1.0 / columns, 0.0, 0.5 / columns], [0.0, 1.0 / rows, 0.5 / rows], [0.0, 0.0, 1.0]])
    shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
    return np.asarray(shift @ placed.matrix @ to_share, np.float64)


def _along(vectors: _Vectors, direction: Vector | tuple[float, float, float]) -> _Plane:
    """Return the scalar product with a direction."""
    x, y, z = (np.float32(each) for each in direction)
    return np.asarray(vectors[0] * x + vectors[1] * y + vectors[2] * z, np.float32)


def _normals(surface: Surface, normal: Vector, across: Vector, down: Vector) -> _Vectors:
    """Return unit normals: planes (h, w), or (1, 1) of a flat surface."""
    if surface.relief_m is None:
        x, y, z = (np.full((1, 1), each, np.float32) for each in normal)
        return x, y, z
    slope_across = cv2.Sobel(surface.relief_m, cv2.CV_32F, 1, 0, ksize=3, scale=surface.px_per_m / 8.0)
    slope_down = cv2.Sobel(surface.relief_m, cv2.CV_32F, 0, 1, ksize=3, scale=surface.px_per_m / 8.0)
    length = 1.0 / np.sqrt(1.0 + slope_across * slope_across + slope_down * slope_down)
    x, y, z = (
        np.asarray((np.float32(n) - slope_across * np.float32(a) - slope_down * np.float32(d)) * length, np.float32)
        for n, a, d in zip(normal, across, down, strict=True)
    )
    return x, y, z


def _mirrored(
    surface: Surface, normals: _Vectors, facing: _Plane, towards_lens: Vector, sky: Sky
) -> tuple[_Plane, _Plane, _Plane]:
    """Return what lacquer and glass mirror of sky, tree line and road (Schlick's form of Fresnel's equations)."""
    x, y, z = (2.0 * facing * plane - np.float32(lens) for plane, lens in zip(normals, towards_lens, strict=True))
    is_sky = np.clip((z - _TREE_LINE) / 0.1 + 0.5, 0.0, 1.0)
    is_road = np.clip((-0.02 - z) / 0.12, 0.0, 1.0)
    level = is_sky * (sky.sky_lux / np.pi) * (1.25 - 0.5 * np.clip(z, 0.0, 1.0))
    level += (1.0 - is_sky) * sky.ground_lux / np.pi * (0.05 + (ASPHALT_REFLECTANCE - 0.05) * is_road)
    beside = (1.0 - facing) * (1.0 - facing)
    fresnel = _CLEAR_COAT + (1.0 - _CLEAR_COAT) * beside * beside * (1.0 - facing)
    light = level * fresnel * surface.gloss * np.float32(LUMINANCE * (1.0 + DAY_INFRARED_RATIO))
    glint = np.zeros((1, 1), np.float32)
    if sky.sun_lux > 0:
        glint = np.asarray(np.clip(_along((x, y, z), sky.towards_sun), 0.0, 1.0), np.float32)
        for _ in range(8):  # to the power of 256
            glint *= glint
        glint = np.asarray(glint * surface.gloss * (_GLINT * sky.sun_lux / np.pi * LUMINANCE), np.float32)
    blue, green, red = (
        np.asarray(light * (1.0 + is_sky * np.float32(colour - 1.0)) + glint, np.float32) for colour in sky.sky_bgr
    )
    return blue, green, red

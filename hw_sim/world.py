"""The geometry of the simulated site: where the camera hangs, and how flat textured panels appear in its picture.

Owns projection and drawing of panels; knows nothing of vehicles, plates or time. Metres on the road: x to the right
of the lane's middle, y along the road and away from the camera, z up from the asphalt; the camera is above y = 0.
The one idea: all that moves is made of flat panels, and a flat panel in a pinhole picture is one homography.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
"""float64 (3,), metres."""

Texture = npt.NDArray[np.uint8]
"""uint8 (H, W, 4), blue, green, red, alpha; the colours are already multiplied with alpha."""

NEAREST_M = 0.6
"""What is nearer along the road than this is under the camera and outside every picture."""

FARTHEST_M = 250.0
"""Vehicles that are farther away are a few pixels and left out."""

_SMEAR_STEPS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Where the camera hangs, where it looks, and its lens. The defaults watch one lane, 3.4 m wide, from a pole.

    A focal length of 3600 pixels is a 12.5 mm lens before a sensor with 3.45 um pixels (IMX296).
    """

    width_px: int = 1280
    height_px: int = 720
    focal_px: float = 3600.0
    camera_x_m: float = 2.1
    camera_z_m: float = 3.4
    aim_x_m: float = 0.0
    aim_y_m: float = 9.6
    aim_z_m: float = 0.62


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A flat textured parallelogram. Texture columns run along `across_m`, rows along `down_m`, both full extents."""

    origin_m: Vector  # the corner that shows the texture's first pixel
    across_m: Vector
    down_m: Vector
    texture: Texture


class View:
    """A pinhole camera without roll and without distortion."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.position_m: Vector = np.array([mount.camera_x_m, 0.0, mount.camera_z_m])
        forward = np.array([mount.aim_x_m, mount.aim_y_m, mount.aim_z_m]) - self.position_m
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward])  # rows: right, down, forward
        lens = np.array(
            [
                [mount.focal_px, 0.0, (mount.width_px - 1) / 2.0],
                [0.0, mount.focal_px, (mount.height_px - 1) / 2.0],
                [0.0, 0.0, 1.0],
            ]
        )
        self._axes = axes
        self._matrix: npt.NDArray[np.float64] = lens @ axes

    def project(self, points_m: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return pixels (N, 2) of points (N, 3) that lie before the camera."""
        homogeneous = (points_m - self.position_m) @ self._matrix.T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:], np.float64)

    def holds(self, pixels: npt.NDArray[np.float64]) -> bool:
        """Return whether all pixels (N, 2) lie inside the picture."""
        limits = (self.mount.width_px - 1, self.mount.height_px - 1)
        return bool(np.all(pixels >= 0) and np.all(pixels <= limits))

    def homography(self, origin_m: Vector, across_m: Vector, down_m: Vector) -> npt.NDArray[np.float64]:
        """Return the 3x3 matrix from (share of across, share of down, 1) to pixels."""
        columns = np.stack([across_m, down_m, origin_m - self.position_m], axis=1)
        return np.asarray(self._matrix @ columns, np.float64)

    def farthest_m(self) -> float:
        """Return how far along the road the picture reaches on the ground; at most FARTHEST_M."""
        rise = float(np.max(self.rays()[0, :, 2]))
        return FARTHEST_M if rise > -1e-3 else min(FARTHEST_M, self.mount.camera_z_m / -rise)

    def rays(self) -> npt.NDArray[np.float32]:
        """Return the direction of each pixel's ray in road axes, float32 (H, W, 3), not normalised."""
        columns = (np.arange(self.mount.width_px) - (self.mount.width_px - 1) / 2.0) / self.mount.focal_px
        rows = (np.arange(self.mount.height_px) - (self.mount.height_px - 1) / 2.0) / self.mount.focal_px
        x, y = np.meshgrid(columns, rows)
        return np.asarray(np.stack([x, y, np.ones_like(x)], axis=-1) @ self._axes, np.float32)


class Layer:
    """A transparent cut-out of the picture on which panels are laid, farthest first; then it goes over a background."""

    def __init__(self, view: View, panels: list[Panel]) -> None:
        """Place `panels` in the picture; those outside it, or under the camera, are left out."""
        self._view = view
        self._placed = [placed for placed in (_place(view, panel) for panel in panels) if placed is not None]
        self._pixels: Texture | None = None
        if self._placed:
            boxes = np.array([placed.box for placed in self._placed])
            self.left, self.top = int(boxes[:, 0].min()), int(boxes[:, 1].min())
            right, bottom = int(boxes[:, 2].max()), int(boxes[:, 3].max())
            self._pixels = np.zeros((bottom - self.top, right - self.left, 4), np.uint8)
            for placed in self._placed:
                self._lay(placed, self._pixels)

    def smear(self, way_px: npt.NDArray[np.float64], optics_px: float) -> None:
        """Blur everything on the layer: the Gaussian `optics_px` of the lens, drawn out along the motion (x, y)."""
        if self._pixels is None:
            return
        across, down = _line_kernel(way_px[0], optics_px), _line_kernel(way_px[1], optics_px)
        if max(across.size, down.size) <= 5:
            # So short a line differs from the box around it by less than the optics, and the box is six times faster.
            self._pixels = np.asarray(cv2.sepFilter2D(self._pixels, -1, across, down), np.uint8)
            return
        self._pixels = np.asarray(cv2.filter2D(self._pixels, -1, _slanted_kernel(way_px, optics_px)), np.uint8)

    def put_on(self, picture: npt.NDArray[np.uint8]) -> None:
        """Lay the layer over `picture`, uint8 (H, W, 3), in place."""
        if self._pixels is None:
            return
        rows, columns = self._pixels.shape[:2]
        window = picture[self.top : self.top + rows, self.left : self.left + columns]
        clear = cv2.cvtColor(cv2.bitwise_not(self._pixels[:, :, 3]), cv2.COLOR_GRAY2BGR)
        cv2.multiply(window, clear, dst=clear, scale=1.0 / 255.0)
        window[:] = cv2.add(clear, cv2.cvtColor(self._pixels, cv2.COLOR_BGRA2BGR))

    def _lay(self, placed: "_Placed", pixels: Texture) -> None:
        left, top, right, bottom = placed.box
        shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        warped = cv2.warpPerspective(
            placed.texture, shift @ placed.matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR
        )
        window = pixels[top - self.top : bottom - self.top, left - self.left : right - self.left]
        clear = cv2.bitwise_not(warped[:, :, 3])
        below = cv2.multiply(window, cv2.merge([clear, clear, clear, clear]), scale=1.0 / 255.0)
        window[:] = cv2.add(below, warped)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A panel in the picture: the matrix leads from texture pixels to pixels; the box is left, top, right, bottom."""

    texture: Texture
    matrix: npt.NDArray[np.float64]
    box: tuple[int, int, int, int]


def _place(view: View, panel: Panel) -> _Placed | None:
    panel_in_front = _cut_near(panel)
    if panel_in_front is None:
        return None
    origin, across, down = panel_in_front.origin_m, panel_in_front.across_m, panel_in_front.down_m
    corners = view.project(np.stack([origin, origin + across, origin + across + down, origin + down]))
    low = np.floor(corners.min(axis=0)) - 1
    high = np.ceil(corners.max(axis=0)) + 2
    left, top = (int(value) for value in np.maximum(low, 0))
    right, bottom = int(min(high[0], view.mount.width_px)), int(min(high[1], view.mount.height_px))
    if left >= right or top >= bottom:
        return None
    texture = _shrunk(panel_in_front.texture, corners)
    rows, columns = texture.shape[:2]
    # Texture pixel i has its centre at share (i + 0.5) / size.
    to_share = np.array([[1.0 / columns, 0.0, 0.5 / columns], [0.0, 1.0 / rows, 0.5 / rows], [0.0, 0.0, 1.0]])
    return _Placed(
        texture=texture, matrix=view.homography(origin, across, down) @ to_share, box=(left, top, right, bottom)
    )


def _cut_near(panel: Panel) -> Panel | None:
    """Return the part of `panel` that lies before the camera: whole texture columns or rows are cut off."""
    origin, across, down, texture = panel.origin_m, panel.across_m, panel.down_m, panel.texture
    if abs(down[1]) > abs(across[1]):
        first, last = _shares_in_front(origin[1], down[1], texture.shape[0])
        part = texture[first:last]
        begin, extent = down * (first / texture.shape[0]), down * ((last - first) / texture.shape[0])
        return None if last <= first else Panel(origin_m=origin + begin, across_m=across, down_m=extent, texture=part)
    first, last = _shares_in_front(origin[1], across[1], texture.shape[1])
    part = texture[:, first:last]
    begin, extent = across * (first / texture.shape[1]), across * ((last - first) / texture.shape[1])
    return None if last <= first else Panel(origin_m=origin + begin, across_m=extent, down_m=down, texture=part)


def _shares_in_front(origin_y_m: float, extent_y_m: float, count: int) -> tuple[int, int]:
    """Return the first and the end index of `count` pixels from `origin_y_m` on that lie beyond NEAREST_M."""
    if abs(extent_y_m) < 1e-6:
        return (0, count) if origin_y_m > NEAREST_M else (0, 0)
    crossing = (NEAREST_M - origin_y_m) / extent_y_m * count
    if extent_y_m > 0:
        return int(np.clip(np.ceil(crossing), 0, count)), count
    return 0, int(np.clip(np.floor(crossing), 0, count))


def _shrunk(texture: Texture, corners: npt.NDArray[np.float64]) -> Texture:
    """Halve the texture as long as it has twice the pixels of its image, so that no fine line flickers."""
    shown_px = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    across_px, down_px = max(shown_px[0], shown_px[2]), max(shown_px[1], shown_px[3])
    rows, columns = texture.shape[:2]
    columns_wanted = max(2, int(columns / 2 ** max(0, int(np.log2(max(1.0, columns / max(1.0, across_px)))))))
    rows_wanted = max(2, int(rows / 2 ** max(0, int(np.log2(max(1.0, rows / max(1.0, down_px)))))))
    if (rows_wanted, columns_wanted) == (rows, columns):
        return texture
    return np.asarray(cv2.resize(texture, (columns_wanted, rows_wanted), interpolation=cv2.INTER_AREA), np.uint8)


def _line_kernel(way_px: float, optics_px: float) -> npt.NDArray[np.float32]:
    """Return a normalised kernel of one axis: the lens's Gaussian, drawn out over `way_px`."""
    radius = max(1, math.ceil(abs(way_px) / 2.0 + optics_px - 0.25))
    offsets = np.arange(-radius, radius + 1)
    steps = np.linspace(-0.5, 0.5, _SMEAR_STEPS) * way_px
    kernel = np.exp(-((offsets[None, :] - steps[:, None]) ** 2) / (2.0 * optics_px**2)).sum(axis=0)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _slanted_kernel(way_px: npt.NDArray[np.float64], optics_px: float) -> npt.NDArray[np.float32]:
    """Return a normalised square kernel: the lens's Gaussian, drawn out along a line in any direction."""
    radius = math.ceil(float(np.abs(way_px).max()) / 2.0 + optics_px)
    offsets = np.arange(-radius, radius + 1)
    steps = np.linspace(-0.5, 0.5, max(_SMEAR_STEPS, 4 * radius))[:, None] * way_px[None, :]
    across = np.exp(-((offsets[None, :] - steps[:, :1]) ** 2) / (2.0 * optics_px**2))
    down = np.exp(-((offsets[None, :] - steps[:, 1:]) ** 2) / (2.0 * optics_px**2))
    kernel = np.einsum("ni,nj->ij", down, across)
    return np.asarray(kernel / kernel.sum(), np.float32)

"""The geometry of the simulated site: where the camera hangs, and where flat panels appear in its picture.

Owns projection; knows nothing of light, vehicles, plates or time. Metres on the road: x to the right of the lane's
middle, y along the road and away from the camera, z up from the asphalt; the camera is above y = 0.
The one idea: all that moves is made of flat panels, and a flat panel in a pinhole picture is one homography.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
"""float64 (3,), metres."""

Points = npt.NDArray[np.float64]
"""float64 (N, 2) pixels, or (N, 3) metres."""

Mask = npt.NDArray[np.uint8]
"""uint8 (H, W): 255 is inside."""

NEAREST_M = 0.6
"""What is nearer along the road than this is under the camera and outside every picture."""

FARTHEST_M = 250.0
"""Vehicles that are farther away are a few pixels and left out."""

SMALL_DIVISOR = 4
"""The small picture is a quarter of the large one wide and high."""

_AIMED_FROM_M = 10.0  # any length: only the direction counts
_SHIFT_BITS = 4  # OpenCV's fixed-point coordinates of polygons


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Where the camera hangs, where it looks, and its lens. The defaults watch one lane, 3.5 m wide, from a pole.

    The sensor is the IMX296: 1456 x 1088 pixels of 3.45 um, so that 4638 pixels of focal length are a 16 mm lens. From
    6.9 to 10.5 m down the road a plate of 12 inches is 205 to 130 pixels wide, and the lens looks at it 25 to 18
    degrees off the direction of travel. `row_s` is the time from row to row of a rolling shutter; 0: a global one.
    `defocus_px` is the blur of a focus ring that is not where it should be, as the sigma of a Gaussian.
    """

    width_px: int = 1456
    height_px: int = 1088
    focal_px: float = 4638.0
    camera_x_m: float = 2.1
    camera_z_m: float = 3.4
    aim_x_m: float = 0.0
    aim_y_m: float = 9.6
    aim_z_m: float = 0.72
    row_s: float = 0.0
    defocus_px: float = 0.0

    def reduced(self, by: int) -> "Mount":
        """Return the same lens before a sensor whose pixels are `by` times as wide and high."""
        return replace(
            self,
            width_px=self.width_px // by,
            height_px=self.height_px // by,
            focal_px=self.focal_px / by,
            row_s=self.row_s * by,
            defocus_px=self.defocus_px / by,
        )

    def turned(self, *, right_deg: float = 0.0, up_deg: float = 0.0) -> "Mount":
        """Return the same camera, turned on its bracket: first about the upright, then in its tilt."""
        x_m, y_m, z_m = self.aim_x_m - self.camera_x_m, self.aim_y_m, self.aim_z_m - self.camera_z_m
        yaw_rad = math.atan2(x_m, y_m) + math.radians(right_deg)
        rise_rad = math.atan2(z_m, math.hypot(x_m, y_m)) + math.radians(up_deg)
        return replace(
            self,
            aim_x_m=self.camera_x_m + _AIMED_FROM_M * math.sin(yaw_rad) * math.cos(rise_rad),
            aim_y_m=_AIMED_FROM_M * math.cos(yaw_rad) * math.cos(rise_rad),
            aim_z_m=self.camera_z_m + _AIMED_FROM_M * math.sin(rise_rad),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A flat parallelogram: columns run along `across_m`, rows along `down_m`, both full extents."""

    origin_m: Vector  # the corner of the first column and row
    across_m: Vector
    down_m: Vector

    def moved(self, shift_m: Vector) -> "Sheet":
        """Return the same sheet elsewhere."""
        return Sheet(origin_m=self.origin_m + shift_m, across_m=self.across_m, down_m=self.down_m)

    def mirrored(self, axis: int) -> "Sheet":
        """Return the sheet's mirror image at the plane through zero that stands upright on `axis`."""
        flip = np.ones(3)
        flip[axis] = -1.0
        return Sheet(origin_m=self.origin_m * flip, across_m=self.across_m * flip, down_m=self.down_m * flip)

    def corners_m(self) -> Points:
        """Return the corners, float64 (4, 3), clockwise from the first column and row."""
        origin, across, down = self.origin_m, self.across_m, self.down_m
        return np.stack([origin, origin + across, origin + across + down, origin + down])

    def middle_m(self) -> Vector:
        """Return the middle."""
        return np.asarray(self.origin_m + (self.across_m + self.down_m) / 2.0, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A sheet in the picture. `matrix` leads from shares (across, down, 1) to pixels.

    `box` is left, top, right, bottom; `outline_px` is the visible quadrangle, `across_px` and
    `down_px` are the largest lengths of the whole sheet's edges.
    """

    matrix: npt.NDArray[np.float64]
    box: tuple[int, int, int, int]
    outline_px: Points
    across_px: float
    down_px: float

    def enlarged(self, by: int) -> "Placed":
        """Return the same place in a picture whose pixels are `by` times smaller."""
        middle = (by - 1) / 2.0
        left, top, right, bottom = self.box
        return Placed(
            matrix=np.array([[by, 0.0, middle], [0.0, by, middle], [0.0, 0.0, 1.0]]) @ self.matrix,
            box=(left * by, top * by, right * by, bottom * by),
            outline_px=self.outline_px * by + middle,
            across_px=self.across_px * by,
            down_px=self.down_px * by,
        )

    def fill(self, left: int, top: int, mask: Mask) -> Mask:
        """Set `mask`, whose first pixel is (left, top), to the quadrangle, and return it."""
        mask[:] = 0
        points = np.round((self.outline_px - (left, top)) * (1 << _SHIFT_BITS)).astype(np.int32)
        cv2.fillConvexPoly(mask, points, 255, cv2.LINE_8, _SHIFT_BITS)
        return mask


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
        self.forward: Vector = forward
        self._axes = axes
        self._matrix: npt.NDArray[np.float64] = lens @ axes

    def project(self, points_m: Points) -> Points:
        """Return pixels (N, 2) of points (N, 3) that lie before the camera."""
        homogeneous = (points_m - self.position_m) @ self._matrix.T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:], np.float64)

    def holds(self, pixels: Points) -> bool:
        """Return whether all pixels (N, 2) lie inside the picture."""
        limits = (self.mount.width_px - 1, self.mount.height_px - 1)
        return bool(np.all(pixels >= 0) and np.all(pixels <= limits))

    def homography(self, sheet: Sheet) -> npt.NDArray[np.float64]:
        """Return the 3x3 matrix from (share of across, share of down, 1) to pixels."""
        columns = np.stack([sheet.across_m, sheet.down_m, sheet.origin_m - self.position_m], axis=1)
        return np.asarray(self._matrix @ columns, np.float64)

    def farthest_m(self) -> float:
        """Return how far along the road the picture reaches on the ground; at most FARTHEST_M."""
        # Without roll, the rays of the upper row all rise alike; float32, as `rays` are.
        upper = np.array([0.0, -(self.mount.height_px - 1) / 2.0 / self.mount.focal_px, 1.0])
        rise = float(np.float32(upper @ self._axes[:, 2]))
        return FARTHEST_M if rise > -1e-3 else min(FARTHEST_M, self.mount.camera_z_m / -rise)

    def rays(self) -> npt.NDArray[np.float32]:
        """Return the direction of each pixel's ray in road axes, float32 (H, W, 3), not normalised."""
        columns = (np.arange(self.mount.width_px) - (self.mount.width_px - 1) / 2.0) / self.mount.focal_px
        rows = (np.arange(self.mount.height_px) - (self.mount.height_px - 1) / 2.0) / self.mount.focal_px
        x, y = np.meshgrid(columns, rows)
        return np.asarray(np.stack([x, y, np.ones_like(x)], axis=-1) @ self._axes, np.float32)

    def place(self, sheet: Sheet, shear: npt.NDArray[np.float64] | None = None) -> Placed | None:
        """Return where `sheet` appears, None when it is outside the picture or under the camera.

        `shear` is what a rolling shutter does to the picture of what moves, a 3x3 matrix from pixels to pixels.
        """
        shares = _shares_in_front(sheet)
        if shares is None:
            return None
        matrix = self.homography(sheet)
        if shear is not None:
            matrix = shear @ matrix
        rows = matrix.tolist()
        outline = []
        for across, down in shares:  # plain numbers: there are many sheets in each picture, and few corners
            x, y, depth = (row[0] * across + row[1] * down + row[2] for row in rows)
            outline.append((x / depth, y / depth))
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = outline
        left, top = max(0, math.floor(min(x0, x1, x2, x3)) - 1), max(0, math.floor(min(y0, y1, y2, y3)) - 1)
        right = min(self.mount.width_px, math.ceil(max(x0, x1, x2, x3)) + 2)
        bottom = min(self.mount.height_px, math.ceil(max(y0, y1, y2, y3)) + 2)
        if left >= right or top >= bottom:
            return None
        across_px = max(math.hypot(x1 - x0, y1 - y0), math.hypot(x2 - x3, y2 - y3))
        down_px = max(math.hypot(x3 - x0, y3 - y0), math.hypot(x2 - x1, y2 - y1))
        return Placed(
            matrix=matrix, box=(left, top, right, bottom), outline_px=np.array(outline),
            across_px=across_px / (shares[1][0] - shares[0][0]), down_px=down_px / (shares[3][1] - shares[0][1]),
        )  # fmt: skip

    def shear(self, way_px_s: Points) -> npt.NDArray[np.float64] | None:
        """Return what the rolling shutter does to the picture of what moves by (x, y) pixels a second.

        Row r is exposed r * row_s after row 0: p' = p + velocity * row_s * r'. None for a global shutter.
        """
        if self.mount.row_s == 0.0:
            return None
        across, down = way_px_s * self.mount.row_s
        stretch = 1.0 / (1.0 - down)
        return np.array([[1.0, across * stretch, 0.0], [0.0, stretch, 0.0], [0.0, 0.0, 1.0]])


def _shares_in_front(sheet: Sheet) -> list[tuple[float, float]] | None:
    """Return the part of `sheet` before the camera as four corners in shares (across, down); None: no part."""
    across_y, down_y = float(sheet.across_m[1]), float(sheet.down_m[1])
    low, high = [0.0, 0.0], [1.0, 1.0]
    along = 1 if abs(down_y) > abs(across_y) else 0
    extent_y, start_y = (down_y, across_y)[1 - along], float(sheet.origin_m[1])
    start_y += min(0.0, (across_y, down_y)[1 - along])
    if abs(extent_y) < 1e-6:
        if start_y <= NEAREST_M:
            return None
    else:
        crossing = (NEAREST_M - start_y) / extent_y
        if extent_y > 0:
            low[along] = max(0.0, crossing)
        else:
            high[along] = min(1.0, crossing)
        if high[along] - low[along] < 1e-3:
            return None
    return [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]


def angle_deg(first: Vector, second: Vector) -> float:
    """Return the angle between two directions."""
    cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))

"""Where things on a straight, level road appear in the picture of a unit that hangs beside it. Pure geometry.

Owns the camera as a pinhole without roll, and what plates that drive through the picture say of how it hangs. Metres on
the road: x to the right of the lane's middle as its traffic sees it, y along the road from the unit's foot, z up.

The one idea: what drives straight on goes towards one point of the picture, where the road meets the horizon, and at
constant speed it comes nearer to it as one over the time. So a few vehicles tell how the camera is turned and tilted,
without any mark on the road, whatever lane, height or plate was theirs. And with that point at width zero, the place of
a plate in the picture is a straight line in its width, which says where plates will be large enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.config import MountConfig
from firmware.exposure import M_S_PER_MPH, PLATE_WIDTH_M

PITCH_MM = 0.00345
SENSOR_WIDTH_PX, SENSOR_HEIGHT_PX = 1456, 1088
"""The IMX296's pixels (raspberrypi/documentation, camera_hardware.adoc)."""

FRAME_RATE_HZ = 30.0
"""What the unit's camera runs at."""

PLATE_HEIGHT_M = 0.72
"""Of a plate's middle above the road: cars carry theirs at 0.4 to 1.0 m."""

_SETTLED = 3  # rounds of leaving out what does not fit
_FEWEST_SIGHTS = 4
_FARTHEST_OFF_PX = 4.0
_ROW_PX = 20.0  # from one of the places that are looked at to the next, near the unit
_LEAST_DEPTH_RATIO = 1.15  # a vehicle that comes no farther than this says nothing of where it goes

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How a camera is turned. `right_deg`: beside the direction of travel, to the right; `down_deg`: its tilt."""

    right_deg: float
    down_deg: float


@dataclass(frozen=True, slots=True)
class Pinhole:
    """A lens before a sensor, turned in some way."""

    width_px: int
    height_px: int
    focal_px: float
    pose: Pose

    @classmethod
    def planned(cls, mount: MountConfig, width_px: int, height_px: int) -> "Pinhole":
        """Return the camera as the site's file wants it: the lane's plates at `ahead_m` in the middle."""
        way_m = math.hypot(mount.beside_m, mount.ahead_m)
        pose = Pose(
            right_deg=-math.degrees(math.atan2(mount.beside_m, mount.ahead_m)),
            down_deg=math.degrees(math.atan2(mount.height_m - PLATE_HEIGHT_M, way_m)),
        )
        return cls(width_px, height_px, focal_px(mount.lens_mm, width_px), pose)

    def turned(self, pose: Pose) -> "Pinhole":
        """Return the same lens, turned as `pose` says."""
        return Pinhole(self.width_px, self.height_px, self.focal_px, pose)

    @property
    def middle_px(self) -> tuple[float, float]:
        """The picture's middle."""
        return (self.width_px - 1) / 2.0, (self.height_px - 1) / 2.0

    def vanishing_px(self) -> tuple[float, float]:
        """Return where the road meets the horizon, which may be far outside the picture."""
        right, down = math.radians(self.pose.right_deg), math.radians(self.pose.down_deg)
        x, y = self.middle_px
        return x - self.focal_px * math.tan(right) / math.cos(down), y - self.focal_px * math.tan(down)

    def place_px(self, from_lens_m: Points) -> Points:
        """Return pixels (N, 2) of points (N, 3) in metres from the lens: right, along the road, up; before the lens."""
        right, down = math.radians(self.pose.right_deg), math.radians(self.pose.down_deg)
        forward = np.array([math.sin(right) * math.cos(down), math.cos(right) * math.cos(down), -math.sin(down)])
        across = np.array([math.cos(right), -math.sin(right), 0.0])
        seen = from_lens_m @ np.stack([across, np.cross(forward, across), forward]).T
        return np.asarray(seen[:, :2] / seen[:, 2:] * self.focal_px + self.middle_px, np.float64)

    def beside_travel_deg(self, point_px: tuple[float, float]) -> float:
        """Return the angle between the ray through a pixel and the direction of travel."""
        return _between_deg(self._ray(point_px), self._ray(self.vanishing_px()))

    def off_middle_deg(self, point_px: tuple[float, float]) -> tuple[float, float]:
        """Return by how much the camera must turn right and up to have a pixel's ray in its middle."""
        x, y, z = self._ray(point_px)
        return math.degrees(math.atan2(x, z)), -math.degrees(math.atan2(y, z))

    def _ray(self, point_px: tuple[float, float]) -> tuple[float, float, float]:
        x, y = self.middle_px
        return (point_px[0] - x) / self.focal_px, (point_px[1] - y) / self.focal_px, 1.0


def focal_px(lens_mm: float, width_px: int) -> float:
    """Return a lens's focal length in pixels of a picture of the whole sensor, `width_px` wide."""
    return lens_mm / PITCH_MM * width_px / SENSOR_WIDTH_PX


def pose_of(camera: Pinhole, vanishing_px: tuple[float, float]) -> Pose:
    """Return how the camera is turned if the road vanishes at this pixel."""
    x, y = camera.middle_px
    down = math.atan2(y - vanishing_px[1], camera.focal_px)
    right = -math.atan2((vanishing_px[0] - x) * math.cos(down), camera.focal_px)
    return Pose(right_deg=math.degrees(right), down_deg=math.degrees(down))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The ways of plates through the picture: the point at which they vanish, and each one's pixels per pixel of width.

    A plate of width w of vehicle i is at vanishing_px + slopes[i] * w. `slopes` is float64 (N, 2), N from 1.
    """

    vanishing_px: tuple[float, float]
    slopes: Points

    def at(self, width_px: float) -> tuple[float, float]:
        """Return where the usual vehicle's plate has this width: the median of them."""
        x, y = np.median(self.slopes, axis=0) * width_px + self.vanishing_px
        return float(x), float(y)


def lines_of(ways: Sequence[Points]) -> Lines | None:
    """Return the lines on which plates went; None if no way says enough.

    A way is float64 (n, 4): seconds, x, y and width in pixels. The vanishing point is the median of those of all ways,
    so that one vehicle that brakes, or two taken for one, do no harm.
    """
    vanishing = [point for point in map(vanishing_of, ways) if point is not None]
    if not vanishing:
        return None
    point = np.median(np.array(vanishing), axis=0)
    slopes = [way[:, 3] @ (way[:, 1:3] - point) / (way[:, 3] @ way[:, 3]) for way in ways if len(way) > 1]
    return Lines(vanishing_px=(float(point[0]), float(point[1])), slopes=np.array(slopes))


def vanishing_of(way: Points) -> tuple[float, float] | None:
    """Return the pixel towards which one plate went, float64 (n, 4) as for `lines_of`; None if that is unsure.

    At constant speed depth grows evenly, so that the plate is at V + A / (1 + b t): multiplied out, a linear system in
    b, V + A and V b. Its width is not asked, because detectors draw small plates too large.
    """
    if len(way) < _FEWEST_SIGHTS:
        return None
    count, t = len(way), way[:, 0] - way[:, 0].mean()
    origin = way[:, 1:3].mean(axis=0)
    x, y = (way[:, 1:3] - origin).T
    columns = np.zeros((2 * count, 5))
    columns[:count, 0], columns[count:, 0] = -t * x, -t * y
    columns[:count, 1] = columns[count:, 3] = 1.0
    columns[:count, 2] = columns[count:, 4] = t
    places, kept = np.concatenate([x, y]), np.ones(count, bool)
    solution, off_px = np.zeros(5), np.zeros(count)
    for _ in range(_SETTLED):
        both = np.tile(kept, 2)
        solution = np.linalg.lstsq(columns[both], places[both], rcond=None)[0]
        off_px = np.hypot(*(columns @ solution - places).reshape(2, count))
        kept = off_px <= max(3.0, 3.0 * float(np.median(off_px[kept])))
    depths = 1.0 + solution[0] * t[kept]
    is_sure = (
        np.count_nonzero(kept) >= _FEWEST_SIGHTS
        and float(np.sqrt(np.mean(off_px[kept] ** 2))) <= _FARTHEST_OFF_PX
        and depths.min() > 0.1
        and depths.max() / depths.min() >= _LEAST_DEPTH_RATIO
    )
    if not is_sure:
        return None
    return float(solution[2] / solution[0] + origin[0]), float(solution[4] / solution[0] + origin[1])


def width_at_row_px(hung: Pinhole, mount: MountConfig, row_px: float) -> float | None:
    """Return how wide a plate on the lane's middle is at a row of the picture, None if it is never there."""
    along_m = np.linspace(2.0, 120.0, 2400)
    heights = np.full_like(along_m, PLATE_HEIGHT_M - mount.height_m)
    middle = np.stack([np.full_like(along_m, -mount.beside_m), along_m, heights], axis=1)
    half = np.array([PLATE_WIDTH_M / 2.0, 0.0, 0.0])
    left, right = hung.place_px(middle - half), hung.place_px(middle + half)
    rows = (left[:, 1] + right[:, 1]) / 2.0
    at = int(np.argmin(np.abs(rows - row_px)))
    return float(np.linalg.norm(right[at] - left[at])) if abs(rows[at] - row_px) <= _ROW_PX else None


def blur_px(*, speed_mph: float, angle_deg: float, width_px: float, exposure_us: float) -> float:
    """Return how far a plate `width_px` wide moves across the picture during an exposure.

    v sin(angle) is its speed across the line of sight; the plate's own 0.305 m are its ruler (as in
    `firmware.exposure.longest_exposure_us`): 1 px for 130 px at 75 mph, 20 degrees and 204 us.
    """
    across_m_s = speed_mph * M_S_PER_MPH * math.sin(math.radians(angle_deg))
    return across_m_s * width_px / PLATE_WIDTH_M * exposure_us * 1e-6


def travelled_m(camera: Pinhole, far_px: float, near_px: float) -> float:
    """Return how much road lies between plates `far_px` and `near_px` wide: depth goes with one over the width."""
    right, down = math.radians(camera.pose.right_deg), math.radians(camera.pose.down_deg)
    depth_m = camera.focal_px * PLATE_WIDTH_M * (1.0 / far_px - 1.0 / near_px)
    return depth_m / max(0.2, math.cos(right) * math.cos(down))


def _between_deg(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    cosine = float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))

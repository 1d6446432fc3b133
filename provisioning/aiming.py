"""How well a unit is aimed: what its camera saw goes in, numbers and the next advice come out. Pure, and no words.

Where plates are found in the traffic, they tell; where none is, motion says on which side the traffic is. What was seen
before the camera was turned is forgotten, so that the answer is always about how it hangs now.
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firmware.config import CaptureConfig, MountConfig
from firmware.exposure import M_S_PER_MPH, PLATE_PX, PLATE_WIDTH_M, Phase
from firmware.lane import Point
from firmware.records import Box, Frame, Grey, Light
from provisioning import aim_advice, focus, pinhole
from provisioning.aim_advice import Advised, FromPicture, FromPlates
from provisioning.pinhole import FRAME_RATE_HZ, Lines, Pinhole, Pose
from provisioning.sightings import LightShares, Sighting, light_shares, sighted
from provisioning.stillness import Stillness

WANTED_PX = 150.0
"""Width of plates in the picture's middle: then they are above 130 px (`firmware.exposure.PLATE_PX`) in the lower half.
"""

FRAMES_AT_LEAST = 3
"""Pictures of each plate that is wide enough: below, nothing can be voted."""

KEPT_S, SIGHTS_KEPT, SHOTS_KEPT = 45.0, 400, 90
NEXT_VEHICLE_S = 0.5

PLAN_VEHICLES = 4
"""The site's plan counts as so many vehicles: a few of them may all carry their plates low, or keep to one side, by two
degrees; many of them are right, and the plan may be wrong."""

GRID = 3
"""Cells of motion across and down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthAt:
    """Plate width in a third of the picture: the median of those found there, and by geometry (mount and turn).

    Geometry is asked for the middle row of those found, or the third's own where there is none.
    """

    geometry_px: float | None
    measured_px: float | None
    plates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """The answer. What is not known yet is None.

    `good_for_mph` is the fastest traffic of which each plate is in three pictures, wide enough and not blurred.
    `lane_found` are the corners of a lane mask around the traffic.
    """

    advised: Advised
    posted_mph: float
    good_for_mph: float | None
    near: WidthAt
    mid: WidthAt
    far: WidthAt
    pose: Pose | None
    planned_pose: Pose
    angle_deg: float | None
    focus_px: float | None
    best_focus_px: float | None
    exposure_blur_px: float | None
    exposure_us: float
    gain: float
    phase: Phase
    saturated_ratio: float
    black_ratio: float
    glare_ratio: float
    plate_level: float | None
    plate_contrast: float | None
    retro_reflects: bool | None
    in_lane_ratio: float | None
    lane_found: tuple[Point, ...]
    vehicles: int
    plates: int


class Aiming:
    """Takes in what the camera sees and says at any time how it is aimed."""

    def __init__(self, capture: CaptureConfig, mount: MountConfig, *, has_lamp: bool) -> None:
        self._capture, self._mount, self._has_lamp = capture, mount, has_lamp
        self._phase = Phase.DAY
        self._light = Light(exposure_us=0.0, gain=1.0)
        self._size_px = (pinhole.SENSOR_WIDTH_PX, pinhole.SENSOR_HEIGHT_PX)
        self._best_focus_px: float | None = None
        self._stillness = Stillness()
        self._forget()

    def _forget(self) -> None:
        self._ways: deque[list[Sighting]] = deque()
        self._moving: deque[tuple[float, tuple[float, ...]]] = deque()
        self._shares: deque[LightShares] = deque(maxlen=SHOTS_KEPT)
        self._still_focus: deque[float] = deque(maxlen=5)
        self._since_s: float | None = None
        self._seen_s = 0.0

    def note_shot(self, small: Grey, light: Light, at_s: float, *, phase: Phase, cells: Sequence[float]) -> None:
        """Take in a shot's small picture, uint8 (h, w), and what share moved of each of GRID x GRID cells, by rows."""
        self._phase, self._light = phase, light
        moves = max(cells) > 0
        if self._stillness.see(small, at_s, moves=moves):
            self._forget()
        if self._since_s is None:
            self._since_s = at_s
        self._seen_s = at_s - self._since_s
        self._shares.append(light_shares(small))
        if moves:
            self._moving.append((at_s, tuple(cells)))
        while self._moving and at_s - self._moving[0][0] > KEPT_S:
            self._moving.popleft()

    def note_picture(self, frame: Frame, boxes: Sequence[Box], *, moves: bool) -> None:
        """Take in a whole picture with the plates that the detector found in it, while something moved or not."""
        self._size_px = (frame.image.shape[1], frame.image.shape[0])
        seen = sighted(frame, boxes, self._capture.lane)
        for one in seen:
            self._join(one)
        while self._ways and frame.at_s - self._ways[0][-1].at_s > KEPT_S:
            self._ways.popleft()
        while sum(map(len, self._ways)) > SIGHTS_KEPT:
            self._ways.popleft()
        if not moves and not seen:
            blur = focus.blur_px(np.asarray(frame.image[:, :, 1], np.uint8))
            if blur is not None:
                self._still_focus.append(blur)
        current = self._focus_px()
        if current is not None:
            self._best_focus_px = min(current, self._best_focus_px or math.inf)

    def aim(self) -> Aim:
        """Return how it stands now."""
        sights = [one for way in self._ways for one in way]
        camera = Pinhole.planned(self._mount, *self._size_px)
        lines = pinhole.lines_of([_as_array(way) for way in self._ways])
        pose = None if lines is None else pinhole.pose_of(camera, lines.vanishing_px)
        hung = camera if pose is None else camera.turned(pose)
        exposure_us = max((one.exposure_us for one in sights), default=self._light.exposure_us)
        plates = self._from_plates(sights, hung, lines, exposure_us)
        is_enough = len(sights) >= aim_advice.FEWEST_SIGHTS and len(self._ways) >= aim_advice.FEWEST_VEHICLES
        picture = self._from_picture(hung)
        near, mid, far = (self._width_at(sights, hung, third) for third in (2, 1, 0))
        infrared = sorted(one.ground_level for one in sights if one.infrared)
        return Aim(
            advised=aim_advice.advised(picture, plates if is_enough else None, self._capture.speed_mph),
            posted_mph=self._capture.speed_mph, good_for_mph=plates.good_for_mph if plates else None,
            near=near, mid=mid, far=far, pose=pose, planned_pose=camera.pose,
            angle_deg=plates.angle_deg if plates else None,
            focus_px=picture.focus_px, best_focus_px=self._best_focus_px,
            exposure_blur_px=plates.blur_px if plates else None,
            exposure_us=exposure_us, gain=self._light.gain, phase=self._phase,
            saturated_ratio=picture.saturated_ratio, black_ratio=_median([one.black_ratio for one in self._shares]),
            glare_ratio=picture.glare_ratio,
            plate_level=plates.middle_level if plates else None,
            plate_contrast=plates.best_contrast if plates else None,
            retro_reflects=_median(infrared[len(infrared) // 2 :]) >= aim_advice.DARKEST_GROUND if infrared else None,
            in_lane_ratio=plates.in_lane_ratio if plates else None,
            lane_found=() if lines is None else _lane_around(lines, self._size_px, sights),
            vehicles=len(self._ways), plates=len(sights),
        )  # fmt: skip

    def _join(self, one: Sighting) -> None:
        """Add a plate to the vehicle that it belongs to: the nearest of those seen a moment ago, else a new one."""
        near = [way for way in self._ways if 0 < one.at_s - way[-1].at_s < NEXT_VEHICLE_S and _may_follow(way[-1], one)]
        if near:
            min(near, key=lambda way: math.hypot(way[-1].x_px - one.x_px, way[-1].y_px - one.y_px)).append(one)
        else:
            self._ways.append([one])

    def _from_plates(
        self, sights: Sequence[Sighting], hung: Pinhole, lines: Lines | None, exposure_us: float
    ) -> FromPlates | None:
        if not sights:
            return None
        place = _median([one.x_px for one in sights]), _median([one.y_px for one in sights])
        angle_deg = blur_px = limit_mph = None
        if lines is not None:
            place = lines.at(WANTED_PX)
            angle_deg = hung.beside_travel_deg(place)
            blur_px = pinhole.blur_px(
                speed_mph=self._capture.speed_mph, angle_deg=angle_deg, width_px=PLATE_PX, exposure_us=exposure_us
            )
            limit_mph = self._good_for_mph(hung, lines, blur_px)
        right_deg, up_deg = hung.off_middle_deg(place)
        if lines is not None:
            plan, seen = Pinhole.planned(self._mount, *self._size_px).pose, len(lines.slopes)
            by_plan = plan.right_deg - hung.pose.right_deg, hung.pose.down_deg - plan.down_deg
            right_deg = (seen * right_deg + PLAN_VEHICLES * by_plan[0]) / (seen + PLAN_VEHICLES)
            up_deg = (seen * up_deg + PLAN_VEHICLES * by_plan[1]) / (seen + PLAN_VEHICLES)
        levels = sorted(one.ground_level for one in sights)
        contrasts = sorted((one.contrast_levels for one in sights), reverse=True)
        half = (len(sights) + 1) // 2
        return FromPlates(
            off_right_deg=right_deg, off_up_deg=up_deg,
            middle_level=_median(levels), darker_level=_median(levels[:half]), best_contrast=_median(contrasts[:half]),
            in_lane_ratio=statistics.fmean(one.is_in_lane for one in sights),
            distance_m=hung.focal_px * PLATE_WIDTH_M / WANTED_PX,
            angle_deg=angle_deg, blur_px=blur_px, good_for_mph=limit_mph,
        )  # fmt: skip

    def _from_picture(self, hung: Pinhole) -> FromPicture:
        moved = np.array([cells for _, cells in self._moving]).reshape(-1, GRID, GRID).sum(axis=0)
        share = moved / max(1e-9, float(moved.sum()))
        across, down = share.sum(axis=0), share.sum(axis=1)
        wide_deg, high_deg = (2.0 * math.degrees(math.atan2(side / 2.0, hung.focal_px)) for side in self._size_px)
        return FromPicture(
            phase=self._phase, has_lamp=self._has_lamp, shots=len(self._shares), seen_s=self._seen_s,
            moving_shots=len(self._moving),
            moving_s=self._moving[-1][0] - (self._since_s or 0.0) if self._moving else 0.0,
            motion_right_ratio=float(across[-1] - across[0]), motion_low_ratio=float(down[-1] - down[0]),
            wide_deg=wide_deg, high_deg=high_deg,
            median_level=_median([one.median_level for one in self._shares]),
            saturated_ratio=_median([one.saturated_ratio for one in self._shares]),
            glare_ratio=self._stillness.glare_ratio, focus_px=self._focus_px(),
        )  # fmt: skip

    def _focus_px(self) -> float | None:
        """Return the blur of the newest plates, which are where it counts; before any, that of the empty road."""
        blurs = [one.blur_px for way in list(self._ways)[-6:] for one in way[-8:] if one.blur_px is not None]
        known = blurs[-24:] or list(self._still_focus)
        return _median(known) if known else None

    def _good_for_mph(self, hung: Pinhole, lines: Lines, blur_px: float) -> float:
        """Return the fastest traffic whose plates are in FRAMES_AT_LEAST pictures, wide enough and hardly blurred."""
        widths = np.arange(PLATE_PX, 3.0 * PLATE_PX)
        places = np.median(lines.slopes, axis=0) * widths[:, None] + lines.vanishing_px
        spare = np.stack([widths / 2.0, widths / 4.0], axis=1)
        is_inside = ((places >= spare) & (places <= np.array(self._size_px) - spare)).all(axis=1)
        if not is_inside.any():
            return 0.0
        legible = widths[is_inside]  # ascending
        road_m = pinhole.travelled_m(hung, float(legible[0]), float(legible[-1]))
        by_frames = road_m * FRAME_RATE_HZ / FRAMES_AT_LEAST / M_S_PER_MPH
        return min(by_frames, self._capture.speed_mph * aim_advice.BLUR_AT_MOST_PX / max(1e-9, blur_px))

    def _width_at(self, sights: Sequence[Sighting], hung: Pinhole, third: int) -> WidthAt:
        """Return plate widths in the upper (0), middle or lower (2) third of the picture."""
        height = self._size_px[1]
        found = [one for one in sights if third <= 3 * one.y_px / height < third + 1]
        row_px = _median([one.y_px for one in found]) if found else (third + 0.5) * height / 3
        return WidthAt(
            geometry_px=pinhole.width_at_row_px(hung, self._mount, row_px),
            measured_px=_median([one.width_px for one in found]) if found else None,
            plates=len(found),
        )


def _may_follow(before: Sighting, after: Sighting) -> bool:
    """Say whether two sights may be of one plate: not more than a few widths on, and of nearly the same width."""
    way = math.hypot(after.x_px - before.x_px, after.y_px - before.y_px)
    return way < 4.0 * before.width_px and 0.6 < after.width_px / before.width_px < 1.6


def _as_array(sights: Sequence[Sighting]) -> pinhole.Points:
    return np.array([(one.at_s, one.x_px, one.y_px, one.width_px) for one in sights], np.float64)


def _median(values: Sequence[float]) -> float:
    """Return the median, 0 of nothing."""
    return float(statistics.median(values)) if values else 0.0


def _lane_around(lines: Lines, size_px: tuple[int, int], sights: Sequence[Sighting]) -> tuple[Point, ...]:
    """Return a lane mask around the way of the plates: two and a half plate widths to each side, where a car is."""
    narrow, wide = min(one.width_px for one in sights), max(one.width_px for one in sights)
    corners = []
    for width, side, end in ((narrow, -1, -0.8), (narrow, 1, -0.8), (wide, 1, 0.8), (wide, -1, 0.8)):
        x, y = lines.at(width)
        across, down = (x + side * 2.5 * width) / size_px[0], (y + end * width) / size_px[1]
        corners.append((round(min(1.0, max(0.0, across)), 3), round(min(1.0, max(0.0, down)), 3)))
    return tuple(corners)

"""How much light the next exposures gather: a shutter that never blurs a plate, then gain, then the infrared lamp.

Pure: small pictures and what the sensor reported of them in, the wanted light out. It is no control loop on what was
asked. Each picture, with the light that it was really taken with, says how bright the lane is; the wanted light follows
from that alone, so that a camera that obeys some frames later, or not at all, cannot make it swing.

By day the lane's road is measured and the plate's ground reckoned from it. At night the road is black whatever is done,
while a plate throws the lamp's light straight back; there the plates themselves are measured as they pass, and
exposures alternate one stop above and one stop below, as plates differ by their age and dirt.
"""

import dataclasses
import enum
import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from firmware.lane import Point, lane_mask
from firmware.records import Grey, Light

PLATE_PX = 130.0
PLATE_WIDTH_M = 0.305
"""A US plate is 12 inches wide (SAE J686) and read from 130 pixels on (Milestone, lpr_platewidth)."""

M_S_PER_MPH = 0.44704

SHORTEST_EXPOSURE_US = 30.0
"""The IMX296's shortest (raspberrypi/documentation, camera_hardware.adoc)."""

LARGEST_GAIN = 16.0

GAMMA = 2.2
"""Grey levels are light by its 2.2th root, as sRGB is, nearly (IEC 61966-2-1)."""

ROAD_TARGET_RATIO = 0.12
"""Of full scale. Asphalt reflects 0.1 to 0.15 of the light, a white plate 0.7, so that it lies at 0.7 of full scale."""

BRIGHT_TARGET_RATIO = 0.85
BRIGHT_SHARE = 0.02
"""The brightest fiftieth of the lane stays below saturation, so that a white van's plate is not washed out ..."""

LARGEST_GLARE_FACTOR = 4.0
"""... but a headlight or a puddle in the sun may take two stops at most."""

SATURATED_LEVEL, BLACK_LEVEL = 250, 3
"""Beyond these a level says only that it was more, or less."""

DAY_GAIN = 4.0
"""From this gain on it is dusk."""

HYSTERESIS = 1.4
"""Half a stop: a phase is left only this far beyond its limit, and only for PHASE_HOLD_S on end."""

PHASE_HOLD_S = 5.0

SAMPLE_EVERY_S = 0.1
REMEMBERED_S = 2.0
"""The lane's brightness is the median of this time, of which one vehicle takes a fraction."""

DEAD_BAND = 1.1
"""A smaller change of the wanted light is not worth a control: a seventh of a stop."""

NIGHT_START_GAIN = 4.0
"""With the lamp at full power, until the first plate has been measured."""

LOOKS_WITHOUT_PLATE = 40
"""After so many shots of something that moves at night and shows no plate, it is looked for with a stop more."""

LAMP_LEARNED_S = 3.0
"""So long after nightfall all that is remembered was lit by the lamp: what the road gained is the lamp's own light."""

PLATE_TARGET_RATIO = 0.4
BRACKET = 2.0
"""The plate's ground at night: 0.8 of full scale in one exposure and 0.2 in the next, grey levels 230 and 123."""

VEHICLES_REMEMBERED = 8
NEXT_VEHICLE_S = 0.5
"""Of each vehicle the brightest measure counts, because nothing on it throws more light back than its plate; what lies
further apart than this is of another vehicle."""

SMALLEST_LAMP_RATIO = 0.1
_NARROWEST_PLATE, _WIDEST_PLATE = 1 / 23, 1 / 5  # of the picture's width: 63 and 290 px of 1456
_PLATE_LEVELS = (200, 110, 50)


class Phase(enum.StrEnum):
    """How the light is spent."""

    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"


def longest_exposure_us(angle_deg: float, speed_mph: float) -> float:
    """Return the time in which the plate moves one pixel across the picture.

    A plate of 130 px and 0.305 m has 426 px a metre. At 75 mph = 33.5 m/s, seen at 20 degrees, it moves
    33.5 x sin 20 = 11.5 m/s across the line of sight, 4,890 px/s: 204 us. At 10 degrees 403 us, at 30 degrees 140 us.
    """
    across_px_s = speed_mph * M_S_PER_MPH * math.sin(math.radians(angle_deg)) * PLATE_PX / PLATE_WIDTH_M
    return 1e6 / across_px_s


class ExposureGovernor:
    """Learns the lane's brightness from shots and says what light the next ones want. `phase` is for the report."""

    def __init__(self, *, angle_deg: float, speed_mph: float, lane: Sequence[Point], has_lamp: bool) -> None:
        self.phase = Phase.DAY
        self.longest_us = longest_exposure_us(angle_deg, speed_mph)
        self._lane = tuple(lane)
        self._mask: Grey = np.zeros((0, 0), np.uint8)
        self.has_lamp = has_lamp
        self._wants: deque[tuple[float, float]] = deque()  # when, and how many us of exposure at gain 1
        self._wanted_us = self.longest_us
        self._phase_left_s = math.inf
        self._night_since_s = math.inf
        self._daylight_before = 0.0  # 1 / us: how bright the lane was before the lamp was lit
        self._lamplight = 0.0  # and what the lamp added
        self._looks_without_plate = 0
        self._plates: deque[_Plate] = deque(maxlen=VEHICLES_REMEMBERED)
        self._moved_s = -math.inf
        self._is_next_vehicle = True

    def see(self, small: Grey, light: Light, at_s: float, *, moves: bool) -> None:
        """Take in a shot's small picture, uint8 (h, w), with the light that it reports and the lamp's share.

        `moves`: something drives through the lane, so that a plate may be in view.
        """
        if self.phase is Phase.NIGHT and light.lamp_ratio > 0 and moves:
            self._note_plate(small, light, at_s)
        if self._wants and 0 <= at_s - self._wants[-1][0] < SAMPLE_EVERY_S:
            return
        self._wants.append((at_s, self._daylight_want_us(small, light)))
        while not 0 <= at_s - self._wants[0][0] <= REMEMBERED_S:
            self._wants.popleft()
        want_us = statistics.median(want for _, want in self._wants)
        if not 1 / DEAD_BAND < want_us / self._wanted_us < DEAD_BAND:
            self._wanted_us = want_us
        self._choose_phase(at_s, is_first=len(self._wants) == 1)

    def wanted(self, number: int) -> Light:
        """Return the light for a shot. At night, with a lamp, odd and even numbers alternate by two stops."""
        if self.phase is not Phase.NIGHT or not self.has_lamp:
            return self._spent(self._wanted_us)
        centre_us = self._night_want_us()
        lamp_ratio = float(np.clip(centre_us / BRACKET / self.longest_us, SMALLEST_LAMP_RATIO, 1.0))
        arm_us = centre_us / lamp_ratio * (BRACKET if number % 2 else 1 / BRACKET)
        return dataclasses.replace(self._spent(arm_us), lamp_ratio=lamp_ratio)

    @property
    def is_bracketing(self) -> bool:
        """Whether successive shots want different light."""
        return self.phase is Phase.NIGHT and self.has_lamp

    def _spent(self, want_us: float) -> Light:
        """Return `want_us` of exposure at gain 1 as the longest shutter that does not blur, and gain for the rest."""
        exposure_us = float(np.clip(want_us, SHORTEST_EXPOSURE_US, self.longest_us))
        return Light(exposure_us=exposure_us, gain=float(np.clip(want_us / exposure_us, 1.0, LARGEST_GAIN)))

    def _daylight_want_us(self, small: Grey, light: Light) -> float:
        """Return the exposure at gain 1 that this picture's lane asks for."""
        if small.shape != self._mask.shape:
            self._mask = lane_mask(self._lane, *small.shape)
        counts = cv2.calcHist([small], [0], self._mask, [256], [0, 256]).ravel().cumsum()
        road = int(np.searchsorted(counts, counts[-1] * 0.5))
        bright = int(np.searchsorted(counts, counts[-1] * (1.0 - BRIGHT_SHARE)))
        factor = ROAD_TARGET_RATIO / _linear(max(road, BLACK_LEVEL))
        by_bright = BRIGHT_TARGET_RATIO / _linear(bright) if bright < SATURATED_LEVEL else factor / LARGEST_GLARE_FACTOR
        factor = max(min(factor, by_bright), factor / LARGEST_GLARE_FACTOR)
        if road >= SATURATED_LEVEL:
            factor /= LARGEST_GLARE_FACTOR  # how much too bright it is, a white picture does not say
        return factor * light.exposure_us * light.gain

    def _choose_phase(self, at_s: float, *, is_first: bool) -> None:
        """Change the phase when the wanted gain has lain beyond its limits long enough; at the start at once."""
        if self.phase is Phase.NIGHT and at_s - self._night_since_s >= LAMP_LEARNED_S:
            self._lamplight = max(0.0, 1.0 / self._wanted_us - self._daylight_before)
            self._night_since_s = math.inf
        daylight = max(1e-9, 1.0 / self._wanted_us - self._lamplight)
        gain = 1.0 / daylight / self.longest_us
        nights = LARGEST_GAIN * (1 / HYSTERESIS if self.phase is Phase.NIGHT else HYSTERESIS)
        days = DAY_GAIN * (HYSTERESIS if self.phase is Phase.DAY else 1 / HYSTERESIS)
        phase = Phase.NIGHT if gain > nights else Phase.DUSK if gain > days else Phase.DAY
        if phase is self.phase:
            self._phase_left_s = math.inf
            return
        self._phase_left_s = min(self._phase_left_s, at_s)
        if is_first or at_s - self._phase_left_s >= PHASE_HOLD_S:
            self.phase, self._phase_left_s = phase, math.inf
            self._lamplight = 0.0
            self._night_since_s, self._daylight_before = at_s, daylight

    def _note_plate(self, small: Grey, light: Light, at_s: float) -> None:
        self._is_next_vehicle |= at_s - self._moved_s > NEXT_VEHICLE_S
        self._moved_s = at_s
        level = plate_ground_level(small)
        if level is None:
            self._looks_without_plate += 1
            return
        self._looks_without_plate = 0
        if self._is_next_vehicle:
            self._plates.append(_Plate())
            self._is_next_vehicle = False
        self._plates[-1].note(level, light)

    def _night_want_us(self) -> float:
        """Return exposure x gain x lamp for a plate's ground at its target."""
        if self._plates:
            want_us = PLATE_TARGET_RATIO / statistics.median(plate.ground for plate in self._plates)
        else:
            want_us = (
                self.longest_us * NIGHT_START_GAIN * 2.0 ** min(8, self._looks_without_plate // LOOKS_WITHOUT_PLATE)
            )
        darkest_us = SHORTEST_EXPOSURE_US * SMALLEST_LAMP_RATIO * BRACKET
        return float(np.clip(want_us, darkest_us, self.longest_us * LARGEST_GAIN / BRACKET))


@dataclass(slots=True)
class _Plate:
    """How much light one vehicle's plate throws back, in full scales a us of exposure at gain 1 and full lamp."""

    measured: float = 0.0
    at_least: float = 0.0

    @property
    def ground(self) -> float:
        """Return the best guess; one that was washed out where it was brightest is taken to be a stop more."""
        return self.measured if self.measured >= self.at_least else self.at_least * BRACKET

    def note(self, level: float, light: Light) -> None:
        """Take in a grey level of its ground, which says no more than "at least" when it is saturated."""
        ground = _linear(level) / (light.exposure_us * light.gain * light.lamp_ratio)
        if level >= SATURATED_LEVEL:
            self.at_least = max(self.at_least, ground)
        else:
            self.measured = max(self.measured, ground)


def plate_ground_level(small: Grey) -> float | None:
    """Return the grey level of a plate's ground in a picture lit by the lamp, or None where none stands out.

    In half of the small copy the characters are blurred away and a plate is a bright rectangle, two to one. Lamps of
    vehicles are bright too, but round, thin, or a pair.
    """
    small = np.asarray(cv2.resize(small, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    narrowest_px, widest_px = small.shape[1] * _NARROWEST_PLATE, small.shape[1] * _WIDEST_PLATE
    for level in _PLATE_LEVELS:
        _, bright = cv2.threshold(small, level, 255, cv2.THRESH_BINARY)
        _, _, boxes, _ = cv2.connectedComponentsWithStats(bright, connectivity=4, ltype=cv2.CV_16U)
        for left, top, width, height, area in boxes[1:]:
            is_plate = narrowest_px <= width <= widest_px and 1.3 <= width / height <= 3.5
            if is_plate and area >= 0.6 * width * height:
                inside = small[top + height // 5 : top + height - height // 5, left : left + width]
                return float(np.percentile(inside, 75))
    return None


def _linear(level: float) -> float:
    """Return the share of full scale that a grey level 1..255 stands for."""
    return float((max(1, level) / 255.0) ** GAMMA)

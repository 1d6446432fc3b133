"""The sensor IMX296 as its driver shows it: which exposures, gains and frame durations it can do, and in what order.

Owns the numbers of the part and nothing else. They are those of libcamera's helper for this sensor
(raspberrypi/libcamera, src/ipa/rpi/cam_helper/cam_helper_imx296.cpp) and of the kernel's driver
(drivers/media/i2c/imx296.c).
"""

import dataclasses
import math
from collections import deque
from dataclasses import dataclass

SIZE_PX = (1456, 1088)
"""The whole pixel array, width and height."""

LINE_US = 550.0 / 37.125
"""One line's time: 550 cycles of a clock of 37.125 MHz, 14.81 us."""

EXPOSURE_OFFSET_US = 14.26
"""What each exposure has beyond its whole lines."""

MARGIN_LINES = 4
"""An exposure is shorter than its frame by so many lines at least."""

SHORTEST_FRAME_LINES = 1118
"""All rows and 30 lines of blanking: 16.56 ms, 60.4 frames a second."""

LARGEST_GAIN_CODE = 239
"""Gain goes in steps of 0.1 dB, up to 23.9 dB, which is 15.67."""

READOUT_S = SIZE_PX[1] * LINE_US / 1e6
"""From the end of the exposure, which is the same for all rows of a global shutter, to the last row: 16.1 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the sensor works with."""

    exposure_us: float
    gain: float
    frame_us: float


def possible(asked: Settings) -> Settings:
    """Return what the sensor makes of `asked`: whole lines, steps of gain, and never an exposure beyond its frame."""
    frame_lines = max(SHORTEST_FRAME_LINES, round(asked.frame_us / LINE_US))
    lines = math.floor(max(0.0, asked.exposure_us - EXPOSURE_OFFSET_US) / LINE_US)
    code = math.floor(200.0 * math.log10(max(1.0, asked.gain)) + 1e-9)
    return Settings(
        exposure_us=min(max(1, lines), frame_lines - MARGIN_LINES) * LINE_US + EXPOSURE_OFFSET_US,
        gain=10.0 ** (min(code, LARGEST_GAIN_CODE) / 200.0),
        frame_us=frame_lines * LINE_US,
    )


POWERED_UP = Settings(exposure_us=20_000.0, gain=1.0, frame_us=33_333.0)
"""What libcamera sets before anybody has asked for anything (ipa_base.cpp, defaultExposureTime and the like)."""


class DelayedSettings:
    """The settings frame by frame: what is written while one frame runs acts some frames later, and in order."""

    def __init__(self, asked: Settings) -> None:
        self._asked = asked
        self._waiting: deque[tuple[int, Settings]] = deque()
        self._now = possible(asked)

    def write(self, frame: int, **changes: float) -> None:
        """Let `changes` (fields of Settings) act from `frame` on, but not before what was written earlier."""
        self._asked = dataclasses.replace(self._asked, **changes)
        if self._waiting:
            frame = max(frame, self._waiting[-1][0])
        self._waiting.append((frame, possible(self._asked)))

    def of(self, frame: int) -> Settings:
        """Return the settings of `frame`; nobody may ask for an earlier one afterwards."""
        while self._waiting and self._waiting[0][0] <= frame:
            self._now = self._waiting.popleft()[1]
        return self._now

"""One exposure in picamera2's buffer as a `Shot`, and the checks of all that comes from it.

Pure but for the buffer: native code downstream multiplies sides and follows strides, so an array or a number that
cannot be is refused here, by name.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock
from firmware.records import Frame, Grey, Light

GAIN_AT_MOST = 1000.0
"""No sensor has more than 60 dB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSizes:
    """Width and height of the two streams, pixels, as libcamera configured them."""

    main_px: tuple[int, int]
    small_px: tuple[int, int]


class PiShot:
    """A completed request that is held. Used and released by one thread."""

    def __init__(
        self,
        *,
        number: int,
        at_s: float,
        light: Light,
        small: Grey,
        request: Any,
        sizes: StreamSizes,
        clock: Clock,
        give_back: Callable[[Any], None],
    ) -> None:
        self.number, self.at_s, self.light, self.small = number, at_s, light, small
        self._request: Any = request
        self._sizes, self._clock, self._give_back = sizes, clock, give_back

    def develop(self, *, infrared: bool) -> Frame:
        """Return a frame of its own memory. Raises DeviceFault(CAMERA_NONSENSE) for what is no picture.

        Raises ValueError after the release.
        """
        if self._request is None:
            raise ValueError("a shot that was released cannot be developed")
        try:
            image = self._request.make_array("main")
            width_px, height_px = self._sizes.main_px
            check_array(image, (height_px, width_px, 3))
        except (ValueError, TypeError, RuntimeError) as error:
            hint = f"a picture cannot be ({error}); check that picamera2 and libcamera are of one release"
            raise DeviceFault(FaultCode.CAMERA_NONSENSE, hint) from error
        age_ms = round((self._clock.monotonic_s() - self.at_s) * 1000)
        return Frame(
            number=self.number,
            at_s=self.at_s,
            taken_utc_ms=max(0, self._clock.utc_ms() - age_ms),  # a clock that nobody has set may begin at 1970
            clock_trusted=self._clock.is_trusted(),
            image=image,
            exposure_us=self.light.exposure_us,
            gain=self.light.gain,
            infrared=infrared,
        )

    def release(self) -> None:
        """Give the buffer back; a second time does nothing."""
        request, self._request = self._request, None
        if request is not None:
            self._give_back(request)


def light_of(metadata: Mapping[str, Any], *, frame_duration_us: float) -> Light:
    """Return the light that the sensor reports. Raises ValueError for what is missing or cannot be."""
    exposure_us = _number(metadata, "ExposureTime")
    gain = _number(metadata, "AnalogueGain")
    _number(metadata, "SensorTimestamp")
    if exposure_us > frame_duration_us:
        raise ValueError(f"an exposure of {exposure_us:.0f} us in a frame of {frame_duration_us:.0f} us")
    if gain > GAIN_AT_MOST:
        raise ValueError(f"a gain of {gain:.0f}")
    return Light(exposure_us=exposure_us, gain=gain)


def small_of(planes: npt.NDArray[np.uint8], sizes: StreamSizes) -> Grey:
    """Return the brightness of a YUV420 picture, uint8 (h, w), of its own memory. Raises ValueError.

    picamera2 answers (h * 3 / 2, stride): the Y plane's rows with their padding, then the packed colour planes.
    """
    width_px, height_px = sizes.small_px
    stride_px = planes.shape[1] if isinstance(planes, np.ndarray) and planes.ndim == 2 else width_px
    if stride_px < width_px:
        raise ValueError(f"rows of {stride_px} bytes for {width_px} pixels")
    check_array(planes, (height_px * 3 // 2, stride_px))
    return np.ascontiguousarray(planes[:height_px, :width_px])


def check_array(array: object, shape: tuple[int, ...]) -> None:
    """Pass a C-contiguous uint8 array of `shape` whose sides are above zero. Raises ValueError for anything else."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"a {type(array).__name__} instead of an array")  # noqa: TRY004  one kind of answer for all
    if array.dtype != np.uint8 or array.shape != shape or array.size == 0:
        raise ValueError(f"{array.dtype} of shape {array.shape} instead of uint8 {shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"strides of {array.strides} bytes for shape {shape}")


def _number(metadata: Mapping[str, Any], name: str) -> float:
    """Return a control that must be a finite number above zero. Raises ValueError with the control's name."""
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")  # noqa: TRY004  one kind of answer for all
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0 < number < math.inf:
        raise ValueError(f"{name} is {number:.6g}")
    return number

"""What libcamera and picamera2 take and refuse: streams of a configuration, and controls by name and type.

Values in, values out; picamera.py keeps the state. Wordings are the libraries' own, so that a technician's log reads as
it would on the device.
"""

from collections.abc import Mapping
from typing import Any

Stream = dict[str, Any]

STRIDE_BYTES = 64
"""Rows begin at multiples of this on a Pi 5; on a Pi 4 at multiples of 32."""

FORMATS = {"main": "RGB888", "lores": "YUV420"}
"""What the stand-in can deliver. libcamera's RGB888 is B, G, R in memory."""

WHOLE, NUMBER, SWITCH = (int,), (int, float), (bool, int)

CONTROLS: dict[str, tuple[tuple[type, ...], int]] = {
    "AeEnable": (SWITCH, 1),
    "AeConstraintMode": (WHOLE, 1),
    "AeExposureMode": (WHOLE, 1),
    "AeFlickerMode": (WHOLE, 1),
    "AeFlickerPeriod": (WHOLE, 1),
    "AeMeteringMode": (WHOLE, 1),
    "AnalogueGain": (NUMBER, 1),
    "AwbEnable": (SWITCH, 1),
    "AwbMode": (WHOLE, 1),
    "Brightness": (NUMBER, 1),
    "ColourGains": (NUMBER, 2),
    "Contrast": (NUMBER, 1),
    "ExposureTime": (WHOLE, 1),
    "ExposureValue": (NUMBER, 1),
    "FrameDurationLimits": (WHOLE, 2),
    "NoiseReductionMode": (WHOLE, 1),
    "Saturation": (NUMBER, 1),
    "ScalerCrop": (WHOLE, 4),
    "Sharpness": (NUMBER, 1),
    "StatsOutputEnable": (SWITCH, 1),
}
"""What libcamera advertises for a colour sensor without a lens motor: the types that it takes, and how many of them.

Names from `ipaControls` and `ipaColourControls` (raspberrypi/libcamera, src/ipa/rpi/common/ipa_base.cpp), types from
control_ids_core.yaml and control_ids_draft.yaml. A whole number given as a float is refused there.
"""


def stream_with(initial: Stream, updates: Mapping[str, Any]) -> Stream:
    """Return a stream of a configuration, its size made even. Raises ValueError for a key that no stream has."""
    valid = ("format", "size", "stride", "preserve_ar")
    for key in updates:
        if key not in valid:
            raise ValueError(f"Bad key {key!r}: valid stream configuration keys are {valid}")
    stream = initial | dict(updates)
    width_px, height_px = stream["size"]
    return stream | {"size": (width_px - width_px % 2, height_px - height_px % 2)}


def laid_out(name: str, stream: Mapping[str, Any], main_px: tuple[int, int], sensor_px: tuple[int, int]) -> Stream:
    """Return the stream as it comes out: adjusted to the sensor, with its stride and its size in bytes.

    A stream keeps its share of the main stream's size `main_px` when that becomes the sensor's. Raises RuntimeError for
    what cannot be delivered.
    """
    pixel_format, size = stream["format"], stream["size"]
    if pixel_format != FORMATS[name]:
        raise RuntimeError(f"Bad format {pixel_format} in stream {name}: the stand-in has {FORMATS[name]}")
    for pixels in (size, main_px):
        if not isinstance(pixels, tuple) or len(pixels) != 2 or min(pixels) < 2:
            raise RuntimeError(f"size in {name} stream should be (width, height)")
        if pixels[0] % 2 or pixels[1] % 2:
            raise RuntimeError("width and height should be even")
    if size[0] > main_px[0] or size[1] > main_px[1]:
        raise RuntimeError(f"{name} stream dimensions may not exceed main stream")
    width_px, height_px = (
        2 * round(own * new / old / 2) for own, new, old in zip(size, sensor_px, main_px, strict=True)
    )
    row_bytes, rows = (width_px * 3, height_px) if name == "main" else (width_px, height_px * 3 // 2)
    stride = -(-row_bytes // STRIDE_BYTES) * STRIDE_BYTES
    return dict(stream) | {"size": (width_px, height_px), "stride": stride, "framesize": stride * rows}


def checked_control(name: str, value: Any, *, is_open: bool) -> Any:
    """Return the value of a control. Raises RuntimeError for a name or a type that libcamera does not take."""
    if not is_open or name not in CONTROLS:
        raise RuntimeError(f"Control {name} is not advertised by libcamera")
    types, count = CONTROLS[name]
    values = tuple(value) if count > 1 and isinstance(value, tuple | list) else (value,)
    if len(values) != count or not all(isinstance(one, types) for one in values):
        raise RuntimeError(f"Unable to cast Python instance of type {type(value)} to C++ type of {name}")
    if (name == "AeEnable" and value) or (name in {"ExposureTime", "AnalogueGain"} and value <= 0):
        raise RuntimeError("the stand-in has no automatic exposure")
    return value

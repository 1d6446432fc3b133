"""A stand-in for picamera2's `Picamera2` and its requests: the device's own camera adapter drives the simulation.

Owns what the library does with configurations, controls, requests and their references, as release 0.3.38 does it (its
picamera2.py and request.py); tests/unit/test_picamera2_calls.py holds names and arguments against that source. What the
sensor sees and when is the world's business (camera.py). Where the library is kinder than a program deserves, or hangs,
the stand-in raises RuntimeError.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Grey, Image, Light
from hw_sim.libcamera_rules import FORMATS, Stream, checked_control, laid_out, stream_with

Array = npt.NDArray[Any]

GREY_CHROMA = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What one exposure left in a buffer. The pictures are made when somebody asks for them."""

    elapsed_s: float  # when it began, seconds of the scene
    light: Light  # exposure and gain that were used, and the lamp's light at that moment
    metadata: Mapping[str, Any] = field(repr=False)
    misshapen: int = 0  # above 0: the arrays of this buffer come in a wrong shape, of this kind


class Sensor(Protocol):
    """The sensor behind the library, as far as the library knows it."""

    size_px: tuple[int, int]

    def run(self, controls: Mapping[str, Any]) -> None:
        """Start delivering with these controls from the first frame on."""
        ...

    def halt(self) -> None:
        """Deliver nothing more; what is being exposed is lost."""
        ...

    def give_back(self) -> None:
        """End for good."""
        ...

    def picture(self, exposed: Exposed) -> Image:
        """Return the whole picture, uint8 (H, W, 3) BGR: the caller's own, or not writeable."""
        ...

    def small(self, exposed: Exposed) -> Grey:
        """Return its brightness, uint8, a quarter as wide and high."""
        ...


class SimRequest:
    """picamera2's CompletedRequest: one filled buffer, which goes back to the camera with its last reference."""

    def __init__(self, camera: "SimPicamera2", buffers: list[Exposed | None], number: int, exposed: Exposed) -> None:
        self.config = {name: dict(stream) for name, stream in camera.streams().items()}
        self.ref_count = 1
        self.stop_count = camera.stop_count
        self.number = number
        self._camera = camera
        self._buffers = buffers
        self._metadata: Mapping[str, Any] | None = exposed.metadata

    def acquire(self) -> None:
        """Hold the request, which keeps its buffer from being filled again."""
        with self._camera.request_lock:
            if self.ref_count == 0:
                raise RuntimeError("CompletedRequest: acquiring lock with ref_count 0")
            self.ref_count += 1

    def release(self) -> None:
        """Let go of it; with the last reference the buffer goes back to the camera, and the controls with it."""
        with self._camera.request_lock:
            self.ref_count -= 1
            if self.ref_count < 0:
                raise RuntimeError("CompletedRequest: lock now has negative ref_count")
            if self.ref_count == 0:
                self._camera.recycle(self)
                self.config, self._metadata = {}, None

    def get_metadata(self) -> dict[str, Any]:
        """Return what the sensor reports of this exposure."""
        if self._metadata is None:
            raise AssertionError("the request has been given back")  # as the library's own assert
        return dict(self._metadata)

    def make_array(self, name: str) -> Array:
        """Return a copy of a stream: (H, W, 3) of the main one, (H * 3 / 2, stride) with its padding of the small one.

        It is what lies in the buffer now, which is not what lay there once the camera has been started again.
        """
        exposed = self._exposed()
        is_main = self._stream(name)["format"] == FORMATS["main"]
        array = self._camera.sensor.picture(exposed) if is_main else self._small_rows(exposed)
        own = array if array.flags.writeable else np.copy(array)
        return _misshapen(own, exposed.misshapen)

    def make_buffer(self, name: str) -> Array:
        """Return a copy of the stream's bytes, padding and all."""
        exposed = self._exposed()
        stream = self._stream(name)
        if stream["format"] == FORMATS["main"]:
            width_px, height_px = stream["size"]
            rows = np.zeros((height_px, stream["stride"]), np.uint8)
            rows[:, : width_px * 3] = self._camera.sensor.picture(exposed).reshape(height_px, width_px * 3)
        else:
            rows = self._small_rows(exposed)
        return _misshapen(rows, exposed.misshapen).reshape(-1)

    def _stream(self, name: str) -> Stream:
        if name not in self.config:
            raise RuntimeError(f"Stream {name!r} is not defined")
        return self.config[name]

    def _exposed(self) -> Exposed:
        exposed = self._buffers[self.number]
        if exposed is None or not self._camera.is_open:
            raise RuntimeError("failed to find buffer")
        return exposed

    def _small_rows(self, exposed: Exposed) -> Grey:
        """Return the small stream, uint8 (H * 3 / 2, stride): brightness, then colour differences that nobody uses."""
        width_px, height_px = self.config["lores"]["size"]
        rows = np.full((height_px * 3 // 2, self.config["lores"]["stride"]), GREY_CHROMA, np.uint8)
        small = self._camera.sensor.small(exposed)
        if small.shape != (height_px, width_px):
            small = np.asarray(cv2.resize(small, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)
        rows[:height_px, :width_px] = small
        rows[:height_px, width_px:] = 0
        return rows


class SimPicamera2:
    """picamera2's Picamera2 with the calls that an adapter needs. Opened by the sensor's own `open`.

    Its image processor scales nothing: `configure` adjusts the streams to the sensor's own size, as libcamera adjusts
    what it cannot do, and `camera_configuration` tells.
    """

    def __init__(self, sensor: Sensor) -> None:
        """Take the sensor, which has one user at a time."""
        self.sensor = sensor
        self.post_callback: Callable[[Any], None] | None = None
        self.is_open = True
        self.started = False
        self.stop_count = 0
        self.request_lock = threading.RLock()
        self._config: dict[str, Any] = {}
        self._controls: dict[str, Any] = {}
        self._buffers: list[Exposed | None] = []
        self._queue: deque[tuple[int, dict[str, Any]]] = deque()
        self._completed: deque[SimRequest] = deque()
        self._loop = threading.Lock()
        self._loop_thread: int | None = None
        self._loop_ended = False

    # The library's own calls.

    @property
    def camera_properties(self) -> dict[str, Any]:
        """What the sensor is; empty once the camera is closed."""
        if not self.is_open:
            return {}
        return {
            "Model": "imx296",
            "UnitCellSize": (3450, 3450),
            "PixelArraySize": self.sensor.size_px,
            "ColorFilterArrangement": 0,
        }

    def create_video_configuration(  # noqa: PLR0917  the library's own signature
        self,
        main: Mapping[str, Any] | None = None,
        lores: Mapping[str, Any] | None = None,
        raw: Mapping[str, Any] | None = None,
        transform: Any = None,
        colour_space: Any = None,
        buffer_count: int = 6,
        controls: Mapping[str, Any] | None = None,
        display: str | None = "main",
        encode: str | None = "main",
        queue: bool = True,  # noqa: FBT001, FBT002  the library's own signature
        sensor: Mapping[str, Any] | None = None,
        use_case: str = "video",
    ) -> dict[str, Any]:
        """Return what `configure` takes. Raises RuntimeError, and ValueError for an unknown key of a stream."""
        if not self.is_open:
            raise RuntimeError("Camera not opened")
        main_stream = stream_with({"format": "XBGR8888", "size": (1280, 720), "preserve_ar": True}, main or {})
        config: dict[str, Any] = {
            "use_case": use_case,
            "transform": transform,
            "colour_space": colour_space,
            "buffer_count": buffer_count,
            "queue": queue,
            "main": main_stream,
            "lores": None,
            "raw": raw,
            "controls": {"NoiseReductionMode": 1, "FrameDurationLimits": (33333, 33333)} | dict(controls or {}),
            "sensor": sensor,
        }
        if lores is not None:
            initial = {"format": "YUV420", "size": main_stream["size"], "preserve_ar": False}
            config["lores"] = stream_with(initial, lores)
        for role, name in (("Display", display), ("Encode", encode)):
            if name is not None and config.get(name) is None:
                raise RuntimeError(f"{role} stream {name} was not defined")
        return config | {"display": display, "encode": encode}

    def configure(self, camera_config: Mapping[str, Any] | None = None) -> None:
        """Take a configuration, with all of its controls, and allocate the buffers. Raises RuntimeError."""
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        if camera_config is None:
            raise RuntimeError("the stand-in has no preview configuration")
        config, asked_px = dict(camera_config), camera_config["main"]["size"]
        for name in FORMATS:
            if config[name] is not None:
                config[name] = laid_out(name, config[name], asked_px, self.sensor.size_px)
        if not 1 <= config["buffer_count"] <= 32:
            raise RuntimeError(f"Invalid camera configuration: {config}")
        self._config, self._controls = config, {}
        self._buffers = [None] * config["buffer_count"]
        self.set_controls(config["controls"])

    def camera_configuration(self) -> dict[str, Any]:
        """Return the configuration as it came out: with strides."""
        return self._config

    def stream_configuration(self, name: str = "main") -> dict[str, Any]:
        """Return one stream of it."""
        return dict(self._config[name])

    def set_controls(self, controls: Mapping[str, Any]) -> None:
        """Send these with the next buffer that goes back to the camera. Raises RuntimeError for an unknown one."""
        checked = {name: checked_control(name, value, is_open=self.is_open) for name, value in controls.items()}
        with self.request_lock:
            self._controls |= checked

    def start(self, config: Mapping[str, Any] | None = None, show_preview: bool | None = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Begin to deliver. Raises RuntimeError before `configure`."""
        if config is not None:
            self.configure(config)
        if not self._config:
            raise RuntimeError("Camera has not been configured")
        if self.started:
            return
        with self.request_lock:
            controls, self._controls = self._controls, {}
            self._queue = deque((number, {}) for number in range(len(self._buffers)))
            self.started = True
        self.sensor.run(controls)

    def stop(self) -> None:
        """Stop delivering; requests that are still held do not go back. Raises RuntimeError where the library hangs."""
        if self.started:
            self.dispatch_functions([self.stop_], wait=True, immediate=True)

    def stop_(self, request: Any = None) -> tuple[bool, None]:  # noqa: ARG002  the library's own signature
        """Stop at once. For the event loop only, through `dispatch_functions`."""
        if self.started:
            with self.request_lock:
                self.stop_count += 1
                self.started = False
                self._queue.clear()
            self.sensor.halt()
            while self._completed:
                self._completed.popleft().release()
        return True, None

    def dispatch_functions(
        self,
        functions: Sequence[Callable[[], tuple[bool, Any]]],
        wait: float | bool | None,  # noqa: FBT001  the library's own signature
        signal_function: Callable[[Any], None] | None = None,
        immediate: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Run functions between two callbacks and return the last one's answer.

        Raises TimeoutError if the event loop does not come to it within `wait` seconds, and RuntimeError where the
        library would wait for ever.
        """
        if wait is None or wait is False or signal_function is not None or not immediate:
            raise RuntimeError("the stand-in runs functions at once and waits for them")
        if self._loop_thread == threading.get_ident() and self._loop.locked():
            raise RuntimeError("called from within a callback: the library would wait for ever")
        with self._loop:
            if self._loop_ended and wait is True:
                raise RuntimeError("a callback raised and the event loop is gone: the library would wait for ever")
            if self._loop_ended:
                raise TimeoutError
            return [function()[1] for function in functions][-1]

    def cancel_all_and_flush(self) -> None:
        """Forget functions that wait for the event loop: here none ever do."""

    def close(self) -> None:
        """End the event loop, stop and give the sensor back; a second time does nothing."""
        if not self.is_open:
            return
        if self._loop_thread == threading.get_ident() and self._loop.locked():
            raise RuntimeError("Unable to stop preview.")
        with self._loop:
            self.stop_()
        self.is_open = False
        self._config = {}
        self.sensor.give_back()

    # What the sensor and the requests need.

    def streams(self) -> dict[str, Stream]:
        """Return the streams that are configured."""
        return {name: self._config[name] for name in FORMATS if self._config.get(name) is not None}

    def next_buffer(self) -> tuple[int, dict[str, Any]] | None:
        """Take the buffer for the next exposure, with the controls that came with it; None if all are out."""
        with self.request_lock:
            return self._queue.popleft() if self._queue else None

    def hand_over(self, filled: Sequence[tuple[int, Exposed]], stop_count: int) -> None:
        """Hand filled buffers to the callback, one by one, unless there was a stop since `stop_count` was looked at.

        What the callback raises ends the delivery, as in the library.
        """
        if not filled:
            return
        with self._loop:
            if self._loop_ended or not self.started or stop_count != self.stop_count:
                return
            for number, exposed in filled:
                self._buffers[number] = exposed
                request = SimRequest(self, self._buffers, number, exposed)
                if self.post_callback is not None:
                    self._loop_thread, self._loop_ended = threading.get_ident(), True
                    self.post_callback(request)
                    self._loop_thread, self._loop_ended = None, False
                self._completed.append(request)
                while len(self._completed) > (self._config["queue"] and len(self._buffers) > 1):
                    self._completed.popleft().release()

    def recycle(self, request: SimRequest) -> None:
        """Queue the buffer of a request again, if the camera still runs as it did then. The lock is held."""
        if self.started and request.stop_count == self.stop_count:
            controls, self._controls = self._controls, {}
            self._queue.append((request.number, controls))


def _misshapen(array: Array, kind: int) -> Array:
    """Return `array`, or for a kind above 0 what a broken driver might answer in its place."""
    if kind == 0:
        return array
    wrong = (array[:0], array[: len(array) // 2], array[:, ::2], array.astype(np.uint16), array.reshape(-1)[:-1])
    return wrong[(kind - 1) % len(wrong)]

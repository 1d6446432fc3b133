"""The Raspberry Pi's camera through picamera2. It configures the sensor once and translates; nothing else.

picamera2 leaks when it is opened or switched again in one process and may stop delivering without any error, as its
users report. So it is opened and configured once, a silent stream is stopped and started on the same
object, and the age of the newest good shot is the only proof that it lives.

A completed request is one of BUFFERS buffers, and the sensor stops when all are out. picamera2 lends it to
`post_callback` only for the time of that call, on its own thread and under its own lock; `acquire` keeps it longer, and
the last `release` queues it again, together with the controls that were set since the release before.
"""

import importlib
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from firmware.board.shot import PiShot, StreamSizes, light_of, small_of
from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock, Shot
from firmware.records import Light
from firmware.stage import drained

SIZE_PX = (1456, 1088)
"""The whole IMX296 (Raspberry Pi Global Shutter Camera)."""

SMALL_SIZE_PX = (SIZE_PX[0] // 4, SIZE_PX[1] // 4)

FRAME_DURATION_US = 33_333
"""30 shots a second: nine of a vehicle at 75 mph on ten metres of road."""

START_LIGHT = Light(exposure_us=200.0, gain=4.0)
"""Until the first shots have been judged; at most 1 px of blur at 75 mph for a plate of 130 px seen at 20 degrees."""

COLOUR_GAINS = (2.0, 1.8)
"""Red and blue against green, near daylight without an infrared filter. Fixed: a white balance that follows each
vehicle's paint would change the colour of the next plate's ground."""

NOISE_REDUCTION_FAST = 1
"""libcamera's NoiseReductionModeFast (control_ids_draft.yaml). High quality costs rate, and smears strokes."""

BUFFERS = 6

HELD_AT_MOST = BUFFERS - 2
"""Two buffers stay with the sensor, one that is being exposed and one that is queued."""

SILENT_AFTER_S = 3.0
"""A sensor that runs all the time is hung when it is silent for ninety shots."""

STOP_LIMIT_S = 2.0
"""picamera2's own `stop` waits for its event loop for ever; a hung one is given up after this time."""

AHEAD_AT_MOST_S = 0.005
"""A sensor's timestamp may lie this far ahead of our clock: the kernel and we read it at different moments."""

FIXED_CONTROLS = {
    "AeEnable": False,
    "AwbEnable": False,
    "ColourGains": COLOUR_GAINS,
    "NoiseReductionMode": NOISE_REDUCTION_FAST,
    "FrameDurationLimits": (FRAME_DURATION_US, FRAME_DURATION_US),
}


class PiCamera:
    """An IMX296 (or another sensor that can deliver its size) on the camera connector.

    `dropped` counts shots that were given back unseen because the taker was late.
    """

    def __init__(self, clock: Clock, *, open_camera: Callable[[], Any] | None = None) -> None:
        """Take what opens the vendor's camera, `picamera2.Picamera2` by default. Raises DeviceFault(CAMERA_ABSENT).

        picamera2 is only there beside the system's libcamera.
        """
        self.dropped = 0
        self._open = open_camera or _vendor()
        self._clock = clock
        self._wake = threading.Event()
        self._lock = threading.Lock()  # guards the requests that are held: two threads take and give back
        self._waiting: deque[Any] = deque()
        self._held = 0
        self._camera: Any = None
        self._sizes = StreamSizes(main_px=SIZE_PX, small_px=SMALL_SIZE_PX)
        self._light = START_LIGHT
        self._number = 0
        self._newest_s = 0.0  # when the exposure of the newest good shot began
        self._heard_s = 0.0  # when the newest good shot was taken, or the stream started
        self._broken = ""

    def listen(self, wake: threading.Event) -> None:
        """Open, configure and start the sensor; set `wake` at every shot. Raises DeviceFault(CAMERA_ABSENT)."""
        self._wake = wake
        try:
            self._camera = self._open()
            self._configure()
            self._camera.post_callback = self._hold
            self._camera.start()
        except (RuntimeError, OSError, IndexError, KeyError) as error:
            self.close()
            hint = f"the camera cannot be started ({error}); check the ribbon cable and `rpicam-hello --list-cameras`"
            raise DeviceFault(FaultCode.CAMERA_ABSENT, hint) from error
        self._heard_s = self._clock.monotonic_s()

    def shots(self) -> list[Shot]:
        """Return and forget the shots since the last call, oldest first.

        What the sensor says of itself is checked: nonsense is given back, and told when nothing good came with it.
        Raises DeviceFault(CAMERA_SILENT, CAMERA_NONSENSE).
        """
        with self._lock:
            requests = drained(self._waiting)
        shots: list[Shot] = []
        nonsense = ""
        for request in requests:
            try:
                shots.append(self._shot_of(request))
            except (ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
                self._give_back(request)
                nonsense = str(error) if isinstance(error, ValueError) else type(error).__name__
        now_s = self._clock.monotonic_s()
        if shots:
            self._heard_s = now_s
        elif now_s - self._heard_s > SILENT_AFTER_S:
            why = self._broken or nonsense or "check ribbon cable and supply"
            silent_s = now_s - self._heard_s
            hint = f"no good shot for {silent_s:.0f} s ({why}); wait, the camera restarts, or check its ribbon cable"
            raise DeviceFault(FaultCode.CAMERA_SILENT, hint)
        elif nonsense:
            hint = f"the sensor says what cannot be ({nonsense}); check the ribbon cable and `dmesg | grep imx296`"
            raise DeviceFault(FaultCode.CAMERA_NONSENSE, hint)
        return shots

    def set_light(self, light: Light) -> None:
        """Ask for exposure and gain of the shots to come. They act together, some frames later, or get lost.

        picamera2 hands controls over with the next buffer that is given back; one set while it does so is forgotten.
        """
        self._light = light
        if self._camera is not None:
            self._camera.set_controls(_controls_of(light))

    def restart(self) -> None:
        """Stop and start the same stream. Raises DeviceFault(CAMERA_ABSENT).

        A start hands over only the controls that were set since the last one, so all are set again.
        """
        self._give_all_back()
        try:
            self._camera.dispatch_functions([self._camera.stop_], wait=STOP_LIMIT_S, immediate=True)
            self._camera.set_controls({**FIXED_CONTROLS, **_controls_of(self._light)})
            self._camera.start()
        except (RuntimeError, OSError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                self._camera.cancel_all_and_flush()
            what = f"{type(error).__name__} {error}"
            hint = f"the camera cannot be started again ({what}); wait, the service restarts itself"
            raise DeviceFault(FaultCode.CAMERA_ABSENT, hint) from error
        self._broken = ""
        self._heard_s = self._clock.monotonic_s()

    def close(self) -> None:
        """Stop the sensor and give its buffers back."""
        if self._camera is not None:
            self._camera.post_callback = None
            self._give_all_back()
            self._camera.close()
            self._camera = None

    def _configure(self) -> None:
        """Configure once, with all controls before the start, so that the first shot already has them.

        What libcamera makes of the sizes is believed: it may round them for another sensor.
        """
        self._camera.configure(
            self._camera.create_video_configuration(
                main={"size": SIZE_PX, "format": "RGB888"},  # in memory B, G, R: libcamera names it by little endian
                lores={"size": SMALL_SIZE_PX, "format": "YUV420"},  # a Pi 4 offers nothing else there
                raw=None,
                buffer_count=BUFFERS,
                queue=False,  # an old picture that waits is never asked for here
                display=None,
                encode=None,
                controls={**FIXED_CONTROLS, **_controls_of(self._light)},
            )
        )
        configuration = self._camera.camera_configuration()
        self._sizes = StreamSizes(main_px=configuration["main"]["size"], small_px=configuration["lores"]["size"])

    def _hold(self, request: Any) -> None:
        """Keep one completed request. Runs on picamera2's thread, under its lock; an exception would end that thread.

        A late taker loses the oldest that waits. If it has all in its hands, the new one goes straight back.
        """
        late = None
        with self._lock:
            if self._held >= HELD_AT_MOST:
                self.dropped += 1
                if not self._waiting:
                    return
                late = self._waiting.popleft()
            try:
                request.acquire()
            except RuntimeError as error:
                self._broken = f"a shot could not be taken ({error})"
            else:
                self._waiting.append(request)
                self._held += 1
        if late is not None:
            self._give_back(late)
        self._wake.set()

    def _shot_of(self, request: Any) -> PiShot:
        """Return the shot with what the sensor reports of itself, which is not what was asked. Raises ValueError.

        SensorTimestamp is when the first row's exposure ended, nanoseconds of CLOCK_BOOTTIME
        (picamera2's examples/timestamp_capture.py).
        """
        metadata = request.get_metadata()
        light = light_of(metadata, frame_duration_us=FRAME_DURATION_US)
        ended_s = metadata["SensorTimestamp"] / 1e9
        at_s = ended_s - light.exposure_us / 1e6
        if not math.isfinite(at_s) or at_s <= self._newest_s:
            raise ValueError("a timestamp that does not go forward")
        if ended_s > self._clock.monotonic_s() + AHEAD_AT_MOST_S:
            raise ValueError("a timestamp that lies in the future")
        small = small_of(request.make_array("lores"), self._sizes)
        self._newest_s = at_s
        self._number += 1
        return PiShot(
            number=self._number,
            at_s=at_s,
            light=light,
            small=small,
            request=request,
            sizes=self._sizes,
            clock=self._clock,
            give_back=self._give_back,
        )

    def _give_back(self, request: Any) -> None:
        request.release()
        with self._lock:
            self._held -= 1

    def _give_all_back(self) -> None:
        """Give back what waits; what the taker still has in its hands it gives back itself."""
        with self._lock:
            requests = drained(self._waiting)
        for request in requests:
            self._give_back(request)


def _controls_of(light: Light) -> dict[str, Any]:
    return {"ExposureTime": round(light.exposure_us), "AnalogueGain": light.gain}


def _vendor() -> Callable[[], Any]:
    """Return the vendor's class. Raises DeviceFault(CAMERA_ABSENT)."""
    try:
        vendor: Callable[[], Any] = importlib.import_module("picamera2").Picamera2
    except ImportError as error:
        hint = f"picamera2 cannot be loaded ({error}); install it with `apt install python3-picamera2`"
        raise DeviceFault(FaultCode.CAMERA_ABSENT, hint) from error
    return vendor

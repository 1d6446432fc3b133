"""The Raspberry Pi's camera through picamera2. It configures the sensor once and translates; nothing else.

picamera2 leaks when it is opened or switched again in one process and may stop delivering without any error. So it is
configured once with fixed exposure, and the age of the newest frame is the only proof that it lives.
"""

import importlib
import threading
from collections import deque
from typing import Any

from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock
from firmware.records import Frame, Image
from firmware.stage import drained

SIZE_PX = (1456, 1088)
"""The whole IMX296."""

FRAME_DURATION_US = 33_333
"""30 frames a second."""

EXPOSURE_US = 200
"""One pixel of blur at 75 mph for a plate of 130 px seen at 20 degrees."""

ANALOGUE_GAIN = 4.0

BUFFERS = 4

SILENT_AFTER_S = 3.0
"""A sensor that runs all the time is hung when it is silent for ninety frames."""

FRAMES_WAITING = 8
"""Frames that wait for the capture stage at most, 4.75 MB each; it is woken at every one."""


class PiCamera:
    """An IMX296 (or another sensor of that size) on the camera connector."""

    def __init__(self, clock: Clock) -> None:
        """Load picamera2, which is only there beside the system's libcamera. Raises DeviceFault(CAMERA_ABSENT)."""
        try:
            self._open = importlib.import_module("picamera2").Picamera2
        except ImportError as error:
            hint = f"picamera2 cannot be loaded ({error}); on a Raspberry Pi run `apt install python3-picamera2`"
            raise DeviceFault(FaultCode.CAMERA_ABSENT, hint) from error
        self.dropped = 0
        self._clock = clock
        self._frames: deque[Frame] = deque(maxlen=FRAMES_WAITING)
        self._wake = threading.Event()
        self._camera: Any = None
        self._number = 0
        self._newest_s = 0.0
        self._broken = ""

    def listen(self, wake: threading.Event) -> None:
        """Open and start the sensor; set `wake` at every frame. Raises DeviceFault(CAMERA_ABSENT)."""
        self._wake = wake
        try:
            self._camera = self._open()
            self._start()
        except (RuntimeError, OSError, IndexError) as error:
            self._give_back()
            hint = f"the camera cannot be started ({error}); check the ribbon cable and `rpicam-hello --list-cameras`"
            raise DeviceFault(FaultCode.CAMERA_ABSENT, hint) from error
        self._newest_s = self._clock.monotonic_s()

    def frames(self) -> list[Frame]:
        """Return and forget the frames since the last call, oldest first. Raises DeviceFault(CAMERA_SILENT)."""
        taken = drained(self._frames)
        age_s = self._clock.monotonic_s() - self._newest_s
        if not taken and (self._broken or age_s > SILENT_AFTER_S):
            hint = (
                self._broken
                or f"no frame for {age_s:.0f} s; check ribbon cable and supply, the service restarts itself"
            )
            raise DeviceFault(FaultCode.CAMERA_SILENT, hint)
        return taken

    def close(self) -> None:
        """Stop the sensor and give its buffers back."""
        self._give_back()

    def _start(self) -> None:
        """Configure with all controls before the start, so that the first frame already has them."""
        configuration = self._camera.create_video_configuration(
            main={"size": SIZE_PX, "format": "RGB888"},  # libcamera's RGB888 is B, G, R in memory: what OpenCV wants
            buffer_count=BUFFERS,
            queue=False,  # an old frame that waits is never asked for here
            display=None,
            encode=None,
            controls={
                "AeEnable": False,
                "AwbEnable": True,
                "ExposureTime": EXPOSURE_US,
                "AnalogueGain": ANALOGUE_GAIN,
                "FrameDurationLimits": (FRAME_DURATION_US, FRAME_DURATION_US),
            },
        )
        self._camera.configure(configuration)
        self._camera.post_callback = self._note_frame
        self._camera.start()

    def _note_frame(self, request: Any) -> None:
        """Copy one frame out of the sensor's buffers. Runs on picamera2's thread, which gives the request back at once.

        An exception would end that thread without a word, so it is kept for `frames` to report.
        """
        try:
            frame = self._frame_of(request.make_array("main"), request.get_metadata())
        except (RuntimeError, KeyError, ValueError, TypeError, OSError, MemoryError) as error:
            self._broken = f"a frame could not be taken ({type(error).__name__}); the service restarts itself"
        else:
            self._broken = ""
            self._newest_s = self._clock.monotonic_s()
            self.dropped += len(self._frames) == FRAMES_WAITING
            self._frames.append(frame)
        self._wake.set()

    def _frame_of(self, image: Image, metadata: dict[str, Any]) -> Frame:
        """Return the frame with what the sensor reports of itself, which is not what was asked.

        SensorTimestamp is when the exposure ended for the first row, nanoseconds of CLOCK_BOOTTIME.
        """
        exposure_us = float(metadata["ExposureTime"])
        at_s = metadata["SensorTimestamp"] / 1e9 - exposure_us / 1e6
        age_ms = round((self._clock.monotonic_s() - at_s) * 1000)
        self._number += 1
        return Frame(
            number=self._number,
            at_s=at_s,
            taken_utc_ms=self._clock.utc_ms() - age_ms,
            clock_trusted=self._clock.is_trusted(),
            image=image,
            exposure_us=exposure_us,
            gain=float(metadata["AnalogueGain"]),
            infrared=False,
        )

    def _give_back(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None

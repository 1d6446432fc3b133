"""The simulated camera: a sensor that runs at a fixed rate before a road or before recorded pictures.

Owns frame numbers, times, delivery and the faults of a sensor; what it sees is the scene's business. It has two faces.
The device face is the Camera port. The world face says what happens outside: `deliver`, `freeze`, `thaw`, `drop_next`.
Time comes either from a thread that `listen` starts and `close` ends, or, with `self_paced=False`, from whoever owns
virtual time and calls `deliver`.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Clock
from firmware.records import Frame, Image
from firmware.stage import NEVER_S, drained
from hw_sim.replay import open_scene
from hw_sim.road import Road, RoadScene
from hw_sim.sensors import Sensor, Subject

BUFFERS = 6
"""Frames that the sensor holds for a taker who is late; libcamera runs with four to six."""

SILENT_AFTER_S = 3.0
"""So long without a frame, and the sensor counts as hung."""

_LATEST_FRAMES = 2  # a thread that is later than this many frames skips them, as a sensor without a free buffer does


class Scene(Protocol):
    """What stands before the sensor; times are seconds since it began."""

    @property
    def end_s(self) -> float:
        """When all has been shown; infinite if never."""
        ...

    @property
    def unreadable(self) -> int:
        """How many parts of the scene could not be shown."""
        ...

    def picture_at(self, elapsed_s: float) -> Image:
        """Return what the sensor sees, uint8 (H, W, 3) BGR."""
        ...

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:
        """Return what passes the sensors' line, by at_s: from_s <= at_s < to_s."""
        ...

    def close(self) -> None:
        """Give back what the scene holds."""
        ...


class SimCamera:
    """A sensor before a scene. Frame n is taken n / rate_hz seconds after `listen`; its number never repeats."""

    def __init__(
        self,
        scene: Scene,
        clock: Clock,
        *,
        rate_hz: float,
        exposure_us: float,
        gain: float,
        sensors: Sequence[Sensor] = (),
        on_subject: Callable[[float], None] | None = None,
        self_paced: bool = True,
    ) -> None:
        """Stand before `scene`; `sensors` and `on_subject` notice what passes. Raises ValueError for a rate of zero."""
        if not 0.1 <= rate_hz <= 240.0:
            raise ValueError("a sensor delivers 0.1 to 240 frames a second")
        self.rate_hz = rate_hz
        self.lost = 0  # frames that nobody took in time, that came too late, or that were dropped on purpose
        self._scene, self._clock = scene, clock
        self._exposure_us, self._gain = exposure_us, gain
        self._sensors, self._on_subject = tuple(sensors), on_subject
        self._frames: deque[Frame] = deque(maxlen=BUFFERS)
        self._wake: threading.Event | None = None
        self._start_s = 0.0
        self._next_number = 0
        self._subjects_until_s = 0.0
        self._last_frame_s = 0.0
        self._frozen = False
        self._to_drop = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sensor", daemon=False) if self_paced else None

    # Device face: the Camera port.

    def listen(self, wake: threading.Event) -> None:
        """Start delivering; set `wake` at every new frame. Called again, it only changes who is woken."""
        is_first = self._wake is None
        self._wake = wake
        if is_first:
            self._start_s = self._last_frame_s = self._clock.monotonic_s()
            if self._thread is not None:
                self._thread.start()

    def frames(self) -> list[Frame]:
        """Return and forget the frames since the last call, oldest first. Raises DeviceFault(CAMERA_SILENT)."""
        taken = drained(self._frames)
        if not taken and self._wake is not None and self._clock.monotonic_s() - self._last_frame_s > SILENT_AFTER_S:
            hint = (
                f"no frame for {SILENT_AFTER_S:.0f} s; check the camera's ribbon cable, then switch the unit off and on"
            )
            raise DeviceFault(FaultCode.CAMERA_SILENT, hint)
        return taken

    def close(self) -> None:
        """End the thread, if there is one, and give the scene back."""
        self._closing.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self._scene.close()

    # World face.

    @property
    def finished(self) -> bool:
        """Whether everything before the sensor has been shown. It goes on delivering what remains to be seen."""
        return self._wake is not None and self._clock.monotonic_s() - self._start_s >= self._scene.end_s

    @property
    def unreadable(self) -> int:
        """How many pictures could not be shown because their files cannot be read."""
        return self._scene.unreadable

    @property
    def start_s(self) -> float:
        """Monotonic seconds of frame 0, which are the scene's zero."""
        return self._start_s

    @property
    def next_frame_s(self) -> float:
        """When the next frame is due; NEVER_S before `listen` and after `close`."""
        if self._wake is None or self._closing.is_set():
            return NEVER_S
        return self._taken_at_s(self._next_number)

    @property
    def next_event_s(self) -> float:
        """When `deliver` has something to do: a frame, or a change on a sensor's line."""
        return min([self.next_frame_s, *(sensor.next_change_s for sensor in self._sensors)])

    def freeze(self) -> None:
        """Deliver nothing more, as a hung sensor; time goes on."""
        self._frozen = True

    def thaw(self) -> None:
        """Deliver again."""
        self._frozen = False

    def drop_next(self, count: int) -> None:
        """Lose the next `count` frames. Their numbers are missing."""
        self._to_drop += count

    def frame_at(self, number: int) -> Frame | None:
        """Return frame `number`, as it was or will be; None before `listen` and for a number below zero."""
        if self._wake is None or number < 0:
            return None
        at_s = self._taken_at_s(number)
        ago_ms = round((self._clock.monotonic_s() - at_s) * 1000.0)
        return Frame(
            number=number,
            at_s=at_s,
            taken_utc_ms=self._clock.utc_ms() - ago_ms,
            clock_trusted=self._clock.is_trusted(),
            image=self._scene.picture_at(number / self.rate_hz),
            exposure_us=self._exposure_us,
            gain=self._gain,
            infrared=False,
        )

    def deliver(self, now_s: float) -> None:
        """Let the world go on to `now_s`: what passes is noticed, lines change, and all frames that are due arrive."""
        if self._wake is None:
            return
        self._announce(now_s)
        for sensor in self._sensors:
            sensor.deliver(now_s)
        while self.next_frame_s <= now_s:
            number = self._next_number
            self._next_number += 1
            if self._frozen:
                continue
            if self._to_drop > 0:
                self._to_drop -= 1
                self.lost += 1
                continue
            frame = self.frame_at(number)
            if frame is not None:
                self._hand_over(frame)

    def _taken_at_s(self, number: int) -> float:
        return self._start_s + number / self.rate_hz

    def _announce(self, now_s: float) -> None:
        until_s = math.nextafter(now_s - self._start_s, math.inf)  # what happens right now has happened
        for subject in self._scene.subjects(self._subjects_until_s, until_s):
            at_s = self._start_s + subject.at_s
            for sensor in self._sensors:
                sensor.notice(Subject(at_s=at_s, until_s=self._start_s + subject.until_s))
            if self._on_subject is not None:
                self._on_subject(at_s)
        self._subjects_until_s = max(self._subjects_until_s, until_s)

    def _hand_over(self, frame: Frame) -> None:
        self.lost += len(self._frames) == BUFFERS
        self._frames.append(frame)
        self._last_frame_s = frame.at_s
        if self._wake is not None:
            self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            now_s = self._clock.monotonic_s()
            self._skip_late_frames(now_s)
            self.deliver(now_s)
            self._closing.wait(max(0.0, min(self.next_event_s - self._clock.monotonic_s(), 1.0)))

    def _skip_late_frames(self, now_s: float) -> None:
        due = math.floor((now_s - self._start_s) * self.rate_hz) - self._next_number + 1
        if due > _LATEST_FRAMES:
            self._next_number += due - 1
            self.lost += due - 1


class RoadCamera(SimCamera):
    """The camera at the simulated road."""

    def __init__(
        self,
        road: Road,
        clock: Clock,
        rate_hz: float = 30.0,
        *,
        sensors: Sequence[Sensor] = (),
        on_subject: Callable[[float], None] | None = None,
        self_paced: bool = True,
    ) -> None:
        """Look at `road`; its time zero is the moment of `listen`."""
        super().__init__(
            RoadScene(road),
            clock,
            rate_hz=rate_hz,
            exposure_us=road.exposure_us,
            gain=road.gain,
            sensors=sensors,
            on_subject=on_subject,
            self_paced=self_paced,
        )


class ReplayCamera(SimCamera):
    """The camera before photographs of a folder, one photograph, or a video file."""

    def __init__(
        self,
        source: Path,
        clock: Clock,
        rate_hz: float = 10.0,
        *,
        hold_s: float = 1.0,
        gap_s: float = 0.6,
        sensors: Sequence[Sensor] = (),
        on_subject: Callable[[float], None] | None = None,
        self_paced: bool = True,
    ) -> None:
        """Open `source`. Raises ConfigRejected with one sentence that names the path and says what to do."""
        super().__init__(
            open_scene(source, hold_s=hold_s, gap_s=gap_s),
            clock,
            rate_hz=rate_hz,
            exposure_us=1000.0,  # nobody knows what the photographer chose
            gain=1.0,
            sensors=sensors,
            on_subject=on_subject,
            self_paced=self_paced,
        )

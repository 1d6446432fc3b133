"""The simulated sensor before a scene: when it exposes, with which light, what it delivers late, wrongly or not at all.

It has two faces. The device face is `open`, which answers with the stand-in for picamera2's class that the device's own
`PiCamera` drives. The world face says what happens outside: `deliver`, `freeze`, `thaw`, `drop_next`, `spoil_next`,
`misshape_next`. What stands before the sensor is the scene's business. Time comes either from a thread that the first
start begins and the last close ends, or, with `self_paced=False`, from whoever owns virtual time and calls `deliver`.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from firmware.ports import Clock
from firmware.records import Grey, Image, Light
from firmware.stage import NEVER_S
from hw_sim import imx296
from hw_sim.imx296 import POWERED_UP, DelayedSettings
from hw_sim.picamera import Exposed, SimPicamera2
from hw_sim.sensors import Sensor, Subject

LATENCY_S = imx296.READOUT_S + 0.009
"""From the end of an exposure to the callback: readout, then the image processor."""

OBEYS_AFTER_FRAMES = (3, 4)
"""From the exposure of the buffer that a control travels with to the first exposure that has it.

Two frames are the sensor's own (cam_helper_imx296.cpp, getDelays), one or two the pipeline's. Users of picamera2
measure the number of buffers + 3 to 4 in all."""

LONGEST_JITTER_S = 0.01

NONSENSE: tuple[tuple[str, Any], ...] = (
    ("ExposureTime", None),
    ("ExposureTime", math.nan),
    ("ExposureTime", -200),
    ("ExposureTime", 5_000_000),
    ("ExposureTime", "200"),
    ("AnalogueGain", None),
    ("AnalogueGain", math.nan),
    ("AnalogueGain", 0.0),
    ("SensorTimestamp", None),
    ("SensorTimestamp", 0),
    ("SensorTimestamp", 2**62),
)
"""What a broken driver reports: a key that is missing (None) or has this value."""


class Scene(Protocol):
    """What stands before the sensor; times are seconds since it began. All pictures are of the sensor's size."""

    @property
    def end_s(self) -> float:
        """When all has been shown; infinite if never."""
        ...

    @property
    def unreadable(self) -> int:
        """How many parts of the scene could not be shown."""
        ...

    def picture_at(self, elapsed_s: float, light: Light) -> Image:
        """Return what an exposure that begins at `elapsed_s` with this light gathers, uint8 (H, W, 3) BGR."""
        ...

    def small_at(self, elapsed_s: float, light: Light) -> Grey:
        """Return the brightness of that picture, uint8, a quarter as wide and high."""
        ...

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:
        """Return what passes the sensors' line, by at_s: from_s <= at_s < to_s."""
        ...

    def close(self) -> None:
        """Give back what the scene holds."""
        ...


class Lamp(Protocol):
    """The light that flashes with the shutter."""

    @property
    def ratio(self) -> float:
        """Its share of full power at this moment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFaults:
    """What goes wrong by chance, each frame for itself."""

    drop_ratio: float = 0.0  # frames that are lost on the way
    jitter_s: float = 0.0  # standard deviation of the timestamps around the truth
    nonsense_ratio: float = 0.0  # frames whose metadata are nonsense
    misshapen_ratio: float = 0.0  # frames whose arrays have a wrong shape


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coming:
    """A frame on its way from the sensor to the callback."""

    due_s: float
    buffer: int
    exposed: Exposed


class SimCamera:
    """An IMX296, or a sensor of another size, before a scene."""

    def __init__(
        self,
        scene: Scene,
        clock: Clock,
        *,
        size_px: tuple[int, int] = imx296.SIZE_PX,
        sensors: Sequence[Sensor] = (),
        lamp: Lamp | None = None,
        faults: CameraFaults | None = None,
        seed: int = 0,
        self_paced: bool = True,
        standing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Stand before `scene`, whose pictures have this width and height; `sensors` notice what passes.

        Pictures are drawn within `standing()`, in which a clock may leave out the time that it takes.
        """
        self.size_px = size_px
        self.lost = 0  # frames that found no free buffer, or that were dropped on purpose or by chance
        self._scene, self._clock, self._lamp = scene, clock, lamp
        self._sensors = tuple(sensors)
        self._faults = faults or CameraFaults()
        self._generator = np.random.default_rng([seed, 296])
        self._drawing, self._standing = threading.Lock(), standing
        self._user: SimPicamera2 | None = None
        self._timeline = threading.RLock()  # the sensor's thread exposes while the taker's starts and stops
        self._is_running = False
        self._settings = DelayedSettings(POWERED_UP)
        self._colour_gains = (1.0, 1.0)
        self._zero_s: float | None = None
        self._frame = 0
        self._readout_s = 0.0
        self._coming: deque[_Coming] = deque()
        self._subjects_until_s = 0.0
        self._newest_ns = 0
        self._is_frozen = self._heals_by_restart = self._is_deaf = False
        self._to_drop = self._to_spoil = self._to_misshape = self._kind = 0
        self._changed = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="sensor", daemon=False) if self_paced else None

    # Device face.

    def open(self) -> SimPicamera2:
        """Return the camera as picamera2 would. Raises RuntimeError while somebody has it, and once it was closed."""
        if self._is_closed or (self._user is not None and self._user.is_open):
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._user = SimPicamera2(self)
        return self._user

    def run(self, controls: Mapping[str, Any]) -> None:
        """Start exposing; `controls` hold from the first frame on. Called by the stand-in."""
        now_s = self._clock.monotonic_s()
        if self._zero_s is None:
            self._zero_s = now_s
            if self._thread is not None:
                self._thread.start()
        if self._heals_by_restart:
            self.thaw()
        with self._timeline:
            self._frame += max(OBEYS_AFTER_FRAMES)  # what was on its way to the sensor arrives while it stands still
            self._write(self._frame, controls)
            self._readout_s = now_s + self._settings.of(self._frame).frame_us / 1e6
            self._is_running = True
        self._changed.set()

    def halt(self) -> None:
        """Stop exposing. Called by the stand-in."""
        with self._timeline:
            self._is_running = False
            self._coming.clear()

    def give_back(self) -> None:
        """End the thread, if there is one, and give the scene back. Called by the stand-in."""
        self._is_closed = True
        self._changed.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self._scene.close()

    def picture(self, exposed: Exposed) -> Image:
        """Return the whole picture of an exposure. Called by the stand-in, on whatever thread asks for it."""
        with self._standing(), self._drawing:
            return self._scene.picture_at(exposed.elapsed_s, exposed.light)

    def small(self, exposed: Exposed) -> Grey:
        """Return the small grey picture of an exposure. Called by the stand-in."""
        with self._standing(), self._drawing:
            return self._scene.small_at(exposed.elapsed_s, exposed.light)

    # World face.

    @property
    def finished(self) -> bool:
        """Whether everything before the sensor has been shown. It goes on delivering what remains to be seen."""
        return self._zero_s is not None and self._clock.monotonic_s() - self._zero_s >= self._scene.end_s

    @property
    def unreadable(self) -> int:
        """How many pictures could not be shown because their files cannot be read."""
        return self._scene.unreadable

    @property
    def start_s(self) -> float:
        """Monotonic seconds of the first start, which are the scene's zero; 0 before it."""
        return self._zero_s or 0.0

    @property
    def lamp_ratio(self) -> float:
        """The lamp's light at this moment; 0 without one."""
        return 0.0 if self._lamp is None else self._lamp.ratio

    @property
    def next_frame_s(self) -> float:
        """When the next exposure begins or the next frame arrives; NEVER_S while the camera does not run."""
        with self._timeline:
            if not self._is_running:
                return NEVER_S
            return min(self._exposes_at_s(), self._coming[0].due_s if self._coming else NEVER_S)

    @property
    def next_event_s(self) -> float:
        """When `deliver` has something to do: a frame, or a change on a sensor's line."""
        return min([self.next_frame_s, *(sensor.next_change_s for sensor in self._sensors)])

    def freeze(self, *, heals_by_restart: bool = False) -> None:
        """Deliver nothing more, as a hung sensor, until `thaw`, or until it is started again; time goes on."""
        self._is_frozen, self._heals_by_restart = True, heals_by_restart

    def thaw(self) -> None:
        """Deliver again."""
        self._is_frozen = self._heals_by_restart = False

    def deafen(self) -> None:
        """Pass over every wish for another light from now on; what a start brings with it still holds."""
        self._is_deaf = True

    def unplug(self) -> None:
        """Be no longer there for whoever opens it."""
        self._is_closed = True

    def drop_next(self, count: int) -> None:
        """Lose the next `count` frames."""
        self._to_drop += count

    def spoil_next(self, count: int) -> None:
        """Report nonsense with the next `count` frames: each kind of NONSENSE in turn."""
        self._to_spoil += count

    def misshape_next(self, count: int) -> None:
        """Deliver the next `count` frames in wrong shapes, of each kind in turn."""
        self._to_misshape += count

    def deliver(self, now_s: float) -> None:
        """Let the world go on to `now_s`: what passes is noticed, lines change, and all frames that are due arrive.

        A caller who is late finds at most as many frames as there were free buffers; the others are lost.
        """
        if self._zero_s is None or self._user is None:
            return
        self._announce(now_s, self._zero_s)
        for sensor in self._sensors:
            sensor.deliver(now_s)
        filled = []
        with self._timeline:
            stop_count = self._user.stop_count
            while self.next_frame_s <= now_s:
                if self._coming and self._coming[0].due_s <= self._exposes_at_s():
                    coming = self._coming.popleft()
                    filled.append((coming.buffer, coming.exposed))
                else:
                    self._expose(self._user, self._zero_s)
        self._user.hand_over(filled, stop_count)

    def _exposes_at_s(self) -> float:
        return self._readout_s - self._settings.of(self._frame).exposure_us / 1e6

    def _announce(self, now_s: float, zero_s: float) -> None:
        until_s = math.nextafter(now_s - zero_s, math.inf)  # what happens right now has happened
        for subject in self._scene.subjects(self._subjects_until_s, until_s):
            for sensor in self._sensors:
                sensor.notice(Subject(at_s=zero_s + subject.at_s, until_s=zero_s + subject.until_s))
        self._subjects_until_s = max(self._subjects_until_s, until_s)

    def _expose(self, user: SimPicamera2, zero_s: float) -> None:
        """Take one frame, if there is a buffer for it, and go on to the next."""
        at_s, settings = self._exposes_at_s(), self._settings.of(self._frame)
        readout_s, frame = self._readout_s, self._frame
        chances = self._generator.random(4).tolist()  # always as many, so that one fault does not shift the others
        self._frame += 1
        self._readout_s += settings.frame_us / 1e6
        if self._is_frozen:
            return
        is_dropped = self._to_drop > 0 or chances[0] < self._faults.drop_ratio
        self._to_drop = max(0, self._to_drop - 1)
        buffer = None if is_dropped else user.next_buffer()
        if buffer is None:
            self.lost += 1
            return
        number, controls = buffer
        self._write(frame + OBEYS_AFTER_FRAMES[chances[1] < 0.25], controls)
        light = Light(exposure_us=settings.exposure_us, gain=settings.gain, lamp_ratio=self.lamp_ratio)
        exposed = Exposed(
            elapsed_s=at_s - zero_s,
            light=light,
            metadata=self._metadata(
                readout_s, light, settings.frame_us, is_nonsense=chances[2] < self._faults.nonsense_ratio
            ),
            misshapen=self._misshapen(by_chance=chances[3] < self._faults.misshapen_ratio),
        )
        self._coming.append(_Coming(due_s=readout_s + LATENCY_S, buffer=number, exposed=exposed))

    def _metadata(self, readout_s: float, light: Light, frame_us: float, *, is_nonsense: bool) -> dict[str, Any]:
        """Return what libcamera reports of a frame; SensorTimestamp is the begin of its readout, CLOCK_BOOTTIME."""
        jitter_s = float(np.clip(self._generator.normal() * self._faults.jitter_s, -LONGEST_JITTER_S, LONGEST_JITTER_S))
        timestamp_ns = max(self._newest_ns + 1, round((readout_s + jitter_s) * 1e9))
        self._newest_ns = timestamp_ns
        metadata: dict[str, Any] = {
            "SensorTimestamp": timestamp_ns,
            "ExposureTime": int(light.exposure_us),
            "AnalogueGain": float(np.float32(light.gain)),
            "DigitalGain": 1.0,
            "FrameDuration": int(frame_us),
            "ColourGains": self._colour_gains,
            "SensorBlackLevels": (3840, 3840, 3840, 3840),
            "ScalerCrop": (0, 0, *self.size_px),
        }
        if is_nonsense or self._to_spoil > 0:
            self._to_spoil = max(0, self._to_spoil - 1)
            name, value = NONSENSE[self._kind % len(NONSENSE)]
            self._kind += 1
            metadata[name] = value
            metadata = {name: value for name, value in metadata.items() if value is not None}
        return metadata

    def _misshapen(self, *, by_chance: bool) -> int:
        """Return the kind of wrong shape that the next frame has; 0 for none."""
        if not by_chance and self._to_misshape == 0:
            return 0
        self._to_misshape = max(0, self._to_misshape - 1)
        self._kind += 1
        return self._kind

    def _write(self, frame: int, controls: Mapping[str, Any]) -> None:
        """Let controls act from `frame` on. Frames are as short as their limits allow, and cut exposures there."""
        if self._is_deaf and "FrameDurationLimits" not in controls:
            return
        changes: dict[str, float] = {}
        if "ExposureTime" in controls:
            changes["exposure_us"] = float(controls["ExposureTime"])
        if "AnalogueGain" in controls:
            changes["gain"] = float(controls["AnalogueGain"])
        if "FrameDurationLimits" in controls:
            changes["frame_us"] = float(controls["FrameDurationLimits"][0])
        if changes:
            self._settings.write(frame, **changes)
        self._colour_gains = tuple(controls.get("ColourGains", self._colour_gains))

    def _run(self) -> None:
        while not self._is_closed:
            self.deliver(self._clock.monotonic_s())
            self._changed.wait(max(0.0, min(self.next_event_s - self._clock.monotonic_s(), 1.0)))
            self._changed.clear()

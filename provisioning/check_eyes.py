"""The unit's camera as `check` uses it: opened once, its light held by the unit's own governor, shots counted.

Owns taking shots; what they say of camera, focus, exposure and lamp is `provisioning.check_camera`'s and
`provisioning.check_lamp`'s. A camera has one user, so the service must be stopped.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from firmware.config import CaptureConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.lighting import Lighting
from firmware.ports import Camera, Clock, IrLamp, Shot
from firmware.records import Grey, Image, Light

FIRST_SHOTS = 60
"""Two seconds: the governor has seen the light, and a rate is known to a per cent."""

PATIENCE_S = 6.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Glance:
    """What is kept of a shot. `small` is uint8 (h, w), a quarter of the sensor's size each way."""

    number: int
    at_s: float
    light: Light
    small: Grey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """The first two seconds, and a picture of their end, uint8 (H, W, 3) BGR (None: no shot came)."""

    glances: tuple[Glance, ...]
    picture: "Image | None" = field(repr=False)
    phase: str  # day, dusk or night


class Eyes:
    """Looks through one camera. Everything in it raises DeviceFault of a camera that is absent or silent."""

    def __init__(self, camera: Camera, lamp: IrLamp | None, capture: CaptureConfig, clock: Clock) -> None:
        """Take the parts; nothing is started."""
        self.lamp, self.clock, self.capture = lamp, clock, capture
        self.wake = threading.Event()
        self._camera = camera
        self._lighting = Lighting(camera, lamp, capture, FaultBook())
        self._is_open = False
        self._fault: DeviceFault | None = None
        self._first: FirstLook | None = None

    def open(self) -> None:
        """Start the camera if it does not run. A camera that did not start is not asked again."""
        if self._fault is not None:
            raise self._fault
        if not self._is_open:
            try:
                self._camera.listen(self.wake)
            except DeviceFault as fault:
                self._fault = fault
                raise
            self._is_open = True

    def first_look(self) -> FirstLook:
        """Return the first two seconds, during which the light settles; they are looked at once."""
        if self._first is None:
            self.open()
            pictures: list[Image] = []

            def settle(shot: Shot) -> None:
                self._lighting.see(shot, moves=False, now_s=self.clock.monotonic_s())
                if shot.number >= FIRST_SHOTS and not pictures:
                    pictures.append(shot.develop(infrared=self._lighting.lamp_ratio_at(shot.at_s) > 0).image)

            glances = self.take(FIRST_SHOTS + 1, look=settle)
            picture = pictures[0] if pictures else None
            self._first = FirstLook(glances=tuple(glances), picture=picture, phase=str(self._lighting.phase))
        return self._first

    def take(self, count: int, *, look: Callable[[Shot], None] = lambda _shot: None) -> list[Glance]:
        """Return the next `count` shots, fewer if they do not come in time; each is looked at and given back."""
        glances: list[Glance] = []
        begun_s = self.clock.monotonic_s()
        while len(glances) < count and self.clock.monotonic_s() - begun_s < PATIENCE_S + count / 15.0:
            self.wake.wait(LOOK_EVERY_S)
            self.wake.clear()
            for shot in self._shots():
                try:
                    look(shot)
                    glances.append(Glance(shot.number, shot.at_s, shot.light, shot.small))
                finally:
                    shot.release()
        return glances

    def ask(self, light: Light) -> None:
        """Ask for exposure and gain of the shots to come."""
        self._camera.set_light(light)

    def close(self) -> None:
        """Let the lamp fall and give the camera back."""
        self._lighting.close()
        if self._is_open:
            self._camera.close()
            self._is_open = False

    def _shots(self) -> list[Shot]:
        try:
            return self._camera.shots()
        except DeviceFault as fault:
            if fault.code is not FaultCode.CAMERA_NONSENSE:
                self._fault = fault
                raise
            return []  # one bad frame; a camera that delivers no others falls silent


def linear(small: Grey) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the light of which a picture's levels speak, 0..1, float32 of the same shape.

    By the tone curve of Raspberry Pi's tuning files for libcamera (rpi.contrast), which is within a hundredth
    1.212 (sqrt(x + t) - sqrt(t)) - 0.138 x with t = 0.004: steeper in the dark than any power.
    """
    return np.asarray(_LIGHT[small], np.float32)


def _light_of_levels() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    light = np.linspace(0.0, 1.0, 20_001)
    levels = 1.212 * (np.sqrt(light + 0.004) - np.sqrt(0.004)) - 0.138 * light
    return np.asarray(np.interp(np.arange(256) / 255.0, levels / levels[-1], light), np.float32)


_LIGHT = _light_of_levels()

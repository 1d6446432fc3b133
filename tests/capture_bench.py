"""A capture stage between scripted parts, at 30 shots a second."""

import threading

import numpy as np

from firmware.capture import CaptureStage
from firmware.config import CaptureConfig
from firmware.faults import FaultBook
from firmware.records import Frame, Light, MemoryUse, TriggerEdge, TriggerSource
from firmware.stage import Mailbox

RATE_HZ = 30
HEIGHT_PX, WIDTH_PX = 136, 182
QUIET = np.full((HEIGHT_PX, WIDTH_PX), 97, np.uint8)
REAR = np.random.default_rng(2).integers(20, 220, (10, 12), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
QUICK_PX, SLOW_PX = 20, 1.3
"""What 75 and 5 mph move between two shots."""


def vehicle(number, step_px=QUICK_PX):
    """A rear end that moves up the picture, again and again."""
    picture = QUIET.copy()
    top = HEIGHT_PX - 10 - round(number * step_px) % (HEIGHT_PX - 10)
    rows = min(80, HEIGHT_PX - top)
    picture[top : top + rows, 40:136] = REAR[:rows]
    return picture


class ScriptedShot:
    def __init__(self, camera, number, at_s, small):
        self.number, self.at_s, self.light, self.small = number, at_s, camera.light, small
        self.camera, self.released = camera, 0
        camera.out += 1

    def develop(self, *, infrared):
        assert not self.released
        if self.camera.picture_fault:
            raise self.camera.picture_fault
        return Frame(
            number=self.number,
            at_s=self.at_s,
            taken_utc_ms=round(self.at_s * 1000),
            clock_trusted=True,
            image=self.camera.image,
            exposure_us=self.light.exposure_us,
            gain=self.light.gain,
            infrared=infrared,
        )

    def release(self):
        self.released += 1
        self.camera.out -= 1
        self.camera.out_at_most = max(self.camera.out_at_most, self.camera.out)


class ScriptedCamera:
    """Gives the shots that the test lays down, or raises the fault that it names."""

    def __init__(self):
        self.waiting, self.fault, self.absent, self.closed = [], None, None, False
        self.picture_fault, self.restart_fault, self.restarts = None, None, 0
        self.image = np.zeros((8, 8, 3), np.uint8)
        self.light, self.asked = Light(exposure_us=200.0, gain=1.0), []
        self.out = self.out_at_most = 0

    def listen(self, wake):
        if self.absent:
            raise self.absent

    def shots(self):
        if self.fault:
            raise self.fault
        taken, self.waiting = self.waiting, []
        return taken

    def set_light(self, light):
        self.asked.append(light)

    def restart(self):
        self.restarts += 1
        if self.restart_fault:
            raise self.restart_fault

    def close(self):
        self.closed = True


class ScriptedTrigger:
    def __init__(self, source=TriggerSource.PIR):
        self.source, self.waiting, self.absent, self.closed = source, [], None, False

    def listen(self, wake):
        if self.absent:
            raise self.absent

    def edges(self):
        taken, self.waiting = self.waiting, []
        return taken

    def fire(self, at_s):
        self.waiting.append(TriggerEdge(source=self.source, at_s=at_s))

    def close(self):
        self.closed = True


class ScriptedLamp:
    def __init__(self):
        self.leases, self.absent, self.closed = [], None, False

    def renew(self, lamp_ratio, for_s):
        if self.absent:
            raise self.absent
        self.leases.append((lamp_ratio, for_s))

    def close(self):
        self.closed = True


class ScriptedSystem:
    use = MemoryUse(resident_bytes=200_000_000, pool_free_bytes=300_000_000)

    def memory(self):
        return self.use


class Bench:
    """A capture stage between a scripted camera, trigger and lamp and a real mailbox, at 30 shots a second."""

    def __init__(self, capacity=10_000, source=TriggerSource.PIR, **options):
        self.camera, self.trigger, self.faults = ScriptedCamera(), ScriptedTrigger(source), FaultBook()
        self.lamp, self.system = ScriptedLamp(), ScriptedSystem()
        self.mailbox = Mailbox(threading.Event(), capacity)
        self.stage = CaptureStage(
            self.camera,
            (self.trigger,),
            self.mailbox,
            CaptureConfig(**options),
            self.faults,
            lamp=self.lamp,
            system=self.system,
        )
        self.number = 0

    @property
    def now_s(self):
        return self.number / RATE_HZ

    def run(self, seconds, picture_of=lambda number: QUIET):
        """Deliver shots and step once for each; return the frames that were sent."""
        for _ in range(round(seconds * RATE_HZ)):
            self.camera.waiting.append(ScriptedShot(self.camera, self.number, self.now_s, picture_of(self.number)))
            self.stage.step(self.now_s)
            self.number += 1
        return self.sent()

    def sent(self):
        return [self.mailbox.take() for _ in range(len(self.mailbox))]

    def settled(self, seconds=3):
        """Run until the start-up look is over and return the time."""
        self.run(seconds)
        return self.now_s

    def codes(self):
        return [report.code for report in self.faults.reports()]

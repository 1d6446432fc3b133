"""What the tests of the simulated sensor share: a cheap scene, and how virtual time passes before it."""

import numpy as np

SIZE_PX = (182, 136)
SMALL_PX = (46, 34)
START_S = 50.0
FRAME_S = 0.0333333


class Wall:
    """A scene of one brightness that goes with the light, and remembers what it was asked."""

    end_s, unreadable = 4.0, 0

    def __init__(self, subjects=()):
        self.whole_asked, self.closed, self.lights = 0, False, []
        self._subjects = subjects

    def picture_at(self, elapsed_s, light):
        self.whole_asked += 1
        self.lights.append(light)
        return np.full((SIZE_PX[1], SIZE_PX[0], 3), self.level(elapsed_s, light), np.uint8)

    def small_at(self, elapsed_s, light):
        return np.full((SIZE_PX[1] // 4, SIZE_PX[0] // 4), self.level(elapsed_s, light), np.uint8)

    def subjects(self, from_s, to_s):
        return [subject for subject in self._subjects if from_s <= subject.at_s < to_s]

    def close(self):
        self.closed = True

    @staticmethod
    def level(elapsed_s, light):
        return min(255, round(light.exposure_us * light.gain / 20 + 10 * light.lamp_ratio) + int(elapsed_s) % 2)


def configured(world, **changes):
    """Return the stand-in, configured as an adapter would, and the list of the requests that its callback holds."""
    vendor, held = world.open(), []
    options = {
        "main": {"size": (1456, 1088), "format": "RGB888"},
        "lores": {"size": (364, 272), "format": "YUV420"},
        "raw": None,
        "buffer_count": 6,
        "queue": False,
        "display": None,
        "encode": None,
        "controls": {
            "AeEnable": False, "ExposureTime": 200, "AnalogueGain": 2.0, "FrameDurationLimits": (33333, 33333),
        },
    }  # fmt: skip
    vendor.configure(vendor.create_video_configuration(**options | changes))

    def hold(request):
        request.acquire()
        held.append(request)

    vendor.post_callback = hold
    return vendor, held


def pass_time(world, clock, until_s, *, after_each=lambda: None):
    """Let the world go on event by event, and call `after_each` behind every one."""
    while world.next_event_s <= until_s:
        clock.advance_to(max(world.next_event_s, clock.monotonic_s()))
        world.deliver(clock.monotonic_s())
        after_each()
    clock.advance_to(max(until_s, clock.monotonic_s()))


def metadata_of(world, clock, vendor, held, frames):
    """Return the metadata of the next `frames` frames, each given back at once."""
    answers = []
    while len(answers) < frames:
        pass_time(world, clock, clock.monotonic_s() + FRAME_S)
        for request in held:
            answers.append(request.get_metadata())
            request.release()
        held.clear()
    return answers


def taken(camera, world, clock, until_s):
    """Let time pass and take every shot as it comes, released at once."""
    shots = []

    def take():
        for shot in camera.shots():
            shot.release()
            shots.append(shot)

    pass_time(world, clock, until_s, after_each=take)
    return shots

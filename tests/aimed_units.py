"""What the tests of aiming share: units that hang somehow before the simulated road, and a look through them."""

import dataclasses
import functools

import cv2
import numpy as np

from firmware.app import MODELS_FOLDER
from firmware.config import CaptureConfig, MountConfig
from firmware.detect import PlateDetector
from firmware.exposure import Phase
from firmware.records import Frame
from hw_sim import amiss
from hw_sim.light import Conditions, LightLevel
from hw_sim.pictures import fitting_light
from hw_sim.road import Road, RoadScene
from hw_sim.world import Mount
from provisioning.aim_advice import Advice
from provisioning.aiming import GRID, Aiming

LOOKS = 7
STILL_S = 2.5
TURNS = {
    Advice.TURN_RIGHT: ("right_deg", 1.0),
    Advice.TURN_LEFT: ("right_deg", -1.0),
    Advice.TURN_UP: ("up_deg", 1.0),
    Advice.TURN_DOWN: ("up_deg", -1.0),
}
STILL, MOVING = [0.0] * GRID**2, [1.0] * GRID**2


@functools.lru_cache(maxsize=1)
def detector():
    return PlateDetector.load(MODELS_FOLDER, 0.45)


def looked(
    mount, *, light=LightLevel.DAY, wrong=None, capture=None, vehicles=3, seed=5, lamp=True, dim=1.0, longer=1.0
):
    """Return the aim after some vehicles have passed, each looked at seven times on its way, as a unit sees them."""
    road = Road(seed, vehicles, mount=mount, conditions=Conditions(light=light), mph=45.0)
    chosen = fitting_light(Road(seed, 1, conditions=Conditions(light=light)))
    chosen = dataclasses.replace(chosen, exposure_us=chosen.exposure_us * dim * longer, gain=chosen.gain / longer)
    scene = amiss.AmissScene(RoadScene(road), wrong)
    phase = {LightLevel.DAY: Phase.DAY, LightLevel.DUSK: Phase.DUSK, LightLevel.NIGHT: Phase.NIGHT}[light]
    aiming = Aiming(capture or CaptureConfig(speed_mph=60.0), MountConfig(), has_lamp=lamp)
    first_s = road.vehicles[0].rear_at_s(4.5)
    for number in range(9):
        at_s = first_s - 40.0 + number * STILL_S / 8
        aiming.note_shot(scene.small_at(at_s, chosen), chosen, at_s, phase=phase, cells=STILL)
    number = 0
    for vehicle in road.vehicles:
        for at_s in np.linspace(vehicle.rear_at_s(4.5), vehicle.rear_at_s(13.5), LOOKS):
            number += 1
            picture = scene.picture_at(float(at_s), chosen)
            small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), None, fx=0.25, fy=0.25)
            aiming.note_shot(small, chosen, float(at_s), phase=phase, cells=MOVING)
            frame = Frame(
                number=number, at_s=float(at_s), taken_utc_ms=0, clock_trusted=False, image=picture,
                exposure_us=chosen.exposure_us, gain=chosen.gain, infrared=chosen.lamp_ratio > 0,
            )  # fmt: skip
            aiming.note_picture(frame, detector().detect(picture), moves=True)
    return aiming.aim()


def right_mount(**changes):
    return dataclasses.replace(Mount(), **changes)


def followed(mount, advised):
    """Return the mount after a technician has done what was said."""
    side, sign = TURNS[advised.advice]
    return mount.turned(**{side: sign * advised.amount_deg})

"""Aiming through the camera's port: the real adapter on the simulated sensor, real light control; and the command."""

import json

import pytest
from aimed_units import followed

from firmware.app import MODELS_FOLDER
from firmware.config import CaptureConfig, MountConfig
from hw_sim import amiss
from hw_sim.amiss import Amiss
from hw_sim.board import WorldStage, open_parts
from hw_sim.light import Conditions, LightLevel
from hw_sim.road import Road, RoadScene
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers
from hw_sim.traffic import EvenGaps
from provisioning.__main__ import main
from provisioning.aim_advice import Advice, Basis
from provisioning.aim_watch import AimWatch

START_S = 1000.0
ENOUGH_VEHICLES = 4


class WatchStage:
    """The watch as a stage of virtual time that looks at all pictures at once."""

    def __init__(self, watch):
        self.name, self.wake, self._watch = "watch", watch.wake, watch

    def step(self, now_s):
        while self._watch.step(now_s):
            pass
        return now_s + 1.0

    def close(self):
        self._watch.close()


def aimed(wrong, *, mount=None, light=LightLevel.DAY, capture=None, seconds=10):
    """Return what is said of a unit once some vehicles have passed, or after some seconds of waiting."""
    capture = capture or CaptureConfig(speed_mph=45.0)
    clock = VirtualClock(start_s=START_S)
    timers = VirtualTimers(clock)
    road = Road(
        3, mount=mount or amiss.hung(wrong), mph=45.0, conditions=Conditions(light=light),
        schedule=EvenGaps(shortest_s=1.0, longest_s=1.6),
    )  # fmt: skip
    scene = amiss.AmissScene(RoadScene(road), wrong)
    parts = open_parts(capture, clock, scene, seed=3, self_paced=False, make_timer=timers.timer)
    watch = AimWatch(parts.camera, parts.lamp, capture, MountConfig(), models=MODELS_FOLDER, detection_ratio=0.45)
    watch.start()
    time = VirtualTime([WorldStage(parts.world), timers, WatchStage(watch)], clock)
    try:
        for second in range(1, seconds + 1):
            time.run_until(START_S + second)
            aim = watch.aim()
            if aim.advised.advice is not Advice.WAIT and aim.vehicles >= ENOUGH_VEHICLES:
                break
    finally:
        time.close()
    return aim


@pytest.mark.parametrize("light", [LightLevel.DAY, LightLevel.NIGHT])
def test_a_right_unit_is_good_by_day_and_night(light):
    aim = aimed(None, light=light)
    assert aim.advised.advice is Advice.GOOD
    assert (aim.pose.right_deg, aim.pose.down_deg) == pytest.approx((-12.3, 15.3), abs=0.5)
    assert aim.retro_reflects is (True if light is LightLevel.NIGHT else None)


@pytest.mark.parametrize(("wrong", "advice"), [(Amiss.LEFT, Advice.TURN_RIGHT), (Amiss.RIGHT, Advice.TURN_LEFT)])
def test_fifteen_degrees_aside_where_hardly_a_plate_is_in_view_the_way_back_leads_to_good(wrong, advice):
    mount = amiss.hung(wrong)
    first = aim = aimed(None, mount=mount)
    assert first.advised.advice is advice
    for _ in range(4):
        mount = followed(mount, aim.advised)
        aim = aimed(None, mount=mount)
        if aim.advised.advice is Advice.GOOD:
            break
    assert aim.advised.advice is Advice.GOOD


def test_at_night_without_a_lamp_the_lamp_is_missed():
    aim = aimed(None, light=LightLevel.NIGHT, capture=CaptureConfig(speed_mph=45.0, lamp_pin=None), seconds=3)
    assert (aim.advised.advice, aim.advised.basis) == (Advice.NO_LAMP, Basis.PICTURE)


def test_a_shut_iris_by_day_is_too_dark():
    assert aimed(Amiss.DARK).advised.advice is Advice.TOO_DARK


def test_the_command_ends_after_so_many_pictures_with_numbers_a_page_and_what_to_do(tmp_path, capsys):
    options = [
        "--board",
        "sim",
        "--frames",
        "4",
        "--json",
        str(tmp_path / "aim.json"),
        "--page",
        str(tmp_path / "page"),
    ]
    assert main(["aim", *options]) == 1  # too few plates yet
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("Open file://")
    assert out.splitlines()[-1].startswith("WAIT: ")
    assert json.loads((tmp_path / "aim.json").read_text())["posted_mph"] == 75.0
    assert '"picture": ""' in (tmp_path / "page" / "state.js").read_text()


def test_a_configuration_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert main(["aim", "--board", "sim", "--config", str(tmp_path / "config.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err

"""What every board's parts must do, simulated or real: `pytest tests/contract --board=pi` on a bench unit.

The bench needs the camera, the lamp, a modem, battery and panel with their meters as in BENCH_POWER, and at least one
trigger line connected; somebody waves a hand through the beam when asked. A camera is opened once in a process, so the
tests use the same one, in this order.
"""

import threading

import numpy as np
import pytest

from firmware.board import pi
from firmware.board.linux import LinuxClock
from firmware.board.modem import ManagedModem
from firmware.board.pi_camera import BUFFERS, FRAME_DURATION_US, HELD_AT_MOST, START_LIGHT, PiCamera
from firmware.config import CaptureConfig, MeterConfig, ModemConfig, PowerConfig
from firmware.modem_records import (
    ModemDone,
    ModemOrder,
    ModemStatus,
    ModemTrouble,
)
from firmware.records import Light, TriggerSource
from firmware.wall_clock import JudgedClock
from hw_sim.board import open_modem, open_parts, open_power
from hw_sim.light import Conditions, LightLevel
from hw_sim.modem import ModemRules
from hw_sim.pausing_clock import PausingClock
from hw_sim.road import Road, RoadScene
from hw_sim.sensors import Subject
from hw_sim.surroundings import World
from hw_sim.traffic import EvenGaps

SHOTS_LOOKED_AT = 40
PATIENCE_S = 15.0
LAG_AT_MOST = BUFFERS + 8
"""Shots after which an exposure that was asked for has come, with those on their way and those that lie in buffers."""

POWER_PIN = 23
QUICK = ModemRules(away_s=4.0, registering_s=1.0)
BACK_WITHIN_S = 120.0
"""A modem that was reset or without supply can be asked again, and is connected, after this time at the latest."""

BENCH_POWER = PowerConfig(
    battery=MeterConfig(chip="ina226", address="0x40", shunt_mohm=2),
    panel=MeterConfig(chip="ina226", address="0x41", shunt_mohm=2),
)

TWO_LINES_US = 30.0
"""Twice the time of a line of the IMX296: what asked and actual exposure may differ by."""


class Parts:
    """A board's camera, clock, lamp and triggers, and how this board gets an edge onto a trigger line."""

    def __init__(self, clock, camera, lamp, triggers, *, modem, rail, power, provoke, lamp_ratio):
        self.clock, self.camera, self.lamp, self.triggers = clock, camera, lamp, triggers
        self.modem, self.rail, self.power = modem, rail, power
        self.provoke, self.lamp_ratio = provoke, lamp_ratio


def simulated_parts():
    """Return the parts before an empty road in the evening."""
    pausing = PausingClock(LinuxClock())
    clock = JudgedClock(pausing)
    road = Road(1, conditions=Conditions(light=LightLevel.DUSK), schedule=EvenGaps(shortest_s=3600.0, longest_s=7200.0))
    road.small(0.0, START_LIGHT)  # the empty road is drawn when it is first asked for, which takes its time
    scene = RoadScene(road)
    parts = open_parts(CaptureConfig(), clock, scene, seed=1, make_timer=pausing.timer, standing=pausing.standing)

    def provoke():
        now_s = clock.monotonic_s()
        for sensor in parts.sensors:
            sensor.notice(Subject(at_s=now_s, until_s=now_s))
            sensor.deliver(now_s + 1.0)

    modem, rail = open_modem(ModemConfig(power_pin=POWER_PIN), clock, make_timer=threading.Timer, rules=QUICK)
    _, power = open_power(BENCH_POWER, clock, World(light=LightLevel.DUSK))
    return Parts(
        clock,
        parts.camera,
        parts.lamp,
        parts.triggers,
        modem=modem,
        rail=rail,
        power=power,
        provoke=provoke,
        lamp_ratio=lambda: parts.world.lamp_ratio,
    )


def pi_parts():
    clock, config = JudgedClock(LinuxClock()), CaptureConfig()
    return Parts(
        clock,
        PiCamera(clock),
        pi.lamp(config),
        pi.triggers(config, clock),
        modem=ManagedModem(clock),
        rail=pi.modem_rail(ModemConfig(power_pin=POWER_PIN)),
        power=pi.power_meter(BENCH_POWER, clock),
        provoke=lambda: print("wave a hand through the beam"),
        lamp_ratio=None,  # nobody measures the bench's lamp; its driver's own light shows it
    )


@pytest.fixture(scope="module")
def parts(request):
    return pi_parts() if request.config.getoption("--board") == "pi" else simulated_parts()


@pytest.fixture(scope="module")
def wake():
    return threading.Event()


@pytest.fixture(scope="module")
def camera(parts, wake):
    parts.camera.listen(wake)
    yield parts.camera
    parts.camera.close()


def taken(parts, wake, count, *, look=lambda shot: None):
    """Return the next `count` shots, each looked at and then given back at once."""
    shots, begun_s = [], parts.clock.monotonic_s()
    while len(shots) < count and parts.clock.monotonic_s() - begun_s < PATIENCE_S:
        assert wake.wait(PATIENCE_S)
        wake.clear()
        for shot in parts.camera.shots():
            look(shot)
            shot.release()
            shots.append(shot)
    return shots


def time_passes(for_s):
    threading.Event().wait(for_s)


@pytest.fixture(scope="module")
def shots(parts, camera, wake):
    """The first shots of the camera."""
    return taken(parts, wake, SHOTS_LOOKED_AT)


@pytest.fixture(scope="module")
def developed(parts, camera, shots, wake):
    """Some shots as (shot, frame, wall clock less monotonic in ms), the frames of their own memory."""
    some = []

    def develop(shot):
        frame = shot.develop(infrared=False)
        some.append((shot, frame, parts.clock.utc_ms() - parts.clock.monotonic_s() * 1000))

    taken(parts, wake, 5, look=develop)
    return some


def test_the_camera_delivers_without_being_asked(shots):
    assert len(shots) >= SHOTS_LOOKED_AT


def test_the_first_shot_has_the_light_that_was_set_before_the_start(shots):
    assert shots[0].light.exposure_us == pytest.approx(START_LIGHT.exposure_us, abs=TWO_LINES_US)
    assert shots[0].light.gain == pytest.approx(START_LIGHT.gain, rel=0.05)


def test_small_copies_are_grey_and_of_one_size(shots):
    assert len({shot.small.shape for shot in shots}) == 1
    height_px, width_px = shots[0].small.shape
    assert shots[0].small.dtype == np.uint8
    assert width_px > height_px >= 120


def test_developed_pictures_are_of_one_size_four_times_the_small_copys(developed):
    (height_px, width_px, colours), *others = {frame.image.shape for _, frame, _ in developed}
    assert not others
    assert colours == 3
    assert all(frame.image.dtype == np.uint8 for _, frame, _ in developed)
    assert (height_px // 4, width_px // 4) == developed[0][0].small.shape


def test_small_copy_and_developed_picture_show_the_same(developed):
    """Their brightness agrees block by block: they are two sizes of one exposure."""
    for shot, frame, _ in developed:
        grey = frame.image.mean(axis=2)
        rows, columns = (size // 8 * 8 for size in shot.small.shape)
        small = shot.small[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8).mean(axis=(1, 3))
        large = grey[: rows * 4, : columns * 4].reshape(rows // 8, 32, columns // 8, 32).mean(axis=(1, 3))
        assert np.abs(small - large).mean() < 8.0


def test_shot_numbers_and_times_ascend(shots):
    numbers = [shot.number for shot in shots]
    times_s = [shot.at_s for shot in shots]
    assert numbers == sorted(set(numbers))
    assert times_s == sorted(set(times_s))


def test_times_are_of_the_boards_own_clocks(developed, parts):
    """A trigger picks frames by their time, so the sensor's clock must be the clock of the trigger lines."""
    for shot, frame, offset_ms in developed:
        assert 0.0 <= parts.clock.monotonic_s() - shot.at_s < 3 * PATIENCE_S
        assert (frame.number, frame.at_s) == (shot.number, shot.at_s)
        assert frame.taken_utc_ms == pytest.approx(frame.at_s * 1000 + offset_ms, abs=100)
        assert frame.clock_trusted == parts.clock.is_trusted()


def test_the_rate_suits_a_vehicle_at_75_mph(shots):
    """FIELD: 30 frames a second give nine pictures of a vehicle on ten metres of road; a dropped one is allowed."""
    gaps_s = np.diff([shot.at_s for shot in shots])
    assert np.median(gaps_s) == pytest.approx(FRAME_DURATION_US / 1e6, rel=0.02)


def test_pictures_belong_to_the_taker(parts, camera, wake, developed):
    """A frame stays as it is while the sensor goes on: its memory is not a buffer that is written again."""
    (shot, frame, _), *_, (_, last, _) = developed
    before, small = frame.image.copy(), shot.small.copy()
    assert frame.image is not last.image
    taken(parts, wake, 2 * BUFFERS)
    assert np.array_equal(frame.image, before)
    assert np.array_equal(shot.small, small)
    frame.image[:] = 0


def test_light_is_believed_only_from_shots_and_comes_some_shots_later(parts, camera, wake, shots):
    for asked in (Light(exposure_us=1000.0, gain=2.0), Light(exposure_us=120.0, gain=8.0)):
        camera.set_light(asked)
        lights = [shot.light for shot in taken(parts, wake, 2 * LAG_AT_MOST)]
        arrived = [abs(light.exposure_us - asked.exposure_us) < TWO_LINES_US for light in lights]
        assert not arrived[0]
        assert all(arrived[LAG_AT_MOST:])
        assert lights[-1].gain == pytest.approx(asked.gain, rel=0.05)
        assert all(light.lamp_ratio == 0.0 for light in lights)  # the lamp is another part


def test_no_exposure_is_longer_than_its_frame(parts, camera, wake, shots):
    camera.set_light(Light(exposure_us=500_000.0, gain=1.0))
    lights = [shot.light for shot in taken(parts, wake, 2 * LAG_AT_MOST)]
    assert 1000.0 < lights[-1].exposure_us <= FRAME_DURATION_US
    camera.set_light(START_LIGHT)


def test_shots_that_are_kept_do_not_stop_the_camera_for_good(parts, camera, wake, shots):
    """Whoever holds on to buffers loses shots; given back, a second time too, they come again."""
    kept = []
    begun_s = parts.clock.monotonic_s()
    while len(kept) < HELD_AT_MOST and parts.clock.monotonic_s() - begun_s < PATIENCE_S:
        wake.wait(PATIENCE_S)
        wake.clear()
        kept += camera.shots()
    assert len(kept) == HELD_AT_MOST
    dropped = camera.dropped
    time_passes(0.5)
    assert camera.shots() == []
    assert camera.dropped > dropped
    for shot in kept + kept:
        shot.release()
    with pytest.raises(ValueError, match="released"):
        kept[0].develop(infrared=False)
    assert len(taken(parts, wake, 10)) >= 10


def test_a_stream_that_is_restarted_goes_on_with_the_light_that_was_set(parts, camera, wake, shots):
    camera.set_light(Light(exposure_us=400.0, gain=2.0))
    camera.restart()
    again = taken(parts, wake, 10)
    assert len(again) >= 10
    assert again[0].number > shots[-1].number
    assert again[0].at_s > shots[-1].at_s
    assert again[-1].light.exposure_us == pytest.approx(400.0, abs=TWO_LINES_US)
    assert len({shot.small.shape for shot in again}) == 1


def test_a_trigger_wakes_tells_its_edge_once_and_closes(parts):
    wake = threading.Event()
    for trigger in parts.triggers:
        trigger.listen(wake)
    assert not any(trigger.is_triggered() for trigger in parts.triggers)  # nothing passes
    before_s = parts.clock.monotonic_s()
    parts.provoke()
    assert wake.wait(PATIENCE_S)
    edges = [edge for trigger in parts.triggers for edge in trigger.edges()]
    assert edges
    assert all(edge.source in set(TriggerSource) - {TriggerSource.MOTION} for edge in edges)
    assert all(before_s <= edge.at_s <= parts.clock.monotonic_s() for edge in edges)
    assert [edge for trigger in parts.triggers for edge in trigger.edges()] == []
    assert {edge.source for edge in edges} <= {trigger.source for trigger in parts.triggers}
    for trigger in parts.triggers:
        trigger.close()


def test_the_lamp_is_a_lease_that_falls_by_itself(parts):
    """On the bench somebody watches the driver's light go on for a quarter of a second and out."""
    parts.lamp.renew(0.5, 0.25)
    parts.lamp.renew(0.4, 0.25)
    if parts.lamp_ratio is not None:
        assert parts.lamp_ratio() == pytest.approx(0.4)
        time_passes(0.6)
        assert parts.lamp_ratio() == 0.0
    with pytest.raises(ValueError, match="leased"):
        parts.lamp.renew(0.5, 3600.0)
    parts.lamp.renew(1.0, 1.0)
    parts.lamp.close()
    if parts.lamp_ratio is not None:
        assert parts.lamp_ratio() == 0.0


def test_monotonic_time_never_goes_back(parts):
    times_s = [parts.clock.monotonic_s() for _ in range(1000)]
    assert times_s == sorted(times_s)


def test_the_wall_clock_is_this_century(parts):
    assert 1_700_000_000_000 < parts.clock.utc_ms() < 4_000_000_000_000
    assert isinstance(parts.clock.is_trusted(), bool)


def test_a_start_of_the_machine_has_a_name_that_stays(parts):
    assert len(parts.clock.boot_id()) == 8
    assert parts.clock.boot_id() == parts.clock.boot_id()


@pytest.fixture(scope="module")
def modem(parts):
    wake = threading.Event()
    parts.modem.listen(wake)

    def asked(order):
        """Give `order` and return the one event that follows."""
        assert parts.modem.ask(order)
        assert not parts.modem.ask(order)  # once is enough
        assert wake.wait(BACK_WITHIN_S)
        wake.clear()
        (event,) = parts.modem.events()
        assert parts.modem.events() == []
        return event

    yield asked
    parts.modem.close()


def connected_again(asked, parts):
    begun_s = parts.clock.monotonic_s()
    while parts.clock.monotonic_s() - begun_s < BACK_WITHIN_S:
        status = asked(ModemOrder.LOOK)
        if isinstance(status, ModemStatus) and status.is_connected:
            return status
        time_passes(1.0)
    raise AssertionError("the modem is not connected again")


def test_a_modem_says_how_it_is(parts, modem):
    status = connected_again(modem, parts)
    assert 0.0 <= parts.clock.monotonic_s() - status.at_s < PATIENCE_S
    assert 0.0 <= status.quality_ratio <= 1.0
    assert status.rsrp_dbm is None or -160.0 <= status.rsrp_dbm < 0.0
    assert status.operator_code.isdecimal()
    assert len(status.operator_code) in {5, 6}


def test_a_connection_is_made_anew(parts, modem):
    assert modem(ModemOrder.RECONNECT) == ModemDone(order=ModemOrder.RECONNECT)
    connected_again(modem, parts)


def test_a_modem_that_is_reset_is_away_and_comes_back(parts, modem):
    assert modem(ModemOrder.RESET) == ModemDone(order=ModemOrder.RESET)
    time_passes(3.0)
    assert isinstance(modem(ModemOrder.LOOK), ModemTrouble)
    connected_again(modem, parts)


def test_a_supply_that_is_cut_takes_the_modem_away_and_comes_back_by_itself(parts, modem):
    parts.rail.cut(5.0)
    time_passes(3.0)
    assert isinstance(modem(ModemOrder.LOOK), ModemTrouble)
    connected_again(modem, parts)
    parts.rail.close()


def test_battery_and_panel_are_measured_now_and_alike_a_moment_later(parts):
    before_s = parts.clock.monotonic_s()
    first = parts.power.sample()
    assert before_s <= first.at_s <= parts.clock.monotonic_s() < before_s + 1.0
    cells = BENCH_POWER.battery_cells
    assert 2.4 * cells < first.battery_v < 3.7 * cells
    assert abs(first.battery_a) < 20.0
    assert 0.0 <= first.panel_v < 30.0
    assert 0.0 <= first.panel_w < 200.0
    second = parts.power.sample()
    assert second.at_s >= first.at_s
    assert second.battery_v == pytest.approx(first.battery_v, abs=0.2)

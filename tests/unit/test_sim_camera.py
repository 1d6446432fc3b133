"""The simulated sensor in virtual time and on its own thread, its faults, and the device's own adapter before it."""

import itertools
import math
import threading

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin
from simulated_sensor import SIZE_PX, SMALL_PX, START_S, Wall, configured, metadata_of, pass_time, taken

from firmware.board.gpio_pins import GpioLamp
from firmware.board.linux import LinuxClock
from firmware.board.pi_camera import BUFFERS, START_LIGHT, PiCamera
from firmware.faults import DeviceFault, FaultCode
from firmware.records import Light
from firmware.stage import NEVER_S
from hw_sim.camera import NONSENSE, CameraFaults, SimCamera
from hw_sim.imx296 import LINE_US
from hw_sim.runner import VirtualClock, VirtualTimers
from hw_sim.sensors import SimIrBeam, SimLamp, Subject


def test_frames_come_after_readout_and_their_times_are_the_exposures(world, clock):
    vendor, _ = configured(world)
    begun = []
    vendor.post_callback = lambda request: begun.append((clock.monotonic_s(), request.get_metadata()))
    vendor.start()
    pass_time(world, clock, START_S + 1.0)
    for heard_s, metadata in begun:
        assert 0.016 < heard_s - metadata["SensorTimestamp"] / 1e9 < 0.04
    stamps_s = [metadata["SensorTimestamp"] / 1e9 for _, metadata in begun]
    assert np.diff(stamps_s) == pytest.approx(np.full(len(stamps_s) - 1, 1 / 30), abs=1e-5)
    assert stamps_s[0] > START_S


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_by_chance_repeat_with_their_seed(seed):
    faults = CameraFaults(drop_ratio=0.2, jitter_s=0.003, nonsense_ratio=0.1, misshapen_ratio=0.1)

    def history(seed):
        clock = VirtualClock(start_s=START_S)
        world = SimCamera(Wall(), clock, size_px=SIZE_PX, faults=faults, seed=seed, self_paced=False)
        vendor, held = configured(world)
        vendor.start()
        answers = metadata_of(world, clock, vendor, held, 100)
        return [repr(sorted(answer.items())) for answer in answers], world.lost

    first, lost = history(seed)
    assert (first, lost) == history(seed)
    assert first != history(seed + 10)[0]
    assert 10 <= lost <= 45


def test_jittered_timestamps_go_forward_and_stay_near_the_truth(clock):
    world = SimCamera(Wall(), clock, size_px=SIZE_PX, faults=CameraFaults(jitter_s=0.02), self_paced=False)
    camera = PiCamera(clock, open_camera=world.open)
    camera.listen(threading.Event())
    times_s = [shot.at_s for shot in taken(camera, world, clock, START_S + 3.0)]
    assert len(times_s) >= 88
    gaps_s = np.diff(times_s)
    assert gaps_s.min() > 0.0
    assert gaps_s.std() > 0.003


# Behind the device's own adapter.


@pytest.fixture
def camera(world, clock):
    camera = PiCamera(clock, open_camera=world.open)
    yield camera
    camera.close()


def test_shots_carry_number_time_and_light_and_develop_to_what_they_showed(camera, world, clock):
    wake = threading.Event()
    assert world.next_frame_s == NEVER_S
    camera.listen(wake)
    while not wake.is_set():
        clock.advance_to(world.next_event_s)
        world.deliver(clock.monotonic_s())
    (shot,) = camera.shots()
    assert shot.number == 1
    assert shot.at_s == pytest.approx(START_S + 1 / 30 - 192e-6, abs=2e-6)
    assert shot.light.exposure_us == 192
    assert shot.light.gain == pytest.approx(START_LIGHT.gain, rel=0.012)
    assert shot.small.shape == SMALL_PX[::-1]
    frame = shot.develop(infrared=False)
    assert frame.image.shape == (SIZE_PX[1], SIZE_PX[0], 3)
    assert frame.image.mean() == pytest.approx(shot.small.mean())
    shot.release()
    assert len(taken(camera, world, clock, START_S + 2.0)) == pytest.approx(58, abs=1)
    assert world.lost == 0


def test_light_is_asked_for_and_comes_some_frames_later(camera, world, clock):
    camera.listen(threading.Event())
    taken(camera, world, clock, START_S + 1.0)
    camera.set_light(Light(exposure_us=1000.0, gain=8.0))
    shots = taken(camera, world, clock, START_S + 2.0)
    new = [number for number, shot in enumerate(shots) if shot.light.exposure_us > 900]
    assert BUFFERS + 3 <= new[0] <= BUFFERS + 5
    assert all(shot.light.gain > 7.0 for shot in shots[new[0] :])


def test_a_taker_who_is_late_loses_frames_and_the_camera_goes_on(camera, world, clock):
    camera.listen(threading.Event())
    clock.advance_to(START_S + 1.0)
    world.deliver(clock.monotonic_s())  # a machine that slept for a second
    shots = camera.shots()
    assert len(shots) <= BUFFERS
    assert world.lost + camera.dropped == pytest.approx(29 - len(shots), abs=1)
    for shot in shots:
        shot.release()
    assert len(taken(camera, world, clock, START_S + 2.0)) >= 28


@pytest.mark.parametrize("heals", [True, False])
def test_a_frozen_sensor_is_told_and_a_restart_mends_it_or_does_not(camera, world, clock, heals):
    camera.listen(threading.Event())
    assert taken(camera, world, clock, START_S + 0.5)
    world.freeze(heals_by_restart=heals)
    taken(camera, world, clock, START_S + 0.6)  # what was on its way
    assert taken(camera, world, clock, START_S + 3.4) == []
    clock.advance_to(START_S + 3.7)
    with pytest.raises(DeviceFault) as fault:
        camera.shots()
    assert fault.value.code is FaultCode.CAMERA_SILENT
    camera.restart()
    shots = taken(camera, world, clock, START_S + 4.7)
    assert bool(shots) == heals
    if heals:
        assert shots[0].light.exposure_us == pytest.approx(START_LIGHT.exposure_us, abs=LINE_US)
    world.thaw()
    assert taken(camera, world, clock, START_S + 5.7)


def test_dropped_frames_leave_a_gap_in_time(camera, world, clock):
    camera.listen(threading.Event())
    taken(camera, world, clock, START_S + 0.1)
    world.drop_next(4)
    shots = taken(camera, world, clock, START_S + 0.5)
    gaps_s = np.diff([shot.at_s for shot in shots])
    assert gaps_s.max() == pytest.approx(5 / 30, abs=1e-3)
    assert world.lost == 4


def test_all_nonsense_is_refused_by_name_and_the_next_good_shot_is_taken(camera, world, clock):
    camera.listen(threading.Event())
    taken(camera, world, clock, START_S + 0.2)
    world.spoil_next(len(NONSENSE))
    said = []
    for _ in NONSENSE:
        with pytest.raises(DeviceFault) as fault:
            taken(camera, world, clock, clock.monotonic_s() + 1.0)
        assert fault.value.code is FaultCode.CAMERA_NONSENSE
        said.append(fault.value.hint)
    assert all("ribbon cable" in hint for hint in said)
    assert taken(camera, world, clock, clock.monotonic_s() + 0.2)


def test_arrays_of_wrong_shape_never_leave_the_adapter(camera, world, clock):
    camera.listen(threading.Event())
    taken(camera, world, clock, START_S + 0.2)
    world.misshape_next(5)
    for _ in range(5):
        with pytest.raises(DeviceFault) as fault:
            taken(camera, world, clock, clock.monotonic_s() + 1.0)
        assert fault.value.code is FaultCode.CAMERA_NONSENSE
    assert taken(camera, world, clock, clock.monotonic_s() + 0.2)


def test_the_lamps_light_at_that_moment_reaches_the_scene_and_falls_with_its_lease(scene, clock):
    pins, timers = MockFactory(pin_class=MockPWMPin), VirtualTimers(clock)
    world = SimCamera(scene, clock, size_px=SIZE_PX, lamp=SimLamp(pins.pin(18)), self_paced=False)
    lamp = GpioLamp(18, pin_factory=pins, make_timer=timers.timer)
    camera = PiCamera(clock, open_camera=world.open)
    camera.listen(threading.Event())
    lamp.renew(0.5, 0.3)
    ratios = []
    while clock.monotonic_s() < START_S + 1.0:
        clock.advance_to(min(world.next_event_s, max(clock.monotonic_s(), timers.step(clock.monotonic_s()))))
        timers.step(clock.monotonic_s())
        world.deliver(clock.monotonic_s())
        for shot in camera.shots():
            shot.develop(infrared=True)
            ratios.append((shot.at_s - START_S, scene.lights[-1].lamp_ratio))
            shot.release()
    assert {ratio for at_s, ratio in ratios if at_s < 0.3} == {0.5}
    assert {ratio for at_s, ratio in ratios if at_s > 0.3} == {0.0}
    assert len(ratios) > 20
    camera.close()
    lamp.close()


def test_what_passes_reaches_the_sensors_line(clock):
    pins = MockFactory()
    beam = SimIrBeam(pins.pin(27), powered_at_s=-100.0)
    world = SimCamera(
        Wall([Subject(at_s=0.5, until_s=0.8)]), clock, size_px=SIZE_PX, sensors=(beam,), self_paced=False
    )  # fmt: skip
    vendor, _ = configured(world)
    vendor.start()
    world.deliver(START_S)
    pins.pin(27).clear_states()
    pass_time(world, clock, START_S + 0.7)
    assert not pins.pin(27).state
    pass_time(world, clock, START_S + 1.0)
    assert pins.pin(27).state


def test_the_scene_finishes_and_nothing_happens_before_the_start(world, clock):
    world.deliver(clock.monotonic_s())
    assert not world.finished
    vendor, _ = configured(world)
    vendor.start()
    clock.advance_to(START_S + 3.99)
    assert not world.finished
    clock.advance_to(START_S + 4.0)
    assert world.finished


# In real time, on the sensor's own thread.


def test_its_own_thread_delivers_and_ends():
    before = threading.active_count()
    clock = LinuxClock()
    world = SimCamera(Wall(), clock, size_px=SIZE_PX)
    camera, wake, shots = PiCamera(clock, open_camera=world.open), threading.Event(), []
    camera.listen(wake)
    begun_s = clock.monotonic_s()
    while len(shots) < 20 and clock.monotonic_s() - begun_s < 10.0:
        assert wake.wait(5.0)
        wake.clear()
        for shot in camera.shots():
            shot.release()
            shots.append(shot)
    camera.restart()
    assert wake.wait(5.0)
    camera.close()
    assert len(shots) >= 20
    assert all(later.at_s > earlier.at_s for earlier, later in itertools.pairwise(shots))
    assert all(shot.at_s <= clock.monotonic_s() for shot in shots)
    assert threading.active_count() == before
    assert world.next_frame_s == math.inf


def test_restarts_in_the_midst_of_delivery_lose_nothing_but_shots():
    clock, wake = LinuxClock(), threading.Event()
    world = SimCamera(Wall(), clock, size_px=SIZE_PX)
    camera = PiCamera(clock, open_camera=world.open)
    camera.listen(wake)
    kept = []
    for n in range(40):
        wake.wait(0.01 + 0.002 * n)
        wake.clear()
        kept += camera.shots()  # and held over the restart
        camera.restart()
        while len(kept) > 2:
            kept.pop(0).release()
    for shot in kept:
        shot.release()
    times_s = []
    while len(times_s) < 10:
        assert wake.wait(5.0)
        wake.clear()
        for shot in camera.shots():
            shot.release()
            times_s.append(shot.at_s)
    camera.close()
    assert np.median(np.diff(times_s)) == pytest.approx(1 / 30, abs=1e-3)

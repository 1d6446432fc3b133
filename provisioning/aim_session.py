"""One session of aiming: looks through the camera, and shows how it is aimed until that is good or nobody wants more.

Owns the loop and the board; what is measured is `provisioning.aiming`'s, what is said `provisioning.aim_words`'. The
unit's service must be stopped, for a camera has one user. Nothing is listened to: the page is a file.
"""

import argparse
import dataclasses
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import msgspec

from cloud.handover import Step
from firmware import config
from firmware.app import MODELS_FOLDER
from firmware.board import pi
from firmware.board.linux import LinuxClock
from firmware.board.modem import ManagedModem
from firmware.board.pi_camera import PiCamera
from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from firmware.config import CaptureConfig, ModemConfig, MountConfig, ReadingConfig
from firmware.ports import Camera, Clock, IrLamp, Modem
from provisioning import aim_terminal, aim_words, durable_files, handover_folder
from provisioning.aim_advice import Advice
from provisioning.aim_page import AimPage
from provisioning.aim_terminal import CLEAR, HOME, PICTURE_COLUMNS, Colours
from provisioning.aim_watch import AimWatch, drawn
from provisioning.aiming import Aim
from provisioning.host import UNIT_FOLDER
from provisioning.signal_log import ModemSignal
from provisioning.tongue import Tongue

SHOWN_EVERY_S = 0.5
SIGNAL_EVERY_S = 5.0
PAGE_WIDTH_PX = 640
FOOT = "Ctrl-C ends. Plates: found (by geometry). Focus: 100 is as sharp as can be."


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What aiming needs of a board."""

    camera: Camera
    lamp: IrLamp | None
    clock: Clock
    modem: Modem | None


class Shows(Protocol):
    """Whoever watches an aim."""

    def show(self, watch: AimWatch, capture: CaptureConfig, cell: str) -> None:
        """Show how it stands; `cell` says what the modem receives."""
        ...

    def is_over(self) -> bool:
        """Say whether nobody wants to see more."""
        ...

    def end(self) -> None:
        """Know that nothing more comes."""
        ...


def run(options: argparse.Namespace) -> int:
    """Aim until it is ended. Return 0 if the aim was good then, else 1. Raises ConfigRejected and DeviceFault."""
    page = None if options.page is None else AimPage(options.page, options.tongue)
    aim = aimed(options, Showing(page, _colours(sys.stdout, options.colours), sys.stdout, options.tongue))
    words = aim_words.said(aim)
    sys.stdout.write(f"{words.verdict}: {words.sentence}\n{aim_words.lane_line(aim)}\n".rstrip("\n") + "\n")
    return EXIT_STOPPED if aim.advised.advice is Advice.GOOD else EXIT_FAULT


def aimed(options: argparse.Namespace, out: Shows) -> Aim:
    """Aim until it is ended, and return the last aim, which is in the file too that was asked for.

    Raises ConfigRejected, DeviceFault and OSError.
    """
    capture, mount, reading, modem = _settings(options)
    parts = _simulated(options, capture, modem) if options.board == "sim" else _of_the_pi(capture, modem)
    signal = None if parts.modem is None else ModemSignal(parts.modem)
    watch = AimWatch(
        parts.camera,
        parts.lamp,
        capture,
        mount,
        models=options.models or MODELS_FOLDER,
        detection_ratio=reading.detection_score_ratio,
    )
    try:
        watch.start()
        aim = _looked(watch, parts.clock, capture, out, options, signal)
    finally:
        watch.close()
        if signal is not None:
            signal.close()
        out.end()
    data = msgspec.json.format(msgspec.json.encode(rounded(aim)), indent=2) + b"\n"
    if options.json is not None:
        durable_files.write(options.json, data)
    if (config_path := _config_path(options)) is not None:
        handover_folder.keep(config_path.parent, handover_folder.answer_name(Step.AIM), data)
    return aim


class Showing:
    """One aim after the other, in the terminal and on the page. Without a terminal, a line for each new verdict."""

    def __init__(self, page: AimPage | None, colours: Colours, out: TextIO, tongue: Tongue) -> None:
        self._page, self._colours, self._out, self._tongue = page, colours, out, tongue
        self._is_screen = out.isatty()
        self._before = ""
        if self._is_screen:
            out.write(CLEAR)
        if page is not None:
            out.write(f"Open {page.page.resolve().as_uri()}\n")

    def show(self, watch: AimWatch, capture: CaptureConfig, cell: str) -> None:
        """Show how it stands."""
        aim, seen = watch.aim(), watch.newest
        words, numbers = aim_words.spoken(aim, cell, self._tongue)
        picture = None if seen is None else drawn(seen, capture.lane, PAGE_WIDTH_PX)
        if self._page is not None:
            lane = aim_words.lane_line(aim)
            self._page.show(words, numbers, lane, picture, is_good=aim.advised.advice is Advice.GOOD)
        if self._is_screen:
            small = None if seen is None else drawn(seen, capture.lane, 4 * PICTURE_COLUMNS)
            foot = self._tongue.said(FOOT)
            lines = aim_terminal.screen(words.verdict, words.sentence, small, numbers, foot, self._colours)
            self._out.write(HOME + "\n".join(f"{line}\x1b[K" for line in lines.split("\n")))
        elif words.verdict != self._before:
            self._out.write(f"{words.verdict}: {words.sentence}\n")
        self._before = words.verdict
        self._out.flush()

    def is_over(self) -> bool:
        """Say no: an option or Ctrl-C ends it."""
        return False

    def end(self) -> None:
        """Leave the terminal as it was, and no picture on the page."""
        if self._is_screen:
            self._out.write("\n")
        if self._page is not None:
            self._page.end()


def rounded(aim: Aim) -> dict[str, Any]:
    """Return the numbers as JSON has them: three digits behind the point are more than is known."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 3)
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    return {name: plain(value) for name, value in dataclasses.asdict(aim).items()}


def _looked(  # noqa: PLR0917  the parts of one look, in their order
    watch: AimWatch,
    clock: Clock,
    capture: CaptureConfig,
    out: Shows,
    options: argparse.Namespace,
    signal: ModemSignal | None,
) -> Aim:
    """Look and show until an option, Ctrl-C or whoever watches ends it; return the last aim."""
    begun_s = shown_s = clock.monotonic_s()
    asked_s = -math.inf
    try:
        while True:
            now_s = clock.monotonic_s()
            if not watch.step(now_s):
                watch.wake.wait(0.05)
                watch.wake.clear()
            if signal is not None and now_s - asked_s >= SIGNAL_EVERY_S:
                asked_s = now_s
                signal.ask()
            if now_s - shown_s >= SHOWN_EVERY_S:
                if signal is not None:
                    signal.heard()
                shown_s = now_s
                out.show(watch, capture, _cell(signal))
            is_over = (
                out.is_over()
                or (options.frames is not None and watch.frames >= options.frames)
                or (options.seconds is not None and now_s - begun_s >= options.seconds)
                or (options.until_good and watch.aim().advised.advice is Advice.GOOD)
            )
            if is_over:
                break
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    out.show(watch, capture, _cell(signal))
    return watch.aim()


def _settings(options: argparse.Namespace) -> tuple[CaptureConfig, MountConfig, ReadingConfig, ModemConfig | None]:
    path = _config_path(options)
    if path is None:
        return CaptureConfig(), MountConfig(), ReadingConfig(), ModemConfig()
    settings = config.load(path)
    return settings.capture, settings.mount, settings.reading, settings.modem


def _config_path(options: argparse.Namespace) -> Path | None:
    """Return the configuration of the unit that is aimed; None if it is none, for practice."""
    if options.config is None and options.board == "sim":
        return None
    return options.config or Path("/") / UNIT_FOLDER / "config.json"


def _cell(signal: ModemSignal | None) -> str:
    return "-" if signal is None else aim_words.signal_value(signal.newest, signal.fault)


def _of_the_pi(capture: CaptureConfig, modem: ModemConfig | None) -> Parts:
    clock = LinuxClock()
    return Parts(
        camera=PiCamera(clock),
        lamp=pi.lamp(capture),
        clock=clock,
        modem=None if modem is None else ManagedModem(clock, signal_period_s=int(SIGNAL_EVERY_S)),
    )


def _simulated(options: argparse.Namespace, capture: CaptureConfig, modem: ModemConfig | None) -> Parts:
    """Return the parts of a unit before a road. Imported here, because a unit's own tool does without a road."""
    from hw_sim import amiss  # noqa: PLC0415
    from hw_sim.board import open_modem, open_parts  # noqa: PLC0415
    from hw_sim.light import Conditions, LightLevel  # noqa: PLC0415
    from hw_sim.pausing_clock import PausingClock  # noqa: PLC0415
    from hw_sim.road import Road, RoadScene  # noqa: PLC0415

    wrong = None if options.amiss is None else amiss.Amiss(options.amiss)
    conditions = Conditions(light=LightLevel(options.light))
    clock = PausingClock(LinuxClock())
    scene = amiss.AmissScene(RoadScene(Road(options.seed, mount=amiss.hung(wrong), conditions=conditions)), wrong)
    parts = open_parts(capture, clock, scene, seed=options.seed, make_timer=clock.timer, standing=clock.standing)
    for trigger in parts.triggers:
        trigger.close()  # nobody waits for them here
    simulated_modem, _ = open_modem(modem, clock, make_timer=clock.timer)
    return Parts(camera=parts.camera, lamp=parts.lamp, clock=clock, modem=simulated_modem)


def _colours(out: TextIO, wanted: str | None) -> Colours:
    if wanted is not None:
        return Colours(wanted)
    return aim_terminal.colours_of(os.environ, is_terminal=out.isatty(), encoding=out.encoding or "")

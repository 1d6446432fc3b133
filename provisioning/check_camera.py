"""Camera, focus and exposure: whether pictures come, are sharp, and obey.

Exposure is believed only if the sensor says it and the picture shows it: a driver of another release reports what was
asked for, and exposes as it likes.
"""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from firmware.board.pi_camera import FRAME_DURATION_US
from firmware.exposure import Phase
from firmware.faults import DeviceFault, FaultCode
from firmware.ports import Shot
from firmware.records import Grey, Image, Light
from provisioning import focus
from provisioning.check_eyes import Eyes, FirstLook, Glance, linear
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench, Look
from provisioning.part_reports import PartName, PartReport, PartState

RATE_WITHIN_RATIO = 0.02
"""The sensor's clock is a crystal: what differs by more was not asked for."""

LOST_AT_MOST_RATIO, LOST_MANY_RATIO = 0.02, 0.10
SAME_AT_MOST_RATIO = 0.5
"""Noise makes every picture another one. Few pictures that are alike may be black ones."""

BLACK_LEVEL = 3.0
BLACKEST_LEVEL = 1.5
"""With the longest exposure, the largest gain and the lamp: the darkest road is brighter."""

FEWEST_SHOTS = 3

STEP = 4.0
"""Between the two exposures: two stops."""

OBEYED_AFTER = 16
"""Shots after which an exposure that was asked for has come: those in the buffers, and the pipeline's."""

LOOKED_AT = 4
TWO_LINES_US = 30.0
"""Twice the time of a line of the IMX296: what asked and actual exposure may differ by."""

SHORTEST_US = 60.0
"""Four lines: a shorter exposure is not two stops below another one, for it is counted in lines."""

SEEN_WITHIN_STOPS = 1.0
"""Another tuning file has another tone curve, so that two stops may look like one or three, and never like none."""

DARKEST, BRIGHTEST = 12, 245
FEWEST_PIXELS_RATIO = 0.01
DARK_LIGHT = Light(exposure_us=16_000.0, gain=15.0)
"""At night nobody's plate is to be read here: what counts is that the road can be seen by the lamp's light."""

SOFT_AT_NIGHT_PX = 1.5 * focus.SOFT_PX
"""The noise of the largest gain makes sharp edges look softer."""

FOCUS_LOOKS = 3
HALF_A_SECOND = 15
"""In shots."""

LAMP_RATIO, LEASE_S = 1.0, 1.0


def looks(eyes: Eyes) -> dict[PartName, Look]:
    """Return how camera, focus and exposure are looked at, through one pair of eyes."""
    return {
        PartName.CAMERA: lambda bench: _camera(eyes, bench),
        PartName.FOCUS: _with_pictures(eyes, PartName.FOCUS, lambda first: _focus(eyes, first)),
        PartName.EXPOSURE: _with_pictures(eyes, PartName.EXPOSURE, lambda first: _exposure(eyes, first)),
    }


def has_pictures(eyes: Eyes) -> bool:
    """Say whether the camera delivers pictures that change."""
    try:
        first = eyes.first_look()
    except DeviceFault:
        return False
    return len(first.glances) >= FEWEST_SHOTS and not _is_frozen(first)


def camera_of(first: FirstLook) -> PartReport:
    """Return what two seconds of shots say of the camera. Pure."""
    glances = first.glances
    if len(glances) < FEWEST_SHOTS:
        return said(Finding.CAMERA_SILENT, detail=f"{len(glances)} pictures came")
    gaps_s = [after.at_s - before.at_s for before, after in itertools.pairwise(glances)]
    gap_s = statistics.median(gaps_s)
    rate_hz, asked_hz = 1.0 / gap_s, 1e6 / FRAME_DURATION_US
    missed = sum(max(0, round(one / gap_s) - 1) for one in gaps_s)
    shots, level = len(glances), float(np.mean(glances[-1].small))
    if level < BLACK_LEVEL and first.phase != Phase.NIGHT:
        return said(Finding.CAMERA_BLACK, level=level)
    if _is_frozen(first):
        return said(Finding.CAMERA_FROZEN, same=_alike(first), shots=shots)
    if abs(rate_hz / asked_hz - 1.0) > RATE_WITHIN_RATIO:
        return said(Finding.CAMERA_SLOW, rate_hz=rate_hz, asked_hz=asked_hz)
    lost_ratio = missed / (shots + missed)
    if lost_ratio > LOST_AT_MOST_RATIO:
        finding = Finding.CAMERA_LOSES_MANY if lost_ratio > LOST_MANY_RATIO else Finding.CAMERA_LOSES
        return said(finding, missed=missed, shots=shots + missed, rate_hz=rate_hz)
    return said(Finding.CAMERA_GOOD, rate_hz=rate_hz, missed=missed, shots=shots, level=level)


def _alike(first: FirstLook) -> int:
    """Return how many shots show the very same as the one before."""
    return sum(bool(np.array_equal(one.small, other.small)) for one, other in itertools.pairwise(first.glances))


def _is_frozen(first: FirstLook) -> bool:
    is_black = float(np.mean(first.glances[-1].small)) < BLACK_LEVEL  # where noise is below the first level
    return not is_black and _alike(first) > SAME_AT_MOST_RATIO * len(first.glances)


def focus_of(picture: "Image | None", most_px: float = focus.SOFT_PX) -> PartReport:
    """Return how sharp a picture is, uint8 (H, W, 3) BGR; more than `most_px` of blur is too soft. Pure."""
    blur_px = None
    if picture is not None:
        blur_px = focus.blur_px(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8))
    if blur_px is None:
        return said(Finding.FOCUS_UNSEEN)
    finding = Finding.FOCUS_SOFT if blur_px > most_px else Finding.FOCUS_GOOD
    return said(finding, blur_px=blur_px, most_px=most_px)


@dataclass(frozen=True, slots=True)
class Exposed:
    """What was asked for, and the shots that came when it should long have been obeyed."""

    asked: Light
    glances: tuple[Glance, ...]


def exposure_of(short: Exposed, long: Exposed) -> PartReport:
    """Return whether two exposures were really applied: by the sensor's word and by the pictures. Pure."""
    for one in (short, long):
        reported_us = one.glances[-1].light.exposure_us if one.glances else 0.0
        if abs(reported_us - one.asked.exposure_us) > max(TWO_LINES_US, 0.1 * one.asked.exposure_us):
            return said(Finding.EXPOSURE_NOT_TAKEN, asked_us=one.asked.exposure_us, reported_us=reported_us)
    short_us, long_us = (one.glances[-1].light.exposure_us for one in (short, long))
    wanted_ratio, seen_ratio = long_us / short_us, _brighter(short, long)
    if seen_ratio is None:
        return said(Finding.EXPOSURE_DARK, short_us=short_us, long_us=long_us)
    is_seen = abs(np.log2(seen_ratio / wanted_ratio)) <= SEEN_WITHIN_STOPS
    return said(
        Finding.EXPOSURE_GOOD if is_seen else Finding.EXPOSURE_NOT_SEEN,
        short_us=short_us,
        long_us=long_us,
        seen_ratio=seen_ratio,
        wanted_ratio=wanted_ratio,
    )


def _brighter(short: Exposed, long: Exposed) -> float | None:
    """Return how many times as much light the longer exposure shows where both can be judged; None: nowhere."""
    dark, bright = (np.median([one.small for one in each.glances], axis=0).astype(np.uint8) for each in (short, long))
    is_judged = (np.maximum(dark, bright) < BRIGHTEST) & (np.minimum(dark, bright) > DARKEST)
    if np.count_nonzero(is_judged) < FEWEST_PIXELS_RATIO * dark.size:
        return None
    return float(np.median(linear(_where(bright, is_judged)) / linear(_where(dark, is_judged))))


def _where(picture: Grey, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Grey:
    return np.asarray(picture[mask], np.uint8)


def _camera(eyes: Eyes, bench: Bench) -> PartReport:
    try:
        first = eyes.first_look()
    except DeviceFault as fault:
        is_absent = fault.code is FaultCode.CAMERA_ABSENT
        finding = Finding.CAMERA_NOT_THERE if is_absent else Finding.CAMERA_SILENT
        return said(finding, **halves(fault.hint))
    bench.light_phase = first.phase
    if first.phase == Phase.NIGHT and (level := _level_by_lamp(eyes)) < BLACKEST_LEVEL:
        return said(Finding.CAMERA_BLACK, level=level)
    return camera_of(first)


def _level_by_lamp(eyes: Eyes) -> float:
    """Return the mean level of a picture with as much light as can be: a cap on the lens looks like night at first."""
    try:
        eyes.ask(DARK_LIGHT)
        glances = eyes.take(OBEYED_AFTER + 1, look=lambda _shot: _hold_lamp(eyes, is_lit=True))
    except DeviceFault:
        return BRIGHTEST  # the camera fell silent meanwhile, which the other parts will say
    return max((float(np.mean(one.small)) for one in glances[-2:]), default=BRIGHTEST)


def _with_pictures(eyes: Eyes, part: PartName, judged: Callable[[FirstLook], PartReport]) -> Look:
    """Return a look that first sees whether there are pictures at all."""

    def look(bench: Bench) -> PartReport:
        if not has_pictures(eyes):
            return said(Finding.NO_PICTURES, part)
        bench.light_phase = eyes.first_look().phase
        try:
            return judged(eyes.first_look())
        except DeviceFault:
            return said(Finding.NO_PICTURES, part)

    return look


def _focus(eyes: Eyes, first: FirstLook) -> PartReport:
    """Judge the sharpest of a few pictures: a vehicle before the lens blurs one, a lens out of focus blurs all."""
    is_night = first.phase == Phase.NIGHT
    most_px = SOFT_AT_NIGHT_PX if is_night else focus.SOFT_PX
    report = focus_of(_picture(eyes, first), most_px)
    for _ in range(FOCUS_LOOKS - 1):
        if report.state is PartState.PASS:
            break
        report = focus_of(_picture(eyes, first) if is_night else _later_picture(eyes), most_px)
    return report


def _later_picture(eyes: Eyes) -> "Image | None":
    """Return the picture of half a second later."""
    shots: list[Shot] = []
    pictures: list[Image] = []

    def look(shot: Shot) -> None:
        shots.append(shot)
        if len(shots) == HALF_A_SECOND:
            pictures.append(shot.develop(infrared=False).image)

    eyes.take(HALF_A_SECOND, look=look)
    return pictures[0] if pictures else None


def _picture(eyes: Eyes, first: FirstLook) -> "Image | None":
    """Return the picture that the settled light gave; at night one of the road by the lamp's light."""
    if first.phase != Phase.NIGHT:
        return first.picture
    pictures: list[Image] = []

    def look(shot: Shot) -> None:
        _hold_lamp(eyes, is_lit=True)
        if shot.light.exposure_us > 0.9 * DARK_LIGHT.exposure_us and not pictures:
            pictures.append(shot.develop(infrared=True).image)

    eyes.ask(DARK_LIGHT)
    eyes.take(OBEYED_AFTER + 1, look=look)
    return pictures[0] if pictures else None


def _exposure(eyes: Eyes, first: FirstLook) -> PartReport:
    """Ask for two exposures, and look what comes. By day around what the governor has chosen."""
    is_night = first.phase == Phase.NIGHT
    settled = DARK_LIGHT if is_night else first.glances[-1].light
    long_us = max(settled.exposure_us, STEP * SHORTEST_US)
    gain = max(1.0, settled.exposure_us * settled.gain / long_us)
    made = []
    for exposure_us in (long_us / STEP, long_us):
        asked = Light(exposure_us=exposure_us, gain=gain)
        eyes.ask(asked)
        eyes.take(OBEYED_AFTER, look=lambda _shot: _hold_lamp(eyes, is_lit=is_night))
        made.append(Exposed(asked, tuple(eyes.take(LOOKED_AT, look=lambda _shot: _hold_lamp(eyes, is_lit=is_night)))))
    eyes.ask(first.glances[-1].light)
    return exposure_of(*made)


def _hold_lamp(eyes: Eyes, *, is_lit: bool) -> None:
    """Renew the lamp's lease, if it is needed and there; a lamp that is not is another part's fault."""
    if is_lit and eyes.lamp is not None:
        try:
            eyes.lamp.renew(LAMP_RATIO, LEASE_S)
        except DeviceFault:
            eyes.lamp = None

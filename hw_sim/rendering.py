"""How the simulated sensor's picture of road and vehicles comes about, exposure by exposure.

Owns the order of things: still ground, what moves, glare, window, sensor. Two ideas keep it fast. The still ground is
summed, coded and given its noise once per light, and further work is done only where something moves. And vehicles are
painted on pixels twice as wide and high, which show all that is drawn on them (a rear face has 240 pixels a metre, and
appears with twice as many); but the plate and its surroundings are painted on the sensor's own.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from firmware.records import Image, Light
from hw_sim.light import MATT_PER_LAMP, Sky
from hw_sim.optics import (
    OPTICS_SIGMA_PX,
    Linear,
    Scratch,
    add_noise,
    level_of,
    linear_per_electron_us,
    noise_tiles,
    sigma_table,
    strips,
    veil_of,
)
from hw_sim.painting import Box, Exposure, Painter, Passing, Shown
from hw_sim.scenery import Scenery
from hw_sim.skins import Canvas
from hw_sim.traffic import PassingVehicle
from hw_sim.weather import Rain
from hw_sim.world import Mask, Mount, Placed, View

COARSENESS = 2
"""All but plates is painted on pixels so many times as wide and high, by a sensor whose own pixels are small."""

_AROUND_PLATE = 0.3  # of its width, on each side: as sharp as the plate
_SAME_LEVELS = (1, 1, 1)  # what differs by no more is still ground
_VEIL = 0.022
_VEIL_MARGIN_PX = 64
_VEIL_SHRINK = 8
_STILLS_KEPT = 3
_NOISY_BYTES = 24_000_000
_NOISY_AT_MOST = 64

_Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Still:
    """The road without vehicles in one light: linear before the window, coded behind it, and the noise of each level.

    `linear` and, coded, `coarse` are on the pixels that vehicles are painted on. Where drops are on the window, a pixel
    keeps a part of its light and gets the rest of `mean`. `noisy` is the coded picture with this or that noise, once it
    was asked for.
    """

    linear: Linear
    coarse: Image
    mean: Sequence[float]
    coded: Image
    sigma_of: npt.NDArray[np.uint8]
    noisy: dict[int, Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """One exposure over its still ground, the drops `number` on the window, and all that moves there."""

    exposure: Exposure
    still: _Still
    number: int
    shown: Sequence[Shown]
    pools: Sequence[Placed]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Busy:
    """The part of the picture in which something moves, on the sensor's own pixels.

    `box` is where it is, in the pixels that vehicles are painted on. `sigma` is the noise to come, `mask` is 255 where
    it differs from the still ground. `veil`, if there is any, is on the pixels that vehicles are painted on.
    """

    box: Box
    levels: Image
    sigma: Image
    mask: Mask
    veil: Linear | None


class Renderer:
    """One view of the road in one hour's light; `averaged` of the sensor's pixels make one of the picture's.

    Of a grey scenery it makes grey pictures.
    """

    def __init__(self, mount: Mount, sky: Sky, seed: int, scenery: Scenery, *, averaged: int = 1) -> None:
        is_even = mount.width_px % COARSENESS == 0 and mount.height_px % COARSENESS == 0
        self._coarse = COARSENESS if averaged == 1 and is_even else 1
        self._mount, self._sky, self._seed, self._averaged = mount, sky, seed, averaged
        self._painter = Painter(View(mount.reduced(self._coarse)), sky, seed)
        self._scenery, self._coarse_scenery = scenery, scenery.reduced(self._coarse)
        is_grey = scenery.ambient.ndim == 2
        self._coded_shape = (mount.height_px, mount.width_px) if is_grey else (mount.height_px, mount.width_px, 3)
        self._rain = Rain(sky.rain_ratio, seed, (mount.width_px, mount.height_px), mount.focal_px, is_grey=is_grey)
        self._tiles = noise_tiles(mount.height_px, mount.width_px, is_grey=is_grey)
        self._noises = min(_NOISY_AT_MOST, max(1, _NOISY_BYTES // math.prod(self._coded_shape)))
        self._still = functools.lru_cache(maxsize=_STILLS_KEPT)(self._summed)
        self._kept = functools.lru_cache(maxsize=1)(self._kept_by_drops)
        self._scratch = Scratch()

    def picture(
        self, at_s: float, light: Light, passing: Sequence[Passing], followers: Sequence[PassingVehicle]
    ) -> Image:
        """Return what the sensor delivers, uint8 (H, W, 3) BGR, or grey (H, W).

        One at a time of those with common vehicles: scratch memory and skins serve one picture.
        `passing` are the vehicles in view, farthest first; `followers` all whose headlamps may light what is in view.
        """
        exposure = Exposure(
            at_s=at_s, seconds=light.exposure_us * 1e-6, per_electron_us=linear_per_electron_us(light),
            ambient_ratio=self._sky.ambient_ratio(at_s), lamp_ratio=light.lamp_ratio,
        )  # fmt: skip
        generator = np.random.default_rng([self._seed, round(abs(at_s) * 1e6), 7])
        number = self._rain.window_number(at_s) if self._rain.rain_ratio > 0 else 0
        moment = _Moment(
            exposure=exposure, number=number,
            still=self._still(exposure.ambient_weight, exposure.lamp_weight, light.gain, number),
            shown=[self._painter.shown(exposure, each, followers) for each in passing],
            pools=self._painter.lit_roads(exposure, followers),
        )  # fmt: skip
        picture = self._noisy(moment.still, int(generator.integers(self._noises))).copy()
        box = self._busy_box(moment)
        if box is not None:
            self._paint(picture, moment, box, generator)
        self._rain.streak(picture, at_s, light.exposure_us, exposure.lamp_weight * MATT_PER_LAMP)
        return picture

    def _summed(self, ambient: float, lamp: float, gain: float, number: int) -> _Still:
        """Sum the still ground of one light behind the window's drops `number`."""
        coarse = self._coarse_scenery
        linear = np.asarray(cv2.addWeighted(coarse.ambient, ambient, coarse.lamp, lamp, 0.0), np.float32)
        mean = cv2.mean(np.ascontiguousarray(linear[::8, ::8]))
        seen = linear.copy()
        if self._rain.rain_ratio > 0:
            _spread_light(seen, self._coarsely_kept(number), mean, self._scratch)
        still = coded = level_of(seen, self._scratch).copy()
        if self._coarse > 1:
            coded = np.empty(self._coded_shape, np.uint8)
            for rows in strips(coded.shape):
                strip = self._ground((rows, slice(None)), ambient, lamp)
                if self._rain.rain_ratio > 0:
                    _spread_light(strip, self._kept(number)[rows], mean, self._scratch)
                coded[rows] = level_of(strip, self._scratch)
        sigma_of = sigma_table(gain, self._averaged, is_grey=linear.ndim == 2)
        return _Still(linear=linear, coarse=still, mean=mean, coded=coded, sigma_of=sigma_of, noisy={})

    def _ground(self, part: tuple[slice, slice], ambient: float, lamp: float) -> Linear:
        """Return a part of the still ground in this light, in scratch memory."""
        shades = self._scenery.ambient[part], self._scenery.lamp[part]
        linear = self._scratch.floats("ground", shades[0].shape)
        return np.asarray(cv2.addWeighted(shades[0], ambient, shades[1], lamp, 0.0, dst=linear), np.float32)

    def _noisy(self, still: _Still, number: int) -> Image:
        """Return the road without vehicles with noise `number` on it."""
        if number not in still.noisy:
            generator = np.random.default_rng([self._seed, 296, number])
            sigma = cv2.LUT(still.coded, still.sigma_of, dst=self._scratch.bytes("sigma", still.coded.shape))
            still.noisy[number] = add_noise(
                still.coded.copy(), np.asarray(sigma, np.uint8), generator, self._tiles, self._scratch
            )
        return still.noisy[number]

    def _kept_by_drops(self, number: int) -> _Plane:
        return np.asarray(1.0 - self._rain.window(number), np.float32)

    def _coarsely_kept(self, number: int) -> _Plane:
        by = self._coarse
        return self._kept(number)[by // 2 :: by, by // 2 :: by]  # it is smooth

    def _busy_box(self, moment: _Moment) -> Box | None:
        """Return the box around all that moves, None if nothing does; in the pixels that vehicles are painted on."""
        boxes = [box for each in moment.shown for box in each.boxes()] + [pool.box for pool in moment.pools]
        if not boxes:
            return None
        left, top, right, bottom = zip(*boxes, strict=True)
        spare = _VEIL_MARGIN_PX // self._averaged // self._coarse if self._sky.headlamps else 4
        columns, rows = self._mount.width_px // self._coarse, self._mount.height_px // self._coarse
        return (
            max(0, min(left) - spare), max(0, min(top) - spare),
            min(columns, max(right) + spare), min(rows, max(bottom) + spare),
        )  # fmt: skip

    def _paint(self, picture: Image, moment: _Moment, box: Box, generator: np.random.Generator) -> None:
        """Paint the part of `picture` in which something moves; `box` is in the pixels that vehicles are painted on."""
        by = self._coarse
        part = _part_of(box)
        window = self._scratch.floats("window", (box[3] - box[1], box[2] - box[0], *moment.still.linear.shape[2:]))
        window[:] = moment.still.linear[part]
        sharp_px = OPTICS_SIGMA_PX / (math.sqrt(self._averaged) * by)
        self._move(window, moment, box, math.hypot(sharp_px, self._mount.defocus_px / by))
        veil = None
        if self._sky.headlamps:
            veil = veil_of(window, _VEIL, _VEIL_SHRINK // by, self._scratch)
            cv2.add(window, veil, dst=window)
        if self._rain.rain_ratio > 0:
            _spread_light(window, self._coarsely_kept(moment.number)[part], moment.still.mean, self._scratch)
        coded = level_of(window, self._scratch)
        if by > 1:
            self._lay_enlarged(picture, moment, box, coded, veil, generator)
            return
        sigma = np.asarray(cv2.LUT(coded, moment.still.sigma_of), np.uint8)
        picture[part] = add_noise(coded, sigma, generator, self._tiles, self._scratch)

    def _lay_enlarged(  # noqa: PLR0917  one step of _paint
        self,
        picture: Image,
        moment: _Moment,
        box: Box,
        coded: Image,
        veil: Linear | None,
        generator: np.random.Generator,
    ) -> None:
        """Lay the levels of `box` on the part of `picture` that they differ from, with plates as sharp as they are."""
        by, part = self._coarse, _part_of(box)
        difference = cv2.absdiff(coded, moment.still.coarse[part])
        changed = cv2.bitwise_not(cv2.inRange(difference, (0, 0, 0), _SAME_LEVELS))
        left, top, width, height = cv2.boundingRect(changed)
        if width == 0:
            return
        within, size = _part_of((left, top, left + width, top + height)), (width * by, height * by)
        levels, sigma = (self._scratch.bytes(name, (size[1], size[0], 3)) for name in ("enlarged", "sigma"))
        cv2.resize(coded[within], size, dst=levels, interpolation=cv2.INTER_LINEAR)
        cv2.resize(cv2.LUT(coded[within], moment.still.sigma_of), size, dst=sigma, interpolation=cv2.INTER_LINEAR)
        busy = _Busy(
            box=(box[0] + left, box[1] + top, box[0] + left + width, box[1] + top + height), levels=levels, sigma=sigma,
            mask=np.asarray(cv2.resize(changed[within], size, interpolation=cv2.INTER_NEAREST), np.uint8),
            veil=None if veil is None else veil[within],
        )  # fmt: skip
        finer = replace(
            moment,
            shown=[each.enlarged(by) for each in moment.shown],
            pools=[each.enlarged(by) for each in moment.pools],
        )
        for each in finer.shown:
            if each.plate is not None:
                self._paint_plate(busy, finer, each.plate)
        add_noise(levels, sigma, generator, self._tiles, self._scratch)
        cv2.copyTo(levels, busy.mask, picture[_part_of(busy.box, by)])

    def _paint_plate(self, busy: _Busy, moment: _Moment, plate: Placed) -> None:
        """Paint a plate and what is around it on the sensor's own pixels, in which `moment` is."""
        by = self._coarse
        limits = _enlarged(busy.box, by)
        inner = _grown(plate.box, round(_AROUND_PLATE * plate.across_px), limits)
        if inner[0] >= inner[2] or inner[1] >= inner[3]:
            return
        reach_px = 4 + math.ceil(max(float(np.abs(each.way_px).max()) for each in moment.shown))
        outer = _grown(inner, reach_px, limits)
        window = self._ground(_part_of(outer), moment.exposure.ambient_weight, moment.exposure.lamp_weight)
        self._move(window, moment, outer, math.hypot(OPTICS_SIGMA_PX, self._mount.defocus_px))
        if busy.veil is not None:
            left, top, right, bottom = (side // by for side in _shifted(outer, limits))
            veil = cv2.resize(busy.veil[top:bottom, left:right], (window.shape[1], window.shape[0]))
            cv2.add(window, veil, dst=window)
        if self._rain.rain_ratio > 0:
            _spread_light(window, self._kept(moment.number)[_part_of(outer)], moment.still.mean, self._scratch)
        coded = level_of(window, self._scratch)[_part_of(_shifted(inner, outer))]
        into = _part_of(_shifted(inner, limits))
        busy.levels[into] = coded
        busy.sigma[into] = cv2.LUT(coded, moment.still.sigma_of)
        busy.mask[into] = 255

    def _move(self, window: Linear, moment: _Moment, box: Box, optics_px: float) -> None:
        """Paint what moves on `window`, the still ground within `box`."""
        covered = self._scratch.bytes("covered", window.shape[:2])
        canvas = Canvas(window, covered, box[0], box[1], self._scratch)
        self._painter.paint(moment.exposure, canvas, moment.shown, moment.pools, max(0.35, optics_px))


def _part_of(box: Box, by: int = 1) -> tuple[slice, slice]:
    """Return the rows and columns of a box in a picture whose pixels are `by` times smaller."""
    left, top, right, bottom = _enlarged(box, by)
    return slice(top, bottom), slice(left, right)


def _enlarged(box: Box, by: int) -> Box:
    left, top, right, bottom = box
    return left * by, top * by, right * by, bottom * by


def _grown(box: Box, by_px: int, limits: Box) -> Box:
    """Return `box` with a margin, on even pixels and within `limits`, which are even too."""
    left, top, right, bottom = box
    return (
        max(limits[0], (left - by_px) // 2 * 2), max(limits[1], (top - by_px) // 2 * 2),
        min(limits[2], (right + by_px + 1) // 2 * 2), min(limits[3], (bottom + by_px + 1) // 2 * 2),
    )  # fmt: skip


def _shifted(box: Box, origin: Box) -> Box:
    """Return `box` as it lies within `origin`."""
    left, top, right, bottom = box
    return left - origin[0], top - origin[1], right - origin[0], bottom - origin[1]


def _spread_light(picture: Linear, kept: _Plane, mean: Sequence[float], scratch: Scratch) -> None:
    """Let drops on the window spread the light of `picture` in place."""
    if picture.ndim == 2:
        picture += (picture - np.float32(mean[0])) * (kept - np.float32(1.0))
        return
    planes = cv2.merge([kept, kept, kept, kept], dst=scratch.floats("kept", picture.shape))
    cv2.subtract(picture, mean, dst=picture)
    cv2.multiply(picture, planes, dst=picture)
    cv2.add(picture, mean, dst=picture)

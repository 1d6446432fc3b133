"""From plate readings of successive frames to one `Passage` per vehicle. Pure: frames in, passages out.

A track joins readings that lie where the plate must have moved to and say nearly the same. It ends when the plate was
not seen for a while. `firmware.voting` says what it read; this file says which readings belong together.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from firmware.plates import edit_distance, folded, normalised, similarity_ratio
from firmware.records import Box, Frame, Image, Passage, PlateText, Reading
from firmware.stage import NEVER_S
from firmware.voting import Verdict, vote

UNSEEN_S = 0.7
"""A plate that was not read for so long has left the picture; five frames of a burst may fail in between."""

LONGEST_TRACK_S = 4.0
"""A vehicle that stands is reported after this time and not when it leaves; what it goes on showing is a repetition."""

DOUBTFUL_RATIO = 0.9
"""Two plates that differ in one character are one plate misread only if one of them was read with less than this."""

REPEAT_S = 5.0
"""The same plate again at the same place within this time is the same vehicle, hidden for a moment or standing."""

SAME_PLACE_WIDTHS = 3.0
"""How many plate widths apart two sights of a repeated plate may lie."""

REACH_WIDTHS = 12.0
"""A plate at 75 mph moves some widths between frames; beyond this a like text is another vehicle's."""

LIKE_TEXT_RATIO = 0.6
"""Two texts at least this similar may be one plate read twice, wherever within reach it lies."""

UNLIKE_TEXT_RATIO = 0.3
"""Two texts less similar than this are two plates even at one place: a vehicle right behind another."""

WHOLE_RATIO = 0.9
"""A plate of which less than this lies within the picture is cut: half a plate reads well and is another plate."""

READINGS_AT_MOST = 40
"""Votes that a track keeps; a vehicle that stands for an hour must not fill the memory."""

EVIDENCE_BYTES = 4096
EVIDENCE_WIDTH_PX = 240
EVIDENCE_MARGIN_RATIO = 0.12
"""The crop is the plate and a little around it, small enough for the data budget; never the vehicle or its people."""

READABLE_WIDTH_PX = 130.0
"""From this plate width on more pixels do not make a better picture (Milestone's rule for US plates)."""


@dataclass(slots=True)
class _Track:
    """The readings of one plate so far, and the best look at it."""

    readings: deque[Reading]
    first_utc_ms: int
    last_utc_ms: int
    clock_trusted: bool
    infrared: bool
    crop: Image
    crop_quality: float
    first_s: float
    frames: int = 1

    @property
    def last(self) -> Reading:
        return self.readings[-1]

    @property
    def ends_s(self) -> float:
        return min(self.last.at_s + UNSEEN_S, self.first_s + LONGEST_TRACK_S)

    def expected_centre_px(self, at_s: float) -> tuple[float, float]:
        """Return where the plate should be at `at_s`, by its last two sights."""
        x_px, y_px = _centre_px(self.last.box)
        if len(self.readings) < 2:
            return x_px, y_px
        before = self.readings[-2]
        elapsed_s = self.last.at_s - before.at_s
        ahead = (at_s - self.last.at_s) / elapsed_s if elapsed_s > 0 else 0.0
        before_x_px, before_y_px = _centre_px(before.box)
        return x_px + (x_px - before_x_px) * ahead, y_px + (y_px - before_y_px) * ahead


@dataclass(frozen=True, slots=True)
class _Ended:
    """What is remembered of a passage so that its repetition is noticed."""

    text: str = field(repr=False)
    box: Box
    last_s: float
    score_ratio: float


class Tracker:
    """Joins readings to tracks and ends them.

    Counters: `cut` (readings of plates at the picture's edge), `below_reporting` (tracks not worth a read), `repeated`.
    """

    def __init__(self, *, reporting_score_ratio: float) -> None:
        self.cut = 0
        self.below_reporting = 0
        self.repeated = 0
        self._reporting_score_ratio = reporting_score_ratio
        self._tracks: list[_Track] = []
        self._ended: list[_Ended] = []

    def see(self, frame: Frame, readings: Sequence[Reading]) -> list[Passage]:
        """Take in what `frame` says; return the passages that ended before it."""
        passages = self.end_unseen(frame.at_s)
        free = list(self._tracks)
        whole = [reading for reading in readings if _inside_ratio(reading.box, frame.image) >= WHOLE_RATIO]
        self.cut += len(readings) - len(whole)
        for reading in sorted(whole, key=lambda one: one.score_ratio, reverse=True):
            track = max(free, key=lambda one: _affinity(one, reading), default=None)
            if track is None or _affinity(track, reading) <= 0.0:
                self._tracks.append(_started(frame, reading))
            else:
                free.remove(track)  # one plate is in a frame once
                _extend(track, frame, reading)
        return passages

    def end_unseen(self, now_s: float) -> list[Passage]:
        """Return the passages of plates last seen `UNSEEN_S` or longer before `now_s`, or in view for very long."""
        ended = [track for track in self._tracks if now_s >= track.ends_s]
        self._tracks = [track for track in self._tracks if now_s < track.ends_s]
        return self._passages(ended)

    def end_all(self) -> list[Passage]:
        """Return the passages of all tracks, because no more frames will come."""
        ended, self._tracks = self._tracks, []
        return self._passages(ended)

    def next_end_s(self) -> float:
        """Return when the next track ends if nothing more is seen; NEVER_S without tracks."""
        return min((track.ends_s for track in self._tracks), default=NEVER_S)

    def _passages(self, ended: Sequence[_Track]) -> list[Passage]:
        passages = []
        for track in ended:
            verdict = vote(track.readings)
            if verdict.score_ratio < self._reporting_score_ratio or not 2 <= len(verdict.text) <= 10:
                self.below_reporting += 1
            elif self._is_repetition(verdict, track):
                self.repeated += 1
            else:
                passages.append(_passage(track, verdict))
        return passages

    def _is_repetition(self, verdict: Verdict, track: _Track) -> bool:
        """Say whether this plate just passed here, and remember it either way."""
        self._ended = [one for one in self._ended if track.first_s - one.last_s <= REPEAT_S]
        same = [
            one
            for one in self._ended
            if _is_one_plate(one, verdict)
            and _distance_widths(_centre_px(one.box), track.readings[0].box) <= SAME_PLACE_WIDTHS
        ]
        self._ended = [one for one in self._ended if one not in same]
        self._ended.append(_Ended(verdict.text, track.last.box, track.last.at_s, verdict.score_ratio))
        return bool(same)


def _is_one_plate(ended: _Ended, verdict: Verdict) -> bool:
    """Say whether two verdicts are of one plate.

    A character more or less is a misread; another character, both read well, is a neighbour in the number range.
    """
    one, other = folded(ended.text), folded(verdict.text)
    doubtful = len(one) != len(other) or min(ended.score_ratio, verdict.score_ratio) < DOUBTFUL_RATIO
    return edit_distance(one, other) <= int(doubtful)


def _started(frame: Frame, reading: Reading) -> _Track:
    return _Track(
        readings=deque([reading], maxlen=READINGS_AT_MOST),
        first_utc_ms=frame.taken_utc_ms,
        last_utc_ms=frame.taken_utc_ms,
        clock_trusted=frame.clock_trusted,
        infrared=frame.infrared,
        crop=plate_crop(frame.image, reading.box),
        crop_quality=_quality(reading),
        first_s=reading.at_s,
    )


def _extend(track: _Track, frame: Frame, reading: Reading) -> None:
    track.readings.append(reading)
    track.frames += 1
    track.last_utc_ms = frame.taken_utc_ms
    track.clock_trusted = track.clock_trusted and frame.clock_trusted
    if _quality(reading) > track.crop_quality:
        track.crop, track.crop_quality = plate_crop(frame.image, reading.box), _quality(reading)
        track.infrared = frame.infrared


def _quality(reading: Reading) -> float:
    """Return how good a piece of evidence this sight is: well read, and large enough to be read by a person."""
    return reading.score_ratio * min(1.0, reading.box.w_px / READABLE_WIDTH_PX)


def _affinity(track: _Track, reading: Reading) -> float:
    """Return how well `reading` continues `track`: above 0 it may, and more is better."""
    if reading.frame_number == track.last.frame_number:
        return 0.0
    distance = _distance_widths(track.expected_centre_px(reading.at_s), reading.box)
    distance = min(distance, _distance_widths(_centre_px(track.last.box), reading.box))
    likeness = max(similarity_ratio(_text(reading), _text(one)) for one in list(track.readings)[-3:])
    near = distance <= 1.0 and likeness >= UNLIKE_TEXT_RATIO
    alike = distance <= REACH_WIDTHS and likeness >= LIKE_TEXT_RATIO
    return likeness + 1.0 / (1.0 + distance) if near or alike else 0.0


def _text(reading: Reading) -> str:
    return normalised(reading.text)


def _centre_px(box: Box) -> tuple[float, float]:
    return box.x_px + box.w_px / 2, box.y_px + box.h_px / 2


def _distance_widths(centre_px: tuple[float, float], box: Box) -> float:
    """Return how many widths of `box` its centre lies from `centre_px`."""
    x_px, y_px = _centre_px(box)
    return float(np.hypot(x_px - centre_px[0], y_px - centre_px[1])) / max(1.0, box.w_px)


def _inside_ratio(box: Box, image: Image) -> float:
    """Return how much of the area of `box` lies within the picture, 0..1."""
    height_px, width_px = image.shape[:2]
    inside_w_px = min(width_px, box.x_px + box.w_px) - max(0.0, box.x_px)
    inside_h_px = min(height_px, box.y_px + box.h_px) - max(0.0, box.y_px)
    return float(max(0.0, inside_w_px) * max(0.0, inside_h_px) / max(1.0, box.w_px * box.h_px))


def plate_crop(image: Image, box: Box) -> Image:
    """Return a copy of the plate and a little around it, within the picture: uint8 (h, w, 3) BGR, one pixel or more."""
    height_px, width_px = image.shape[:2]
    margin_px = EVIDENCE_MARGIN_RATIO * box.w_px
    left = int(np.clip(box.x_px - margin_px, 0, width_px - 1))
    top = int(np.clip(box.y_px - margin_px, 0, height_px - 1))
    right = int(np.clip(np.ceil(box.x_px + box.w_px + margin_px), left + 1, width_px))
    bottom = int(np.clip(np.ceil(box.y_px + box.h_px + margin_px), top + 1, height_px))
    return image[top:bottom, left:right].copy()


def evidence_jpeg(crop: Image) -> bytes:
    """Return `crop` (uint8 (h, w, 3) BGR) as a JPEG of at most EVIDENCE_BYTES, in memory; empty if that cannot be."""
    if crop.shape[1] > EVIDENCE_WIDTH_PX:
        height_px = max(1, round(crop.shape[0] * EVIDENCE_WIDTH_PX / crop.shape[1]))
        crop = cv2.resize(crop, (EVIDENCE_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    for quality in (85, 75, 65, 50, 35, 20):
        encoded, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if encoded and data.size <= EVIDENCE_BYTES:
            return data.tobytes()
    return b""


def _passage(track: _Track, verdict: Verdict) -> Passage:
    return Passage(
        first_utc_ms=track.first_utc_ms,
        last_utc_ms=track.last_utc_ms,
        clock_trusted=track.clock_trusted,
        plate=PlateText(verdict.text),
        character_scores=verdict.character_scores,
        score_ratio=verdict.score_ratio,
        region=verdict.region,
        region_score_ratio=verdict.region_score_ratio,
        frames=track.frames,
        infrared=track.infrared,
        plate_jpeg=evidence_jpeg(track.crop),
    )

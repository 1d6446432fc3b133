"""From plate readings of successive frames to one `Passage` per vehicle. Pure: frames in, passages out.

`firmware.trails` says which readings belong together, `firmware.voting` what they say, `firmware.repetitions` whether
it has been said before. This file joins them, and decides what is worth a read: lettering, grilles and badges look like
plates now and then, but not in several frames, not with the shape of a plate, and not with one and the same text.

The bounds of what is reported were measured on 900 photographed road scenes of the training split, each seen four times
from a little further away: 502 things that were no plates were found in at least one of the four with a detection score
of 0.3 or more, 126 of them at 0.45, and none passes; 8 gave the same text twice.
"""

import dataclasses
import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from firmware import rears
from firmware.evidence import FULL_PICTURE, Look, packed
from firmware.records import Box, Direction, Frame, Image, Passage, Picture, PictureSize, PlateText, Reading
from firmware.repetitions import Repetitions
from firmware.stage import NEVER_S, Latest
from firmware.trails import Trail, centre_px
from firmware.voting import Verdict, vote

TRAILS_AT_MOST = 32
"""Plates followed at once; a picture full of lettering must not cost more."""

REARS_AT_MOST = 8
"""Of so many plates at a time the vehicle's rear is kept, for each of up to four texts 350 kB: 11 MB at most."""

WHOLE_RATIO = 0.9
"""A plate of which less than this lies within the picture is cut: half a plate reads well and is another plate."""

EDGE_RATIO = 0.06
CLOSE_UP_RATIO = 0.5
"""A plate nearer to the picture's edge than this share of its width may be cut too: a detector boxes what it sees. In a
close-up, where the plate takes more than half of the picture's width, it is where it should be."""

AGREEING_READINGS = 2
"""How many frames must say just the voted text for a read that is not partial."""

ENOUGH_READINGS = 5
IN_VIEW_S = 0.2
"""Further frames of a plate that so many frames read alike change nothing. It is in view if it was so lately."""

SHORTEST_TEXT, LONGEST_TEXT = 2, 10
SHORTEST_PARTIAL_TEXT = 3
"""Two characters are a plate only if they are sure."""

PLATE_ASPECT = (1.0, 7.0)
PARTIAL_ASPECT = (1.4, 7.0)
"""Width by height of a plate: 1.75 for a motorcycle's, 4.7 for a European one, less when seen from the side."""

AGREED_PARTIAL_RATIO = 0.3
"""The least score of a partial read on which frames agree: two of three are right there."""

UNAGREED_PARTIAL_RATIO, UNAGREED_DETECTION_RATIO = 0.6, 0.6
"""The least score, and the least mean detection score, of a partial read that one frame alone says."""

SINGLE_PARTIAL_RATIO, SINGLE_DETECTION_RATIO = 0.8, 0.7
"""The same for a plate that was seen in one frame only."""

SURE_SIGHTS = ((3, 0.75), (6, 0.65))
"""What the detector finds so often with so high a mean score, and what went by, is a plate: it is reported whether it
reads or not. Tail-lamps, which at night look most like plates, were found up to 12 times on the simulated road, with
0.61 at most; the plates of photographs that nobody could read there, with 0.68 and more."""

LETTERING_DETECTION_RATIO = 0.62
"""The least mean detection score of a text that may be all letters, O and I read as 0 and 1 or not: badges and model
names, which read alike in every frame, were found with 0.58 at most on the simulated road, plates that are all letters
with 0.66 and more."""

SURE_PARTIAL_RATIO = 0.1
"""The least score of the text of such a plate on which frames agree; below it is reported without text."""

BESIDE_WIDTHS = 3.0
"""What looks like a plate so near to a plate is lettering on the same vehicle; the next lane is 10 widths away."""

BESIDE_WAIT_S = 0.5
"""How long a plate that is over waits at most for what was beside it."""


class Worth(enum.IntEnum):
    """What a trail is good for."""

    NOTHING = 0
    ILLEGIBLE = 1  # a vehicle without plate text
    PARTIAL = 2
    WHOLE = 3


@dataclass(frozen=True, slots=True)
class _Judged:
    trail: Trail
    verdict: Verdict
    worth: Worth

    def rank(self) -> tuple[Worth, bool, float]:
        """Return what the more plate-like of two has more of: of two well read, a serial has digits, lettering none."""
        has_digit = any(char.isdigit() for char in self.verdict.text)
        return self.worth, has_digit, self.verdict.score_ratio * self.trail.detection_ratio


class Tracker:
    """Joins readings to trails and ends them.

    Counters: `cut` (readings of plates at the picture's edge), `below_reporting` (trails not worth a read), `repeated`,
    `beside` (lettering beside a plate).
    """

    def __init__(
        self,
        *,
        reporting_score_ratio: float,
        picture: Latest[PictureSize | None] | None = None,
        with_rears: bool = False,
    ) -> None:
        """Make a tracker; what is voted with less than `reporting_score_ratio` is a partial read.

        `picture` says how large a picture goes with each passage that ends: FULL_PICTURE unless somebody says less.
        """
        self.cut = 0
        self.below_reporting = 0
        self.repeated = 0
        self.beside = 0
        self._reporting_score_ratio = reporting_score_ratio
        self._with_rears = with_rears
        self._picture = picture or Latest[PictureSize | None](FULL_PICTURE)
        self._trails: dict[int, Trail] = {}  # by a number of their own
        self._numbers = itertools.count()
        self._repetitions = Repetitions()

    def see(self, frame: Frame, readings: Sequence[Reading]) -> list[Passage]:
        """Take in what `frame` says; return the passages that ended before it."""
        passages = self.end_unseen(frame.at_s)
        whole = [reading for reading in readings if _is_whole(reading.box, frame.image)]
        self.cut += len(readings) - len(whole)
        seen = self._continued(frame, whole)
        for place, reading in enumerate(whole):
            if place not in seen.values():
                number = next(self._numbers)
                with_rears = self._with_rears and len(self._trails) < REARS_AT_MOST
                self._trails[number] = Trail.begun(frame, reading, with_rears=with_rears)
                seen[number] = place
        self._note_beside(seen, whole, frame.at_s)
        return passages + self._end_surplus()

    def end_unseen(self, now_s: float) -> list[Passage]:
        """Return the passages of plates that were not seen for some time before `now_s`, or that stay in view."""
        return self._end([number for number in self._trails if now_s >= self._ends_s(number)])

    def end_all(self) -> list[Passage]:
        """Return the passages of all trails, because no more frames will come."""
        return self._end(list(self._trails))

    def next_end_s(self) -> float:
        """Return when the next trail ends if nothing more is seen; NEVER_S without trails."""
        return min(map(self._ends_s, self._trails), default=NEVER_S)

    def has_read_enough(self, at_s: float) -> bool:
        """Say whether plates are in view at `at_s` and each has been read alike in ENOUGH_READINGS frames."""
        in_view = [trail for trail in self._trails.values() if at_s - trail.last.at_s <= IN_VIEW_S]
        return bool(in_view) and all(trail.most_alike >= ENOUGH_READINGS for trail in in_view)

    def _continued(self, frame: Frame, readings: Sequence[Reading]) -> dict[int, int]:
        """Extend each trail by the reading that fits best; return the readings' places by the trails' numbers."""
        pairs = [
            (affinity, number, place)
            for number, trail in self._trails.items()
            for place, reading in enumerate(readings)
            if (affinity := trail.affinity(reading)) > 0.0
        ]
        taken: dict[int, int] = {}
        for _, number, place in sorted(pairs, reverse=True):
            if number not in taken and place not in taken.values():  # one plate is in a frame once
                taken[number] = place
                self._trails[number].extend(frame, readings[place])
        return taken

    def _note_beside(self, seen: dict[int, int], readings: Sequence[Reading], at_s: float) -> None:
        """Note which trails are beside which: of those in this frame, and of one in it with one that should be near.

        What is written over a plate may be read only before the plate has come into the picture.
        """
        boxes = {number: readings[place].box for number, place in seen.items()}
        for one, other in itertools.combinations(boxes, 2):
            are_beside = _are_beside(boxes[one], centre_px(boxes[other]), boxes[other].w_px)
            self._trails[one].note_beside(other, are_beside=are_beside)
            self._trails[other].note_beside(one, are_beside=are_beside)
        for one, unseen in itertools.product(boxes, self._trails.keys() - boxes.keys()):
            if self._trails[unseen].count > 1 and _are_beside(boxes[one], *self._trails[unseen].expected(at_s)):
                self._trails[one].note_beside(unseen, are_beside=True)
                self._trails[unseen].note_beside(one, are_beside=True)

    def _ends_s(self, number: int) -> float:
        """Return when a trail is over: not before those beside it, since only one of them is the plate."""
        trail = self._trails[number]
        beside = (self._trails[other].ends_s for other in trail.beside if other in self._trails)
        return min(max([trail.ends_s, *beside]), trail.ends_s + BESIDE_WAIT_S)

    def _end_surplus(self) -> list[Passage]:
        """End the trails above TRAILS_AT_MOST: those that were seen least, of these the oldest."""
        surplus = len(self._trails) - TRAILS_AT_MOST
        by_count = sorted(self._trails, key=lambda number: self._trails[number].count)
        return self._end(by_count[: max(0, surplus)])

    def _end(self, numbers: Sequence[int]) -> list[Passage]:
        """Take these trails out and return the passages in them, in the order of their ends."""
        if not numbers:
            return []
        asked = set(numbers).union(*(self._trails[number].beside for number in numbers)) & self._trails.keys()
        judged = {number: self._judged(self._trails[number]) for number in asked}
        for number in numbers:
            del self._trails[number]
        passages = []
        for one in sorted((judged[number] for number in numbers), key=lambda one: one.trail.last.at_s):
            neighbours = [judged[other] for other in one.trail.beside if other in judged]
            if one.worth is Worth.NOTHING:
                self.below_reporting += 1
            elif any(_is_lettering_beside(one, other) for other in neighbours):
                self.beside += 1
            elif self._repetitions.notice(one.trail, one.verdict):
                self.repeated += 1
            else:
                passages.append(_passage(one, self._picture.get()))
        return passages

    def _judged(self, trail: Trail) -> _Judged:
        verdict = vote(trail.readings)
        worth = self._worth(trail, verdict)
        if worth is Worth.ILLEGIBLE:
            verdict = dataclasses.replace(verdict, text="", character_scores=(), score_ratio=0.0)
        return _Judged(trail, verdict, worth)

    def _worth(self, trail: Trail, verdict: Verdict) -> Worth:
        """Return what a trail is good for, by the bounds at the head of this file."""
        length, aspect = len(verdict.text), trail.aspect_ratio
        is_agreed = verdict.agreeing >= AGREEING_READINGS
        if _may_be_letters(verdict.text) and trail.detection_ratio < LETTERING_DETECTION_RATIO:
            return Worth.NOTHING
        is_plate_like = PLATE_ASPECT[0] <= aspect <= PLATE_ASPECT[1] and SHORTEST_TEXT <= length <= LONGEST_TEXT
        if is_plate_like and is_agreed and verdict.score_ratio >= self._reporting_score_ratio:
            return Worth.WHOLE
        if not PARTIAL_ASPECT[0] <= aspect <= PARTIAL_ASPECT[1]:
            return Worth.NOTHING
        is_surely_plate = _is_surely_plate(trail)
        if SHORTEST_PARTIAL_TEXT <= length <= LONGEST_TEXT and _is_plausible(trail, verdict, is_sure=is_surely_plate):
            return Worth.PARTIAL
        return Worth.ILLEGIBLE if is_surely_plate else Worth.NOTHING


def _may_be_letters(text: str) -> bool:
    """Say whether `text` is a word, with O and I read as what they look like."""
    return text.replace("0", "O").replace("1", "I").isalpha() and not text.isdigit()


def _is_surely_plate(trail: Trail) -> bool:
    """Say whether it is a plate whatever it reads."""
    is_found = any(trail.count >= sights and trail.detection_ratio >= ratio for sights, ratio in SURE_SIGHTS)
    return is_found and trail.direction() is not None


def _is_plausible(trail: Trail, verdict: Verdict, *, is_sure: bool) -> bool:
    """Say whether a text that is not sure is still worth telling a person. `is_sure`: that it is of a plate."""
    if verdict.agreeing >= AGREEING_READINGS:
        return verdict.score_ratio >= (SURE_PARTIAL_RATIO if is_sure else AGREED_PARTIAL_RATIO)
    if trail.count > 1:
        return verdict.score_ratio >= UNAGREED_PARTIAL_RATIO and trail.detection_ratio >= UNAGREED_DETECTION_RATIO
    return verdict.score_ratio >= SINGLE_PARTIAL_RATIO and trail.detection_ratio >= SINGLE_DETECTION_RATIO


def _is_lettering_beside(one: _Judged, other: _Judged) -> bool:
    """Say whether `one` is lettering beside the plate `other`: less of a plate, and not itself a sure serial."""
    is_sure_serial = one.worth is Worth.WHOLE and any(char.isdigit() for char in one.verdict.text)
    return not is_sure_serial and other.worth > Worth.NOTHING and one.rank() < other.rank()


def _are_beside(one: Box, place_px: tuple[float, float], width_px: float) -> bool:
    """Say whether a box is too near to another at `place_px` for two vehicles."""
    x_px, y_px = centre_px(one)
    widest_px = max(one.w_px, width_px, 1.0)
    return max(abs(x_px - place_px[0]), abs(y_px - place_px[1])) <= BESIDE_WIDTHS * widest_px


def _is_whole(box: Box, image: Image) -> bool:
    """Say whether `box` is of a plate that the picture does not cut."""
    height_px, width_px = image.shape[:2]
    inside_w_px = min(width_px, box.x_px + box.w_px) - max(0.0, box.x_px)
    inside_h_px = min(height_px, box.y_px + box.h_px) - max(0.0, box.y_px)
    if max(0.0, inside_w_px) * max(0.0, inside_h_px) < WHOLE_RATIO * box.w_px * box.h_px:
        return False
    to_edge_px = min(box.x_px, box.y_px, width_px - box.x_px - box.w_px, height_px - box.y_px - box.h_px)
    return bool(to_edge_px >= EDGE_RATIO * box.w_px or box.w_px > CLOSE_UP_RATIO * width_px)


def _passage(judged: _Judged, size: PictureSize | None) -> Passage:
    trail, verdict = judged.trail, judged.verdict
    look = trail.looks.best(verdict.text)
    return Passage(
        first_utc_ms=trail.first_utc_ms,
        last_utc_ms=trail.last_utc_ms,
        last_boot_ms=round(trail.last.at_s * 1000),
        clock_trusted=trail.clock_trusted,
        plate=PlateText(verdict.text) if verdict.text else None,
        character_scores=verdict.character_scores,
        score_ratio=verdict.score_ratio,
        region=verdict.region,
        region_score_ratio=verdict.region_score_ratio,
        frames=trail.frames_read,
        infrared=look.infrared,
        partial=judged.worth is not Worth.WHOLE,
        direction=trail.direction(),
        picture=None if size is None else packed(look.crop, size),
        vehicle=_vehicle(look, trail.direction()),
    )


def _vehicle(look: Look, direction: Direction | None) -> Picture | None:
    """Return the picture of the vehicle's rear; of one that comes towards the camera, which shows its front, none."""
    return None if look.rear is None or direction is Direction.TOWARDS else rears.packed(look.rear)

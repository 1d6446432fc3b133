"""One plate's way through the pictures: where it should be next, which way its vehicle goes, what was read on it. Pure.

A vehicle that keeps its speed on a straight road slows down in the picture while it drives away. With w the plate's
width in the picture and r its distance, w is proportional to 1/r (pinhole camera) and r grows evenly with time, so 1/w
is a straight line over time; and each point of the vehicle lies on a line to its vanishing point, from which it is as
far as w is large. Hence, with three sights at t0, t1, t2: p2 - p1 = (p1 - p0) (t2 - t1) / (t1 - t0) w2 / w0.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from firmware.evidence import BestLooks
from firmware.plates import normalised, similarity_ratio
from firmware.records import Box, Direction, Frame, Reading

SIGHTS_AT_MOST = 128
"""Sights that a trail keeps, 4 s at 30 a second; a vehicle that stands for an hour must not fill the memory."""

VOTES_AT_MOST = 40
"""Readings that vote, the newest; more would only cost time."""

UNSEEN_S = 0.7
"""A plate that was not seen for so long has left the picture; five frames of a burst may fail in between."""

LONGEST_TRACK_S = 6.0
"""A vehicle that stands is reported after this time and not when it leaves; what it goes on showing is a repetition. A
plate is in view for 4 to 5 s at 5 mph."""

PATIENCE_WITHOUT_AGREEMENT = 2.0
"""How many times longer both limits are while no two readings agree: the next one may make a partial read a whole."""

MOTION_SIGHTS = 6
"""Sights from which the growth of the plate is taken; the place is taken from the last two."""

SHORTEST_STEP_S = 0.001
"""Two sights nearer in time than this tell no speed; a sensor's frames are 16 ms apart at least."""

GROWTH_AT_MOST = 4.0
"""A plate does not become so many times larger or smaller until the next sight: the line of 1/w must not reach 0."""

FASTEST_WIDTHS_PER_S = 75.0
"""How fast a plate of 0.305 m moves through the picture at 100 mph (44.7 m/s) under 30 degrees: 44.7 sin 30 / 0.305."""

ACCELERATION_WIDTHS_PER_S2 = 4.0
"""Half of 8 m/s2, a full braking, under 20 degrees, in widths of a plate: 0.5 x 8 x sin 20 / 0.305."""

SPEED_SHARE = 0.5
"""How far from its extrapolated place a plate may be, as a share of the way: two boxes give a speed of little worth."""

LIKE_TEXT_RATIO = 0.6
"""Two texts at least this similar may be one plate read twice, wherever within reach it lies."""

UNLIKE_TEXT_RATIO = 0.3
"""Two texts less similar than this are two plates even at one place: a vehicle right behind another."""

NEAR_WIDTHS = 1.0
"""How near to its expected place a plate of a text that is not like, but not unlike either, must lie."""

AT_ONCE_S, AT_ONCE_WIDTHS = 0.25, 0.5
"""Within this time no other vehicle can have come so near to the same place, so that the text does not matter."""

SAME_SIZE_RATIO, LIKE_SIZE_RATIO = 1.33, 1.8
"""How many times larger or smaller a plate may be than expected: where the place says all, and at most."""

SIZE_RATIO_PER_S = 3.0
"""By how much more for each second unseen: at 75 mph a plate 10 m away is 20 m away after 0.3 s."""

MOVED_WIDTHS = 0.5
GROWN_RATIO = 0.08
"""Motion across the picture and growth (of the logarithm of the width) above which a direction is told."""


@dataclass(slots=True)
class Trail:
    """The sights of one plate so far. A sight is a reading whose text may be empty. Begin it with `begun`."""

    first: Reading
    sights: deque[Reading]
    looks: BestLooks
    last_utc_ms: int
    clock_trusted: bool
    count: int = 0
    texts: Counter[str] = field(default_factory=Counter, repr=False)  # how often each was read
    beside: set[int] = field(default_factory=set)  # of the trails that were seen right beside this one in one frame
    apart: set[int] = field(default_factory=set)  # of those that were seen elsewhere in one frame
    detection_sum: float = 0.0

    @classmethod
    def begun(cls, frame: Frame, reading: Reading, *, with_rears: bool = False) -> "Trail":
        """Return a trail of the one `reading`, of `frame`, whose looks have the vehicle's rear if `with_rears`."""
        trail = cls(
            first=reading,
            sights=deque(maxlen=SIGHTS_AT_MOST),
            looks=BestLooks(with_rears=with_rears),
            last_utc_ms=frame.taken_utc_ms,
            clock_trusted=frame.clock_trusted,
        )
        trail.extend(frame, reading)
        return trail

    def extend(self, frame: Frame, reading: Reading) -> None:
        """Add the next sight, `reading` of `frame`."""
        self.sights.append(reading)
        self.last_utc_ms = frame.taken_utc_ms
        self.clock_trusted = frame.clock_trusted
        self.count += 1
        self.detection_sum += reading.box.score_ratio
        if text := normalised(reading.text):
            self.texts[text] += 1
        self.looks.add(frame.image, reading, infrared=frame.infrared)

    def note_beside(self, number: int, *, are_beside: bool) -> None:
        """Note the trail that was seen in the same frame; two that were ever seen apart are of two vehicles."""
        if not are_beside:
            self.apart.add(number)
        self.beside = (self.beside | {number}) - self.apart

    @property
    def first_utc_ms(self) -> int:
        """When it was first seen: counted back from the last moment, should the clock have been set in between."""
        return max(0, self.last_utc_ms - round((self.last.at_s - self.first.at_s) * 1000))

    @property
    def last(self) -> Reading:
        """The newest sight."""
        return self.sights[-1]

    @property
    def readings(self) -> list[Reading]:
        """The newest VOTES_AT_MOST sights with a text."""
        return [sight for sight in self.sights if normalised(sight.text)][-VOTES_AT_MOST:]

    @property
    def frames_read(self) -> int:
        """How many frames gave a text."""
        return self.texts.total()

    @property
    def most_alike(self) -> int:
        """How many frames gave the text that most frames gave."""
        return max(self.texts.values(), default=0)

    @property
    def detection_ratio(self) -> float:
        """The mean of the detector's scores."""
        return self.detection_sum / self.count

    @property
    def aspect_ratio(self) -> float:
        """The median of width by height, along the plate's own edges where the detector answers its corners."""
        return float(np.median([_aspect_ratio(sight.box) for sight in self.sights]))

    @property
    def ends_s(self) -> float:
        """When the trail is over if nothing more is seen."""
        patience = 1.0 if self.most_alike >= 2 else PATIENCE_WITHOUT_AGREEMENT
        return min(self.last.at_s + patience * UNSEEN_S, self.first.at_s + patience * LONGEST_TRACK_S)

    def expected(self, at_s: float) -> tuple[tuple[float, float], float]:
        """Return where the plate's centre should be at `at_s` and how wide it should be, both in pixels."""
        x_px, y_px = centre_px(self.last.box)
        width_px = self._expected_width_px(at_s)
        if len(self.sights) < 2:
            return (x_px, y_px), width_px
        before = self.sights[-2]
        elapsed_s = self.last.at_s - before.at_s
        if elapsed_s < SHORTEST_STEP_S:
            return (x_px, y_px), width_px
        ahead = (at_s - self.last.at_s) / elapsed_s * width_px / max(1.0, before.box.w_px)
        before_x_px, before_y_px = centre_px(before.box)
        return (x_px + (x_px - before_x_px) * ahead, y_px + (y_px - before_y_px) * ahead), width_px

    def _expected_width_px(self, at_s: float) -> float:
        """Return the width at `at_s` by the straight line of 1/w over the last sights, within GROWTH_AT_MOST."""
        last, before = self.last, self.sights[max(-MOTION_SIGHTS, -len(self.sights))]
        width_px = max(1.0, last.box.w_px)
        if last.at_s - before.at_s < SHORTEST_STEP_S:
            return width_px
        slope = (1 / width_px - 1 / max(1.0, before.box.w_px)) / (last.at_s - before.at_s)
        inverse = 1 / width_px + slope * (at_s - last.at_s)
        return 1 / min(GROWTH_AT_MOST / width_px, max(1 / (GROWTH_AT_MOST * width_px), inverse))

    def affinity(self, reading: Reading) -> float:
        """Return how well `reading` continues this trail: above 0 it may, and more is better."""
        elapsed_s = reading.at_s - self.last.at_s
        if reading.frame_number == self.last.frame_number or elapsed_s < 0:
            return 0.0
        place_px, width_px = self.expected(reading.at_s)
        size_ratio = max(reading.box.w_px, 1.0) / width_px
        size_ratio = max(size_ratio, 1 / size_ratio)
        if size_ratio > LIKE_SIZE_RATIO + SIZE_RATIO_PER_S * elapsed_s:
            return 0.0
        ahead_widths = distance_widths(place_px, reading.box)
        distance = min(ahead_widths, distance_widths(centre_px(self.last.box), reading.box) + 0.2)
        is_within_reach = ahead_widths <= self._reach_widths(place_px, elapsed_s)
        if not is_within_reach and distance > NEAR_WIDTHS:
            return 0.0
        likeness = self._likeness(reading)
        at_once = elapsed_s <= AT_ONCE_S and distance <= AT_ONCE_WIDTHS and size_ratio <= SAME_SIZE_RATIO
        near = distance <= NEAR_WIDTHS and likeness >= UNLIKE_TEXT_RATIO
        alike = is_within_reach and likeness >= LIKE_TEXT_RATIO
        return likeness + 1.0 / (1.0 + distance) if at_once or near or alike else 0.0

    def _reach_widths(self, place_px: tuple[float, float], elapsed_s: float) -> float:
        """Return how far from its expected place the plate may be, in its own widths."""
        if len(self.sights) < 2:
            return 1.0 + FASTEST_WIDTHS_PER_S * elapsed_s
        way_widths = distance_widths(place_px, self.last.box)
        return 1.0 + SPEED_SHARE * way_widths + ACCELERATION_WIDTHS_PER_S2 * elapsed_s**2

    def _likeness(self, reading: Reading) -> float:
        """Return how like the newest texts of this trail the text of `reading` is; no text is no argument."""
        text = normalised(reading.text)
        known = {one for sight in list(self.sights)[-3:] if (one := normalised(sight.text))}
        if not text or not known:
            return UNLIKE_TEXT_RATIO
        return 1.0 if text in known else max(similarity_ratio(text, one) for one in known)

    def direction(self) -> Direction | None:
        """Return which way the vehicle went: up the picture and smaller is away. None if unsure or contradictory."""
        if len(self.sights) < 2:
            return None
        times_s = [sight.at_s for sight in self.sights]
        rise = -_change(times_s, [centre_px(sight.box)[1] for sight in self.sights])
        rise /= float(np.mean([max(1.0, sight.box.w_px) for sight in self.sights]))
        growth = _change(times_s, [math.log(max(1.0, sight.box.w_px)) for sight in self.sights])
        says_away = (rise >= MOVED_WIDTHS) + (growth <= -GROWN_RATIO)
        says_towards = (rise <= -MOVED_WIDTHS) + (growth >= GROWN_RATIO)
        if bool(says_away) == bool(says_towards):
            return None
        return Direction.AWAY if says_away else Direction.TOWARDS


def centre_px(box: Box) -> tuple[float, float]:
    """Return the centre of `box`: x, y."""
    return box.x_px + box.w_px / 2, box.y_px + box.h_px / 2


def distance_widths(place_px: tuple[float, float], box: Box) -> float:
    """Return how many widths of `box` its centre lies from `place_px`."""
    x_px, y_px = centre_px(box)
    return math.hypot(x_px - place_px[0], y_px - place_px[1]) / max(1.0, box.w_px)


def _aspect_ratio(box: Box) -> float:
    if len(box.corners_px) != 4:
        return box.w_px / max(1.0, box.h_px)
    top_left, top_right, bottom_right, bottom_left = box.corners_px
    width_px = math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)
    return width_px / max(1.0, math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right))


def _change(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Return how much the values grew over the whole time, by the straight line of least squares."""
    times = np.asarray(times_s) - np.mean(times_s)
    spread = float(times @ times)
    return float(times @ np.asarray(values)) / spread * (times_s[-1] - times_s[0]) if spread > 0 else 0.0

"""Whether a passage was reported before: a track that broke, a queue that stands, a parked vehicle. Pure.

Three questions decide: is it the same plate, could the vehicle have come from where it was last seen, and how long ago
was it reported. What has been reported is remembered for PARKED_REPEAT_S, in memory only, REMEMBERED_AT_MOST of it.
"""

import math
from dataclasses import dataclass, field

from firmware.plates import folded
from firmware.records import Box
from firmware.trails import Trail, centre_px, distance_widths
from firmware.voting import Verdict

REPEAT_S = 10.0
"""The same plate again within this time, wherever it is, is the same passage: no vehicle turns round and comes back."""

PARKED_REPEAT_S = 600.0
"""A plate that stays in view is reported again after this time, whatever passes in between."""

REMEMBERED_AT_MOST = 512
"""The 50 vehicles a minute of a peak, for PARKED_REPEAT_S: about 0.3 MB."""

PARKED_WIDTHS = 0.5
PARKED_SIZE_RATIO = 1.25
"""How far from its place, and by how much larger or smaller, the box of a plate that stays may be found."""

SHORTEST_PIECE = 3
"""Fewer characters are in many plates by chance."""

HIDDEN_S, HIDDEN_WIDTHS = 2.0, 3.0
"""How long after a track broke, and how far from there, a plate that cannot be read may appear again."""

READ_WELL_RATIO = 0.8
"""A character with at least this score is no misread of another: two plates that differ in it are two vehicles."""


@dataclass(slots=True)
class _Reported:
    """The last report of a plate, and where it has been seen since. `text` is empty where nobody could read it."""

    text: str = field(repr=False)
    character_scores: tuple[float, ...]
    first_box: Box
    last_box: Box
    last_s: float
    reported_s: float


class Repetitions:
    """What has been reported lately."""

    def __init__(self) -> None:
        self._reported: list[_Reported] = []

    def notice(self, trail: Trail, verdict: Verdict) -> bool:
        """Say whether `trail`, with what it says (an empty text: nothing), is a repetition, and remember it either way.

        What is reported for the first time or again after PARKED_REPEAT_S is none.
        """
        begins_s, ends_s = trail.first.at_s, trail.last.at_s
        self._reported = [one for one in self._reported if begins_s < one.reported_s + PARKED_REPEAT_S]
        known = next((one for one in reversed(self._reported) if _is_same_passage(one, trail, verdict)), None)
        if known is None:
            known = _Reported(verdict.text, verdict.character_scores, trail.first.box, trail.last.box, ends_s, ends_s)
            self._reported.append(known)
            del self._reported[:-REMEMBERED_AT_MOST]
            return False
        known.first_box, known.last_box, known.last_s = trail.first.box, trail.last.box, max(known.last_s, ends_s)
        return True


def _is_same_passage(reported: _Reported, trail: Trail, verdict: Verdict) -> bool:
    """Say whether `trail` is a repetition of what was reported, by time and place and text."""
    box, is_recent = trail.first.box, trail.first.at_s - reported.last_s <= REPEAT_S
    stays = _is_same_place(reported.last_box, box)
    if not (stays or is_recent):
        return False
    if not verdict.text:
        is_hidden = trail.first.at_s - reported.last_s <= HIDDEN_S
        return stays or (is_hidden and distance_widths(centre_px(reported.last_box), box) <= HIDDEN_WIDTHS)
    one, other = folded(reported.text), folded(verdict.text)
    if one == other or (len(other) >= SHORTEST_PIECE and other in one):
        return True  # the same, or the piece of it that was in the picture first
    return (stays or _is_further_on(reported, box)) and is_one_plate(
        reported.text, reported.character_scores, verdict.text, verdict.character_scores
    )


def _is_same_place(one: Box, other: Box) -> bool:
    size_ratio = max(1.0, one.w_px) / max(1.0, other.w_px)
    is_same_size = 1 / PARKED_SIZE_RATIO <= size_ratio <= PARKED_SIZE_RATIO
    return is_same_size and distance_widths(centre_px(one), other) <= PARKED_WIDTHS


def _is_further_on(reported: _Reported, box: Box) -> bool:
    """Say whether `box` lies beyond where the reported plate came from, so that it may have gone on to there.

    The next vehicle of a convoy, whose plate may differ in one character only, begins where this one began.
    """
    begin_px, end_px = centre_px(reported.first_box), centre_px(reported.last_box)
    way_px = (end_px[0] - begin_px[0], end_px[1] - begin_px[1])
    length_px = math.hypot(*way_px)
    if length_px < PARKED_WIDTHS * reported.last_box.w_px:
        return distance_widths(end_px, box) <= HIDDEN_WIDTHS
    place_px = centre_px(box)
    along_px = ((place_px[0] - begin_px[0]) * way_px[0] + (place_px[1] - begin_px[1]) * way_px[1]) / length_px
    return along_px >= length_px / 2


def is_one_plate(one: str, one_scores: tuple[float, ...], other: str, other_scores: tuple[float, ...]) -> bool:
    """Say whether two voted texts, with the scores of their characters, may be one plate read twice.

    They may if they are equal after folding, if one has one character more, or if they differ in one character that one
    of them did not read well. Another character that both read well is a neighbour in the number range.
    """
    long, short = folded(max(one, other, key=len)), folded(min(one, other, key=len))
    if len(long) == len(short) + 1:
        return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))
    if len(one) != len(other):
        return False
    places = [place for place, (a, b) in enumerate(zip(folded(one), folded(other), strict=True)) if a != b]
    return len(places) <= 1 and all(min(one_scores[place], other_scores[place]) < READ_WELL_RATIO for place in places)

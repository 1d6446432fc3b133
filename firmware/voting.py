"""What several readings of one plate say together. Pure.

Every reading votes for each character with its own weight, after it has been aligned by edits and not by index: a frame
that lost the first character must not vote for a shifted plate.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware.plates import aligned, normalised
from firmware.records import Reading

LEAST_WEIGHT = 0.01
"""Even a reading that the OCR does not believe in has a say, so that a weight is never zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The voted plate: as good as its worst character, and no better than the best reading that says just this."""

    text: str = field(repr=False)
    character_scores: tuple[float, ...]
    score_ratio: float
    region: str | None
    region_score_ratio: float


def vote(readings: Sequence[Reading]) -> Verdict:
    """Return what `readings` (at least one) of one plate say together.

    The weight of a reading is its own probability. The length with the most weight wins; the best reading of that
    length is the pivot to which all are aligned. The score of a character is the weighted mean of the confidences of
    those who read it, counting 0 for those who read something else or nothing: readings of successive frames err
    alike, so multiplying them as if they were independent would promise too much. Character scores alone would: they
    compare a character with its rivals and do not know that the whole text is a guess.
    """
    votes = [_Vote.of(reading) for reading in readings]
    pivot = max((one for one in votes if len(one.text) == _voted_length(votes)), key=lambda one: one.weight)
    columns: list[dict[str, float]] = [defaultdict(float) for _ in pivot.text]
    for one in votes:
        for column, partner in zip(columns, aligned(pivot.text, one.text), strict=True):
            if partner is not None:
                column[one.text[partner]] += one.weight * one.confidences[partner]
    total = sum(one.weight for one in votes)
    winners = [max(column.items(), key=lambda item: item[1]) for column in columns]
    scores = tuple(min(1.0, weight / total) for _, weight in winners)
    text = "".join(char for char, _ in winners)
    agreeing = [one.probability for one in votes if one.text == text]
    best = max(agreeing) if agreeing else total / len(votes)
    region, region_score_ratio = _voted_region(readings)
    return Verdict(
        text=text,
        character_scores=scores,
        score_ratio=min(*scores, best) if scores else 0.0,
        region=region,
        region_score_ratio=region_score_ratio,
    )


@dataclass(frozen=True, slots=True)
class _Vote:
    text: str = field(repr=False)
    confidences: tuple[float, ...]
    probability: float  # of the whole text, by the OCR

    @property
    def weight(self) -> float:
        return max(LEAST_WEIGHT, self.probability)

    @classmethod
    def of(cls, reading: Reading) -> "_Vote":
        kept = [one for one in reading.characters if normalised(one.char) == one.char and len(one.char) == 1]
        text = "".join(one.char for one in kept)
        return cls(text, tuple(one.score_ratio for one in kept), reading.score_ratio)


def _voted_length(votes: Sequence[_Vote]) -> int:
    weights: dict[int, float] = defaultdict(float)
    for one in votes:
        weights[len(one.text)] += one.weight
    return max(weights.items(), key=lambda item: item[1])[0]


def _voted_region(readings: Sequence[Reading]) -> tuple[str | None, float]:
    """Return the region that more than half of the readings' weight supports, else None: wrong is worse than none."""
    support: dict[str, float] = defaultdict(float)
    for reading in readings:
        if reading.region is not None:
            support[reading.region] += max(LEAST_WEIGHT, reading.score_ratio) * reading.region_score_ratio
    total = sum(max(LEAST_WEIGHT, reading.score_ratio) for reading in readings)
    region, weight = max(support.items(), key=lambda item: item[1], default=(None, 0.0))
    score_ratio = min(1.0, weight / total)
    return (region, score_ratio) if score_ratio > 0.5 else (None, 0.0)

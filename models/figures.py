"""From what was read beside what was to be read, to the figures of models.evaluate and its report. Pure.

Calibration asks whether a score means what it says: of the reads with 0.9, nine in ten should be right.
"""

import enum
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware.config import ReadingConfig
from firmware.plates import aligned, edit_distance, folded

REPORTING_SCORE_RATIO = ReadingConfig().reporting_score_ratio
BINS = 15  # of the expected calibration error, as in Guo et al., ICML 2017 (arXiv 1706.04599)
WIDTH_EDGES_PX = (40, 80, 120, 200)
WIDTHS = ("<40", "40-80", "80-120", "120-200", ">=200")
CONFUSIONS_SHOWN = 10
PLAIN = "plain"
DESIGN_FLAGS = frozenset({"stacked", "vintage"})

Rectangle = tuple[float, float, float, float]
"""x, y, w, h in pixels."""


def width_bucket(box_px: Rectangle) -> str:
    """Return the bucket of a box's width; a lower edge is in its bucket."""
    return WIDTHS[bisect_right(WIDTH_EDGES_PX, box_px[2])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One labelled plate and what was read for it. `score_ratio` is None where nothing was found to read."""

    path: Path
    box_px: Rectangle | None  # of the label; None: the whole picture
    label: str = field(repr=False)
    text: str = field(repr=False)
    score_ratio: float | None
    region: str = ""
    region_read: str = ""  # empty where none is answered
    flags: tuple[str, ...] = ()
    share_ratio: float = 1.0  # best overlap of a found box with the label, as intersection over union
    is_partial: bool = False  # a passage that too few pictures agree on is reported as partial, whatever its score

    @property
    def is_exact(self) -> bool:
        """Whether the text is the label's."""
        return self.text == self.label

    @property
    def is_folded(self) -> bool:
        """Whether the text is the label's with O as 0 and I as 1."""
        return folded(self.text) == folded(self.label)

    @property
    def is_reported(self) -> bool:
        """Whether a unit would report a passage that was read so, with the configuration's default."""
        return self.is_reportable and not self.is_partial and (self.score_ratio or 0.0) >= REPORTING_SCORE_RATIO

    @property
    def is_reportable(self) -> bool:
        """Whether a unit would report it if only it were sure enough: no plate is shorter or longer."""
        return self.score_ratio is not None and 2 <= len(self.text) <= 10

    @property
    def groups(self) -> tuple[str, ...]:
        """Its flags, and `plain` if the plate itself is neither stacked nor vintage."""
        return self.flags if DESIGN_FLAGS & set(self.flags) else (*self.flags, PLAIN)

    @property
    def width_group(self) -> str:
        """The bucket of the label's width."""
        return width_bucket(self.box_px) if self.box_px else ""


class BoxFate(enum.StrEnum):
    """What became of a label or of a found box."""

    FOUND = "found"
    MISSED = "missed"
    FALSE = "false"
    NOT_COUNTED = "not counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxAnswer:
    """A label, a found box or both, and what became of it. Each names the nearest other where there is one."""

    path: Path
    set: str = ""  # of the labels, where they name one
    fate: BoxFate
    label_px: Rectangle | None
    found_px: Rectangle | None
    score_ratio: float | None
    share_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one command measured: its figures as they are printed, and all that they were counted from."""

    kind: str
    models: str
    figures: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)
    boxes: list[BoxAnswer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bin:
    """Reads of about the same score: how many, their mean score, the share of them that is exact."""

    count: int
    mean_score_ratio: float
    exact_ratio: float


def share(answers: Sequence[Answer], is_so: Callable[[Answer], bool]) -> float | None:
    """Return the share of the answers that are so; None of none."""
    return sum(map(is_so, answers)) / len(answers) if answers else None


def calibration_bins(answers: Iterable[Answer]) -> list[Bin | None]:
    """Return 15 bins of equal width over the score, None where one is empty. Only what was read has a score."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for answer in answers:
        if answer.score_ratio is not None:
            place = min(BINS - 1, int(answer.score_ratio * BINS))
            members[place].append((answer.score_ratio, answer.is_exact))
    return [
        Bin(len(some), math.fsum(score for score, _ in some) / len(some), sum(right for _, right in some) / len(some))
        if some
        else None
        for some in members
    ]


def expected_calibration_error(answers: Iterable[Answer]) -> float | None:
    """Return the mean distance of score and exactness, each bin weighing what it holds (Guo et al. 2017, eq. 3)."""
    bins = [one for one in calibration_bins(answers) if one]
    total = sum(one.count for one in bins)
    if not total:
        return None
    return math.fsum(one.count * abs(one.exact_ratio - one.mean_score_ratio) for one in bins) / total


def text_figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the figures that every measurement of texts has. `answers` must not be empty."""
    edits = sum(edit_distance(answer.text, answer.label) for answer in answers)
    return {
        "exact": share(answers, lambda answer: answer.is_exact),
        "exact_folded": share(answers, lambda answer: answer.is_folded),
        "cer": edits / max(1, sum(len(answer.label) for answer in answers)),
    }


def region_figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return how many regions are right where one is answered, and how many are answered where one is known."""
    known = [answer for answer in answers if answer.region]
    return {
        "region_accuracy": share([one for one in known if one.region_read], lambda one: one.region == one.region_read),
        "region_answered": share(known, lambda one: bool(one.region_read)),
    }


def trust_figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return whether scores can be trusted, and how much of what a unit would report is wrong."""
    reported = [answer for answer in answers if answer.is_reported]
    return {
        "ece": expected_calibration_error(answers),
        "reported": len(reported) / len(answers),
        "reported_wrong": share(reported, lambda answer: not answer.is_exact),
        "reported_wrong_folded": share(reported, lambda answer: not answer.is_folded),
    }


def grouped(answers: Iterable[Answer], groups_of: Callable[[Answer], Iterable[str]]) -> dict[str, list[Answer]]:
    """Return the answers by group; one may be in several."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        for group in groups_of(answer):
            groups.setdefault(group, []).append(answer)
    return groups


def by_flag(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """Return exactness by flag, `plain` being what is neither stacked nor vintage; the largest group first."""
    groups = grouped(answers, lambda answer: answer.groups)
    return {flag: {"crops": len(groups[flag]), **_exactness(groups[flag])} for flag in _largest_first(groups)}


def by_width(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """Return exactness and the share found at IoU 0.5 by the plate's width in pixels."""
    groups = grouped(answers, lambda answer: (answer.width_group,))
    return {
        width: {
            "plates": len(groups[width]),
            **_exactness(groups[width]),
            "found": share(groups[width], lambda answer: answer.share_ratio >= 0.5),
        }
        for width in WIDTHS
        if width in groups
    }


def _exactness(answers: Sequence[Answer]) -> dict[str, float | None]:
    return {
        "exact": share(answers, lambda answer: answer.is_exact),
        "exact_folded": share(answers, lambda answer: answer.is_folded),
    }


def _largest_first(groups: dict[str, list[Answer]]) -> list[str]:
    return sorted(groups, key=lambda group: (-len(groups[group]), group))


def character_errors(answers: Iterable[Answer]) -> Counter[tuple[str, str]]:
    """Count (labelled character, read character) where they differ; empty is one that was lost or made up.

    What was not read at all says nothing of characters and is left out.
    """
    errors: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        if answer.text and not answer.is_exact:
            partners = aligned(answer.label, answer.text)
            for char, partner in zip(answer.label, partners, strict=True):
                if partner is None or answer.text[partner] != char:
                    errors[char, "" if partner is None else answer.text[partner]] += 1
            errors.update(("", char) for place, char in enumerate(answer.text) if place not in partners)
    return errors


def confusions(answers: Iterable[Answer]) -> dict[str, int]:
    """Return the most frequent errors of one character as `labelled>read`; `7>` was lost, `>7` made up."""
    ranked = sorted(character_errors(answers).items(), key=lambda item: (-item[1], item[0]))
    return {f"{label}>{read}": count for (label, read), count in ranked[:CONFUSIONS_SHOWN]}

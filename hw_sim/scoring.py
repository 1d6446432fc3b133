"""What a unit told of the vehicles that passed, held against the truth: one row of the grid. Pure.

A read belongs to a vehicle whose plate was in the picture at its time and whose text it resembles, or of which it says
that it was not legible; what resembles none is a false plate, and a second read of one vehicle is a duplicate.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from firmware.plates import folded, similarity_ratio

SLACK_S = 0.3
"""A read may begin or end this long before or after its plate was wholly inside the picture."""

LIKE_RATIO = 0.45
"""A misread plate keeps about half of its characters at least; lettering elsewhere on a vehicle does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """One vehicle with a plate: what stands on it, and from when to when it was wholly inside the picture."""

    text: str = field(repr=False)
    region: str | None
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One read as the agency opened it."""

    text: str = field(repr=False)  # empty: a plate went by that was not legible
    region: str | None
    from_s: float
    to_s: float
    partial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Counts of vehicles and reads. `read`: exactly the vehicle's plate, O as O. `wrong`: sure of itself, and not so.

    `read_folded` counts O as 0 and I as 1, which are one shape on many plates.
    """

    passes: int = 0
    captured: int = 0
    read: int = 0
    read_folded: int = 0
    partial: int = 0
    wrong: int = 0
    state_right: int = 0
    state_wrong: int = 0
    false_plates: int = 0
    duplicates: int = 0

    def __add__(self, other: "Score") -> "Score":
        theirs = asdict(other)
        return Score(**{name: count + theirs[name] for name, count in asdict(self).items()})


def scored(passed: Sequence[Passed], told: Sequence[Told], *, others: Sequence[Passed] = ()) -> Score:
    """Return how `told` describes `passed`.

    What was told of `others`, whose plates nobody could read or which are not asked for, is neither right nor wrong.
    """
    mine: list[list[Told]] = [[] for _ in passed]
    vehicles, strays = [*passed, *others], 0
    for read in told:
        place = _vehicle_of(read, vehicles)
        if place is None:
            strays += 1
        elif place < len(passed):
            mine[place].append(read)
    rows = [_row(vehicle, reads) for vehicle, reads in zip(passed, mine, strict=True)]
    return sum(rows, Score(false_plates=strays))


def _vehicle_of(read: Told, vehicles: Sequence[Passed]) -> int | None:
    """Return the place of the vehicle that `read` speaks of, or None."""
    near = [
        place
        for place, vehicle in enumerate(vehicles)
        if read.from_s <= vehicle.to_s + SLACK_S and read.to_s >= vehicle.from_s - SLACK_S
    ]
    best = max(near, key=lambda place: likeness(read, vehicles[place]), default=None)
    return None if best is None or likeness(read, vehicles[best]) < LIKE_RATIO else best


def likeness(read: Told, vehicle: Passed) -> float:
    """Return how alike the texts are, 0..1; O counts as 0 and I as 1. Who read nothing speaks of whoever was there."""
    if not read.text:
        return LIKE_RATIO
    return similarity_ratio(folded(read.text), folded(vehicle.text))


def _row(vehicle: Passed, reads: list[Told]) -> Score:
    if not reads:
        return Score(passes=1)
    best = max(reads, key=lambda read: (read.text == vehicle.text, likeness(read, vehicle), not read.partial))
    is_folded = folded(best.text) == folded(vehicle.text)
    answered = best.region is not None and vehicle.region is not None
    return Score(
        passes=1,
        captured=1,
        read=int(best.text == vehicle.text),
        read_folded=int(is_folded),
        partial=int(best.partial),
        wrong=int(not is_folded and not best.partial),
        state_right=int(answered and best.region == vehicle.region),
        state_wrong=int(answered and best.region != vehicle.region),
        duplicates=len(reads) - 1,
    )

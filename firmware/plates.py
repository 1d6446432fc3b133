"""Plate text as plain strings: one spelling, the pairs that look alike, and how far two texts are apart. Pure."""

import string

PLATE_CHARACTERS = frozenset(string.ascii_uppercase + string.digits)

_FOLDS = str.maketrans({"O": "0", "I": "1"})


def normalised(text: str) -> str:
    """Return `text` in upper case with everything but Latin letters and digits taken away."""
    return "".join(char for char in text.upper() if char in PLATE_CHARACTERS)


def folded(text: str) -> str:
    """Return `text` with O as 0 and I as 1: most US states issue these pairs in one shape."""
    return text.translate(_FOLDS)


def edit_distance(one: str, other: str) -> int:
    """Return the fewest insertions, deletions and substitutions between two texts (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for index, char in enumerate(one, start=1):
        diagonal, row[0] = row[0], index
        for column, against in enumerate(other, start=1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (char != against))
    return row[-1]


def similarity_ratio(one: str, other: str) -> float:
    """Return 1 for texts that are equal after folding, 0 for nothing in common; two empty texts are equal."""
    longest = max(len(one), len(other))
    return 1.0 - edit_distance(folded(one), folded(other)) / longest if longest else 1.0


def aligned(pivot: str, other: str) -> list[int | None]:
    """Return for each character of `pivot` the index of its partner in `other`, or None where `other` lacks it.

    The alignment is one of fewest edits (Needleman and Wunsch 1970). Characters that `other` has too many have no
    partner. Look-alikes are cheaper to pair than strangers, so that a missing character does not shift the rest.
    """
    costs = _alignment_costs(pivot, other)
    partners: list[int | None] = [None] * len(pivot)
    row, column = len(pivot), len(other)
    while row and column:
        if costs[row][column] == costs[row - 1][column - 1] + _pair_cost(pivot[row - 1], other[column - 1]):
            row, column = row - 1, column - 1
            partners[row] = column
        elif costs[row][column] == costs[row - 1][column] + _GAP_COST:
            row -= 1
        else:
            column -= 1
    return partners


_GAP_COST = 2
_STRANGER_COST = 2
_LOOK_ALIKE_COST = 1


def _pair_cost(one: str, other: str) -> int:
    if one == other:
        return 0
    return _LOOK_ALIKE_COST if folded(one) == folded(other) else _STRANGER_COST


def _alignment_costs(pivot: str, other: str) -> list[list[int]]:
    costs = [[_GAP_COST * column for column in range(len(other) + 1)]]
    for row, char in enumerate(pivot, start=1):
        line = [_GAP_COST * row]
        for column, against in enumerate(other, start=1):
            pair = costs[row - 1][column - 1] + _pair_cost(char, against)
            line.append(min(pair, costs[row - 1][column] + _GAP_COST, line[column - 1] + _GAP_COST))
        costs.append(line)
    return costs

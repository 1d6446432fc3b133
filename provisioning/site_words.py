"""What is said of a site file that is refused: which key, which bound, what to do. Words only."""

import re
from collections.abc import Callable, Set
from typing import Final

_AT: Final = re.compile(r" - at `\$\.?([^`]*)`\Z")

_BOUNDS: Final = {
    ">=": "at least {number}",
    "<=": "at most {number}",
    ">": "more than {number}",
    "<": "less than {number}",
}
_UNITS: Final = {"str": "characters", "array": "entries"}
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "a section",
    "bool": "true or false",
}

_SENTENCES: Final[tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str]], str]], ...]] = (
    (re.compile(r"Object missing required"), lambda key, _: f"{key} is missing; add it"),
    (
        re.compile(r"Object contains unknown"),
        lambda key, _: f"{key} is no key of a configuration; correct its spelling, or take it out",
    ),
    (
        re.compile(r"Expected `(?:int|float)[^`]*` (>=|<=|>|<) ([-0-9.e+]+)"),
        lambda key, bound: f"{key} must be {_BOUNDS[bound[1]].format(number=f'{float(bound[2]):g}')}; correct it",
    ),
    (
        re.compile(r"Expected `(str|array)` of length (>=|<=) (\d+)"),
        lambda key, bound: (
            f"{key} must have {_BOUNDS[bound[2]].format(number=f'{bound[3]} {_UNITS[bound[1]]}')}; correct it"
        ),
    ),
    (
        re.compile(r"Expected `([^`]+)`, got `(\w+)`"),
        lambda key, kind: f"{key} must be {_wanted(kind[1])} and is {_wanted(kind[2])}; correct it",
    ),
    (
        re.compile(r"Expected `str` matching"),
        lambda key, _: f"{key} is not written as it must be; see the table of keys in README",
    ),
)


def sentence(refusal: str, others_to_say: Set[str]) -> str:
    """Return what msgspec says of a document as a technician would say it; keys `others_to_say` are the fleet's."""
    at = _AT.search(refusal)
    said = refusal[: at.start()] if at else refusal
    named = re.search(r"field `([a-z_]+)`\Z", said)
    key = ".".join(part for part in (at[1] if at else "", named[1] if named else "") if part)
    if named and named[1] in others_to_say and "unknown" in said:
        return f"{key} is the fleet's to say and not the site's; take it out"
    if "unknown field" in said and not named:  # one that is not repeated
        return f"{key or 'the file'} has a key that no configuration knows; correct its spelling, or take it out"
    for pattern, worded in _SENTENCES:
        if key and (match := pattern.match(said)):
            return worded(key, match)
    return f"{key}: {said}; correct it" if key else f"{said}; make the file again with `kestrel-provision site new`"


def _wanted(kinds: str) -> str:
    """Return types of JSON, as msgspec names them, in words."""
    return " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))

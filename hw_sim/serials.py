"""What stands on the simulated plates: serials after a state's patterns, personal choices and temporary numbers.

Owns the texts; no text is taken from a real plate. A marked serial is its text with what is pressed between: blanks,
dashes, points, _ for the emblem's gap, brackets around small letters that are stacked.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_Choice = TypeVar("_Choice")

SERIAL_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
"""Most states leave I, O and Q out of their serials."""

_ALL_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_STARTS = ("B", "C", "D", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "T", "V", "W", "Z", "BR", "CH", "CR",
           "FL", "GR", "QU", "SH", "ST", "TR")  # fmt: skip
_MIDDLES = ("A", "E", "I", "O", "U", "Y", "AY", "EE", "IO", "OU")
_ENDS = ("", "", "L", "N", "R", "S", "T", "X", "CK", "NG", "ST", "Z")


def plain(marked: str) -> str:
    """Return the letters and digits of a marked serial, in the order in which they are read."""
    return "".join(char for char in marked if char.isalnum())


def serial(pattern: str, letters: str, generator: np.random.Generator) -> str:
    """Fill a pattern: @ is one of `letters`, # a digit, anything else stands as it is."""
    choices = {"@": letters, "#": _DIGITS}
    return "".join(pick(generator, choices[char]) if char in choices else char for char in pattern)


def stacked_serial(letters: str, generator: np.random.Generator) -> str:
    """Return a serial with two small letters above each other, before or behind the digits, as on special issues."""
    digits = "#" * int(generator.integers(4, 6))
    return serial(f"(@@){digits}" if generator.random() < 0.7 else f"{digits}(@@)", letters, generator)


def personal_choice(generator: np.random.Generator) -> str:
    """Return 2 to 7 characters as an owner chooses them: syllables that mean nothing, some with a digit."""
    text = ""
    wanted = int(generator.integers(2, 8))
    while len(text) < wanted:
        text += pick(generator, _STARTS) + pick(generator, _MIDDLES) + pick(generator, _ENDS)
    text = text[:wanted]
    style = generator.random()
    if style < 0.25 and wanted >= 3:
        return text[:-1] + pick(generator, _DIGITS)
    if style < 0.35:
        return pick(generator, _DIGITS) + text[1:]
    if style < 0.45:
        return "".join(pick(generator, _ALL_LETTERS) for _ in range(wanted))
    return text


def temporary_number(generator: np.random.Generator) -> str:
    """Return the number of a paper plate."""
    return serial(pick(generator, ("#######", "@######", "####@##", "##@####")), SERIAL_LETTERS, generator)


def pick(generator: np.random.Generator, choices: Sequence[_Choice]) -> _Choice:
    """Return one of `choices`, each as likely as any other."""
    return choices[int(generator.integers(len(choices)))]

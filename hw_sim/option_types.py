"""What the simulator's commands share: numbers within bounds as argparse types, and the code of an interruption."""

import argparse
import math
from collections.abc import Callable
from typing import Final

EXIT_INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells have it: an answer that is not complete must not pass for one."""

_DIGITS_AT_MOST: Final = 19


def number(low: float, high: float, what: str = "") -> Callable[[str], float]:
    """Return what reads a number within bounds, `what` in the refusal. Raises ArgumentTypeError."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            subject = f"{what} must" if what else "must"
            raise argparse.ArgumentTypeError(f"{text!r}: {subject} be a number from {low:g} to {high:g}")
        return value

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number within bounds. Raises ArgumentTypeError."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS_AT_MOST
        if not (is_number and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from {low} to {high}")
        return int(text)

    return read

"""The aim as a picture of characters: 80 columns and 24 rows, in 24-bit or 256 colours, or plain ASCII.

A half block shows two pixels, one above the other, so that a picture of 42 x 32 pixels takes 42 columns and 16 rows.
"""

import enum
import textwrap
from collections.abc import Mapping

import cv2
import numpy as np

from firmware.records import Grey, Image

COLUMNS, ROWS = 80, 24
PICTURE_COLUMNS, PICTURE_ROWS = 42, 16
VERDICT_ROWS = 5
_RAMP = " .:-=+*#%@"
_RESET = "\x1b[0m"
HOME, CLEAR = "\x1b[H", "\x1b[2J"


class Colours(enum.StrEnum):
    """What the terminal can show."""

    FULL = "24bit"
    CUBE = "256"
    NONE = "none"


def colours_of(environment: Mapping[str, str], *, is_terminal: bool, encoding: str) -> Colours:
    """Return what a terminal can show, by what it says of itself."""
    if not is_terminal or environment.get("NO_COLOR") or "utf" not in encoding.lower():
        return Colours.NONE
    if environment.get("COLORTERM", "") in {"truecolor", "24bit"}:
        return Colours.FULL
    return Colours.CUBE if "256" in environment.get("TERM", "") else Colours.NONE


def screen(  # noqa: PLR0917  the parts of one screen, in their order
    verdict: str, sentence: str, picture: Image | None, numbers: list[tuple[str, str]], foot: str, colours: Colours
) -> str:
    """Return ROWS lines of at most COLUMNS characters, each without its end; `picture` is uint8 (h, w, 3) BGR."""
    lines = [line[:COLUMNS] for line in _large(verdict, colours)]
    lines += [*textwrap.wrap(sentence, COLUMNS - 1)[:2], ""][:2]
    drawn = _picture(picture, colours) if picture is not None else [" " * PICTURE_COLUMNS] * PICTURE_ROWS
    texts = [f"{name:<12} {value}"[: COLUMNS - PICTURE_COLUMNS - 2] for name, value in numbers]
    texts += [""] * (PICTURE_ROWS - len(texts))
    lines += [f"{left}  {right}" for left, right in zip(drawn, texts, strict=False)]
    lines.append(foot[: COLUMNS - 1])
    return "\n".join(lines[:ROWS])


def _large(text: str, colours: Colours) -> list[str]:
    """Return the text in letters VERDICT_ROWS high."""
    is_plain = colours is Colours.NONE
    height = VERDICT_ROWS if is_plain else 2 * VERDICT_ROWS
    dots = _lettered(text, height, stretch=2.0 if is_plain else 1.0)
    if is_plain:
        return ["".join("#" if dot else " " for dot in row).rstrip() for row in dots]
    marks = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}
    return [
        "".join(marks[bool(above), bool(below)] for above, below in zip(dots[row], dots[row + 1], strict=True)).rstrip()
        for row in range(0, height, 2)
    ]


def _lettered(text: str, height: int, *, stretch: float) -> Grey:
    """Return the text as dots, bool-like uint8 (height, at most COLUMNS - 1)."""
    scale, thick = 4.0, 14
    (width, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    canvas = np.zeros((tall + 2 * thick, width + 2 * thick), np.uint8)
    cv2.putText(canvas, text, (thick, tall + thick), cv2.FONT_HERSHEY_DUPLEX, scale, 255, thick, cv2.LINE_AA)
    across = min(COLUMNS - 1, round(canvas.shape[1] / canvas.shape[0] * height * stretch))
    small = cv2.resize(canvas, (across, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 105, np.uint8)


def _picture(picture: Image, colours: Colours) -> list[str]:
    rows = PICTURE_ROWS if colours is Colours.NONE else 2 * PICTURE_ROWS
    small = np.asarray(cv2.resize(picture, (PICTURE_COLUMNS, rows), interpolation=cv2.INTER_AREA), np.uint8)
    if colours is Colours.NONE:
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        return ["".join(_RAMP[int(level) * len(_RAMP) // 256] for level in row) for row in grey]
    return [
        "".join(_cell(above, below, colours) for above, below in zip(small[row], small[row + 1], strict=True)) + _RESET
        for row in range(0, rows, 2)
    ]


def _cell(above: Image, below: Image, colours: Colours) -> str:
    return f"\x1b[38;{_code(above, colours)};48;{_code(below, colours)}m\u2580"


def _code(pixel: Image, colours: Colours) -> str:
    blue, green, red = (int(value) for value in pixel)
    if colours is Colours.FULL:
        return f"2;{red};{green};{blue}"
    cube = 16 + 36 * round(red / 51) + 6 * round(green / 51) + round(blue / 51)  # the 6 x 6 x 6 cube of xterm
    return f"5;{cube}"

"""The aim as a picture of characters: 80 columns and 24 rows, in 24-bit or 256 colours, or plain ASCII.

A half block shows two pixels, one above the other, so that a picture of 42 x 32 pixels takes 42 columns and 16 rows.
"""

import enum
import textwrap
from collections.abc import Mapping

import cv2
import numpy as np

from firmware.records import Image
from provisioning.large_letters import dots_of

COLUMNS, ROWS = 80, 24
PICTURE_COLUMNS, PICTURE_ROWS = 42, 16
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
    verdict: str, sentence: str, picture: "Image | None", numbers: list[tuple[str, str]], foot: str, colours: Colours
) -> str:
    """Return ROWS lines of at most COLUMNS characters, each without its end; `picture` is uint8 (h, w, 3) BGR."""
    lines = [line[:COLUMNS] for line in _large(verdict, colours)]
    lines += [*textwrap.wrap(sentence, COLUMNS - 1)[:2], ""][:2]
    rows = min(PICTURE_ROWS, ROWS - 1 - len(lines))
    drawn = _picture(picture, colours, rows) if picture is not None else [" " * PICTURE_COLUMNS] * rows
    texts = [f"{name:<11} {value}"[: COLUMNS - PICTURE_COLUMNS - 2] for name, value in numbers]
    texts += [""] * (rows - len(texts))
    lines += [f"{left}  {right}" for left, right in zip(drawn, texts, strict=False)]
    lines.append(foot[: COLUMNS - 1])
    return "\n".join(lines[:ROWS])


def _large(text: str, colours: Colours) -> list[str]:
    """Return the text in large letters: in half blocks two dots a character, in ASCII one."""
    dots = dots_of(text)
    if colours is Colours.NONE:
        return ["".join("#" if dot else " " for dot in row).rstrip() for row in dots]
    dots = np.vstack([dots, np.zeros_like(dots[:1])])
    marks = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}
    return [
        "".join(marks[bool(above), bool(below)] for above, below in zip(dots[row], dots[row + 1], strict=True)).rstrip()
        for row in range(0, len(dots), 2)
    ]


def _picture(picture: Image, colours: Colours, lines: int) -> list[str]:
    rows = lines if colours is Colours.NONE else 2 * lines
    small = np.asarray(cv2.resize(picture, (PICTURE_COLUMNS, rows), interpolation=cv2.INTER_AREA), np.uint8)
    if colours is Colours.NONE:
        grey = cv2.normalize(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), None, 0, 255, cv2.NORM_MINMAX)
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

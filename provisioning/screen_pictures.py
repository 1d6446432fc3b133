"""A terminal's screen as an SVG file: Rich's, with its letters found on any machine and its blocks drawn as areas.

A block that is a letter leaves seams where the font is not the one that was measured, and costs thrice the bytes.
"""

import io
import re
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from provisioning.aim_terminal import COLUMNS, ROWS

_FONT_ELSEWHERE: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture asks no server for its letters
_CLIPS: Final = re.compile(r'<clipPath.*?</clipPath>\s*| clip-path="[^"]*"', re.DOTALL)  # they cut the last row's feet
_RULE: Final = re.compile(r"\s*\.([\w-]+-r\d+) \{ fill: (#\w+)[^}]*\}")
_BLOCKS: Final = re.compile(
    r'<text class="(?P<rule>[\w-]+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="(?P<width>[\d.]+)">'
    r"(?P<signs>(?:[\u2580\u2584\u2588]|&#160;)+)</text>"
)
_SPACE: Final = "&#160;"
_BASELINE_PX, _ROW_PX, _ABOVE_PX = 20.0, 24.65, 1.5  # as Rich has them: where a row's letters stand, and its background
_PARTS: Final = {"\u2580": (0.0, 0.5), "\u2584": (0.5, 0.5), "\u2588": (0.0, 1.0)}
"""Which part of its cell a block fills: from where, how much, in heights of a row."""


def of_lines(lines: str, title: str) -> str:
    """Return the SVG of a screen's lines with their colours, as `aim_terminal.screen` gives them."""
    console = Console(
        record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=COLUMNS, height=ROWS
    )
    console.print(Text.from_ansi(lines), no_wrap=True, crop=True, end="")
    return mended(console.export_svg(title=title, unique_id="screen"))


def mended(drawn: str) -> str:
    """Return an SVG of Rich's or Textual's with areas for blocks, nothing cut off, and no font from a server."""
    drawn = _CLIPS.sub("", _FONT_ELSEWHERE.sub("", drawn)).replace("Fira Code", "DejaVu Sans Mono")
    fills = dict(_RULE.findall(drawn))
    drawn = _BLOCKS.sub(lambda found: _areas(found, fills[found["rule"]]), drawn)
    return _RULE.sub(lambda rule: rule[0] if drawn.count(f'"{rule[1]}"') else "", drawn)


def write(path: Path, drawn: str) -> None:
    """Write a picture. Raises OSError."""
    path.write_text(drawn, encoding="utf-8")


def _areas(found: re.Match[str], fill: str) -> str:
    """Return the blocks of one run of letters as one area."""
    signs = found["signs"].replace(_SPACE, " ")
    wide = float(found["width"]) / len(signs)
    top = float(found["y"]) - _BASELINE_PX + _ABOVE_PX
    outline = ""
    for run in re.finditer(r"(\S)\1*", signs):
        begin, share = _PARTS[run[1]]
        left, width = float(found["x"]) + wide * run.start(), wide * len(run[0])
        outline += f"M{left:.1f} {top + begin * _ROW_PX:.1f}h{width:.1f}v{share * _ROW_PX:.1f}h-{width:.1f}z"
    return f'<path fill="{fill}" shape-rendering="crispEdges" d="{outline}"/>'

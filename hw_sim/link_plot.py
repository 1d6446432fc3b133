"""The curves of a link run as one SVG, drawn without a library: how a backlog drains, and how late PUBACKs come."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

WIDTH, HEIGHT = 400.0, 240.0  # of one diagram's square
LEFT, TOP, GAP = 64.0, 40.0, 96.0
TICKS: Final = 5
TARGETS_S: Final = ((95, 2.0), (99, 5.0))
"""From capture to PUBACK: so many per cent within so many seconds."""

STYLE: Final = """text { font: 13px sans-serif; fill: #1c2430 } .title { font-weight: 600; font-size: 14px }
.grid { stroke: #dde2ea } .axis { stroke: #1c2430 } .curve { fill: none; stroke: #1d4ed8; stroke-width: 2 }
.target { stroke: #c2410c; stroke-dasharray: 5 4 } .said { fill: #c2410c }"""


def drawn(found: dict[str, Any]) -> str:
    """Return the picture of an answer of `python -m hw_sim link`."""
    asked = found["asked"]
    link = f"{asked['rate_kbit']:g} kbit/s, {asked['delay_ms']:g} ms each way, {asked['loss']:g} % loss"
    curve = [(at_s / 60.0, waiting) for at_s, waiting in found["curve"]]
    drain = _Diagram(
        LEFT,
        f"{found['scenario']}: reads without a receipt",
        "minutes since the bearer came",
        right=_round_up(max((x for x, _ in curve), default=1.0)),
        top=_round_up(max((y for _, y in curve), default=1.0)),
    )
    ranked = [(value, 100.0 * place / len(found["latencies_s"])) for place, value in enumerate(found["latencies_s"], 1)]
    late = _Diagram(
        LEFT + WIDTH + GAP,
        f"capture to PUBACK, {len(ranked)} reads of a peak",
        "seconds",
        right=_round_up(max([value for value, _ in ranked] + [limit_s for _, limit_s in TARGETS_S])),
        top=100.0,
        unit=" %",
    )
    parts = [*drain.axes(), drain.curve(curve), *late.axes(), late.curve(ranked)]
    for place, (percent, limit_s) in enumerate(TARGETS_S):
        parts += late.target(limit_s, percent, line=place)
    width, height = LEFT + 2 * WIDTH + GAP + 24, TOP + HEIGHT + 76
    parts.append(_text(width / 2, height - 8, f"a unit, a real Mosquitto and the receiver over {link}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="drain and latency" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}">\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


class _Diagram:
    """Axes from zero to `right` and `top`, and what is drawn between them."""

    def __init__(self, left: float, title: str, x_label: str, *, right: float, top: float, unit: str = "") -> None:
        self._left, self._title, self._x_label, self._unit = left, title, x_label, unit
        self._right, self._top = right, top

    def axes(self) -> Iterable[str]:
        bottom, middle = TOP + HEIGHT, self._left + WIDTH / 2
        yield _text(middle, TOP - 14, self._title, kind="title")
        for tick in range(TICKS + 1):
            x, y = self._left + WIDTH * tick / TICKS, bottom - HEIGHT * tick / TICKS
            yield _line(x, TOP, x, bottom, "grid")
            yield _line(self._left, y, self._left + WIDTH, y, "grid")
            yield _text(x, bottom + 18, f"{self._right * tick / TICKS:g}")
            yield _text(self._left - 8, y + 4, f"{self._top * tick / TICKS:,g}{self._unit}", anchor="end")
        yield _line(self._left, bottom, self._left + WIDTH, bottom, "axis")
        yield _line(self._left, TOP, self._left, bottom, "axis")
        yield _text(middle, bottom + 38, self._x_label)

    def curve(self, points: Sequence[tuple[float, float]]) -> str:
        placed = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self._placed(x, y) for x, y in points))
        return f'<polyline class="curve" points="{placed}"/>'

    def target(self, x: float, percent: float, *, line: int) -> Iterable[str]:
        at, y = self._placed(x, percent)
        yield _line(at, y, at, TOP + HEIGHT, "target")
        yield _text(at - 6, TOP + HEIGHT - 12 - 18 * line, f"{percent:g} % within {x:g} s", anchor="end", kind="said")

    def _placed(self, x: float, y: float) -> tuple[float, float]:
        return self._left + WIDTH * x / self._right, TOP + HEIGHT * (1.0 - y / self._top)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 2.5 or 5 times a power of ten, at which ticks are easy to read."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-3)))
    return next(step * power for step in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 10.0) if value <= step * power)


def _text(x: float, y: float, words: str, *, anchor: str = "middle", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'

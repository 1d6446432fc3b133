"""A sweep as a picture: latency against load, how busy each part is, and where it bends. Pure: numbers in, SVG out."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from hw_sim.fleet_figures import HELD_P95_S, is_held

WIDTH_PX: Final = 860
PANEL_HEIGHT_PX: Final = 250
LEFT_PX, RIGHT_PX, TOP_PX, GAP_PX = 64, 150, 56, 74

Curve = tuple[str, str, str]
"""Name, key of the answer, colour; also told apart by those who see no red or green (Okabe and Ito, 2008)."""

LATENCIES: Final[tuple[Curve, ...]] = (
    ("stored p95", "stored_p95_s", "#D55E00"),
    ("acknowledged p99", "latency_p99_s", "#56B4E9"),
    ("acknowledged p95", "latency_p95_s", "#0072B2"),
    ("acknowledged p50", "latency_p50_s", "#333333"),
)
SHARES: Final[tuple[Curve, ...]] = (
    ("others", "others_cpu_share", "#999999"),
    ("receiver", "receiver_cpu_share", "#D55E00"),
    ("cameras", "generator_cpu_share", "#009E73"),
    ("broker", "broker_cpu_share", "#0072B2"),
)
LABEL_STEP_PX: Final = 15


def curves(loads: Sequence[dict[str, Any]]) -> str:
    """Return two panels over reads a second: latency (logarithmic) and CPU, of `loads` by rising load."""
    rates = [load["cameras"] * load["reads_per_minute"] / 60 for load in loads]
    log_low, log_high = math.log10(min(rates)), math.log10(max(rates) * 1.0001)
    plot_width = WIDTH_PX - LEFT_PX - RIGHT_PX

    def across(rate: float) -> float:
        return LEFT_PX + plot_width * (math.log10(rate) - log_low) / max(1e-9, log_high - log_low)

    seconds = [load[key] for load in loads for _, key, _ in LATENCIES if load[key]]
    decade_low, decade_high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    bottom = TOP_PX + PANEL_HEIGHT_PX

    def latency(value: float) -> float:
        return bottom - PANEL_HEIGHT_PX * (math.log10(value) - decade_low) / (decade_high - decade_low)

    most = max([1.0, *(float(load[key]) for load in loads for _, key, _ in SHARES)])
    second_top = bottom + GAP_PX
    second_bottom = second_top + PANEL_HEIGHT_PX

    def share(value: float) -> float:
        return second_bottom - PANEL_HEIGHT_PX * value / (1.1 * most)

    parts = _frame(
        loads, rates, across, (TOP_PX, bottom), "Seconds from capture, by reads a second", with_cameras=False
    )
    for decade in range(decade_low, decade_high + 1):
        parts.append(_grid_line(latency(10.0**decade), f"{10.0**decade:g} s"))
    parts.append(_limit(latency(HELD_P95_S), f"{HELD_P95_S:g} s: what a unit online may take"))
    parts += _curves(loads, rates, across, latency, LATENCIES)
    parts += _bend(loads, rates, across, second_bottom)
    parts += _frame(
        loads,
        rates,
        across,
        (second_top, second_bottom),
        "Cores in use, by reads a second (and cameras)",
        with_cameras=True,
    )
    for step in range(math.floor(1.1 * most / 0.5) + 1):
        parts.append(_grid_line(share(step * 0.5), f"{step * 0.5:.1f}"))
    parts += _curves(loads, rates, across, share, SHARES)
    height = second_bottom + 56
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height:.0f}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#333333">\n'
        f'<rect width="{WIDTH_PX}" height="{height:.0f}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _frame(
    loads: Sequence[dict[str, Any]],
    rates: Sequence[float],
    across: Callable[[float], float],
    span: tuple[float, float],
    title: str,
    *,
    with_cameras: bool,
) -> list[str]:
    top, bottom = span
    parts = [_text(LEFT_PX, top - 12, title, extra='font-size="14" font-weight="bold"')]
    last_px = -math.inf
    for load, rate in zip(loads, rates, strict=True):
        at_px = across(rate)
        parts.append(f'<line x1="{at_px:.1f}" y1="{bottom}" x2="{at_px:.1f}" y2="{bottom + 4}" stroke="#999999"/>')
        if at_px - last_px < 26:  # the figures would run into each other
            continue
        last_px = at_px
        parts.append(_text(at_px, bottom + 18, f"{rate:.0f}", extra='text-anchor="middle"'))
        if with_cameras:
            label = f"({load['cameras']})"
            parts.append(_text(at_px, bottom + 34, label, extra='text-anchor="middle" fill="#777777"'))
    return parts


def _curves(
    loads: Sequence[dict[str, Any]],
    rates: Sequence[float],
    across: Callable[[float], float],
    up: Callable[[float], float],
    wanted: Sequence[Curve],
) -> list[str]:
    """Draw each curve with its points, and its name at its end; names keep clear of each other."""
    parts = []
    ends = []
    for name, key, colour in wanted:
        points = [
            (across(rate), up(load[key])) for load, rate in zip(loads, rates, strict=True) if load[key] is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        ends.append((points[-1][1], name, colour))
    lowest = -math.inf
    for end, name, colour in sorted(ends):
        lowest = max(end, lowest + LABEL_STEP_PX)
        parts.append(_text(WIDTH_PX - RIGHT_PX + 10, lowest + 4, name, extra=f'fill="{colour}"'))
    return parts


def _bend(
    loads: Sequence[dict[str, Any]], rates: Sequence[float], across: Callable[[float], float], bottom: float
) -> list[str]:
    """Mark the highest load up to which every load was kept up with."""
    held = 0
    while held < len(loads) and is_held(loads[held]):
        held += 1
    if held == 0:
        return []
    at_px = across(rates[held - 1])
    label = f"kept up to {loads[held - 1]['cameras']} cameras, {rates[held - 1]:.0f} reads/s"
    lines = [
        f'<line x1="{at_px:.1f}" y1="{end - PANEL_HEIGHT_PX}" x2="{at_px:.1f}" y2="{end}" '
        'stroke="#333333" stroke-dasharray="2 4"/>'
        for end in (TOP_PX + PANEL_HEIGHT_PX, bottom)
    ]
    return [
        *lines,
        _text(at_px - 6, TOP_PX + 14, label, extra='text-anchor="end"'),
    ]


def _grid_line(y_px: float, label: str) -> str:
    return (
        f'<line x1="{LEFT_PX}" y1="{y_px:.1f}" x2="{WIDTH_PX - RIGHT_PX}" y2="{y_px:.1f}" stroke="#e2e2e2"/>'
        + _text(LEFT_PX - 8, y_px + 4, label, extra='text-anchor="end"')
    )


def _limit(y_px: float, label: str) -> str:
    return (
        f'<line x1="{LEFT_PX}" y1="{y_px:.1f}" x2="{WIDTH_PX - RIGHT_PX}" y2="{y_px:.1f}" '
        'stroke="#CC79A7" stroke-dasharray="6 3"/>' + _text(LEFT_PX + 6, y_px - 5, label, extra='fill="#CC79A7"')
    )


def _text(x_px: float, y_px: float, words: str, *, extra: str = "") -> str:
    return f'<text x="{x_px:.1f}" y="{y_px:.1f}" {extra}>{words}</text>'

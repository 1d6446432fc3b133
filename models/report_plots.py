"""The drawings of a report as inline SVG: what scores are worth, what a threshold costs, which characters are confused.

Colours and fonts are those of report.css, which the page carries. Pure: figures in, markup out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from firmware.ocr import ALPHABET
from models.figures import BINS, REPORTING_SCORE_RATIO, Answer, calibration_bins

PLOT_PX = 300  # side of the square that a diagram is drawn in
LEFT_PX, TOP_PX = 58, 14
HISTOGRAM_PX = 56
CELL_PX = 17
NOTHING = "\N{EMPTY SET}"


def _svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">\n{body}\n</svg>'
    )


def _text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _bar(x: float, y: float, w: float, h: float, *, kind: str = "bar", said: str = "") -> str:
    title = f"<title>{escape(said)}</title>" if said else ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{max(0.0, h):.1f}">{title}</rect>'


def _frame(x_label: str, y_label: str, y_ticks: Sequence[tuple[float, str]]) -> list[str]:
    """Return axes with ticks; x runs from 0 to 1, y ticks are (share of the height, words)."""
    right, bottom = LEFT_PX + PLOT_PX, TOP_PX + PLOT_PX
    parts = []
    for tick in range(6):
        x = LEFT_PX + PLOT_PX * tick / 5
        parts += [_line(x, TOP_PX, x, bottom, "grid"), _text(x, bottom + 16, f"{tick / 5:.1f}")]
    for ratio, words in y_ticks:
        y = bottom - PLOT_PX * ratio
        parts += [_line(LEFT_PX, y, right, y, "grid"), _text(LEFT_PX - 7, y + 4, words, "end")]
    middle = TOP_PX + PLOT_PX / 2
    parts += [
        _line(LEFT_PX, bottom, right, bottom, "axis"),
        _line(LEFT_PX, TOP_PX, LEFT_PX, bottom, "axis"),
        _text(LEFT_PX + PLOT_PX / 2, bottom + 33, x_label),
        _text(11, middle, y_label, more=f'transform="rotate(-90 11 {middle:.1f})"'),
    ]
    return parts


def reliability(answers: Sequence[Answer]) -> str:
    """Return the reliability diagram: how often reads of a score are exact, and below it how many have that score."""
    bins = calibration_bins(answers)
    parts = _frame("score", "share of reads that are exact", [(tick / 5, f"{tick / 5:.1f}") for tick in range(6)])
    bottom, step = TOP_PX + PLOT_PX, PLOT_PX / BINS
    most = max((one.count for one in bins if one), default=1)
    floor = bottom + 52 + HISTOGRAM_PX
    for place, one in enumerate(bins):
        if one is None:
            continue
        x = LEFT_PX + place * step
        exact, score = bottom - PLOT_PX * one.exact_ratio, bottom - PLOT_PX * one.mean_score_ratio
        said = f"{one.count} reads of mean score {one.mean_score_ratio:.3f}: {one.exact_ratio:.1%} exact"
        kind = "over" if score < exact else "under"  # y runs downwards: surer than right, or righter than sure
        parts.append(_bar(x + 1, max(exact, score), step - 2, bottom - max(exact, score), said=said))
        parts.append(_bar(x + 1, min(exact, score), step - 2, abs(exact - score), kind=kind, said=said))
        high = max(1.0, HISTOGRAM_PX * one.count / most)
        parts.append(_bar(x + 1, floor - high, step - 2, high, said=said))
        parts.append(_text(x + step / 2, floor - high - 3, str(one.count), more='style="font-size:9px"'))
    parts.append(_line(LEFT_PX, bottom, LEFT_PX + PLOT_PX, TOP_PX, "ideal"))
    parts.append(_line(LEFT_PX, floor, LEFT_PX + PLOT_PX, floor, "axis"))
    parts.append(_text(LEFT_PX - 7, floor - 4, "reads", "end"))
    return _svg(LEFT_PX + PLOT_PX + 14, floor + 8, "Reliability diagram", parts)


def threshold_curve(answers: Sequence[Answer]) -> list[tuple[float, float]]:
    """Return (share of the plates reported, share of those wrong) as the threshold falls, one point for each score."""
    ranked = sorted((answer for answer in answers if answer.is_reportable), key=lambda a: -(a.score_ratio or 0))
    points, wrong = [], 0
    for place, answer in enumerate(ranked, 1):
        wrong += not answer.is_exact
        is_last_of_score = place == len(ranked) or ranked[place].score_ratio != answer.score_ratio
        if is_last_of_score:
            points.append((place / len(answers), wrong / place))
    return points


def threshold(answers: Sequence[Answer]) -> str:
    """Return the curve of what is wrong among the reported reads against how many plates are reported."""
    points = threshold_curve(answers)
    highest = max((wrong for _, wrong in points), default=0.0)
    top = next(limit for limit in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if highest <= limit)
    ticks = [(tick / 5, f"{100 * top * tick / 5:g} %") for tick in range(6)]
    parts = _frame("share of plates reported", "share of reported reads that are wrong", ticks)
    bottom = TOP_PX + PLOT_PX

    def placed(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT_PX + PLOT_PX * point[0], bottom - PLOT_PX * point[1] / top

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(placed, points))
    parts.append(f'<polyline class="curve" points="{path}"/>')
    reported = [answer for answer in answers if answer.is_reported]
    if reported:
        wrong = sum(not answer.is_exact for answer in reported) / len(reported)
        x, y = placed((len(reported) / len(answers), wrong))
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
        words = f"threshold {REPORTING_SCORE_RATIO:g}: {100 * wrong:.1f} % wrong"
        parts.append(_text(x - 8, y - 8, words, "end", 'class="strong"'))
    return _svg(LEFT_PX + PLOT_PX + 14, bottom + 42, "Wrong reads against reported plates", parts)


def confusion_matrix(errors: Counter[tuple[str, str]]) -> str:
    """Return the character errors as a matrix: labelled downwards, read across; the last of each is nothing."""
    names = (*ALPHABET, "")
    most = max(errors.values(), default=1)
    left, top = 44, 40
    size = CELL_PX * len(names)
    parts = [
        _text(left + size / 2, 12, "read"),
        _text(11, top + size / 2, "labelled", more=f'transform="rotate(-90 11 {top + size / 2:.1f})"'),
    ]
    for place, name in enumerate(names):
        along = place * CELL_PX + CELL_PX / 2
        shown = name or NOTHING
        parts.append(_text(left + along, top - 7, shown))
        parts.append(_text(left - 9, top + along + 4, shown))
        parts.append(_bar(left + place * CELL_PX, top + place * CELL_PX, CELL_PX, CELL_PX, kind="diagonal"))
    for line in range(len(names) + 1):
        at = line * CELL_PX
        parts.append(_line(left, top + at, left + size, top + at, "grid"))
        parts.append(_line(left + at, top, left + at, top + size, "grid"))
    for (label, read), count in sorted(errors.items()):
        x, y = left + names.index(read) * CELL_PX, top + names.index(label) * CELL_PX
        said = f"{label or 'nothing'} read as {read or 'nothing'}: {count}"
        shade = 0.16 + 0.84 * (count / most)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{CELL_PX}" height="{CELL_PX}" fill="#c2410c" fill-opacity="{shade:.2f}">'
            f"<title>{escape(said)}</title></rect>"
        )
        colour = "#ffffff" if shade > 0.55 else "#1c2430"
        style = f'style="fill:{colour};font-size:10px;pointer-events:none"'
        parts.append(_text(x + CELL_PX / 2, y + CELL_PX / 2 + 3.5, str(count), more=style))
    return _svg(left + size + 8, top + size + 8, "Confusion matrix of characters", parts)

"""The tables of a report: how exact by flag, by width of the plate, by state. Pure: figures in, markup out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from models.figures import (
    CONFUSIONS_SHOWN,
    PLAIN,
    WIDTHS,
    Answer,
    BoxAnswer,
    BoxFate,
    Measurement,
    by_width,
    grouped,
    share,
    width_bucket,
)

NONE = "\N{EN DASH}"


def percent(value: float | None) -> str:
    """Return a share as a percentage."""
    return NONE if value is None else f"{value:.1%}".replace("%", " %")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    top = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(word)}</td>" for word in line) + "</tr>\n" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table>"


def card(title: str, body: str) -> str:
    """Return a framed part of the page."""
    return f'<section class="card"><h3>{escape(title)}</h3>\n{body}</section>'


def group_table(name: str, groups: dict[str, list[Answer]]) -> str:
    """Return how exact each group is, the largest first."""
    lines = []
    for group, answers in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        exact, right = share(answers, lambda one: one.is_exact), share(answers, lambda one: one.is_folded)
        lines.append((group, str(len(answers)), percent(exact), percent(right)))
    return table((name, "plates", "exact", "folded"), lines)


def state_tables(groups: dict[str, list[Answer]]) -> str:
    """Return three tables: by state how exact the text is, how often a state is answered, how often that is right."""
    lines = []
    for state, answers in sorted(groups.items()):
        answered = [answer for answer in answers if answer.region_read]
        right = share(answered, lambda one: one.region == one.region_read)
        counts = (str(len(answers)), percent(share(answers, lambda one: one.is_exact)))
        lines.append((state, *counts, percent(len(answered) / len(answers)), percent(right)))
    head = ("state", "plates", "exact", "answered", "right")
    third = -(-len(lines) // 3)
    return "".join(table(head, lines[place : place + third]) for place in range(0, len(lines), third))


def confusion_table(errors: Counter[tuple[str, str]]) -> str:
    """Return the most frequent errors of one character."""
    ranked = sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS_SHOWN]
    lines = [(label or "nothing", read or "nothing", str(count)) for (label, read), count in ranked]
    return table(("labelled", "read", "times"), lines)


def tables(measurement: Measurement) -> str:
    """Return the tables by flag, width and state, as far as the labels know them."""
    answers = measurement.answers
    cards = []
    flagged = grouped(answers, lambda one: one.groups)
    if set(flagged) - {PLAIN}:
        cards.append(card("By flag", group_table("flag", flagged)))
    widths = by_width(answers) if measurement.kind == "scenes" else {}
    if widths:
        lines = [
            (name, str(row["plates"]), *(percent(row[key]) for key in ("exact", "exact_folded", "found")))
            for name, row in widths.items()
        ]
        cards.append(card("By plate width", table(("width, px", "plates", "exact", "folded", "found"), lines)))
    labels = [box for box in measurement.boxes if box.fate in (BoxFate.FOUND, BoxFate.MISSED)]
    if measurement.kind == "boxes":
        sets = sorted({box.set for box in labels})
        by_set = {name or NONE: [box for box in labels if box.set == name] for name in sets}
        cards.append(card("By plate width", recall_table("width, px", by_bucket(labels))))
        cards.append(card("By set", recall_table("set", by_set)))
    parts = [f'<div class="cards">{"".join(cards)}</div>'] if cards else []
    states = grouped(answers, lambda one: (one.region,) if one.region else ())
    if states:
        parts.append(f'<h2 id="states">By state</h2>\n<div class="card columns">{state_tables(states)}</div>')
    return "\n".join(parts)


def by_bucket(labels: list[BoxAnswer]) -> dict[str, list[BoxAnswer]]:
    """Return the labels by the bucket of their width, the narrowest first."""
    groups: dict[str, list[BoxAnswer]] = {width: [] for width in WIDTHS}
    for box in labels:
        if box.label_px:
            groups[width_bucket(box.label_px)].append(box)
    return {width: some for width, some in groups.items() if some}


def recall_table(name: str, groups: dict[str, list[BoxAnswer]]) -> str:
    """Return how many labels of each group are found."""
    lines = []
    for group, labels in groups.items():
        found = sum(box.fate is BoxFate.FOUND for box in labels)
        lines.append((group, str(len(labels)), str(len(labels) - found), percent(found / len(labels))))
    return table((name, "plates", "missed", "found"), lines)

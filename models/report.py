"""The page of a measurement: `models.evaluate ... --report DIR` writes DIR/index.html and the pictures it shows.

It is there to be looked at: every error with its picture, the surest first, by cause. It shows plates, which are
personal data, and is therefore never written among files that are versioned.
"""

from collections.abc import Sequence
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from firmware.plates import aligned
from models.data import refuse_versioned
from models.figures import Answer, BoxAnswer, BoxFate, Measurement, character_errors
from models.report_pictures import of_answer, of_boxes, save_picture
from models.report_plots import confusion_matrix, reliability, threshold
from models.report_tables import NONE, card, confusion_table, percent, tables

STYLE = Path(__file__).with_name("report.css")
PICTURES = "pictures"

TITLES = {
    "crops": "Plates cut out",
    "passages": "Passages, voted",
    "scenes": "Whole photographs",
    "boxes": "Plate boxes",
}
SHOWN = {
    "images": "pictures",
    "crops": "plates",
    "passages": "passages",
    "pictures": "pictures",
    "plates": "plates",
    "exact": "exact",
    "exact_folded": "with O as 0 and I as 1",
    "cer": "characters wrong",
    "any": "among all answers",
    "region_accuracy": "region right where answered",
    "region_answered": "region answered",
    "detected_50": "found at IoU 0.5",
    "recall_50": "found at IoU 0.5",
    "false_per_image": "false boxes a picture",
    "not_counted": "boxes in doubtful areas",
    "ece": "calibration error",
    "reported": "sure enough to report",
    "reported_wrong": "of those wrong",
    "reported_wrong_folded": "of those wrong, folded",
    "cpu_ms_median": "ms CPU, median",
}
PLAIN_NUMBERS = {"false_per_image": 3, "cpu_ms_median": 1}

CAUSES = (
    "nothing found",
    "found, nothing read",
    "stacked letters",
    "vintage plates",
    "characters lost or made up",
    "characters taken for others",
    "look-alikes only: right with O as 0 and I as 1",
)
BOX_CAUSES = (
    "missed, nothing near",
    "missed, found in the wrong place",
    "false, elsewhere",
    "false, at a plate",
    "not counted: in doubtful areas",
)


def cause(answer: Answer) -> str:
    """Return why a wrong answer is wrong, as far as that can be told."""
    if answer.score_ratio is None:
        return CAUSES[0]
    if not answer.text:
        return CAUSES[1]
    if answer.is_folded:
        return CAUSES[6]
    for flag, name in (("stacked", CAUSES[2]), ("vintage", CAUSES[3])):
        if flag in answer.flags:
            return name
    return CAUSES[4] if len(answer.text) != len(answer.label) else CAUSES[5]


def box_cause(box: BoxAnswer) -> str:
    """Return which error a box is."""
    is_near = box.share_ratio >= 0.1
    if box.fate is BoxFate.NOT_COUNTED:
        return BOX_CAUSES[4]
    if box.fate is BoxFate.MISSED:
        return BOX_CAUSES[1] if is_near else BOX_CAUSES[0]
    return BOX_CAUSES[3] if is_near else BOX_CAUSES[2]


def shown_figure(name: str, value: Any) -> str:
    """Return a figure as it is shown: whole numbers are counts, others shares unless they have a unit."""
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{PLAIN_NUMBERS[name]}f}" if name in PLAIN_NUMBERS else percent(value)


def marked(label: str, text: str) -> str:
    """Return what was read as markup; marked is what the label does not say, and the gap that a lost character left."""
    partners = aligned(label, text)
    right = {partner for place, partner in enumerate(partners) if partner is not None and text[partner] == label[place]}
    lost_after = {
        max((partner for partner in partners[:place] if partner is not None), default=-1)
        for place, partner in enumerate(partners)
        if partner is None
    }
    gap = "<mark>\N{MIDDLE DOT}</mark>"
    parts = [gap if -1 in lost_after else ""]
    for place, char in enumerate(text):
        parts.append(escape(char) if place in right else f"<mark>{escape(char)}</mark>")
        parts.append(gap if place in lost_after else "")
    return "".join(parts)


def figure(picture: str, lines: Sequence[tuple[str, str]], flags: Sequence[str] = ()) -> str:
    """Return one tile: the picture's file, then lines of a word and markup."""
    rows = "".join(f'<div class="row"><span>{escape(word)}</span><span>{markup}</span></div>' for word, markup in lines)
    chips = "".join(f'<span class="chip">{escape(flag)}</span>' for flag in flags)
    image = f'<a href="{picture}"><img src="{picture}" alt="a plate" loading="lazy"></a>'
    return f"<figure>{image}<figcaption>{rows}{chips}</figcaption></figure>"


def answer_figure(answer: Answer, picture: str) -> str:
    """Return the tile of a plate that was read wrong."""
    lines = [
        ("label", f'<span class="text">{escape(answer.label)}</span>'),
        ("read", f'<span class="text">{marked(answer.label, answer.text) or NONE}</span>'),
        ("score", NONE if answer.score_ratio is None else f"{answer.score_ratio:.3f}"),
    ]
    if answer.region:
        wrong = answer.region_read not in ("", answer.region)
        read = escape(answer.region_read or "not answered")
        lines.append((answer.region, f"<mark>{read}</mark>" if wrong else read))
    if answer.box_px:
        lines.append(("width", f"{answer.box_px[2]:.0f} px"))
    return figure(picture, lines, answer.flags)


def box_figure(box: BoxAnswer, picture: str) -> str:
    """Return the tile of a label or of a found box."""
    lines = []
    if box.score_ratio is not None:
        lines.append(("score", f"{box.score_ratio:.3f}"))
    if box.share_ratio > 0:
        lines.append(("IoU with the nearest", f"{box.share_ratio:.2f}"))
    shown = box.label_px if box.fate is BoxFate.MISSED else box.found_px
    if shown:
        lines.append(("width", f"{shown[2]:.0f} px"))
    return figure(picture, lines)


def sheets(measurement: Measurement, folder: Path) -> list[tuple[str, int, str]]:
    """Write the picture of every error; return the sheets as (cause, how many, markup), the surest error first."""
    groups: dict[str, list[str]] = {}
    numbers = count(1)
    wrong = [answer for answer in measurement.answers if not answer.is_exact]
    for answer in sorted(wrong, key=lambda one: -(one.score_ratio or 0)):
        name = f"{PICTURES}/plate-{next(numbers):04}.jpg"
        save_picture(of_answer(answer), folder / name)
        groups.setdefault(cause(answer), []).append(answer_figure(answer, name))
    errors = [box for box in measurement.boxes if box.fate is not BoxFate.FOUND]
    for box in sorted(errors, key=_worst_first):
        name = f"{PICTURES}/plate-{next(numbers):04}.jpg"
        save_picture(of_boxes(box), folder / name)
        groups.setdefault(box_cause(box), []).append(box_figure(box, name))
    order = (*CAUSES, *BOX_CAUSES)
    return [
        (
            name,
            len(groups[name]),
            f'<div class="sheet{" wide" if name in BOX_CAUSES else ""}">{"".join(groups[name])}</div>',
        )
        for name in order
        if name in groups
    ]


def _worst_first(box: BoxAnswer) -> float:
    """Return the order of boxes: what was missed by its size, what was found by its score."""
    if box.fate is BoxFate.MISSED and box.label_px:
        return -box.label_px[2]
    return -(box.score_ratio or 0)


def page(measurement: Measurement, report: str, shown: list[tuple[str, int, str]]) -> str:
    """Return the whole page of the report of this name."""
    title = escape(f"{TITLES[measurement.kind]}: {report}")
    figures = "".join(
        f"<div><b>{shown_figure(name, measurement.figures[name])}</b><span>{escape(words)}</span></div>"
        for name, words in SHOWN.items()
        if name in measurement.figures
    )
    parts = []
    if any(answer.score_ratio is not None for answer in measurement.answers):
        parts.append(
            CALIBRATION.format(reliability=reliability(measurement.answers), threshold=threshold(measurement.answers))
        )
    parts.append(f'<h2 id="tables">Groups</h2>\n{tables(measurement)}')
    errors = character_errors(measurement.answers)
    if errors:
        both = card("Which for which", confusion_matrix(errors)) + card("Most frequent", confusion_table(errors))
        parts.append(f'<h2 id="characters">Characters</h2>\n<div class="cards">{both}</div>')
    links = [("#tables", "tables"), ("#characters", "characters")] if errors else [("#tables", "tables")]
    for place, (name, number, markup) in enumerate(shown):
        links.append((f"#cause-{place}", f"{name} ({number})"))
        parts.append(f'<h2 id="cause-{place}">{escape(name[0].upper() + name[1:])} <small>{number}</small></h2>')
        parts.append(f"{KEY}\n{markup}" if name in BOX_CAUSES else markup)
    navigation = "".join(f'<a href="{target}">{escape(words)}</a>' for target, words in links)
    return PAGE.format(
        title=title,
        style=STYLE.read_text(encoding="utf-8"),
        models=escape(measurement.models),
        figures=figures,
        navigation=navigation,
        body="\n".join(parts),
    )


CALIBRATION = """<h2 id="calibration">Can the score be trusted?</h2>
<div class="cards">
<section class="card"><h3>Reliability <small>on the dashed line a score says what it means;
light blue: righter than sure, light red: surer than right</small></h3>
{reliability}</section>
<section class="card"><h3>What a threshold costs <small>each point of the curve is one reporting threshold</small></h3>
{threshold}</section>
</div>"""

KEY = """<p class="key muted"><i style="border-color:#2f8f4e"></i>labelled
<i style="border-color:#c2410c"></i>found by the detector</p>"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · Kestrel</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="muted">What the models of version {models} read and what they did not.</p>
<p class="notice">This page shows number plates and their text. They are personal data: keep it as you keep the
pictures themselves, pass it on to nobody who may not see them, and delete it when you have looked.</p>
<div class="figures">{figures}</div>
<nav>{navigation}</nav>
</header>
<main>
{body}
</main>
<footer>Made by models.evaluate. The page needs no network and runs no script.</footer>
</body>
</html>
"""


def write_report(measurement: Measurement, folder: Path) -> None:
    """Write DIR/index.html and its pictures, in place of an earlier report's. Raises DataMissing, OSError."""
    refuse_versioned(folder)
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for earlier in pictures.glob("plate-*.jpg"):
        earlier.unlink()
    text = page(measurement, folder.resolve().name, sheets(measurement, folder))
    (folder / "index.html").write_text(text, encoding="utf-8")

"""What `check` says: every finding with its part, its state, what was found, the likely cause and the next step.

`WORDS` is the one table of all findings, made of two files. `found` and the next step are templates; causes and next
steps are whole sentences, as they are read aloud at the roadside at six in the morning. A finding that is fine has
neither cause nor next step.
"""

from typing import Final

from provisioning.check_findings import Finding, Words
from provisioning.check_outside_words import OUTSIDE_WORDS
from provisioning.check_unit_words import UNIT_WORDS
from provisioning.part_reports import Measured, PartName, PartReport

__all__ = ["WORDS", "Finding", "Words", "halves", "line", "said"]

WORDS: Final[dict[Finding, Words]] = {**UNIT_WORDS, **OUTSIDE_WORDS}


STATE_COLUMNS: Final = 8
PART_COLUMNS: Final = 12
"""Two more than the longest word of either language, for a gap of one space is none between columns."""

CHARGING, DISCHARGING, AT_REST = "charging", "discharging", "at rest"
STRONG, USABLE = "good", "usable"
WRITABLE, READ_ONLY, UNKNOWN = "writable", "read-only", "unknown"

_TEXTS_ONLY = {"detail", "hint", "values"}
"""Sentences, which are in what is said and no measured values."""


def said(finding: Finding, part: PartName | None = None, /, **values: Measured) -> PartReport:
    """Return the report of a finding with its values, of `part` if several parts have it in common.

    Raises KeyError for a value that the words need and nobody gave.
    """
    words = WORDS[finding]
    return PartReport(
        part=part or words.part,
        state=words.state,
        found=words.found.format(**values),
        cause=words.cause,
        next_step=_sentence(words.next_step.format(**values) if "{" in words.next_step else words.next_step),
        measured={name: value for name, value in values.items() if name not in _TEXTS_ONLY},
    )


def _sentence(text: str) -> str:
    """Return a hint of the firmware's, which is the end of a sentence there, as a whole one."""
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", ")", "?")) else ".")


def halves(sentence: str) -> dict[str, Measured]:
    """Return what was wrong and what to do of a fault's sentence, whose halves a semicolon parts."""
    detail, _, hint = sentence.partition("; ")
    return {"detail": detail, "hint": hint or "report this sentence to the office"}


def line(one: PartReport) -> str:
    """Return a report for the terminal: a line, and under it cause and next step where there is something to do."""
    lines = [f"{one.state.upper():<{STATE_COLUMNS}}{one.part:<{PART_COLUMNS}}{one.found}"]
    if one.next_step:
        indent = " " * (STATE_COLUMNS + PART_COLUMNS)
        lines += [indent + text for text in (f"Why: {one.cause}", f"Do this: {one.next_step}")]
    return "\n".join(lines) + "\n"

"""SECURITY.md claims nothing that no test shows: each test that its tables name is there, and no row is silent."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPER = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

HOLES, PROVISIONS = 22, 20
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(heading):
    """Return the cells of each row of the table below a heading."""
    section = PAPER.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@functools.cache
def names_in(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def is_there(path, name):
    return (ROOT / path).is_file() and name in names_in(path)


def named():
    return sorted(set(TEST.findall(PAPER)))


def test_every_test_that_is_named_is_there():
    assert len(named()) > 50
    assert [f"{path}::{name}" for path, name in named() if not is_there(path, name)] == []


@pytest.mark.parametrize("heading", ["Published holes of such cameras", "Checklist", "Baselines"])
def test_each_row_names_a_test_or_says_why_not(heading):
    silent = [row for row in rows(heading) if not (TEST.search(row[-1]) or "out of reach" in " ".join(row))]
    assert silent == []
    assert len({len(row) for row in rows(heading)}) == 1


def test_each_out_of_reach_has_its_reason():
    reasons = re.findall(r"out of reach: ([^|;]+)", PAPER)
    assert len(reasons) > 5
    assert all(len(reason.split()) >= 5 for reason in reasons)


def test_all_holes_and_provisions_are_there():
    assert [row[0] for row in rows("Published holes of such cameras")] == [str(n) for n in range(1, HOLES + 1)]
    assert [row[0] for row in rows("Checklist")] == [f"P{n}" for n in range(1, PROVISIONS + 1)]


def test_the_papers_are_there():
    for heading in ("Reporting a hole", "Support period", "Threat model", "What we do not claim"):
        assert f"\n## {heading}\n" in PAPER
    assert re.search(r"answer\s+within \d+ working days", PAPER)
    assert re.search(r"for five years after its release", PAPER)
    assert "not a validated FIPS 140-3 module" in PAPER
    assert "SECURITY.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_nothing_is_claimed_that_only_a_laboratory_can_say():
    claims = re.findall(r"[^.|\n]*\b(?:certified|compliant|complies|conforms)\b[^.|\n]*", PAPER, re.IGNORECASE)
    assert [claim for claim in claims if not re.search(r"\bno(thing|t)?\b", claim, re.IGNORECASE)] == []


def test_a_test_that_is_not_there_would_be_noticed():
    assert is_there("tests/unit/test_security_paper.py", "test_the_papers_are_there")
    assert not is_there("tests/unit/test_security_paper.py", "test_that_nobody_wrote")
    assert not is_there("tests/unit/test_nowhere.py", "test_the_papers_are_there")

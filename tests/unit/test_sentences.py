"""Everything that the technician's tool says has its Spanish, and all Spanish is of something that it says."""

import argparse
import calendar
import errno
import inspect
import os
import re
import textwrap
from importlib import resources

import msgspec
import polib
import pytest

from firmware import strict_json
from provisioning import sentences
from provisioning.aim_terminal import COLUMNS, PICTURE_COLUMNS
from provisioning.large_letters import dots_of
from provisioning.tongue import PLACE, Language, Tongue, catalogue

FILES = sorted(file.name for file in resources.files("provisioning").joinpath("spanish").iterdir())
OUTSIDE = "outside.po"
FORMATS = re.compile(r"%\(\w+\)s")
COMMANDS = re.compile(r"`[^`]*`|(?<!\w)--?[a-z][a-z-]+")


def entries(name):
    text = resources.files("provisioning").joinpath("spanish", name).read_text(encoding="utf-8")
    return [entry for entry in polib.pofile(text) if not entry.obsolete]


ALL = [(name, entry) for name in FILES for entry in entries(name)]
SAID = sentences.in_the_source()


def test_nothing_that_is_said_lacks_its_spanish():
    assert [f"{one.file}:{one.line} {one.template}" for one in sentences.missing(catalogue(), SAID)] == []


def test_files_that_wait_for_their_spanish_are_there_and_lack_some():
    waiting = {one.file for one in sentences.without_spanish(catalogue(), SAID)}
    assert waiting >= sentences.TO_BE_TRANSLATED


def test_no_spanish_is_left_of_what_is_said_no_more():
    said = {one.template for one in SAID}
    assert [entry.msgid for name, entry in ALL if name != OUTSIDE and entry.msgid not in said] == []


def test_what_is_for_programs_is_still_there():
    said = {one.template for one in SAID}
    assert sentences.FOR_PROGRAMS - said == set()


def test_what_others_say_is_what_they_say():
    sources = inspect.getsource(argparse) + inspect.getsource(strict_json) + "".join(map(os.strerror, errno.errorcode))
    sources += " ".join([*calendar.month_name, *calendar.month_abbr])
    compiled = msgspec._core.__file__
    with open(compiled, "rb") as file:  # noqa: PTH123  the messages are in its compiled part
        sources += file.read().decode("latin-1")
    flat = " ".join(sources.split()).lower()
    pieces = {
        piece.strip(" `'")
        for entry in entries(OUTSIDE)
        for part in PLACE.split(entry.msgid)[::2]
        for piece in part.partition(" - at")
        if len(piece) > 4
    }
    assert {piece for piece in pieces if piece.lower() not in flat} == set()


@pytest.mark.parametrize("name", FILES)
def test_both_languages_have_the_same_places_options_and_commands(name):
    for entry in entries(name):
        for pattern in (PLACE, FORMATS, COMMANDS):
            assert set(pattern.findall(entry.msgid)) == set(pattern.findall(entry.msgstr)), entry.msgid


def test_each_sentence_is_translated_once_and_in_one_way():
    ways = {}
    for name, entry in ALL:
        assert entry.msgstr, entry.msgid
        assert ways.setdefault(entry.msgid, name) == name, entry.msgid


def test_a_sentence_ends_as_its_english_does():
    ends = [(entry.msgid[-1], entry.msgstr[-1]) for _, entry in ALL if entry.msgid[-1] in ".:?!"]
    assert len(ends) > 50
    assert {(english, spanish) for english, spanish in ends if english != spanish} == set()


def test_large_letters_and_the_screens_columns_are_wide_enough_for_both():
    tongue = Tongue(Language.SPANISH)
    fills = {"verdict": "LEFT", "amount_deg": "88", "posted_mph": "75", "good_for_mph": "75"}
    verdicts = [one.template for one in SAID if one.file.endswith("aim_words.py") and one.template.isupper()]
    verdicts += [
        "{verdict} {amount_deg} DEG",
        "GOOD FOR {posted_mph} MPH",
        "ONLY {good_for_mph} MPH",
        "SET ANGLE {amount_deg}",
    ]
    assert len(verdicts) > 10
    for template in verdicts:
        english = PLACE.sub(lambda place: fills[place[1]], template)
        for text in (english, tongue.said(english)):
            assert dots_of(text).shape[1] < COLUMNS, text
        assert tongue.said(english) != english
    names = ("seen", "plate near", "plate mid", "plate far", "angle", "tilt down", "turn", "focus", "blur", "shutter",
             "white/black", "glare", "contrast", "shine", "in mask")  # fmt: skip
    assert {name for name in names if len(tongue.said(name)) > 11} == set()
    values = ("12 vehicles, 140 plates", "20 deg (at most 30)", "15.3 deg (plan 15.3)", "12.3 R (plan 12.3 L)",
              "100 (best 100)", "9.9 px at 75 mph", "192 us, gain 15.6, dusk", "110 of 255", "141 px (geometry 136)",
              "yes")  # fmt: skip
    for value in values:
        said = tongue.said(value)
        assert said != value
        assert len(said) <= COLUMNS - PICTURE_COLUMNS - 2 - 12, said


def test_what_to_do_fits_two_lines_of_the_screen_in_both_languages():
    words = [one.template for one in SAID if one.file.endswith("aim_words.py") and one.template.endswith(".")]
    assert len(words) > 12
    spanish = catalogue()
    for template in words:
        for text in (template, spanish[template]):
            filled = PLACE.sub(lambda place: "traffic moves on that side, and no plate is in view yet"
                               if place[1] == "why" else "100", text)  # fmt: skip
            assert len(textwrap.wrap(filled, COLUMNS - 1)) <= 2, filled


def test_a_source_gives_its_texts_and_what_is_filled_in_has_a_name():
    source = '''
__all__ = ["a sentence here"]
"""A docstring is not said."""
def f(options, error, units):
    """Nor this one."""
    if error:
        raise Wrong(f"{options.folder / NAME}: cannot be read ({error.strerror})") from error
    sys.stdout.write(f"{len(units)} {'unit' if len(units) == 1 else 'units'}\\\\nAll is well.\\\\n")
    parser.add_argument("--out", help="folder", metavar="DIR OUT")
    page = f"<p>Hello &amp; {options.name}</p><style>p small {{}}</style>"
    return "{km:,.0f} km too far", "from {:.1f} V to {:.1f} V", re.compile("no words here"), "key", f"{a} {b}"
'''
    found = sentences.sentences(source.replace("\\\\", "\\"), "provisioning/x.py")
    assert [one.template for one in found if one.is_shown] == [
        "{folder}: cannot be read ({strerror})", "All is well.", "unit", "units", "folder", "Hello & {name}",
        "{km} km too far", "from {value} V to {value_2} V",
    ]  # fmt: skip


def test_a_sentence_without_spanish_is_listed_unless_its_file_waits(monkeypatch, capsys):
    said = sentences.sentences("raise Wrong('this was never translated')", "provisioning/x.py")
    assert [one.template for one in sentences.missing(catalogue(), said)] == ["this was never translated"]
    monkeypatch.setattr(sentences, "TO_BE_TRANSLATED", frozenset({"provisioning/x.py"}))
    assert sentences.missing(catalogue(), said) == []
    assert sentences.main(["--missing"]) == 0
    assert capsys.readouterr().out == ""


def test_each_sentence_is_found_whatever_is_filled_in():
    tongue = Tongue(Language.SPANISH)
    astray = []
    for _, entry in ALL:
        names = dict.fromkeys(PLACE.findall(entry.msgid))
        values = {name: f"Q{number}" for number, name in enumerate(names)}
        english, spanish = (PLACE.sub(lambda place: values[place[1]], text) for text in (entry.msgid, entry.msgstr))  # noqa: B023
        if tongue.said(english) != spanish:
            astray.append((english, tongue.said(english), spanish))
    assert astray == []

"""What `check` says: a table in which no finding is without words, and no fault without cause and next step."""

import re
import string

import pytest

from provisioning.check_words import PART_COLUMNS, STATE_COLUMNS, WORDS, Finding, halves, line, said
from provisioning.part_reports import PartName, PartState
from provisioning.tongue import Language, Tongue

SPANISH = Tongue(Language.SPANISH)

TO_BE_DONE = {PartState.WARN, PartState.FAIL}
PLACES = {"detail": "what was found", "hint": "what to do", "values": "12.8 V"}


def places(template):
    return {name: spec for _, name, spec, _ in string.Formatter().parse(template) if name}


def filled(words):
    """Return a value for each place of a finding's templates: a number where the template wants digits."""
    wanted = places(words.found) | places(words.next_step)
    return {name: PLACES.get(name, 7.0 if spec else "seven") for name, spec in wanted.items()}


def test_every_finding_has_words_and_every_part_can_pass_and_fail():
    assert set(WORDS) == set(Finding)
    shared = {PartName.BEAM, PartName.RADAR, PartName.FIREWALL, PartName.SOCKETS, PartName.NETWORKS}
    for part in set(PartName) - shared:  # those have the words of another part, or of all
        states = {words.state for words in WORDS.values() if words.part is part}
        assert {PartState.PASS, PartState.FAIL} <= states, part


def test_no_two_findings_say_the_same():
    texts = [(words.part, words.found, words.cause) for words in WORDS.values()]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("finding", list(Finding))
def test_a_fault_names_cause_and_next_step_and_what_is_fine_names_none(finding):
    words = WORDS[finding]
    report = said(finding, **filled(words))
    assert report.part is words.part
    assert "{" not in report.found + report.cause + report.next_step
    if words.state in TO_BE_DONE:
        assert report.cause.endswith(".")
        assert report.cause[0].isupper()
        assert len(report.cause.split()) >= 5
        assert report.next_step.endswith((".", ")"))
        assert report.next_step[0] in string.ascii_uppercase + "`"
    else:
        assert not report.cause
        assert not report.next_step


def test_measured_values_are_kept_and_sentences_are_not():
    report = said(Finding.CAMERA_LOSES, missed=3, shots=60)
    assert report.measured == {"missed": 3, "shots": 60}
    assert said(Finding.CAMERA_SILENT, detail="a sentence", hint="another").measured == {}


def test_a_value_that_the_words_need_and_nobody_gave_is_a_bug():
    with pytest.raises(KeyError):
        said(Finding.CAMERA_LOSES, missed=3)


def test_a_line_shows_why_and_what_to_do_only_where_there_is_something_to_do():
    assert line(said(Finding.LID_GOOD)) == "PASS    lid         the contact says that the lid is shut\n"
    first, why, do = line(said(Finding.SIM_MISSING)).splitlines()
    assert first == "FAIL    modem       the modem finds no SIM card"
    assert why.strip().startswith("Why: There is none in it")
    assert do.strip().startswith("Do this: Take the supply away")


def test_a_fault_without_a_hint_is_for_the_office():
    assert halves("it is broken; mend it") == {"detail": "it is broken", "hint": "mend it"}
    assert halves("it is broken")["hint"] == "report this sentence to the office"


@pytest.mark.parametrize("finding", list(Finding))
def test_every_finding_is_said_in_spanish_and_its_columns_stay(finding):
    values = filled(WORDS[finding]) | {
        "detail": "the connection was closed",
        "hint": "check its wires: `i2cdetect -y 1`",
    }
    report = said(finding, **{name: "charging" if value == "seven" else value for name, value in values.items()})
    english, spanish = line(report).splitlines(), SPANISH.said(line(report)).splitlines()
    starts = [0, STATE_COLUMNS, STATE_COLUMNS + PART_COLUMNS]
    for text in (english[0], spanish[0]):
        assert all(text[at] != " " and text[at - 2 : at].isspace() for at in starts[1:]), text
        assert not text[:1].isspace()
    assert spanish[0][: starts[1]].rstrip() == SPANISH.said(report.state.upper())
    assert spanish[0][starts[1] : starts[2]].rstrip() == SPANISH.said(report.part)
    assert len(spanish) == len(english)
    for before, after in zip(english, spanish, strict=True):
        assert after[starts[2] :] != before[starts[2] :] or not re.search("[a-z]{3}", before[starts[2] :])
    for label, after in zip(("Causa: ", "Qué hacer: "), spanish[1:], strict=False):
        assert after[starts[2] :].startswith(label)
        assert after[: starts[2]].isspace()


def test_names_of_parts_and_states_are_said_and_fit_their_columns():
    for names, columns in ((PartName, PART_COLUMNS), (PartState, STATE_COLUMNS)):
        words = {SPANISH.said(name) for name in names}
        assert len(words) == len(names)
        assert all(len(word) <= columns - 2 for word in words)
    assert len({SPANISH.said(state.upper()) for state in PartState}) == len(PartState)
    assert SPANISH.said("the parts are `lamp`, `time`") == "las partes son `lamp`, `time`"  # as they are typed in

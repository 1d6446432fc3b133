"""The guided run without a face: what is done is seen on the disk, steps can be done again, wrong input is refused."""

import dataclasses
import json

import pytest
from guided_units import SITE, Listening, assert_made_once, guide_in, job_in, played_step, state_of

from firmware.config import SiteConfig
from firmware.faults import ConfigRejected
from provisioning import clock_sense, guide_place
from provisioning.__main__ import main
from provisioning.guide_state import StateFile
from provisioning.guiding import AnswerRefused, Guide, Mark, StepName

PLACE, FLEET, UNIT, SURVEY = StepName.PLACE, StepName.FLEET, StepName.UNIT, StepName.SURVEY
TYPED = {"name": "North gate", "latitude": "37.77", "longitude": "-122.42", "bearing": "250", "by": "A. Ruiz"}


def step_of(guide, name):
    return next(step for step in guide.steps if step.name is name)


def done(guide, *names):
    """Do these steps; return the last outcome."""
    for name in names:
        outcome = guide.run(step_of(guide, name), Listening())
        assert outcome.is_good, outcome.sentence
    return outcome


@pytest.fixture
def placed(tmp_path):
    """A guide that knows the place."""
    guide = guide_in(tmp_path)
    guide.answer(step_of(guide, PLACE), TYPED)
    return guide


def test_a_unit_is_made_step_by_step_and_a_second_time_nothing_is(placed, tmp_path):
    done(placed, PLACE, FLEET, UNIT, SURVEY)
    assert_made_once(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".html"}
    again = guide_in(tmp_path)
    assert [again.mark_of(step) for step in again.steps[:4]] == [Mark.DONE] * 4
    done(again, PLACE, FLEET, UNIT)
    assert {path: path.read_bytes() for path in before} == before
    assert_made_once(tmp_path)


def test_what_is_done_is_what_the_disk_shows(placed, tmp_path):
    done(placed, FLEET, UNIT, SURVEY)
    survey = step_of(placed, SURVEY)
    path = tmp_path / "unit" / "handover" / "survey.json"
    found = json.loads(path.read_text())
    assert placed.mark_of(survey) is Mark.DONE
    path.write_text(json.dumps(found | {"site": SITE | {"latitude_deg": 38.5}}))  # of another place
    assert placed.mark_of(survey) is Mark.TO_DO
    path.write_text("{")
    assert placed.mark_of(survey) is Mark.TO_DO
    (tmp_path / "unit" / "device.crt").write_text("no certificate")
    assert placed.mark_of(step_of(placed, UNIT)) is Mark.FAILED
    assert "device.crt" in placed.run(step_of(placed, UNIT), Listening()).sentence


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("latitude", "north", "no number"),
        ("latitude", "137.77", "wrong way round"),
        ("longitude", "-1222.42", ">= -180"),
        ("longitude", "200", "<= 180"),
        ("bearing", "360", "< 360"),
        ("bearing", "", "nothing was typed in"),
        ("name", "x" * 81, "<= 80"),
        ("by", "x" * 61, "60 characters"),
    ],
)
def test_wrong_input_is_refused_at_its_field_and_nothing_is_kept(tmp_path, field, typed, says):
    guide = guide_in(tmp_path)
    values = TYPED | {field: typed} | ({"longitude": "37.7"} if typed == "137.77" else {})
    with pytest.raises(AnswerRefused, match=says) as refused:
        guide.answer(step_of(guide, PLACE), values)
    assert refused.value.field == field
    assert "\n" not in str(refused.value)
    assert guide.mark_of(step_of(guide, PLACE)) is Mark.TO_DO
    assert not (tmp_path / "unit" / "handover" / "guide.json").exists()


def test_a_place_in_the_ocean_is_refused(tmp_path):
    guide = guide_in(tmp_path)
    with pytest.raises(AnswerRefused, match="ocean"):
        guide.answer(step_of(guide, PLACE), TYPED | {"latitude": "0", "longitude": "0"})


def test_a_unit_that_hangs_already_is_asked_only_who_works_on_it(placed, tmp_path):
    done(placed, FLEET, UNIT)
    again = guide_in(tmp_path)
    assert [asked.name for asked in again.questions(step_of(again, PLACE))] == ["by"]
    again.answer(step_of(again, PLACE), {"by": "B. Chen"})
    assert state_of(tmp_path)["by"] == "B. Chen"


def test_what_was_typed_in_is_its_owners_alone(placed, tmp_path):
    path = tmp_path / "unit" / "handover" / "guide.json"
    assert path.stat().st_mode & 0o777 == 0o600
    with placed.job.file.held():
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_two_guides_of_one_unit_do_not_work_at_once(tmp_path):
    with (
        StateFile(tmp_path / "unit").held(),
        pytest.raises(ConfigRejected, match="somebody else"),
        StateFile(tmp_path / "unit").held(),
    ):
        pass
    with StateFile(tmp_path / "unit").held():
        pass


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 1, "key": 2}', b'{"by": 3}', b"\xff"])
def test_a_state_that_is_no_state_is_one_sentence(tmp_path, content):
    folder = tmp_path / "unit" / "handover"
    folder.mkdir(parents=True)
    (folder / "guide.json").write_bytes(content)
    with pytest.raises(ConfigRejected, match="remove that file"):
        StateFile(tmp_path / "unit")


def test_a_step_is_left_out_only_with_a_reason_and_comes_back_when_it_is_done_after_all(tmp_path):
    guide_in(tmp_path)
    check, fixed = played_step(), played_step(may_skip=False)
    guide = Guide(job_in(tmp_path), (check,))
    for reason in ("", "  x "):
        with pytest.raises(AnswerRefused, match="reason"):
            guide.skip(check, reason)
    guide.skip(check, "the lamp comes on Monday")
    assert guide.next_step() is None
    assert not guide.is_whole()
    assert state_of(tmp_path)["skipped"] == {"check": "the lamp comes on Monday"}
    assert guide.run(check, Listening()).is_good
    assert guide.is_whole()
    assert state_of(tmp_path)["skipped"] == {}
    with pytest.raises(AnswerRefused, match="cannot be left out"):
        guide.skip(fixed, "no time today")


def test_a_step_that_fails_says_why_and_can_be_tried_again(tmp_path):
    guide_in(tmp_path)
    check = played_step(fails=1)
    guide = Guide(job_in(tmp_path), (check,))
    assert guide.run(check, Listening()).sentence == "the lamp is dark: mend its cable"
    assert guide.mark_of(check) is Mark.FAILED
    assert guide.next_step() is check
    assert guide.run(check, Listening()).is_good
    assert guide.mark_of(check) is Mark.DONE


def test_a_step_that_is_stopped_is_no_success(placed, tmp_path):
    done(placed, FLEET, UNIT)
    report = Listening()
    report.stops = True
    guide = guide_in(tmp_path, signal_minutes=1.0)
    outcome = guide.run(step_of(guide, SURVEY), report)
    assert not outcome.is_good
    assert "stopped" in outcome.sentence
    assert guide_in(tmp_path).interrupted.name is SURVEY


@pytest.mark.parametrize(
    ("command", "name", "has_site"),
    [("bundle", "bundle", True), ("bundle", "bundle", False), ("sign", "answer.json", True)],
)
def test_where_the_office_is_elsewhere_request_and_answer_are_files(placed, tmp_path, command, name, has_site):
    done(placed, FLEET)
    road = tmp_path / "road"
    guide = guide_in(road, fleet=False)
    guide.answer(step_of(guide, PLACE), TYPED)
    waiting = guide.run(step_of(guide, UNIT), Listening())
    assert not waiting.is_good
    assert "unit bundle" in waiting.sentence
    asked = road / "unit" / "request.json"
    first = asked.read_bytes()
    assert b"PRIVATE" not in first
    guide.run(step_of(guide, UNIT), Listening())
    device_id = state_of(road)["device_id"]
    assert json.loads(asked.read_bytes())["device_id"] == json.loads(first)["device_id"] == device_id
    make(command, tmp_path / "fleet", asked, road / "unit" / "handover" / name, has_site=has_site)
    assert guide.run(step_of(guide, UNIT), Listening()).is_good
    assert guide.mark_of(step_of(guide, UNIT)) is Mark.DONE


def make(command, fleet, asked, answer, *, has_site):
    site = ["--name", "North gate", "--latitude", "37.77", "--longitude", "-122.42"] if has_site else []
    assert main(["unit", command, str(fleet), str(asked), "--out", str(answer), *site]) == 0


def test_a_real_fleet_is_not_made_at_the_roadside(tmp_path):
    guide = guide_in(tmp_path, board="pi")
    outcome = guide.run(step_of(guide, FLEET), Listening())
    assert not outcome.is_good
    assert "fleet init" in outcome.sentence
    assert not (tmp_path / "fleet").exists()


def test_a_clock_at_1970_is_named(placed, monkeypatch):
    monkeypatch.setattr(clock_sense, "WRITTEN", clock_sense.WRITTEN.replace(year=9000))
    assert placed.mark_of(step_of(placed, PLACE)) is Mark.TO_DO
    outcome = placed.run(step_of(placed, PLACE), Listening())
    assert not outcome.is_good
    assert "clock says" in outcome.sentence
    assert "timedatectl" in outcome.sentence


def test_a_sites_file_answers_what_would_be_asked(tmp_path):
    path, guide = tmp_path / "site.json", guide_in(tmp_path)
    path.write_text(json.dumps({"site": SITE, "capture": {"speed_mph": 45.0}}))
    guide.job.file.change(by="A. Ruiz")
    guide_place.take_file(guide.job, path)
    done(guide, PLACE, FLEET, UNIT)
    settings = guide_place.settings_of(guide.job)
    assert settings.site == SiteConfig(**SITE)
    assert settings.capture.speed_mph == 45.0
    for content, says in [({"site": SITE | {"bearing_deg": 400}}, "bearing"), ({"place": 1}, "place")]:
        path.write_text(json.dumps(content))
        with pytest.raises(ConfigRejected, match=says):
            guide_place.take_file(guide.job, path)


def test_a_place_far_from_the_fleets_other_units_is_refused(placed, tmp_path):
    done(placed, FLEET, UNIT)
    second = Guide(dataclasses.replace(guide_in(tmp_path / "second").job, fleet=tmp_path / "fleet"), placed.steps)
    with pytest.raises(AnswerRefused, match="km from") as refused:
        second.answer(step_of(second, PLACE), TYPED | {"longitude": "122.42"})
    assert refused.value.field == "latitude"


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"rear": "no", "photos": ""}, "rear", "turn it to the rears"),
        ({"rear": "", "photos": ""}, "rear", "nothing was typed in"),
        ({"rear": "yes", "photos": "nothing.jpg"}, "photos", "no such file"),
        ({"rear": "yes", "photos": "1,2,3,4,5,6,7"}, "photos", "too many"),
    ],
)
def test_no_hand_over_without_the_technicians_own_word(tmp_path, values, field, says):
    guide = guide_in(tmp_path)
    with pytest.raises(AnswerRefused, match=says) as refused:
        guide.answer(step_of(guide, StepName.ACCEPT), values)
    assert refused.value.field == field


def test_a_hand_over_with_nothing_measured_is_refused_with_what_to_do(placed):
    done(placed, FLEET, UNIT)
    placed.answer(step_of(placed, StepName.ACCEPT), {"rear": "yes", "photos": ""})
    outcome = placed.run(step_of(placed, StepName.ACCEPT), Listening())
    assert not outcome.is_good
    assert "survey" in outcome.sentence.lower()
    assert placed.mark_of(step_of(placed, StepName.ACCEPT)) is Mark.FAILED

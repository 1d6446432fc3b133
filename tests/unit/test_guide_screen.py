"""The guided run's screen, driven by keys alone: the real app on a terminal of 80 x 24 without a screen behind it."""

import re
import textwrap

import pytest
from guided_units import ANSWERS, assert_made_once, guide_in, job_in, on_screen, played_step, state_of

from firmware.config import SiteConfig
from provisioning import guide_words as words
from provisioning.aim_terminal import Colours
from provisioning.guide_parts import CHOICE_COLUMNS
from provisioning.guiding import Guide
from provisioning.tongue import Language, Tongue


def guide_of(tmp_path, step):
    guide_in(tmp_path)
    return Guide(job_in(tmp_path), (step,))


def test_from_nothing_to_a_unit_by_keys(tmp_path):
    async def played(screen):
        assert "Step 1 of" in screen.text()
        for text in ANSWERS:
            await screen.type(text)
            await screen.press("enter")
        await screen.done()
        assert "1 [x] Clock and place" in screen.text()
        await screen.press("enter")  # next
        await screen.press("enter")  # start
        await screen.done()
        assert "Practice fleet made" in screen.text()
        await screen.press("1")
        await screen.press("1")
        await screen.done()
        assert "3 [x] Unit" in screen.text()
        await screen.press("2")  # stop here

    assert on_screen(guide_in(tmp_path), played) == 1  # not all is done
    assert_made_once(tmp_path)
    assert state_of(tmp_path)["by"] == "A. Ruiz"


def test_wrong_input_is_one_sentence_and_the_field_stays(tmp_path):
    async def played(screen):
        for text in [*ANSWERS[:3], "400", ANSWERS[4]]:
            await screen.type(text)
            await screen.press("enter")
        await screen.until(lambda: "correct this line" in screen.text())
        assert screen.app.focused.id == "field-bearing"
        assert [line.value for line in screen.app.query("Line")] == [*ANSWERS[:3], "400", ANSWERS[4]]
        assert not (tmp_path / "unit" / "handover" / "guide.json").exists()
        await screen.press("backspace", "backspace", "backspace")
        await screen.type("40")
        await screen.press("enter")
        await screen.done()
        assert "correct this line" not in screen.text()
        assert "[x] Clock and place" in screen.text()

    on_screen(guide_in(tmp_path), played)
    assert state_of(tmp_path)["site"]["bearing_deg"] == 40.0


def test_what_is_typed_ahead_falls_into_its_own_line(tmp_path):
    async def played(screen):
        keys = [key for text in ANSWERS for key in (*text, "enter")]
        await screen.press(*(" " if key == " " else {"-": "minus", ".": "full_stop"}.get(key, key) for key in keys))
        await screen.done()

    on_screen(guide_in(tmp_path), played)
    assert state_of(tmp_path)["site"]["longitude_deg"] == -122.42


def test_arrows_move_between_lines_and_escape_leads_to_what_can_be_chosen(tmp_path):
    async def played(screen):
        await screen.press("down", "down")
        assert screen.app.focused.id == "field-longitude"
        await screen.press("up", "up", "up")
        assert screen.app.focused.id == "field-by"
        await screen.press("escape")
        assert "CHANGE THE ANSWERS" in screen.text()
        await screen.press("1")
        assert screen.app.focused.id == "field-name"
        await screen.press("escape")
        await screen.press("down")
        await screen.press("enter")

    assert on_screen(guide_in(tmp_path), played) == 1


def test_a_step_that_fails_offers_again_leave_out_and_stop(tmp_path):
    async def played(screen):
        await screen.press("1")
        await screen.until(lambda: "mend its cable" in screen.text())
        assert "[!] Check" in screen.text()
        for choice in ("1  TRY AGAIN", "2  LEAVE OUT", "3  STOP HERE"):
            assert choice in screen.text()
        await screen.press("2")
        await screen.press("enter")  # no reason at all
        await screen.until(lambda: "too short" in screen.text())
        await screen.type("Monday")
        await screen.press("enter")
        await screen.until(lambda: "[-] Check" in screen.text())
        assert "left out" in screen.text()
        await screen.press("enter")

    assert on_screen(guide_of(tmp_path, played_step(fails=9)), played) == 0
    assert state_of(tmp_path)["skipped"] == {"check": "Monday"}


def test_a_step_that_fails_can_be_tried_again(tmp_path):
    async def played(screen):
        await screen.press("1")
        await screen.until(lambda: "mend its cable" in screen.text())
        await screen.press("enter")
        await screen.until(lambda: "It is right." in screen.text())
        assert "[x] Check" in screen.text()

    on_screen(guide_of(tmp_path, played_step(fails=1)), played)


def test_something_moves_within_a_second_and_escape_stops_the_step(tmp_path):
    async def played(screen):
        await screen.press("1")
        await screen.until(lambda: "It begins." in screen.text())
        before = screen.text()
        await screen._pilot.pause(0.9)
        assert screen.text() != before
        await screen.press("escape")
        await screen.done()
        assert "it was stopped" in screen.text()
        await screen.press("escape")  # points at stopping
        await screen.press("enter")

    assert on_screen(guide_of(tmp_path, played_step(waits=True)), played) == 1


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+q"])
def test_control_c_ends_the_guide_in_the_middle_of_a_step(tmp_path, key):
    async def played(screen):
        await screen.press("1")
        await screen.until(lambda: "It begins." in screen.text())
        await screen.press(key)

    assert on_screen(guide_of(tmp_path, played_step(waits=True)), played) == 1


@pytest.mark.parametrize("colours", list(Colours))
def test_the_aim_has_the_whole_terminal_and_enter_takes_it(tmp_path, colours):
    async def played(screen):
        await screen.press("1")
        await screen.until(lambda: "take this aim" in screen.text())
        lines = screen.text().splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        marks = {Colours.NONE: "#     ##### #####"}.get(colours, "\u2588     \u2588\u2580\u2580\u2580\u2580")
        assert marks in screen.text()  # LEFT, in large letters
        await screen.press("enter")
        await screen.done()
        assert "It is right." in screen.text()

    on_screen(guide_of(tmp_path, played_step(waits=True, view=True)), played, colours=colours)


@pytest.mark.parametrize(("size", "has_list"), [((80, 24), True), ((100, 30), True), ((44, 20), False)])
def test_a_narrow_terminal_leaves_the_list_of_steps_out(tmp_path, size, has_list):
    async def played(screen):
        assert ("[ ] Fleet" in screen.text()) is has_list
        assert "Step 1 of" in screen.text()
        assert "Your name" in screen.text()
        for text in ANSWERS:
            await screen.type(text)
            await screen.press("enter")
        await screen.done()
        assert "NEXT: Fleet" in screen.text()

    on_screen(guide_in(tmp_path), played, size=size)


def test_all_but_the_picture_is_ascii(tmp_path):
    async def played(screen):
        assert screen.text().isascii()
        await screen.press("escape")
        assert screen.text().isascii()

    on_screen(guide_in(tmp_path), played)


def test_dark_on_light_and_light_on_dark(tmp_path):
    async def played(screen):
        def lightness():
            return screen.app.query_one("#step").background_colors[1].brightness

        assert lightness() == 1.0
        await screen.press("f2")
        assert lightness() == 0.0
        await screen.press("f2")
        assert lightness() == 1.0

    on_screen(guide_in(tmp_path), played)


def test_a_run_that_is_begun_again_says_so(tmp_path):
    async def first(screen):
        for text in ANSWERS:
            await screen.type(text)
            await screen.press("enter")
        await screen.done()

    async def second(screen):
        assert "Carrying on: 1 of" in screen.text()
        assert "Step 2 of" in screen.text()

    on_screen(guide_in(tmp_path), first)
    on_screen(guide_in(tmp_path), second)


def test_both_languages_fit_the_columns_of_80(tmp_path):
    tongue = Tongue(Language.SPANISH)
    guide = guide_in(tmp_path)
    fields = [asked.label for step in guide.steps for asked in guide.questions(step)]
    choices = [words.START, words.AGAIN, words.CHANGE, words.SKIP, words.STOP, words.END]
    choices += [words.next_is(step.title) for step in guide.steps]
    for texts, columns in (
        ([step.title for step in guide.steps], 15),
        ([*fields, words.REASON_LABEL], 14),
        (choices, CHOICE_COLUMNS),
        ([words.FORM_FOOT, words.CHOICE_FOOT, words.WORK_FOOT, words.AIM_FOOT], 77),
    ):
        assert len(texts) > 3
        for text in texts:
            assert len(text) <= columns, text
            assert len(tongue.said(text)) <= columns, tongue.said(text)
            assert tongue.said(text) != text


def test_what_to_do_and_how_it_ended_fit_the_screen_in_spanish(tmp_path):
    tongue = Tongue(Language.SPANISH)
    guide = guide_in(tmp_path)
    for text in [step.to_do for step in guide.steps] + [words.ended(is_whole=False), words.ended(is_whole=True)]:
        assert tongue.said(text) != text
        assert len(textwrap.wrap(tongue.said(text), 54)) <= 2, text


def test_the_whole_screen_is_spanish_and_a_sites_name_stays(tmp_path):
    async def played(screen):
        await screen.type("North gate")
        await screen.press("enter", *"99")
        await screen.press("enter", *"12", "enter", *"8", "enter", *"Ana", "enter")
        text = screen.text()
        assert "Hora y lugar" in text
        assert "Latitud" in text
        assert "cambiadas" in text
        assert not set(re.findall("[a-z]+", text)) & {"the", "is", "wrong", "latitude", "place", "and", "your"}
        await screen.press("escape")
        assert "PARAR AQU" in screen.text()

    guide = guide_in(tmp_path, language=Language.SPANISH)
    guide.job.file.change(site=SiteConfig(name="North gate", latitude_deg=1.0, longitude_deg=2.0))

    async def named(screen):
        assert "North gate" in screen.text().splitlines()[0]
        assert "PR\u00c1CTICA" in screen.text().splitlines()[0]

    on_screen(guide_in(tmp_path / "new", language=Language.SPANISH), played)
    on_screen(guide, named)


def test_the_screen_speaks_spanish_where_the_catalogue_does(tmp_path):
    async def played(screen):
        assert "Paso 1 de 7" in screen.text()
        assert "Hora y lugar" in screen.text()

    on_screen(guide_in(tmp_path, language=Language.SPANISH), played)

"""What a technician sees of the aim: sentences for every advice, the terminal's 80 x 24, the page, covered plates."""

import dataclasses
import json
import re

import numpy as np
import pytest

from firmware.exposure import Phase
from firmware.faults import DeviceFault, FaultCode
from provisioning import aim_terminal, aim_words
from provisioning.aim_advice import Advice, Advised, Basis
from provisioning.aim_page import AimPage
from provisioning.aim_session import rounded
from provisioning.aim_terminal import COLUMNS, ROWS, Colours
from provisioning.aim_watch import Seen, drawn
from provisioning.aiming import Aim, WidthAt
from provisioning.large_letters import dots_of
from provisioning.pinhole import Pose
from provisioning.signal_log import SignalSample
from provisioning.tongue import Language, Tongue

AT = WidthAt(geometry_px=136.2, measured_px=141.0, plates=5)
POSE = Pose(right_deg=-12.3, down_deg=15.3)
AIM = Aim(
    advised=Advised(advice=Advice.TURN_RIGHT, basis=Basis.PLATES, amount_deg=11.6), posted_mph=75.0, good_for_mph=92.0,
    near=AT, mid=AT, far=AT, pose=POSE, planned_pose=POSE,
    angle_deg=20.0, focus_px=1.0, best_focus_px=0.9, exposure_blur_px=0.97, exposure_us=192.0, gain=15.6,
    phase=Phase.NIGHT, saturated_ratio=0.123, black_ratio=0.98, glare_ratio=0.123, plate_level=170.0,
    plate_contrast=110.0, retro_reflects=True, in_lane_ratio=1.0,
    lane_found=((0.1, 0.2), (0.9, 0.2), (0.9, 0.8), (0.1, 0.8)), vehicles=12, plates=140,
)  # fmt: skip
CELL = "NB-IOT -117 dBm 1/4 bars"
PICTURE = np.random.default_rng(1).integers(0, 255, (272, 364, 3), dtype=np.uint8)


def aim_of(advice):
    return dataclasses.replace(AIM, advised=Advised(advice=advice, basis=Basis.PLATES, amount_deg=11.6))


@pytest.mark.parametrize("advice", list(Advice))
def test_every_advice_has_a_verdict_that_fits_the_screen_and_a_sentence_that_says_what_to_do(advice):
    words = aim_words.said(aim_of(advice))
    assert dots_of(words.verdict).shape[1] < COLUMNS
    assert words.sentence[0].isupper()
    assert words.sentence.endswith(".")
    assert len(words.sentence) < 2 * COLUMNS


def test_verdicts_differ():
    assert len({aim_words.said(aim_of(advice)).verdict for advice in Advice}) == len(Advice)


@pytest.mark.parametrize("colours", list(Colours))
@pytest.mark.parametrize("advice", [Advice.GOOD, Advice.FARTHER, Advice.TURN_DOWN])
def test_the_screen_is_80_by_24_with_every_number_whole(colours, advice):
    aim = aim_of(advice)
    words, numbers = aim_words.said(aim), aim_words.numbers(aim, CELL)
    text = aim_terminal.screen(words.verdict, words.sentence, PICTURE, numbers, "Ctrl-C ends.", colours)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")
    assert len(lines) <= ROWS
    assert max(map(len, lines)) <= COLUMNS
    if colours is Colours.NONE:
        assert text.isascii()
        assert "\x1b" not in text
    for _, value in numbers[:13]:
        assert any(line.endswith(value) for line in lines)


def test_a_terminal_gets_the_colours_that_it_says_it_has():
    def of(environment, *, is_terminal=True, encoding="utf-8"):
        return aim_terminal.colours_of(environment, is_terminal=is_terminal, encoding=encoding)

    assert of({"COLORTERM": "truecolor"}) is Colours.FULL
    assert of({"TERM": "xterm-256color"}) is Colours.CUBE
    assert of({"TERM": "vt100"}) is Colours.NONE
    assert of({"COLORTERM": "truecolor"}, encoding="ascii") is Colours.NONE
    assert of({"COLORTERM": "truecolor"}, is_terminal=False) is Colours.NONE
    assert of({"COLORTERM": "truecolor", "NO_COLOR": "1"}) is Colours.NONE


def test_the_page_and_the_screens_words_are_in_the_language_that_was_asked_for(tmp_path):
    spanish = Tongue(Language.SPANISH)
    page = AimPage(tmp_path / "aim", spanish).page.read_text(encoding="utf-8")
    assert '<html lang="es">' in page
    assert ">ESPERE<" in page
    assert 'alt="Lo que ve la cámara' in page
    assert page.count("getElementById") == AimPage(tmp_path / "en", Tongue(Language.ENGLISH)).page.read_text().count(
        "getElementById"
    )
    words, numbers = aim_words.spoken(AIM, CELL, spanish)
    assert (words.verdict, numbers[0]) == ("DERECHA 12°", ("visto", "12 vehíc., 140 placas"))
    assert dict(numbers)["giro"] == "12.3 I (plan 12.3 I)"
    assert dict(numbers)["obturador"] == "192 us, gan. 15.6, noche"


def test_spanish_capitals_keep_their_accents_in_large_letters():
    for accented, plain in zip("ÁÉÍÑÓÚ", "AEINOU", strict=True):
        assert dots_of(accented).shape[1] == dots_of(plain).shape[1]
        assert dots_of(accented)[0].any()
        assert not np.array_equal(dots_of(accented), dots_of(plain))
    assert np.array_equal(dots_of("Å"), dots_of("A"))
    assert dots_of("9°").shape[1] == 11


def test_every_plate_that_was_found_is_covered_in_what_is_shown():
    quad = np.array([[100, 80], [230, 80], [230, 145], [100, 145]], np.float32)
    shown = drawn(Seen(PICTURE, (quad,)), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), PICTURE.shape[1])
    assert np.ptp(shown[90:135, 110:220].reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(shown[200:260, 110:170]) > 0


def test_the_page_shows_the_newest_aim_and_keeps_no_picture_when_it_ends(tmp_path):
    page = AimPage(tmp_path / "aim", Tongue(Language.ENGLISH))
    page.end()  # before anything was shown there is nothing to take away
    page.show(aim_words.said(AIM), aim_words.numbers(AIM, CELL), "", PICTURE, is_good=False)
    state = state_of(tmp_path)
    assert (state["verdict"], state["good"]) == ("RIGHT 12 DEG", False)
    assert state["picture"].startswith("data:image/jpeg;base64,")
    page.end()
    assert state_of(tmp_path) | {"number": 0} == state | {"number": 0, "picture": ""}
    assert (tmp_path / "aim").stat().st_mode & 0o777 == 0o700
    assert not re.search(r"https?:", page.page.read_text())


def state_of(folder):
    text = (folder / "aim" / "state.js").read_text()
    return json.loads(text.removeprefix("show(").removesuffix(")"))


def test_the_json_has_every_number_of_the_aim():
    answer = json.loads(json.dumps(rounded(AIM)))
    assert set(answer) == {field.name for field in dataclasses.fields(Aim)}
    assert answer["advised"] == {"advice": "turn-right", "basis": "plates", "amount_deg": 11.6}
    assert answer["near"]["measured_px"] == 141.0


def test_no_number_is_longer_than_its_column():
    for name, value in aim_words.numbers(AIM, CELL):
        assert len(f"{name:<11} {value}") <= COLUMNS - aim_terminal.PICTURE_COLUMNS - 2, name


@pytest.mark.parametrize(
    ("rsrp_dbm", "technology", "is_registered", "shown"),
    [
        (-88.4, "LTE", True, "LTE -88 dBm 4/4 bars"),
        (-99.0, "NR5G", True, "NR5G -99 dBm 3/4 bars"),
        (-111.0, "LTE-M", True, "LTE-M -111 dBm 2/4 bars"),
        (-117.0, "NB-IOT", True, "NB-IOT -117 dBm 1/4 bars"),
        (-121.0, "LTE", True, "LTE -121 dBm 0/4 bars"),
        (None, "GSM", True, "GSM, level not told"),
        (None, "", False, "not registered"),
    ],
)
def test_a_cell_is_shown_in_bars(rsrp_dbm, technology, is_registered, shown):
    sample = SignalSample(at_s=0.0, rsrp_dbm=rsrp_dbm, technology=technology, is_registered=is_registered)
    assert aim_words.signal_value(sample, None) == shown
    assert aim_words.signal_value(sample, DeviceFault(FaultCode.MODEM_ABSENT, "check")) == "no modem"
    assert aim_words.signal_value(None, None) == "-"

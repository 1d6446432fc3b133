"""The drawn plates: each state's issue can be told and read, in visible light and in infrared, and wear stays wear."""

import dataclasses
import re
from collections import Counter

import cv2
import numpy as np
import pytest

from firmware.ocr import STATES
from hw_sim import serials
from hw_sim.plate_drawing import paper_plate, pressed
from hw_sim.plate_faces import (
    LOOKS,
    MISSING_SHARE,
    PAPER_SHARE,
    PERSONAL_SHARE,
    DrawnPlates,
    PlateFace,
    drawn_face,
)
from hw_sim.plate_paint import BLACK, HEIGHT_PX, WHITE, WIDTH_PX, Area, clear_ink, ground, paint, rectangle, serial_ink
from hw_sim.plate_wear import legible, worn

look = pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.region)


def new_plate(look, seed=3):
    generator = np.random.default_rng(seed)
    return pressed(look, serials.serial(look.serials[0], look.letters, generator), generator)


def apart(layer: np.ndarray, ink: np.ndarray) -> float:
    """Return by how many levels the serial stands out from the ground close around it."""
    near = cv2.dilate(ink, np.ones((13, 13), np.uint8)) > 0
    return float(layer[ink > 200].mean()) - float(layer[near & (ink < 20)].mean())


def faces(count, seed=11):
    generator, source = np.random.default_rng(seed), DrawnPlates()
    return [source.face(generator) for _ in range(count)]


def test_every_state_and_the_capital_have_an_issue():
    assert {look.region for look in LOOKS} == {f"US-{state}" for state in [*STATES.split(), "DC"]}


@look
def test_a_serial_stands_out_in_visible_light_in_infrared_and_in_returned_light(look):
    plate = new_plate(look)
    assert plate.sheet.shape == (HEIGHT_PX, WIDTH_PX, 5)
    visible = apart(plate.sheet[:, :, :3].mean(axis=2), plate.ink)
    infrared, retro = (apart(plate.sheet[:, :, layer], plate.ink) for layer in (3, 4))
    assert min(abs(visible), abs(infrared)) > 40  # at least 15 grey levels are wanted; a new plate has far more
    assert abs(retro) > 100
    assert np.sign(visible) == np.sign(infrared) == np.sign(retro)


@look
def test_a_serial_keeps_its_states_pattern_and_stays_on_the_plate(look):
    generator = np.random.default_rng(5)
    for pattern in look.serials:
        marked = serials.serial(pattern, look.letters, generator)
        shape = re.sub(r"[A-Z]", "@", re.sub(r"[0-9]", "#", marked))
        assert shape == pattern
        plate = pressed(look, marked, generator)
        assert len(plate.columns) == len(serials.plain(marked))
        assert plate.columns == tuple(sorted(plate.columns))
        assert not plate.ink[:, :12].any()
        assert not plate.ink[:, -12:].any()


def test_states_use_at_least_five_dies():
    assert len({look.die for look in LOOKS}) >= 5


def test_red_paint_pales_in_infrared_and_black_paint_does_not():
    assert serial_ink(40, 40, 170).infrared > 2 * BLACK.infrared
    assert clear_ink(60, 60, 200).infrared > 150


def test_paper_returns_no_light():
    plate = paper_plate("1234A56", "California", np.random.default_rng(1))
    assert not plate.sheet[:, :, 4].any()
    assert apart(plate.sheet[:, :, 3], plate.ink) < -100


def test_stacked_letters_stand_above_each_other_and_are_read_from_the_top():
    look = LOOKS[0]
    plate = pressed(look, "(AB)1234", np.random.default_rng(1))
    assert serials.plain("(AB)1234") == "AB1234"
    assert plate.columns[0] == plate.columns[1] != plate.columns[2]
    first, last = plate.columns[0]
    rows = plate.ink[:, first:last].max(axis=1) > 100
    assert np.count_nonzero(np.diff(rows.astype(int)) == 1) == 2


def test_faces_have_layers_of_one_size_and_the_size_of_plates():
    for face in filter(None, faces(60)):
        size = face.visible.shape[:2]
        assert face.visible.shape == (*size, 3)
        assert face.infrared.shape == face.retro.shape == face.alpha.shape == size
        assert all(layer.dtype == np.uint8 for layer in (face.visible, face.infrared, face.retro, face.alpha))
        assert 0.300 < face.width_m < 0.325
        assert 0.150 < face.height_m < 0.165
        assert size[1] / face.width_m == pytest.approx(size[0] / face.height_m, rel=0.01)
        assert face.alpha[size[0] // 2, size[1] // 2] == 255


def test_a_face_is_its_seeds_and_does_not_show_its_text():
    for one, again in zip(faces(20), faces(20), strict=True):
        assert (one is None) == (again is None)
        if one and again:
            assert one.text == again.text
            assert np.array_equal(one.visible, again.visible)
            assert np.array_equal(one.infrared, again.infrared)
            assert f"'{one.text}'" not in repr(dataclasses.replace(one, visible=one.retro))


def test_shares_are_those_that_are_written_down():
    drawn = faces(500)
    plates = [face for face in drawn if face]
    assert 0 < len(drawn) - len(plates) < 3 * MISSING_SHARE * len(drawn)
    paper = [face for face in plates if not face.retro.any()]
    assert 0.4 * PAPER_SHARE < len(paper) / len(plates) < 2.4 * PAPER_SHARE  # 12 of 500 are expected, give or take 4
    letters_alone = sum(face.text.isalpha() for face in plates)
    assert 0.4 * PERSONAL_SHARE < letters_alone / len(plates) < 1.2 * PERSONAL_SHARE
    assert len({face.region for face in plates}) > 45
    assert 0 < sum(not face.is_readable for face in plates) < 0.05 * len(plates)
    common = Counter(face.text for face in plates).most_common(1)[0]
    assert common[1] <= 2


def test_what_hides_a_character_makes_a_plate_unreadable_and_a_spot_does_not():
    plate = new_plate(LOOKS[0])
    hidden = np.zeros_like(plate.ink)
    assert legible(plate.sheet, plate.ink, plate.columns, hidden)
    first, last = plate.columns[2]
    hidden[:, first : first + 4] = 255
    assert legible(plate.sheet, plate.ink, plate.columns, hidden)
    hidden[:, first : (first + last) // 2] = 255
    assert not legible(plate.sheet, plate.ink, plate.columns, hidden)


def test_a_faded_plate_without_contrast_is_unreadable():
    plate = new_plate(LOOKS[0])
    paint(plate.sheet, np.full(plate.ink.shape, 240, np.uint8), WHITE)
    assert not legible(plate.sheet, plate.ink, plate.columns, np.zeros_like(plate.ink))


def test_wear_leaves_most_plates_what_they_were():
    changed = []
    for seed in range(30):
        plate = new_plate(LOOKS[4])
        before = plate.sheet.astype(np.int16)
        after = worn(plate, LOOKS[4], np.random.default_rng(seed))
        if after.sheet.shape == before.shape:
            changed.append(float(np.abs(after.sheet - before)[:, :, :3].mean()))
    assert len(changed) > 10
    assert 0.5 < np.median(changed) < 30


def test_wear_never_makes_paint_return_light():
    for seed in range(30):
        plate = new_plate(LOOKS[4])
        painted = plate.ink == 255
        worn(plate, dataclasses.replace(LOOKS[4], stickers=()), np.random.default_rng(seed))
        assert not plate.sheet[:, :, 4][painted].any()


def test_paint_is_cut_off_at_the_edge_of_a_sheet():
    sheet = ground(((0.0, WHITE),))
    ink = np.full((20, 20), 255, np.uint8)
    paint(sheet, ink, BLACK, -10, -10)
    paint(sheet, ink, BLACK, HEIGHT_PX - 10, WIDTH_PX - 10)
    paint(sheet, ink, BLACK, HEIGHT_PX + 5, 0)
    paint(sheet, ink, BLACK, -40, -40)
    painted = sheet[:, :, 3] == BLACK.infrared
    assert np.count_nonzero(painted) == 200
    assert painted[:10, :10].all()
    assert painted[-10:, -10:].all()


def test_an_area_covers_what_its_inches_say():
    mask = Area(points=rectangle(1.0, 1.0, 3.0, 2.0), ink=BLACK).mask()
    assert mask.sum() / 255 / 28**2 == pytest.approx(2.0, rel=0.1)  # its soft edge adds a little


def test_a_personal_choice_is_a_plate_text():
    generator = np.random.default_rng(2)
    texts = [serials.personal_choice(generator) for _ in range(500)]
    assert all(2 <= len(text) <= 7 and text.isalnum() and text == text.upper() for text in texts)
    assert len(set(texts)) > 400
    assert any(char in "IOQ" for text in texts for char in text)


def test_one_issue_can_be_asked_for():
    face = drawn_face(LOOKS[4], np.random.default_rng(1))
    assert isinstance(face, PlateFace)
    assert face.region == "US-CA"

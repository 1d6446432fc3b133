"""Vehicles that carry photographs: every row of the table is used, and a bad row is one clear error."""

import csv

import cv2
import numpy as np
import pytest

from hw_sim.photographed_plates import BadPlateTable, PhotographedPlates, seen_in_infrared
from hw_sim.plate_drawing import pressed
from hw_sim.plate_faces import LOOKS

CALIFORNIA = next(look for look in LOOKS if look.region == "US-CA")
TENNESSEE = next(look for look in LOOKS if look.region == "US-TN")


def drawn(text, look=CALIFORNIA):
    return pressed(look, text, np.random.default_rng(1))


@pytest.fixture
def table(tmp_path):
    """Return a function that writes rows (dicts) with pictures of drawn plates beside them."""

    def write(rows, columns=("image", "text", "region")):
        for row in rows:
            if row.get("image"):
                cv2.imwrite(str(tmp_path / row["image"]), drawn(row.get("text") or "ABC123").sheet[:, :, :3])
        path = tmp_path / "plates.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def rows_of(*texts):
    return [{"image": f"{place}.png", "text": text, "region": "US-CA"} for place, text in enumerate(texts)]


def test_every_row_is_used_once_before_any_is_used_again(table, tmp_path):
    texts = ["1ABC234", "2DEF345", "3GHJ456", "4KLM567"]
    plates = PhotographedPlates(table(rows_of(*texts)), tmp_path)
    assert len(plates) == 4
    generator = np.random.default_rng(1)
    first, second = ([plates.face(generator).text for _ in texts] for _ in range(2))
    assert sorted(first) == sorted(second) == texts


def test_the_order_is_the_seeds(table, tmp_path):
    path = table(rows_of(*(f"{digit}ABC23{digit}" for digit in range(8))))

    def order(seed):
        plates, generator = PhotographedPlates(path, tmp_path), np.random.default_rng(seed)
        return [plates.face(generator).text for _ in range(8)]

    assert order(3) == order(3)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_a_face_is_the_photograph_in_the_shape_of_a_plate(table, tmp_path):
    face = PhotographedPlates(table(rows_of("7 rst-070")), tmp_path).face(np.random.default_rng(1))
    assert (face.text, face.region, face.is_readable) == ("7RST070", "US-CA", True)
    assert face.visible.shape == (*face.infrared.shape, 3)
    assert face.retro.shape == face.alpha.shape == face.infrared.shape
    assert (face.width_m, face.height_m) == pytest.approx((0.305, 0.152), abs=0.001)
    original = cv2.imread(str(tmp_path / "0.png"))
    assert np.abs(face.visible.astype(int) - original).mean() < 5
    assert "7RST070" not in repr(face)


def test_an_overexposed_photograph_is_no_brighter_than_sheeting(tmp_path):
    (tmp_path / "plates.csv").write_text("image,text,region\na.png,ABC123,\n")
    cv2.imwrite(str(tmp_path / "a.png"), np.full((100, 200, 3), 255, np.uint8))
    face = PhotographedPlates(tmp_path / "plates.csv", tmp_path).face(np.random.default_rng(1))
    assert face.visible.max() <= 215
    assert face.region is None


@pytest.mark.parametrize(("look", "is_dark_on_light"), [(CALIFORNIA, True), (TENNESSEE, False)])
def test_infrared_keeps_the_serial_and_retro_the_light_parts(look, is_dark_on_light):
    plate = drawn("7RST070", look)
    image = np.ascontiguousarray(plate.sheet[:, :, :3])
    infrared, retro = seen_in_infrared(image)
    near = cv2.dilate(plate.ink, np.ones((9, 9), np.uint8)) > 0
    inside, outside = plate.ink > 200, near & (plate.ink < 20)
    for layer in (infrared, retro):
        assert layer.dtype == np.uint8
        difference = float(layer[inside].mean()) - float(layer[outside].mean())
        assert (difference < -60) if is_dark_on_light else (difference > 60)


def test_ink_stays_ink_where_strokes_meet_and_a_pale_picture_beside_it_does_not_become_ink():
    image = np.full((150, 300, 3), (200, 205, 210), np.uint8)
    for left in range(30, 270, 40):
        image[45:105, left : left + 10] = (60, 30, 20)  # strokes
    image[45:105, 150:160] = image[45:105, 170:180] = (60, 30, 20)
    image[60:90, 150:180] = (60, 30, 20)  # where a W's strokes run into one, wider than a stroke
    image[45:105, 205:225] = (160, 190, 120)  # a picture between two strokes
    _, retro = seen_in_infrared(image)
    assert retro[62:88, 152:178].max() < 60
    assert retro[48:58, 162:168].min() > 150  # between its strokes is ground
    assert retro[50:100, 208:222].mean() > 100


def test_a_picture_of_nothing_has_no_false_ink():
    infrared, retro = seen_in_infrared(np.full((80, 160, 3), 190, np.uint8))
    assert np.ptp(infrared) == 0
    assert np.ptp(retro) == 0


def test_a_plate_is_cut_out_of_a_larger_picture(table, tmp_path):
    columns = ("image", "text", "region", "x", "y", "w", "h", "flags")
    row = {**rows_of("1ABC234")[0], "x": "100", "y": "50", "w": "336", "h": "168", "flags": "stacked"}
    path = table([row], columns)
    scene = np.zeros((300, 600, 3), np.uint8)
    scene[50:218, 100:436] = drawn("1ABC234").sheet[:, :, :3]
    cv2.imwrite(str(tmp_path / "0.png"), scene)
    face = PhotographedPlates(path, tmp_path).face(np.random.default_rng(1))
    assert np.abs(face.visible.astype(int) - drawn("1ABC234").sheet[:, :, :3]).max() < 8  # and the black around is not


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": ""}, "row 3 has no text"),
        ({"text": "--"}, "row 3 has no text"),
        ({"image": ""}, "row 3 names no image"),
        ({"image": "gone/away.png"}, "row 3: its image does not exist"),
        ({"x": "1", "y": "2", "w": "", "h": "4"}, "row 3: x, y, w and h must be"),
        ({"x": "1", "y": "2", "w": "wide", "h": "4"}, "row 3: x, y, w and h must be"),
        ({"x": "1", "y": "2", "w": "nan", "h": "40"}, "row 3: x, y, w and h must be"),
        ({"x": "0", "y": "0", "w": "9", "h": "9"}, "row 3: the plate is smaller"),
    ],
)
def test_a_bad_row_is_one_error_that_names_it_and_not_the_plate(table, tmp_path, change, says):
    rows = rows_of("1ABC234", "2DEF345")
    path = table(rows, ("image", "text", "region", "x", "y", "w", "h"))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("image", "text", "region", "x", "y", "w", "h"))
        writer.writeheader()
        writer.writerows([rows[0], rows[1] | change])
    with pytest.raises(BadPlateTable, match=says) as refused:
        PhotographedPlates(path, tmp_path)
    assert "2DEF345" not in str(refused.value)


def test_a_short_row_a_wrong_header_and_an_empty_table_are_refused(tmp_path):
    path = tmp_path / "plates.csv"
    for content, says in [
        ("image,text,region\na.png\n", "row 2 has no text"),
        ("image,region\na.png,US-CA\n", "no column 'text'"),
        ("image,text,region\n", "no rows"),
        ("", "no column 'image'"),
    ]:
        path.write_text(content)
        with pytest.raises(BadPlateTable, match=says):
            PhotographedPlates(path, tmp_path)
    path.write_bytes(b"image,text,region\n\xff\xfe,A,B\n")
    with pytest.raises(BadPlateTable, match="cannot be read"):
        PhotographedPlates(path, tmp_path)
    with pytest.raises(BadPlateTable, match="cannot be read"):
        PhotographedPlates(tmp_path / "none.csv", tmp_path)


@pytest.mark.parametrize(
    ("place", "says"),
    [(None, "no picture that can be read"), ((900, 900, 50, 50), "does not lie in the picture")],
)
def test_a_picture_that_cannot_be_used_is_said_when_it_is_its_turn(tmp_path, place, says):
    cells = "" if place is None else ",".join(str(number) for number in place)
    path = tmp_path / "plates.csv"
    path.write_text(f"image,text,region,x,y,w,h\na.png,ABC123,US-CA,{cells or ',,,'}\n")
    if place is None:
        (tmp_path / "a.png").write_bytes(b"no picture")
    else:
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(BadPlateTable, match=says):
        PhotographedPlates(path, tmp_path).face(np.random.default_rng(1))

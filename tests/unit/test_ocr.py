"""Cutting, normalising and decoding plates."""

import dataclasses
import itertools

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import ocr
from firmware.ocr import ALPHABET, BLANK, HEIGHT_PX, WIDTH_PX
from firmware.records import Box


def log_probs_of(columns: list[dict[str, float]]) -> ocr.Float:
    """Return log probabilities (T, 37) in which "_" is the blank and all unnamed classes are next to impossible."""
    table = np.full((len(columns), BLANK + 1), 1e-12)
    for row, column in zip(table, columns, strict=True):
        for char, ratio in column.items():
            row[BLANK if char == "_" else ALPHABET.index(char)] = ratio
    return np.log(table / table.sum(axis=1, keepdims=True)).astype(np.float32)


def by_enumeration(columns: list[dict[str, float]]) -> dict[str, float]:
    """Return the probability of each text by adding up every path: the definition that the beam must agree with."""
    totals: dict[str, float] = {}
    for path in itertools.product(*(column.items() for column in columns)):
        ratio = float(np.prod([share for _, share in path]))
        merged = [char for place, (char, _) in enumerate(path) if place == 0 or path[place - 1][0] != char]
        text = "".join(char for char in merged if char != "_")
        totals[text] = totals.get(text, 0.0) + ratio
    return totals


columns_of_three = st.lists(
    st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.05, 1)).map(
        lambda w: {"_": w[0] / sum(w), "A": w[1] / sum(w), "8": w[2] / sum(w)}
    ),
    min_size=1,
    max_size=5,
)


@given(columns_of_three)
def test_beam_search_agrees_with_adding_up_every_path(columns: list[dict[str, float]]) -> None:
    ranked = ocr.beam_search(log_probs_of(columns), width=500)
    truth = by_enumeration(columns)
    found = {text: float(np.exp(score)) for text, score in ranked}
    assert abs(found[ranked[0][0]] - max(truth.values())) < 1e-3
    for text, ratio in truth.items():
        assert abs(found.get(text, 0.0) - ratio) < 1e-3


def test_a_repeated_character_needs_a_blank_between() -> None:
    sure_a, sure_blank = {"A": 0.999, "_": 0.001}, {"_": 0.999, "A": 0.001}
    assert ocr.beam_search(log_probs_of([sure_a, sure_a]))[0][0] == "A"
    assert ocr.beam_search(log_probs_of([sure_a, sure_blank, sure_a]))[0][0] == "AA"


def test_character_scores_point_at_the_doubtful_character() -> None:
    columns = [{"A": 0.99, "_": 0.01}, {"_": 0.99, "A": 0.01}, {"0": 0.55, "O": 0.44, "_": 0.01}]
    characters = ocr.character_scores(ocr.beam_search(log_probs_of(columns)))
    assert [c.char for c in characters] == ["A", "0"]
    assert characters[0].score_ratio > 0.95
    assert 0.5 < characters[1].score_ratio < 0.6


def test_nothing_but_blanks_reads_as_no_characters() -> None:
    ranked = ocr.beam_search(log_probs_of([{"_": 1.0}] * 80))
    assert ranked[0] == ("", 0.0) or ranked[0][0] == ""
    assert ocr.character_scores(ranked) == ()


def striped(width: int, height: int) -> np.ndarray:
    """Return a picture whose colour says where in it one is: blue grows to the right, green grows downwards."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    return picture


@settings(max_examples=40)
@given(st.floats(60, 400), st.floats(0.2, 0.5), st.floats(-0.15, 0.15), st.integers(0, 100), st.integers(0, 100))
def test_rectify_brings_a_tilted_plate_upright(width: float, aspect: float, tilt: float, left: int, top: int) -> None:
    drop, height = tilt * width, aspect * width
    corners = np.array([[0, 0], [width, drop], [width, drop + height], [0, height]], np.float32)
    corners += (left + 60, top + 90)
    plate = striped(320, 160)
    source = np.array([[0, 0], [320, 0], [320, 160], [0, 160]], np.float32)
    scene = cv2.warpPerspective(plate, cv2.getPerspectiveTransform(source, corners), (640, 480))
    crop = ocr.rectify(scene, corners)
    assert crop.shape == (HEIGHT_PX, WIDTH_PX, 3)
    share = 1 / (1 + 2 * ocr.MARGIN_RATIO)
    for across, down in ((0.25, 0.25), (0.5, 0.5), (0.75, 0.75), (0.25, 0.75)):
        x, y = int(WIDTH_PX * (0.5 + (across - 0.5) * share)), int(HEIGHT_PX * (0.5 + (down - 0.5) * share))
        assert abs(int(crop[y, x, 0]) - 250 * across) < 14
        assert abs(int(crop[y, x, 1]) - 250 * down) < 20


@given(st.floats(-2000, 3000), st.floats(-2000, 3000), st.floats(0, 4000), st.floats(0, 4000))
def test_rectify_takes_any_box_even_one_outside_the_picture(x: float, y: float, w: float, h: float) -> None:
    box = Box(x_px=x, y_px=y, w_px=w, h_px=h, score_ratio=0.5)
    assert ocr.rectify(striped(64, 48), ocr.corners_of(box)).shape == (HEIGHT_PX, WIDTH_PX, 3)


@given(st.floats(0.3, 1.0), st.floats(0, 60))
def test_normalise_sees_through_light(gain: float, offset: float) -> None:
    crop = striped(WIDTH_PX, HEIGHT_PX)
    dimmed = np.clip(crop * gain + offset, 0, 255).astype(np.uint8)
    if crop.max() * gain + offset < 255:
        assert np.abs(ocr.normalise(dimmed) - ocr.normalise(crop)).max() < 0.06


def test_normalise_does_not_blow_up_a_flat_crop() -> None:
    assert np.isfinite(ocr.normalise(np.full((HEIGHT_PX, WIDTH_PX, 3), 200, np.uint8))).all()


class ScriptedModel:
    """Answers one look after another with one character (`_`: none) and the probability given for it."""

    def __init__(self, *looks: tuple[str, float]) -> None:
        self.looks = list(looks)

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the network says of the next look."""
        assert tensor.shape == (1, HEIGHT_PX, WIDTH_PX, 3)
        char, ratio = self.looks.pop(0)
        columns = [{"_": 1 - ratio, char: ratio}, *[{"_": 1.0}] * (ocr.BANDS * ocr.COLUMNS - 1)]
        region = np.zeros((1, len(ocr.REGIONS)), np.float32)
        return {"text": log_probs_of(columns)[None], "region": region}


UPRIGHT = Box(x_px=10, y_px=10, w_px=80, h_px=34, score_ratio=0.9)
TILTED = dataclasses.replace(UPRIGHT, corners_px=((10.0, 10.0), (90.0, 14.0), (90.0, 44.0), (10.0, 40.0)))


def test_a_sure_reading_needs_no_second_look() -> None:
    model = ScriptedModel(("A", ocr.SECOND_LOOK_RATIO + 0.001), ("B", 1.0))
    assert ocr.PlateOcr(model).read(striped(120, 60), TILTED).text == "A"
    assert len(model.looks) == 1


def test_a_doubtful_plate_is_cut_again_and_the_surest_look_answers() -> None:
    looks = [("A", 0.5), ("B", 0.6), ("C", 0.75), *[("D", 0.3)] * (len(ocr.SECOND_LOOKS) - 2), ("E", 0.7)]
    tilted, upright = ScriptedModel(*looks), ScriptedModel(*looks)
    assert ocr.PlateOcr(tilted).read(striped(120, 60), TILTED).text == "C"
    assert tilted.looks == []  # the last look is at the upright box
    assert ocr.PlateOcr(upright).read(striped(120, 60), UPRIGHT).text == "C"
    assert len(upright.looks) == 1  # which was the first look here
    surest_first = ScriptedModel(("A", 0.79), *looks[1:])
    assert ocr.PlateOcr(surest_first).read(striped(120, 60), TILTED).text == "A"


def test_a_look_that_sees_nothing_is_repeated_and_never_wins_over_a_text() -> None:
    nothing = ("_", 1.0)
    rest = [nothing] * len(ocr.SECOND_LOOKS)
    for looks in ([nothing, ("A", 0.6), *rest], [("A", 0.6), nothing, *rest]):
        model = ScriptedModel(*looks)
        assert ocr.PlateOcr(model).read(striped(120, 60), TILTED).text == "A"
        assert model.looks == []
    blind = ScriptedModel(nothing, nothing, *rest)
    assert ocr.PlateOcr(blind).read(striped(120, 60), TILTED).text == ""
    assert blind.looks == []


def test_an_unsure_region_is_not_answered() -> None:
    model = ScriptedModel(("A", 0.9))  # every region as likely as every other
    reading = ocr.PlateOcr(model).read(striped(120, 60), UPRIGHT)
    assert reading.region is not None
    assert reading.sure_region is None
    sure = dataclasses.replace(reading, region_score_ratio=ocr.REGION_SCORE_RATIO)
    assert sure.sure_region == sure.region

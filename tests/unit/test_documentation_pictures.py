"""The pictures that README shows of the technician's tool: there, whole, of a sane size, with no plate's lettering."""

import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from provisioning import aim_terminal, pictures, screen_pictures
from provisioning.aim_terminal import ROWS, Colours
from tests.unit.test_architecture import ROOT

DOCS = ROOT / "docs"
SCREENS = (*pictures.AIMED, *(f"guide-{name}" for name in ("place", "check", "aim", "accepted")))
SVG_BYTES, PNG_BYTES = range(5_000, 150_001), range(10_000, 200_001)
PLATE = re.compile(r"\b(?=[A-Z0-9]*[0-9])(?=[A-Z0-9]*[A-Z])[A-Z0-9]{5,8}\b")
"""Five to eight capitals and digits mixed, as plates have them."""
STAMP = re.compile(r"\b\d{8}T\d{6}Z\b")
SVG = "{http://www.w3.org/2000/svg}"


def words_of(picture):
    texts = ET.fromstring(picture).iter(f"{SVG}text")  # noqa: S314  our own file
    return "\n".join((text.text or "").replace("\u00a0", " ") for text in texts)


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_there_whole_and_shows_no_plate(name):
    picture = (DOCS / f"{name}.svg").read_text(encoding="utf-8")
    assert len(picture.encode()) in SVG_BYTES
    words = words_of(picture)
    assert "kestrel-provision" in words
    assert PLATE.findall(STAMP.sub("", words)) == []
    assert "http" not in picture.replace("http://www.w3.org/", "").replace("https://www.textualize.io", "")
    assert "clip-path" not in picture


def test_the_screens_say_what_they_are_there_for():
    said = {name: words_of((DOCS / f"{name}.svg").read_text(encoding="utf-8")) for name in SCREENS}
    assert "Turn the camera left" in said["aim-amiss"]
    assert "Tighten the bracket" in said["aim-good"]
    assert "Tighten the bracket" in said["guide-aim"]
    assert "Step 5 of 7: Check" in said["guide-check"]
    assert " ".join(said["guide-accepted"].split()).count("the unit is handed over") == 1


def test_the_first_page_of_a_hand_over_is_there_as_a_picture_with_a_palette():
    data = (DOCS / f"{pictures.PAGE}.png").read_bytes()
    assert len(data) in PNG_BYTES
    with Image.open(io.BytesIO(data)) as page:
        assert (page.format, page.mode, page.width) == ("PNG", "P", pictures.PAGE_WIDTH_PX)
        assert 1.2 < page.height / page.width < 1.4  # letter size is 1.29


def test_blocks_become_areas_and_letters_stay_letters():
    picture = np.full((32, 42, 3), (10, 20, 200), np.uint8)
    lines = aim_terminal.screen("LEFT", "Turn it.", picture, [("seen", "2 < 3")], "Ends.", Colours.FULL)
    drawn = screen_pictures.of_lines(lines, "a title")
    words = words_of(drawn)
    assert not set(words) & {"\u2580", "\u2584", "\u2588"}
    assert "seen        2 < 3" in words
    assert words.rstrip().endswith("Ends.")
    areas = re.findall(r'<path fill="(#\w+)"[^>]* d="([^"]*)"', drawn)
    in_picture = [outline for fill, outline in areas if fill == "#c8140a"]
    assert len(in_picture) == aim_terminal.PICTURE_ROWS * aim_terminal.PICTURE_COLUMNS
    assert {re.sub(r"^M[\d. ]+", "", outline) for outline in in_picture} == {"h12.2v12.3h-12.2z"}
    assert float(ET.fromstring(drawn).get("viewBox").split()[3]) > ROWS * 20  # noqa: S314  ours


def test_a_block_fills_its_half_of_its_row():
    drawn = screen_pictures.of_lines("\u2580 \u2584\u2588", "a title")
    (outline,) = re.findall(r'<path [^>]*d="([^"]*)"', drawn)
    assert outline == "M0.0 1.5h12.2v12.3h-12.2zM24.4 13.8h12.2v12.3h-12.2zM36.6 1.5h12.2v24.6h-12.2z"

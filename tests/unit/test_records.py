import dataclasses
import string
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import records
from firmware.records import (
    Box,
    Character,
    Frame,
    Passage,
    Picture,
    PictureCoding,
    PlateText,
    PowerSample,
    Read,
    Reading,
    Site,
)

PLATE = "7ABC123"

plates = st.text(string.ascii_uppercase + string.digits, min_size=2, max_size=10)


@given(plates)
def test_a_plate_never_shows_in_its_repr(text):
    assert repr(PlateText(text)) == f"PlateText({'*' * len(text)})"


@pytest.mark.parametrize("text", ["", "A", "ABCDEFGHIJK", "abc123", "ABC 123", "ABC-123", "ÄBC123", "ABC\u0661\u0662"])
def test_what_is_not_normalised_is_refused_without_being_quoted(text):
    with pytest.raises(ValueError, match=r"^not a normalised plate$"):
        PlateText(text)


def reading():
    return Reading(
        frame_number=1,
        at_s=0.0,
        box=Box(x_px=0, y_px=0, w_px=10, h_px=5, score_ratio=0.9),
        characters=tuple(Character(char, 0.9) for char in PLATE),
        score_ratio=0.9,
        region="US-CA",
        region_score_ratio=0.9,
        alternatives=(PLATE + "0",),
    )


def read():
    passage = Passage(
        first_utc_ms=0,
        last_utc_ms=1,
        last_boot_ms=1,
        clock_trusted=True,
        plate=PlateText(PLATE),
        character_scores=(0.9,) * 7,
        score_ratio=0.9,
        region="US-CA",
        region_score_ratio=0.9,
        frames=3,
        infrared=False,
        picture=Picture(PictureCoding.JPEG, b"\xff\xd8jpeg"),
    )
    return Read(
        read_id=uuid.UUID(int=7 << 76 | 2 << 62),
        device_id="k-test0001",
        sequence=1,
        boot_id=bytes(8),
        site=Site(name="Oak Avenue", latitude_deg=37.381, longitude_deg=-122.138),
        passage=passage,
        model_version="1",
        config_version=1,
    )


def test_no_record_shows_what_must_not_leak():
    shown = repr(reading()) + repr(read()) + repr(read().passage) + repr(read().site)
    for secret in (PLATE, "jpeg", "37.381", "-122.138", "'7'"):
        assert secret not in shown


def test_a_frame_does_not_print_its_picture():
    frame = Frame(
        number=1,
        at_s=0.0,
        taken_utc_ms=0,
        clock_trusted=True,
        image=np.zeros((4, 4, 3), np.uint8),
        exposure_us=200.0,
        gain=1.0,
        infrared=False,
    )
    assert "array" not in repr(frame)


def test_a_reading_says_its_text():
    assert reading().text == PLATE


def test_every_record_is_frozen_and_slotted():
    for name, record in vars(records).items():
        if dataclasses.is_dataclass(record):
            assert record.__dataclass_params__.frozen, name
            assert "__slots__" in vars(record), name


def test_a_power_sample_says_none_for_what_nobody_measures():
    sample = PowerSample(at_s=3.0, battery_v=13.2, battery_a=-0.2, panel_v=None, panel_w=None, board_c=None)
    assert (sample.battery_v, sample.panel_w) == (13.2, None)


@pytest.mark.parametrize("field", ["battery_v", "battery_a", "panel_v", "panel_w", "board_c"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_power_sample_holds_no_number_that_is_none(field, number):
    rest = dict.fromkeys(["battery_v", "battery_a", "panel_v", "panel_w", "board_c"])
    with pytest.raises(ValueError, match="None and never NaN"):
        PowerSample(at_s=3.0, **rest | {field: number})

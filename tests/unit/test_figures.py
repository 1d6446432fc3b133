"""How reads are counted: calibration, what would be reported, groups, confusions, and boxes in doubtful areas."""

from pathlib import Path

import pytest

from firmware.records import Box
from models.figures import (
    REPORTING_SCORE_RATIO,
    Answer,
    BoxFate,
    by_flag,
    by_width,
    calibration_bins,
    confusions,
    expected_calibration_error,
    text_figures,
    trust_figures,
)
from models.measuring import judged


def answer(label="AB12", text="AB12", score=0.9, **more):
    return Answer(
        path=Path("plate.png"), box_px=more.pop("box_px", None), label=label, text=text, score_ratio=score, **more
    )


def test_scores_that_say_what_they_mean_have_no_calibration_error():
    assert expected_calibration_error([answer(score=1.0)] * 4) == 0
    half = [answer(score=0.5), answer(score=0.5, text="XY99")]
    assert expected_calibration_error(half) == 0


def test_the_calibration_error_is_the_mean_distance_weighed_by_count():
    # Three wrong reads of 0.9, one right of 0.1: (3 * |0 - 0.9| + 1 * |1 - 0.1|) / 4.
    reads = [answer(score=0.9, text="XY99")] * 3 + [answer(score=0.1)]
    assert expected_calibration_error(reads) == pytest.approx(0.9)


def test_there_are_fifteen_bins_and_the_last_holds_certainty():
    bins = calibration_bins([answer(score=1.0), answer(score=0.0), answer(score=None, text="")])
    assert len(bins) == 15
    assert (bins[0].count, bins[-1].count) == (1, 1)
    assert bins[1:-1] == [None] * 13


def test_nothing_read_has_no_calibration_error():
    assert expected_calibration_error([answer(score=None, text="")]) is None


def test_reported_is_what_the_configuration_lets_through():
    reads = [
        answer(score=REPORTING_SCORE_RATIO),
        answer(score=0.99, label="AB10", text="AB1O"),
        answer(score=0.99, text="XY99"),
        answer(score=REPORTING_SCORE_RATIO - 0.01),
        answer(score=0.99, text="A"),  # no plate has one character
        answer(score=None, text=""),
    ]
    figures = trust_figures(reads)
    assert figures["reported"] == 3 / 6
    assert figures["reported_wrong"] == pytest.approx(2 / 3)
    assert figures["reported_wrong_folded"] == pytest.approx(1 / 3)
    assert trust_figures([answer(score=0.0)])["reported_wrong"] is None


def test_text_figures_count_characters():
    figures = text_figures([answer(), answer(text="AB1"), answer(label="AB10", text="ABIO")])
    assert figures["exact"] == pytest.approx(1 / 3)
    assert figures["exact_folded"] == pytest.approx(2 / 3)
    assert figures["cer"] == pytest.approx(3 / 12)


def test_a_plate_that_is_neither_stacked_nor_vintage_is_plain():
    groups = by_flag(
        [
            answer(),
            answer(flags=("read-by-eye",), text="XY99"),
            answer(flags=("stacked", "noise")),
        ]
    )
    assert list(groups) == ["plain", "noise", "read-by-eye", "stacked"]
    assert groups["plain"] == {"crops": 2, "exact": 0.5, "exact_folded": 0.5}
    assert groups["stacked"]["crops"] == 1


def test_widths_fall_into_their_buckets():
    widths = [39.9, 40, 119.9, 120, 199, 200, 500]
    table = by_width([answer(box_px=(0, 0, width, 20), share_ratio=width / 1000) for width in widths])
    assert {name: group["plates"] for name, group in table.items()} == {
        "<40": 1,
        "40-80": 1,
        "80-120": 1,
        "120-200": 2,
        ">=200": 2,
    }
    assert table[">=200"]["found"] == 0.5


def test_confusions_are_single_characters_with_the_lost_and_the_made_up():
    table = confusions(
        [
            answer(label="AB10", text="AB1O"),
            answer(label="ZX10", text="ZX1O"),
            answer(label="AB127", text="AB12"),
            answer(label="AB12", text="AB123"),
            answer(label="AB12", text=""),
        ]
    )
    assert table == {"0>O": 2, "7>": 1, ">3": 1}


def box(x, y, w, h, score=0.9):
    return Box(x_px=x, y_px=y, w_px=w, h_px=h, score_ratio=score)


def fates(found, labels, doubtful):
    return [one.fate for one in judged(Path("street.png"), found, labels, doubtful)]


def test_each_label_is_found_once():
    label = (0, 0, 100, 50)
    assert fates([box(*label), box(5, 0, 100, 50)], [label], []) == [BoxFate.FOUND, BoxFate.FALSE]
    assert fates([], [label], []) == [BoxFate.MISSED]
    assert fates([box(80, 0, 100, 50)], [label], []) == [BoxFate.FALSE, BoxFate.MISSED]


def test_two_labels_that_overlap_are_both_found():
    """The better box takes the label that it covers best; the other takes the label that is left."""
    labels = [(0, 0, 100, 50), (10, 0, 100, 50)]
    assert fates([box(4, 0, 100, 50), box(5, 0, 100, 50)], labels, []) == [BoxFate.FOUND, BoxFate.FOUND]


@pytest.mark.parametrize(
    ("found", "fate"),
    [
        ((0, 0, 100, 50), BoxFate.NOT_COUNTED),  # the area itself
        ((0, 0, 50, 25), BoxFate.NOT_COUNTED),  # a quarter of it, all inside
        ((50, 0, 100, 50), BoxFate.NOT_COUNTED),  # half inside
        ((60, 0, 100, 50), BoxFate.FALSE),  # 40 % inside, IoU 0.25
        ((-60, -30, 220, 110), BoxFate.FALSE),  # far larger than the area
        ((-25, -12, 150, 75), BoxFate.NOT_COUNTED),  # larger, IoU 0.44
        ((300, 300, 100, 50), BoxFate.FALSE),
    ],
)
def test_in_a_doubtful_area_nothing_counts_as_false(found, fate):
    assert fates([box(*found)], [], [(0, 0, 100, 50)]) == [fate]


def test_a_label_in_a_doubtful_area_is_still_asked_for():
    label = (0, 0, 100, 50)
    assert fates([box(*label)], [label], [label]) == [BoxFate.FOUND]
    assert fates([], [label], [label]) == [BoxFate.MISSED]

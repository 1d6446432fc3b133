"""The page that shows what was read wrong: what stands on it, that it needs nothing from outside, where it may lie."""

import html.parser
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from models import evaluate
from models.data import DataMissing, refuse_versioned
from models.figures import Answer, BoxAnswer, BoxFate, Measurement
from models.report import box_cause, cause, marked, shown_figure, write_report
from models.report_plots import threshold_curve
from models.report_tables import NONE

VOID = {"meta", "img", "link", "br"}


class Page(html.parser.HTMLParser):
    """Collects what a page points to and says, and checks that its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append(tag)
        self.targets += [known[name] for name in ("src", "href") if name in known]
        self.ids += [known["id"]] if "id" in known else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), np.full((80, 160, 3), 90, np.uint8))
    return path


def answers_of(path):
    def one(label, text, score, **more):
        more = {"region": "US-CA", "region_read": "US-CA"} | more
        return Answer(path=path, box_px=None, label=label, text=text, score_ratio=score, **more)

    return [
        one("AAA111", "AAA111", 0.99),
        one("BBB222", "BBB22", 0.61),
        one("CCC333", "CCC383", 0.97, region_read="US-NV"),
        one("DDD110", "DDDI1O", 0.4, flags=("vintage", "noise")),
        one("EEE555", "", 0.2, region="US-NV", region_read=""),
        one("<B>&1", "<B>&2", 0.55),
        one("FF66", "GF66", 0.3, flags=("stacked",)),
    ]


def written(measurement, folder):
    write_report(measurement, folder)
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_every_error_is_on_the_page_with_its_picture_the_surest_first(picture, tmp_path):
    out = tmp_path / "out"
    figures = {"crops": 7, "exact": 1 / 7, "ece": 0.2, "reported_wrong": None, "cpu_ms_median": 2.25}
    page = written(Measurement(kind="crops", models="1-ab", figures=figures, answers=answers_of(picture)), out)
    pictures = {target for target in page.targets if target.startswith("pictures/")}
    assert len(pictures) == 6
    assert all((out / target).stat().st_size > 300 for target in pictures)
    assert "AAA111" not in page.words  # was read right
    assert page.words.index("CCC333") < page.words.index("<B>&1")  # of one cause, by score
    assert "personal data" in page.words
    assert "Plates cut out: out" in page.words
    assert "version 1-ab" in page.words
    assert "14.3 %" in page.words
    assert page.tags.count("svg") == 3


def test_the_page_needs_no_network_and_no_script(picture, tmp_path):
    page = written(Measurement(kind="crops", models="1", figures={}, answers=answers_of(picture)), tmp_path / "out")
    assert {"script", "link", "iframe"} & set(page.tags) == set()
    style = (tmp_path / "out" / "index.html").read_text().split("<style>")[1].split("</style>")[0]
    assert not {word for word in ("url(", "@import", "http:", "https:") if word in style.lower()}
    for target in page.targets:
        assert target[1:] in page.ids if target.startswith("#") else target.startswith("pictures/plate-")


def test_an_earlier_reports_pictures_do_not_stay(picture, tmp_path):
    out = tmp_path / "out"
    answers = answers_of(picture)
    written(Measurement(kind="crops", models="1", figures={}, answers=answers), out)
    (out / "pictures" / "mine.txt").write_text("kept")
    written(Measurement(kind="crops", models="1", figures={}, answers=answers[:2]), out)
    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["mine.txt", "plate-0001.jpg"]


def test_nothing_wrong_is_a_page_too(picture, tmp_path):
    page = written(Measurement(kind="crops", models="1", figures={}, answers=answers_of(picture)[:1]), tmp_path / "out")
    assert not any(target.startswith("pictures/") for target in page.targets)


def test_missed_and_false_boxes_are_shown(picture, tmp_path):
    near, far = (10.0, 10.0, 60.0, 30.0), (90.0, 40.0, 60.0, 30.0)

    def box(fate, label, found, share, score=None):
        return BoxAnswer(
            path=picture, set="street", fate=fate, label_px=label, found_px=found, score_ratio=score, share_ratio=share
        )

    boxes = [
        box(BoxFate.FOUND, near, near, 1.0, 0.9),
        box(BoxFate.MISSED, near, None, 0.0),
        box(BoxFate.MISSED, near, (30.0, 20.0, 60.0, 30.0), 0.3, 0.8),
        box(BoxFate.FALSE, None, far, 0.0, 0.7),
        box(BoxFate.FALSE, near, (30.0, 20.0, 60.0, 30.0), 0.3, 0.8),
        box(BoxFate.NOT_COUNTED, None, far, 0.0, 0.7),
    ]
    assert len({box_cause(one) for one in boxes[1:]}) == 5
    page = written(Measurement(kind="boxes", models="1", figures={"recall_50": 1 / 3}, boxes=boxes), tmp_path / "out")
    assert len({target for target in page.targets if target.startswith("pictures/")}) == 5
    assert "By set" in page.words
    assert "33.3 %" in page.words


def test_a_wrong_read_has_one_cause(picture):
    assert [cause(answer) for answer in answers_of(picture)[1:]] == [
        "characters lost or made up",
        "characters taken for others",
        "look-alikes only: right with O as 0 and I as 1",
        "found, nothing read",
        "characters taken for others",
        "stacked letters",
    ]


@pytest.mark.parametrize(
    ("label", "text", "markup"),
    [
        ("AB12", "AB12", "AB12"),
        ("AB12", "AX12", "A<mark>X</mark>12"),
        ("AB12", "AB1", "AB1<mark>·</mark>"),
        ("AB12", "B12", "<mark>·</mark>B12"),
        ("AB12", "AB123", "AB12<mark>3</mark>"),
    ],
)
def test_what_differs_is_marked(label, text, markup):
    assert marked(label, text) == markup


def test_the_threshold_curve_runs_from_the_surest_to_all(picture):
    curve = threshold_curve(answers_of(picture)[:3])
    assert curve == [(1 / 3, 0.0), (2 / 3, 1 / 2), (1.0, 2 / 3)]


def test_the_threshold_curve_passes_through_what_is_reported(picture):
    """What no unit reports, however sure, is on no point of the curve: texts that no plate has, and none at all."""
    answers = answers_of(picture)
    more = {"path": picture, "box_px": None, "label": "GG77"}
    answers += [Answer(**more, text=text, score_ratio=score) for text, score in (("G", 0.98), ("", 0.9), ("", None))]
    reported = [answer for answer in answers if answer.is_reported]
    point = (len(reported) / len(answers), sum(not answer.is_exact for answer in reported) / len(reported))
    assert point in threshold_curve(answers)


def test_no_plate_is_written_among_versioned_files(tmp_path):
    (tmp_path / ".git").mkdir()
    for folder in (tmp_path, tmp_path / "report", tmp_path / "models" / "build", tmp_path / "build" / ".." / "x"):
        with pytest.raises(DataMissing, match="personal data"):
            refuse_versioned(folder)
    refuse_versioned(tmp_path / "build" / "report")
    refuse_versioned(tmp_path.parent)


def test_the_command_refuses_before_it_measures(tmp_path, capsys):
    (tmp_path / ".git").mkdir()
    assert evaluate.main(["scenes", str(tmp_path), "--report", str(tmp_path / "report")]) == 2
    assert "personal data" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def models_copy(folder: Path) -> Path:
    for path in [*evaluate.MODELS.glob("*.tflite"), evaluate.MODELS / "manifest.json"]:
        shutil.copy(path, folder / path.name)
    return folder


def test_figures_are_pinned_by_name_without_times(tmp_path, capsys):
    models = models_copy(tmp_path)
    before = json.loads((models / "manifest.json").read_text())
    result = {"crops": 7, "exact": 0.123456789, "ece": None, "cpu_ms_median": 2.5, "peak_rss_mb": 90.5, "by_flag": {}}
    (tmp_path / "us_plates.json").write_text(json.dumps(result | {"models": before["version"]}))
    (tmp_path / "us_plates_float.json").write_text(json.dumps(result | {"models": before["version"] + "-float"}))
    results = [str(tmp_path / "us_plates.json"), str(tmp_path / "us_plates_float.json")]
    assert evaluate.main(["pin", *results, "--models", str(models)]) == 0
    assert "2 measurements pinned" in capsys.readouterr().out
    after = json.loads((models / "manifest.json").read_text())
    assert after["metrics"]["us_plates"] == {"crops": 7, "exact": 0.12346, "ece": None}
    assert list(after["metrics"]) == ["us_plates", "us_plates_float"]
    assert (after["version"], after["files"]) == (before["version"], before["files"])


def test_figures_of_other_models_are_not_pinned(tmp_path, capsys):
    models = models_copy(tmp_path)
    before = (models / "manifest.json").read_bytes()
    for name, content, sentence in (
        ("old", '{"crops": 7, "models": "2020.01.01-00000000"}', "measured with models 2020.01.01-00000000"),
        ("int8_float", json.dumps({"models": json.loads(before)["version"]}), "-float; export and measure again"),
        ("float", json.dumps({"models": json.loads(before)["version"] + "-float"}), "export and measure again"),
        ("none", '{"crops": 7}', "measured with models None"),
        ("list", "[]", "not a result"),
        ("broken", "{", "not a result"),
    ):
        (tmp_path / f"{name}.json").write_text(content)
        assert evaluate.main(["pin", str(tmp_path / f"{name}.json"), "--models", str(models)]) == 2
        assert sentence in capsys.readouterr().err
    assert (models / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("passages", 778, "778"), ("pictures", 3890, "3,890"), ("exact", 1.0, "100.0 %"),
     ("false_per_image", 0.0534, "0.053"), ("region_accuracy", None, NONE)],
)  # fmt: skip
def test_counts_are_shown_as_counts_and_shares_as_per_cent(name, value, shown):
    assert shown_figure(name, value) == shown

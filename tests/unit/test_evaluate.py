"""The measuring command, run as it is run from outside, on pictures of the simulated road."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import pytest

from hw_sim.pictures import fitting_light
from hw_sim.road import Road
from models import evaluate

SCENE_KEYS = {
    "images", "plates", "exact", "exact_folded", "any", "cer", "detected_50", "detected_30",
    "false_per_image", "cpu_ms_median", "wall_ms_median", "peak_rss_mb",
    "ece", "reported", "reported_wrong", "reported_wrong_folded", "by_width", "confusions", "models",
}  # fmt: skip
CROP_KEYS = {
    "crops", "exact", "exact_folded", "cer", "region_accuracy", "region_answered", "cpu_ms_median",
    "ece", "reported", "reported_wrong", "reported_wrong_folded", "by_flag", "confusions", "models",
}  # fmt: skip
PASSAGE_KEYS = (CROP_KEYS - {"crops", "cpu_ms_median"}) | {"passages", "pictures"}
BOX_KEYS = {
    "images", "plates", "recall_50", "false_per_image", "cpu_ms_median", "doubtful_areas", "not_counted", "models",
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of road pictures with labels beside them, and the same as a table."""
    folder = tmp_path_factory.mktemp("pictures")
    road = Road(seed=5, passes=6)
    light = fitting_light(road)
    rows = []
    for vehicle in road.vehicles:
        plates = road.truth(vehicle.passes_s)
        name = f"pass{vehicle.vehicle_id}.jpg"
        cv2.imwrite(str(folder / name), road.expose(vehicle.passes_s, light))
        lines = []
        for plate in plates:
            xs, ys = zip(*plate.corners_px, strict=True)
            box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
            lines.append("\t".join([name, *(f"{number:.1f}" for number in box), plate.text]))
            rows.append({"image": name, **dict(zip("xywh", box, strict=True)), "text": plate.text, "region": "US-CA"})
        (folder / name).with_suffix(".txt").write_text("\n".join(lines) + "\n")
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "x", "y", "w", "h", "text", "region"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_scenes_reads_drawn_plates(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert evaluate.main(["scenes", str(pictures), "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert set(result) == SCENE_KEYS
    assert result["images"] == 6
    assert result["plates"] >= 6
    assert result["detected_30"] >= 0.5
    assert result["exact"] <= result["exact_folded"] <= 1
    assert result["exact"] <= result["any"]
    assert result["cpu_ms_median"] > 0


def test_crops_and_boxes_answer_their_keys(pictures: Path, tmp_path: Path) -> None:
    for command, keys in (("crops", CROP_KEYS), ("boxes", BOX_KEYS)):
        out = tmp_path / f"{command}.json"
        assert evaluate.main([command, str(pictures / "table.csv"), "--root", str(pictures), "--json", str(out)]) == 0
        assert set(json.loads(out.read_text())) == keys


def test_passages_are_voted_and_agreed_on(pictures: Path, tmp_path: Path) -> None:
    """Two vehicles seen three times, and one seen once, of which nobody can be sure."""
    with (pictures / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:3]
    table, out = tmp_path / "tracks.csv", tmp_path / "out.json"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "track"])
        writer.writeheader()
        for number, row in enumerate(rows):
            for view in range(3 if number < 2 else 1):
                writer.writerow({**row, "x": float(row["x"]) + view, "track": number})
    assert evaluate.main(["passages", str(table), "--root", str(pictures), "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert set(result) == PASSAGE_KEYS
    assert (result["passages"], result["pictures"]) == (3, 7)
    assert result["exact_folded"] == 1.0
    assert result["reported"] == pytest.approx(2 / 3)


def test_passages_need_tracks(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["passages", str(pictures / "table.csv"), "--root", str(pictures)]) == 2
    assert "track" in capsys.readouterr().err


def test_what_is_doubtful_is_neither_asked_for_nor_read(pictures: Path, tmp_path: Path) -> None:
    """The same plates, once as plates and once as doubtful areas beside one plate that nobody could find."""
    with (pictures / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = tmp_path / "doubtful.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["kind", *rows[0]])
        writer.writeheader()
        writer.writerows({"kind": "doubtful", **row} for row in rows)
        writer.writerow({"kind": "plate", **rows[0], "x": 2, "y": 2, "w": 3, "h": 2})

    def measured(command: str, name: Path) -> dict[str, float]:
        out = tmp_path / "out.json"
        assert evaluate.main([command, str(name), "--root", str(pictures), "--json", str(out)]) == 0
        return json.loads(out.read_text())

    asked, unasked = measured("boxes", pictures / "table.csv"), measured("boxes", table)
    assert asked["recall_50"] > 0
    assert (unasked["images"], unasked["plates"], unasked["recall_50"]) == (asked["images"], 1, 0)
    assert unasked["doubtful_areas"] == len(rows)
    assert unasked["not_counted"] >= asked["recall_50"] * len(rows)
    assert unasked["false_per_image"] <= asked["false_per_image"]
    assert measured("crops", table)["crops"] == 1


def test_what_is_found_inside_a_label_without_a_text_is_not_false(pictures: Path, tmp_path: Path) -> None:
    """The same pictures, asked for a plate in the corner; the true plates lie in areas nine times as large, unasked."""
    for path in pictures.glob("*.jpg"):
        shutil.copy(path, tmp_path / path.name)
        lines = [f"{path.name}\t1\t1\t8\t4\tAB12"]
        for line in path.with_suffix(".txt").read_text().splitlines():
            name, *edges, _ = line.split("\t")
            x, y, w, h = map(float, edges)
            lines.append("\t".join([name, f"{x - w}", f"{y - h}", f"{3 * w}", f"{3 * h}", ""]))
        (tmp_path / path.name).with_suffix(".txt").write_text("\n".join(lines) + "\n")

    def false_boxes(folder: Path) -> float:
        out = tmp_path / "out.json"
        assert evaluate.main(["scenes", str(folder), "--json", str(out)]) == 0
        return json.loads(out.read_text())["false_per_image"]

    assert false_boxes(tmp_path) <= false_boxes(pictures) < 1


def test_the_folder_of_the_figures_is_made_and_what_cannot_be_written_is_said_before_measuring(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["crops", str(pictures / "table.csv"), "--root", str(pictures), "--json"]
    assert evaluate.main([*arguments, str(tmp_path / "new" / "deep" / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "new" / "deep" / "out.json").read_text() == printed
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "out.json"):
        assert evaluate.main([*arguments, str(out)]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1


def test_the_figures_are_printed_even_where_the_report_cannot_be_written(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report").touch()
    arguments = ["crops", str(pictures / "table.csv"), "--root", str(pictures), "--report", str(tmp_path / "report")]
    assert evaluate.main(arguments) == 1
    said = capsys.readouterr()
    assert set(json.loads(said.out)) == CROP_KEYS
    assert said.err.startswith("evaluate: ")


def test_a_report_is_written_beside_the_figures(pictures: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert evaluate.main(["scenes", str(pictures), "--report", str(report)]) == 0
    assert "personal data" in (report / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scenes", "nowhere"], "no such folder"),
        (["scenes", "empty"], "no labelled picture"),
        (["scenes", "broken"], "not a picture that can be decoded"),
        (["scenes", "misspelt"], "line 1"),
        (["crops", "nowhere.csv", "--root", "."], "not a readable table"),
        (["boxes", "bad.csv", "--root", "."], "no column"),
        (["crops", "good.csv", "--root", ".", "--set", "a", "--split", "val"], "no row of set a, split val"),
        (["boxes", "good.csv", "--root", ".", "--split", "val"], "no row of split val"),
    ],
)
def test_bad_input_is_one_clear_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "broken", "misspelt"):
        Path(name).mkdir()
    Path("broken/a.jpg").write_bytes(b"no jpeg")
    Path("broken/a.txt").write_text("a.jpg\t1\t2\t30\t10\tAB12\n")
    Path("misspelt/a.txt").write_text("a.jpg,1,2,30,10,AB12\n")
    Path("bad.csv").write_text("picture,words\nx,y\n")
    Path("good.csv").write_text("set,split,image,text\na,train,a.jpg,AB12\n")
    assert evaluate.main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_a_corrupt_model_is_one_clear_sentence(pictures: Path, tmp_path: Path, capsys) -> None:
    for name in ("detector.tflite", "ocr.tflite", "manifest.json"):
        shutil.copy(evaluate.MODELS / name, tmp_path / name)
    with (tmp_path / "ocr.tflite").open("r+b") as file:
        file.truncate(1000)
    assert evaluate.main(["scenes", str(pictures), "--models", str(tmp_path)]) == 1
    assert "ocr.tflite is not the file that its manifest pins" in capsys.readouterr().err

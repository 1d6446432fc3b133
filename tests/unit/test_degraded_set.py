"""The frozen degraded set: the same crop suffers the same on any machine, within what a road camera does."""

import csv
import hashlib
from itertools import pairwise

import cv2
import numpy as np
import pytest

from models import degraded_set
from models.data import Row, load_rows
from models.degraded_set import EFFECTS, NOT_TOGETHER, Suffering, degraded, sampling

NAMES = [f"plates/{number:03}.png" for number in range(400)]

FROZEN = "572d2cf9"
"""Of twelve drawn plates; when this changes, the set is no longer the frozen one."""


def drawn_plate():
    """Return a drawn plate (128, 224, 3): dark blue strokes on a pale ground."""
    plate = np.full((128, 224, 3), (205, 225, 230), np.uint8)
    plate[:20] = (60, 60, 190)
    for left in range(20, 200, 26):
        cv2.rectangle(plate, (left, 40), (left + 13, 100), (110, 40, 20), 5)
    return plate


@pytest.fixture
def table(tmp_path):
    rows = [["us_plates", "val", "plate", f"{name}.png", "AB12", "US-CA", flags] for name, flags in
            (("a", ""), ("b", "stacked"), ("c", "vintage"))]  # fmt: skip
    rows += [
        ["us_plates", "train", "plate", "trained.png", "CD34", "", ""],
        ["road", "val", "plate", "r.png", "", "", ""],
    ]
    for row in rows:
        cv2.imwrite(str(tmp_path / row[3]), drawn_plate())
    with (tmp_path / "plates.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "split", "kind", "image", "text", "region", "flags"])
        writer.writerows(rows)
    return tmp_path / "plates.csv"


def run(table, out, *more):
    return degraded_set.main([str(table), "--root", str(table.parent), "--out", str(out), *more])


def test_the_set_is_frozen():
    digest = hashlib.sha256()
    for name in NAMES[:12]:
        digest.update(degraded(drawn_plate(), Suffering.drawn(degraded_set.SEED, name))[0].tobytes())
    assert digest.hexdigest()[:8] == FROZEN


def test_one_or_two_effects_that_go_together():
    drawn = [set(Suffering.drawn(1, name).severity) for name in NAMES]
    assert {len(effects) for effects in drawn} == {1, 2}
    assert set().union(*drawn) == set(EFFECTS)
    assert all(effects not in NOT_TOGETHER for effects in drawn)


def test_plates_are_60_to_90_px_wide_and_twice_as_wide_as_high():
    for name in NAMES[:10]:
        image, (x, y, w, h) = degraded(drawn_plate(), Suffering.drawn(1, name))
        assert 60 <= w <= 90
        assert h == w / 2
        assert 10 < x < x + w < image.shape[1] - 10
        assert 10 < y < y + h < image.shape[0] - 10


def test_a_name_decides_and_not_its_place():
    first = degraded(drawn_plate(), Suffering.drawn(1, "x.png"))[0]
    assert np.array_equal(first, degraded(drawn_plate(), Suffering.drawn(1, "x.png"))[0])
    assert Suffering.drawn(1, "x.png").severity != Suffering.drawn(2, "x.png").severity
    assert Suffering.drawn(1, "x.png").severity != Suffering.drawn(1, "y.png").severity


def test_sampling_keeps_light_where_it_was():
    matrix = sampling(200, 10.25, 50.0, 80, 0.0)
    assert np.allclose(matrix.sum(axis=1), 1)
    ramp = np.arange(200) + 0.5  # each pixel averages what lies under it
    expected = (np.arange(80) + 0.5 - 10.25) * 4
    assert np.allclose((matrix @ ramp)[12:58], expected[12:58])
    assert np.allclose((sampling(200, 10.25, 50.0, 80, 0.7) @ ramp)[15:55], expected[15:55])


def test_the_set_holds_the_val_crops_of_its_set_and_no_others(table, tmp_path, capsys):
    assert run(table, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "3 plates" in said
    assert "not the frozen set" in said
    rows = load_rows(tmp_path / "out" / "plates.csv")
    assert [row.flags.split()[0] for row in rows][1:] == ["stacked", "vintage"]
    assert {(row.set, row.split, row.text, row.region) for row in rows} == {
        ("us_plates_degraded", "val", "AB12", "US-CA")
    }
    for row in rows:
        assert "AB12" not in row.image
        picture = cv2.imread(str(tmp_path / "out" / row.image))
        assert row.box_px
        assert row.box_px[0] + row.box_px[2] < picture.shape[1]


def test_the_digest_is_of_the_pixels(table, tmp_path, capsys):
    digests, pixels = [], []
    for out, more in (("one", ()), ("two", ()), ("three", ("--seed", "7"))):
        run(table, tmp_path / out, *more)
        digests.append(capsys.readouterr().out.split("sha256 ")[1].split(":")[0])
        names = [row.image for row in load_rows(tmp_path / out / "plates.csv")]
        pixels.append([(name, cv2.imread(str(tmp_path / out / name))) for name in names])
    assert digests[0] == digests[1] != digests[2]
    expected = hashlib.sha256()  # of what lies there, read back
    for name, picture in pixels[0]:
        expected.update(f"{name} {picture.shape}\n".encode() + picture.tobytes())
    assert digests[0] == expected.hexdigest()
    assert all(np.array_equal(one, two) for (_, one), (_, two) in zip(*pixels[:2], strict=True))
    assert not any(np.array_equal(one, other) for (_, one), (_, other) in zip(pixels[0], pixels[2], strict=True))


def test_further_views_are_of_the_same_plate_in_the_same_light_and_smaller(table, tmp_path):
    assert run(table, tmp_path / "one") == 0
    assert run(table, tmp_path / "three", "--views", "3") == 0
    single = load_rows(tmp_path / "one" / "plates.csv")
    tracks = grouped(load_rows(tmp_path / "three" / "plates.csv"))
    assert [views[0] for views in tracks.values()] == single  # the first view is that of the set without others
    for views in tracks.values():
        assert len({(row.text, row.flags) for row in views}) == 1
        widths = [row.box_px[2] for row in views if row.box_px]
        assert [round(later / before, 2) for before, later in pairwise(widths)] == [0.94, 0.94]
        shots = [cv2.imread(str(tmp_path / "three" / row.image)).astype(float) for row in views]
        assert abs(shots[1].mean() - shots[0].mean()) < 12
        assert shots[1].shape != shots[2].shape or not np.array_equal(shots[1], shots[2])


def grouped(rows: list[Row]) -> dict[str, list[Row]]:
    tracks: dict[str, list[Row]] = {}
    for row in rows:
        tracks.setdefault(row.track, []).append(row)
    return tracks


def test_the_set_is_not_made_among_versioned_files(table, tmp_path, capsys):
    (tmp_path / ".git").mkdir()
    assert run(table, tmp_path / "models") == 2
    assert "personal data" in capsys.readouterr().err
    assert run(table, tmp_path / "build" / "degraded") == 0


def test_what_is_missing_is_one_clear_sentence(table, tmp_path, capsys):
    assert run(table, tmp_path / "out", "--set", "elsewhere") == 2
    assert "holds no plate of elsewhere" in capsys.readouterr().err
    (table.parent / "a.png").unlink()
    assert run(table, tmp_path / "out") == 2
    assert "a.png: missing" in capsys.readouterr().err

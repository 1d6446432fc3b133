"""The mended copy of a table: each mend does what it says, and none that does not fit is made in silence."""

import csv
import re
from collections import Counter

import pytest

from models.mend import BOX as EDGES
from models.mend import MENDS, MendRefused, main, mended, picture_key, read_table, spelled

COLUMNS = ("set", "split", "kind", "image", "x", "y", "w", "h", "text", "region", "flags")


def row(image, *box, text="", region="", kind="plate", split="val"):
    edges = box or ("",) * 4
    return dict(zip(COLUMNS, ("street", split, kind, image, *edges, text, region, ""), strict=True))


def mend(image, kind, *box, value=""):
    edges = box or ("",) * 4
    return {"picture": picture_key(image), **dict(zip("xywh", edges, strict=True)), "mend": kind, "value": value}


BOX = ("10", "20", "80", "30")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (mend("a.png", "wrong", *BOX), []),
        (mend("a.png", "doubtful", *BOX), [row("a.png", *BOX, text="AB12", region="US-OH", kind="doubtful")]),
        (mend("a.png", "unread", *BOX), [row("a.png", *BOX, region="US-OH")]),
        (mend("a.png", "text", *BOX, value="0:A>O"), [row("a.png", *BOX, text="OB12", region="US-OH")]),
        (mend("a.png", "region", *BOX, value="US-OH>US-IN"), [row("a.png", *BOX, text="AB12", region="US-IN")]),
        (mend("a.png", "box", *BOX, value="1 2 3 4"), [row("a.png", "1", "2", "3", "4", text="AB12", region="US-OH")]),
        (
            mend("a.png", "plate", "1", "1", "9", "5"),
            [row("a.png", *BOX, text="AB12", region="US-OH"), row("a.png", "1", "1", "9", "5")],
        ),
        (
            mend("a.png", "doubtful", "1", "1", "9", "5"),
            [row("a.png", *BOX, text="AB12", region="US-OH"), row("a.png", "1", "1", "9", "5", kind="doubtful")],
        ),
    ],
)
def test_each_mend_changes_its_row_and_the_split_stays(made, expected):
    other = row("b.png", *BOX, text="AB12", split="train")
    records = [row("a.png", *BOX, text="AB12", region="US-OH"), other]
    result = list(mended(records, [made]))
    assert [r for r in result if r != other] == expected
    assert other in result


@pytest.mark.parametrize(
    ("corrections", "expected"),
    [("0:A>8", "8B12"), ("4:>7", "AB127"), ("1:>X", "AXB12"), ("3:2>", "AB1"), ("0:A>B 1:B>A", "BA12"), ("", "AB12")],
)
def test_corrections_count_places_in_the_old_text(corrections, expected):
    assert spelled("AB12", corrections) == expected


@pytest.mark.parametrize(
    "made",
    [
        mend("a.png", "wrong", "11", "20", "80", "30"),
        mend("a.png", "text", *BOX, value="0:X>O"),
        mend("a.png", "text", *BOX, value="0:A>8 1:B>8 2:1>7"),
        mend("a.png", "text", *BOX, value="0:>XY"),
        mend("a.png", "text", *BOX, value="X"),
        mend("a.png", "region", *BOX, value="US-IN>US-OH"),
        mend("a.png", "box", *BOX, value="1 2 3"),
        mend("a.png", "shrug", *BOX),
    ],
)
def test_a_mend_that_does_not_fit_is_refused_with_its_line(made):
    with pytest.raises(MendRefused, match="line 2"):
        list(mended([row("a.png", *BOX, text="AB12", region="US-OH")], [made]))


def test_a_mend_that_fits_no_row_may_have_been_made_already():
    with pytest.raises(MendRefused, match="mended already"):
        list(mended([row("a.png")], [mend("a.png", "wrong", *BOX)]))


def test_the_products_mends_spell_no_plate_and_name_no_picture():
    mends = read_table(MENDS, ("picture", *EDGES, "mend", "value"))
    assert len(mends) > 500
    assert all(re.fullmatch(r"[0-9a-f]{16}", one["picture"]) for one in mends)
    values = {
        "plate": r"",
        "doubtful": r"",
        "wrong": r"",
        "unread": r"",
        "box": r"[\d.]+( [\d.]+){3}",
        "text": r"\d+:[A-Z0-9]?>[A-Z0-9]?( \d+:[A-Z0-9]?>[A-Z0-9]?)?",
        "region": r"[A-Z]{2}(-[A-Z]{2})?>([A-Z]{2}(-[A-Z]{2})?)?",
    }
    assert [one["mend"] for one in mends if not re.fullmatch(values[one["mend"]], one["value"])] == []
    numbers = [one[edge] for one in mends for edge in EDGES]
    assert all(re.fullmatch(r"-?[\d.]*", number) for number in numbers)
    texts = Counter((one["picture"], *(one[edge] for edge in EDGES)) for one in mends if one["mend"] == "text")
    assert set(texts.values()) == {1}  # two mends of two corrections each would spell more


def test_command_writes_a_copy_and_leaves_the_table(tmp_path, monkeypatch, capsys):
    def write(name, rows):
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write("plates.csv", [row("a.png", *BOX, text="AB12")])
    write("mends.csv", [mend("a.png", "text", *BOX, value="3:2>Z"), mend("elsewhere.png", "wrong", *BOX)])
    before = (tmp_path / "plates.csv").read_bytes()
    arguments = [str(tmp_path / "plates.csv"), "--mends", str(tmp_path / "mends.csv"), "--out", str(tmp_path / "o.csv")]
    monkeypatch.setattr("sys.argv", ["mend", *arguments])
    assert main() == 0
    assert "1 of 2 mends made" in capsys.readouterr().out
    with (tmp_path / "o.csv").open() as file:
        assert [r["text"] for r in csv.DictReader(file)] == ["AB1Z"]
    assert (tmp_path / "plates.csv").read_bytes() == before


def test_command_refuses_a_table_that_is_none(tmp_path, monkeypatch, capsys):
    (tmp_path / "plates.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("sys.argv", ["mend", str(tmp_path / "plates.csv"), "--out", str(tmp_path / "o.csv")])
    assert main() == 2
    error = capsys.readouterr().err
    assert error.startswith("mend: ")
    assert "no column" in error
    assert not (tmp_path / "o.csv").exists()


def written_table(path):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(row("a.png", *BOX, text="AB12"))
    return path


def ran(monkeypatch, table, out):
    monkeypatch.setattr("sys.argv", ["mend", str(table), "--out", str(out)])
    return main()


def test_the_table_itself_is_never_written(tmp_path, monkeypatch, capsys):
    table = written_table(tmp_path / "plates.csv")
    before = table.read_bytes()
    assert ran(monkeypatch, table, tmp_path / "elsewhere" / ".." / "plates.csv") == 2
    assert "is the table itself" in capsys.readouterr().err
    assert table.read_bytes() == before


def test_the_copy_is_not_written_among_versioned_files(tmp_path, monkeypatch, capsys):
    (tmp_path / ".git").mkdir()
    table = written_table(tmp_path / "plates.csv")
    assert ran(monkeypatch, table, tmp_path / "models" / "plates.csv") == 2
    assert "personal data" in capsys.readouterr().err
    assert ran(monkeypatch, table, tmp_path / "build" / "plates.csv") == 0


def test_what_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    table = written_table(tmp_path / "plates.csv")
    (tmp_path / "file").touch()
    assert ran(monkeypatch, table, tmp_path / "file" / "out.csv") == 1
    error = capsys.readouterr().err
    assert error.startswith("mend: ")
    assert error.count("\n") == 1

"""Which photographs are laid out for measuring, and that the measuring command takes them as they lie."""

import cv2
import numpy as np

from models.data import load_rows
from models.labelled_scenes import lay_out, main, readable_pictures
from models.measuring import labelled_pictures

TABLE = """set,split,kind,image,x,y,w,h,text,region,flags
street,val,plate,both.png,10,20,80.5,30,AB 12,,
street,val,plate,both.png,100,20,60,30,CD34,,
street,val,plate,untold.png,10,20,80,30,,,
street,val,plate,far.png,10,20,39,15,EF56,,
street,val,plate,far.png,50,20,45,15,,,
street,val,doubtful,both.png,5,5,9,4,,,
street,train,plate,trained.png,10,20,80,30,GH78,,
us_plates,val,plate,crop.png,,,,,IJ90,,
"""


def test_only_pictures_of_the_split_with_a_readable_plate_are_laid_out(tmp_path):
    (tmp_path / "plates.csv").write_text(TABLE)
    cv2.imwrite(str(tmp_path / "both.png"), np.zeros((60, 200, 3), np.uint8))
    pictures = readable_pictures(load_rows(tmp_path / "plates.csv"), "val")
    assert list(pictures) == ["both.png"]
    lay_out(pictures, tmp_path, tmp_path / "out")
    ((path, labels),) = labelled_pictures(tmp_path / "out")
    assert path.read_bytes() == (tmp_path / "both.png").read_bytes()
    assert [(label.box_px, label.text) for label in labels] == [
        ((10, 20, 80.5, 30), "AB12"),
        ((100, 20, 60, 30), "CD34"),
        ((5, 5, 9, 4), ""),
    ]


def laid_out(folder, out, *more):
    cv2.imwrite(str(folder / "both.png"), np.zeros((60, 200, 3), np.uint8))
    cv2.imwrite(str(folder / "trained.png"), np.zeros((60, 200, 3), np.uint8))
    (folder / "plates.csv").write_text(TABLE)
    return main([str(folder / "plates.csv"), "--root", str(folder), "--out", str(out), *more])


def test_what_an_earlier_run_laid_out_is_taken_away_first(tmp_path):
    table = tmp_path / "plates.csv"
    assert laid_out(tmp_path, tmp_path / "out") == 0
    more = TABLE + "street,val,plate,also.png,10,20,80,30,KL12,,\n"
    table.write_text(more)
    cv2.imwrite(str(tmp_path / "also.png"), np.full((60, 200, 3), 9, np.uint8))
    lay_out(readable_pictures(load_rows(table), "val"), tmp_path, tmp_path / "out")
    assert len(list(labelled_pictures(tmp_path / "out"))) == 2
    assert laid_out(tmp_path, tmp_path / "out") == 0
    assert len(list(labelled_pictures(tmp_path / "out"))) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"laid_out", "0000.png", "0000.txt"}


def test_a_folder_with_other_things_is_left_alone(tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "0000.png").write_bytes(b"somebody's own")
    assert laid_out(tmp_path, out) == 2
    assert "choose an empty folder" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["0000.png"]


def test_nothing_to_lay_out_is_said(tmp_path, capsys):
    assert laid_out(tmp_path, tmp_path / "out", "--split", "nowhere") == 2
    assert "no picture of split nowhere" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_photograph_is_laid_out_among_versioned_files(tmp_path, capsys):
    (tmp_path / ".git").mkdir()
    assert laid_out(tmp_path, tmp_path / "models") == 2
    assert "personal data" in capsys.readouterr().err
    assert laid_out(tmp_path, tmp_path / "build" / "scenes") == 0

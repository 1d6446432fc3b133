"""Which photographs are laid out for measuring, and that the measuring command takes them as they lie."""

import cv2
import numpy as np

from models.data import load_rows
from models.labelled_scenes import lay_out, readable_pictures
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

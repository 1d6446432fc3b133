"""Which tables of a data folder are taken."""

from models.data import load_rows, load_rows_to_read, text_rows

HEAD = "set,split,kind,image,x,y,w,h,text,region,flags\n"


def test_plates_read_by_eye_later_are_read_and_leave_the_first_table_alone(tmp_path):
    (tmp_path / "plates.csv").write_text(f"{HEAD}street,train,plate,a.png,1,2,60,20,,,\n")
    assert list(text_rows(load_rows_to_read(tmp_path), "train")) == []
    (tmp_path / "read.csv").write_text(f"{HEAD}street,train,plate,a.png,1,2,60,20,AB123,US-NY,read-by-eye\n")
    (row,) = text_rows(load_rows_to_read(tmp_path), "train")
    assert (row.text, row.box_px) == ("AB123", (1.0, 2.0, 60.0, 20.0))
    assert [row.text for row in load_rows(tmp_path / "plates.csv")] == [""]

"""Tables of photographed plates, as the simulated road reads them."""

import cv2
import numpy as np

from hw_sim.photographed_plates import BadPlateTable, PhotographedPlates
from tests.fuzz.documents import work_folder
from tests.fuzz.judging import Target


def _plates(data: bytes) -> None:
    picture = work_folder() / "plate.png"
    if not picture.exists():
        cv2.imwrite(str(picture), np.full((60, 120, 3), 180, np.uint8))
    path = work_folder() / "plates.csv"
    path.write_bytes(data)
    table = PhotographedPlates(path, work_folder())
    for _ in range(min(3, len(table))):
        table.face(np.random.default_rng(0))


def _plates_seeds() -> list[bytes]:
    return [
        b"image,text,region\nplate.png,ABC123,US-CA\n",
        b'image,text,region,x,y,w,h\nplate.png,ABC123,,1,2,60,30\nplate.png,"A\nB",,,,,\n',
    ]


TABLES = (Target("plates", _plates, (BadPlateTable,), _plates_seeds),)

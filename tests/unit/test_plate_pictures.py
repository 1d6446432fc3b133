"""What a receiver unpacks: pictures of units, and no byte that asks for more than a plate's picture."""

import struct

import cv2
import numpy as np
import pytest

from cloud.plate_pictures import MAX_SIDE_PX, unpacked
from firmware.evidence import FULL_PICTURE, packed
from firmware.faults import DocumentRejected
from firmware.records import Picture, PictureCoding

NOISE = np.random.default_rng(5).integers(0, 255, (300, 500, 3), dtype=np.uint8)
CROP = cv2.GaussianBlur(NOISE, (0, 0), 4)
AVIF = packed(CROP, FULL_PICTURE).data


def avif_of(image):
    return Picture(PictureCoding.AVIF, cv2.imencode(".avif", image, [cv2.IMWRITE_AVIF_SPEED, 9])[1].tobytes())


def jpeg_of(image):
    return Picture(PictureCoding.JPEG, cv2.imencode(".jpg", image)[1].tobytes())


@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (63, 240), (64, 65), (300, 500), (MAX_SIDE_PX, 20)])
@pytest.mark.parametrize("made", [avif_of, jpeg_of])
def test_what_was_packed_is_what_is_seen(made, sides):
    image = cv2.resize(CROP, sides[::-1])
    seen = unpacked(made(image))
    assert seen.shape == image.shape
    assert np.abs(seen.astype(int) - image).mean() < 8


def test_our_own_file_says_the_same_as_the_unit_s():
    """The decoder sees the same pixels in the file that is made here, colours too."""
    theirs = cv2.imdecode(np.frombuffer(AVIF, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(unpacked(Picture(PictureCoding.AVIF, AVIF)), theirs)


@pytest.mark.parametrize("made", [avif_of, jpeg_of])
def test_a_picture_larger_than_a_unit_s_is_not_decoded(made):
    with pytest.raises(DocumentRejected, match="1 to 1024 pixels"):
        unpacked(made(np.zeros((8, MAX_SIDE_PX + 8, 3), np.uint8)))


def test_what_the_file_says_of_its_sides_is_not_believed():
    place = AVIF.index(b"ispe") + 8
    lying = AVIF[:place] + struct.pack(">II", 60_000, 60_000) + AVIF[place + 8 :]
    assert unpacked(Picture(PictureCoding.AVIF, lying)).shape[1] == FULL_PICTURE.width_px


def test_a_sequence_header_that_asks_for_gigabytes_is_refused():
    place = AVIF.index(b"mdat") + 4 + 2 + 2  # temporal delimiter; the header's own type and size
    header = int.from_bytes(AVIF[place : place + 6], "big")
    header |= 0b1111_1111 << (48 - 18)  # sixteen bits for each side
    huge = AVIF[:place] + (header | (1 << 30) - 1).to_bytes(6, "big") + AVIF[place + 6 :]
    with pytest.raises(DocumentRejected, match="1 to 1024 pixels"):
        unpacked(Picture(PictureCoding.AVIF, huge))


def test_a_second_frame_header_in_a_jpeg_is_refused():
    jpeg = jpeg_of(CROP).data
    place = jpeg.index(b"\xff\xc0")
    header = jpeg[place : place + 2 + struct.unpack_from(">H", jpeg, place + 2)[0]]
    huge = header[:5] + struct.pack(">HH", 60_000, 60_000) + header[9:]
    for spoilt in (jpeg[:place] + huge + jpeg[place:], jpeg[:-2] + huge + jpeg[-2:]):
        with pytest.raises(DocumentRejected, match="one frame header"):
            unpacked(Picture(PictureCoding.JPEG, spoilt))


@pytest.mark.parametrize("data", [b"", b"x", b"\xff\xd8", AVIF[:-1], AVIF + b"x", AVIF[32:], AVIF[:100], AVIF * 2])
@pytest.mark.parametrize("coding", PictureCoding)
def test_what_is_no_picture_is_refused(coding, data):
    with pytest.raises(DocumentRejected, match="picture"):
        unpacked(Picture(coding, data))


def test_two_frames_are_one_too_many():
    begin = AVIF.index(b"mdat")
    units = AVIF[begin + 4 :]
    twice = AVIF[: begin - 4] + struct.pack(">I4s", 8 + 2 * len(units), b"mdat") + units + units
    with pytest.raises(DocumentRejected, match="one frame"):
        unpacked(Picture(PictureCoding.AVIF, twice))

"""A plate's picture, unpacked: what a unit packed, and nothing that a stolen unit may have put in its place.

The one idea: no library is given bytes of a size that nobody has looked at. What a header of four bytes asks for may be
gigabytes, so the sides are read here first, and refused above MAX_SIDE_PX. Of an AVIF file nothing is used but its last
box: in it there must be one AV1 sequence header of a still picture and one frame (AV1 Bitstream and Decoding Process
Specification, 5.5 and 5.9), and it is put in a file of our own (AV1 Image File Format 1.2.0) before it is decoded.
"""

import struct
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from firmware.faults import DocumentRejected
from firmware.records import Image, Picture, PictureCoding

MAX_SIDE_PX: Final = 1024
"""Four times what a unit sends."""

_TEMPORAL_DELIMITER, _SEQUENCE_HEADER, _FRAME = 2, 1, 6  # AV1, section 6.2.2: obu_type
_STILL: Final = 0b11  # still_picture and reduced_still_picture_header
_SIZES: Final = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's start-of-frame markers (ITU-T T.81, table B.1)
_BARE: Final = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def unpacked(picture: Picture) -> Image:
    """Return `picture` as uint8 (H, W, 3) BGR, at most MAX_SIDE_PX a side. Raises DocumentRejected."""
    if picture.coding is PictureCoding.AVIF:
        data = _own_avif(_last_box(picture.data))
    else:
        _check_sides(*_jpeg_sides(picture.data))
        data = picture.data
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise DocumentRejected("picture: cannot be decoded")
    return np.asarray(image, np.uint8)


def _check_sides(width_px: int, height_px: int) -> None:
    if not (1 <= width_px <= MAX_SIDE_PX and 1 <= height_px <= MAX_SIDE_PX):
        raise DocumentRejected(f"picture: a side is not 1 to {MAX_SIDE_PX} pixels")


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    """Return width and height by the only frame header (ITU-T T.81, B.2.2). Raises DocumentRejected."""
    place, found = 2, []
    if data[:2] != b"\xff\xd8":
        raise DocumentRejected("picture: not a JPEG")
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:  # up to the scan
        marker = data[place + 1]
        if marker in _SIZES and place + 9 <= len(data):
            height_px, width_px = struct.unpack_from(">HH", data, place + 5)
            found.append((width_px, height_px))
        place += 2 if marker in _BARE else 2 + struct.unpack_from(">H", data, place + 2)[0]
    # a second header behind the first scan would have to begin like this
    further = sum(data.count(bytes([0xFF, marker]), place) for marker in _SIZES)
    if len(found) != 1 or further:
        raise DocumentRejected("picture: not a JPEG with one frame header")
    return found[0]


def _last_box(data: bytes) -> bytes:
    """Return what is in the last box of an ISO media file, which must be `mdat`. Raises DocumentRejected."""
    place, kinds, content = 0, [], b""
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if size < 8 or place + size > len(data):
            break
        kinds.append(kind)
        content = data[place + 8 : place + size]
        place += size
    if place != len(data) or kinds != [b"ftyp", b"meta", b"mdat"]:
        raise DocumentRejected("picture: not an AVIF file of one picture")
    return content


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each OBU (AV1, section 5.3). Raises DocumentRejected."""
    place = 0
    while place < len(data):
        first = data[place]
        if first & 0b1000_0111 != 0b010:  # no forbidden bit, no extension, its own size
            raise DocumentRejected("picture: an AV1 unit is not as a still picture has it")
        size, place, shift = 0, place + 1, 0
        while place < len(data) and shift < 28:  # leb128
            byte = data[place]
            size |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if not byte & 0x80:
                break
        if place + size > len(data):
            raise DocumentRejected("picture: an AV1 unit is cut off")
        yield first >> 3 & 0xF, data[place : place + size]
        place += size


def _own_avif(units: bytes) -> bytes:
    """Return an AVIF file of our own with the one picture in `units`. Raises DocumentRejected."""
    parts = list(_units(units))
    kinds = [kind for kind, _ in parts]
    if kinds[:1] == [_TEMPORAL_DELIMITER]:
        kinds = kinds[1:]
    if kinds != [_SEQUENCE_HEADER, _FRAME]:
        raise DocumentRejected("picture: not one AV1 sequence header and one frame")
    header = next(content for kind, content in parts if kind == _SEQUENCE_HEADER)
    if len(header) < 6:
        raise DocumentRejected("picture: the AV1 sequence header is cut off")
    bits = int.from_bytes(header[:6], "big")

    def field(begin: int, count: int) -> int:
        return bits >> (48 - begin - count) & ((1 << count) - 1)

    if field(3, 2) != _STILL:
        raise DocumentRejected("picture: not an AV1 still picture")
    profile, level, width_bits, height_bits = field(0, 3), field(5, 5), 1 + field(10, 4), 1 + field(14, 4)
    if 18 + width_bits + height_bits > 48:
        raise DocumentRejected(f"picture: a side is not 1 to {MAX_SIDE_PX} pixels")
    width_px, height_px = 1 + field(18, width_bits), 1 + field(18 + width_bits, height_bits)
    _check_sides(width_px, height_px)
    return _file(units, width_px, height_px, bytes([0x81, profile << 5 | level, 0x0C if profile == 0 else 0, 0]))


def _box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _file(units: bytes, width_px: int, height_px: int, configuration: bytes) -> bytes:
    """Return the AVIF file of one picture: 4:2:0 in eight bits, of these sides (AVIF 1.2.0; ISO/IEC 14496-12)."""
    kind = _box(b"ftyp", b"avif", bytes(4), b"avifmif1miaf")

    def meta(offset: int) -> bytes:
        properties = _box(
            b"ipco",
            _box(b"ispe", struct.pack(">III", 0, width_px, height_px)),
            _box(b"pixi", bytes.fromhex("0000000003080808")),
            _box(b"av1C", configuration),
        )
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), b"\x00\x01"),
            _box(b"iloc", bytes(4), b"\x44\x00", struct.pack(">HHHHII", 1, 1, 0, 1, offset, len(units))),
            _box(b"iinf", bytes(4), b"\x00\x01", _box(b"infe", b"\x02", bytes(3), b"\x00\x01\x00\x00av01\x00")),
            _box(b"iprp", properties, _box(b"ipma", bytes(4), struct.pack(">IHBBBB", 1, 1, 3, 1, 2, 0x83))),
        )

    before = len(kind) + len(meta(0)) + 8
    return kind + meta(before) + _box(b"mdat", units)

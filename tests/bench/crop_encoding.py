"""What a plate's picture costs and still says: `python -m tests.bench.crop_encoding plates.csv --root DIR`. No test.

The held-out plates are cut and scaled as a unit does, packed by each coding at each quality, unpacked, and read again
by the unit's own OCR: a picture is legible if it reads as the picture before packing did. Prints one line a coding and
quality: mean and 95th percentile of bytes, share read alike, CPU milliseconds to pack on this machine. First come the
two sizes of a unit's pictures as it packs them, and as it would with JPEG alone.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from cloud.plate_pictures import unpacked
from firmware import evidence
from firmware.evidence import FULL_PICTURE, JPEG_QUALITIES, SMALL_PICTURE
from firmware.ocr import PlateOcr
from firmware.records import Box, Picture, PictureCoding, PictureSize
from models.data import load_rows, read_image, text_rows

CODINGS = {
    "jpeg": (".jpg", cv2.IMWRITE_JPEG_QUALITY, (85, 75, 65, 50, 35, 20), ()),
    "webp": (".webp", cv2.IMWRITE_WEBP_QUALITY, (85, 75, 60, 45, 30, 15, 5), ()),
    "avif": (".avif", cv2.IMWRITE_AVIF_QUALITY, (70, 60, 50, 40, 30, 20), (cv2.IMWRITE_AVIF_SPEED, 9)),
}


def text_in(ocr: PlateOcr, image: np.ndarray) -> str:
    box = Box(x_px=0.0, y_px=0.0, w_px=float(image.shape[1]), h_px=float(image.shape[0]), score_ratio=1.0)
    return "".join(one.char for one in ocr.read(image, box).characters)


def scaled(image: np.ndarray, width_px: int) -> np.ndarray:
    if image.shape[1] <= width_px:
        return image
    height_px = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)


def measured(coding: str, quality: int, crops: list[np.ndarray], texts: list[str], ocr: PlateOcr) -> str:
    extension, key, _, further = CODINGS[coding]
    sizes, alike, spent_s = [], 0, 0.0
    for crop, text in zip(crops, texts, strict=True):
        began_s = time.process_time()
        _, packed = cv2.imencode(extension, crop, [key, quality, *further])
        spent_s += time.process_time() - began_s
        sizes.append(packed.size)
        alike += text_in(ocr, cv2.imdecode(packed, cv2.IMREAD_COLOR)) == text
    return (
        f"{coding:5} {quality:3}  {np.mean(sizes):6.0f}  {np.percentile(sizes, 95):6.0f}  "
        f"{alike / len(crops):7.1%}  {1000 * spent_s / len(crops):6.2f}"
    )


def as_packed(
    size: PictureSize, crops: list[np.ndarray], texts: list[str], labels: list[str], ocr: PlateOcr, *, jpeg: bool
) -> str:
    sizes, alike, right, spent_s = [], 0, 0, 0.0
    for crop, text, label in zip(crops, texts, labels, strict=True):
        began_s = time.process_time()
        picture = jpeg_within(size, crop) if jpeg else evidence.packed(crop, size)
        spent_s += time.process_time() - began_s
        sizes.append(len(picture.data) if picture else 0)
        told = "" if picture is None else text_in(ocr, unpacked(picture))
        alike += told == text
        right += told == label
    return (
        f"{'jpeg' if jpeg else 'unit':5} {size.width_px:3}  {np.mean(sizes):6.0f}  {np.percentile(sizes, 95):6.0f}  "
        f"{alike / len(crops):7.1%}  {1000 * spent_s / len(crops):6.2f}  ({sizes.count(0)} without; {right} right)"
    )


def jpeg_within(size: PictureSize, crop: np.ndarray) -> Picture | None:
    for quality in JPEG_QUALITIES:
        data = cv2.imencode(".jpg", scaled(crop, size.width_px), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        if data.size <= size.limit_bytes:
            return Picture(PictureCoding.JPEG, data.tobytes())
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="What a plate's picture costs and still says.")
    parser.add_argument("table", type=Path, metavar="CSV")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--set", default="us_plates")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--widths", type=int, nargs="*", default=[240, 160, 120])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    ocr = PlateOcr.load(Path("models"))
    rows = [row for row in text_rows(load_rows(options.table), "val") if row.set == options.set]
    chosen = rows[:: max(1, len(rows) // options.count)]
    pictures = [read_image(options.root / row.image) for row in chosen]
    whole = [scaled(picture, FULL_PICTURE.width_px) for picture in pictures]
    whole_texts = [text_in(ocr, crop) for crop in whole]
    labels = [row.text for row in chosen]
    right = sum(map(str.__eq__, whole_texts, labels))
    print(f"{len(whole)} plates, {right} right unpacked\nas packed    mean B  95 % B  alike    CPU ms")
    for size in (FULL_PICTURE, SMALL_PICTURE):
        for jpeg in (False, True):
            print(as_packed(size, whole, whole_texts, labels, ocr, jpeg=jpeg), flush=True)
    for width_px in options.widths:
        crops = [scaled(picture, width_px) for picture in pictures]
        texts = [text_in(ocr, crop) for crop in crops]
        print(
            f"{len(crops)} plates, at most {width_px} px wide\ncoding qual   mean B  95 % B  alike    CPU ms",
            flush=True,
        )
        for coding, (_, _, qualities, _) in CODINGS.items():
            for quality in qualities:
                print(measured(coding, quality, crops, texts, ocr), flush=True)


if __name__ == "__main__":
    main()

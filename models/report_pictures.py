"""The pictures of a report: a plate or a box, cut out of its photograph and made large enough to be judged by eye."""

from pathlib import Path

import cv2
import numpy as np

from firmware.records import Image
from models.data import read_image
from models.figures import Answer, BoxAnswer, Rectangle

WIDTH_PX = 420  # of a finished picture
LARGEST_SCALE = 6.0
QUALITY = 90
LABEL_BGR, FOUND_BGR = (78, 143, 47), (12, 65, 194)


def cut_out(image: Image, area_px: Rectangle, drawn: list[tuple[Rectangle, tuple[int, int, int]]]) -> Image:
    """Return the area of a picture uint8 (H, W, 3), scaled to be seen, with rectangles drawn in their colours."""
    x, y, w, h = area_px
    left, top = max(0, min(int(x), image.shape[1] - 2)), max(0, min(int(y), image.shape[0] - 2))
    right, bottom = max(left + 2, int(np.ceil(x + w))), max(top + 2, int(np.ceil(y + h)))
    patch = image[top:bottom, left:right]
    scale = min(LARGEST_SCALE, WIDTH_PX / patch.shape[1])
    size = (max(1, round(patch.shape[1] * scale)), max(1, round(patch.shape[0] * scale)))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    shown = np.asarray(cv2.resize(patch, size, interpolation=method), np.uint8)
    for (box_x, box_y, box_w, box_h), colour in drawn:
        start = (round((box_x - left) * scale), round((box_y - top) * scale))
        end = (round((box_x + box_w - left) * scale), round((box_y + box_h - top) * scale))
        cv2.rectangle(shown, start, end, colour, 2, cv2.LINE_AA)
    return shown


def around(box_px: Rectangle, margin_ratio: float) -> Rectangle:
    """Return a box widened on each side by a share of its width."""
    x, y, w, h = box_px
    margin = margin_ratio * w
    return x - margin, y - margin, w + 2 * margin, h + 2 * margin


def of_answer(answer: Answer) -> Image:
    """Return the plate that was to be read. Raises DataMissing."""
    image = read_image(answer.path)
    whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    return cut_out(image, around(answer.box_px, 0.12) if answer.box_px else whole, [])


def of_boxes(box: BoxAnswer) -> Image:
    """Return the surroundings of a label or of a found box, both drawn where both are there. Raises DataMissing."""
    drawn = []
    if box.label_px:
        drawn.append((box.label_px, LABEL_BGR))
    if box.found_px:
        drawn.append((box.found_px, FOUND_BGR))
    main = box.label_px if box.found_px is None else box.found_px
    return cut_out(read_image(box.path), around(main or (0, 0, 1, 1), 1.0), drawn)


def save_picture(picture: Image, path: Path) -> None:
    """Write a picture as JPEG. Raises OSError."""
    path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())

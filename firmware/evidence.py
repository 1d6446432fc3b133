"""The picture that leaves with a read: which look at the plate it is, how it is cut, how it is packed. Pure.

The one idea: the picture must show what the read says. A frame may be sharper and have been misread; so the best look
is kept for each text, and the voted text chooses among them.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from firmware.plates import normalised, similarity_ratio
from firmware.rears import Rear, rear_around
from firmware.records import Box, Image, Picture, PictureCoding, PictureSize, Reading

FULL_PICTURE = PictureSize(width_px=240, limit_bytes=3800)
SMALL_PICTURE = PictureSize(width_px=160, limit_bytes=1900)
"""What leaves with a read while there is plenty of the data plan, and when there is not. Of 778 held-out US plates,
of which our own OCR reads 746 right, it reads 747 right after FULL_PICTURE (3,247 bytes in the mean), 747 after
SMALL_PICTURE (1,667), and in as many bytes of JPEG 459 and 27 (tests/bench/crop_encoding.py)."""

EVIDENCE_MARGIN_RATIO = 0.12
"""The crop is the plate and a little around it, small enough for the data budget; never the vehicle or its people:
what may be kept of the vehicle is the business of rears.py, and leaves on request only."""

READABLE_WIDTH_PX = 130
"""From this plate width on more pixels do not make a better picture (Milestone's rule for US plates)."""

JUDGED_PX = (READABLE_WIDTH_PX, READABLE_WIDTH_PX // 2)
"""The size at which sharpness is compared: a larger picture of the same blur must not seem softer."""

DETAIL_SIGMA_PX, DETAIL_KERNEL_PX = 1.5, (9, 9)
"""What a blur of this sigma takes away is detail: the edges of a character's stroke of 3 px."""

TEXTS_AT_MOST = 4
"""Crops that a track keeps, one a text; of more texts none will be the voted one, or the plate cannot be read."""

AVIF_QUALITIES = (60, 50, 40, 30, 20)
AVIF_SPEED = 9
"""Of 0 to 10. Speed 6 takes seven times as long for 5 % fewer bytes."""

JPEG_QUALITIES = (85, 75, 65, 50, 35, 20)
"""Where this OpenCV was built without AVIF."""


@dataclass(frozen=True, slots=True)
class Look:
    """One sight of a plate: its crop, and how good a piece of evidence it is. `infrared`: the lamp lit it.

    `rear` is of the vehicle around it, if that is kept.
    """

    text: str = field(repr=False)
    crop: Image = field(repr=False)
    quality: float
    infrared: bool
    rear: Rear | None = None


class BestLooks:
    """The best look at one plate for each text that was read there, TEXTS_AT_MOST of them."""

    def __init__(self, *, with_rears: bool = False) -> None:
        self._by_text: dict[str, Look] = {}
        self._with_rears = with_rears

    def add(self, image: Image, reading: Reading, *, infrared: bool) -> None:
        """Keep the crop of `reading` in `image` uint8 (H, W, 3) if it is the best of its text."""
        text = normalised(reading.text)
        crop = plate_crop(image, reading.box)
        quality = _quality(crop, reading)
        if text not in self._by_text or quality > self._by_text[text].quality:
            rear = rear_around(image, reading.box) if self._with_rears else None
            self._by_text[text] = Look(text, _small_enough(crop, FULL_PICTURE.width_px), quality, infrared, rear)
        if len(self._by_text) > TEXTS_AT_MOST:
            worst = min(self._by_text.values(), key=lambda one: one.quality)
            del self._by_text[worst.text]

    def best(self, text: str) -> Look:
        """Return the best look that was read as `text`; where there is none, the one most like it.

        Raises ValueError if no look was added.
        """
        return max(self._by_text.values(), key=lambda look: (look.text == text, similarity_ratio(look.text, text)))


def _quality(crop: Image, reading: Reading) -> float:
    """Return how good a piece of evidence this sight is: sharp, well read, and large enough for a person to read."""
    large_enough = min(1.0, reading.box.w_px / READABLE_WIDTH_PX)
    return sharpness_ratio(crop) * reading.score_ratio * large_enough


def sharpness_ratio(crop: Image) -> float:
    """Return how much of the contrast of `crop` (uint8 (h, w, 3) BGR) is in fine detail, 0 (none) to 1.

    The deviation of what a Gaussian takes away, over the deviation of the whole: a relative of the gradient measures in
    Pertuz, Puig and Garcia 2013 (Pattern Recognition 46, 1415) that brightness and contrast do not change.
    """
    small = cv2.resize(crop, JUDGED_PX, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, DETAIL_KERNEL_PX, DETAIL_SIGMA_PX)
    deviation, whole = (float(cv2.meanStdDev(one)[1][0, 0]) for one in (detail, grey))
    return min(1.0, deviation / max(1.0, whole))


def plate_crop(image: Image, box: Box) -> Image:
    """Return a copy of the plate and a little around it, within the picture: uint8 (h, w, 3) BGR, one pixel or more."""
    height_px, width_px = image.shape[:2]
    margin_px = EVIDENCE_MARGIN_RATIO * box.w_px
    left = int(np.clip(box.x_px - margin_px, 0, width_px - 1))
    top = int(np.clip(box.y_px - margin_px, 0, height_px - 1))
    right = int(np.clip(np.ceil(box.x_px + box.w_px + margin_px), left + 1, width_px))
    bottom = int(np.clip(np.ceil(box.y_px + box.h_px + margin_px), top + 1, height_px))
    return image[top:bottom, left:right].copy()


def packed(crop: Image, size: PictureSize) -> Picture | None:
    """Return `crop` (uint8 (h, w, 3) BGR) within `size`, as good as fits, in memory; None if that cannot be.

    AVIF, which says the same in half of JPEG's bytes; JPEG where this OpenCV has no AVIF.
    """
    crop = _small_enough(crop, size.width_px)
    coding = PictureCoding.AVIF if cv2.haveImageWriter(".avif") else PictureCoding.JPEG
    for quality in AVIF_QUALITIES if coding is PictureCoding.AVIF else JPEG_QUALITIES:
        if coding is PictureCoding.AVIF:
            how = [cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, AVIF_SPEED]
            is_packed, data = cv2.imencode(".avif", crop, how)
        else:
            is_packed, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if is_packed and data.size <= size.limit_bytes:
            return Picture(coding, data.tobytes())
    return None


def _small_enough(crop: Image, width_px: int) -> Image:
    """Return `crop` at a width of at most `width_px`."""
    if crop.shape[1] <= width_px:
        return crop
    height_px = max(1, round(crop.shape[0] * width_px / crop.shape[1]))
    return np.asarray(cv2.resize(crop, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)

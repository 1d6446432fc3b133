"""What is done to pictures before any network sees them, in one place. Pure: arrays in, arrays out."""

import cv2
import numpy as np

from firmware.records import Image


def halved(image: Image) -> Image:
    """Return `image` uint8 (H, W, 3) at half its width and height, the same to the last bit on every processor.

    Two by two pixels are averaged where both sides are even. Where one is odd, averaging over areas of a broken size
    would be in floats, whose last bit differs between x86-64 and arm64; exact bilinear sampling is in fixed point.
    """
    height, width = image.shape[:2]
    how = cv2.INTER_AREA if height % 2 == width % 2 == 0 else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=how), np.uint8)

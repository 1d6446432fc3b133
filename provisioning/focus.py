"""How sharp a picture is: the blur of its edges in pixels, whatever the exposure. Pure.

The one idea (Zhuo and Sim, Defocus map estimation from a single image, Pattern Recognition 44, 2011): blurred once more
by a known amount, a sharp edge loses much of its steepness and a soft one little. The ratio of steepness before and
after is a length in pixels, in which brightness, contrast and what is in the picture have cancelled out.
"""

import cv2
import numpy as np

from firmware.records import Grey

AGAIN_PX = 1.5
"""Sigma of the second blur: near the blurs that matter, so that the ratio is steep there."""

SHARP_PX = 0.95
"""What a lens in focus leaves: its own blur, the Bayer pattern and the pixel's width."""

SOFT_PX = 1.6
"""From here on the strokes of a plate 130 px wide, 2.7 px each (Milestone, lpr_platewidth), run into one another."""

LARGEST_PX = 12.0
"""Beyond eight times the second blur the ratio says only: very soft."""

_EDGE_SHARE = 0.02
_FEWEST_EDGES = 60
_OVER_NOISE = 30.0


def blur_px(grey: Grey) -> float | None:
    """Return the blur of the steepest edges of `grey`, uint8 (h, w), as the sigma of a Gaussian, at most LARGEST_PX.

    None where no edge stands out of the noise, as in a black picture or one of plain asphalt.
    """
    if min(grey.shape) < 16:
        return None
    seen = grey.astype(np.float32)
    before, after = _steepness(seen), _steepness(cv2.GaussianBlur(seen, (0, 0), AGAIN_PX))
    least = max(float(np.quantile(after, 1.0 - _EDGE_SHARE)), _OVER_NOISE * _noise_after(seen), 1e-3)
    is_edge = (after >= least) & (seen < 250) & (seen > 3)
    if np.count_nonzero(is_edge) < min(_FEWEST_EDGES, grey.size * _EDGE_SHARE / 2):
        return None
    ratio = float(np.median(before[is_edge] / after[is_edge]))
    least_ratio = float(np.hypot(1.0, AGAIN_PX / LARGEST_PX))
    return AGAIN_PX / float(np.sqrt(max(ratio, least_ratio) ** 2 - 1.0))


def score_ratio(blur: float) -> float:
    """Return the blur as a score, 0 (nothing to be seen) to 1 (as sharp as the lens can), for people to make larger."""
    return min(1.0, SHARP_PX / max(blur, 1e-6))


def _steepness(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=1)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _noise_after(seen: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """Return what noise alone would be as steepness after the second blur.

    The noise itself is measured where structure cancels (Immerkaer, Fast noise variance estimation, 1996), by the
    median, so that edges do not count.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    sigma = float(np.median(np.abs(cv2.filter2D(seen, -1, kernel)))) / 0.6745 / 6.0
    return sigma * 0.4 / AGAIN_PX**2

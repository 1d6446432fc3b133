"""From one plate box to characters: rectify the crop, run the network, decode its answer.

Training, evaluation and the device all call `rectify` and `normalise` of this file, so that the network never sees a
crop that was cut in another way. The network answers two bands of columns: all of band 0 is read before band 1, which
lets one plain decoder follow one-line plates, two-line plates and small stacked letters alike.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from firmware.pictures import halved
from firmware.records import Box, Character, Image
from firmware.tflite import Model

Float = npt.NDArray[np.float32]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BLANK = len(ALPHABET)
WIDTH_PX, HEIGHT_PX = 160, 64
BANDS, COLUMNS = 2, 40
MARGIN_RATIO = 0.04  # of the box on each side: a detector's box cuts as often into a plate as it leaves air around it
BEAM = 8
SECOND_LOOK_RATIO = 0.8
"""A plate read with less is looked at again."""
SECOND_LOOKS = (
    (0.94, 0.94, 0.0), (1.08, 1.08, 0.0), (1.0, 1.0, 2.0), (1.0, 1.0, -2.0), (1.0, 1.12, 0.0), (1.0, 0.9, 0.0)
)  # fmt: skip
"""How much of the first look's width and height the others take, and by how many degrees they are turned."""
REGION_SCORE_RATIO = 0.7
"""Below this the region is not answered: a wrong state is worse than none."""
CERTAIN_RATIO = 0.9999
NEGLIGIBLE_RATIO = 1e-4
SMALLEST_RATIO = 1e-300  # the logarithm of nothing

STATES = (
    "AK AL AR AZ CA CO CT DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS "
    "MT NC ND NE NH NJ NM NV NY OH OK OR PA RI SC SD TN TX UT VA VT WA WI WV WY"
)
REGIONS = (*(f"US-{state}" for state in STATES.split()), "EU", "BR", "IN")
"""What the region head tells apart: the 50 US states, Europe as one, Brazil, India."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateReading:
    """What the OCR says about one crop."""

    characters: tuple[Character, ...] = field(repr=False)
    score_ratio: float  # probability of the whole text
    alternatives: tuple[str, ...] = field(repr=False)
    region: str | None  # the likeliest, however unsure
    region_score_ratio: float

    @property
    def text(self) -> str:
        """The characters as one string; may be empty."""
        return "".join(character.char for character in self.characters)

    @property
    def sure_region(self) -> str | None:
        """The region where it is sure enough to be answered, else None."""
        return self.region if self.region_score_ratio >= REGION_SCORE_RATIO else None


def corners_of_box(x_px: float, y_px: float, w_px: float, h_px: float) -> Float:
    """Return the corners (4, 2) of an upright box, clockwise from the top left."""
    right, bottom = x_px + w_px, y_px + h_px
    return np.array([[x_px, y_px], [right, y_px], [right, bottom], [x_px, bottom]], np.float32)


def corners_of(box: Box) -> Float:
    """Return the quadrilateral (4, 2) in pixels that `box` stands for, clockwise from the top left, without margin."""
    if box.corners_px:
        return np.array(box.corners_px, np.float32)
    return corners_of_box(box.x_px, box.y_px, box.w_px, box.h_px)


def _varied(corners: Float, across: float, down: float, turn_deg: float) -> Float:
    """Return `corners` (4, 2) stretched about their centre by `across` and `down`, and turned."""
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    centre = corners.mean(axis=0)
    matrix = np.array([[cos * across, -sin * down], [sin * across, cos * down]])
    return np.asarray(centre + (corners - centre) @ matrix.T, np.float32)


def rectify(image: Image, corners_px: Float) -> Image:
    """Return the quadrilateral of `image`, widened by the margin, as uint8 (64, 160, 3) BGR.

    A large plate is halved until one output pixel covers at most two input pixels, since bilinear sampling would alias.
    """
    centre = corners_px.mean(axis=0)
    corners_px = centre + (corners_px - centre) * (1 + 2 * MARGIN_RATIO)
    left, top = np.floor(corners_px.min(axis=0)).astype(int) - 2
    right, bottom = np.ceil(corners_px.max(axis=0)).astype(int) + 2
    left, top = max(0, min(int(left), image.shape[1] - 2)), max(0, min(int(top), image.shape[0] - 2))
    patch = image[top : max(top + 2, int(bottom)), left : max(left + 2, int(right))]
    corners_px = (corners_px - (left, top)).astype(np.float32)
    while patch.shape[1] > 2 * WIDTH_PX and patch.shape[0] > 2:
        half = halved(patch)
        corners_px = corners_px * np.array([half.shape[1] / patch.shape[1], half.shape[0] / patch.shape[0]], np.float32)
        patch = half
    target = np.array([[0, 0], [WIDTH_PX, 0], [WIDTH_PX, HEIGHT_PX], [0, HEIGHT_PX]], np.float32)
    # Pixel centres lie at half-integers of the corner coordinates, hence the shift on both sides.
    transform = cv2.getPerspectiveTransform(corners_px - 0.5, target - 0.5)
    size = (WIDTH_PX, HEIGHT_PX)
    warped = cv2.warpPerspective(patch, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def normalise(crop: Image) -> Float:
    """Return `crop` (64, 160, 3) as float32 with its own contrast stretched: the 2nd percentile at 0, the 98th at 1."""
    low, high = np.percentile(crop[::2, ::2], (2, 98))
    return (crop.astype(np.float32) - np.float32(low)) * np.float32(1 / max(16.0, high - low))


def log_softmax(logits: Float) -> Float:
    """Return log probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)


def beam_search(log_probs: Float, width: int = BEAM) -> list[tuple[str, float]]:
    """Return the likeliest texts with their log probability, best first.

    CTC prefix beam search (Graves 2012; Hannun et al. 2014, arXiv 1408.2873) over log probabilities (T, 37). It adds
    plain probabilities, which for so few columns cannot underflow where it matters. Columns that are blank beyond doubt
    are passed over, which changes no result by more than a thousandth.
    """
    beams: dict[str, tuple[float, float]] = {"": (1.0, 0.0)}  # text -> p(path ends blank), p(it ends with its letter)
    for column in np.exp(log_probs.astype(np.float64)):
        blank_share = float(column[BLANK])
        if blank_share > CERTAIN_RATIO:
            beams = {text: (blank + letter, 0.0) for text, (blank, letter) in beams.items()}
            continue
        letters = [(ALPHABET[i], float(column[i])) for i in np.flatnonzero(column[:BLANK] > NEGLIGIBLE_RATIO)]
        grown: dict[str, tuple[float, float]] = {}
        for text, (blank, letter) in beams.items():
            _grow(grown, text, (blank + letter) * blank_share, 0.0)
            for char, share in letters:
                if text.endswith(char):
                    _grow(grown, text, 0.0, letter * share)
                    _grow(grown, text + char, 0.0, blank * share)
                else:
                    _grow(grown, text + char, 0.0, (blank + letter) * share)
        beams = dict(sorted(grown.items(), key=lambda item: -sum(item[1]))[:width])
    ranked = sorted(((text, sum(both)) for text, both in beams.items()), key=lambda pair: -pair[1])
    return [(text, math.log(max(ratio, SMALLEST_RATIO))) for text, ratio in ranked]


def _grow(beams: dict[str, tuple[float, float]], text: str, blank: float, letter: float) -> None:
    known = beams.get(text, (0.0, 0.0))
    beams[text] = (known[0] + blank, known[1] + letter)


def character_scores(ranked: list[tuple[str, float]]) -> tuple[Character, ...]:
    """Return the best text's characters, each with the share of the beam's probability that agrees on it there."""
    best = ranked[0][0]
    weights = np.exp(np.array([score for _, score in ranked]) - ranked[0][1])
    total = float(weights.sum())
    characters = []
    for place, char in enumerate(best):
        from_end = place - len(best)
        agree = sum(
            float(weight)
            for (text, _), weight in zip(ranked, weights, strict=True)
            if (place < len(text) and text[place] == char) or (-from_end <= len(text) and text[from_end] == char)
        )
        characters.append(Character(char, agree / total))
    return tuple(characters)


class PlateOcr:
    """The OCR network with its decoder."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load `ocr.tflite` of the model folder. Raises DeviceFault(MODEL_REFUSED)."""
        return cls(Model.load(folder, "ocr.tflite"))

    def read(self, image: Image, box: Box) -> PlateReading:
        """Read the plate in `box` of `image` uint8 (H, W, 3) BGR; where that is doubtful, look again at other crops.

        Doubtful is a first look below SECOND_LOOK_RATIO, and one that saw no character, however sure. The surest look
        with a text answers: a text does not become likelier by being cut off, so a wrong cut shows in its score. A look
        without a text, which a cut beside the plate gives with great certainty, answers only if all looks are so.
        """
        corners = corners_of(box)
        first = self.read_crop(rectify(image, corners))
        if first.text and first.score_ratio >= SECOND_LOOK_RATIO:
            return first
        looks = [_varied(corners, *look) for look in SECOND_LOOKS]
        if box.corners_px:  # which may themselves be what was wrong
            looks.append(corners_of(dataclasses.replace(box, corners_px=())))
        readings = [first, *(self.read_crop(rectify(image, look)) for look in looks)]
        return max(readings, key=lambda plate: (bool(plate.text), plate.score_ratio))

    def read_crop(self, crop: Image) -> PlateReading:
        """Read one rectified crop uint8 (64, 160, 3) BGR."""
        outputs = self._model.run(normalise(crop)[None])
        ranked = beam_search(log_softmax(outputs["text"].reshape(BANDS * COLUMNS, BLANK + 1)))
        regions = np.exp(log_softmax(outputs["region"].reshape(-1)))
        region = int(np.argmax(regions))
        return PlateReading(
            characters=character_scores(ranked),
            score_ratio=min(1.0, float(np.exp(ranked[0][1]))),
            alternatives=tuple(text for text, _ in ranked[1:4]),
            region=REGIONS[region],
            region_score_ratio=float(regions[region]),
        )

"""Real plates with other characters: a photograph's lettering is taken off, and new lettering of real glyphs put on.

A network of half a million weights learns thousands of collectors' plates by heart, text, state and all. Here every
plate becomes a blank of its state, and every character a glyph of the bank, so that any text can be set on any plate in
the lettering of that plate or of another. Small stacked letters, which photographs seldom show, are set the same way.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from firmware.ocr import ALPHABET, BANDS, BLANK, COLUMNS, MARGIN_RATIO
from firmware.records import Image
from models.emblems import emblem, lay, picture_behind
from models.stacks import Stack, bolder, drawn_stack, set_bars, stack_places

Float = npt.NDArray[np.float32]
Rng = np.random.Generator

LETTERS, DIGITS, VOWELS, THIN = ALPHABET[10:], ALPHABET[:10], "AEIOU", "1I"
CONTRAST_MIN = 40.0  # grey levels between ink and ground, below which lettering cannot be told from a plate's picture
GLYPH_HEIGHT_RATIO = (0.22, 0.8)  # of the plate's height: lower is small print, higher is a picture
LONG_GLYPH_HEIGHT_RATIO = (0.4, 0.94)  # the same of plates with nothing but one line of text
LONG_ASPECT = 3.0
SMALLEST_HEIGHT_PX = 90
THIN_PAIR_RATIO = 0.06  # of the plates with two thin characters side by side, which are easily taken for one
TWIN_RATIO = 0.06  # of the plates with the same character twice side by side, which a decoder easily takes for one
EMBLEM_RATIO, LONG_EMBLEM_RATIO = 0.1, 0.35  # of the plates that bear a picture or small print among their characters
BEHIND_RATIO = 0.2  # of the US plates with a picture behind their characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyph:
    """One character as it stood on a plate: coverage uint8 (h, w) and how wide it was for its height."""

    char: str
    alpha: npt.NDArray[np.uint8]


NO_CHARACTER = Glyph(char="", alpha=np.full((10, 7), 255, np.uint8))
"""Keeps a place for an emblem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """A plate without its characters. `slots` are left, top, width, height in pixels, one a character of `text`."""

    image: Image
    slots: tuple[tuple[int, int, int, int], ...]
    ink: Float  # BGR
    text: str
    region: int
    glyphs: tuple[Glyph, ...]  # none where nobody vouches for the text

    @property
    def is_long(self) -> bool:
        """Whether there is nothing on the plate but one line of text."""
        return is_long(self.image)


def is_long(plate: Image) -> bool:
    """Return whether a bare plate is as long as only plates of a single line are."""
    return plate.shape[1] > LONG_ASPECT * plate.shape[0]


def enlarged(plate: Image) -> Image:
    """Return a bare plate, larger if it is so small that strokes are too thin to be told from their edges."""
    if plate.shape[0] >= SMALLEST_HEIGHT_PX:
        return plate
    return np.asarray(cv2.resize(plate, None, fx=2.4, fy=2.4, interpolation=cv2.INTER_CUBIC), np.uint8)


def aligned(log_probs: Float, text: str) -> list[tuple[int, float]] | None:
    """Return each character's band and centre (0..1 along the crop's width) by the likeliest CTC path, or None.

    `log_probs` is (80, 37) as the network answers it; Viterbi forced alignment (Graves et al. 2006, section 4).
    """
    extended = [BLANK]
    for char in text:
        extended += [ALPHABET.index(char), BLANK]
    states, columns = len(extended), len(log_probs)
    best = np.full((columns, states), -np.inf)
    back = np.zeros((columns, states), np.int64)
    best[0, :2] = log_probs[0, extended[:2]]
    skip = np.array([s >= 2 and extended[s] != BLANK and extended[s] != extended[s - 2] for s in range(states)])
    for t in range(1, columns):
        stay = best[t - 1]
        step = np.concatenate([[-np.inf], best[t - 1, :-1]])
        jump = np.where(skip, np.concatenate([[-np.inf, -np.inf], best[t - 1, :-2]]), -np.inf)
        choices = np.stack([stay, step, jump])
        back[t] = choices.argmax(axis=0)
        best[t] = choices.max(axis=0) + log_probs[t, extended]
    state = states - 1 if best[-1, -1] >= best[-1, -2] else states - 2
    if not np.isfinite(best[-1, state]):
        return None
    columns_of: dict[int, list[int]] = {}
    for t in range(columns - 1, -1, -1):
        if extended[state] != BLANK:
            columns_of.setdefault(state // 2, []).append(t)
        state -= int(back[t, state])
    places = []
    for place in range(len(text)):
        spoken = columns_of[place]
        weights = np.exp(log_probs[spoken, ALPHABET.index(text[place])])
        middle = float(np.average(spoken, weights=weights + 1e-9))
        band = int(middle // COLUMNS)
        places.append((min(band, BANDS - 1), (middle % COLUMNS + 0.5) / COLUMNS))
    return places


def centres_px(places: list[tuple[int, float]], width: int) -> list[float] | None:
    """Return where the characters of a one-line plate stand in a bare plate picture of this width, or None."""
    if len({band for band, _ in places}) > 1:
        return None
    centres = [((along - 0.5) * (1 + 2 * MARGIN_RATIO) + 0.5) * width for _, along in places]
    return centres if all(b - a > 0.04 * width for a, b in pairwise(centres)) else None


def blank_of(image: Image, text: str, centres: list[float], region: int) -> Blank | None:
    """Return the plate without its characters and the glyphs it bore, or None where they cannot be told apart."""
    height, width = image.shape[:2]
    if len(text) < 2 or len(centres) != len(text):
        return None
    pitch = float(np.median(np.diff(centres)))
    cuts = [centres[0] - pitch / 2, *((a + b) / 2 for a, b in pairwise(centres)), 0]
    cuts[-1] = centres[-1] + pitch / 2
    # Beside a gap or a picture the cut lies a pitch away at most.
    spans = [
        (max(cuts[i], centres[i] - 0.62 * pitch), min(cuts[i + 1], centres[i] + 0.62 * pitch)) for i in range(len(text))
    ]
    top, bottom = int(0.3 * height), int(0.74 * height)
    field = cv2.GaussianBlur(image, (0, 0), 0.6).astype(np.float32)
    edge_columns = [int(np.clip(c, 0, width - 1)) for c in cuts]
    ground = np.median(field[top:bottom, edge_columns].reshape(-1, 3), axis=0)
    inside = np.concatenate([field[top:bottom, max(0, int(a)) : int(b) + 1].reshape(-1, 3) for a, b in spans])
    distance = np.linalg.norm(inside - ground, axis=1)
    far = inside[distance > max(CONTRAST_MIN, float(np.percentile(distance, 80)))]
    if len(far) < 60:
        return None
    ink = np.median(far, axis=0)
    span = ink - ground
    length = float(np.linalg.norm(span))
    if length < CONTRAST_MIN:
        return None
    cover = np.clip((field - ground) @ span / length**2, 0, 1).astype(np.float32)
    mask = np.zeros((height, width), np.uint8)
    slots = []
    for a, b in spans:
        left, right = max(0, round(a)), min(width, round(b) + 1)
        slot = character_box(cover[:, left:right], LONG_GLYPH_HEIGHT_RATIO if is_long(image) else GLYPH_HEIGHT_RATIO)
        if slot is None:
            return None
        x, y, w, h, piece = slot
        mask[:, left:right] |= piece
        slots.append((left + x, y, w, h))
    heights = np.array([h for *_, h in slots])
    tops = np.array([y for _, y, *_ in slots])
    if np.ptp(heights) > 0.25 * heights.max() or np.ptp(tops) > 0.2 * heights.max():
        return None
    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    bare = np.where(wide[..., None] > 0, inpainted(image, wide), image)
    local = np.clip(((field - bare) * span).sum(axis=2) / length**2, 0, 1) * (wide > 0)
    glyphs = []
    for char, (x, y, w, h) in zip(text, slots, strict=True):
        patch = local[y : y + h, x : x + w]
        glyphs.append(Glyph(char=char, alpha=np.asarray(255 * patch, np.uint8)))
    # Inpainting leaves no grain, which would give the place away.
    rough = (image.astype(np.float32) - cv2.blur(image, (3, 3)))[top:bottom][wide[top:bottom] == 0]
    sigma = float(np.clip(1.4826 * np.median(np.abs(rough)), 0.5, 6)) if len(rough) else 2.0
    grain = np.random.default_rng(len(rough)).normal(0, sigma, image.shape) * (wide[..., None] > 0)
    return Blank(
        image=np.clip(bare + grain, 0, 255).astype(np.uint8),
        slots=tuple(slots),
        ink=ink.astype(np.float32),
        text=text,
        region=region,
        glyphs=tuple(glyphs),
    )


def inpainted(image: Image, mask: npt.NDArray[np.uint8]) -> Image:
    """Return the picture with what the mask covers filled from around it (Telea 2004), at half size: it is smooth."""
    height, width = image.shape[:2]
    half = (width // 2, height // 2)
    small = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    hole = cv2.dilate(cv2.resize(mask, half, interpolation=cv2.INTER_AREA), np.ones((3, 3), np.uint8))
    filled = cv2.inpaint(small, (hole > 0).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def character_box(
    cover: Float, height_ratio: tuple[float, float]
) -> tuple[int, int, int, int, npt.NDArray[np.uint8]] | None:
    """Return the box of the character in a column strip of ink coverage, with its pixels 0 or 1, or None."""
    height = len(cover)
    margin = (1 - height_ratio[1]) / 3
    ink = (cover > 0.45).astype(np.uint8)
    count, labels, stats, middles = cv2.connectedComponentsWithStats(ink)
    kept = []
    for piece in range(1, count):
        _, y, w, h, area = stats[piece]
        if h < 0.12 * height or area < 12 or y < margin * height or y + h > (1 - margin) * height:
            continue  # small print, bolts, the rim
        if abs(middles[piece][0] - cover.shape[1] / 2) < 0.42 * cover.shape[1] or w > 0.5 * cover.shape[1]:
            kept.append(piece)
    if not kept:
        return None
    tallest = max(kept, key=lambda piece: int(stats[piece][3]))
    kept = [
        p
        for p in kept
        if stats[p][1] >= stats[tallest][1] - 3
        and stats[p][1] + stats[p][3] <= stats[tallest][1] + stats[tallest][3] + 3
    ]
    boxes = stats[kept]
    x, y = int(boxes[:, 0].min()), int(boxes[:, 1].min())
    right, low = int((boxes[:, 0] + boxes[:, 2]).max()), int((boxes[:, 1] + boxes[:, 3]).max())
    if not height_ratio[0] * height <= low - y <= height_ratio[1] * height or right - x < 3:
        return None
    x, y, right, low = max(0, x - 1), max(0, y - 1), min(cover.shape[1], right + 1), min(cover.shape[0], low + 1)
    return x, y, right - x, low - y, np.isin(labels, kept).astype(np.uint8)


def proof_of(blank: Blank) -> Image:
    """Return the plate's own glyphs in black on white where they stood: whoever cannot read this has no glyphs."""
    canvas = np.full(blank.image.shape, 230, np.float32)
    black = np.zeros(3, np.float32)
    for glyph, slot in zip(blank.glyphs, blank.slots, strict=True):
        set_glyph(canvas, glyph, slot, black, 0.0, fill=False)
    return canvas.astype(np.uint8)


class Lettering:
    """All blanks and glyphs that the photographs gave, and plates made of them."""

    def __init__(self, blanks: list[Blank]) -> None:
        self._blanks = blanks
        self._by_char: dict[str, list[Glyph]] = {}
        self._by_die: dict[tuple[int, str], list[Glyph]] = {}
        for blank in blanks:
            for glyph in blank.glyphs:
                self._by_char.setdefault(glyph.char, []).append(glyph)
                self._by_die.setdefault((blank.region, glyph.char), []).append(glyph)
        by_region: dict[int, list[Blank]] = {}
        for blank in blanks:
            by_region.setdefault(blank.region, []).append(blank)
        self._by_region = by_region
        self._regions = list(by_region)
        self._characters = sorted(self._by_char)
        kinds = ([char for char in self._characters if char in kind] for kind in (LETTERS, DIGITS, VOWELS, THIN))
        self._letters, self._digits, self._vowels, self._thin = (pool or self._characters for pool in kinds)

    def __len__(self) -> int:
        return len(self._blanks)

    def plate(self, rng: Rng) -> tuple[Image, str, int]:
        """Return a made-up plate, its text and its region's index: every region as likely as every other, nearly."""
        region = self._regions[int(rng.integers(len(self._regions)))]
        pool = self._by_region[region] if rng.random() < 0.5 else self._blanks
        blank = pool[int(rng.integers(len(pool)))]
        text = self._text(blank, rng)
        stack = drawn_stack(len(text), is_long=blank.is_long, rng=rng)
        if stack:
            text = text[: stack.at] + self._stacked(stack.count, rng) + text[stack.at + 1 :]
        glyphs = self._glyphs(blank, text, rng)
        if rng.random() < (LONG_EMBLEM_RATIO if blank.is_long else EMBLEM_RATIO):
            beside = [place for place in range(1, len(glyphs) + 1) if not stack or place not in stack.span[1:]]
            at = int(rng.choice(beside))
            glyphs.insert(at, NO_CHARACTER)
            stack = stack and stack.after(at)
        slots = laid_out(blank, glyphs, stack, rng)
        stacked = stack.span if stack else ()
        canvas = blank.image.astype(np.float32)
        ink = blank.ink + rng.normal(0, 8, 3).astype(np.float32)
        if not blank.is_long and rng.random() < BEHIND_RATIO:
            picture_behind(canvas, slots, ink, rng)
        emboss = rng.uniform(-45, 45) if rng.random() < 0.6 else 0.0
        for place, (glyph, slot) in enumerate(zip(glyphs, slots, strict=True)):
            if glyph is NO_CHARACTER:
                set_emblem(canvas, slot, ink, rng)
            else:
                heavier = bolder(glyph.alpha, rng) if place in stacked else glyph.alpha
                set_glyph(canvas, Glyph(char=glyph.char, alpha=heavier), slot, ink, emboss, fill=place in stacked)
        set_bars(canvas, [slots[place] for place in stacked], ink, rng)
        return np.clip(canvas, 0, 255).astype(np.uint8), text, blank.region

    def _text(self, blank: Blank, rng: Rng) -> str:
        text = self._serial(blank, rng)
        draw = rng.random()
        if len(text) < 2 or draw >= THIN_PAIR_RATIO + TWIN_RATIO:
            return text
        at = int(rng.integers(len(text) - 1)) if rng.random() < 0.5 else 0
        if draw < TWIN_RATIO:
            return text[: at + 1] + text[at] + text[at + 2 :]
        return text[:at] + "".join(str(rng.choice(self._thin)) for _ in range(2)) + text[at + 2 :]

    def _stacked(self, count: int, rng: Rng) -> str:
        """Return the characters of a stack: letters as a rule, now and then one of them throughout."""
        draw = rng.random()
        pool = self._letters if count == 1 or draw < 0.75 else self._digits if draw < 0.85 else self._characters
        characters = [str(rng.choice(pool)) for _ in range(count)]
        return characters[0] * count if draw < 0.15 else "".join(characters)

    def _serial(self, blank: Blank, rng: Rng) -> str:
        draw = rng.random()
        if draw < 0.65:  # the serial's own pattern: where a state has digits, 0 is no D
            kinds = blank.text
        elif draw < 0.85:
            kin = self._by_region[blank.region]
            kinds = kin[int(rng.integers(len(kin)))].text
        else:
            return "".join(self._personal(rng) for _ in range(int(rng.integers(3, 9))))
        return "".join(str(rng.choice(self._digits if char in DIGITS else self._letters)) for char in kinds)

    def _personal(self, rng: Rng) -> str:
        """Return a character as personal plates have them: mostly letters, and of these a third vowels."""
        draw = rng.random()
        return str(rng.choice(self._digits if draw < 0.2 else self._vowels if draw < 0.47 else self._letters))

    def _glyphs(self, blank: Blank, text: str, rng: Rng) -> list[Glyph]:
        """Return a glyph for each character: the plate's own, or of its state's die, or those of any other plate."""
        other = self._blanks[int(rng.integers(len(self._blanks)))]
        of_state = rng.random() < 0.7
        glyphs = []
        for char in text:
            choice = [g for g in blank.glyphs if g.char == char] if rng.random() < 0.7 else []
            choice = choice or (self._by_die.get((blank.region, char), []) if of_state else [])
            choice = choice or [g for g in other.glyphs if g.char == char] or self._by_char[char]
            glyphs.append(choice[int(rng.integers(len(choice)))])
        return glyphs


def laid_out(blank: Blank, glyphs: list[Glyph], stack: Stack | None, rng: Rng) -> list[tuple[int, int, int, int]]:
    """Return a place left, top, width, height for each glyph.

    A stack takes one place of the row, and all others stay where the plate has its own. Without a stack some plates are
    set as personal ones are: each character as far from the next, so that an I takes less room than a W.
    """
    slots = list(blank.slots)
    places = len(glyphs) - stack.count + 1 if stack else len(glyphs)
    left, right = slots[0][0], slots[-1][0] + slots[-1][2]
    top, tall = int(np.median([y for _, y, _, _ in slots])), int(np.median([h for *_, h in slots]))
    if not stack and not blank.is_long and rng.random() < 0.35:
        return _evenly_apart(glyphs, (left, top, right, tall), blank.image.shape[1], rng)
    if places != len(slots):
        pitch = (right - left) / places
        widest = min(0.88 * pitch, 0.75 * tall)
        slots = [(int(left + (i + 0.5) * pitch - widest / 2), top, int(widest), tall) for i in range(places)]
    if stack:
        slots[stack.at : stack.at + 1] = stack_places(slots[stack.at], stack.count, rng)
    return slots


def _evenly_apart(
    glyphs: list[Glyph], row: tuple[int, int, int, int], width: int, rng: Rng
) -> list[tuple[int, int, int, int]]:
    """Return places as wide as the glyphs, one gap between all, within the row and some air beside it."""
    left, top, right, tall = row
    wide = np.array([max(0.12, g.alpha.shape[1] / g.alpha.shape[0]) * tall for g in glyphs])
    gap = float(rng.uniform(0.06, 0.22)) * tall
    middle, room = (left + right) / 2, min(0.94 * width, 1.15 * (right - left))
    squeeze = min(1.0, room / (wide.sum() + gap * (len(glyphs) - 1)))
    wide, gap = wide * squeeze, gap * squeeze
    begin = middle - (wide.sum() + gap * (len(glyphs) - 1)) / 2
    begins = begin + np.concatenate([[0.0], np.cumsum(wide + gap)[:-1]])
    return [(max(0, round(x)), top, max(3, round(w)), tall) for x, w in zip(begins, wide, strict=True)]


def set_emblem(canvas: Float, slot: tuple[int, int, int, int], ink: Float, rng: Rng) -> None:
    """Draw an emblem about the middle of a place, as high as a character or less."""
    x, y, w, h = slot
    piece = emblem(max(6, int(h * rng.uniform(0.45, 1.0))), ink, rng)
    high, wide = piece[1].shape[:2]
    if wide > w:
        colour, cover = (cv2.resize(part, (max(3, w), high), interpolation=cv2.INTER_AREA) for part in piece)
        piece, wide = (colour, cover[..., None]), w
    lay(canvas, piece, x + (w - wide) // 2, y + int(rng.uniform(0, 1) * (h - high)))


def set_glyph(
    canvas: Float, glyph: Glyph, slot: tuple[int, int, int, int], ink: Float, emboss: float, *, fill: bool
) -> None:
    """Draw a glyph in its place: as high as the place, as wide as it is by nature, unless it should fill the place."""
    x, y, w, h = slot
    high, wide = glyph.alpha.shape
    natural = max(3, round(wide * h / high))
    width = w if fill and wide > 0.35 * high else min(natural, round(1.15 * w))
    interpolation = cv2.INTER_AREA if h < high else cv2.INTER_LINEAR
    piece = cv2.resize(glyph.alpha, (max(3, width), h), interpolation=interpolation).astype(np.float32) / 255
    left, top = max(0, x + (w - width) // 2), max(0, y)
    room = canvas[top : top + piece.shape[0], left : left + piece.shape[1]]
    piece = piece[: room.shape[0], : room.shape[1], None]
    if emboss:
        room += emboss * (np.roll(piece, 1, axis=0) - np.roll(piece, -1, axis=0))
    room *= 1 - piece
    room += piece * ink

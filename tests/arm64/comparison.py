"""Two processors' answers to the same pictures, side by side: values in, counts out, no plate text among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from firmware.detect import overlap

SAME_PLATE_RATIO = 0.5  # overlap of two boxes that stand for one plate

Pair = tuple[int | None, int | None]
"""Places of one plate in the lists of both sides; None stands for what one side did not find."""


@dataclass(slots=True)
class Comparison:
    """What was compared and how much of it was the same. Differences of tensors are in steps of their quantisation."""

    pictures: int = 0
    crops: int = 0
    plates: int = 0
    same_text: int = 0
    same_region: int = 0
    same_box: int = 0  # to the pixel
    found_on_one_only: int = 0
    largest_score_difference: float = 0.0
    surest_other_text: float = 0.0  # of the texts that differ, the highest score that either side gave
    network_calls: int = 0
    calls_on_one_only: int = 0  # further looks, or looks at a plate, that the other side did not take
    same_input: int = 0
    largest_input_difference_steps: int = 0
    largest_output_difference_steps: int = 0
    largest_output_difference_on_same_input_steps: int = 0
    pictures_that_differ: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether every plate was found on both sides and says the same text."""
        return self.same_text == self.plates


def pairs_of(ours: Sequence[Mapping], theirs: Sequence[Mapping]) -> list[Pair]:
    """Return the places of the plates of one picture in pairs, by their boxes."""
    left = list(range(len(theirs)))
    pairs: list[Pair] = []
    for place, plate in enumerate(ours):
        shares = overlap(_boxes([plate]), _boxes([theirs[other] for other in left]))[0]
        best = int(np.argmax(shares)) if left else -1
        found = left.pop(best) if left and shares[best] >= SAME_PLATE_RATIO else None
        pairs.append((place, found))
    return pairs + [(None, place) for place in left]


def _boxes(plates: Sequence[Mapping]):
    return np.array([plate["box_px"] for plate in plates], np.float32).reshape(-1, 4)


def add_plates(result: Comparison, name: str, ours: Sequence[Mapping], theirs: Sequence[Mapping]) -> list[Pair]:
    """Count the plates of one picture; return them in pairs."""
    differs = False
    pairs = pairs_of(ours, theirs)
    for our_place, their_place in pairs:
        result.plates += 1
        if our_place is None or their_place is None:
            known = theirs[their_place] if our_place is None else ours[our_place]
            result.found_on_one_only += 1
            result.surest_other_text = max(result.surest_other_text, known["score_ratio"])
            differs = True
            continue
        one, other = ours[our_place], theirs[their_place]
        result.same_text += one["text"] == other["text"]
        result.same_region += one["region"] == other["region"]
        result.same_box += [round(edge) for edge in one["box_px"]] == [round(edge) for edge in other["box_px"]]
        score = abs(one["score_ratio"] - other["score_ratio"])
        result.largest_score_difference = max(result.largest_score_difference, score)
        if one["text"] != other["text"]:
            result.surest_other_text = max(result.surest_other_text, one["score_ratio"], other["score_ratio"])
            differs = True
    if differs:
        result.pictures_that_differ.append(name)
    return pairs


Calls = Mapping[tuple[str, str], Mapping[str, np.ndarray]]
"""What each call of a network was given and gave, by (plate, look); the detector's own is (`detector`, `0`)."""


def calls_of(picture: str, tensors: Mapping[str, np.ndarray]) -> Calls:
    """Return the calls of one picture; `picture/plate/look/tensor` names each tensor."""
    calls: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for key, values in tensors.items():
        name, plate, look, tensor = key.split("/")
        if name == picture:
            calls.setdefault((plate, look), {})[tensor] = values
    return calls


def add_calls(result: Comparison, pairs: Sequence[Pair], ours: Calls, theirs: Calls) -> None:
    """Compare what the networks were given and gave for one picture, plate by plate and look by look.

    What only one side did (a further look, a plate that the other did not find) is counted as that and not compared.
    """
    partners = {"detector": "detector"} | {str(one): str(other) for one, other in pairs if None not in (one, other)}
    both = [(call, (partners[call[0]], call[1])) for call in ours if call[0] in partners]
    both = [(call, partner) for call, partner in both if partner in theirs]
    result.calls_on_one_only += len(ours) + len(theirs) - 2 * len(both)
    for call, partner in both:
        _add_call(result, ours[call], theirs[partner])


def _add_call(result: Comparison, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    differences = {name: int(np.abs(ours[name].astype(int) - theirs[name].astype(int)).max()) for name in ours}
    given = differences.pop("input")
    gave = max(differences.values(), default=0)
    result.network_calls += 1
    result.same_input += given == 0
    result.largest_input_difference_steps = max(result.largest_input_difference_steps, given)
    result.largest_output_difference_steps = max(result.largest_output_difference_steps, gave)
    if given == 0:
        result.largest_output_difference_on_same_input_steps = max(
            result.largest_output_difference_on_same_input_steps, gave
        )


def verdict(results: Sequence[Comparison]) -> tuple[int, str]:
    """Return the exit code of the whole comparison, and the sentence that explains one that is not 0."""
    if not results or not all(result.plates for result in results):
        return 2, "no plate was found on either side, so nothing is compared; give pictures that show plates"
    if not all(result.is_same for result in results):
        others = sum(result.plates - result.same_text for result in results)
        return 1, f"{others} plates say another text there than here, or are found by one alone"
    return 0, ""

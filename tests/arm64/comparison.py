"""Two processors' answers to the same pictures, side by side: values in, counts out, no plate text among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from firmware.detect import overlap

SAME_PLATE_RATIO = 0.5  # overlap of two boxes that stand for one plate


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
    same_input: int = 0
    largest_input_difference_steps: int = 0
    largest_output_difference_steps: int = 0
    largest_output_difference_on_same_input_steps: int = 0
    pictures_that_differ: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether every plate was found on both sides and says the same text."""
        return self.same_text == self.plates


def pairs_of(ours: Sequence[Mapping], theirs: Sequence[Mapping]) -> list[tuple[Mapping | None, Mapping | None]]:
    """Return the plates of one picture in pairs, by their boxes; None stands for what one side did not find."""
    left = list(theirs)
    pairs = []
    for plate in ours:
        shares = overlap(_boxes([plate]), _boxes(left))[0]
        best = int(np.argmax(shares)) if left else -1
        found = left.pop(best) if left and shares[best] >= SAME_PLATE_RATIO else None
        pairs.append((plate, found))
    return pairs + [(None, plate) for plate in left]


def _boxes(plates: Sequence[Mapping]):
    return np.array([plate["box_px"] for plate in plates], np.float32).reshape(-1, 4)


def add_plates(result: Comparison, name: str, ours: Sequence[Mapping], theirs: Sequence[Mapping]) -> None:
    """Count the plates of one picture."""
    differs = False
    for one, other in pairs_of(ours, theirs):
        result.plates += 1
        if one is None or other is None:
            result.found_on_one_only += 1
            known = one or other
            result.surest_other_text = max(result.surest_other_text, known["score_ratio"] if known else 0.0)
            differs = True
            continue
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


def add_tensors(result: Comparison, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    """Compare what the networks were given and gave, call by call; `picture/place/network/tensor` names each.

    A call that only one side made (a second look, a plate that the other did not find) is left out.
    """
    calls = sorted({key.rsplit("/", 1)[0] for key in ours} & {key.rsplit("/", 1)[0] for key in theirs})
    for call in calls:
        differences = {
            key.rsplit("/", 1)[1]: int(np.abs(ours[key].astype(int) - theirs[key].astype(int)).max())
            for key in ours
            if key.startswith(f"{call}/")
        }
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

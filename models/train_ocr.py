"""Train the plate OCR: `python -m models.train_ocr --data DIR`. Stop it when you like; it goes on from its checkpoint.

DIR is a folder as models/README.md describes it. CTC (Graves et al. 2006) over both bands of columns, and cross entropy
for the region where it is known.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from firmware.ocr import ALPHABET, BANDS, BLANK, COLUMNS, beam_search, corners_of_box, normalise, rectify
from firmware.records import Image
from models.data import load_designs, load_rows_to_read
from models.ocr_crops import CropSource, Sample, load_samples
from models.ocr_net import OcrNet
from models.relettered import Lettering, aligned, blank_of, centres_px, enlarged, proof_of
from models.training import Progress, Training, begin, rounds

BATCH = 64
PEAK_RATE = 2.0e-3
WARM_UP_STEPS = 500
AVERAGE_DECAY = 0.999
REGION_WEIGHT = 0.5
EVALUATE_EVERY = 500
LETTERING_FROM_STEP = 3000  # by then the network knows where the characters stand


def greedy(logits: torch.Tensor) -> list[str]:
    """Return the texts of CTC logits (B, T, 37) by the likeliest class of each column."""
    texts = []
    for row in logits.argmax(dim=-1).numpy():
        kept = [c for place, c in enumerate(row) if c != BLANK and (place == 0 or row[place - 1] != c)]
        texts.append("".join(ALPHABET[c] for c in kept))
    return texts


def evaluate(net: nn.Module, samples: dict[str, list[Sample]]) -> str:
    """Return the share of exact texts by set, and of right regions where the region is known, as one line."""
    net.eval()
    parts = []
    for name, pool in samples.items():
        crops = np.stack([normalise(rectify(s.image, s.corners_px)) for s in pool]).transpose(0, 3, 1, 2)
        texts: list[str] = []
        regions: list[int] = []
        with torch.no_grad():
            for start in range(0, len(crops), 128):
                batch = torch.from_numpy(crops[start : start + 128]).contiguous(memory_format=torch.channels_last)
                text, region = net(batch)
                texts += greedy(text)
                regions += region.argmax(dim=-1).tolist()
        exact = sum(t == s.text for t, s in zip(texts, pool, strict=True)) / len(pool)
        known = [(r, s.region) for r, s in zip(regions, pool, strict=True) if s.region >= 0]
        right = sum(a == b for a, b in known) / max(1, len(known))
        parts.append(f"{name} {100 * exact:.1f} (region {100 * right:.1f})")
    net.train()
    return "val exact: " + ", ".join(parts)


def seen(net: nn.Module, plate: Image) -> npt.NDArray[np.float32]:
    """Return the log probabilities (80, 37) that the network sees in a bare plate picture."""
    crop = normalise(rectify(plate, corners_of_box(0, 0, plate.shape[1], plate.shape[0])))
    with torch.no_grad():
        logits = net(torch.from_numpy(crop.transpose(2, 0, 1)[None]))[0][0]
    return np.asarray(logits.log_softmax(-1).numpy(), np.float32)


def lettering(net: nn.Module, plates: list[tuple[Image, str, int]], name: str) -> Lettering:
    """Take the lettering off bare plates (picture, text, region), where `net` sees it stand.

    A plate whose text nobody knows, or whose glyphs cannot be read by themselves, gives only its blank.
    """
    net.eval()
    blanks = []
    for plate, text, region in tqdm(plates, desc=f"lettering of {name}"):
        image = enlarged(plate)
        log_probs = seen(net, image)
        read = text or beam_search(log_probs)[0][0]
        places = aligned(log_probs, read) if len(read) > 1 else None
        centres = places and centres_px(places, image.shape[1])
        blank = blank_of(image, read, centres, region) if centres else None
        if blank is None:
            continue
        vouched = text and beam_search(seen(net, proof_of(blank)))[0][0] == text
        blanks.append(blank if vouched else dataclasses.replace(blank, glyphs=()))
    net.train()
    banked = sum(bool(blank.glyphs) for blank in blanks)
    print(f"lettering taken off {len(blanks)} of {len(plates)} plates, {banked} of them with glyphs", flush=True)
    return Lettering(blanks)


def bare_plates(
    samples: dict[str, list[Sample]], designs: list[tuple[Image, int]]
) -> dict[str, list[tuple[Image, str, int]]]:
    """Return the plates whose lettering is taken off, by the name of the share that they are drawn for."""
    us, eu = ([(s.image, s.text, s.region) for s in samples.get(name, ())] for name in ("us_plates", "eu_crops"))
    return {"relettered_us": [*us, *((image, "", region) for image, region in designs)], "relettered_eu": eu}


def losses_of(net: nn.Module, source: CropSource, ctc: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the text and region losses of one drawn batch."""
    images, texts, regions = source.batch(BATCH)
    batch = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        text, region = net(batch)
    targets = torch.tensor([index for t in texts for index in t])
    lengths = torch.full((BATCH,), BANDS * COLUMNS, dtype=torch.long)
    log_probs = text.float().log_softmax(-1).transpose(0, 1)
    text_loss = ctc(log_probs, targets, lengths, torch.tensor([len(t) for t in texts]))
    region_loss = nn.functional.cross_entropy(region.float(), torch.from_numpy(regions), ignore_index=-1)
    return text_loss, torch.nan_to_num(region_loss)


def main() -> None:
    """Train from the newest checkpoint to --steps."""
    options = begin("Train the plate OCR.", checkpoint="build/ocr.pt", steps=16000)
    rows = load_rows_to_read(options.data)
    training_samples, validation = load_samples(options.data, rows, "train"), load_samples(options.data, rows, "val")
    print("train:", {name: len(pool) for name, pool in training_samples.items()})
    print("val:", {name: len(pool) for name, pool in validation.items()}, flush=True)
    training = Training(
        OcrNet(),
        options.checkpoint,
        steps=options.steps,
        peak_rate=PEAK_RATE,
        warm_up_steps=WARM_UP_STEPS,
        decay=AVERAGE_DECAY,
    )
    source = CropSource(training_samples, options.seed + training.step)
    ctc = nn.CTCLoss(blank=BLANK, zero_infinity=True)
    progress = Progress(training, ("text", "region"), BATCH)
    bare = bare_plates(training_samples, load_designs(options.data))
    relettered = False
    for is_last_of_round in rounds(training, EVALUATE_EVERY):
        if not relettered and training.step >= LETTERING_FROM_STEP:
            source.take({name: lettering(training.average, plates, name) for name, plates in bare.items()})
            relettered = True
        text_loss, region_loss = losses_of(training.net, source, ctc)
        training.learn(text_loss + REGION_WEIGHT * region_loss)
        progress.show((text_loss.item(), region_loss.item()))
        if is_last_of_round:
            training.save()
            progress.tell(evaluate(training.average, validation))


if __name__ == "__main__":
    main()

"""Read a folder of pictures with the device's own reader and note the answers: the same script on both processors.

`python -m tests.arm64.reading_items FOLDER OUT` takes NAME.npy, uint8 (H, W, 3) BGR: `plate-...` is a cut-out plate and
every other one a whole picture. Beside the answers it notes what each network was given and gave, in steps of its
quantisation, so that a difference can be laid at the door of the pixels before or of the kernels.
"""

import json
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from firmware.config import ReadingConfig
from firmware.detect import PlateDetector
from firmware.ocr import PlateOcr
from firmware.recognition import PlateReader
from firmware.records import Box
from firmware.tflite import Model, read_manifest

MODELS = Path(__file__).resolve().parents[2] / "models"
CROP_PREFIX = "plate-"
EVERY = 10  # items between two lines of progress


class Notes:
    """What the networks were given and gave for one picture, by `plate/look/tensor`."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget all; the next call is the detector's, if it is not of a plate."""
        self.tensors: dict[str, np.ndarray] = {}
        self._plate, self._look, self._plates = "detector", 0, 0

    def begin_plate(self) -> None:
        """Take the calls from now on as looks at the next plate."""
        self._plate, self._look = str(self._plates), 0
        self._plates += 1

    def add(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors |= {f"{self._plate}/{self._look}/{name}": steps for name, steps in tensors.items()}
        self._look += 1


class NotingModel:
    """A network that also notes each of its calls."""

    def __init__(self, model: Model, notes: Notes) -> None:
        self._model, self._notes = model, notes

    def run(self, batch):
        outputs = self._model.run(batch)
        steps = {name: in_steps(values, self._model._outputs[name]) for name, values in outputs.items()}
        self._notes.add({"input": in_steps(batch, self._model._input), **steps})
        return outputs


class NotingOcr:
    """The OCR, which also notes where the looks at one plate end and those at the next begin."""

    def __init__(self, ocr: PlateOcr, notes: Notes) -> None:
        self._ocr, self._notes = ocr, notes

    def read(self, image, box: Box):
        self._notes.begin_plate()
        return self._ocr.read(image, box)


def in_steps(values, detail):
    """Return float values as whole steps of a tensor's quantisation; of a float tensor, as thousandths."""
    scale = detail["quantization"][0] or 1e-3
    return np.clip(np.rint(values / scale), -32768, 32767).astype(np.int16)


def plates_of(name: str, image, reader: PlateReader, ocr: NotingOcr) -> Iterator[dict]:
    if name.startswith(CROP_PREFIX):
        height, width = image.shape[:2]
        box = Box(x_px=0, y_px=0, w_px=width, h_px=height, score_ratio=1.0)
        plate = ocr.read(image, box)
        yield noted(box, plate, plate.sure_region)
        return
    for reading in reader.read(image, frame_number=0, at_s=0.0):
        yield noted(reading.box, reading, reading.region)


def noted(box: Box, plate, region: str | None) -> dict:
    return {
        "box_px": [box.x_px, box.y_px, box.w_px, box.h_px],
        "box_score_ratio": box.score_ratio,
        "text": plate.text,
        "region": region,
        "score_ratio": plate.score_ratio,
        "region_score_ratio": plate.region_score_ratio,
    }


def main(folder: Path, out: Path) -> None:
    """Read all pictures of `folder`; write OUT.json and OUT.npz."""
    cv2.setNumThreads(1)
    notes = Notes()
    detector, ocr_model = (NotingModel(Model.load(MODELS, f"{name}.tflite"), notes) for name in ("detector", "ocr"))
    ocr = NotingOcr(PlateOcr(ocr_model), notes)
    version = read_manifest(MODELS).version
    reader = PlateReader(PlateDetector(detector, ReadingConfig().detection_score_ratio), ocr, version)
    plates, tensors, times_s = {}, {}, []
    paths = sorted(folder.glob("*.npy"))
    for number, path in enumerate(paths, 1):
        notes.begin()
        started = time.perf_counter()
        plates[path.stem] = list(plates_of(path.stem, np.load(path), reader, ocr))
        if not path.stem.startswith(CROP_PREFIX):
            times_s.append(time.perf_counter() - started)
        tensors |= {f"{path.stem}/{name}": steps for name, steps in notes.tensors.items()}
        if number % EVERY == 0 or number == len(paths):
            print(f"  {platform.machine()}: {number} of {len(paths)} read", file=sys.stderr, flush=True)
    np.savez(out.with_suffix(".npz"), **tensors)
    answers = {"version": version, "plates": plates, "s_per_picture": sum(times_s) / max(1, len(times_s))}
    out.with_suffix(".json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

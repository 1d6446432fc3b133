"""Read a drawn plate with whichever TFLite runtime is installed: run by itself where ai-edge-litert is not."""

import sys
from pathlib import Path

import numpy as np

from firmware.recognition import PlateReader
from firmware.tflite import interpreter_class
from hw_sim.pictures import fitting_light
from hw_sim.road import Road

MODELS = Path(__file__).parent.parent / "models"


def main() -> int:
    """Return 0 when one of the first passes of the simulated road is read right."""
    reader = PlateReader.load(MODELS, detection_score_ratio=0.4)
    road = Road(seed=1, passes=3)
    right = 0
    for vehicle in road.vehicles:
        at_s = vehicle.passes_s
        picture = road.expose(at_s, fitting_light(road))
        texts = {reading.text for reading in reader.read(picture, frame_number=0, at_s=at_s)}
        right += any(plate.text in texts for plate in road.truth(at_s))
    print(f"{interpreter_class().__module__}, NumPy {np.__version__}: {right} of 3 drawn plates read right")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

"""What one picture costs: `python -m tests.bench.recognition [--pictures N]`. Prints; asserts nothing, is no test.

CPU milliseconds on one thread, median over the pictures, and the process's peak memory. To compare two model folders on
a noisy machine, name both: they take turns on each picture, and the ratio is printed.
"""

import argparse
import resource
import statistics
import time
from pathlib import Path

import cv2

from firmware.config import ReadingConfig
from firmware.lane import WHOLE_PICTURE
from firmware.motion import MotionGate
from firmware.recognition import PlateReader
from firmware.records import Light
from hw_sim.road import Road

MODELS = Path(__file__).resolve().parents[2] / "models"
DAYLIGHT = Light(exposure_us=200.0, gain=2.0)


def cpu_ms(work) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description="What one picture costs.")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("models", type=Path, nargs="*", default=[MODELS], help="one model folder, or two to compare")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    ratio = ReadingConfig().detection_score_ratio
    readers = [PlateReader.load(folder, detection_score_ratio=ratio) for folder in options.models]
    road, gate = Road(seed=3, passes=options.pictures), MotionGate(WHOLE_PICTURE)
    times: list[list[float]] = [[] for _ in readers]
    motion = []
    for vehicle in road.vehicles:
        picture = cv2.resize(road.expose(vehicle.passes_s, DAYLIGHT)[:819], (1280, 720), interpolation=cv2.INTER_AREA)
        small = road.small(vehicle.passes_s, DAYLIGHT)
        motion.append(cpu_ms(lambda small=small, at_s=vehicle.passes_s: gate.look(small, at_s)))
        for reader, column in zip(readers, times, strict=True):
            column.append(cpu_ms(lambda reader=reader, picture=picture: reader.read(picture, frame_number=0, at_s=0.0)))
    print(f"motion gate, 364x272: {statistics.median(motion):.2f} ms CPU")
    for folder, column in zip(options.models, times, strict=True):
        print(f"{folder}: {statistics.median(column):.2f} ms CPU a picture of 1280x720 with one plate")
    if len(times) == 2:
        ratios = [first / second for first, second in zip(*times, strict=True)]
        print(f"first to second, picture by picture: {statistics.median(ratios):.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()

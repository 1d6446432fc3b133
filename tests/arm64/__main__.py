"""The same model files on x86-64 and on an emulated Raspberry Pi: `make arm64`, or `python -m tests.arm64`.

Reads cut-out plates and whole pictures on both, and prints what was the same as JSON. Exits with 1 when a plate says
another text or is found by one alone, with 2 when nothing could be compared. By default the pictures are drawn, so that
no photograph is needed. What was read stays in a folder that is gone when this ends.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from firmware.records import Image
from hw_sim.pictures import fitting_light
from hw_sim.road import Road
from models.data import DataMissing, load_rows, read_image
from tests.arm64 import comparison, emulated_pi
from tests.arm64.reading_items import CROP_PREFIX

READING = "tests.arm64.reading_items"
PICTURES, CROPS = 12, 24
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
AIR_RATIO = 0.1  # around a drawn plate's corners, of its size


def drawn(pictures: int, crops: int) -> Iterator[tuple[str, Image]]:
    """Yield passes of the simulated road, and plates cut out of others."""
    if pictures + crops == 0:
        return
    road = Road(seed=3, passes=pictures + crops)
    light = fitting_light(road)
    for number, vehicle in enumerate(road.vehicles):
        picture = road.expose(vehicle.passes_s, light)
        if number < pictures:
            yield f"picture-{number:04}", picture
            continue
        for plate in road.truth(vehicle.passes_s)[:1]:
            corners = np.array(plate.corners_px)
            air = AIR_RATIO * (corners.max(axis=0) - corners.min(axis=0))
            left, top = np.maximum(0, corners.min(axis=0) - air).astype(int)
            right, bottom = (corners.max(axis=0) + air).astype(int)
            yield f"{CROP_PREFIX}{number:04}", picture[top:bottom, left:right]


def spread(found: list, count: int) -> list:
    """Return `count` of the things found, evenly over all of them."""
    return [found[int(place)] for place in np.linspace(0, len(found) - 1, min(count, len(found)))]


def photographs(folder: Path, count: int) -> Iterator[tuple[str, Image]]:
    """Yield whole pictures of a folder. Raises DataMissing."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataMissing(f"{folder}: holds no picture")
    for number, path in enumerate(spread(paths, count)):
        yield f"picture-{number:04}", read_image(path)


def labelled_crops(table: Path, count: int) -> Iterator[tuple[str, Image]]:
    """Yield plates that are cut out, of the table's `val` rows. Raises DataMissing."""
    rows = [row for row in load_rows(table) if row.split == "val" and row.kind == "plate" and row.box_px is None]
    if not rows:
        raise DataMissing(f"{table}: holds no row of split val whose whole picture is a plate")
    for number, row in enumerate(spread(rows, count)):
        yield f"{CROP_PREFIX}{number:04}", read_image(table.parent / row.image)


def items(options: argparse.Namespace) -> Iterator[tuple[str, Image]]:
    """Yield all pictures by name, each uint8 (H, W, 3) BGR."""
    if options.source:
        yield from photographs(options.source, options.pictures)
    if options.table:
        yield from labelled_crops(options.table, options.crops)
    yield from drawn(0 if options.source else options.pictures, 0 if options.table else options.crops)


def answers(out: Path) -> tuple[dict, dict]:
    """Return what a run noted: its JSON and its tensors."""
    with np.load(out.with_suffix(".npz")) as file:
        tensors = dict(file)
    return json.loads(out.with_suffix(".json").read_text()), tensors


def compared(machine: emulated_pi.Machine, folder: Path, ours: tuple[dict, dict]) -> tuple[comparison.Comparison, dict]:
    """Read the pictures of `folder` on the emulated machine; return the comparison and its part of the report."""
    emulated_pi.run(machine, ["-m", "firmware", "--help"], silent=True)  # every import of the service has its wheel
    out = folder / "arm64"
    emulated_pi.run(machine, ["-m", READING, folder, out])
    result = comparison.Comparison()
    (mine, my_tensors), (other, other_tensors) = ours, answers(out)
    for name, plates in mine["plates"].items():
        is_crop = name.startswith(CROP_PREFIX)
        result.crops += is_crop
        result.pictures += not is_crop
        pairs = comparison.add_plates(result, name, plates, other["plates"][name])
        my_calls, other_calls = (comparison.calls_of(name, tensors) for tensors in (my_tensors, other_tensors))
        comparison.add_calls(result, pairs, my_calls, other_calls)
    about = {"machine": f"{machine.title} ({machine.cpu}), emulated", "models": other["version"]}
    timing = {"emulated_s_per_picture": round(other["s_per_picture"], 2)}
    return result, about | dataclasses.asdict(result) | timing


def count(word: str) -> int:
    """Return a number of things as an option gives it. Raises ValueError."""
    number = int(word)
    if number < 0:
        raise ValueError(word)
    return number


def main() -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.arm64", description="The same text on x86-64 and arm64?")
    parser.add_argument("--source", type=Path, help="folder of photographs to read in place of drawn pictures")
    parser.add_argument(
        "--table", type=Path, help="plates.csv whose cut-out val plates are read in place of drawn ones"
    )
    parser.add_argument("--pictures", type=count, default=PICTURES, help="whole pictures (default: %(default)s)")
    parser.add_argument("--crops", type=count, default=CROPS, help="plates that are cut out (default: %(default)s)")
    parser.add_argument(
        "--machine",
        choices=sorted(emulated_pi.MACHINES),
        action="append",
        help="default: pi5 and pi4, one after another",
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        emulated_pi.make()
        with tempfile.TemporaryDirectory(dir=emulated_pi.FOLDER) as name:
            folder = Path(name)
            for item, image in items(options):
                np.save(folder / item, image)
            subprocess.run([sys.executable, "-m", READING, folder, folder / "ours"], check=True, cwd=emulated_pi.ROOT)
            machines = [emulated_pi.MACHINES[key] for key in options.machine or ("pi5", "pi4")]
            results = [compared(machine, folder, answers(folder / "ours")) for machine in machines]
    except (emulated_pi.NoEmulation, DataMissing, subprocess.CalledProcessError) as error:
        print(f"arm64: {error}", file=sys.stderr)
        return 2
    print(json.dumps([report for _, report in results], indent=2))
    code, sentence = comparison.verdict([result for result, _ in results])
    if sentence:
        print(f"arm64: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

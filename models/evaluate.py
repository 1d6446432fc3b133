"""Measure the device's own models on labelled pictures: `python -m models.evaluate scenes|crops|boxes`.

What is measured is what a unit runs, on one thread: firmware.recognition for whole pictures, firmware.ocr for crops,
firmware.detect for boxes, with the thresholds that the configuration has by default. Times leave out the decoding of
the picture file.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from firmware.config import ReadingConfig
from firmware.detect import PlateDetector, overlap
from firmware.faults import DeviceFault
from firmware.ocr import PlateOcr
from firmware.plates import edit_distance, folded, normalised
from firmware.recognition import REGION_SCORE_RATIO, PlateReader
from firmware.records import Box, Reading
from models.data import DataMissing, Row, load_rows, read_image

DETECTION_SCORE_RATIO = ReadingConfig().detection_score_ratio
MODELS = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One plate that a picture shows: its box x, y, w, h in pixels and its text."""

    box_px: tuple[float, float, float, float]
    text: str


class Stopwatch:
    """Collects CPU and wall milliseconds of one call after another."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []
        self.wall_ms: list[float] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Note how long the block took."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu_ms.append((time.process_time() - cpu) * 1e3)
        self.wall_ms.append((time.perf_counter() - wall) * 1e3)


def box_array(boxes: list[Box]) -> np.ndarray:  # type: ignore[type-arg]
    """Return boxes as float32 (N, 4) x, y, w, h."""
    return np.array([(b.x_px, b.y_px, b.w_px, b.h_px) for b in boxes], np.float32).reshape(-1, 4)


def labelled_pictures(folder: Path) -> Iterator[tuple[Path, list[Label]]]:
    """Yield each picture of a folder with its plates, from `x.txt` lines of name, x, y, w, h, text between tabs.

    Raises DataMissing when the folder holds no such file or a line is not what it should be.
    """
    if not folder.is_dir():
        raise DataMissing(f"{folder}: no such folder; give one that holds pictures with .txt label files beside them")
    tables = sorted(folder.glob("*.txt"))
    found = 0
    for table in tables:
        by_name: dict[str, list[Label]] = {}
        try:
            lines = table.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataMissing(f"{table}: cannot be read as text ({error}); correct or remove the file") from error
        for number, line in enumerate(lines, 1):
            fields = line.split("\t")
            if not line.strip():
                continue
            try:
                x, y, w, h = (float(field) for field in fields[1:5])
                by_name.setdefault(fields[0], []).append(Label(box_px=(x, y, w, h), text=normalised(fields[5])))
            except (ValueError, IndexError) as error:
                layout = "name<TAB>x<TAB>y<TAB>w<TAB>h<TAB>TEXT"
                raise DataMissing(
                    f"{table}, line {number}: not {layout}; correct the line or remove the file"
                ) from error
        found += len(by_name)
        yield from ((folder / name, labels) for name, labels in by_name.items())
    if not found:
        raise DataMissing(f"{folder}: holds no labelled picture; put x.txt beside each x.jpg, one line a plate")


def matching_reading(readings: list[Reading], label: Label, *, alone: bool) -> Reading | None:
    """Return the reading that answers for a label: the picture's best, or the nearest if it shows several plates."""
    if not readings or alone:
        return readings[0] if readings else None
    shares = overlap(box_array([r.box for r in readings]), np.array([label.box_px], np.float32))[:, 0]
    return readings[int(np.argmax(shares))] if np.max(shares) > 0.1 else None


def scenes(folder: Path, models: Path) -> dict[str, float]:
    """Measure whole pictures in, text out. Raises DataMissing, DeviceFault."""
    reader = PlateReader.load(models, detection_score_ratio=DETECTION_SCORE_RATIO)
    watch = Stopwatch()
    totals = dict.fromkeys(
        ("images", "plates", "exact", "folded", "any", "edits", "characters", "at_50", "at_30", "false"), 0
    )
    for path, labels in labelled_pictures(folder):
        image = read_image(path)
        with watch.running():
            readings = reader.read(image, frame_number=totals["images"], at_s=0.0)
        totals["images"] += 1
        answers = {text for reading in readings for text in (reading.text, *reading.alternatives)}
        shares = overlap(box_array([r.box for r in readings]), np.array([label.box_px for label in labels], np.float32))
        totals["false"] += int((np.max(shares, axis=1, initial=0) < 0.3).sum())
        for place, label in enumerate(labels):
            answer = matching_reading(readings, label, alone=len(labels) == 1)
            text = answer.text if answer else ""
            best_share = float(np.max(shares[:, place], initial=0))
            totals["plates"] += 1
            totals["exact"] += text == label.text
            totals["folded"] += folded(text) == folded(label.text)
            totals["any"] += label.text in answers
            totals["edits"] += edit_distance(text, label.text)
            totals["characters"] += len(label.text)
            totals["at_50"] += best_share >= 0.5
            totals["at_30"] += best_share >= 0.3
    plates = totals["plates"]
    return {
        "images": totals["images"],
        "plates": plates,
        "exact": totals["exact"] / plates,
        "exact_folded": totals["folded"] / plates,
        "any": totals["any"] / plates,
        "cer": totals["edits"] / max(1, totals["characters"]),
        "detected_50": totals["at_50"] / plates,
        "detected_30": totals["at_30"] / plates,
        "false_per_image": totals["false"] / totals["images"],
        "cpu_ms_median": statistics.median(watch.cpu_ms),
        "wall_ms_median": statistics.median(watch.wall_ms),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def crops(rows: list[Row], root: Path, models: Path) -> dict[str, float | None]:
    """Measure the OCR on plates that are cut out already. Raises DataMissing, DeviceFault."""
    ocr = PlateOcr.load(models)
    watch = Stopwatch()
    exact = exact_folded = edits = characters = answered = right = known = 0
    rows = [row for row in rows if row.text]
    if not rows:
        raise DataMissing("no row of the table has a text; columns are image,text,region")
    for row in rows:
        image = read_image(root / row.image)
        x, y, w, h = row.box_px or (0, 0, image.shape[1], image.shape[0])
        box = Box(x_px=x, y_px=y, w_px=w, h_px=h, score_ratio=1.0)
        with watch.running():
            plate = ocr.read(image, box)
        exact += plate.text == row.text
        exact_folded += folded(plate.text) == folded(row.text)
        edits += edit_distance(plate.text, row.text)
        characters += len(row.text)
        known += bool(row.region)
        if row.region and plate.region_score_ratio >= REGION_SCORE_RATIO:
            answered += 1
            right += plate.region == row.region
    return {
        "crops": len(rows),
        "exact": exact / len(rows),
        "exact_folded": exact_folded / len(rows),
        "cer": edits / characters,
        "region_accuracy": right / answered if answered else None,
        "region_answered": answered / known if known else None,
        "cpu_ms_median": statistics.median(watch.cpu_ms),
    }


def boxes(rows: list[Row], root: Path, models: Path) -> dict[str, float]:
    """Measure the detector on the rows that are plates in a larger picture. Raises DataMissing, DeviceFault."""
    by_image: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in rows:
        if row.kind == "plate" and row.box_px:
            by_image.setdefault(row.image, []).append(row.box_px)
    if not by_image:
        raise DataMissing("no row of the table is a plate with a box; columns are those of plates.csv")
    detector = PlateDetector.load(models, DETECTION_SCORE_RATIO)
    watch = Stopwatch()
    found = false = 0
    for name, labels in by_image.items():
        image = read_image(root / name)
        with watch.running():
            answers = detector.detect(image)
        shares = overlap(box_array(answers), np.array(labels, np.float32))
        for row_shares in shares:  # best answer first: each takes the label it covers best
            best = int(row_shares.argmax())
            if row_shares[best] >= 0.5:
                found += 1
                shares[:, best] = -1
            else:
                false += 1
    plates = sum(len(labels) for labels in by_image.values())
    return {
        "images": len(by_image),
        "plates": plates,
        "recall_50": found / plates,
        "false_per_image": false / len(by_image),
        "cpu_ms_median": statistics.median(watch.cpu_ms),
    }


def _chosen(options: argparse.Namespace) -> list[Row]:
    rows = load_rows(options.table)
    return [
        row
        for row in rows
        if (options.split is None or row.split == options.split) and (options.set is None or row.set == options.set)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.evaluate", description="Measure the device's own models on labelled pictures."
    )  # type: ignore[union-attr]
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("scenes", help="whole pictures in, text out; DIR holds x.jpg with x.txt beside it")
    whole.add_argument("folder", type=Path, metavar="DIR")
    for name, what in (
        ("crops", "plates cut out already; columns image,text,region"),
        ("boxes", "plate boxes; columns of plates.csv"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("table", type=Path, metavar="CSV")
        command.add_argument(
            "--root", type=Path, required=True, help="folder that the table's picture names start from"
        )
        command.add_argument("--split", help="only rows of this split, where the table has one")
        command.add_argument("--set", help="only rows of this set, where the table has one")
    for command in commands.choices.values():
        command.add_argument("--json", type=Path, metavar="OUT", help="write the result here as well")
        command.add_argument(
            "--models", type=Path, default=MODELS, help="folder of the models (default: the product's)"
        )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one measurement, print it and write it. Returns the exit code: 2 for wrong input, 1 for a fault."""
    options = _parser().parse_args(arguments)
    cv2.setNumThreads(1)
    try:
        if options.command == "scenes":
            result: dict[str, float] | dict[str, float | None] = scenes(options.folder, options.models)
        else:
            work = crops if options.command == "crops" else boxes
            result = work(_chosen(options), options.root, options.models)
        text = json.dumps(result, indent=2)
        if options.json:
            options.json.write_text(text + "\n", encoding="utf-8")
    except DataMissing as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    except DeviceFault as error:
        print(f"evaluate: {error.hint}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"evaluate: {error.filename}: {error.strerror}; choose another file", file=sys.stderr)
        return 1
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Let a trained detector label pictures of cars for the next training: `python -m models.detect_teach --data DIR`.

DIR/vehicles.csv (split, image, vehicle_class, ...) names pictures of whole cars whose plates nobody has labelled. What
the detector is sure of becomes a plate, what it doubts an area of which training asks nothing. The result is
DIR/taught.csv, laid out as plates.csv; a picture that shows nothing like a plate has one row of the kind `empty`.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import cv2

from firmware.detect import PlateDetector
from models.data import read_image

SURE_RATIO = 0.55
DOUBT_RATIO = 0.2
WIDEST_RATIO = 0.4  # of the picture: what is wider on a whole car is a grille or a window
SET = "vehicles"
COLUMNS = ("set", "split", "kind", "image", "x", "y", "w", "h", "text", "region", "flags")


def taught_rows(table: Path, root: Path, detector: PlateDetector) -> Iterator[dict[str, str]]:
    """Yield rows as of plates.csv for the training half of a table of vehicles; thumbnails are left out."""
    with table.open(newline="", encoding="utf-8") as file:
        names = [
            record["image"]
            for record in csv.DictReader(file)
            if record["split"] == "train" and Path(record["image"]).name.startswith("cars_")
        ]
    for name in names:
        row = dict.fromkeys(COLUMNS, "") | {"set": SET, "split": "train", "image": name}
        image = read_image(root / name)
        found = detector.detect(image)
        for box in found:
            is_sure = box.score_ratio >= SURE_RATIO and box.w_px <= WIDEST_RATIO * image.shape[1]
            kind = "plate" if is_sure else "doubtful"
            numbers = {"x": box.x_px, "y": box.y_px, "w": box.w_px, "h": box.h_px}
            yield row | {"kind": kind} | {key: f"{number:.1f}" for key, number in numbers.items()}
        if not found:
            yield row | {"kind": "empty"}


def main() -> None:
    """Write DIR/taught.csv."""
    parser = argparse.ArgumentParser(description="Let a trained detector label pictures of cars.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--models", type=Path, default=Path(__file__).parent, help="folder of the detector")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector = PlateDetector.load(options.models, DOUBT_RATIO)
    rows = list(taught_rows(options.data / "vehicles.csv", options.data, detector))
    with (options.data / "taught.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    counts = ", ".join(f"{sum(row['kind'] == kind for row in rows)} {kind}" for kind in ("plate", "doubtful", "empty"))
    print(f"{options.data / 'taught.csv'}: {counts}")


if __name__ == "__main__":
    main()

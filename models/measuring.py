"""Run the device's own models over labelled pictures and count: whole pictures, plates cut out, passages, boxes.

What is measured is what a unit runs, on one thread: firmware.recognition for whole pictures, firmware.ocr for crops,
with firmware.voting for passages, firmware.detect for boxes, with the thresholds that the configuration has by default.
Times leave out the decoding of the picture file.
"""

import dataclasses
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from firmware.config import ReadingConfig
from firmware.detect import PlateDetector, overlap
from firmware.ocr import PlateOcr
from firmware.plates import normalised
from firmware.recognition import PlateReader, read_box
from firmware.records import Box, Image, Reading
from firmware.tflite import read_manifest
from firmware.tracking import AGREEING_READINGS
from firmware.voting import vote
from models.data import DataMissing, Row, read_image
from models.figures import (
    Answer,
    BoxAnswer,
    BoxFate,
    Measurement,
    Rectangle,
    by_flag,
    by_width,
    confusions,
    region_figures,
    text_figures,
    trust_figures,
)

DETECTION_SCORE_RATIO = ReadingConfig().detection_score_ratio
UNASKED_SHARE_RATIO = 0.3  # of a box with an area where nothing is asked, as intersection over union
UNASKED_INSIDE_RATIO = 0.5  # of a box inside such an area

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One plate that a picture shows: its box x, y, w, h in pixels and its text."""

    box_px: Rectangle
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

    def medians(self) -> dict[str, float]:
        """Return the median of each in milliseconds."""
        return {"cpu_ms_median": statistics.median(self.cpu_ms), "wall_ms_median": statistics.median(self.wall_ms)}


def rectangle(box: Box) -> Rectangle:
    """Return a box as x, y, w, h."""
    return box.x_px, box.y_px, box.w_px, box.h_px


def shares_of(boxes: list[Box], labels: list[Rectangle]) -> Float:
    """Return the intersection over union of boxes with labels as float32 (N, M)."""
    found = np.array([rectangle(box) for box in boxes], np.float32).reshape(-1, 4)
    return overlap(found, np.array(labels, np.float32).reshape(-1, 4))


def inside_ratio(box: Box, area_px: Rectangle) -> float:
    """Return how much of a box lies inside an area."""
    x, y, w, h = area_px
    shared_w = min(box.x_px + box.w_px, x + w) - max(box.x_px, x)
    shared_h = min(box.y_px + box.h_px, y + h) - max(box.y_px, y)
    return max(0.0, shared_w) * max(0.0, shared_h) / max(1e-9, box.w_px * box.h_px)


def labelled_pictures(folder: Path) -> Iterator[tuple[Path, list[Label]]]:
    """Yield each picture of a folder with its plates, from `x.txt` lines of name, x, y, w, h, text between tabs.

    An empty text is a plate that nobody is asked to read; a picture without another text is passed over.

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
        asked = {name: labels for name, labels in by_name.items() if any(label.text for label in labels)}
        found += len(asked)
        yield from ((folder / name, labels) for name, labels in asked.items())
    if not found:
        raise DataMissing(f"{folder}: holds no labelled picture; put x.txt beside each x.jpg, one line a plate")


def matching_reading(readings: list[Reading], label: Label, *, alone: bool) -> Reading | None:
    """Return the reading that answers for a label: the picture's best, or the nearest if it shows several plates."""
    if not readings or alone:
        return readings[0] if readings else None
    shares = shares_of([reading.box for reading in readings], [label.box_px])[:, 0]
    return readings[int(np.argmax(shares))] if np.max(shares) > 0.1 else None


def scenes(folder: Path, models: Path) -> Measurement:
    """Measure whole pictures in, text out. Raises DataMissing, DeviceFault.

    At labels without a text nothing is asked, and nothing found there counts as false.
    """
    reader = PlateReader.load(models, detection_score_ratio=DETECTION_SCORE_RATIO)
    watch = Stopwatch()
    answers: list[Answer] = []
    false: list[BoxAnswer] = []
    images = among = 0
    for path, labels in labelled_pictures(folder):
        image = read_image(path)
        with watch.running():
            readings = reader.read(image, frame_number=images, at_s=0.0)
        images += 1
        texts = {text for reading in readings for text in (reading.text, *reading.alternatives)}
        among += sum(label.text in texts for label in labels if label.text)
        shares = shares_of([reading.box for reading in readings], [label.box_px for label in labels])
        unasked = [label.box_px for label in labels if not label.text]
        for reading, row_shares in zip(readings, shares, strict=True):
            if row_shares.max() < 0.3 and not is_unasked(reading.box, unasked):
                place = int(row_shares.argmax())
                nearest = labels[place].box_px if row_shares[place] > 0 else None
                false.append(box_answer(path, BoxFate.FALSE, nearest, reading.box, float(row_shares.max())))
        for place, label in enumerate(labels):
            if not label.text:
                continue
            answer = matching_reading(readings, label, alone=len(labels) == 1)
            answers.append(scene_answer(path, label, answer, float(np.max(shares[:, place], initial=0))))
    return Measurement(
        kind="scenes",
        models=reader.version,
        figures={
            "images": images,
            "plates": len(answers),
            **text_figures(answers),
            "any": among / len(answers),
            "detected_50": sum(answer.share_ratio >= 0.5 for answer in answers) / len(answers),
            "detected_30": sum(answer.share_ratio >= 0.3 for answer in answers) / len(answers),
            "false_per_image": len(false) / images,
            **watch.medians(),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            **trust_figures(answers),
            "by_width": by_width(answers),
            "confusions": confusions(answers),
        },
        answers=answers,
        boxes=false,
    )


def scene_answer(path: Path, label: Label, reading: Reading | None, share_ratio: float) -> Answer:
    """Return what was read for a label; `reading` is None where nothing was found."""
    return Answer(
        path=path,
        box_px=label.box_px,
        label=label.text,
        text=reading.text if reading else "",
        score_ratio=reading.score_ratio if reading else None,
        region_read=(reading.region or "") if reading else "",
        share_ratio=share_ratio,
    )


def crops(rows: list[Row], root: Path, models: Path) -> Measurement:
    """Measure the OCR on plates that are cut out already. Raises DataMissing, DeviceFault."""
    ocr = PlateOcr.load(models)
    watch = Stopwatch()
    rows = [row for row in rows if row.text and row.kind == "plate"]
    if not rows:
        raise DataMissing("no row of the table has a text; columns are image,text,region")
    answers = []
    for row in rows:
        image = read_image(root / row.image)
        box = plate_box(row, image)
        with watch.running():
            plate = ocr.read(image, box)
        answers.append(
            Answer(
                path=root / row.image,
                box_px=row.box_px,
                label=row.text,
                text=plate.text,
                score_ratio=plate.score_ratio,
                region=row.region,
                region_read=plate.sure_region or "",
                flags=tuple(row.flags.split()),
            )
        )
    return Measurement(
        kind="crops",
        models=read_manifest(models).version,
        figures={
            "crops": len(rows),
            **text_figures(answers),
            **region_figures(answers),
            "cpu_ms_median": watch.medians()["cpu_ms_median"],
            **trust_figures(answers),
            "by_flag": by_flag(answers),
            "confusions": confusions(answers),
        },
        answers=answers,
    )


def passages(rows: list[Row], root: Path, models: Path) -> Measurement:
    """Measure what a unit's vote makes of several pictures of one plate. Raises DataMissing, DeviceFault."""
    ocr = PlateOcr.load(models)
    tracks: dict[str, list[Row]] = {}
    for row in rows:
        if row.text and row.kind == "plate" and row.track and row.box_px:
            tracks.setdefault(row.track, []).append(row)
    if not tracks:
        raise DataMissing("no row of the table has a text, a box and a track; models.degraded_set makes such a table")
    answers = []
    for seen in tracks.values():
        readings = []
        for number, row in enumerate(seen):
            image = read_image(root / row.image)
            readings.append(read_box(ocr, image, plate_box(row, image), frame_number=number, at_s=0.0))
        verdict = vote(readings)
        answers.append(
            Answer(
                path=root / seen[0].image,
                box_px=seen[0].box_px,
                label=seen[0].text,
                text=verdict.text,
                score_ratio=verdict.score_ratio,
                region=seen[0].region,
                region_read=verdict.region or "",
                flags=tuple(seen[0].flags.split()),
                is_partial=verdict.agreeing < AGREEING_READINGS,
            )
        )
    return Measurement(
        kind="passages",
        models=read_manifest(models).version,
        figures={
            "passages": len(answers),
            "pictures": sum(map(len, tracks.values())),
            **text_figures(answers),
            **region_figures(answers),
            **trust_figures(answers),
            "by_flag": by_flag(answers),
            "confusions": confusions(answers),
        },
        answers=answers,
    )


def plate_box(row: Row, image: Image) -> Box:
    """Return where the plate of a row is in its picture: its box, or all of a picture that is the plate."""
    x, y, w, h = row.box_px or (0, 0, image.shape[1], image.shape[0])
    return Box(x_px=x, y_px=y, w_px=w, h_px=h, score_ratio=1.0)


def boxes(rows: list[Row], root: Path, models: Path) -> Measurement:
    """Measure the detector on the rows that are plates in a larger picture. Raises DataMissing, DeviceFault.

    In the areas of rows whose kind is `doubtful` nothing is asked, and nothing found there counts as false.
    """
    labels: dict[str, list[Rectangle]] = {}
    doubtful: dict[str, list[Rectangle]] = {}
    for row in rows:
        if row.kind in ("plate", "doubtful") and row.box_px:
            (labels if row.kind == "plate" else doubtful).setdefault(row.image, []).append(row.box_px)
    plates = sum(map(len, labels.values()))
    if not plates:
        raise DataMissing("no row of the table is a plate with a box; columns are those of plates.csv")
    detector = PlateDetector.load(models, DETECTION_SCORE_RATIO)
    watch = Stopwatch()
    names = list(dict.fromkeys((*labels, *doubtful)))
    sets = {row.image: row.set for row in rows}
    answers: list[BoxAnswer] = []
    for name in names:
        image = read_image(root / name)
        with watch.running():
            found = detector.detect(image)
        judgement = judged(root / name, found, labels.get(name, []), doubtful.get(name, []))
        answers += [dataclasses.replace(answer, set=sets[name]) for answer in judgement]
    fates = [answer.fate for answer in answers]
    return Measurement(
        kind="boxes",
        models=read_manifest(models).version,
        figures={
            "images": len(names),
            "plates": plates,
            "recall_50": fates.count(BoxFate.FOUND) / plates,
            "false_per_image": fates.count(BoxFate.FALSE) / len(names),
            "cpu_ms_median": watch.medians()["cpu_ms_median"],
            "doubtful_areas": sum(map(len, doubtful.values())),
            "not_counted": fates.count(BoxFate.NOT_COUNTED),
        },
        boxes=answers,
    )


def judged(path: Path, found: list[Box], labels: list[Rectangle], doubtful: list[Rectangle]) -> list[BoxAnswer]:
    """Return the fate of each found box, the best first taking the label that it covers best, and of each label."""
    shares = shares_of(found, labels)
    free = set(range(len(labels)))
    answers = []
    for box, row_shares in zip(found, shares, strict=True):
        place = max(free, key=lambda label: row_shares[label], default=None)
        nearest = labels[int(row_shares.argmax())] if np.max(row_shares, initial=0) > 0 else None
        share_ratio = float(np.max(row_shares, initial=0))
        if place is not None and row_shares[place] >= 0.5:
            free.remove(place)
            answers.append(box_answer(path, BoxFate.FOUND, labels[place], box, float(row_shares[place])))
        elif is_unasked(box, doubtful):
            answers.append(box_answer(path, BoxFate.NOT_COUNTED, nearest, box, share_ratio))
        else:
            answers.append(box_answer(path, BoxFate.FALSE, nearest, box, share_ratio))
    for place in sorted(free):
        column = shares[:, place]
        nearest_box = found[int(np.argmax(column))] if np.max(column, initial=0) > 0 else None
        fate = BoxFate.MISSED
        answers.append(box_answer(path, fate, labels[place], nearest_box, float(np.max(column, initial=0))))
    return answers


def is_unasked(box: Box, areas: list[Rectangle]) -> bool:
    """Return whether a box lies in an area where nothing is asked; all that counts false boxes goes by this."""
    shares = shares_of([box], areas)[0]
    return any(
        share_ratio >= UNASKED_SHARE_RATIO or inside_ratio(box, area_px) >= UNASKED_INSIDE_RATIO
        for share_ratio, area_px in zip(shares, areas, strict=True)
    )


def box_answer(path: Path, fate: BoxFate, label_px: Rectangle | None, box: Box | None, share_ratio: float) -> BoxAnswer:
    """Return a record of a label, a found box, or both."""
    return BoxAnswer(
        path=path,
        fate=fate,
        label_px=label_px,
        found_px=rectangle(box) if box else None,
        score_ratio=box.score_ratio if box else None,
        share_ratio=share_ratio,
    )

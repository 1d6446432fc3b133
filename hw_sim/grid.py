"""The grid: how many vehicles are captured and read at each speed, light and weather, all in virtual time.

Every pass goes through what a unit runs: camera adapter, triggers, lamp, capture, networks, tracking, sealing, outbox.
What is counted is what the agency opens. A cell is cut into runs with seeds of their own, which is what several
processes share; the answer does not depend on how many.
"""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from firmware.faults import ConfigRejected
from hw_sim.light import Conditions, LightLevel
from hw_sim.photographed_plates import PhotographedPlates
from hw_sim.plate_faces import DrawnPlates, PlateSource
from hw_sim.road import Road, VisiblePlate
from hw_sim.scoring import Passed, Score, scored
from hw_sim.traffic import LONGEST_VEHICLE_M, M_S_PER_MPH, EvenGaps, PassingVehicle
from hw_sim.virtual_unit import START_S, VirtualUnit, reader_of

RUN_PASSES = 25
"""Vehicles counted in one run: short enough to share a cell among processes and to show progress."""

FIRST_PASSES = 2
"""Vehicles of each run that come first and are not counted: a unit finds its light in the first seconds of its life."""

AFTERMATH_S = 2.0
AHEAD_S = 8.0
"""From the unit's start to the first vehicle: it has settled on its light, and at night lit its lamp."""

SHORTEST_GAP_S, LONGEST_GAP_S = 1.6, 2.6
CLEARANCE_M = 4.0
"""Between two rear ends at least: a vehicle's length and this much road, at any speed."""

TRUTH_EVERY_S = 0.01


class GridRefused(ConfigRejected):
    """The grid cannot be run as asked; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One speed, light and weather."""

    mph: float
    light: LightLevel
    rain_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all cells of a grid share. `pir_delay_s`: None for the sensor's own lag, infinite for a dead PIR."""

    models: Path
    plates_csv: Path | None = None
    root: Path | None = None
    pir_delay_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One task of a process: `passes` counted vehicles of a cell, under a seed."""

    cell: Cell
    place: int  # of the cell
    seed: int
    passes: int
    setting: Setting


def run_grid(
    cells: Sequence[Cell],
    *,
    passes: int,
    seed: int,
    setting: Setting,
    processes: int | None = None,
    told: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Return `{"cells": [...]}` as `python -m hw_sim grid` prints it, with a progress bar on stderr.

    `told` gets the answer so far after each run: the cells of which anything is known. KeyboardInterrupt ends the
    processes at once. Raises GridRefused, BadPlateTable for plates that cannot be read, and DeviceFault(MODEL_REFUSED).
    """
    if passes < 1:
        raise GridRefused("a cell needs one pass at least; set --passes")
    plates_of(setting)  # what is wrong with the table or the networks is said before the processes begin
    reader_of(setting.models)
    runs = list(_runs(cells, passes, seed, setting))
    scores = [Score() for _ in cells]
    workers = min(len(runs), processes or os.cpu_count() or 1)
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        tqdm(total=passes * len(cells), unit="pass", desc="grid", dynamic_ncols=True) as bar,
    ):
        try:
            for run, score in _begun(pool, runs):
                scores[run.place] += score
                bar.update(run.passes)
                told(_answer(cells, scores))
        except KeyboardInterrupt:
            for process in active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            bar.leave = False
            bar.clear()
            raise
    return _answer(cells, scores)


def _begun(pool: ProcessPoolExecutor, runs: Sequence[Run]) -> Iterator[tuple[Run, Score]]:
    """Hand the runs to processes that never hear Ctrl-C, which is for this one to answer, and return what they say."""
    heard: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a process is born with the mask
    answer = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))  # another thread may still hear it
    try:
        begun = pool.map(_scored_run, runs)
    finally:
        signal.signal(signal.SIGINT, answer)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if heard:
        raise KeyboardInterrupt
    return begun


def _answer(cells: Sequence[Cell], scores: Sequence[Score]) -> dict[str, Any]:
    return {"cells": [_row(cell, score) for cell, score in zip(cells, scores, strict=True) if score.passes]}


def _runs(cells: Sequence[Cell], passes: int, seed: int, setting: Setting) -> Iterator[Run]:
    """Yield the runs, one of each cell in turn, so that the bar's speed is honest from the start."""
    for first in range(0, passes, RUN_PASSES):
        for place, cell in enumerate(cells):
            number = first // RUN_PASSES
            yield Run(
                cell=cell,
                place=place,
                seed=seed * 100_000 + place * 1_000 + number,
                passes=min(RUN_PASSES, passes - first),
                setting=setting,
            )


def _row(cell: Cell, score: Score) -> dict[str, Any]:
    return {
        "mph": cell.mph,
        "light": str(cell.light),
        "rain": cell.rain_ratio,
        "passes": score.passes,
        "captured": score.captured,
        "read": score.read,
        "read_folded": score.read_folded,
        "partial": score.partial,
        "wrong": score.wrong,
        "state_right": score.state_right,
        "state_wrong": score.state_wrong,
        "false_plates": score.false_plates,
        "duplicates": score.duplicates,
    }


def table(answer: dict[str, Any]) -> str:
    """Return the grid's answer for people: shares in per cent, one line a cell."""
    lines = [
        "  mph  light  rain   passes  captured %   read %  partial  sure but wrong  state right/wrong  false  double"
    ]
    for cell in answer["cells"]:
        captured = 100.0 * cell["captured"] / max(1, cell["passes"])
        read = 100.0 * cell["read"] / max(1, cell["captured"])
        states = f"{cell['state_right']}/{cell['state_wrong']}"
        lines.append(
            f"{cell['mph']:5g}  {cell['light']:<5}  {cell['rain']:<4g} {cell['passes']:8d} {captured:11.1f} {read:8.1f}"
            f"{cell['partial']:9d} {cell['wrong']:13d} {states:>18} {cell['false_plates']:6d} {cell['duplicates']:7d}"
        )
    return "\n".join(lines) + "\n"


def _scored_run(run: Run) -> tuple[Run, Score]:
    cv2.setNumThreads(1)
    return run, watched(run).score


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one run came to: its score, and the counters of the unit."""

    score: Score
    frames_seen: int
    frames_developed: int
    frames_read: int
    frames_dropped: int


def watched(run: Run) -> Watched:
    """Let the vehicles of `run` pass a unit, and hold what it told against what passed."""
    road = road_of(run)
    counted, end_s = counted_of(road, run.passes)
    with tempfile.TemporaryDirectory(prefix="kestrel-grid-") as folder:
        unit = VirtualUnit(road, run.setting.models, Path(folder), seed=run.seed, pir_delay_s=run.setting.pir_delay_s)
        try:
            unit.time.run_until(START_S + end_s)
            told = unit.told()
        finally:
            unit.close()
    own, others = passed_of(road, counted, end_s)
    return Watched(
        score=scored(own, told, others=others),
        frames_seen=unit.capture.frames_seen,
        frames_developed=unit.capture.frames_developed,
        frames_read=unit.reading.frames_read,
        frames_dropped=unit.reading.frames.dropped,
    )


def road_of(run: Run) -> Road:
    """Return the endless road of a run; vehicles follow each other as closely as their lengths allow."""
    speed_m_s = run.cell.mph * M_S_PER_MPH
    shortest_s = max(SHORTEST_GAP_S, (LONGEST_VEHICLE_M + CLEARANCE_M) / speed_m_s)
    return Road(
        run.seed,
        mph=run.cell.mph,
        conditions=Conditions(light=run.cell.light, rain_ratio=run.cell.rain_ratio),
        plates=plates_of(run.setting),
        schedule=EvenGaps(
            shortest_s=shortest_s, longest_s=shortest_s * LONGEST_GAP_S / SHORTEST_GAP_S, ahead_s=AHEAD_S
        ),
    )


def plates_of(setting: Setting) -> PlateSource:
    """Return the plates that the vehicles of one run carry. Raises GridRefused, and BadPlateTable from the table."""
    if setting.plates_csv is None:
        return DrawnPlates()
    if setting.root is None:
        raise GridRefused("--plates needs --root, the folder that its images are relative to")
    return PhotographedPlates(setting.plates_csv, setting.root)


def counted_of(road: Road, passes: int) -> tuple[set[int], float]:
    """Return the ids of the vehicles that count, and when the last of them has gone.

    A vehicle without a plate, or with one that nobody could read, is on the road and does not count.
    """
    counted: list[PassingVehicle] = []
    seen, until_s = FIRST_PASSES, AHEAD_S
    while len(counted) < passes:
        vehicles = road.vehicles_between(0.0, until_s)
        counted += [one for one in vehicles[seen:] if one.face is not None and one.face.is_readable]
        seen, until_s = max(seen, len(vehicles)), until_s + 10.0
    last = counted[passes - 1]
    return {one.vehicle_id for one in counted[:passes]}, last.rear_at_s(road.view.farthest_m()) + AFTERMATH_S


def passed_of(road: Road, counted: set[int], end_s: float) -> tuple[list[Passed], list[Passed]]:
    """Return the counted vehicles, and the others whose plates were in the picture before `end_s`."""
    first_s: dict[int, float] = {}
    last_s: dict[int, float] = {}
    plates: dict[int, VisiblePlate] = {}
    for step in range(round(end_s / TRUTH_EVERY_S)):
        at_s = step * TRUTH_EVERY_S
        for plate in road.truth(at_s):
            first_s.setdefault(plate.vehicle_id, at_s)
            last_s[plate.vehicle_id] = at_s
            plates[plate.vehicle_id] = plate
    own: list[Passed] = []
    others: list[Passed] = []
    for vehicle_id, plate in plates.items():
        passed = Passed(text=plate.text, region=plate.region, from_s=first_s[vehicle_id], to_s=last_s[vehicle_id])
        (own if vehicle_id in counted else others).append(passed)
    return own, others

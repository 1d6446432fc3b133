"""The technician's folder in a unit's own: what the steps before the hand-over left there, and the records themselves.

It names the place where the unit hangs, so it is its owner's alone, never leaves but sealed, and goes when the unit is
erased.
"""

from pathlib import Path

from cloud.handover import Step
from firmware.identity import HANDOVER_FOLDER
from provisioning import durable_files


def folder_of(unit_folder: Path) -> Path:
    """Return where the hand-over of a unit lies."""
    return unit_folder / HANDOVER_FOLDER


def answer_path(unit_folder: Path, step: Step) -> Path:
    """Return where a step leaves its answer."""
    return folder_of(unit_folder) / answer_name(step)


def answer_name(step: Step) -> str:
    """Return what a step calls its answer there, a file of JSON."""
    return f"{step}.json"


def keep(unit_folder: Path, name: str, data: bytes) -> Path:
    """Write `data` into the folder, made if it is not there, durably; return where. Raises OSError."""
    folder = folder_of(unit_folder)
    is_new = not folder.exists()
    durable_files.make_folder(folder)
    if is_new:
        durable_files.give_folder(folder)
    path = folder / name
    durable_files.write(path, data)
    return path

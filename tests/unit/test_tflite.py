"""Which model files are taken into use, and what is said of those that are not."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from firmware.faults import DeviceFault, FaultCode
from firmware.recognition import PlateReader
from firmware.tflite import Model, read_manifest

MODELS = Path(__file__).parents[2] / "models"
NAMES = ("detector.tflite", "ocr.tflite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "manifest.json"):
        shutil.copy(MODELS / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_products_models_load_and_answer_in_their_shapes(name: str) -> None:
    entry = read_manifest(MODELS).files[name]
    outputs = Model.load(MODELS, name).run(np.zeros(entry.input_shape, np.float32))
    assert set(outputs) == set(entry.outputs)
    assert all(np.isfinite(values).all() for values in outputs.values())


def refusal(folder: Path, name: str) -> str:
    with pytest.raises(DeviceFault) as caught:
        Model.load(folder, name)
    assert caught.value.code is FaultCode.MODEL_REFUSED
    return caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_byte_is_refused_by_name(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert name in refusal(folder, name)
    assert "make models" in refusal(folder, name)


def test_a_file_that_is_no_model_is_refused_even_if_pinned(folder: Path) -> None:
    (folder / "ocr.tflite").write_bytes(b"not a model at all")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["ocr.tflite"]["sha256"] = hashlib.sha256(b"not a model at all").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "does not run on this machine" in refusal(folder, "ocr.tflite")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder: (folder / "ocr.tflite").unlink(), "ocr.tflite"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text('{"version": "1", "files": {}}'), "does not list"),
    ],
)
def test_what_is_missing_is_named(folder: Path, spoil, word: str) -> None:
    spoil(folder)
    assert word in refusal(folder, "ocr.tflite")


def test_a_reader_of_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="manifest"):
        PlateReader.load(tmp_path, detection_score_ratio=0.4)

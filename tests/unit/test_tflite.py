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
from models.pinning import entry_of

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
    outputs = Model.load(MODELS, name).run(np.zeros(entry.input.shape, np.float32))
    assert {output: list(values.shape) for output, values in outputs.items()} == {
        output: pin.shape for output, pin in entry.outputs.items()
    }
    assert all(np.isfinite(values).all() for values in outputs.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_products_models_are_pinned_as_int8_in_and_out(name: str) -> None:
    entry = read_manifest(MODELS).files[name]
    for pin in (entry.input, *entry.outputs.values()):
        assert pin.type == "int8"
        assert pin.scale > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_is_what_the_export_says_of_the_files(name: str) -> None:
    pinned = json.loads((MODELS / "manifest.json").read_text())["files"][name]
    more = {key: pinned[key] for key in ("computes_in", "steps")}
    assert entry_of(MODELS / name, tuple(pinned["outputs"]), more) == pinned


def refusal(folder: Path, name: str) -> str:
    with pytest.raises(DeviceFault) as caught:
        Model.load(folder, name)
    assert caught.value.code is FaultCode.MODEL_REFUSED
    assert str(folder) in caught.value.hint
    assert "make models" in caught.value.hint
    return caught.value.hint


def pin(folder: Path, name: str, **changes: object) -> None:
    """Change the manifest's entry of a file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] |= changes
    (folder / "manifest.json").write_text(json.dumps(manifest))


def pin_content(folder: Path, name: str) -> None:
    """Pin a file's content as it lies there, and leave shapes and quantisation as they were."""
    content = (folder / name).read_bytes()
    pin(folder, name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_byte_is_refused_by_name(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"{name} is not the file that its manifest pins: its SHA-256 differs" in refusal(folder, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_off_is_refused_with_both_sizes(folder: Path, name: str) -> None:
    whole = (folder / name).stat().st_size
    with (folder / name).open("r+b") as file:
        file.truncate(1000)
    assert f"it has 1000 bytes, pinned are {whole}" in refusal(folder, name)


def test_a_file_that_is_no_model_is_refused_even_if_pinned(folder: Path) -> None:
    (folder / "ocr.tflite").write_bytes(b"not a model at all")
    pin_content(folder, "ocr.tflite")
    assert "does not run on this machine" in refusal(folder, "ocr.tflite")


def test_another_network_is_refused_even_if_its_content_is_pinned(folder: Path) -> None:
    shutil.copy(folder / "detector.tflite", folder / "ocr.tflite")
    pin_content(folder, "ocr.tflite")
    hint = refusal(folder, "ocr.tflite")
    assert "ocr.tflite is not the network that its manifest pins" in hint
    assert "its input has shape 1 x 384 x 512 x 3, pinned is 1 x 64 x 160 x 3" in hint


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shape": [1, 64, 128, 3]}, "its input has shape 1 x 64 x 160 x 3, pinned is 1 x 64 x 128 x 3"),
        ({"type": "float32"}, "its input is int8, pinned is float32"),
        ({"scale": 0.5}, "its input is quantised with scale"),
        ({"zero_point": 3}, "pinned are"),
        ({"tensor": "elsewhere"}, "it has no tensor elsewhere for its input"),
    ],
)
def test_an_input_other_than_pinned_is_refused(folder: Path, change: dict[str, object], sentence: str) -> None:
    entry = json.loads((folder / "manifest.json").read_text())["files"]["ocr.tflite"]
    pin(folder, "ocr.tflite", input=entry["input"] | change)
    assert sentence in refusal(folder, "ocr.tflite")


@pytest.mark.parametrize(
    ("name", "output", "change", "sentence"),
    [
        ("ocr.tflite", "text", {"shape": [1, 80, 38]}, "its output text has shape 1 x 80 x 37, pinned is 1 x 80 x 38"),
        ("ocr.tflite", "region", {"type": "uint8"}, "its output region is int8, pinned is uint8"),
        ("detector.tflite", "corners", {"zero_point": 0}, "its output corners is quantised with scale"),
        ("detector.tflite", "box", {"scale": 1.0}, "pinned are 1 and"),
        ("detector.tflite", "score", {"tensor": "elsewhere"}, "it has no tensor elsewhere for its output score"),
    ],
)
def test_an_output_other_than_pinned_is_refused(folder: Path, name, output, change, sentence) -> None:
    entry = json.loads((folder / "manifest.json").read_text())["files"][name]
    pin(folder, name, outputs=entry["outputs"] | {output: entry["outputs"][output] | change})
    assert sentence in refusal(folder, name)


@pytest.mark.parametrize("key", ["sha256", "bytes", "input", "outputs"])
def test_a_manifest_that_does_not_pin_everything_is_refused(folder: Path, key: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["ocr.tflite"][key]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    hint = refusal(folder, "ocr.tflite")
    assert "manifest.json is not a manifest" in hint
    assert key in hint


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

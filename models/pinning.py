"""The manifest of a model folder: what is pinned of each file, and the figures that these very files have measured.

`firmware.tflite` checks on every unit what is written here. A figure is pinned only if the files it was measured with
are those of the manifest.
"""

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import msgspec

from firmware.tflite import MANIFEST, Manifest, ModelEntry, TensorPin, interpreter_class, read_manifest
from models.data import DataMissing

FLOAT_SUFFIX = "-float"
"""What the version of a folder of float32 files has after that of the int8 files made from the same weights."""

FLOAT_NAME = "_float"
"""What the name of a result ends in that was measured with the float32 files, and no other's does."""

LAST_PLACE = 5  # decimals of a pinned figure: a hundredth of a per mille


class ForeignOperator(Exception):
    """A file holds operators that the device's runtime does not have; the message names the file."""


def loaded(content: bytes, path: Path) -> Any:
    """Return the interpreter of a file as it is, no delegate having taken over operators. Raises ForeignOperator."""
    kind = interpreter_class()
    plain = importlib.import_module(kind.__module__).OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = kind(model_content=content, experimental_op_resolver_type=plain)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ForeignOperator(f"{path}: not a network of operators that the device's runtime has ({reason})") from error
    return interpreter


def entry_of(path: Path, names: tuple[str, ...], more: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest's entry of a file, whose outputs are `names` in the order in which the network returns them.

    Raises ForeignOperator.
    """
    content = path.read_bytes()
    interpreter = loaded(content, path)
    operators = sorted({op["op_name"] for op in interpreter._get_ops_details()})
    custom = [name for name in operators if name == "CUSTOM" or name.startswith("Flex")]
    if custom:
        raise ForeignOperator(f"{path}: holds operators that the device's runtime does not have: {', '.join(custom)}")
    signature = interpreter.get_signature_runner().get_output_details()
    details = {detail["name"]: detail for detail in interpreter.get_output_details()}
    ordered = [TensorPin.of(details[signature[key]["name"]]) for key in sorted(signature)]
    entry = ModelEntry(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        input=TensorPin.of(interpreter.get_input_details()[0]),
        outputs=dict(zip(names, ordered, strict=True)),
    )
    return {**msgspec.to_builtins(entry), "operators": operators, **more}


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write a model folder's manifest. Raises OSError."""
    text = json.dumps(content, indent=2)
    msgspec.json.decode(text, type=Manifest)  # what the device could not read is not written
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def pin_figures(results: list[Path], models: Path) -> int:
    """Write into the manifest what the JSON files of `models.evaluate` say; return how many were pinned.

    Each is pinned under the name of its file, without what depends on the machine that measured; a name that ends in
    `_float` is of the float32 files and every other one of the int8 files. Raises DataMissing when a file is no such
    result or was measured with other files than these; DeviceFault, OSError.
    """
    version = read_manifest(models).version
    metrics = {}
    for path in results:
        figures = _result(path)
        wanted = version + FLOAT_SUFFIX if path.stem.endswith(FLOAT_NAME) else version
        if figures.get("models") != wanted:
            measured = figures.get("models")
            raise DataMissing(f"{path}: measured with models {measured}, not {wanted}; export and measure again")
        metrics[path.stem] = _pinned(figures)
    content = json.loads((models / MANIFEST).read_text(encoding="utf-8"))
    write_manifest(models, {**content, "metrics": metrics})
    return len(metrics)


def _result(path: Path) -> dict[str, Any]:
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataMissing(f"{path}: not a result of models.evaluate ({error}); write it with --json") from error
    if not isinstance(figures, dict):
        raise DataMissing(f"{path}: not a result of models.evaluate; write it with --json")
    return figures


def _pinned(figures: dict[str, Any]) -> dict[str, float | None]:
    """Return the single numbers that only the models decide: no times, no memory, no tables."""
    return {
        name: round(value, LAST_PLACE) if isinstance(value, float) else value
        for name, value in figures.items()
        if (value is None or isinstance(value, int | float)) and not name.endswith(("_median", "_mb"))
    }

"""The only import of the TFLite runtime: loads a model that its manifest vouches for, and runs it on one thread.

ai-edge-litert and tflite-runtime offer the same interpreter; whichever is installed serves. tflite-runtime 2.14 imports
beside NumPy 2 but fails when an interpreter is made, so a model counts as loaded only once it has answered something.
"""

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from firmware.faults import DeviceFault, FaultCode

Float = npt.NDArray[np.float32]

RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
MANIFEST = "manifest.json"
REINSTALL = "install the models again, or make them with `make models`"


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model file as manifest.json pins it. `outputs` maps our names to the file's tensor names."""

    sha256: str
    input_shape: list[int]
    outputs: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The model folder's manifest: a version that each read carries, and the files that belong to it."""

    version: str
    files: dict[str, ModelEntry]


def refused(reason: str) -> DeviceFault:
    """Return the fault of a model that is not taken into use."""
    return DeviceFault(FaultCode.MODEL_REFUSED, f"{reason}; {REINSTALL}")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a model folder. Raises DeviceFault(MODEL_REFUSED)."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise refused(f"{path} cannot be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise refused(f"{path} is not a manifest ({error})") from error


def interpreter_class() -> Any:
    """Return the Interpreter class of the runtime that is installed. Raises DeviceFault(MODEL_REFUSED)."""
    for name in RUNTIMES:
        try:
            return importlib.import_module(name).Interpreter
        except ModuleNotFoundError:
            continue
    hint = "no TFLite runtime is installed; pip install kestrel-camera (or kestrel-camera[tflite] on Python 3.11)"
    raise DeviceFault(FaultCode.MODEL_REFUSED, hint)


class Model:
    """One network, loaded and tried. `run` takes and returns float32 whatever the file computes in."""

    def __init__(self, interpreter: Any, outputs: Mapping[str, str]) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]
        details = {detail["name"]: detail for detail in interpreter.get_output_details()}
        self._outputs = {name: details[tensor] for name, tensor in outputs.items()}

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Load the file `name` of a model folder and run it once. Raises DeviceFault(MODEL_REFUSED)."""
        entry = read_manifest(folder).files.get(name)
        if entry is None:
            raise refused(f"{folder / MANIFEST} does not list {name}")
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise refused(f"{folder / name} cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise refused(f"{folder / name} is not the file that its manifest pins (SHA-256 differs)")
        try:
            model = cls(interpreter_class()(model_content=content, num_threads=1), entry.outputs)
            model.run(np.zeros(entry.input_shape, np.float32))
        except (ValueError, RuntimeError, KeyError, SystemError) as error:
            raise refused(f"{folder / name} does not run on this machine ({type(error).__name__})") from error
        return model

    def run(self, batch: Float) -> dict[str, Float]:
        """Run the network on `batch` float32 in the model's input shape; return its outputs by name, as copies."""
        self._interpreter.set_tensor(self._input["index"], _quantised(batch, self._input))
        self._interpreter.invoke()
        return {name: self._output(detail) for name, detail in self._outputs.items()}

    def _output(self, detail: dict[str, Any]) -> Float:
        values = self._interpreter.get_tensor(detail["index"])
        if detail["dtype"] == np.float32:
            return np.asarray(values, np.float32)
        scale, zero = detail["quantization"]
        return np.asarray((values.astype(np.float32) - np.float32(zero)) * np.float32(scale), np.float32)


def _quantised(batch: Float, detail: dict[str, Any]) -> npt.NDArray[Any]:
    """Return `batch` in the input's own type: float32 as it is, int8 by the input's scale and zero point."""
    if detail["dtype"] == np.float32:
        return batch
    scale, zero = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.asarray(np.clip(np.rint(batch / scale) + zero, limits.min, limits.max), detail["dtype"])

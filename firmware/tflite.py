"""The only import of the TFLite runtime: loads a model that its manifest vouches for, and runs it on one thread.

ai-edge-litert and tflite-runtime offer the same interpreter; whichever is installed serves. tflite-runtime 2.14 imports
beside NumPy 2 but fails when an interpreter is made, so a model counts as loaded only once it has answered something.
"""

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from firmware import strict_json
from firmware.faults import DeviceFault, DocumentRejected, FaultCode

Float = npt.NDArray[np.float32]

RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
MANIFEST = "manifest.json"
MAX_MODEL_BYTES = 64_000_000
"""Far above our networks' 1.5 MB, and what a unit's memory can hold."""

Name = Annotated[str, Meta(pattern=r"^[!-~]{1,80}\Z", description="printable ASCII without spaces")]
Size = Annotated[int, Meta(ge=1, le=2**20)]

REINSTALL = "install the models again, or make them with `make models`"


class TensorPin(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output of a network: real value = (stored value - zero_point) * scale; scale 0 where it is float."""

    tensor: Name
    shape: Annotated[list[Size], Meta(min_length=1, max_length=6)]
    type: Name
    scale: float
    zero_point: Annotated[int, Meta(ge=-(2**31), lt=2**31)]

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> Self:
        """Return what the runtime says of a tensor of a loaded file."""
        scale, zero_point = detail["quantization"]
        return cls(
            tensor=str(detail["name"]),
            shape=[int(size) for size in detail["shape"]],
            type=np.dtype(detail["dtype"]).name,
            scale=float(scale),
            zero_point=int(zero_point),
        )


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model file as manifest.json pins it: its bytes, its input, and its outputs by our names."""

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    bytes: Annotated[int, Meta(ge=1, le=MAX_MODEL_BYTES)]
    input: TensorPin
    outputs: Annotated[dict[Name, TensorPin], Meta(min_length=1, max_length=16)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The model folder's manifest: a version that each read carries, and the files that belong to it.

    It also holds what the networks measured when they were pinned; nothing on the device reads that.
    """

    version: Annotated[str, Meta(min_length=1, max_length=80)]
    files: Annotated[dict[Name, ModelEntry], Meta(max_length=16)]


def refused(reason: str) -> DeviceFault:
    """Return the fault of a model that is not taken into use."""
    return DeviceFault(FaultCode.MODEL_REFUSED, f"{reason}; {REINSTALL}")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a model folder. Raises DeviceFault(MODEL_REFUSED)."""
    path = folder / MANIFEST
    try:
        return strict_json.read(path, Manifest)
    except OSError as error:
        raise refused(f"{path} cannot be read ({error.strerror})") from error
    except DocumentRejected as error:
        raise refused(f"{path} is not a manifest ({error})") from error


def interpreter_class() -> Any:
    """Return the Interpreter class of the runtime that is installed. Raises DeviceFault(MODEL_REFUSED)."""
    for name in RUNTIMES:
        try:
            return importlib.import_module(name).Interpreter
        except ModuleNotFoundError:
            continue
    hint = (
        "no TFLite runtime is installed; install it with `pip install kestrel-camera` (`kestrel-camera[tflite]` on "
        "Python 3.11)"
    )
    raise DeviceFault(FaultCode.MODEL_REFUSED, hint)


def content_difference(content: bytes, entry: ModelEntry) -> str:
    """Return in which way a file's content is not the pinned one; empty where it is."""
    if len(content) != entry.bytes:
        return f"it has {len(content)} bytes, pinned are {entry.bytes}"
    return "" if hashlib.sha256(content).hexdigest() == entry.sha256 else "its SHA-256 differs"


def network_difference(interpreter: Any, entry: ModelEntry) -> str:
    """Return in which way the inputs and outputs of a loaded file are not the pinned ones; empty where they are."""
    found = {pin.tensor: pin for pin in map(TensorPin.of, interpreter.get_output_details())}
    differences = [_tensor_difference("input", entry.input, TensorPin.of(interpreter.get_input_details()[0]))]
    differences += [
        _tensor_difference(f"output {name}", pin, found.get(pin.tensor)) for name, pin in entry.outputs.items()
    ]
    return next(filter(None, differences), "")


def _tensor_difference(name: str, pinned: TensorPin, found: TensorPin | None) -> str:
    if found is None or found.tensor != pinned.tensor:
        return f"it has no tensor {pinned.tensor} for its {name}"
    if found.shape != pinned.shape:
        return f"its {name} has shape {_shown(found.shape)}, pinned is {_shown(pinned.shape)}"
    if found.type != pinned.type:
        return f"its {name} is {found.type}, pinned is {pinned.type}"
    if (found.scale, found.zero_point) != (pinned.scale, pinned.zero_point):
        steps = f"scale {found.scale:.9g} and zero point {found.zero_point}"
        return f"its {name} is quantised with {steps}, pinned are {pinned.scale:.9g} and {pinned.zero_point}"
    return ""


def _shown(shape: list[int]) -> str:
    return " x ".join(str(size) for size in shape)


class Model:
    """One network, loaded and tried. `run` takes and returns float32 whatever the file computes in."""

    def __init__(self, interpreter: Any, entry: ModelEntry) -> None:
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]
        details = {detail["name"]: detail for detail in interpreter.get_output_details()}
        self._outputs = {name: details[pin.tensor] for name, pin in entry.outputs.items()}

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Load the file `name` of a model folder and run it once. Raises DeviceFault(MODEL_REFUSED).

        Refused is a file of another size, content, shape or quantisation than its manifest pins.
        """
        path = folder / name
        entry = read_manifest(folder).files.get(name)
        if entry is None:
            raise refused(f"{folder / MANIFEST} does not list {name}")
        try:
            with path.open("rb") as file:
                content = file.read(MAX_MODEL_BYTES + 1)
        except OSError as error:
            raise refused(f"{path} cannot be read ({error.strerror})") from error
        if difference := content_difference(content, entry):
            raise refused(f"{path} is not the file that its manifest pins: {difference}")
        try:
            interpreter = interpreter_class()(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
            if difference := network_difference(interpreter, entry):
                raise refused(f"{path} is not the network that its manifest pins: {difference}")
            model = cls(interpreter, entry)
            model.run(np.zeros(entry.input.shape, np.float32))
        except (ValueError, RuntimeError, KeyError, SystemError) as error:
            raise refused(f"{path} does not run on this machine ({type(error).__name__})") from error
        return model

    def run(self, batch: Float) -> dict[str, Float]:
        """Run the network on `batch` float32 in the model's input shape; return its outputs by name, as copies."""
        self._interpreter.set_tensor(self._input["index"], _quantised(batch, self._input))
        self._interpreter.invoke()
        return {name: self._output(detail) for name, detail in self._outputs.items()}

    def is_accelerated(self) -> bool:
        """Say whether a delegate (XNNPACK) runs a part of the network; without one an answer takes many times as long.

        Where /proc and /sys hide the processor, as a sandbox may, XNNPACK stays away and nothing says so.
        """
        return any(operator["op_name"] == "DELEGATE" for operator in self._interpreter._get_ops_details())

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

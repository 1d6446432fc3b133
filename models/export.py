"""Turn checkpoints into the device's files: `python -m models.export`. Writes *.tflite and manifest.json.

torch -> litert-torch (float32) -> ai-edge-quantizer (int8 weights per channel, int8 activations, calibrated on training
pictures) -> a check that only built-in operators are left. What is exported is the running average of the weights.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from torch import nn

from firmware import detect, ocr
from firmware.tflite import MANIFEST, interpreter_class
from models.data import load_rows
from models.detect_net import DetectNet
from models.detect_scenes import load_scenes
from models.ocr_crops import CropSource, load_samples
from models.ocr_net import OcrNet

CALIBRATION_PICTURES = 200
OCR_OUTPUTS = ("text", "region")
DETECTOR_OUTPUTS = ("score", "box", "corners")


class ChannelsLast(nn.Module):
    """The network with pictures (B, H, W, 3) in and maps (B, H, W, C) out, as TFLite has them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the network's outputs, four-dimensional ones with the channels last."""
        outputs = self.net(picture.permute(0, 3, 1, 2))
        return tuple(out.permute(0, 2, 3, 1) if out.dim() == 4 else out for out in outputs)


def load_average(net: nn.Module, checkpoint: Path) -> tuple[nn.Module, int]:
    """Return the network with the checkpoint's averaged weights, ready to run, and the step it was saved at."""
    saved = torch.load(checkpoint, weights_only=True)
    net.load_state_dict(saved["average"])
    return net.eval(), int(saved["step"])


def convert(net: nn.Module, shape: tuple[int, ...], path: Path, calibration: Iterator[np.ndarray] | None) -> None:  # type: ignore[type-arg]
    """Write the network as a TFLite file: float32, or int8 when calibration pictures are given."""
    wrapped = ChannelsLast(net).eval()
    float_path = path.with_suffix(".float.tflite")
    litert_torch.convert(wrapped, (torch.zeros(shape),)).export(str(float_path))
    if calibration is None:
        float_path.replace(path)
        return
    worker = quantizer.Quantizer(str(float_path))
    worker.load_quantization_recipe(recipe.static_wi8_ai8())
    samples = [{"args_0": picture} for picture in calibration]
    statistics = worker.calibrate({"serving_default": samples})
    path.unlink(missing_ok=True)
    worker.quantize(statistics).export_model(str(path))
    float_path.unlink()


def scene_inputs(data: Path, seed: int) -> Iterator[np.ndarray]:  # type: ignore[type-arg]
    """Yield detector inputs of training photographs."""
    scenes = load_scenes(data, load_rows(data / "plates.csv"), "train")
    for place in np.random.default_rng(seed).permutation(len(scenes))[:CALIBRATION_PICTURES]:
        canvas, _ = detect.letterbox(scenes[int(place)].image)
        yield canvas[None].astype(np.float32) / 255


def crop_inputs(data: Path, seed: int) -> Iterator[np.ndarray]:  # type: ignore[type-arg]
    """Yield OCR inputs: training crops as the training sees them and as they are."""
    samples = load_samples(data, load_rows(data / "plates.csv"), "train")
    images, _, _ = CropSource(samples, seed).batch(CALIBRATION_PICTURES // 2)
    for image in images:
        yield np.ascontiguousarray(image.transpose(1, 2, 0))[None]
    rng = np.random.default_rng(seed)
    for name in sorted(samples):
        for place in rng.integers(0, len(samples[name]), CALIBRATION_PICTURES // 8):
            sample = samples[name][int(place)]
            yield ocr.normalise(ocr.rectify(sample.image, sample.corners_px))[None]


def entry_of(path: Path, names: tuple[str, ...], more: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest's entry of a file; the outputs keep the order in which the network returns them."""
    content = path.read_bytes()
    interpreter = interpreter_class()(model_content=content)
    interpreter.allocate_tensors()
    operators = sorted({op["op_name"] for op in interpreter._get_ops_details()})
    custom = [name for name in operators if name == "CUSTOM" or name.startswith("Flex")]
    if custom:
        raise SystemExit(f"{path}: holds operators that the device's runtime does not have: {', '.join(custom)}")
    signature = interpreter.get_signature_runner().get_output_details()
    ordered = [signature[key]["name"] for key in sorted(signature)]
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "input_shape": [int(size) for size in interpreter.get_input_details()[0]["shape"]],
        "outputs": dict(zip(names, ordered, strict=True)),
        "operators": operators,
        **more,
    }


def main() -> None:
    """Export what the options name."""
    parser = argparse.ArgumentParser(description="Turn checkpoints into the device's files.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--ocr", type=Path, default=Path("build/ocr.pt"))
    parser.add_argument("--detector", type=Path, default=Path("build/detector.pt"))
    parser.add_argument("--out", type=Path, default=Path("models"))
    parser.add_argument("--float", action="store_true", help="leave both in float32, to compare")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    detector, detector_step = load_average(DetectNet(), options.detector)
    path = options.out / "detector.tflite"
    shape = (1, detect.HEIGHT_PX, detect.WIDTH_PX, 3)
    convert(detector, shape, path, None if options.float else scene_inputs(options.data, 7))
    kind = "float32" if options.float else "int8"
    files = {"detector.tflite": entry_of(path, DETECTOR_OUTPUTS, {"computes_in": kind, "steps": detector_step})}

    reader, ocr_step = load_average(OcrNet(), options.ocr)
    path = options.out / "ocr.tflite"
    convert(reader, (1, ocr.HEIGHT_PX, ocr.WIDTH_PX, 3), path, None if options.float else crop_inputs(options.data, 8))
    files["ocr.tflite"] = entry_of(path, OCR_OUTPUTS, {"computes_in": kind, "steps": ocr_step})

    version = (
        f"{datetime.now(tz=UTC):%Y.%m.%d}-{files['detector.tflite']['sha256'][:4]}{files['ocr.tflite']['sha256'][:4]}"
    )
    manifest = {"version": version, "files": files}
    (options.out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    sizes = ", ".join(f"{name} {entry['bytes'] / 1000:.0f} kB" for name, entry in files.items())
    print(f"{options.out}: version {version}, {sizes}")


if __name__ == "__main__":
    main()

"""Turn checkpoints into the device's files: `python -m models.export`. Writes *.tflite and manifest.json.

torch -> litert-torch (float32) -> ai-edge-quantizer (int8 weights per channel, int8 activations, calibrated on training
pictures) -> a check that only built-in operators are left. What is exported is the running average of the weights.
The float32 files stay in a folder of their own, so that `models.evaluate --models` measures what int8 costs.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from torch import nn

from firmware import detect, ocr
from models.data import DataMissing, load_rows
from models.detect_net import DetectNet
from models.detect_scenes import load_scenes
from models.ocr_crops import CropSource, load_samples
from models.ocr_net import OcrNet
from models.pinning import FLOAT_SUFFIX, ForeignOperator, entry_of, write_manifest
from models.training import OtherNetwork, read_checkpoint

CALIBRATION_PICTURES = 200
PRODUCT = Path("models")
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


def load_average(net: nn.Module, checkpoints: list[Path]) -> tuple[nn.Module, int]:
    """Return the network with the mean of the checkpoints' averaged weights, ready to run, and the latest one's step.

    The mean of weights from one training's way is one network, and often better than each (Wortsman et al. 2022,
    "Model soups"). Raises OtherNetwork, OSError.
    """
    saved = [read_checkpoint(checkpoint, (net, "average")) for checkpoint in checkpoints]
    mean = net.state_dict()
    for name, weights in mean.items():
        if weights.dtype.is_floating_point:
            weights.copy_(torch.stack([one["average"][name] for one in saved]).mean(dim=0))
    return net.eval(), max(one["step"] for one in saved)


def convert(net: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write the network as a float32 TFLite file."""
    litert_torch.convert(ChannelsLast(net).eval(), (torch.zeros(shape),)).export(str(path))


def quantise(float_path: Path, path: Path, calibration: Iterator[np.ndarray]) -> None:  # type: ignore[type-arg]
    """Write a float32 TFLite file as an int8 one, its activations scaled by what the calibration pictures show."""
    worker = quantizer.Quantizer(str(float_path))
    worker.load_quantization_recipe(recipe.static_wi8_ai8())
    statistics = worker.calibrate({"serving_default": [{"args_0": picture} for picture in calibration]})
    path.unlink(missing_ok=True)
    worker.quantize(statistics).export_model(str(path))
    path.chmod(0o644)  # the converter makes it executable


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


def manifests(options: argparse.Namespace, floats: Path) -> None:
    """Write both folders: the int8 files of the device and the float32 files beside which they are measured.

    Raises OtherNetwork, ForeignOperator, DataMissing, OSError.
    """
    detector, detector_step = load_average(DetectNet(), options.detector)
    reader, ocr_step = load_average(OcrNet(), options.ocr)
    detector_shape = (1, detect.HEIGHT_PX, detect.WIDTH_PX, 3)
    ocr_shape = (1, ocr.HEIGHT_PX, ocr.WIDTH_PX, 3)
    networks = (
        ("detector.tflite", detector, detector_step, detector_shape, DETECTOR_OUTPUTS, scene_inputs(options.data, 7)),
        ("ocr.tflite", reader, ocr_step, ocr_shape, OCR_OUTPUTS, crop_inputs(options.data, 8)),
    )
    int8_files, float_files = {}, {}
    for name, net, step, shape, outputs, calibration in networks:
        convert(net, shape, floats / name)
        quantise(floats / name, options.out / name, calibration)
        float_files[name] = entry_of(floats / name, outputs, {"computes_in": "float32", "steps": step})
        int8_files[name] = entry_of(options.out / name, outputs, {"computes_in": "int8", "steps": step})
    digests = "".join(entry["sha256"][:4] for entry in int8_files.values())
    version = f"{datetime.now(tz=UTC):%Y.%m.%d}-{digests}"
    write_manifest(options.out, {"version": version, "files": int8_files})
    write_manifest(floats, {"version": version + FLOAT_SUFFIX, "files": float_files})
    sizes = ", ".join(f"{name} {entry['bytes'] / 1000:.0f} kB" for name, entry in int8_files.items())
    print(f"{options.out}: version {version}, {sizes}; in float32: {floats}")


def main() -> int:
    """Export what the options name; return the exit code: 2 for wrong input, 1 for a file that no unit could run."""
    parser = argparse.ArgumentParser(description="Turn checkpoints into the device's files.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    for name in ("ocr", "detector"):
        several = "a checkpoint, or several whose weights are averaged"
        parser.add_argument(f"--{name}", type=Path, nargs="+", default=[Path(f"build/{name}.pt")], help=several)
    parser.add_argument("--out", type=Path, default=PRODUCT)
    parser.add_argument(
        "--float-out", type=Path, help="the float32 files (default: build/float; OUT/float where --out is given)"
    )
    options = parser.parse_args()
    floats = options.float_out or (Path("build/float") if options.out == PRODUCT else options.out / "float")
    try:
        floats.mkdir(parents=True, exist_ok=True)
        options.out.mkdir(parents=True, exist_ok=True)
        manifests(options, floats)
    except ForeignOperator as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except (OtherNetwork, DataMissing) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"export: {error.filename}: {error.strerror}; train first, or name another file", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

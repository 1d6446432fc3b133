"""Photographs of a folder, or the frames of a video file, as what stands before the simulated sensor.

Owns finding and decoding them and what is shown when; the camera owns numbers, times and delivery. A photograph is
shown for a while at its own size, after a plain grey picture of that size, so that motion and light beam see it come
and go as they would a vehicle.
"""

import functools
import logging
import math
from pathlib import Path

import cv2
import numpy as np

from firmware.faults import ConfigRejected
from firmware.records import Image
from hw_sim.sensors import Subject

LOG = logging.getLogger(__name__)

PHOTOGRAPH_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

_GREY_LEVEL = 118
_BEAM_BROKEN_S = 0.2
_FRAMES_PER_SECOND_FALLBACK = 30.0  # for a video that does not say


class PhotographScene:
    """Photographs one after the other: grey for `gap_s`, then the picture for `hold_s`; at the end grey for ever."""

    def __init__(self, paths: list[Path], *, hold_s: float, gap_s: float) -> None:
        """Take the files in their order. Raises ValueError for times that are not above zero."""
        if hold_s <= 0 or gap_s <= 0:
            raise ValueError("a photograph needs time to be shown, and a gap before it")
        self._paths = paths
        self._hold_s, self._slot_s = hold_s, hold_s + gap_s
        self._gap_s = gap_s
        self._unreadable: set[Path] = set()
        self._decode = functools.lru_cache(maxsize=2)(self._decoded)

    @property
    def unreadable(self) -> int:
        """How many files could not be decoded so far."""
        return len(self._unreadable)

    @property
    def end_s(self) -> float:
        """When the last photograph and the gap behind it have been shown."""
        return len(self._paths) * self._slot_s + self._gap_s

    def picture_at(self, elapsed_s: float) -> Image:
        """Return the photograph of that time or a grey picture, uint8 (H, W, 3) BGR, not writeable."""
        index = min(max(0, math.floor(elapsed_s / self._slot_s)), len(self._paths) - 1)
        photograph = self._decode(index)
        into_slot_s = elapsed_s - index * self._slot_s
        if self._gap_s <= into_slot_s < self._slot_s and photograph is not None:
            return photograph
        return _grey((720, 1280) if photograph is None else photograph.shape[:2])

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:
        """Return the photographs that appear in from_s <= t < to_s."""
        first = max(0, math.ceil((from_s - self._gap_s) / self._slot_s))
        appearances = []
        for index in range(first, len(self._paths)):
            appears_s = index * self._slot_s + self._gap_s
            if appears_s >= to_s:
                break
            appearances.append(Subject(at_s=appears_s, until_s=appears_s + min(_BEAM_BROKEN_S, self._hold_s)))
        return appearances

    def close(self) -> None:
        """Forget the decoded pictures."""
        self._decode.cache_clear()

    def _decoded(self, index: int) -> Image | None:
        path = self._paths[index]
        try:
            data = np.fromfile(path, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except (OSError, cv2.error):
            image = None
        if image is None:
            if path not in self._unreadable:
                self._unreadable.add(path)
                LOG.warning("%s is no picture that can be read; it is skipped", path)
            return None
        image.flags.writeable = False  # several frames share it
        return np.asarray(image, np.uint8)


class VideoScene:
    """A video file at its own pace; at its end the last picture stays."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises ConfigRejected if it holds no picture."""
        self._path = path
        self._index = -1
        self._last: Image | None = None
        self._ended_s = math.inf
        self._capture = cv2.VideoCapture(str(path))
        self._rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not 1.0 <= self._rate_hz <= 1000.0:
            self._rate_hz = _FRAMES_PER_SECOND_FALLBACK
        self._advance(0)
        if self._last is None:
            self._capture.release()
            raise ConfigRejected(
                f"{path} is neither a picture nor a video that can be read; name another file or a folder"
            )

    @property
    def unreadable(self) -> int:
        """A video is one file, and it was readable."""
        return 0

    @property
    def end_s(self) -> float:
        """When the last frame has been shown; infinite until the end of the file has been seen."""
        return self._ended_s

    def picture_at(self, elapsed_s: float) -> Image:
        """Return the frame of that time, uint8 (H, W, 3) BGR, not writeable. Going back begins the file again."""
        index = max(0, math.floor(elapsed_s * self._rate_hz + 1e-6))
        if index < self._index:
            self._capture.release()
            self._capture = cv2.VideoCapture(str(self._path))
            self._index = -1
        self._advance(index)
        if self._last is None:
            raise RuntimeError("a video that had been read cannot be read again")
        return self._last

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:  # noqa: ARG002  as every scene
        """Return nothing: no sensor stood beside the camera that took the video."""
        return []

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _advance(self, index: int) -> None:
        """Read forward to frame `index`; those between are skipped without decoding."""
        while self._index < index and (self._index + 1) / self._rate_hz < self._ended_s:
            if not self._capture.grab():
                self._ended_s = (self._index + 1) / self._rate_hz
                return
            self._index += 1
            if self._index == index:
                decoded, image = self._capture.retrieve()
                if decoded:
                    image.flags.writeable = False
                    self._last = np.asarray(image, np.uint8)


def open_scene(source: Path, *, hold_s: float, gap_s: float) -> PhotographScene | VideoScene:
    """Open a folder of photographs, one photograph or a video file. Raises ConfigRejected with what to do."""
    if source.is_dir():
        return PhotographScene(_photographs(source), hold_s=hold_s, gap_s=gap_s)
    if not source.exists():
        raise ConfigRejected(f"{source} does not exist; name a folder of photographs or a video file")
    if source.suffix.lower() in PHOTOGRAPH_SUFFIXES:
        if not cv2.haveImageReader(str(source)):
            raise ConfigRejected(f"{source} is no picture that can be read; name another file or a folder")
        return PhotographScene([source], hold_s=hold_s, gap_s=gap_s)
    return VideoScene(source)


def _photographs(folder: Path) -> list[Path]:
    """Return the pictures of `folder` by name. Raises ConfigRejected if there are none, or none that can be read."""
    kinds = ", ".join(suffix[1:] for suffix in PHOTOGRAPH_SUFFIXES)
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTOGRAPH_SUFFIXES)
    except OSError as error:
        raise ConfigRejected(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error
    if not paths:
        raise ConfigRejected(f"{folder} holds no photographs; put files of these kinds into it: {kinds}")
    if not any(cv2.haveImageReader(str(path)) for path in paths):
        raise ConfigRejected(f"none of the {len(paths)} files in {folder} is a picture that can be read; replace them")
    return paths


@functools.lru_cache(maxsize=4)
def _grey(size: tuple[int, int]) -> Image:
    image = np.full((*size, 3), _GREY_LEVEL, np.uint8)
    image.flags.writeable = False
    return image

"""Photographs of a folder, or the frames of a video file, as what stands before the simulated sensor.

Owns finding and decoding them and what is shown when; the camera owns times and delivery. A photograph is shown for a
while, after a plain grey picture, so that motion and light beam see it come and go as they would a vehicle. It was
exposed by somebody else, so the sensor's light changes nothing.

A sensor has one size, and photographs have many. So the sensor before a folder is made to measure: of the pictures' own
size if they share one, which then arrive pixel by pixel, else of the plate detector's proportions and large enough for
the largest. Smaller ones are enlarged to fill it: to be found they need their share of the frame, and to be read they
lose nothing by it.
"""

import functools
import logging
import math
from pathlib import Path

import cv2
import numpy as np

from firmware import detect
from firmware.faults import ConfigRejected
from firmware.records import Grey, Image, Light
from hw_sim.sensors import Subject

LOG = logging.getLogger(__name__)

PHOTOGRAPH_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

MEASURED_AT_MOST = 32
"""So many photographs of a folder decide how large the sensor is; a larger one among the rest is reduced."""

LONGEST_SIDE_PX, SHORTEST_WIDTH_PX = 4096, 240
"""What a sensor for photographs has at most, so that memory suffices, and at least, so that motion can be seen."""

_SMALLER = 4  # times as wide and high is the picture as its small grey copy
_KEPT = 8  # frames of a video: the camera may hold some back
_GREY_LEVEL = 118
_BEAM_BROKEN_S = 0.2
_FRAMES_PER_SECOND_FALLBACK = 30.0  # for a video that does not say


class PhotographScene:
    """Photographs one after the other: grey for `gap_s`, then the picture for `hold_s`; at the end grey for ever.

    `size_px` is the width and height of all that it shows.
    """

    def __init__(self, paths: list[Path], *, hold_s: float, gap_s: float) -> None:
        """Take the files in their order. Raises ValueError for times that are not above zero."""
        if hold_s <= 0 or gap_s <= 0:
            raise ValueError("a photograph needs time to be shown, and a gap before it")
        self._paths = paths
        self._hold_s, self._slot_s = hold_s, hold_s + gap_s
        self._gap_s = gap_s
        self._unreadable: set[Path] = set()
        self._shown = functools.lru_cache(maxsize=2)(self._fitted)
        self._shown_small = functools.lru_cache(maxsize=2)(self._small)
        self.size_px = sensor_size({size for path in paths[:MEASURED_AT_MOST] if (size := _size_of(path)) is not None})

    @property
    def unreadable(self) -> int:
        """How many files could not be decoded so far."""
        return len(self._unreadable)

    @property
    def end_s(self) -> float:
        """When the last photograph and the gap behind it have been shown."""
        return len(self._paths) * self._slot_s + self._gap_s

    def picture_at(self, elapsed_s: float, light: Light) -> Image:  # noqa: ARG002  as every scene
        """Return the photograph of that time or a grey picture, uint8 (H, W, 3) BGR, not writeable."""
        return self._shown(self._index_at(elapsed_s))

    def small_at(self, elapsed_s: float, light: Light) -> Grey:  # noqa: ARG002  as every scene
        """Return its brightness, uint8, a quarter as wide and high."""
        return self._shown_small(self._index_at(elapsed_s))

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
        self._shown.cache_clear()
        self._shown_small.cache_clear()

    def _index_at(self, elapsed_s: float) -> int | None:
        """Return which photograph is shown; None while it is grey."""
        index = math.floor(elapsed_s / self._slot_s)
        is_shown = 0 <= index < len(self._paths) and elapsed_s - index * self._slot_s >= self._gap_s
        return index if is_shown else None

    def _fitted(self, index: int | None) -> Image:
        path = None if index is None else self._paths[index]
        image = None if path is None else _decoded(path)
        if path is not None and image is None and path not in self._unreadable:
            self._unreadable.add(path)
            LOG.warning("%s is no picture that can be read; it is skipped", path)
        frame = grey_picture(self.size_px) if image is None else fitted(image, self.size_px)
        frame.flags.writeable = False  # several frames share it
        return frame

    def _small(self, index: int | None) -> Grey:
        return small_of(self._shown(index))


class VideoScene:
    """A video file at its own pace; at its end the last picture stays."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises ConfigRejected if it holds no picture."""
        self._path = path
        self._index = -1
        self._kept: dict[int, Image] = {}  # the newest frames by their index
        self._ended_s = math.inf
        self._capture = cv2.VideoCapture(str(path))
        self._rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not 1.0 <= self._rate_hz <= 1000.0:
            self._rate_hz = _FRAMES_PER_SECOND_FALLBACK
        self.size_px = sensor_size(
            {(int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))}
        )
        self._advance(0)
        if not self._kept:
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

    def picture_at(self, elapsed_s: float, light: Light) -> Image:  # noqa: ARG002  as every scene
        """Return the frame of that time, uint8 (H, W, 3) BGR, not writeable. Going far back begins the file again."""
        index = max(0, math.floor(elapsed_s * self._rate_hz + 1e-6))
        if index < min(self._kept, default=0):
            self._capture.release()
            self._capture = cv2.VideoCapture(str(self._path))
            self._index = -1
            self._kept.clear()
        self._advance(index)
        shown = [kept for kept in self._kept if kept <= index]
        if not shown:
            raise RuntimeError("a video that had been read cannot be read again")
        return self._kept[max(shown)]

    def small_at(self, elapsed_s: float, light: Light) -> Grey:
        """Return its brightness, uint8, a quarter as wide and high."""
        return small_of(self.picture_at(elapsed_s, light))

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
                    frame = fitted(np.asarray(image, np.uint8), self.size_px)
                    frame.flags.writeable = False
                    self._kept[index] = frame
                    self._kept = {kept: self._kept[kept] for kept in sorted(self._kept)[-_KEPT:]}


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


def sensor_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """Return the even width and height of a sensor on which pictures of these sizes fit."""
    width_px = max((width for width, _ in sizes), default=SHORTEST_WIDTH_PX)
    height_px = max((height for _, height in sizes), default=SHORTEST_WIDTH_PX)
    if len(sizes) > 1:
        width_px = max(width_px, math.ceil(height_px * detect.WIDTH_PX / detect.HEIGHT_PX))
        height_px = max(height_px, math.ceil(width_px * detect.HEIGHT_PX / detect.WIDTH_PX))
    scale = max(1.0, SHORTEST_WIDTH_PX / max(1, width_px))
    scale = min(scale, LONGEST_SIDE_PX / max(1, width_px, height_px))
    return max(2, 2 * math.ceil(width_px * scale / 2)), max(2, 2 * math.ceil(height_px * scale / 2))


def fitted(image: Image, size_px: tuple[int, int]) -> Image:
    """Return `image` in the middle of a grey picture of this width and height, as large as possible, never cut.

    What is at most a pixel too small, as a picture of odd sides is, stays pixel by pixel as it is.
    """
    (height_px, width_px), (whole_px, high_px) = image.shape[:2], size_px
    if not {whole_px - width_px, high_px - height_px} <= {0, 1}:
        scale = min(whole_px / width_px, high_px / height_px)
        width_px, height_px = max(1, round(width_px * scale)), max(1, round(height_px * scale))
        how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC  # bilinear costs the reader two plates in a hundred
        image = np.asarray(cv2.resize(image, (width_px, height_px), interpolation=how), np.uint8)
    if (width_px, height_px) == size_px:
        return image
    picture = grey_picture(size_px)
    left_px, top_px = (whole_px - width_px) // 2, (high_px - height_px) // 2
    picture[top_px : top_px + height_px, left_px : left_px + width_px] = image
    return picture


def grey_picture(size_px: tuple[int, int]) -> Image:
    """Return a plain picture of this width and height, uint8 (H, W, 3)."""
    return np.full((size_px[1], size_px[0], 3), _GREY_LEVEL, np.uint8)


def small_of(image: Image) -> Grey:
    """Return the brightness of `image`, a quarter as wide and high."""
    size_px = (image.shape[1] // _SMALLER, image.shape[0] // _SMALLER)
    small = cv2.resize(image, size_px, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def _size_of(path: Path) -> tuple[int, int] | None:
    image = _decoded(path)
    return None if image is None else (image.shape[1], image.shape[0])


def _decoded(path: Path) -> "Image | None":
    """Return the picture of a file, uint8 (H, W, 3) BGR, or None if it is none."""
    try:
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else np.asarray(image, np.uint8)

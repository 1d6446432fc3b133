"""A page to watch a simulated unit: the newest picture with boxes, tracks and reads, renewed while it runs.

Owns a folder with a page, a picture and the reads so far; the page loads both again by itself, from the disk, without a
server. It stands between stage and networks and tracks for itself what it sees, so the unit knows nothing of it. What
it writes is in the clear: it is for roads that were drawn, and for one's own pictures.
"""

import math
from collections import deque
from pathlib import Path

import cv2
import numpy as np

from firmware.ocr import corners_of
from firmware.reading import Recogniser
from firmware.records import Frame, Image, Passage, Reading
from firmware.tracking import Tracker
from firmware.trails import centre_px
from provisioning.live_page import LOADER, LivePage

WIDTH_PX = 960
QUALITY = 85
READS_SHOWN = 14
TRACK_S = 1.5
"""A way is drawn as long as this."""

HOLD_S = 2.0
"""A picture with a plate is not replaced by one of the empty road before this time: it is what one looks for."""

_GREEN, _AMBER, _PAPER = (96, 214, 92), (64, 170, 250), (250, 250, 250)


class View:
    """A recogniser that shows what the one inside it reads."""

    def __init__(self, inside: Recogniser, folder: Path, *, reporting_score_ratio: float) -> None:
        """Write the page into `folder`, which is made if it is not there. Raises OSError."""
        self.version = inside.version
        self._inside = inside
        self._tracker = Tracker(reporting_score_ratio=reporting_score_ratio)
        self._sights: deque[tuple[float, tuple[float, float]]] = deque()
        self._plate_s = -math.inf
        self._reads: deque[dict[str, object]] = deque(maxlen=READS_SHOWN)
        self._live = LivePage(folder, _PAGE)
        self._write_state(frame_number=0, at_s=0.0)

    @property
    def page(self) -> Path:
        """The file to open in a browser."""
        return self._live.page

    def read(self, image: Image, *, frame_number: int, at_s: float) -> list[Reading]:
        """Return what the recogniser inside reads, and show it."""
        readings = self._inside.read(image, frame_number=frame_number, at_s=at_s)
        frame = Frame(
            number=frame_number,
            at_s=at_s,
            taken_utc_ms=round(at_s * 1000),
            clock_trusted=False,
            image=image,
            exposure_us=0.0,
            gain=0.0,
            infrared=False,
        )
        for passage in self._tracker.see(frame, readings):
            self._reads.appendleft(_described(passage))
        self._sights += [(at_s, centre_px(reading.box)) for reading in readings]
        while self._sights and at_s - self._sights[0][0] > TRACK_S:
            self._sights.popleft()
        if readings or at_s - self._plate_s > HOLD_S:
            self._plate_s = at_s
            self._live.replace("picture.jpg", _jpeg(self._drawn(image, readings)))
        self._write_state(frame_number=frame_number, at_s=at_s)
        return readings

    def _drawn(self, image: Image, readings: list[Reading]) -> Image:
        """Return the picture at the page's width with the way of each plate, its box and what it says."""
        scale = WIDTH_PX / image.shape[1]
        shown = np.asarray(
            cv2.resize(image, (WIDTH_PX, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA), np.uint8
        )
        for _, (x_px, y_px) in self._sights:
            cv2.circle(shown, (round(x_px * scale), round(y_px * scale)), 2, _AMBER, -1, cv2.LINE_AA)
        for reading in readings:
            box = reading.box
            quad = np.round(corners_of(box) * scale).astype(np.int32)
            cv2.polylines(shown, [quad], isClosed=True, color=_GREEN, thickness=2, lineType=cv2.LINE_AA)
            label = f"{reading.text or '?'}  {100 * reading.score_ratio:.0f} %  {reading.region or ''}"
            place = (round(box.x_px * scale), max(16, round(box.y_px * scale) - 8))
            for colour, thickness in (((0, 0, 0), 4), (_PAPER, 1)):
                cv2.putText(shown, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness, cv2.LINE_AA)
        return shown

    def _write_state(self, *, frame_number: int, at_s: float) -> None:
        state = {"frame": frame_number, "at_s": round(at_s, 2), "reads": list(self._reads)}
        self._live.show(state)


def _described(passage: Passage) -> dict[str, object]:
    return {
        "plate": "" if passage.plate is None else passage.plate.text,
        "region": passage.region or "",
        "score": round(100 * passage.score_ratio),
        "frames": passage.frames,
        "partial": passage.partial,
        "direction": passage.direction or "",
        "ends_s": round(passage.last_utc_ms / 1000, 1),
    }


def _jpeg(picture: Image) -> bytes:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


_PAGE = (
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Kestrel: what the simulated unit sees</title>
<style>
body { margin: 0; background: #14181d; color: #e8ebee; font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
main { display: flex; flex-wrap: wrap; gap: 24px; padding: 20px; align-items: flex-start; }
img { width: 960px; max-width: 100%; border-radius: 6px; background: #000; }
h1 { font-size: 18px; margin: 0 0 4px; font-weight: 600; }
p { margin: 0 0 14px; color: #9aa4ae; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 340px; }
th { text-align: left; color: #9aa4ae; font-weight: 500; }
td, th { padding: 5px 16px 5px 0; border-bottom: 1px solid #262d35; }
td:first-child { font: 600 17px/1.3 "DejaVu Sans Mono", monospace; letter-spacing: .06em; }
.partial { color: #ffb454; }
#still { color: #ffb454; }
</style>
</head>
<body>
<main>
<img id="picture" alt="The newest picture that was read, with plates marked">
<section>
<h1>What the unit reads</h1>
<p><span id="line">Waiting for the first picture</span> <span id="still"></span></p>
<table><thead><tr><th>Plate</th><th>State</th><th>Score</th><th>Frames</th><th></th></tr></thead><tbody id="reads">
</tbody></table>
</section>
</main>
<script>
let newest = -1, since = Date.now();
function show(state) {
  if (state.frame !== newest) {
    newest = state.frame; since = Date.now();
    if (state.frame) document.getElementById("picture").src = "picture.jpg?" + state.frame;
    document.getElementById("line").textContent = "Frame " + state.frame + ", " + state.at_s.toFixed(2) + " s";
  }
  document.getElementById("still").textContent = Date.now() - since > 3000 ? "(nothing moves)" : "";
  const body = document.getElementById("reads");
  body.replaceChildren(...state.reads.map(read => {
    const row = document.createElement("tr");
    if (read.partial) row.className = "partial";
    for (const text of [read.plate, read.region.replace("US-", ""), read.score + " %", read.frames,
                        read.partial ? "partial" : read.direction]) {
      const cell = document.createElement("td"); cell.textContent = text; row.append(cell);
    }
    return row;
  }));
}
"""
    + LOADER
    + """</script>
</body>
</html>
"""
)

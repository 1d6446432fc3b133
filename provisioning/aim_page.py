"""The aim as a page for a phone or laptop in the sun: dark on white, letters as large as the screen lets them be.

The picture is inside the page's state and shows no plate: each that was found is covered. When aiming ends it is gone.
"""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from firmware.records import Image
from provisioning.aim_words import Said
from provisioning.live_page import LOADER, LivePage
from provisioning.tongue import Tongue

QUALITY = 80


class AimPage:
    """Shows one aim after the other."""

    def __init__(self, folder: Path, tongue: Tongue) -> None:
        """Write the page into `folder`, in the tongue's language. Raises OSError."""
        self._live = LivePage(folder, tongue.said_page(_PAGE))
        self._number = 0
        self._state: dict[str, Any] = {}

    @property
    def page(self) -> Path:
        """The file to open in a browser."""
        return self._live.page

    def show(
        self, words: Said, numbers: list[tuple[str, str]], lane: str, picture: "Image | None", *, is_good: bool
    ) -> None:
        """Renew the page with words in its language; `picture` is uint8 (h, w, 3) BGR, as `aim_watch.drawn` has it."""
        self._number += 1
        self._state = {
            "number": self._number, "verdict": words.verdict, "sentence": words.sentence, "good": is_good,
            "numbers": numbers, "lane": lane, "picture": "" if picture is None else _data_url(picture),
        }  # fmt: skip
        self._live.show(self._state)

    def end(self) -> None:
        """Leave what was said last, without the picture."""
        if not self._state:
            return
        self._number += 1
        self._live.show(self._state | {"number": self._number, "picture": ""})


def _data_url(picture: Image) -> str:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(np.asarray(data).tobytes()).decode()


_PAGE = (
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Kestrel: aim</title>
<style>
body { margin: 0; background: #fff; color: #000; font: 500 18px/1.35 system-ui, "DejaVu Sans", sans-serif; }
#verdict { margin: 0; padding: .12em .3em; background: #000; color: #fff; font-weight: 800; line-height: 1.1;
  font-size: min(9.5vw, 120px); letter-spacing: -.01em; }
#verdict.good { background: #fff; color: #000; border-bottom: .12em solid #000; }
#sentence { margin: 0; padding: .5em .8em; font-size: clamp(20px, 3.2vw, 34px); font-weight: 600; }
main { display: flex; flex-wrap: wrap; gap: 20px; padding: 0 16px 16px; align-items: flex-start; }
img { width: 640px; max-width: 100%; border: 2px solid #000; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 18px; flex: 1 1 340px; }
td { padding: 4px 14px 4px 0; white-space: nowrap; border-bottom: 1px solid #999; }
td:last-child { font-weight: 700; }
#lane { font: 600 16px/1.4 "DejaVu Sans Mono", monospace; padding: 0 16px 16px; margin: 0; overflow-wrap: anywhere; }
#old { background: #000; color: #fff; padding: .3em .8em; font-size: 24px; font-weight: 700; }
</style>
</head>
<body>
<h1 id="verdict">WAIT</h1>
<p id="sentence">Waiting for the first picture.</p>
<p id="old" hidden>This is old: aiming has stopped.</p>
<main><img id="picture" alt="What the camera sees, with the lane mask and its middle" hidden>
<table><tbody id="numbers"></tbody></table></main>
<p id="lane"></p>
<script>
let newest = 0, since = Date.now();
function show(state) {
  document.getElementById("old").hidden = Date.now() - since < 5000;
  if (state.number === newest) return;
  newest = state.number; since = Date.now();
  const verdict = document.getElementById("verdict"), picture = document.getElementById("picture");
  verdict.textContent = state.verdict; verdict.className = state.good ? "good" : "";
  document.getElementById("sentence").textContent = state.sentence;
  document.getElementById("lane").textContent = state.lane;
  picture.hidden = !state.picture;
  if (state.picture) picture.src = state.picture;
  document.getElementById("numbers").replaceChildren(...state.numbers.map(pair => {
    const row = document.createElement("tr");
    for (const text of pair) {
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

"""The pictures of the documentation that the technician's tool makes: `python -m provisioning.pictures --out docs`.

Aiming in the terminal, the guided run in full screen, and the first page of the hand-over record that it ends with, on
the simulated board with a fixed seed. What fleet and unit they need is gone afterwards.
"""

import argparse
import contextlib
import io
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from unittest import mock

from PIL import Image

from firmware.config import CaptureConfig
from firmware.faults import ConfigRejected
from provisioning import aim_command, aim_session, guide_pictures, screen_pictures
from provisioning.aim_advice import Advice
from provisioning.aim_terminal import HOME, Colours
from provisioning.aim_watch import AimWatch
from provisioning.tongue import Language, Tongue

AIMED: Final = {
    "aim-amiss": (("--amiss", "right", "--seed", "2"), Advice.TURN_LEFT, 0),
    "aim-good": ((), Advice.GOOD, 20),
}
"""Each picture's options, what it is to advise, and how many plates must have been found; 0: none may have been."""

WATCHED_S: Final = 16.0
PAGE: Final = "handover-page-1"
PAGE_WIDTH_PX: Final = 900
PAGE_COLOURS: Final = 48
"""The page is print and small photos: with so many colours it looks the same and takes a quarter of the room."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures; return 0. Raises ConfigRejected, DeviceFault, TimeoutError and OSError."""
    parser = argparse.ArgumentParser(
        prog="python -m provisioning.pictures", description="Writes the pictures of the technician's tool."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures, SVG and PNG")
    out = parser.parse_args(arguments).out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for name in AIMED:
        screen_pictures.write(out / f"{name}.svg", aim_picture(name))
    with tempfile.TemporaryDirectory(prefix="kestrel-pictures-") as folder, _no_machine_of_ours():
        page = guide_pictures.write(out, Path(folder))
        (out / f"{PAGE}.png").write_bytes(first_page(page))
    return 0


def aim_picture(name: str) -> str:
    """Return what `kestrel-provision aim --board sim` shows, as SVG. Raises ConfigRejected if it never does."""
    words, advice, plates = AIMED[name]
    parser = argparse.ArgumentParser()
    aim_command.add_to(parser)
    watching = _Watching(advice, plates)
    aim_session.aimed(parser.parse_args(["--board", "sim", f"--seconds={WATCHED_S!r}", *words]), watching)
    if not watching.lines:
        raise ConfigRejected(f"{name}: {WATCHED_S:.0f} s did not come to it; look at `aim` with the same options")
    return screen_pictures.of_lines(watching.lines, " ".join(["kestrel-provision aim --board sim", *words]))


@contextlib.contextmanager
def _no_machine_of_ours() -> Iterator[None]:
    """Let check and record name the kernel by its first two numbers: the rest is of the machine that draws."""
    short = ".".join(platform.release().split(".")[:2])
    with mock.patch.object(platform, "release", return_value=short):
        yield


class _Screen(io.StringIO):
    """A terminal that keeps what was written."""

    def isatty(self) -> bool:
        return True


class _Watching:
    """Whoever aims, and keeps the screen that shows what is wanted with the most to be seen: a vehicle fills it."""

    def __init__(self, advice: Advice, plates: int) -> None:
        self.lines = ""
        self._advice, self._plates = advice, plates
        self._contrast = 0.0
        self._screen = _Screen()
        self._showing = aim_session.Showing(None, Colours.FULL, self._screen, Tongue(Language.ENGLISH))

    def show(self, watch: AimWatch, capture: CaptureConfig, cell: str) -> None:
        """Keep the screen if it is better than what was kept."""
        aim, seen = watch.aim(), watch.newest
        if seen is None or aim.advised.advice is not self._advice or aim.plates < self._plates or cell == "-":
            return
        contrast = float(seen.picture.std())
        if len(seen.plates_px) == bool(self._plates) and contrast > self._contrast:
            self._contrast = contrast
            self._showing.show(watch, capture, cell)
            self.lines = self._screen.getvalue().rpartition(HOME)[2].replace("\x1b[K", "")

    def is_over(self) -> bool:
        """Say no: the time ends it."""
        return False

    def end(self) -> None:
        """Keep what was kept."""


def first_page(pdf: Path) -> bytes:
    """Return the first page as PNG with a palette. Raises ConfigRejected if there is no program that draws it."""
    program = shutil.which("pdftoppm")
    if program is None:
        raise ConfigRejected("the program pdftoppm is not here, which draws the page; install Debian's poppler-utils")
    command = [program, "-png", "-singlefile", "-f", "1", "-scale-to-x", f"{PAGE_WIDTH_PX}", "-scale-to-y", "-1"]
    drawn = subprocess.run([*command, str(pdf)], check=True, capture_output=True).stdout  # noqa: S603
    with Image.open(io.BytesIO(drawn)) as page, io.BytesIO() as file:
        page.convert("RGB").quantize(PAGE_COLOURS).save(file, "PNG", optimize=True)
        return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())

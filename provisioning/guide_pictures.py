"""The full-screen guided run as pictures for the documentation: `python -m provisioning.guide_pictures --out docs`.

Driven by keys on the simulated board with a fixed seed, on a fleet and a unit that are gone afterwards.
"""

import argparse
import asyncio
import contextlib
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from textual.pilot import Pilot

from hw_sim.practice_office import PracticeOffice
from provisioning import guide_steps
from provisioning.aim_terminal import Colours
from provisioning.guide_screen import GuideApp
from provisioning.guide_state import StateFile
from provisioning.guiding import Guide, Job, Mark
from provisioning.tongue import Language, Tongue

SIZE: Final = (80, 24)
SEED: Final = 1
DEVICE_ID: Final = "k-4496zh0r"  # a unit of its own each time would make other pictures each time
LIMIT_S: Final = 180.0
TRIES_AT_MOST: Final = 3
LOOK_EVERY_S: Final = 0.1
ANSWERS: Final = ("North gate", "37.77", "-122.42", "250", "A. Ruiz")
FONT_ELSEWHERE: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture asks no server for its letters
KEY_NAMES: Final = {"-": "minus", ".": "full_stop"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures; return 0. Raises OSError."""
    parser = argparse.ArgumentParser(
        prog="python -m provisioning.guide_pictures", description="Writes pictures of the guided run."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures, SVG")
    out = parser.parse_args(arguments).out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kestrel-pictures-") as name, contextlib.chdir(name):
        fleet, unit = Path("practice/fleet"), Path("practice/unit")
        file = StateFile(unit)
        with file.held(), PracticeOffice(fleet) as office:
            file.change(device_id=DEVICE_ID)
            job = Job(
                board="sim",
                fleet=fleet,
                unit=unit,
                file=file,
                office=office,
                tongue=Tongue(Language.ENGLISH),
                seed=SEED,
            )
            asyncio.run(_drawn(Guide(job, guide_steps.steps()), out))
    return 0


async def _drawn(guide: Guide, out: Path) -> None:
    """Press the keys of a whole run, and write what is on the screen where something is to be seen."""
    app = GuideApp(guide, Colours.FULL)
    async with app.run_test(size=SIZE) as pilot:

        def picture(name: str) -> None:
            path = out / f"guide-{name}.svg"
            drawn = FONT_ELSEWHERE.sub("", app.export_screenshot(title="kestrel-provision guide"))
            path.write_text(drawn.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
            sys.stdout.write(f"{path}\n")

        for text in ANSWERS:
            await pilot.press(*(KEY_NAMES.get(sign, sign) for sign in text))
            if text is ANSWERS[-1]:
                picture("place")
            await pilot.press("enter")
        await _until(pilot, lambda: app.work is None)
        for name in ("fleet", "unit", "survey", "check"):
            await pilot.press("enter", "enter")  # on to the next step, and begin it
            await _until(pilot, lambda: app.work is None)
            step = next(step for step in guide.steps if step.name == name)
            for _ in range(TRIES_AT_MOST - 1):
                if guide.mark_of(step) is Mark.DONE:
                    break
                await pilot.press("1")  # once more: on a busy machine the simulated camera loses pictures
                await _until(pilot, lambda: app.work is None)
            if name == "check":
                picture(name)
        await pilot.press("enter", "enter")
        await _until(pilot, lambda: app.work is not None and app.work.view is not None and app.work.view.is_good)
        await pilot.pause(1.0)
        picture("aim")
        await pilot.press("enter")
        await _until(pilot, lambda: app.work is None)
        await pilot.press("enter", *"yes", "enter", "enter")
        await _until(pilot, lambda: app.work is None)
        picture("accepted")


async def _until(pilot: "Pilot[int]", is_so: Callable[[], bool]) -> None:
    """Wait until something is so. Raises TimeoutError."""

    async def looking() -> None:
        while not is_so():
            await pilot.pause(LOOK_EVERY_S)

    waiting: Awaitable[None] = looking()
    await asyncio.wait_for(waiting, LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())

"""The full-screen guided run as pictures for the documentation, driven by keys on the simulated board."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from textual.pilot import Pilot

from hw_sim.practice_office import PracticeOffice
from provisioning import guide_steps, screen_pictures
from provisioning.aim_terminal import Colours
from provisioning.guide_screen import GuideApp
from provisioning.guide_state import StateFile
from provisioning.guiding import AimView, Guide, Job, Mark
from provisioning.tongue import Language, Tongue

SIZE: Final = (80, 24)
SEED: Final = 1
DEVICE_ID: Final = "k-4496zh0r"  # a unit of its own each time would make other pictures each time
LIMIT_S: Final = 180.0
TRIES_AT_MOST: Final = 3
LOOK_EVERY_S: Final = 0.1
SHOWN_AFTER_S: Final = 0.3
VEHICLE_STD: Final = 25.0
"""Deviation of a picture's levels; with the lane's lines on an empty road it is about 15."""
ANSWERS: Final = ("North gate", "37.77", "-122.42", "250", "A. Ruiz")
KEY_NAMES: Final = {"-": "minus", ".": "full_stop"}


def write(out: Path, folder: Path) -> Path:
    """Write the pictures of a run in an empty folder; return the page of its hand-over, a PDF.

    Raises TimeoutError and OSError.
    """
    with contextlib.chdir(folder):
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
        return next(file.folder.glob("accepted-*.pdf")).absolute()


async def _drawn(guide: Guide, out: Path) -> None:
    """Press the keys of a whole run, and write what is on the screen where something is to be seen."""
    app = GuideApp(guide, Colours.FULL)
    async with app.run_test(size=SIZE) as pilot:

        def picture(name: str) -> None:
            drawn = app.export_screenshot(title="kestrel-provision guide --board sim")
            screen_pictures.write(out / f"guide-{name}.svg", screen_pictures.mended(drawn))

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
        view = None
        while view is None or app.work is None or app.work.view is not view:  # until the screen has caught up with it
            await _until(pilot, lambda: app.work is not None and _is_good_with_a_vehicle(app.work.view))
            view = None if app.work is None else app.work.view
            await pilot.pause(SHOWN_AFTER_S)
        picture("aim")
        await pilot.press("enter")
        await _until(pilot, lambda: app.work is None)
        await pilot.press("enter", *"yes", "enter", "enter")
        await _until(pilot, lambda: app.work is None)
        picture("accepted")


def _is_good_with_a_vehicle(view: AimView | None) -> bool:
    """Say whether the aim is good and more is to be seen than the road, whose grey is even."""
    return view is not None and view.is_good and view.picture is not None and float(view.picture.std()) > VEHICLE_STD


async def _until(pilot: "Pilot[int]", is_so: Callable[[], bool]) -> None:
    """Wait until something is so. Raises TimeoutError."""

    async def looking() -> None:
        while not is_so():
            await pilot.pause(LOOK_EVERY_S)

    waiting: Awaitable[None] = looking()
    await asyncio.wait_for(waiting, LIMIT_S)

"""What the tests of the guided run share: a job in a folder, the keys of its screen, and what a unit must have once."""

import asyncio
import json
import threading

import numpy as np

from firmware.command_line import EXIT_STOPPED
from provisioning import guide_steps
from provisioning.aim_terminal import Colours
from provisioning.aim_words import Said
from provisioning.guide_screen import GuideApp
from provisioning.guide_state import StateFile
from provisioning.guiding import AimView, Guide, Job, Outcome, Step, StepName, Stopped
from provisioning.tongue import Language, Tongue

SITE = {"name": "North gate", "latitude_deg": 37.77, "longitude_deg": -122.42, "bearing_deg": 250.0}
ANSWERS = ["North gate", "37.77", "-122.42", "250", "A. Ruiz"]
LIMIT_S = 20.0


def job_in(folder, *, fleet=True, board="sim", language=Language.ENGLISH, signal_minutes=0.001):
    return Job(
        board=board, fleet=folder / "fleet" if fleet else None, unit=folder / "unit",
        file=StateFile(folder / "unit"), office=None, tongue=Tongue(language),
        signal_minutes=signal_minutes,
    )  # fmt: skip


def guide_in(folder, **options):
    """Return a guide; its job's folder is made as the command makes it."""
    (folder / "unit" / "handover").mkdir(parents=True, exist_ok=True, mode=0o700)
    return Guide(job_in(folder, **options), guide_steps.steps())


class Listening:
    """A report that keeps what it hears."""

    def __init__(self):
        self.lines = []
        self.stops = False

    def say(self, line):
        self.lines.append(line)

    def show(self, view):
        self.lines.append(view.words.verdict)

    def is_stopping(self):
        return self.stops

    def is_enough(self, view):
        return view.is_good


def played_step(*, fails=0, may_skip=True, waits=False, view=False):
    """Return a step that fails so often, or works until it is stopped or its picture is taken."""
    done, breath = [], threading.Event()

    def run(job, report):
        report.say("It begins.")
        while waits and not report.is_stopping():
            breath.wait(0.02)
            if view:
                picture = np.full((64, 84, 3), 128, np.uint8)
                words, numbers = Said("LEFT 7 DEG", "Turn it."), [("seen", "2")]
                shown = AimView(words=words, numbers=numbers, picture=picture, is_good=False)
                report.show(shown)
                if report.is_enough(shown):
                    break
        if report.is_stopping():
            raise Stopped("it was stopped; start it again")
        done.append(1)
        is_good = len(done) > fails
        return Outcome(is_good=is_good, sentence="It is right." if is_good else "the lamp is dark: mend its cable")

    return Step(
        name=StepName.CHECK, title="Check", to_do="Try it.", may_skip=may_skip, fields=lambda job: (),
        answer=lambda job, values: None, is_done=lambda job: len(done) > fails, run=run,
    )  # fmt: skip


def on_screen(guide, played, *, size=(80, 24), colours=Colours.NONE):
    """Let `played(screen)` drive the app by keys alone; return the app's value."""

    async def main():
        app = GuideApp(guide, colours)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            try:
                await played(Screen(app, pilot))
                await pilot.pause()
            finally:
                if app.work is not None:
                    app.work.stop()
                    app.work.join()
        return app.return_value

    return asyncio.run(main())


class Screen:
    """What is on the screen, and the keys before it."""

    def __init__(self, app, pilot):
        self.app, self._pilot = app, pilot

    async def press(self, *keys):
        await self._pilot.press(*keys)
        await self._pilot.pause()

    async def type(self, text):
        await self.press(*("minus" if sign == "-" else "full_stop" if sign == "." else sign for sign in text))

    def text(self):
        """Return the screen's lines as one text."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)

    async def until(self, is_so):
        for _ in range(int(LIMIT_S / 0.05)):
            await self._pilot.pause(0.05)
            if is_so():
                return
        raise AssertionError(f"not in {LIMIT_S} s:\n{self.text()}")

    async def done(self):
        await self.until(lambda: self.app.work is None)


def state_of(folder):
    return json.loads((folder / "unit" / "handover" / "guide.json").read_text())


def assert_made_once(folder):
    """See that there is one unit: one registry entry, one key, and both the same unit's."""
    entries = list((folder / "fleet" / "registry").iterdir())
    assert [entry.stem for entry in entries] == [json.loads((folder / "unit" / "config.json").read_text())["device_id"]]
    assert len(json.loads(entries[0].read_text())["earlier_keys"] or []) == 0
    assert [path.name for path in (folder / "unit").glob("*.key")] == ["device.key"]
    assert not list(folder.glob(".fleet*"))


__all__ = ["ANSWERS", "EXIT_STOPPED", "SITE", "Listening", "assert_made_once", "guide_in", "job_in", "on_screen",
           "played_step", "state_of"]  # fmt: skip

"""The guided run apart from its faces: which steps there are, which are done, and what doing one of them came to.

A step is done when the disk shows it, and not because somebody said so: a run that was killed at any moment and is
started again carries on, and does nothing twice. Owns no screen and no words; each step calls what its command calls.
"""

import argparse
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from firmware.faults import ConfigRejected, KestrelError
from firmware.records import Image
from provisioning.aim_words import Said
from provisioning.guide_state import StateFile
from provisioning.tongue import Tongue


class StepName(enum.StrEnum):
    """The steps, in their order; each needs those before it."""

    PLACE = "place"
    FLEET = "fleet"
    UNIT = "unit"
    SURVEY = "survey"
    CHECK = "check"
    AIM = "aim"
    ACCEPT = "accept"


class Mark(enum.StrEnum):
    """How a step stands."""

    TO_DO = "to do"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing to be typed in. `hint` is an example or a bound; `value` what stands there already."""

    name: str
    label: str
    hint: str
    value: str = ""
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AimView:
    """One moment of aiming; `picture` is uint8 (h, w, 3) BGR with all plates covered, or None before the first."""

    words: Said
    numbers: list[tuple[str, str]]
    picture: "Image | None" = field(repr=False)
    is_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step came to, in a sentence."""

    is_good: bool
    sentence: str


class Report(Protocol):
    """Where a step tells how it goes, and hears whether it is to end. Called from the step's own thread."""

    def say(self, line: str) -> None:
        """Take one line of what happens."""
        ...

    def show(self, view: AimView) -> None:
        """Take the newest look through the camera."""
        ...

    def is_stopping(self) -> bool:
        """Say whether somebody wants the step to end without a result."""
        ...

    def is_enough(self, view: AimView) -> bool:
        """Say whether aiming is over with this look."""
        ...


class Office(Protocol):
    """Somebody who sees that broker and receiver of a practice fleet run."""

    def open(self, say: Callable[[str], None], is_stopping: Callable[[], bool]) -> None:
        """Start them if they do not run. Raises KestrelError, and OSError."""
        ...


class Stopped(KestrelError):
    """Somebody ended a step before it was done."""


class AnswerRefused(ConfigRejected):
    """What was typed in cannot be meant. `field` names where."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a guided run works on. `fleet` None: the office is elsewhere, and the unit is asked for by a file."""

    board: str
    fleet: Path | None
    unit: Path
    file: StateFile
    office: Office | None  # who answers a practice fleet; None: the fleet's own broker and receiver
    tongue: Tongue
    seed: int = 1
    signal_minutes: float | None = None  # how long the cell is listened to; None: as long as is usual

    @property
    def is_practice(self) -> bool:
        """Whether all of it happens on this machine."""
        return self.board == "sim"

    def open_office(self, report: Report) -> None:
        """See that there is somebody to talk to, where that is for practice. Raises KestrelError, and OSError."""
        if self.office is not None:
            self.office.open(report.say, report.is_stopping)

    def options(self, add_to: Callable[[argparse.ArgumentParser], None], *words: str) -> argparse.Namespace:
        """Return the options of a command as its own parser reads them, so that its defaults hold here too."""
        parser = argparse.ArgumentParser()
        parser.set_defaults(tongue=self.tongue)
        add_to(parser)
        return parser.parse_args(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what it is called, what to do now, what must be known, how the disk shows that it is done."""

    name: StepName
    title: str
    to_do: str
    may_skip: bool
    fields: Callable[[Job], tuple[Field, ...]]
    answer: Callable[[Job, Mapping[str, str]], None]  # keeps what was typed in; raises AnswerRefused
    is_done: Callable[[Job], bool]
    run: Callable[[Job, Report], Outcome]


class Guide:
    """Goes through the steps of one job. A face asks it what is next, runs that, and shows the outcome."""

    def __init__(self, job: Job, steps: tuple[Step, ...]) -> None:
        """Take the steps in their order."""
        self.job, self.steps = job, steps
        self.interrupted = next((step for step in steps if step.name == job.file.state.doing), None)
        self._failed: set[StepName] = set()

    def mark_of(self, step: Step) -> Mark:
        """Return how a step stands, by what is on the disk. Raises OSError."""
        try:
            if step.is_done(self.job):
                return Mark.DONE
        except ConfigRejected:  # something is there and no good: doing the step says what
            return Mark.FAILED
        if step.name in self.job.file.state.skipped:
            return Mark.SKIPPED
        return Mark.FAILED if step.name in self._failed else Mark.TO_DO

    def next_step(self) -> Step | None:
        """Return the first step that is neither done nor skipped; None if all are."""
        return next((step for step in self.steps if self.mark_of(step) in {Mark.TO_DO, Mark.FAILED}), None)

    def is_whole(self) -> bool:
        """Say whether every step is done, and none was left out."""
        return all(self.mark_of(step) is Mark.DONE for step in self.steps)

    def number_of(self, step: Step) -> int:
        """Return the number of a step, from 1."""
        return self.steps.index(step) + 1

    def questions(self, step: Step) -> tuple[Field, ...]:
        """Return what must be typed in before the step can be done; those that are known carry their value."""
        return step.fields(self.job)

    def answer(self, step: Step, values: Mapping[str, str]) -> None:
        """Keep what was typed in. Raises AnswerRefused, and OSError; then nothing was kept."""
        for asked in self.questions(step):
            if not asked.is_optional and not values.get(asked.name, "").strip():
                raise AnswerRefused(asked.name, f"{asked.label}: nothing was typed in; give it, such as {asked.hint}")
        step.answer(self.job, {name: value.strip() for name, value in values.items()})

    def run(self, step: Step, report: Report) -> Outcome:
        """Do a step; whatever is wrong with it is its outcome. Only a bug is raised."""
        outcome = _outcome(lambda: self._ran(step, report))
        if outcome.is_good:
            self._failed.discard(step.name)
        else:
            self._failed.add(step.name)
        return outcome

    def skip(self, step: Step, reason: str) -> None:
        """Leave a step out; the reason goes into the hand-over record. Raises AnswerRefused, and OSError."""
        if not step.may_skip:
            raise AnswerRefused("reason", f"{step.title} cannot be left out, for what follows needs it; do it, or stop")
        if len(reason.strip()) < 3:
            raise AnswerRefused("reason", "The reason is too short; say in a few words why this is left out")
        skipped = dict(self.job.file.state.skipped)
        self.job.file.change(skipped=skipped | {str(step.name): reason.strip()[:200]})

    def _ran(self, step: Step, report: Report) -> Outcome:
        state = self.job.file
        state.change(doing=str(step.name), skipped=_without(state.state.skipped, step.name))
        outcome = step.run(self.job, report)
        state.change(doing="")
        return outcome


def _outcome(work: Callable[[], Outcome]) -> Outcome:
    """Return what `work` came to; each error family becomes the sentence that its command would end with."""
    try:
        return work()
    except KestrelError as error:
        return Outcome(is_good=False, sentence=str(error))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        return Outcome(is_good=False, sentence=f"{what}; check the folder, its owner and the disk")


def _without(skipped: Mapping[str, str], name: StepName) -> dict[str, str]:
    return {step: reason for step, reason in skipped.items() if step != name}

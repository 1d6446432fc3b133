"""The guided run line by line: for a dumb terminal, a screen reader, and for scripts that answer nothing.

Owns the questions on standard input and the sign of life; what is done is `provisioning.guiding`'s.
"""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from provisioning import guide_words as words
from provisioning.guiding import AimView, AnswerRefused, Guide, Mark, Outcome, Step, Stopped

QUIET_S: Final = 0.8
AIM_LIMIT_S: Final = 120.0
"""How long a run that asks nothing waits for a good aim."""


class PlainGuide:
    """One guided run on a line-by-line terminal."""

    def __init__(self, guide: Guide, *, asks: bool, lines: TextIO | None = None) -> None:
        """Take the run; `asks` False: no question is asked, and the first failure ends it."""
        self._guide, self._asks = guide, asks
        self._lines = lines or sys.stdin

    def run(self) -> int:
        """Go through the steps; return 0 if all are done or left out, else 1. Raises AnswerRefused, and OSError."""
        guide = self._guide
        self._say(words.BEGIN)
        done = [step for step in guide.steps if guide.mark_of(step) is Mark.DONE]
        if guide.job.file.was_begun:
            interrupted = None if guide.interrupted is None else guide.interrupted.title
            self._say(words.carried_on(len(done), len(guide.steps), interrupted))
        while (step := guide.next_step()) is not None:
            self._say(f"\n{words.step_of(guide.number_of(step), len(guide.steps), step.title)}\n  {step.to_do}")
            self._answer(step)
            outcome = self._done(step)
            self._say(f"  {'Done' if outcome.is_good else 'Not done'}: {outcome.sentence}")
            if not outcome.is_good and not self._goes_on(step):
                self._say(words.KEPT)
                return EXIT_FAULT
        self._say(f"\n{words.ended(is_whole=guide.is_whole())}")
        return EXIT_STOPPED

    def _answer(self, step: Step) -> None:
        """Let the questions of a step be answered; without questions what is known already must do."""
        values = {asked.name: asked.value for asked in self._guide.questions(step)}
        if not self._asks:
            self._guide.answer(step, values)
            return
        to_ask = list(self._guide.questions(step))
        while to_ask:
            for asked in to_ask:
                shown = values[asked.name] or f"such as {asked.hint}"
                values[asked.name] = self._asked(f"  {asked.label} [{shown}]: ") or values[asked.name]
            try:
                self._guide.answer(step, values)
            except AnswerRefused as error:
                self._say(f"  {error}")
                to_ask = [asked for asked in self._guide.questions(step) if asked.name == error.field]
            else:
                return

    def _done(self, step: Step) -> Outcome:
        with _Lines(self._say, is_patient=self._asks) as report:
            return self._guide.run(step, report)

    def _goes_on(self, step: Step) -> bool:
        """Ask what to do about a step that failed; return whether the run goes on."""
        if not self._asks:
            return False
        choices = [words.AGAIN, *([words.SKIP] if step.may_skip else []), words.STOP]
        for number, choice in enumerate(choices, 1):
            self._say(f"  {number}  {choice}")
        while True:
            picked = self._asked("  Which one [1]: ") or "1"
            if picked.isdecimal() and 1 <= int(picked) <= len(choices):
                break
            self._say(f"  {picked!r} is none of these; type a number from 1 to {len(choices)}.")
        choice = choices[int(picked) - 1]
        while choice == words.SKIP:
            try:
                self._guide.skip(step, self._asked(f"  {words.REASON} [such as {words.REASON_HINT}]: "))
            except AnswerRefused as error:
                self._say(f"  {error}")
            else:
                break
        return choice != words.STOP

    def _asked(self, question: str) -> str:
        """Return what was typed in. Raises Stopped when nobody is there any more."""
        sys.stdout.write(question)
        sys.stdout.flush()
        line = self._lines.readline()
        if not line:
            raise Stopped("nobody answers the guide; start it again at a terminal, or with --yes and --site")
        return line.strip()

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class _Lines:
    """The report of a step as lines, and a dot a second while it says nothing. A context manager."""

    def __init__(self, say: Callable[[str], None], *, is_patient: bool) -> None:
        self._say, self._is_patient = say, is_patient
        self._ended = threading.Event()
        self._said_s = self._begun_s = time.monotonic()
        self._has_dots = False
        self._verdict = ""
        self._lock = threading.Lock()
        self._ticking = threading.Thread(target=self._tick, name="guide-dots")

    def say(self, line: str) -> None:
        """Print one line."""
        with self._lock:
            if self._has_dots:
                sys.stderr.write("\n")
                sys.stderr.flush()
            self._has_dots, self._said_s = False, time.monotonic()
            self._say(f"  {line}")

    def show(self, view: AimView) -> None:
        """Print a new verdict."""
        if view.words.verdict != self._verdict:
            self._verdict = view.words.verdict
            self.say(f"{view.words.verdict}: {view.words.sentence}")

    def is_stopping(self) -> bool:
        """Say no: Ctrl-C stops all."""
        return False

    def is_enough(self, view: AimView) -> bool:
        """Say whether the aim is good; a run that asks nothing does not wait for ever."""
        return view.is_good or (not self._is_patient and time.monotonic() - self._begun_s > AIM_LIMIT_S)

    def __enter__(self) -> Self:
        self._ticking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._ticking.join()
        if self._has_dots:
            sys.stderr.write("\n")

    def _tick(self) -> None:
        while not self._ended.wait(QUIET_S):
            with self._lock:
                if time.monotonic() - self._said_s >= QUIET_S:
                    sys.stderr.write("." if self._has_dots else "  .")
                    sys.stderr.flush()
                    self._has_dots = True

"""The guided run as a full screen: left the steps with their marks, right the step: what to do, how it goes, what came.

Keyboard only: digits, Enter, Esc, arrows. Owns what is shown and which key does what; what is done is `guiding`'s.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static

from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from firmware.faults import ConfigRejected
from provisioning import aim_terminal
from provisioning import guide_words as words
from provisioning.aim_terminal import Colours
from provisioning.guide_parts import Choices, Line, Row
from provisioning.guide_work import Work
from provisioning.guiding import AimView, AnswerRefused, Field, Guide, Mark, Outcome, Step, StepName

TICK_S = 0.2
NARROW_COLUMNS = 66
WHEEL = "|/-\\"
END_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class GuideApp(App[int]):
    """One guided run on one terminal. Its value is the exit code."""

    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "guide.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", priority=True),
        Binding("enter", "enter", priority=True),  # here, so that what is typed ahead falls into the next line
        Binding("escape", "back", priority=True),
        Binding("f2", "turn", priority=True),
        Binding("pageup", "scroll(-1)", priority=True),
        Binding("pagedown", "scroll(1)", priority=True),
    ]

    def __init__(self, guide: Guide, colours: Colours) -> None:
        """Take the run, and what the terminal can show of a picture."""
        super().__init__()
        self.work: Work | None = None
        self.bug: BaseException | None = None
        self._guide, self._colours = guide, colours
        self._step: Step | None = None
        self._is_reason = False  # the form asks why a step is left out
        self._is_refused = False  # one line of the form is being mended
        self._shown_lines = 0
        self._ticks = 0
        self._marks: dict[StepName, Mark] = {}

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(id="head", markup=False)
        with Horizontal(id="body"):
            yield Static(id="steps", markup=False)
            with Vertical(id="step"):
                yield Static(id="title", markup=False)
                yield Static(id="to_do", markup=False)
                yield Vertical(id="form")
                yield Static(id="refused", markup=False)
                with VerticalScroll(id="lines_box", can_focus=False):
                    yield Static(id="lines", markup=False)
                yield Static(id="live", markup=False)
                yield Static(id="result", markup=False)
                yield Choices("choices")
        yield Static(id="foot", markup=False)
        yield Static(id="aim", markup=False)

    async def on_mount(self) -> None:
        """Begin where the disk says."""
        if not self.is_headless:
            for number in END_SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, self.action_leave)
        self.set_interval(TICK_S, self._tick)
        guide = self._guide
        done = sum(guide.mark_of(step) is Mark.DONE for step in guide.steps)
        begun = ""
        if guide.job.file.was_begun:
            interrupted = None if guide.interrupted is None else guide.interrupted.title
            begun = words.carried_on(done, len(guide.steps), interrupted)
        await self._enter(guide.next_step(), begun)

    def on_resize(self, event: events.Resize) -> None:
        """Leave the list of steps out where there is no room for it."""
        self.screen.set_class(event.size.width < NARROW_COLUMNS, "narrow")

    async def on_choices_picked(self, event: Choices.Picked) -> None:
        """Do what was chosen."""
        step, choice = self._step, event.choice
        if choice == words.STOP:
            self.action_leave()
        elif choice == words.END or step is None:
            self.exit(EXIT_STOPPED)
        elif choice == words.SKIP:
            await self._ask(step, is_reason=True)
        elif choice == words.CHANGE:
            await self._ask(step, is_reason=False)
        elif choice in {words.START, words.AGAIN}:
            self._begin(step)
        else:
            await self._enter(self._guide.next_step())

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep what was typed in, and do the step."""
        event.stop()
        await self._submit({line.asked.name: line.value for line in self.query(Line)})

    def on_key(self, event: events.Key) -> None:
        """Move between the lines of a form."""
        if isinstance(self.focused, Line) and event.key in {"up", "down"}:
            lines = list(self.query(Line))
            self.set_focus(lines[(lines.index(self.focused) + (1 if event.key == "down" else -1)) % len(lines)])

    def action_enter(self) -> None:
        """Go to the next line of a form, or submit it; pick a choice; end aiming with what is seen."""
        line, lines = self.focused, list(self.query(Line))
        if self.work is not None:
            self.work.take()
        elif not isinstance(line, Line):
            self.query_one(Choices).pick()
        elif self._is_refused or line is lines[-1]:
            line.call_later(line.action_submit)  # after the keys that it has not yet seen
        else:
            self.set_focus(lines[lines.index(line) + 1])  # at once, and not when there is time as Widget.focus does

    async def action_back(self) -> None:
        """Stop the step that is at work; from a form, come to what can be chosen; there, point at stopping."""
        if self.work is not None:
            self.work.stop()
        elif isinstance(self.focused, Line) and self._step is not None:
            self._show_form(is_shown=False)
            self._offer(words.CHANGE, *([words.SKIP] if self._step.may_skip else []), words.STOP)
        else:
            self.query_one(Choices).select_last()

    def action_leave(self) -> None:
        """End the run; what is done is on the disk."""
        if self.work is not None:
            self.work.stop()
        self.exit(EXIT_FAULT)

    def action_turn(self) -> None:
        """Dark on light for the sun, light on dark for the night."""
        self.screen.toggle_class("dark")

    def action_scroll(self, pages: int) -> None:
        """Scroll what the step has said."""
        box = self.query_one("#lines_box", VerticalScroll)
        box.scroll_relative(y=pages * max(1, box.size.height - 1), animate=False)

    def _handle_exception(self, error: Exception) -> None:
        """Let a bug out as Python does: Textual would print the values of all variables, places among them."""
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self.bug = self.bug or error
            self.exit(EXIT_FAULT)

    async def _enter(self, step: Step | None, begun: str = "") -> None:
        """Show a step before it is done; None: there is none any more."""
        self._step = step
        self._say_result(None)
        self._set("#lines", begun)
        self._shown_lines = 0
        self._show_marks()
        guide = self._guide
        if step is None:
            self._set("#title", "")
            self._set("#to_do", words.ended(is_whole=guide.is_whole()))
            self._show_form(is_shown=False)
            self._offer(words.END)
            return
        self._set("#title", words.step_of(guide.number_of(step), len(guide.steps), step.title))
        self._set("#to_do", step.to_do)
        if guide.questions(step):
            await self._ask(step, is_reason=False)
        else:
            self._show_form(is_shown=False)
            self._offer(words.START, *([words.SKIP] if step.may_skip else []), words.STOP)

    async def _ask(self, step: Step, *, is_reason: bool) -> None:
        self._is_reason = is_reason
        reason = Field(name="reason", label=words.REASON_LABEL, hint=words.REASON_HINT)
        asked = (reason,) if is_reason else self._guide.questions(step)
        form = self.query_one("#form", Vertical)
        await form.remove_children()
        await form.mount_all([Row(one, self._said) for one in asked])
        self._show_form(is_shown=True)
        self._set("#result", "")
        self._set("#foot", words.FORM_FOOT)
        lines = list(self.query(Line))
        self.set_focus(next((line for line in lines if not line.value), lines[0]))

    async def _submit(self, values: dict[str, str]) -> None:
        step = self._step
        if step is None:
            return
        try:
            if self._is_reason:
                self._guide.skip(step, values["reason"])
            else:
                self._guide.answer(step, values)
        except AnswerRefused as error:
            self._refuse(str(error))
            self.set_focus(self.query_one(f"#field-{error.field}", Line))
        except (ConfigRejected, OSError) as error:
            self._refuse(str(error))
        else:
            self._show_form(is_shown=False)
            if self._is_reason:
                await self._enter(self._guide.next_step())
            else:
                self._begin(step)

    def _begin(self, step: Step) -> None:
        self._say_result(None)
        self._set("#lines", "")
        self._shown_lines = 0
        self.query_one(Choices).offer()
        self._set("#foot", words.WORK_FOOT)
        self.set_focus(None)
        self.work = Work(self._guide, step)
        self.work.start()
        self._tick()

    def _tick(self) -> None:
        """Show how the work goes: something moves at each call."""
        work = self.work
        if work is None:
            return
        self._ticks += 1
        wheel = WHEEL[self._ticks % len(WHEEL)]
        self._set("#live", f"{wheel}  {work.elapsed_s:.0f} s")
        if len(work.lines) != self._shown_lines:
            self._shown_lines = len(work.lines)
            self._set("#lines", "\n".join(work.lines))
            self.query_one("#lines_box", VerticalScroll).scroll_end(animate=False)
        if work.view is not None:
            self._show_aim(work.view, wheel)
        self._show_marks(wheel)
        if work.is_over:
            work.join()
            self.work = None
            self._end_of(work)

    def _end_of(self, work: Work) -> None:
        self.screen.remove_class("aiming")
        self._set("#aim", "")
        self._set("#live", "")
        if work.outcome is None:
            self.bug = work.bug
            self.exit(EXIT_FAULT)
            return
        outcome, following = work.outcome, self._guide.next_step()
        self._show_marks()
        self._say_result(outcome)
        if outcome.is_good:
            self._offer(*([words.END] if following is None else [words.next_is(following.title), words.STOP]))
            return
        change = [words.CHANGE] if self._guide.questions(work.step) else []
        skip = [words.SKIP] if work.step.may_skip else []
        self._offer(words.AGAIN, *change, *skip, words.STOP)

    def _show_aim(self, view: AimView, wheel: str) -> None:
        self.screen.add_class("aiming")
        said, foot = view.words, f"{wheel} {self._said(words.AIM_FOOT)}"
        lines = aim_terminal.screen(said.verdict, said.sentence, view.picture, view.numbers, foot, self._colours)
        self.query_one("#aim", Static).update(Text.from_ansi(lines))

    def _show_marks(self, wheel: str = "") -> None:
        """Show how each step stands; `wheel` turns at the one that is at work."""
        guide = self._guide
        if not wheel:  # the disk is asked when a step begins and ends
            self._marks = {step.name: guide.mark_of(step) for step in guide.steps}
        lines = []
        for step in guide.steps:
            is_here = step is self._step
            mark = f"[{wheel}]" if wheel and is_here else words.MARKS[self._marks[step.name]]
            line = f"{guide.number_of(step)} {mark} {self._said(step.title)}"
            lines.append(Text(f"{line:<21}"[:21], "reverse" if is_here else ""))
        self.query_one("#steps", Static).update(Text("\n\n").join(lines))
        job = guide.job
        state = job.file.state
        practice = self._said(words.PRACTICE) if job.is_practice else ""
        head = ["KESTREL", practice, state.device_id, state.site and state.site.name]  # a site's name is in no language
        self.query_one("#head", Static).update("   ".join(part for part in head if part))

    def _say_result(self, outcome: Outcome | None) -> None:
        self._set("#result", "" if outcome is None else outcome.sentence)
        self.query_one("#result").set_class(outcome is not None and not outcome.is_good, "bad")

    def _refuse(self, sentence: str) -> None:
        self._is_refused = bool(sentence)
        self._set("#refused", sentence)

    def _show_form(self, *, is_shown: bool) -> None:
        self.query_one("#form").display = is_shown
        self._refuse("")
        if is_shown:
            self.query_one(Choices).offer()

    def _offer(self, *choices: str) -> None:
        widget = self.query_one(Choices)
        widget.offer(*((choice, self._said(choice)) for choice in choices))
        self.set_focus(widget)
        self._set("#foot", words.CHOICE_FOOT)

    def _said(self, text: str) -> str:
        """Return a text in the technician's language."""
        return self._guide.job.tongue.said(text)

    def _set(self, name: str, text: str) -> None:
        widget = self.query_one(name, Static)
        widget.update(self._said(text))
        if name in {"#refused", "#result", "#live"}:
            widget.display = bool(text)


def run(guide: Guide) -> int:
    """Show the run on this terminal; return the exit code. A bug is let through when the terminal is itself again."""
    colours = aim_terminal.colours_of(os.environ, is_terminal=sys.stdout.isatty(), encoding=sys.stdout.encoding or "")
    app = GuideApp(guide, colours)
    with _screen_alone():
        code = app.run(mouse=False)
        if app.work is not None:
            app.work.join()
    if app.bug is not None:
        raise app.bug
    sys.stdout.write(f"{words.KEPT if code else words.ended(is_whole=guide.is_whole())}\n")
    return EXIT_FAULT if code is None else code


@contextlib.contextmanager
def _screen_alone() -> Iterator[None]:
    """Keep what native libraries write to standard error off the screen, which Textual draws there."""
    before = sys.__stderr__
    terminal = os.dup(sys.stderr.fileno())
    with tempfile.TemporaryFile() as aside, os.fdopen(terminal, "w", closefd=False) as screen:
        os.dup2(aside.fileno(), 2)
        sys.__stderr__ = screen  # type: ignore[misc]
        try:
            yield
        finally:
            screen.flush()
            sys.__stderr__ = before  # type: ignore[misc]
            os.dup2(terminal, 2)
            os.close(terminal)

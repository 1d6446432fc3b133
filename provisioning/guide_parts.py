"""The parts of the guided run's screen: a list of large choices, and a form's lines. guide.tcss says how they look."""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from provisioning.guiding import Field

CHOICE_COLUMNS = 34


class Choices(Static, can_focus=True):
    """What can be done next: a digit picks, or arrows and Enter."""

    class Picked(Message):
        """Somebody chose."""

        def __init__(self, choice: str) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, name: str) -> None:
        super().__init__("", id=name, markup=False)
        self._choices: tuple[tuple[str, str], ...] = ()
        self._selected = 0

    def offer(self, *choices: tuple[str, str]) -> None:
        """Show these, each as it is called and as it is said; the first is selected."""
        self._choices = choices
        self.select(0)

    def select(self, number: int) -> None:
        """Select one of them, counted from 0 and round."""
        self._selected = number % len(self._choices) if self._choices else 0
        lines = Text("\n").join(
            Text(f" {number}  {choice:<{CHOICE_COLUMNS}} ", "reverse" if number == self._selected + 1 else "")
            for number, (_, choice) in enumerate(self._choices, 1)
        )
        self.update(lines)

    def select_last(self) -> None:
        """Select the last one, which is to stop."""
        self.select(len(self._choices) - 1)

    def on_key(self, event: events.Key) -> None:
        """Pick or move."""
        if event.key.isdecimal() and 1 <= int(event.key) <= len(self._choices):
            self._pick(int(event.key) - 1)
        elif event.key in {"up", "down", "tab", "shift+tab"}:
            self.select(self._selected + (1 if event.key in {"down", "tab"} else -1))
        else:
            return
        event.stop()
        event.prevent_default()

    def pick(self) -> None:
        """Pick what is selected, if there is anything."""
        if self._choices:
            self._pick(self._selected)

    def _pick(self, number: int) -> None:
        choice, _ = self._choices[number]
        self.offer()  # a second press of the same key means nothing
        self.post_message(self.Picked(choice))


class Line(Input):
    """One line to type in; what stood there is written over only where somebody types."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, asked: Field, said: Callable[[str], str]) -> None:
        super().__init__(
            value=asked.value, placeholder=said(f"such as {asked.hint}"), id=f"field-{asked.name}",
            compact=True, select_on_focus=False,
        )  # fmt: skip
        self.asked = asked


class Row(Horizontal):
    """A label and its line."""

    def __init__(self, asked: Field, said: Callable[[str], str]) -> None:
        super().__init__(classes="row")
        self._asked, self._said = asked, said

    def compose(self) -> ComposeResult:
        """Put both side by side."""
        yield Static(self._said(self._asked.label), classes="label", markup=False)
        yield Line(self._asked, self._said)

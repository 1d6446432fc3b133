"""One step at work on a thread of its own, while a screen shows how it goes: lines, the newest look, the outcome."""

import threading
import time
from collections.abc import Callable

from provisioning.guiding import AimView, Guide, Outcome, Step


class Work:
    """Runs one step. The thread writes, the screen reads; each value is replaced whole."""

    def __init__(self, guide: Guide, step: Step) -> None:
        """Take the step; nothing is done before `start`."""
        self.step = step
        self.view: AimView | None = None
        self.outcome: Outcome | None = None
        self.bug: BaseException | None = None
        self._lines: tuple[str, ...] = ()
        self._guide = guide
        self._stopping, self._enough = threading.Event(), threading.Event()
        self._begun_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"guide-{step.name}")

    @property
    def lines(self) -> tuple[str, ...]:
        """All that the step has said, in order."""
        return self._lines

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun_s

    @property
    def is_over(self) -> bool:
        """Whether the step has ended, well or not."""
        return self.outcome is not None or self.bug is not None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the step to end without a result."""
        self._stopping.set()

    def take(self) -> None:
        """Let aiming end with what is seen now."""
        self._enough.set()

    def join(self) -> None:
        """Wait until the step has ended."""
        self._thread.join()

    def say(self, line: str) -> None:
        """Take one line of the step."""
        self._lines = (*self._lines, line)

    def show(self, view: AimView) -> None:
        """Take the newest look through the camera."""
        self.view = view

    def is_stopping(self) -> bool:
        """Say whether somebody wants the step to end."""
        return self._stopping.is_set()

    def is_enough(self, view: AimView) -> bool:  # noqa: ARG002  the technician decides, not the picture
        """Say whether the technician takes the aim as it is."""
        return self._enough.is_set()

    def _run(self) -> None:
        run: Callable[[Step, Work], Outcome] = self._guide.run
        try:
            self.outcome = run(self.step, self)
        except BaseException as error:
            self.bug = error
            raise

"""Says each second what a command is looking at, so that nobody thinks that it hangs. It writes to standard error."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TextIO

EVERY_S = 0.5
FIRST_AFTER_S = 0.7


class Progress:
    """A context manager around work that may take its time. On a terminal one line that changes, else dots."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_screen = out.isatty()
        self._lock = threading.Lock()
        self._what, self._ticks, self._has_line = "", 0, False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=False)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self.clear()

    def begin(self, what: str) -> None:
        """Say from now on that this is looked at."""
        with self._lock:
            self._what, self._ticks = what, 0

    def tell(self, sentence: str) -> None:
        """Say a sentence that stays."""
        self.clear()
        self._out.write(f"{sentence}\n")
        self._out.flush()

    def clear(self) -> None:
        """Make the line free for what is written next."""
        with self._lock:
            if self._has_line:
                self._out.write("\r\x1b[K" if self._is_screen else "\n")
                self._out.flush()
            self._has_line = False

    def _run(self) -> None:
        self._stopping.wait(FIRST_AFTER_S)
        while not self._stopping.wait(EVERY_S):
            with self._lock:
                self._ticks += 1
                dots = "." * (1 + self._ticks % 20)
                self._out.write(f"\r\x1b[K{self._what} {dots}" if self._is_screen else ".")
                self._out.flush()
                self._has_line = True


@contextlib.contextmanager
def moving() -> Iterator[Callable[[], None]]:
    """Show dots on a terminal while the work inside waits for others; a file gets none.

    Gives what makes the line free for a sentence.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with Progress(sys.stderr) as progress:
        yield progress.clear

"""The office of a practice fleet, for as long as a guided run needs it: broker and receiver on loopback, as a child.

The child hangs on a pipe: when this process ends, in whatever way, the pipe closes and the office ends with it. An
office that runs already, in another terminal, is used as it is.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cloud import fleet_folder
from firmware.faults import ConfigRejected, KestrelError
from hw_sim.broker import is_listening
from provisioning import guide_words

HERE: Final = frozenset({"localhost", "127.0.0.1"})
"""The broker's host of a fleet to practise with."""

START_LIMIT_S: Final = 20.0
STOP_LIMIT_S: Final = 20.0
LOOK_EVERY_S: Final = 0.1
OUTPUT_NAME: Final = "practice-office.txt"
HEARS: Final = b"Receiving"
"""What the receiver says when it hears the broker."""

_TIED: Final = (
    'exec 3<&0; "$@" 3<&- </dev/null & child=$!; { read -r _ <&3; kill $child 2>/dev/null; } & reader=$!; '
    "exec 3<&-; wait $child; kill $reader 2>/dev/null"
)
"""For sh(1): run a command until it ends or standard input does."""


class OfficeAbsent(KestrelError):
    """The practice office cannot be started here. The message says what to do."""


class PracticeOffice:
    """Broker and receiver of one practice fleet. A context manager; nothing runs before `open`."""

    def __init__(self, fleet: Path) -> None:
        """Take the fleet's folder, which need not be there yet."""
        self._fleet = fleet
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, say: Callable[[str], None], is_stopping: Callable[[], bool]) -> None:
        """See that broker and receiver of a practice fleet run. Raises OfficeAbsent, and OSError."""
        port = practice_port(self._fleet)
        if port is None or is_listening(port):
            return
        self.close()
        say(guide_words.OFFICE_OPENS)
        output = self._fleet / OUTPUT_NAME
        command = [sys.executable, "-m", "hw_sim", "office", str(self._fleet)]
        with output.open("wb") as file:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                ["/bin/sh", "-c", _TIED, "office", *command],
                stdin=subprocess.PIPE, stdout=file, stderr=file, process_group=0,
            )  # fmt: skip
        waiting, deadline_s = threading.Event(), time.monotonic() + START_LIMIT_S
        while not (is_listening(port) and HEARS in output.read_bytes()):
            if self._process.poll() is not None or time.monotonic() > deadline_s or is_stopping():
                self.close()
                raise OfficeAbsent(guide_words.office_absent(output))
            waiting.wait(LOOK_EVERY_S)

    def close(self) -> None:
        """End broker and receiver in order, if they are ours."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def practice_port(fleet: Path) -> int | None:
    """Return the broker's port of a fleet whose broker is this very machine; None for any other, or none yet."""
    try:
        shared = fleet_folder.load(fleet)
    except ConfigRejected:
        return None
    return shared.port if shared.host in HERE else None

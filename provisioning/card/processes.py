"""Starts one program, waits for it while somebody is told that it still runs, and returns what it said."""

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Final

TICK_S: Final = 1.0

Tick = Callable[[], None]


def finished(
    words: Sequence[str], tick: Tick, *, environment: Mapping[str, str] | None = None, descriptors: Sequence[int] = ()
) -> tuple[int, str]:
    """Return the exit code of a program and what it said; `tick` is called each second while it runs.

    It reads nothing, and is killed if waiting is interrupted. Raises OSError.
    """
    command = list(words)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        child = subprocess.Popen(  # noqa: S603  a list of words that the callers make, no shell
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment,
            pass_fds=descriptors,
        )  # fmt: skip
        try:
            code = _waited(child, tick)
        finally:
            child.kill()  # nothing if it has ended
            child.wait()
        said.seek(0)
        return code, said.read()


def _waited(child: "subprocess.Popen[bytes]", tick: Tick) -> int:
    while True:
        try:
            return child.wait(TICK_S)
        except subprocess.TimeoutExpired:
            tick()

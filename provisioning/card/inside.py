"""Runs the card's own programs inside the card's root.

On the running system they are simply started. On a mounted card each is started in mount and process namespaces of its
own (unshare(1)), where `entering` mounts what programs expect and changes the root. So nothing stays mounted when the
installer is killed. Every process holds the card's lock, so that none of them outlives the installer unseen.
"""

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from provisioning.card.findings import Refusal
from provisioning.card.mounted import Card
from provisioning.card.processes import Tick, finished
from provisioning.card.wording import CardRefused

BUNDLE_INSIDE: Final = PurePosixPath("/run/kestrel-bundle")
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_CONFIG_FILE": os.devnull,
}
DYING_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
"""So that nothing goes on writing to the card when the installer is killed (setpriv(1))."""

TAIL_CHARACTERS: Final = 300
CANNOT_EXECUTE: Final = 126
"""What `entering` ends with when the kernel does not know the program's format (ENOEXEC)."""

NOT_STARTED: Final = 127
"""And when the program is missing or cannot be read, as shells do."""


class Inside(Protocol):
    """What runs the card's programs. There is one more behind it: the tests' fake of a card."""

    def run(self, words: Sequence[str]) -> str:
        """Run a program of the card, return what it said. Raises CardRefused (COMMAND_FAILED, CANNOT_RUN)."""
        ...

    @property
    def bundle(self) -> PurePosixPath:
        """Return where the bundle lies for these programs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideRoot:
    """Runs programs of the card at `card.root`; `tick` is called about once a second while one runs."""

    card: Card
    bundle_folder: Path | None
    lock: int
    tick: Tick

    @property
    def bundle(self) -> PurePosixPath:
        """Return where the bundle lies for these programs."""
        return PurePosixPath(self.bundle_folder or "/") if self.card.is_running else BUNDLE_INSIDE

    def run(self, words: Sequence[str]) -> str:
        """Run a program of the card, return what it said. Raises CardRefused (COMMAND_FAILED, CANNOT_RUN)."""
        is_running = self.card.is_running
        command = [*DYING_WITH_US, *(words if is_running else self._entered(words))]
        ours = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}  # for `entering`, which passes it on to nobody
        environment = ENVIRONMENT if is_running else ENVIRONMENT | ours
        code, text = finished(command, self.tick, environment=environment, descriptors=[self.lock])
        if code == CANNOT_EXECUTE and not is_running:
            raise CardRefused(Refusal.CANNOT_RUN, what=self.card.architecture)
        if code != 0:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            last = (lines or [f"exit code {code}"])[-1]
            raise CardRefused(Refusal.COMMAND_FAILED, what=PurePosixPath(words[0]).name, tail=last[:TAIL_CHARACTERS])
        return text

    def _entered(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs `words` with the card as its root."""
        return [
            "unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child",
            sys.executable, "-m", "provisioning.card.entering", str(self.lock), str(self.card.root),
            str(self.bundle_folder or ""), *words,
        ]  # fmt: skip


@contextmanager
def locked(root: Path) -> Iterator[int]:
    """Hold the card's lock, which its programs inherit; yield its descriptor. Raises CardRefused (BUSY), OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CardRefused(Refusal.BUSY, root=str(root)) from error
        yield descriptor
    finally:
        os.close(descriptor)

"""Runs a program with the card as its root: `unshare ... python -m provisioning.card.entering LOCK ROOT BUNDLE WORDS`.

Started by `inside` in namespaces of its own, so whatever is mounted here is gone with it. LOCK is the card's, held
until the program has ended.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from provisioning.card.inside import BUNDLE_INSIDE, CANNOT_EXECUTE, ENVIRONMENT, NOT_STARTED


def main(arguments: Sequence[str]) -> int:
    """Mount, change the root, run; return the program's exit code.

    CANNOT_EXECUTE if it is another machine's, NOT_STARTED if it cannot be started for another reason.
    """
    lock, root, bundle, *words = arguments
    _mount(Path(root), bundle)
    os.chroot(root)
    os.chdir("/")
    try:
        return subprocess.run(  # noqa: S603  programs of the card by fixed names, no shell
            words, env=ENVIRONMENT, pass_fds=[int(lock)], check=False
        ).returncode
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
        return CANNOT_EXECUTE if error.errno == errno.ENOEXEC else NOT_STARTED


def _mount(root: Path, bundle: str) -> None:
    """Give the card's programs the kernel's file systems, an empty /run and /tmp, and the bundle to read."""
    _mounted("-t", "proc", "proc", root / "proc")
    _mounted("--rbind", "/dev", root / "dev")
    _mounted("--rbind", "/sys", root / "sys")
    for name in ("run", "tmp"):
        _mounted("-t", "tmpfs", "-o", "mode=755" if name == "run" else "mode=1777", "tmpfs", root / name)
    if bundle:
        place = root / BUNDLE_INSIDE.relative_to("/")
        place.mkdir()
        _mounted("--bind", bundle, place)
        _mounted("-o", "remount,bind,ro", place)


def _mounted(*words: str | Path) -> None:
    command = ["mount", *map(str, words)]
    subprocess.run(command, check=True)  # noqa: S603  mount(8) by words made above


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

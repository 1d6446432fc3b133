"""Make a fleet again and again, each time killed one step later, and then to the end; tell what was left: JSON lines.

Not a test but what one runs: `python killed_beginnings.py WORK`. A step is whatever another process could see: a file
opened, renamed or removed, a folder made. Each attempt is a forked process, killed just before its step.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from killed_rotations import ENDED, KILLED, in_child

from provisioning import fleet
from provisioning.certificates import present

STEPS = {"open", "os.rename", "os.mkdir", "os.remove"}
KEYS = "*.key"


def killed_at(step, folder):
    """Kill this process before the step of this number in `folder`; an audit hook stays until the process ends."""
    left = [step]

    def hook(event, arguments):
        if event in STEPS and str(arguments[0]).startswith(str(folder)):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def begin(folder):
    fleet.init(folder, host="broker.example", port=8883, now=present())


def keys_in(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob(KEYS)}


def one_step(step, folder):
    """Return how an attempt ended that is killed at `step`, how the next one did, and what became of the keys."""
    shutil.rmtree(folder, ignore_errors=True)

    def killed():
        killed_at(step, folder)
        begin(folder)

    code = in_child(killed)
    before, was_whole = keys_in(folder), (folder / "fleet.json").exists()
    again = ENDED if was_whole else in_child(lambda: begin(folder))
    after = keys_in(folder)
    return {
        "code": code,
        "was_whole": was_whole,
        "again": again,
        "kept": all(after[name] == text for name, text in before.items()),
        "found": len(before),
        "keys": sorted(after),
        "unfinished": [path.name for path in folder.rglob(".*")],
    }


def main(work):
    """Go on until an attempt ends before it is killed."""
    step, code = 0, KILLED
    while code == KILLED:
        step += 1
        told = one_step(step, work / "fleet")
        code = told["code"]
        sys.stdout.write(json.dumps({"step": step} | told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

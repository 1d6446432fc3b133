"""Make a fleet, or its root keys, again and again, each time killed one step later, and then to the end: JSON lines.

Not a test but what one runs: `python killed_beginnings.py WORK fleet|root`. A step is whatever another process could
see: a file opened, renamed or removed, a folder made. Each attempt is a forked process, killed just before its step.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from killed_rotations import ENDED, KILLED, in_child

from cloud import fleet_folder
from provisioning import fleet, root_ceremony, root_keys
from provisioning.certificates import present

STEPS = {"open", "os.rename", "os.mkdir", "os.remove"}
KEYS = {".key", ".p12"}
NAMES = ("Ann Lee", "Bo Kim", "Cy Roy")


class Said:
    """Every holder's passphrase."""

    def known(self, holder):
        return f"the passphrase of {holder}"

    chosen = known


def begin_fleet(folder):
    fleet.init(folder, host="broker.example", port=8883, now=present())


def begin_root(folder):
    if not root_ceremony.begin(folder, NAMES, None, present(), Said()).is_in_use:
        raise RuntimeError("the root is not in use")


WORK = {"fleet": (begin_fleet, fleet_folder.FLEET_NAME), "root": (begin_root, fleet_folder.UPDATE_ROOT)}
"""What is made, and the file that is there when it is whole."""


def killed_at(step, folder):
    """Kill this process before the step of this number in `folder`; an audit hook stays until the process ends."""
    left = [step]

    def hook(event, arguments):
        if event in STEPS and str(arguments[0]).startswith(str(folder)):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def keys_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in KEYS}


def one_step(step, folder, kind, before_all):
    """Return how an attempt ended that is killed at `step`, how the next one did, and what became of the keys."""
    begin, last = WORK[kind]
    shutil.rmtree(folder, ignore_errors=True)
    if before_all is not None:
        shutil.copytree(before_all, folder)

    def killed():
        killed_at(step, folder)
        begin(folder)

    code = in_child(killed)
    before, was_whole = keys_in(folder), (folder / last).exists()
    again = ENDED if was_whole else in_child(lambda: begin(folder))
    after = keys_in(folder)
    return {
        "code": code,
        "was_whole": was_whole,
        "again": again,
        "is_whole": (folder / last).exists(),
        "kept": all(after[name] == content for name, content in before.items()),
        "found": len(before),
        "keys": len(after),
        "unfinished": [path.name for path in folder.rglob(".*")],
    }


def main(work, kind):
    """Go on until an attempt ends before it is killed."""
    root_keys.ROUNDS = 1000
    before_all = None
    if kind == "root":
        before_all = work / "before"
        begin_fleet(before_all)
    step, code = 0, KILLED
    while code == KILLED:
        step += 1
        told = one_step(step, work / "fleet", kind, before_all)
        code = told["code"]
        sys.stdout.write(json.dumps({"step": step} | told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

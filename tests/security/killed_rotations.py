"""Rotate a copy of one unit again and again, each time killed one line later, and tell what was left: JSON lines.

Not a test but what one runs: `python killed_rotations.py FLEET UNIT WORK`. Each rotation is a forked process of its
own, so that no token is open here. A token's folder lies beside the unit's, in `softhsm`.
"""

import datetime as dt
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from pkcs11 import Attribute, ObjectClass

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import config, durable_files, identity, key_files
from firmware.board import pkcs11_token
from firmware.board.pkcs11_token import key_store
from firmware.faults import ConfigRejected, DeviceFault
from provisioning import signing, unit

CHANGING = {
    durable_files: {"write", "erase", "replace_and_erase", "synchronise_folder", "_overwrite"},
    key_files: {"prepare", "settle"},
    pkcs11_token: {"prepare", "settle", "_make", "end"},
    signing: {"sign"},
    unit: {"rotate", "request_rotation", "install", "take"},
}
"""Whatever a rotation changes, in files or in the token, is changed by a line of these functions."""

NOW = dt.datetime.fromtimestamp(1_800_000_000, tz=dt.UTC) + dt.timedelta(days=30)
MESSAGE = b"a read that was signed before or after"
KILLED, ENDED = 9, 0


def killed_at(step):
    """Kill this process before the line of these functions that is executed as number `step`."""
    left = [step]
    watched = {module.__file__: names for module, names in CHANGING.items()}

    def on_line(frame, event, _argument):
        if frame.f_code.co_name not in watched.get(frame.f_code.co_filename, ()):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    sys.settrace(on_line)


def own_copy(fleet, folder, work):
    """Return fleet and unit below `work`, copied; a token's too."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(fleet, work / "fleet")
    shutil.copytree(folder, work / "unit")
    tokens = folder.parent / "softhsm"
    if tokens.exists():
        shutil.copytree(tokens, work / "softhsm")
        path = work / "softhsm" / "softhsm2.conf"
        path.write_text(f"directories.tokendir = {work / 'softhsm' / 'tokens'}\nobjectstore.backend = file\n")
        os.environ["SOFTHSM2_CONF"] = str(path)
    return work / "fleet", work / "unit"


def in_child(work):
    """Run `work` in a forked process; return the signal or exit code with which it ended."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  the child says it by its exit code
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(ENDED)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def state(fleet, folder):
    """Return whether the unit has one whole pair, whether the receiver takes its signature, and its public key."""
    settings = config.load(folder / "config.json")
    try:
        made = identity.load(folder, settings.device_id, key_store(settings.token, folder))
        signature = made.device_key.sign(MESSAGE)
    except (ConfigRejected, DeviceFault) as refused:
        return {"whole": False, "why": str(refused)}
    accepted = False
    for key in Registry(fleet / fleet_folder.REGISTRY_FOLDER).keys(settings.device_id, int(NOW.timestamp() * 1000)):
        try:
            key.verify(signature, MESSAGE)
        except InvalidSignature:
            continue
        accepted = True
    return {"whole": True, "accepted": accepted, "key": made.device_key.public_key().public_bytes_raw().hex()}


def keys_left(folder):
    """Return how many private keys the unit has, in files and in its token."""
    files = len(list(folder.glob("*.key")))
    token = config.load(folder / "config.json").token
    if token is None:
        return files
    with pkcs11_token.TokenKeys(token).session() as session:
        return files + len(list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})))


def told(path, work):
    def tell():
        path.write_text(json.dumps(work()))

    code = in_child(tell)
    return json.loads(path.read_text()) if code == ENDED else {"whole": False, "why": f"ended with {code}"}


def rotation(step, fleet, folder):
    """Rotate, killed at the line `step`."""
    killed_at(step)
    unit.rotate(fleet, folder, NOW)


def one_step(step, fleet, folder, work):
    """Return what is left of a rotation that is killed at `step`, and of the one that follows it."""
    own_fleet, own_unit = own_copy(fleet, folder, work / "copy")
    note = work / "told.json"
    return {
        "code": in_child(lambda: rotation(step, own_fleet, own_unit)),
        "after": told(note, lambda: state(own_fleet, own_unit)),
        "final": told(note, lambda: rotated_again(own_fleet, own_unit)),
    }


def rotated_again(fleet, folder):
    """Rotate to the end; return what there is then."""
    unit.rotate(fleet, folder, NOW)
    return state(fleet, folder) | {"keys": keys_left(folder)}


def main(fleet, folder, work):
    """Go on until a rotation ends before it is killed; the first line is the state before all of them."""
    own_fleet, own_unit = own_copy(fleet, folder, work / "copy")
    sys.stdout.write(json.dumps(told(work / "told.json", lambda: state(own_fleet, own_unit))) + "\n")
    if (folder.parent / "softhsm").exists():
        del CHANGING[durable_files]  # one run through every line of these is enough
    step, code = 0, KILLED
    while code == KILLED:
        step += 1
        left = one_step(step, fleet, folder, work)
        code = left["code"]
        sys.stdout.write(json.dumps({"step": step} | left) + "\n")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))

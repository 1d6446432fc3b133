"""The shim between a child process and its disk: built here, told here what to note and what to refuse.

The parent calls `built` and `environment` and starts a child with them; the child calls the rest. disk_shim.c does it.
"""

import ctypes
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_suffix(".c")

_HEAD = struct.Struct("<cBHQI")


@dataclass(frozen=True, slots=True)
class Call:
    """One thing done to a file: kind W write, T truncate (to `offset`), S sync, C create, U unlink, M mark."""

    kind: str
    is_failed: bool
    name: str  # within the folder; "" is the folder itself
    offset: int
    data: bytes


def built(folder):
    """Compile the shim into `folder` and return its path."""
    compiler = shutil.which("cc")
    assert compiler, "the tests of a failing disk need a C compiler: apt install gcc libc6-dev"
    library = Path(folder) / "disk_shim.so"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    subprocess.run([compiler, *options, "-o", library, SOURCE, "-ldl"], check=True, timeout=60)
    return library


def environment(library):
    """Return the environment of a child above the shim."""
    paths = [str(ROOT), str(ROOT / "tests"), str(SOURCE.parent)]
    return os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(paths)}


class Shim:
    """The child's side."""

    def __init__(self):
        self._library = ctypes.CDLL(None)
        self._library.shim_calls.restype = ctypes.c_long

    def watch(self, folder, notes=""):
        """Look at what is done in `folder` from now on; with `notes`, write it there and let no sync through."""
        self._library.shim_watch(os.fsencode(folder), os.fsencode(notes))

    def mark(self, data):
        """Write `data` among the notes."""
        self._library.shim_mark(data, len(data))

    def fail(self, kinds, error, *, after=0, times=10**9, partial=False):
        """Refuse with `error` the calls of these kinds (letters of WTSOU), `times` times after `after` good ones.

        `partial`: half of the first refused write is done before, as when a disk fills up.
        """
        self._library.shim_fail(kinds.encode(), ctypes.c_long(after), ctypes.c_long(times), error, int(partial))

    def heal(self):
        """Refuse nothing; return how many calls of the kinds there were since `fail`."""
        calls = int(self._library.shim_calls())
        self.fail("", 0)
        return calls


def noted(path):
    """Return the calls in a file of notes, in order."""
    data, calls, at = Path(path).read_bytes(), [], 0
    while at < len(data):
        kind, failed, name_length, offset, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = data[at : at + name_length].decode()
        at += name_length
        calls.append(Call(kind.decode(), bool(failed), name, offset, data[at : at + length]))
        at += length
    return calls

"""The power is pulled at every write point: what `put` returned for is there, whole, and no number comes twice."""

import itertools
import json
import random
import shutil
import struct
import subprocess
import sys

import disk_shim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_reads import PLATE, KernelRandom, SetClock
from power_cut import Disk

from firmware import sealing
from firmware.outbox import Outbox

CUTS_A_LIFE = 25
LIVES = 4  # in a chain
STEPS = 40
CROP = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 6


class Chain:
    """Lives of one outbox, each beginning where a cut has left the one before."""

    def __init__(self, folder, shim, seed, crop=CROP):
        self.folder, self.shim, self.seed, self.crop = folder, shim, seed, crop
        self.random = random.Random(seed)
        self.device_key, self.agency_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.contents = {}
        self.wires = {}
        self.promised = set()  # numbers of messages for which `put` has returned
        self.number_handed_out = -1
        self.cuts = 0

    def live(self, *, failing):
        """Let one child live from `contents`; return the calls it made."""
        disk, notes = self.folder / "disk", self.folder / "notes"
        laid(disk, self.contents)
        notes.unlink(missing_ok=True)
        told = {
            "folder": str(disk),
            "notes": str(notes),
            "seed": self.random.randrange(10**6),
            "steps": STEPS,
            "device_key": self.device_key.private_bytes_raw().hex(),
            "agency_key": self.agency_key.private_bytes_raw().hex(),
            "plate": PLATE,
            "crop": self.crop.hex(),
            "failing": failing,
        }
        child = subprocess.run(
            [sys.executable, "-m", "outbox_life"],
            input=json.dumps(told).encode(),
            env=disk_shim.environment(self.shim),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert child.returncode == 0, child.stderr.decode()
        return disk_shim.noted(notes)

    def offered(self, calls):
        """Return the envelopes that were given to `put`."""
        return [call.data[9:] for call in calls if call.kind == "M" and call.data[:1] == b"P"]

    def cut(self, calls, count, *, failing):
        """Cut the power at `count` points of a life and look at what is left; go on from the last one."""
        points = [number for number, call in enumerate(calls) if call.kind != "M"]
        chosen = sorted(self.random.sample(points, min(count, len(points))))
        going_on = self.random.choice(chosen)
        disk, story = Disk(self.contents), Story(self, calls)
        for number, call in enumerate(calls):
            disk.take(call)
            story.tell(call)
            if number in chosen:
                left = disk.after_cut(self.random)
                self.look(left, story, number, failing=failing)
                if number == going_on:
                    goes_on = left, story.number_handed_out, set(self.promised)
        self.contents, self.number_handed_out, self.promised = goes_on  # what came after has never happened
        self.cuts += len(chosen)

    def look(self, left, story, number, *, failing):
        """Open the outbox on what a cut has left and compare it with the story."""
        where = f"seed {self.seed}, after {self.cuts} cuts, call {number}"
        folder = self.folder / "left"
        laid(folder, left | {"outbox.db-shm": self.random.randbytes(32768)} if left else left)
        outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**6, retention_s=1e9, clock=SetClock(), system=KernelRandom()
        )
        try:
            found = {waiting.token: waiting.wire for waiting in outbox.next_unsent(10**6, 0.0)}
            assert outbox._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], where
            assert sum(outbox._bytes.values()) == sum(map(len, found.values())), where
            assert outbox.reserve_sequence() > story.number_handed_out or story.number_handed_out < 0, where
        finally:
            outbox._connection.close()
        held, missing = set(found), story.must_be_there - set(found)
        assert not missing, f"{where}: {len(missing)} lost"
        assert held <= story.may_be_there, f"{where}: {len(held - story.may_be_there)} too many"
        if not failing:
            assert story.is_whole(held & self.promised), f"{where}: a step is there by half"
        for sequence, wire in found.items():
            assert wire == self.wires[sequence], where
            sealing.verify(sealing.from_wire(wire), self.device_key.public_key())


class Story:
    """What a life has said up to a point: which messages must, and which may, be on the disk."""

    def __init__(self, chain, calls):
        self._chain = chain
        self._held = [marked(call.data) for call in calls if call.kind == "M" and call.data[:1] == b"H"]
        self._steps = 0
        self._offered = set()  # to a `put` that may have failed: on the disk or not
        self._given_up = set()  # by what may have failed, likewise; until the next commit writes over it
        self._before = set(self._held[0])  # opening changes nothing
        self.number_handed_out = chain.number_handed_out

    def tell(self, call):
        if call.kind != "M":
            return
        match call.data[:1]:
            case b"H":
                if self._before != self._held[self._steps]:
                    self._given_up = set()
                self._before = self._held[self._steps]
                self._steps += 1
                self._chain.promised |= self._before & self._offered
            case b"D":
                self._given_up |= marked(call.data)
            case b"R":
                (number,) = marked(call.data)
                assert number > self.number_handed_out
                self.number_handed_out = number
            case b"P":
                (number,) = struct.unpack_from("<q", call.data, 1)
                self._chain.wires[number] = call.data[9:]
                self._offered.add(number)

    @property
    def _after(self):
        return self._held[min(self._steps, len(self._held) - 1)]

    @property
    def must_be_there(self):
        return (self._before & self._after & self._chain.promised) - self._given_up

    @property
    def may_be_there(self):
        return self._before | self._after | self._offered

    def is_whole(self, held):
        """Say whether this is before or after a step; messages that grow old are forgotten class by class."""
        before, after = self._before & self._chain.promised, self._after & self._chain.promised
        return held in (before, after) or after <= held <= before


def marked(data):
    return set(struct.unpack(f"<{(len(data) - 1) // 8}q", data[1:]))


def laid(folder, contents):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("failing", [False, True], ids=["a sound disk", "syncs and writes that fail"])
def test_cut_at_any_write_it_loses_nothing_and_repeats_no_number(ram_folder, shim_library, rounds, failing):
    left = rounds // 2
    for seed in itertools.count(1000 * failing):
        chain = Chain(ram_folder, shim_library, seed)
        for _ in range(LIVES):
            calls = chain.live(failing=failing)
            chain.cut(calls, min(CUTS_A_LIFE, left), failing=failing)
            left -= CUTS_A_LIFE
            if left <= 0:
                return

"""One life of an outbox above the shim: opens it, does what a seed says, and notes after each step what must be there.

`python -m outbox_life` with a JSON object on standard input: folder, notes, seed, steps, device_key and agency_key
(hex), plate, crop (hex), failing (whether syncs and writes fail now and then). Marks: R and a number that was handed
out; P, a number and the envelope that `put` is about to be given; D and the numbers that are about to be deleted; H and
the numbers that are held when a step is done.
"""

import errno
import json
import random
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from disk_shim import Shim
from kept_messages import of_class
from made_reads import START_UTC_MS, KernelRandom, SetClock, made_read, made_sealer

from firmware import sealing
from firmware.faults import DeviceFault
from firmware.outbox import Outbox
from firmware.records import MessageClass, Receipt

RETENTION_S = 86_400


class Life:
    """An outbox, the clock that it is told, and what is done with both."""

    def __init__(self, told):
        self.random = random.Random(told["seed"])
        self.told = told
        self.shim = Shim()
        self.clock = SetClock(START_UTC_MS + told["seed"] * 1000)
        self.device_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["device_key"]))
        agency_key = X25519PrivateKey.from_private_bytes(bytes.fromhex(told["agency_key"]))
        self.sealer = made_sealer(self.device_key, agency_key)
        self.crop = bytes.fromhex(told["crop"])
        self.open()

    def open(self):
        capacity_bytes = self.random.choice([20_000, 10**6])
        path = Path(self.told["folder"]) / "outbox.db"
        self.outbox = Outbox(
            path, capacity_bytes=capacity_bytes, retention_s=RETENTION_S, clock=self.clock, system=KernelRandom()
        )
        # SQLite moves the log into the file after 1,000 pages; here after a few, so that lives see it often
        self.outbox._connection.execute(f"PRAGMA wal_autocheckpoint = {self.random.choice([3, 10, 40])}")
        self.tell_held()

    def tell_held(self):
        self.tell(b"H", self.held())

    def tell(self, verb, numbers):
        self.shim.mark(verb + struct.pack(f"<{len(numbers)}q", *numbers))

    def held(self):
        return [sequence for sequence, _ in self.aged()]

    def aged(self):
        query = "SELECT sequence, kept_since_utc_ms FROM messages ORDER BY sequence"
        return self.outbox._connection.execute(query).fetchall()

    def put(self):
        sequence = self.outbox.reserve_sequence()
        self.tell(b"R", [sequence])
        message_class = self.random.choice(list(MessageClass))
        crop = self.crop * self.random.choice([0, 1, 1, 3])
        read = made_read(sequence, plate=self.told["plate"], picture=crop)
        sealed = of_class(message_class, read, self.sealer, self.device_key)
        wire = sealing.to_wire(sealed)
        self.tell(b"D", [row[0] for row in self.outbox._victims(message_class, len(wire)) or ()])
        self.shim.mark(b"P" + struct.pack("<q", sequence) + wire)
        self.outbox.put(sealed)

    def confirm(self):
        held = self.held()
        low, high = sorted(self.random.choices(held, k=2)) if held else (0, 0)
        self.tell(b"D", [sequence for sequence in held if low <= sequence <= high])
        self.outbox.confirm(Receipt(device_id="k-test0001", ranges=((low, high),), issued_utc_ms=START_UTC_MS))

    def expire(self):
        self.clock.now_utc_ms += self.random.choice([0, RETENTION_S * 200, RETENTION_S * 1100])
        oldest_utc_ms = self.clock.now_utc_ms - RETENTION_S * 1000
        self.tell(b"D", [sequence for sequence, since_utc_ms in self.aged() if since_utc_ms < oldest_utc_ms])
        self.outbox.expire()

    def send(self):
        for waiting in self.outbox.next_unsent(3, 1e9):
            self.outbox.mark_sent(waiting.token)
            self.outbox.acked(waiting.token, 0.0)

    def end_and_begin(self):
        self.outbox.close()
        self.open()

    def step(self):
        what = [self.put, self.confirm, self.expire, self.send, self.end_and_begin]
        (action,) = self.random.choices(what, [20, 3, 1, 3, 1])
        if not self.told["failing"]:
            action()
        else:
            self.fail_at(action)
        self.tell_held()

    def fail_at(self, action):
        """Do it on a disk that fails once or twice at some write or sync, or not at all."""
        kinds, error = self.random.choice([("S", errno.EIO), ("S", errno.EIO), ("W", errno.EIO), ("W", errno.ENOSPC)])
        self.shim.fail(kinds, error, after=self.random.randrange(8), times=self.random.choice([1, 2, 50]), partial=True)
        try:
            action()
        except DeviceFault:
            is_closed = action == self.end_and_begin
        else:
            is_closed = False
        self.shim.heal()
        if is_closed:
            self.open()


def main():
    told = json.loads(sys.stdin.read())
    Shim().watch(told["folder"], told["notes"])
    life = Life(told)
    for _ in range(told["steps"]):
        life.step()
    if life.random.random() < 0.5:
        life.outbox.close()


if __name__ == "__main__":
    main()

"""An outbox above the shim on a disk that refuses one write or sync after the other: `python -m refusals FOLDER`.

Each thing that an outbox does to its disk is tried again and again; the first call that is refused is the first, then
the second, and so on until it is done before any is refused. Prints how many were tried, by fault; ends with a
traceback where an outbox lost something, forgot its books or did not recover.
"""

import contextlib
import errno
import json
import shutil
import sys
from pathlib import Path

from disk_shim import Shim
from kept_messages import receipt, sealed, tokens_to_send
from made_reads import START_UTC_MS, KernelRandom, SetClock

from firmware.faults import DeviceFault, FaultCode
from firmware.numbering import SEQUENCE_BLOCK, SEQUENCES_IN_HAND
from firmware.outbox import Outbox

FAULTS = {
    "full": ("W", errno.ENOSPC, True),
    "full when synced": ("S", errno.ENOSPC, False),
    "read-only": ("WTO", errno.EROFS, False),
    "no write": ("W", errno.EIO, False),
    "no sync": ("S", errno.EIO, False),
    "once no write": ("W", errno.EIO, True),
    "once no sync": ("S", errno.EIO, False),
}
RETENTION_S = 86_400


class Bench:
    """An outbox that holds three old reads, and a log that is moved into the file at each commit."""

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.path, self.clock = folder / "outbox.db", SetClock()
        self.outbox = self.opened()
        self.kept = [self.outbox.reserve_sequence() for _ in range(3)]
        for number in self.kept:
            self.outbox.put(sealed(number, picture=bytes(3000)))
        self.newcomer = sealed(self.outbox.reserve_sequence(), picture=bytes(9000))

    def opened(self):
        outbox = Outbox(
            self.path, capacity_bytes=10**6, retention_s=RETENTION_S, clock=self.clock, system=KernelRandom()
        )
        outbox._connection.execute("PRAGMA wal_autocheckpoint = 1")
        return outbox

    def put(self):
        self.outbox.put(self.newcomer)
        self.kept.append(self.newcomer.sequence)

    def confirm(self):
        self.outbox.confirm(receipt((self.kept[0], self.kept[0])))
        del self.kept[0]

    def expire(self):
        self.clock.now_utc_ms = START_UTC_MS + RETENTION_S * 1000 + 1
        try:
            self.outbox.expire()
        finally:
            self.clock.now_utc_ms = START_UTC_MS
        self.kept.clear()

    def reserve(self):
        """Take numbers until a new block was needed: while some are in hand, a refusal is borne in silence."""
        before = self.outbox._numbering._reserved_below
        for _ in range(SEQUENCE_BLOCK - SEQUENCES_IN_HAND):
            self.outbox.reserve_sequence()
        if self.outbox._numbering._reserved_below == before:
            raise DeviceFault(FaultCode.STORAGE_REFUSED, "no new block")

    def close(self):
        self.outbox.close()

    def check(self):
        """Everything that was kept is there, and the books say so."""
        assert tokens_to_send(self.outbox) == self.kept
        sizes = self.outbox._connection.execute("SELECT LENGTH(wire) FROM messages").fetchall()
        assert sum(self.outbox._bytes.values()) == sum(size for (size,) in sizes)


def tried(folder, shim, action, fault, after):
    """Do it on a disk that refuses from call `after` on; return whether any was refused."""
    kinds, error, is_partial = FAULTS[fault]
    bench = Bench(folder)
    done = getattr(bench, action)
    shim.fail(kinds, error, after=after, times=1 if fault.startswith("once") else 10**9, partial=is_partial)
    refusal = None
    try:
        done()
    except DeviceFault as fault_of_disk:
        refusal = fault_of_disk.code
    assert refusal in {None, FaultCode.STORAGE_REFUSED}
    if action != "close":
        bench.check()  # what was kept can be read and sent while the disk refuses
        with contextlib.suppress(DeviceFault):  # and the books stay right when it refuses again
            bench.outbox.expire()
        bench.check()
    was_met = shim.heal() > after
    assert was_met or not refusal, f"{action}: a fault without a refusal"
    recovered(bench, action, is_done=not refusal)
    return was_met


def recovered(bench, action, *, is_done):
    """The disk works again: the same outbox goes on by itself, and so does the next one on the same file."""
    if action == "close":
        bench.outbox = bench.opened()
    elif not is_done:
        getattr(bench, action)()
    bench.check()
    number = bench.outbox.reserve_sequence()
    assert number > bench.newcomer.sequence
    bench.outbox.put(sealed(number))
    bench.kept.append(number)
    bench.outbox._connection.close()
    bench.outbox = bench.opened()
    bench.check()
    assert bench.outbox._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert bench.outbox.reserve_sequence() > number
    bench.outbox.close()


def check_that_names_last(folder, shim):
    """An outbox whose folder cannot be synced does not open: what it would promise could go with the log's name."""
    bench = Bench(folder)
    bench.outbox.close()
    shim.fail("S", errno.EIO)
    try:
        bench.opened()
    except DeviceFault:
        refused = True
    else:
        refused = False
    shim.heal()
    assert refused
    bench.outbox = bench.opened()
    bench.check()
    bench.outbox.close()


def main():
    folder, shim = Path(sys.argv[1]), Shim()
    folder.mkdir(exist_ok=True)
    shim.watch(folder / ".")
    check_that_names_last(folder / "disk", shim)
    counts = {}
    for fault in FAULTS:
        for action in ("put", "confirm", "expire", "reserve", "close"):
            after = 0
            while tried(folder / "disk", shim, action, fault, after):
                after += 1
            counts[f"{action}, {fault}"] = after
    print(json.dumps(counts))


if __name__ == "__main__":
    main()

"""An outbox on a disk that is really full: `python -m full_disk FOLDER`, FOLDER being a small file system of its own.

Once it fills up by the outbox itself, and once by others, to the last byte. Prints what it counted; ends with a
traceback where something was lost or did not come right by itself.
"""

import json
import os
import sys
from pathlib import Path

from kept_messages import receipt, sealed, tokens_to_send
from made_reads import KernelRandom, SetClock, made_config
from test_reading import Bench

from firmware.faults import DeviceFault, FaultCode
from firmware.outbox import Outbox
from firmware.reading import STORE_AGAIN_S, UNSTORED_AT_MOST

PASSES = UNSTORED_AT_MOST + 20
CROP_BYTES = 4000


def opened(path):
    return Outbox(path, capacity_bytes=10**9, retention_s=86_400, clock=SetClock(), system=KernelRandom())


def put_until_refused(outbox):
    """Return the numbers that were kept, and what was said of the first that was not."""
    kept = []
    while True:
        number = outbox.reserve_sequence()
        try:
            outbox.put(sealed(number, picture=os.urandom(CROP_BYTES)))
        except DeviceFault as fault:
            return kept, fault
        kept.append(number)


def filled_by_itself(path):
    """The outbox fills the disk; then all that it holds is confirmed by one receipt, again and again."""
    outbox, counts = opened(path), []
    for _ in range(3):
        kept, fault = put_until_refused(outbox)
        assert fault.code is FaultCode.STORAGE_REFUSED
        assert "is full; free space" in fault.hint
        assert tokens_to_send(outbox) == kept
        outbox._connection.close()
        outbox = opened(path)  # a restart finds all, and the disk as full as it was
        assert tokens_to_send(outbox) == kept
        assert outbox.confirm(receipt((kept[0], kept[-1]))) == len(kept)
        counts.append(len(kept))
    assert min(counts) > 0.7 * max(counts)  # the room that receipts have made is used again
    outbox.close()
    return counts


def filled_by_others(path):
    """Others take the last byte while vehicles pass: the oldest reads are given up, until there is room again."""
    outbox = opened(path)
    config = made_config()
    plates = {number * 80: f"AB{number * 37:04d}" for number in range(PASSES)}
    bench = Bench(config, outbox, plates)
    first, *others = plates
    bench.show(first)
    bench.stage.step(9.0)
    (kept,) = tokens_to_send(outbox)
    taken = path.with_name("others")
    with taken.open("wb", buffering=0) as file:
        while fill(file):
            pass
    for number in others:
        bench.show(number)
    bench.stage.step(1e6)
    assert [report.code for report in bench.faults.reports()] == [FaultCode.STORAGE_REFUSED]
    assert tokens_to_send(outbox) == [kept]
    taken.unlink()
    bench.stage.step(1e6 + STORE_AGAIN_S)
    assert bench.faults.reports() == []
    assert bench.stage.reads_lost == PASSES - 1 - UNSTORED_AT_MOST
    newest = [kept + PASSES - back for back in range(UNSTORED_AT_MOST, 0, -1)]
    assert tokens_to_send(outbox) == [kept, *newest]
    outbox.close()
    return bench.stage.reads_lost


def fill(file):
    try:
        return file.write(bytes(65_536)) or file.write(b"0")
    except OSError:
        return 0


def main():
    path = Path(sys.argv[1]) / "outbox.db"
    print(json.dumps({"kept": filled_by_itself(path), "lost": filled_by_others(path)}))


if __name__ == "__main__":
    main()

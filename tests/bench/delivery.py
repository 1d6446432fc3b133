"""What sealing and storing cost: `python -m tests.bench.delivery [--reads N]`. Prints; asserts nothing, is no test.

The disk of the machine decides how many durable puts a second there are, so each `put` is measured beside a plain
INSERT of the same bytes into a file of its own, under the same promise (WAL, synchronous=FULL), and the ratio is told.
"""

import argparse
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.opening_keys import OpeningKey
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.outbox import Outbox
from tests.made_reads import made_read, made_sealer


def plain_table(path: Path) -> sqlite3.Connection:
    """Return a new table of numbered blobs that is written as durably as the outbox."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE plain (sequence INTEGER PRIMARY KEY, wire BLOB NOT NULL)")
    return connection


def told(name: str, taken_s: list[float]) -> str:
    p50_s, p99_s = np.percentile(taken_s, [50, 99])
    return f"{name}: {len(taken_s) / sum(taken_s):.0f}/s, median {p50_s * 1e3:.2f} ms, p99 {p99_s * 1e3:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description="What sealing and storing cost.")
    parser.add_argument("--reads", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to be measured (default: the temporary one)")
    options = parser.parse_args()
    reads = [made_read(sequence, picture=bytes(4000)) for sequence in range(options.reads)]
    sealed = []
    for suites in ([SuiteNumber.X25519], [SuiteNumber.X25519] * 2, [SuiteNumber.X_WING], list(SuiteNumber)):
        sealer = made_sealer(Ed25519PrivateKey.generate(), *map(OpeningKey.generate, suites))
        started = time.perf_counter()
        sealed = [sealer.seal(read) for read in reads]
        rate = options.reads / (time.perf_counter() - started)
        without = len(sealing.to_wire(sealer.seal(made_read(0, picture=b""))))
        print(
            f"sealed to {' and '.join(suite.name for suite in suites)}: {rate:.0f} reads/s, "
            f"{len(sealing.to_wire(sealed[0]))} bytes with a 4 kB crop, {without} without"
        )

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        clock, system = LinuxClock(), LinuxSystem()
        outbox = Outbox(Path(folder) / "outbox.db", capacity_bytes=10**9, retention_s=10**6, clock=clock, system=system)
        plain = plain_table(Path(folder) / "plain.db")
        put_s, insert_s = [], []
        for read in sealed:  # by turns, so that whatever else the disk does strikes both
            started = time.perf_counter()
            outbox.put(read)
            put_s.append(time.perf_counter() - started)
            started = time.perf_counter()
            with plain:
                plain.execute("INSERT INTO plain VALUES (?, ?)", (read.sequence, sealing.to_wire(read)))
            insert_s.append(time.perf_counter() - started)
        outbox.close()
        plain.close()
    print(told("outbox, durable puts", put_s))
    print(told("plain durable INSERT", insert_s))
    ratios = [sum(put_s) / sum(insert_s)] + [np.percentile(put_s, q) / np.percentile(insert_s, q) for q in (50, 99)]
    print("put / INSERT: mean {:.2f}, median {:.2f}, p99 {:.2f}".format(*ratios))


if __name__ == "__main__":
    main()

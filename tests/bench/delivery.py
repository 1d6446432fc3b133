"""What sealing and storing cost: `python -m tests.bench.delivery [--reads N]`. Prints; asserts nothing, is no test."""

import argparse
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.opening_keys import OpeningKey
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.outbox import Outbox
from tests.made_reads import made_read, made_sealer


def main() -> None:
    parser = argparse.ArgumentParser(description="What sealing and storing cost.")
    parser.add_argument("--reads", type=int, default=500)
    options = parser.parse_args()
    reads = [made_read(sequence, jpeg=bytes(4000)) for sequence in range(options.reads)]
    sealed = []
    for suites in ([SuiteNumber.X25519], [SuiteNumber.X25519] * 2, [SuiteNumber.X_WING], list(SuiteNumber)):
        sealer = made_sealer(Ed25519PrivateKey.generate(), *map(OpeningKey.generate, suites))
        started = time.perf_counter()
        sealed = [sealer.seal(read) for read in reads]
        rate = options.reads / (time.perf_counter() - started)
        without = len(sealing.to_wire(sealer.seal(made_read(0, jpeg=b""))))
        print(
            f"sealed to {' and '.join(suite.name for suite in suites)}: {rate:.0f} reads/s, "
            f"{len(sealing.to_wire(sealed[0]))} bytes with a 4 kB crop, {without} without"
        )

    with tempfile.TemporaryDirectory() as folder:
        clock, system = LinuxClock(), LinuxSystem()
        outbox = Outbox(Path(folder) / "outbox.db", capacity_bytes=10**9, retention_s=10**6, clock=clock, system=system)
        started = time.perf_counter()
        for read in sealed:
            outbox.put(read)
        print(f"outbox: {options.reads / (time.perf_counter() - started):.0f} durable puts/s")
        outbox.close()


if __name__ == "__main__":
    main()

"""What sealing and storing cost: `python -m tests.bench.delivery [--reads N]`. Prints; asserts nothing, is no test."""

import argparse
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from firmware import sealing
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.outbox import Outbox
from tests.made_reads import made_read


def main() -> None:
    parser = argparse.ArgumentParser(description="What sealing and storing cost.")
    parser.add_argument("--reads", type=int, default=500)
    options = parser.parse_args()
    reads = [made_read(sequence, jpeg=bytes(4000)) for sequence in range(options.reads)]
    sealer = sealing.Sealer(reads[0].device_id, Ed25519PrivateKey.generate(), X25519PrivateKey.generate().public_key())

    started = time.perf_counter()
    sealed = [sealer.seal(read) for read in reads]
    print(f"sealing: {options.reads / (time.perf_counter() - started):.0f} reads/s with a 4 kB crop")
    without = len(sealing.to_wire(sealer.seal(made_read(0))))
    print(f"envelope: {len(sealing.to_wire(sealed[0]))} bytes with the crop, {without} without")

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

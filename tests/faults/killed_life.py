"""What a process does with an outbox until it is killed. It says what it has done when it is done, never before."""

import random
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_reads import KernelRandom, SetClock, made_read

from firmware.agency_keys import AgencyKey, SuiteNumber
from firmware.outbox import Outbox
from firmware.records import Receipt
from firmware.sealing import Sealer

DEVICE_ID = "k-test0001"


def live(path, device_key, agency_key, seed, pipe):
    """Number, put, send, and forget what receipts on `pipe` confirm, for ever."""
    chosen = random.Random(seed)
    device_key = Ed25519PrivateKey.from_private_bytes(device_key)
    sealer = Sealer(DEVICE_ID, device_key, [AgencyKey.from_raw(SuiteNumber.X25519, agency_key)])
    outbox = Outbox(Path(path), capacity_bytes=10**8, retention_s=10**6, clock=SetClock(), system=KernelRandom())
    outbox._connection.execute(f"PRAGMA wal_autocheckpoint = {chosen.choice([2, 20, 1000])}")
    while True:
        number = outbox.reserve_sequence()
        pipe.send(("reserved", number))
        outbox.put(sealer.seal(made_read(number, picture=bytes(chosen.randrange(6000)))))
        pipe.send(("kept", number))
        for waiting in outbox.next_unsent(chosen.randrange(3), 0.0):
            outbox.mark_sent(waiting.token)
            pipe.send(("sent", waiting.wire))
            outbox.acked(waiting.token, 0.0)
        while pipe.poll():
            low, high = pipe.recv()
            outbox.confirm(Receipt(device_id=DEVICE_ID, ranges=((low, high),), issued_utc_ms=0))
            pipe.send(("confirmed", low))

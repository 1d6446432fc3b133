"""Killed at any instant, again and again: nothing is lost, no number comes twice, the receiver has each read once."""

import multiprocessing
import random
import threading

import disk_shim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kept_messages import tokens_to_send
from killed_life import live
from made_reads import PLATE, START_UTC_MS, KernelRandom, SetClock

from cloud.opening import open_read
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.store import Outcome, ReadStore
from firmware import sealing
from firmware.agency_keys import SuiteNumber
from firmware.outbox import Outbox

STARTED = multiprocessing.get_context("forkserver")  # it imports once and forks: a life costs milliseconds
STARTED.set_forkserver_preload(["killed_life"])


class Agency:
    """The receiving end of the test: opens and stores for good, and says what a receipt may name."""

    def __init__(self, path, device_key, opening_key):
        self.store, self._device_key, self._ring = ReadStore(path), device_key, OpeningKeys([opening_key])
        self.outcomes = []

    def take(self, wire):
        sealed = sealing.from_wire(wire)
        sealing.verify(sealed, self._device_key.public_key())
        self.outcomes.append(self.store.put(open_read(sealed, self._ring), START_UTC_MS, wire))
        return (sealed.sequence, sealed.sequence)


class Killings:
    def __init__(self, folder):
        self.path = folder / "outbox.db"
        self.device_key, self.opening_key = Ed25519PrivateKey.generate(), OpeningKey.generate(SuiteNumber.X25519)
        self.agency = Agency(folder / "reads.db", self.device_key, self.opening_key)
        self.said = {"reserved": [], "kept": [], "confirmed": []}

    def kill_one(self, seed):
        """Let a process live for a few messages and a moment more, and kill it."""
        chosen = random.Random(seed)
        ours, its = STARTED.Pipe()
        keys = self.device_key.private_bytes_raw(), self.opening_key.public_bytes
        process = STARTED.Process(target=live, args=(self.path, *keys, seed, its))
        process.start()
        its.close()
        for _ in range(chosen.randrange(1, 25)):
            self.hear(ours)
        threading.Event().wait(chosen.random() * 0.01)  # what it does then is no longer in step with us
        process.kill()
        process.join(30)
        assert process.exitcode == -9
        process.close()
        while self.hear(ours):
            pass
        ours.close()

    def hear(self, pipe):
        """Take one message; return whether there was one."""
        try:
            word, what = pipe.recv()
            if word == "sent":
                pipe.send(self.agency.take(what))
            else:
                self.said[word].append(what)
        except (EOFError, OSError):  # the other end is dead, in the middle of a message perhaps
            return False
        return True


def test_killed_at_any_instant_it_loses_nothing_and_repeats_nothing(ram_folder, rounds, monkeypatch):
    # the process that forks is started once and needs to find what it is to import
    monkeypatch.setenv("PYTHONPATH", disk_shim.environment("")["PYTHONPATH"])
    killings = Killings(ram_folder)
    for seed in range(rounds // 2):  # a kill takes longer than a cut, and says less
        killings.kill_one(seed)
    reserved, kept, confirmed = (killings.said[word] for word in ("reserved", "kept", "confirmed"))
    assert len(kept) > rounds // 2
    assert len(set(reserved)) == len(reserved)

    outbox = Outbox(killings.path, capacity_bytes=10**8, retention_s=10**6, clock=SetClock(), system=KernelRandom())
    left = tokens_to_send(outbox)
    assert not set(left) & set(confirmed)
    for waiting in outbox.next_unsent(10**6, 0.0):
        killings.agency.take(waiting.wire)
    outbox.close()

    store = killings.agency.store
    stored = {sequence for low, high in store.newest_ranges("k-test0001", 10**6) for sequence in range(low, high + 1)}
    assert set(kept) <= stored
    assert Outcome.SEQUENCE_REUSED not in killings.agency.outcomes
    assert store.count() == len(stored) == killings.agency.outcomes.count(Outcome.STORED)
    store.close()
    assert not any(PLATE.encode() in path.read_bytes() for path in ram_folder.glob("outbox*"))

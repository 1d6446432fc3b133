"""A broker that is killed again and again while reads flow, and what must be true at the end. For any broker."""

import numpy as np

from cloud.store import ReadStore
from firmware.records import MessageClass


class KilledBroker:
    """Rounds of one unit, one broker and a receiver that is there or away; counts what the broker lost."""

    def __init__(self, broker, unit, start_receiver, store_path, seed):
        self.acknowledged_only = 0  # what the broker had acknowledged and not handed on when it was killed
        self.put = []
        self._broker, self._unit, self._start_receiver, self._store_path = broker, unit, start_receiver, store_path
        self._random = np.random.default_rng(seed)
        self._receiver = None

    def round(self):
        """Let some reads flow, kill the broker somewhere in between, start it again."""
        unit, chance = self._unit, self._random
        self._come_or_go()
        self._put(chance.integers(1, 12, endpoint=True))
        if chance.random() < 0.3 and hasattr(self._broker, "save"):
            self._broker.save()  # then its sessions outlive the kill, and what came after is gone without a trace
        enough = chance.integers(0, 12, endpoint=True)
        unit.run_until(lambda: unit.acknowledged() >= enough or unit.outbox.count() == 0, chance.uniform(0.05, 0.5))
        unit.skipped_s += chance.choice([0.0, 150.0, 5000.0])  # past the patience for receipts, or not
        unit.run_until(lambda: False, chance.choice([0.0, 0.01, 0.03]))
        acknowledged = unit.acknowledged()
        self._broker.kill()
        self.acknowledged_only += max(0, acknowledged - (len(self.stored()) - (len(self.put) - unit.outbox.count())))
        self._put(1)
        unit.run_until(lambda: False, 0.02)
        self._broker.start()
        unit.skipped_s += 400.0  # past the back-off
        if chance.random() < 0.5:  # a while to recover, or the next blow at once
            unit.run_until(lambda: unit.outbox.count() <= enough, 3.0)

    def come_to_rest(self, idle_limit_s=60.0):
        """Let the broker live and the receiver be there until the outbox is empty; return whether it became so.

        It may take as long as it likes on a slow disk, as long as it becomes emptier.
        """
        if self._receiver is None:
            self._receiver = self._start_receiver()
        unit, left, idle_s = self._unit, self._unit.outbox.count(), 0.0
        while left and idle_s < idle_limit_s:
            unit.run_until(lambda: unit.outbox.count() == 0, 2.0)
            unit.skipped_s += 3600.0
            left, idle_s = unit.outbox.count(), 0.0 if unit.outbox.count() < left else idle_s + 2.0
        self._receiver.stop()
        return left == 0

    def stored(self):
        """Return the sequence number of each read in the store, as often as it is there."""
        with ReadStore(self._store_path) as store:
            return sorted(sequence for (sequence,) in store._connection.execute("SELECT sequence FROM reads"))

    def _put(self, count):
        kind = MessageClass.ALERT if self._random.random() < 0.2 else MessageClass.READ
        self.put += [sealed.sequence for sealed in self._unit.put(count, message_class=kind)]

    def _come_or_go(self):
        match self._receiver, self._random.random() < 0.3:
            case None, True:
                self._receiver = self._start_receiver()
            case receiver, True:
                receiver.stop()
                self._receiver = None

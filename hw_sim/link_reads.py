"""The reads that a link is measured with: sealed as a unit seals them, each with a plate that no other has.

So what the receiver holds can be laid beside what was sealed by the plate alone, whatever numbers the parts gave it.
The plates are counted up and are nobody's.
"""

import contextlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from firmware.outbox import Outbox
from firmware.ports import Clock
from firmware.records import MessageClass
from firmware.sealing import Sealer
from hw_sim.invented_reads import invented_read

PICTURE_BYTES: Final = 3800
"""A plate's picture as the pages of README reckon it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What the truth knows of one read."""

    sequence: int
    message_class: MessageClass
    captured_s: float  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the reads at the receiver's store."""

    lost: int  # sealed, and not there
    duplicates: int  # there more than once, after de-duplication
    out_of_order: int  # first arrivals with a lower number than one before them; not of alerts: a new one goes first


class ReadSource:
    """Seals reads into an outbox, and keeps the truth by plate. Seeded."""

    def __init__(self, device_id: str, sealer: Sealer, outbox: Outbox, clock: Clock, seed: int) -> None:
        self.sealed: dict[str, Sealed] = {}
        self._device_id = device_id
        self._sealer = sealer
        self._outbox = outbox
        self._clock = clock
        self._random = Random(seed)

    def capture(self, message_class: MessageClass = MessageClass.READ, *, picture_bytes: int = PICTURE_BYTES) -> int:
        """Seal one read of this moment of the clock; return its token. Raises DeviceFault(STORAGE_REFUSED)."""
        plate = f"K{len(self.sealed):07d}"
        sequence = self._outbox.reserve_sequence()
        read = invented_read(
            self._device_id,
            sequence,
            plate,
            utc_ms=self._clock.utc_ms(),
            boot=(self._clock.boot_id(), round(self._clock.monotonic_s() * 1000)),
            picture_bytes=picture_bytes,
            chance=self._random,
        )
        self._outbox.put(self._sealer.seal(read, message_class=message_class))
        self.sealed[plate] = Sealed(
            sequence=sequence, message_class=message_class, captured_s=self._clock.monotonic_s()
        )
        return sequence

    def captured_s(self) -> dict[int, float]:
        """Return when each read was captured, by token."""
        return {one.sequence: one.captured_s for one in self.sealed.values()}

    def verdict(self, store_path: Path) -> Verdict:
        """Return what the store at `store_path` has of the reads.

        It looks into the file itself, and not through the receiver's own code, which is what is judged.
        """
        with contextlib.closing(sqlite3.connect(f"file:{store_path}?mode=ro", uri=True)) as store:
            arrived = [text for (text,) in store.execute("SELECT plate FROM reads ORDER BY rowid")]
        counts = Counter(arrived)
        highest, out_of_order = -1, 0
        for text in dict.fromkeys(arrived):
            truth = self.sealed[text]
            if truth.message_class is not MessageClass.ALERT:
                out_of_order += truth.sequence < highest
                highest = max(highest, truth.sequence)
        return Verdict(
            lost=len(self.sealed.keys() - counts.keys()),
            duplicates=counts.total() - len(counts),
            out_of_order=out_of_order,
        )

"""The outbox: sealed messages on disk until the receiver's receipt. Disk first, whole or not at all.

SQLite with WAL and synchronous=FULL, so what `put` returned for survives a pulled battery. It takes only SealedRead:
nothing readable ever lies here. Papers displace alerts, alerts reads, reads health messages and these pictures of
vehicles, never the other way round.
What is on its way (sent, acknowledged by the broker) is kept in memory only: after a restart everything without a
receipt goes again, and the receiver counts it once.

Used from two stages. One connection, one lock around each transaction; no call waits for the network.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware import sealing
from firmware.ages import Ages
from firmware.budget import MESSAGE_OVERHEAD_BYTES
from firmware.numbering import Numbering
from firmware.outbox_file import open_file, refusals_translated, refuse_if_nearly_full, whole_number
from firmware.ports import Clock, System
from firmware.records import MessageClass, Receipt, SealedRead

RECEIPT_WAIT_S: Final = 120.0
"""A receipt usually follows the PUBACK within seconds. Without one a read goes again after this, doubling each time."""

RECEIPT_WAIT_LIMIT_S: Final = 6 * 3600.0

UNRECEIPTED_MAX: Final = 200
"""With more than this on its way without a receipt only alerts go: a dead receiver must not cost the data plan."""

HEALTH_SHARE: Final = 0.01
"""Health messages may take this much of the capacity; above it the oldest of them goes."""

_FORGOTTEN_AT_ONCE: Final = 64
"""In one transaction: its log must fit in what is kept free on the disk."""

_Row = tuple[int, int, int]
"""Sequence, class and bytes of a message, for the books."""

_Stored = tuple[int, int | None, bytes]
"""Sequence, since when it is kept (ms since 1970) and envelope."""

_ORDER: Final = {
    MessageClass.PICTURE: "sequence",
    MessageClass.HEALTH: "sequence",
    MessageClass.READ: "sequence",
    MessageClass.ALERT: "sequence DESC",  # what happens now is worth more than what happened during the outage
    MessageClass.PAPER: "sequence",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One message to be sent: `token` names it to the link and back, `wire` is the envelope."""

    token: int
    message_class: MessageClass
    wire: bytes = field(repr=False)
    expiry_s: int  # how much longer it is of use: what is left of its class's retention time, 1 at least


class Outbox:
    """The sealed messages of one unit that the receiver has not yet confirmed. Safe to use from several stages.

    Counters for the health report, by class: `dropped` because the outbox was full, `expired` because they were old.
    """

    def __init__(self, path: Path, *, capacity_bytes: int, retention_s: float, clock: Clock, system: System) -> None:
        """Open or make the outbox at `path`. Raises DeviceFault(STORAGE_REFUSED)."""
        self.dropped: Counter[MessageClass] = Counter()
        self.expired: Counter[MessageClass] = Counter()
        self._path = path
        self._capacity_bytes = capacity_bytes
        self._ages = Ages(clock, retention_s)
        self._asked_utc_ms = -1  # when the newest receipt that asked for something was issued
        self._ration_bytes: int | None = None  # of reads that may still be sent
        self._wake: threading.Event | None = None
        self._lock = threading.Lock()
        with refusals_translated(path), contextlib.ExitStack() as unless_whole:
            self._connection = open_file(path)
            unless_whole.callback(self._connection.close)
            self._numbering = Numbering(self._connection, path, system)
            self._bytes = {message_class: self._bytes_on_disk(message_class) for message_class in MessageClass}
            unless_whole.pop_all()

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every `put` from now on."""
        self._wake = wake

    def reserve_sequence(self) -> int:
        """Return the next sequence number; never twice, whatever crashes or is copied.

        Raises DeviceFault(STORAGE_REFUSED).
        """
        with self._lock, refusals_translated(self._path):
            return self._numbering.take()

    def put(self, sealed: SealedRead) -> bool:
        """Keep `sealed`; when this returns True it is on the disk.

        If the outbox would grow above its capacity, the oldest messages of the lowest class make room and are counted
        in `dropped`; that may be `sealed` itself, and then this returns False.
        Raises DeviceFault(STORAGE_REFUSED): nothing kept before is lost.
        """
        if not isinstance(sealed, SealedRead):
            raise TypeError("the outbox takes sealed reads only")
        wire = sealing.to_wire(sealed)
        with self._lock, refusals_translated(self._path):
            kept_since = self._trusted_utc_ms()
            victims = self._victims(sealed.message_class, len(wire))
            if victims is None:
                self.dropped[sealed.message_class] += 1
                return False
            refuse_if_nearly_full(self._connection, self._path, len(wire))
            with self._connection:
                self._connection.executemany("DELETE FROM messages WHERE sequence = ?", [row[:1] for row in victims])
                # a `put` that is tried again after a fault may find its own row: an error after the commit
                kept = self._connection.execute(
                    "INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (sealed.sequence, int(sealed.message_class), kept_since, wire),
                )
                self._land(victims)
            self._bytes[sealed.message_class] += len(wire) * kept.rowcount
            self.dropped += self._written_off(victims)
        if self._wake:
            self._wake.set()
        return True

    def next_unsent(self, limit: int, now_s: float) -> list[Waiting]:
        """Return up to `limit` messages that should be sent now: papers; alerts, newest first; reads; health; pictures.

        Raises DeviceFault(STORAGE_REFUSED).
        """
        with self._lock, refusals_translated(self._path):
            utc_ms = self._trusted_utc_ms()
            lowest, withheld = self._lowest_to_send(), self._withheld()
            waiting: list[Waiting] = []
            for message_class in sorted(set(MessageClass) - set(withheld), reverse=True):
                room = limit - len(waiting)
                rows = self._due_again(message_class, now_s, room)
                rows += self._never_sent(message_class, room) if message_class >= lowest else []
                rows.sort(reverse=message_class is MessageClass.ALERT)
                waiting += [
                    Waiting(
                        token=token,
                        message_class=message_class,
                        wire=wire,
                        expiry_s=self._ages.left_s(message_class, since_utc_ms, utc_ms),
                    )
                    for token, since_utc_ms, wire in rows[:room]
                ]
        return waiting

    def mark_sent(self, token: int) -> None:
        """Note that this message was handed to the link: it is not sent again until the outcome is known."""
        with self._lock, refusals_translated(self._path), self._connection:
            self._connection.execute(
                """INSERT INTO flights SELECT sequence, class, 1, NULL FROM messages WHERE sequence = ?
                   ON CONFLICT (sequence) DO UPDATE SET sends = sends + 1, due_s = NULL""",
                (token,),
            )
            if self._ration_bytes is not None:
                self._ration_bytes -= self._number(
                    "SELECT COALESCE(SUM(LENGTH(wire) + ?), 0) FROM messages WHERE sequence = ?",
                    MESSAGE_OVERHEAD_BYTES,
                    token,
                )

    def acked(self, token: int, now_s: float) -> None:
        """Note the broker's PUBACK. The message stays: it goes again if no receipt comes in time."""
        with self._lock, refusals_translated(self._path), self._connection:
            self._connection.execute(
                "UPDATE flights SET due_s = ? + MIN(?, ? * (1 << MIN(sends - 1, 20))) WHERE sequence = ?",
                (now_s, RECEIPT_WAIT_LIMIT_S, RECEIPT_WAIT_S, token),
            )

    def postpone(self, token: int, until_s: float) -> None:
        """Note that the broker refused this message: it stays, and goes again at `until_s` at the earliest."""
        with self._lock, refusals_translated(self._path), self._connection:
            self._connection.execute("UPDATE flights SET due_s = ? WHERE sequence = ?", (until_s, token))

    def connection_lost(self) -> None:
        """Note that what the broker has not acknowledged is lost and must go again."""
        with self._lock, refusals_translated(self._path), self._connection:
            self._connection.execute("DELETE FROM flights WHERE due_s IS NULL")

    def session_lost(self) -> None:
        """Note that the broker has forgotten this unit, and maybe what it had acknowledged: all must go again."""
        with self._lock, refusals_translated(self._path), self._connection:
            self._connection.execute("DELETE FROM flights")

    def confirm(self, receipt: Receipt) -> int:
        """Forget the messages that `receipt` (already verified) names; return how many. Raises DeviceFault.

        What it asks for goes again at once, if it is here and the broker has acknowledged it; the rest is on its way
        or gone. A question counts once: somebody who sends an old one again must not spend the data plan.
        """
        with self._lock, refusals_translated(self._path):
            confirmed: Counter[MessageClass] = Counter()
            for pair in receipt.ranges:
                self._forget(confirmed, "sequence BETWEEN ? AND ?", *pair)
            if receipt.asked_again and receipt.issued_utc_ms > self._asked_utc_ms:
                self._asked_utc_ms = receipt.issued_utc_ms
                with self._connection:
                    self._connection.executemany(
                        "UPDATE flights SET due_s = 0 WHERE due_s IS NOT NULL AND sequence BETWEEN ? AND ?",
                        receipt.asked_again,
                    )
            return confirmed.total()

    def expire(self) -> int:
        """Forget the messages older than their class may be; return how many. Raises DeviceFault(STORAGE_REFUSED).

        Age counts from when the clock could be trusted, or a unit that wakes with a wrong date would forget all; and it
        goes on as time does, however the clock is set meanwhile.
        """
        with self._lock, refusals_translated(self._path):
            now_utc_ms = self._trusted_utc_ms()
            if now_utc_ms is None:
                return 0
            with self._connection:
                self._connection.execute(
                    "UPDATE messages SET kept_since_utc_ms = ? WHERE kept_since_utc_ms IS NULL", (now_utc_ms,)
                )
            before = self.expired.total()
            for message_class, retention_s in self._ages.retention_s.items():
                oldest_utc_ms = now_utc_ms - int(retention_s * 1000)
                self._forget(self.expired, "class = ? AND kept_since_utc_ms < ?", message_class, oldest_utc_ms)
            return self.expired.total() - before

    def next_due_s(self) -> float:
        """Return when the next message without a receipt goes again (monotonic seconds); infinity if none waits."""
        with self._lock, refusals_translated(self._path):
            (due_s,) = self._connection.execute(
                "SELECT MIN(due_s) FROM flights WHERE class IS NOT ? AND class IS NOT ?",
                self._withheld() or (None, None),
            ).fetchone()
            return float("inf") if due_s is None else float(due_s)

    def awaits_broker(self, now_s: float) -> bool:
        """Say whether a message should be with the broker by now: sent and not acknowledged, or due to be sent."""
        with self._lock, refusals_translated(self._path):
            unacknowledged = self._number("SELECT COUNT(*) FROM flights WHERE due_s IS NULL")
        return unacknowledged > 0 or bool(self.next_unsent(1, now_s))

    def holds(self, sequence: int) -> bool:
        """Say whether the message of this number waits for its receipt."""
        with self._lock, refusals_translated(self._path):
            return self._number("SELECT COUNT(*) FROM messages WHERE sequence = ?", sequence) > 0

    def count(self) -> int:
        """Return how many messages wait for their receipt."""
        with self._lock, refusals_translated(self._path):
            return self._number("SELECT COUNT(*) FROM messages")

    def count_of(self, message_class: MessageClass) -> int:
        """Return how many messages of a class wait for their receipt."""
        with self._lock, refusals_translated(self._path):
            return self._number("SELECT COUNT(*) FROM messages WHERE class = ?", message_class)

    def waiting_bytes(self) -> int:
        """Return how many bytes of envelopes wait for their receipt."""
        with self._lock:
            return sum(self._bytes.values())

    def oldest_utc_ms(self) -> int | None:
        """Return since when the oldest message waits; None if none does, or none since the clock could be trusted."""
        with self._lock, refusals_translated(self._path):
            (oldest,) = self._connection.execute("SELECT MIN(kept_since_utc_ms) FROM messages").fetchone()
            return None if oldest is None else int(oldest)

    def ration_reads(self, size_bytes: int) -> None:
        """Let so many bytes on air go from now on, then no reads and no pictures; alerts and health go all the same.

        What is sent of those counts too, so that the whole stays within what was meant.
        """
        with self._lock:
            was_empty = bool(self._withheld())
            self._ration_bytes = size_bytes
            if was_empty and size_bytes > 0 and self._wake:
                self._wake.set()

    def reserved(self) -> int:
        """Return how many sequence numbers this outbox has ever given out; up to two blocks too many after a crash."""
        with self._lock, refusals_translated(self._path):
            return self._numbering.given()

    def close(self) -> None:
        """Take the numbers that nobody used out of the count, and close the file. Nothing works after this."""
        with self._lock, refusals_translated(self._path):
            try:
                self._numbering.give_back()
            finally:
                self._connection.close()

    def _due_again(self, message_class: MessageClass, now_s: float, limit: int) -> list[_Stored]:
        """Return the messages of a class that were sent and whose receipt, or whose broker's room, is overdue."""
        return self._connection.execute(
            f"""SELECT sequence, kept_since_utc_ms, wire FROM flights JOIN messages USING (sequence)
                WHERE flights.class = ? AND due_s <= ? ORDER BY {_ORDER[message_class]} LIMIT ?""",  # noqa: S608
            (message_class, now_s, limit),
        ).fetchall()

    def _never_sent(self, message_class: MessageClass, limit: int) -> list[_Stored]:
        return self._connection.execute(
            f"""SELECT sequence, kept_since_utc_ms, wire FROM messages
                WHERE class = ? AND sequence NOT IN (SELECT sequence FROM flights)
                ORDER BY {_ORDER[message_class]} LIMIT ?""",  # noqa: S608  the words are this file's own
            (message_class, limit),
        ).fetchall()

    def _trusted_utc_ms(self) -> int | None:
        """Return the wall clock, None if it cannot be trusted. If it was set meanwhile, all ages stay as they were."""
        utc_ms, jump_ms = self._ages.look()
        if jump_ms:
            with self._connection:
                self._connection.execute("UPDATE messages SET kept_since_utc_ms = kept_since_utc_ms + ?", (jump_ms,))
        return utc_ms

    def _withheld(self) -> tuple[MessageClass, ...]:
        """Return the classes that may not be sent now."""
        is_spent = self._ration_bytes is not None and self._ration_bytes <= 0
        return (MessageClass.READ, MessageClass.PICTURE) if is_spent else ()

    def _lowest_to_send(self) -> MessageClass:
        """Return the lowest class that may go for the first time, by how much is on its way without a receipt."""
        if self._number("SELECT COUNT(*) FROM flights WHERE class > ?", MessageClass.HEALTH) >= UNRECEIPTED_MAX:
            return MessageClass.ALERT
        if self._number("SELECT COUNT(*) FROM flights") >= UNRECEIPTED_MAX:
            return MessageClass.READ  # what holds health messages back must not hold back reads
        return MessageClass.PICTURE

    def _victims(self, newcomer: MessageClass, size_bytes: int) -> list[_Row] | None:
        """Return what makes room for a newcomer of `size_bytes`: the oldest of the lowest class first.

        Nothing gives way to a newcomer of a lower class, and health messages also keep within their share; None if so
        no room can be made.
        """
        excess_bytes = sum(self._bytes.values()) + size_bytes - self._capacity_bytes
        own_bytes = 0
        if newcomer is MessageClass.HEALTH:
            own_bytes = self._bytes[newcomer] + size_bytes - int(self._capacity_bytes * HEALTH_SHARE)
        victims: list[_Row] = []
        for lower in sorted(one for one in MessageClass if one <= newcomer):
            rows = self._connection.execute(
                "SELECT sequence, class, LENGTH(wire) FROM messages WHERE class = ? ORDER BY sequence", (lower,)
            )
            while max(excess_bytes, own_bytes * (lower is newcomer)) > 0 and (row := rows.fetchone()):
                victims.append(row)
                excess_bytes -= row[2]
                own_bytes -= row[2] * (lower is newcomer)
            rows.close()
        return victims if max(excess_bytes, own_bytes) <= 0 else None

    def _forget(self, counted: Counter[MessageClass], condition: str, *values: int) -> None:
        """Delete the messages that meet `condition`, some at a time, and count them."""
        is_more_to_come = True
        while is_more_to_come:
            with self._connection:
                gone = self._connection.execute(
                    f"""DELETE FROM messages WHERE sequence IN
                        (SELECT sequence FROM messages WHERE {condition} LIMIT {_FORGOTTEN_AT_ONCE})
                        RETURNING sequence, class, LENGTH(wire)""",  # noqa: S608  the conditions are this file's own
                    values,
                ).fetchall()
                self._land(gone)
            counted.update(self._written_off(gone))
            is_more_to_come = len(gone) == _FORGOTTEN_AT_ONCE

    def _land(self, gone: Iterable[_Row]) -> None:
        """Forget, within the transaction that deletes these messages, that they were on their way."""
        self._connection.executemany("DELETE FROM flights WHERE sequence = ?", [row[:1] for row in gone])

    def _written_off(self, gone: Iterable[_Row]) -> Counter[MessageClass]:
        """Take messages off the books, once their deletion is on the disk; return how many of each class."""
        for _, number, size_bytes in gone:
            self._bytes[MessageClass(number)] -= size_bytes
        return Counter(MessageClass(number) for _, number, _ in gone)

    def _bytes_on_disk(self, message_class: MessageClass) -> int:
        return self._number("SELECT COALESCE(SUM(LENGTH(wire)), 0) FROM messages WHERE class = ?", message_class)

    def _number(self, query: str, *values: int) -> int:
        return whole_number(self._connection, self._path, query, *values)

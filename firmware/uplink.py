"""The uplink: takes reads from the outbox to the broker, receipts back to the outbox, and commands to the guard.

A pure reaction to what the link says: it never waits for the network. It decides when to connect (full-jitter
back-off), how much may be unacknowledged, and when silence counts as a loss. Being offline is normal; only what a
technician can mend becomes a fault.
"""

import logging
import math
import threading
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware.config import UplinkConfig
from firmware.faults import DeviceFault, DocumentRejected, FaultBook, FaultCode
from firmware.log_lines import Phrase
from firmware.outbox import Outbox, Waiting
from firmware.ports import Link, System
from firmware.receipts import verify_receipt
from firmware.records import Acked, Connected, LinkEvent, Lost, Received, Refused
from firmware.stage import Mailbox
from firmware.topics import command_topic, read_topic, receipt_topic

LOG = logging.getLogger(__name__)

RETRY_BASE_S: Final = 1.0
RETRY_LIMIT_S: Final = 300.0
REFUSED_RETRY_BASE_S: Final = 30.0
"""A refusal does not go away by itself: begin further out."""

STABLE_S: Final = 20.0
"""A connection that held this long makes the next loss a first one (default of the AWS IoT device SDK for iOS)."""

CONNECT_LIMIT_S: Final = 60.0
ACK_LIMIT_S: Final = 60.0
"""paho never sends again within a connection, so an acknowledgement this late will not come: connect anew."""

UNREACHABLE_AFTER: Final = 3  # failures in a row before a technician hears of it
EXPIRY_PERIOD_S: Final = 3600.0
STORAGE_RETRY_S: Final = 30.0
PACKET_OVERHEAD_BYTES: Final = 256  # topic, properties and fixed header of a PUBLISH, generously


def full_jitter_s(random4: bytes, attempt: int, base_s: float) -> float:
    """Return random(0, min(limit, base * 2^attempt)): seconds to wait before the next attempt.

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    ratio = int.from_bytes(random4, "big") / 2**32
    return float(ratio * min(RETRY_LIMIT_S, base_s * 2.0 ** min(attempt, 30)))


class UplinkStage:
    """Sends what the outbox holds, at most a window unacknowledged, and lets it forget what receipts confirm."""

    name = "uplink"

    def __init__(
        self,
        link: Link,
        outbox: Outbox,
        config: UplinkConfig,
        *,
        device_id: str,
        receipt_key: Ed25519PublicKey,
        commands: Mailbox[bytes],
        system: System,
        faults: FaultBook,
    ) -> None:
        self.wake = threading.Event()
        self.rejected_receipts = 0
        self.confirmed = 0
        self.acked_at_s = -math.inf  # when the broker or the receiver last took something
        self._link = link
        self._outbox = outbox
        self._device_id = device_id
        self._receipt_key = receipt_key
        self._commands = commands
        self._system = system
        self._faults = faults
        self._config_window = config.window
        self._connect_at_s = -math.inf
        self._connecting_until_s = math.inf  # finite while a connection is being made
        self._connected: Connected | None = None
        self._connected_at_s = 0.0
        self._failures = 0  # of the connection, in a row
        self._refusals = 0  # of reads, in a row
        self._unacked_since_s: dict[int, float] = {}  # by token
        self._send_at_s = -math.inf
        self._expire_at_s = -math.inf
        self._told = ""  # the fault that the log has last
        link.listen(self.wake)
        outbox.listen(self.wake)

    def step(self, now_s: float) -> float:
        """React to the link, keep the session up, fill the window. Return when something is due next."""
        for event in self._link.events():
            try:
                self._react(event, now_s)
            except DeviceFault as fault:  # the disk; the link's other events still count
                self._latch(fault, now_s)
        try:
            return self._work(now_s)
        except DeviceFault as fault:
            self._latch(fault, now_s)
            return now_s + STORAGE_RETRY_S

    def close(self) -> None:
        """End the session. What is unacknowledged stays in the outbox."""
        self._link.disconnect()

    def _work(self, now_s: float) -> float:
        """Do what is due and return when the next thing is. Raises DeviceFault(STORAGE_REFUSED)."""
        self._expire(now_s)
        self._watch_deadlines(now_s)
        if self._connected is not None:
            self._fill_window(self._connected, now_s)
        if self._connected is not None:
            return self._next_send_s(self._connected, now_s)
        return self._next_attempt_s(now_s)

    def _react(self, event: LinkEvent, now_s: float) -> None:
        match event:
            case Connected():
                self._on_connected(event, now_s)
            case Acked(token=token):
                self._unacked_since_s.pop(token, None)
                self.acked_at_s = now_s
                self._refusals = 0
                self._faults.clear(FaultCode.BROKER_REFUSED)
                self._outbox.acked(token, now_s)
            case Refused(token=None, reason=reason):
                self._latch(DeviceFault(FaultCode.BROKER_REFUSED, reason), now_s)
                self._offline(now_s, REFUSED_RETRY_BASE_S)
            case Refused(token=int() as token, reason=reason):
                self._on_read_refused(token, reason, now_s)
            case Lost(reason=reason):
                self._on_lost(reason, now_s)
            case Received(topic=topic, payload=payload):
                self._on_received(topic, payload, now_s)

    def _on_connected(self, event: Connected, now_s: float) -> None:
        LOG.info("connected to the broker, session %s", Phrase("kept" if event.session_present else "new"))
        self._connected = event
        self._connected_at_s = now_s
        self._connecting_until_s = math.inf
        self._send_at_s = -math.inf
        self._faults.clear(FaultCode.BROKER_UNREACHABLE)
        self._faults.clear(FaultCode.BROKER_REFUSED)
        if not event.session_present:
            self._outbox.session_lost()

    def _on_read_refused(self, token: int, reason: str, now_s: float) -> None:
        """Keep a read that the broker does not take, and pause: the next one would fare no better."""
        self._unacked_since_s.pop(token, None)
        self._send_at_s = now_s + self._jitter_s(self._refusals, REFUSED_RETRY_BASE_S)
        self._refusals += 1
        self._latch(DeviceFault(FaultCode.BROKER_REFUSED, reason), now_s)
        self._outbox.postpone(token, self._send_at_s)

    def _on_lost(self, reason: str, now_s: float) -> None:
        LOG.info("not connected: %s", Phrase(reason))
        self._offline(now_s, RETRY_BASE_S)
        if self._failures >= UNREACHABLE_AFTER:
            self._latch(DeviceFault(FaultCode.BROKER_UNREACHABLE, reason), now_s)

    def _on_received(self, topic: str, payload: bytes, now_s: float) -> None:
        if topic == command_topic(self._device_id):
            self._commands.put(payload)  # judged by the guard
            return
        if topic != receipt_topic(self._device_id):
            self._reject(DocumentRejected("it came on a topic that this unit did not ask for"))
            return
        try:
            receipt = verify_receipt(payload, self._receipt_key, self._device_id)
        except DocumentRejected as rejected:
            self._reject(rejected)
        else:
            self.acked_at_s = now_s
            self.confirmed += self._outbox.confirm(receipt)

    def _reject(self, cause: DocumentRejected) -> None:
        self.rejected_receipts += 1
        LOG.warning("a message of the broker was dropped: %s", cause)

    def _offline(self, now_s: float, base_s: float) -> None:
        """Forget the session and choose when to try again."""
        if self._connected is not None and now_s - self._connected_at_s >= STABLE_S:
            self._failures = 0
        self._connected = None
        self._connecting_until_s = math.inf
        self._unacked_since_s.clear()
        self._connect_at_s = now_s + self._jitter_s(self._failures, base_s)
        self._failures += 1
        self._outbox.connection_lost()

    def _jitter_s(self, attempt: int, base_s: float) -> float:
        return full_jitter_s(self._system.random_bytes(4), attempt, base_s)

    def _expire(self, now_s: float) -> None:
        if now_s >= self._expire_at_s:
            self._expire_at_s = now_s + EXPIRY_PERIOD_S
            expired = self._outbox.expire()
            if expired:
                LOG.warning("%d messages were older than the retention time and are gone", expired)

    def _watch_deadlines(self, now_s: float) -> None:
        """Give up a connection that does not come about, and one that has gone silent."""
        if now_s >= self._connecting_until_s:
            self._link.disconnect()
            self._on_lost("the broker did not answer in time; check uplink.host and the modem's signal", now_s)
        elif now_s >= self._ack_deadline_s():
            self._link.disconnect()
            self._on_lost("the broker went silent; check the modem's signal", now_s)

    def _ack_deadline_s(self) -> float:
        return min(self._unacked_since_s.values(), default=math.inf) + ACK_LIMIT_S

    def _next_attempt_s(self, now_s: float) -> float:
        """Connect if it is time; return when to look again."""
        if math.isinf(self._connecting_until_s):
            if now_s < self._connect_at_s:
                return min(self._connect_at_s, self._expire_at_s)
            self._connecting_until_s = now_s + CONNECT_LIMIT_S
            self._link.connect()
        return min(self._connecting_until_s, self._expire_at_s)

    def _room(self, broker: Connected) -> int:
        return min(self._config_window, broker.receive_maximum) - len(self._unacked_since_s)

    def _fill_window(self, broker: Connected, now_s: float) -> None:
        while now_s >= self._send_at_s and (room := self._room(broker)) > 0:
            batch = self._outbox.next_unsent(room, now_s)
            if not batch or not all(self._send(waiting, broker, now_s) for waiting in batch):
                return

    def _send(self, waiting: Waiting, broker: Connected, now_s: float) -> bool:
        """Hand one read to the link; return whether the next may follow."""
        self._outbox.mark_sent(waiting.token)
        if len(waiting.wire) + PACKET_OVERHEAD_BYTES > broker.maximum_packet_bytes:
            self._outbox.postpone(waiting.token, now_s + RETRY_LIMIT_S)
            hint = f"it takes messages of at most {broker.maximum_packet_bytes} bytes; raise max_packet_size there"
            self._latch(DeviceFault(FaultCode.BROKER_REFUSED, hint), now_s)
            return True
        expiry_s = int(self._outbox.retention_s(waiting.message_class))
        if not self._link.publish(read_topic(self._device_id), waiting.wire, waiting.token, expiry_s):
            self._link.disconnect()
            self._on_lost("the connection went away while sending", now_s)
            return False
        self._unacked_since_s[waiting.token] = now_s
        return True

    def _next_send_s(self, broker: Connected, now_s: float) -> float:
        """Return when, without being woken, there will be something to do in this session."""
        due_s = self._outbox.next_due_s() if self._room(broker) > 0 else math.inf
        return min(self._ack_deadline_s(), max(due_s, self._send_at_s, now_s), self._expire_at_s)

    def _latch(self, fault: DeviceFault, now_s: float) -> None:
        """Latch `fault` and log it if it is new or has another cause: one mistake mended may show the next."""
        if self._faults.latch(fault, now_s) or str(fault) != self._told:
            LOG.warning("%s", fault)
            self._told = str(fault)

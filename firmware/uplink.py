"""The uplink: takes reads from the outbox to the broker, receipts back to it, and hands on commands and requests.

A pure reaction to what the link says: it never waits for the network. It decides when to connect (full-jitter
back-off), how much may be unacknowledged, and when silence counts as a loss. Being offline is normal; only what a
technician can mend becomes a fault.
"""

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware.config import UplinkConfig
from firmware.faults import DeviceFault, DocumentRejected, FaultBook, FaultCode, RejectionCause
from firmware.link_causes import TREATMENTS, LinkCause
from firmware.log_lines import Phrase
from firmware.outbox import Outbox, Waiting
from firmware.picture_requests import verify_request
from firmware.ports import Link, System
from firmware.receipts import verify_receipt
from firmware.records import Acked, Connected, LinkEvent, Lost, PictureRequest, Received, Refused
from firmware.stage import Mailbox
from firmware.topics import command_topic, read_topic, receipt_topic

LOG = logging.getLogger(__name__)

STABLE_S: Final = 20.0
"""A connection that held this long makes the next loss a first one (default of the AWS IoT device SDK for iOS)."""

CONNECT_LIMIT_S: Final = 60.0
ACK_LIMIT_S: Final = 60.0
"""paho never sends again within a connection, so an acknowledgement this late will not come: connect anew."""

UNREACHABLE_AFTER: Final = 3  # failures in a row before a technician hears of it
TOO_LARGE_AGAIN_S: Final = 300.0
"""When a message that is too large is looked at again, which costs no byte: the broker's limit may have been raised."""

GUESS_S: Final = 86_400.0
"""How long a limit of the broker counts that it did not announce, but that was learnt from its refusal."""

EXPIRY_PERIOD_S: Final = 3600.0
STORAGE_RETRY_S: Final = 30.0
PACKET_OVERHEAD_BYTES: Final = 256  # topic, properties and fixed header of a PUBLISH, generously


def full_jitter_s(random4: bytes, attempt: int, base_s: float, limit_s: float) -> float:
    """Return random(0, min(limit, base * 2^attempt)): seconds to wait before the next attempt.

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    ratio = int.from_bytes(random4, "big") / 2**32
    return float(ratio * min(limit_s, base_s * 2.0 ** min(attempt, 30)))


class _Unacked(NamedTuple):
    """A message on its way: since when (monotonic seconds), and how large a packet it makes at most."""

    since_s: float
    size_bytes: int


class _LearntLimit:
    """The size from which on a broker, which did not say so before, has refused messages."""

    def __init__(self) -> None:
        self._limit_bytes = math.inf
        self._until_s = -math.inf

    def learn(self, refused_bytes: Iterable[int], now_s: float) -> None:
        """Note that the largest of these was too large, for GUESS_S."""
        self._limit_bytes = max(refused_bytes, default=math.inf) - 1
        self._until_s = now_s + GUESS_S

    def bytes(self, now_s: float) -> float:
        """Return how large a packet may be; infinity if nothing is known."""
        return self._limit_bytes if now_s < self._until_s else math.inf


class UplinkStage:
    """Sends what the outbox holds, at most a window unacknowledged, and lets it forget what receipts confirm.

    Counters for the health report: `causes` of what came to nothing, `rejected_receipts`, `confirmed`.
    """

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
        requests: Mailbox[PictureRequest] | None = None,
    ) -> None:
        self.wake = threading.Event()
        self.causes: Counter[LinkCause] = Counter()
        self.rejected_receipts = 0
        self.confirmed = 0
        self.acked_at_s = -math.inf  # when the broker or the receiver last took something
        self._link = link
        self._outbox = outbox
        self._device_id = device_id
        self._receipt_key = receipt_key
        self._commands = commands
        self._requests = requests
        self._system = system
        self._faults = faults
        self._config_window = config.window
        self._connect_at_s = -math.inf
        self._connecting_until_s = math.inf  # finite while a connection is being made
        self._connected: Connected | None = None
        self._connected_at_s = 0.0
        self._failures = 0  # of the connection, in a row
        self._refusals = 0  # of reads, in a row
        self._unacked: dict[int, _Unacked] = {}  # by token
        self._known_until_s = math.inf  # until when the broker promised to know this unit
        self._learnt_limit = _LearntLimit()
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

    def connect_now(self) -> None:
        """Cut a back-off short: the way out has just been mended. Called by another stage."""
        self._connect_at_s = -math.inf
        self.wake.set()

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
                self._unacked.pop(token, None)
                self.acked_at_s = now_s
                self._refusals = 0
                self._faults.clear(FaultCode.BROKER_REFUSED)
                self._outbox.acked(token, now_s)
            case Refused(token=int() as token, reason=reason, cause=cause):
                self._on_read_refused(token, reason, cause, now_s)
            case Refused(reason=reason, cause=cause) | Lost(reason=reason, cause=cause):
                self._on_ended(reason, cause, now_s)
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
        # a session that ran out, as was agreed, is no sign that the broker lost anything
        if not event.session_present and now_s < self._known_until_s:
            self._outbox.session_lost()

    def _on_read_refused(self, token: int, reason: str, cause: LinkCause, now_s: float) -> None:
        """Keep a read that the broker does not take. Pause, unless it is this one's fault: the next fares no better."""
        self.causes[cause] += 1
        self._latch(DeviceFault(FaultCode.BROKER_REFUSED, reason), now_s)
        if self._unacked.pop(token, None) is None:
            return  # no read: what else goes over the link holds up none
        treatment = TREATMENTS[cause]
        if treatment.is_of_one_message:
            self._outbox.postpone(token, now_s + TOO_LARGE_AGAIN_S)
            return
        self._send_at_s = now_s + self._jitter_s(self._refusals, cause)
        self._refusals += 1
        self._outbox.postpone(token, self._send_at_s)

    def _on_ended(self, reason: str, cause: LinkCause, now_s: float) -> None:
        """Go offline. What waiting does not mend is told at once, the rest after a few times in a row."""
        LOG.info("not connected: %s", Phrase(reason))
        self.causes[cause] += 1
        if cause is LinkCause.TOO_LARGE:  # of the session: one of those on their way was, so the largest of them was
            self._learnt_limit.learn((one.size_bytes for one in self._unacked.values()), now_s)
        self._offline(now_s, cause)
        if TREATMENTS[cause].is_refusal:
            self._latch(DeviceFault(FaultCode.BROKER_REFUSED, reason), now_s)
        elif self._failures >= UNREACHABLE_AFTER:
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
            if rejected.cause is not RejectionCause.WRONG_SIGNATURE or not self._took_request(payload):
                self._reject(rejected)
        else:
            self.acked_at_s = now_s
            self.confirmed += self._outbox.confirm(receipt)

    def _took_request(self, payload: bytes) -> bool:
        """Hand on what came in a receipt's place if the agency signed it as a request; say whether it did."""
        try:
            request = verify_request(payload, self._receipt_key, self._device_id)
        except DocumentRejected:
            return False
        if self._requests is not None:
            self._requests.put(request)
        return True

    def _reject(self, cause: DocumentRejected) -> None:
        self.rejected_receipts += 1
        LOG.warning("a message of the broker was dropped: %s", cause)

    def _offline(self, now_s: float, cause: LinkCause) -> None:
        """Forget the session and choose when to try again."""
        if self._connected is not None:
            self._known_until_s = now_s + self._connected.session_expiry_s
            if now_s - self._connected_at_s >= STABLE_S:
                self._failures = 0
        self._connected = None
        self._connecting_until_s = math.inf
        self._unacked.clear()
        self._connect_at_s = now_s + self._jitter_s(self._failures, cause)
        self._failures += 1
        self._outbox.connection_lost()

    def _jitter_s(self, attempt: int, cause: LinkCause) -> float:
        treatment = TREATMENTS[cause]
        return full_jitter_s(self._system.random_bytes(4), attempt, treatment.base_s, treatment.limit_s)

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
            silence = "the broker did not answer in time; check uplink.host and the modem's signal"
            self._on_ended(silence, LinkCause.SILENT, now_s)
        elif now_s >= self._ack_deadline_s():
            self._link.disconnect()
            self._on_ended("the broker went silent; check the modem's signal", LinkCause.SILENT, now_s)

    def _ack_deadline_s(self) -> float:
        return min((one.since_s for one in self._unacked.values()), default=math.inf) + ACK_LIMIT_S

    def _next_attempt_s(self, now_s: float) -> float:
        """Connect if it is time; return when to look again."""
        if math.isinf(self._connecting_until_s):
            if now_s < self._connect_at_s:
                return min(self._connect_at_s, self._expire_at_s)
            self._connecting_until_s = now_s + CONNECT_LIMIT_S
            self._link.connect()
        return min(self._connecting_until_s, self._expire_at_s)

    def _room(self, broker: Connected) -> int:
        return min(self._config_window, broker.receive_maximum) - len(self._unacked)

    def _fill_window(self, broker: Connected, now_s: float) -> None:
        while now_s >= self._send_at_s and (room := self._room(broker)) > 0:
            batch = self._outbox.next_unsent(room, now_s)
            if not batch or not all(self._send(waiting, broker, now_s) for waiting in batch):
                return

    def _send(self, waiting: Waiting, broker: Connected, now_s: float) -> bool:
        """Hand one read to the link; return whether the next may follow."""
        self._outbox.mark_sent(waiting.token)
        limit_bytes = min(broker.maximum_packet_bytes, self._learnt_limit.bytes(now_s))
        size_bytes = len(waiting.wire) + PACKET_OVERHEAD_BYTES
        if size_bytes > limit_bytes:
            self.causes[LinkCause.TOO_LARGE] += 1
            self._outbox.postpone(waiting.token, now_s + TOO_LARGE_AGAIN_S)
            hint = f"it takes messages of at most {limit_bytes} bytes; {TREATMENTS[LinkCause.TOO_LARGE].advice}"
            self._latch(DeviceFault(FaultCode.BROKER_REFUSED, hint), now_s)
            return True
        if not self._link.publish(read_topic(self._device_id), waiting.wire, waiting.token, waiting.expiry_s):
            self._link.disconnect()
            self._on_ended("the connection went away while sending; check the modem's signal", LinkCause.LOST, now_s)
            return False
        self._unacked[waiting.token] = _Unacked(now_s, size_bytes)
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

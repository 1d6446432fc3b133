"""Simulated cameras for a load: one real MQTT 5 session each, over TLS 1.3, with certificate and keys of its own.

All cameras of a process share one thread and one selector (hw_sim/fleet_load.py); a thread a camera, as on a unit,
would cost the machine that is being measured more than the broker does. What a camera does to its own lens and disk is
left out: it seals each read at its moment with the unit's own sealer and keeps it in memory until a receipt names it.
Window, patience, holding back and back-off are the unit's own numbers.
"""

import dataclasses
import random
import selectors
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware import sealing
from firmware.agency_keys import AgencyKey
from firmware.board.mqtt_loop import NO_MQTT, new_client, properties_of
from firmware.board.mqtt_session import CONNECT_LIMIT_S, PACKET_BYTES_MAX, SESSION_EXPIRY_S
from firmware.board.session_terms import RECEIVE_MAXIMUM_DEFAULT
from firmware.board.tls import tls_context
from firmware.config import UplinkConfig
from firmware.faults import DocumentRejected
from firmware.link_causes import TREATMENTS, LinkCause
from firmware.outbox import UNRECEIPTED_MAX
from firmware.receipts import verify_receipt
from firmware.sealing import Sealer
from firmware.topics import read_topic, receipt_topic
from firmware.uplink import ACK_LIMIT_S, STABLE_S, full_jitter_s
from hw_sim.fleet_reads import made_read

CARE_PERIOD_S: Final = 5.0
EXPIRY_S: Final = 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFiles:
    """Where one camera's certificate and key lie, and who it is."""

    device_id: str
    certificate: Path
    key: Path


@dataclass(slots=True, kw_only=True)
class Books:
    """What the cameras of one process have counted. Times are seconds after the moment of capture."""

    captured: int = 0
    acknowledged: int = 0  # reads of which the broker's first PUBACK has come
    confirmed: int = 0  # reads that a receipt has named
    sent_again: int = 0
    receipts: int = 0
    refused: int = 0  # PUBACKs that say no, CONNACKs that say no, receipts that are none
    connects: int = 0
    connections_lost: int = 0
    bytes_sealed: int = 0
    ack_s: list[float] = field(default_factory=list)
    confirm_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)  # how long after its moment this process got to seal a read

    def without_times(self) -> "Books":
        """Return the counts alone, which are quickly told."""
        return dataclasses.replace(self, ack_s=[], confirm_s=[], late_s=[])


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all cameras of one process share."""

    host: str
    port: int
    authority: Path
    agency_keys: tuple[AgencyKey, ...]
    receipt_key: Ed25519PublicKey
    patience_s: float  # for the first receipt; doubled each time
    utc_offset_s: float  # wall clock minus monotonic seconds
    selector: selectors.BaseSelector
    books: Books


@dataclass(slots=True)
class _Kept:
    """A read that no receipt has named yet."""

    captured_s: float
    wire: bytes
    patience_s: float
    is_acknowledged: bool = False
    again_s: float = float("inf")  # when patience for a receipt ends
    is_on_its_way: bool = False


class Camera:
    """One camera: captures at random moments, sends, hears receipts. `step` is given the time, and says when again."""

    def __init__(self, place: int, files: CameraFiles, around: Surroundings, seed: str) -> None:
        self.place = place  # the loop's own note: which of its cameras this is
        self.is_connected = False
        self.queued_s = float("inf")  # the loop's own note: when it will call `step`
        self._around = around
        self._books = around.books
        self._random = random.Random(seed)
        self.device_id = files.device_id
        key = load_pem_private_key(files.key.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("a unit's key is Ed25519")
        self._sealer = Sealer(files.device_id, key, around.agency_keys)
        self._tls = tls_context(around.authority, files.certificate, files.key)
        self._client: Client | None = None
        self._rate_per_s = 0.0
        self._capture_at_s, self._capture_until_s = float("inf"), 0.0
        self._connect_at_s, self._care_at_s = 0.0, float("inf")
        self._connected_at_s, self._failures = 0.0, 0
        self._now_s = 0.0
        self.captured = 0
        self._first_sequence = self._random.getrandbits(44)
        self._kept: dict[int, _Kept] = {}  # by sequence, ascending
        self._waiting: deque[int] = deque()  # sequences to be sent
        self._unacknowledged: dict[int, tuple[int, float]] = {}  # by paho's number: sequence, sent when
        self._on_their_way = 0
        self._window = UplinkConfig(host=around.host).window
        self._interest = 0

    def unconfirmed(self) -> tuple[int, ...]:
        """Return the numbers of the reads that no receipt has named; the first read of a camera is number 1."""
        return tuple(sequence - self._first_sequence + 1 for sequence in self._kept)

    def begin(self, start_s: float, end_s: float, per_minute: float) -> None:
        """Capture from now on: a Poisson process of `per_minute` from `start_s` to `end_s`."""
        self._rate_per_s = per_minute / 60.0
        self._capture_until_s = end_s
        self._plan_capture(start_s)

    def end_captures(self) -> None:
        """Capture nothing more; what is kept is still delivered."""
        self._capture_at_s = float("inf")

    def step(self, now_s: float) -> float:
        """Do what is due; return when the next thing is."""
        self._now_s = now_s
        while self._capture_at_s <= now_s:
            self._capture(now_s)
        if self._client is None:
            if now_s >= self._connect_at_s:
                self._connect()
        elif now_s >= self._care_at_s:
            self._care()
        self._send()
        return min(self._capture_at_s, self._connect_at_s if self._client is None else self._care_at_s)

    def move_bytes(self, now_s: float) -> None:
        """Move what the selector says is there to be moved, and send what has room now."""
        self._now_s = now_s
        client = self._client
        while client is not None and client is self._client:
            try:
                client.loop_read()
            except NO_MQTT:
                self._books.refused += 1
                self._drop()
            if not _has_pending(client.socket()):
                break
        self._send()

    def close(self) -> None:
        """Say goodbye to the broker and close the socket."""
        if self._client is not None:
            self._client.disconnect()
            self._drop()

    def _plan_capture(self, after_s: float) -> None:
        at_s = after_s + self._random.expovariate(self._rate_per_s)
        self._capture_at_s = at_s if at_s < self._capture_until_s else float("inf")

    def _capture(self, now_s: float) -> None:
        """Seal one read whose moment is the planned one, however late this process gets to it."""
        at_s = self._capture_at_s
        sequence = self._first_sequence + self.captured
        self.captured += 1
        utc_ms = round((at_s + self._around.utc_offset_s) * 1000)
        read = made_read(self.device_id, sequence, self.captured, utc_ms, self._random)
        wire = sealing.to_wire(self._sealer.seal(read))
        self._kept[sequence] = _Kept(at_s, wire, self._around.patience_s)
        self._waiting.append(sequence)
        self._books.captured += 1
        self._books.bytes_sealed += len(wire)
        self._books.late_s.append(now_s - at_s)
        self._plan_capture(at_s)

    def _connect(self) -> None:
        """Make a new client and connect. TCP and TLS block; on loopback that is some milliseconds."""
        client = new_client(self.device_id, self._tls, connect_limit_s=CONNECT_LIMIT_S)
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = PACKET_BYTES_MAX
        self._client, self._care_at_s = client, self._now_s + CARE_PERIOD_S
        self._interest = selectors.EVENT_READ
        try:
            client.connect(
                self._around.host, self._around.port, keepalive=300, clean_start=False, properties=properties
            )
        except OSError:
            self._offline()
        else:
            self._books.connects += 1
            self._around.selector.register(client.socket(), self._interest, self)  # type: ignore[arg-type]

    def _send(self) -> None:
        """Fill the window from what waits, and let paho write what it holds."""
        client = self._client
        if client is None:
            return
        while self.is_connected and self._waiting and self._has_room():
            sequence = self._waiting.popleft()
            kept = self._kept.get(sequence)
            if kept is None:
                continue  # a receipt has named it meanwhile
            properties = properties_of(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = EXPIRY_S
            self._books.sent_again += kept.is_acknowledged
            self._on_their_way += not kept.is_on_its_way
            kept.is_on_its_way = True
            sent = client.publish(read_topic(self.device_id), kept.wire, qos=1, properties=properties)
            if self.is_connected:  # publishing may find out that the connection is gone
                self._unacknowledged[sent.mid] = sequence, self._now_s
        if client.socket() is not None and client.want_write():
            client.loop_write()
        self._tell_selector(client)

    def _has_room(self) -> bool:
        return len(self._unacknowledged) < self._window and self._on_their_way < UNRECEIPTED_MAX

    def _tell_selector(self, client: Client) -> None:
        """Ask the selector to say when the socket takes bytes, only while some are left over."""
        connection = client.socket()
        if connection is None or client is not self._client:
            return
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
        if interest != self._interest:
            self._interest = interest
            self._around.selector.modify(connection, interest, self)

    def _care(self) -> None:
        """Look at keep-alive, at acknowledgements that do not come, and at receipts that are overdue."""
        self._care_at_s = self._now_s + CARE_PERIOD_S
        oldest = next(iter(self._unacknowledged.values()), None)
        if oldest is not None and self._now_s - oldest[1] > ACK_LIMIT_S:
            self._drop()
            return
        for sequence, kept in self._kept.items():
            if kept.is_acknowledged and self._now_s >= kept.again_s:
                kept.again_s = float("inf")
                self._leave_way(kept)
                self._waiting.append(sequence)
        if self._client is not None:
            self._client.loop_misc()

    def _leave_way(self, kept: _Kept) -> None:
        self._on_their_way -= kept.is_on_its_way
        kept.is_on_its_way = False

    def _drop(self) -> None:
        """Close the socket, whatever paho thinks of it."""
        connection = self._client.socket() if self._client is not None else None
        if connection is not None:
            self._around.selector.unregister(connection)
            connection.close()
        if self._client is not None:
            self._offline()

    def _offline(self) -> None:
        """Forget the session; what the broker has not acknowledged goes again after the back-off."""
        if self.is_connected:
            self._books.connections_lost += 1
            if self._now_s - self._connected_at_s >= STABLE_S:
                self._failures = 0
        self._client, self.is_connected = None, False
        loss, chance = TREATMENTS[LinkCause.LOST], self._random.randbytes(4)
        self._connect_at_s = self._now_s + full_jitter_s(chance, self._failures, loss.base_s, loss.limit_s)
        self._failures += 1
        self._unacknowledged.clear()
        self._send_again(kept for kept in self._kept.values() if not kept.is_acknowledged)

    def _send_again(self, lost: Iterable[_Kept]) -> None:
        """Take what is lost off its way; all that is not on its way waits again, in order."""
        for kept in lost:
            self._leave_way(kept)
        self._waiting = deque(sequence for sequence, kept in self._kept.items() if not kept.is_on_its_way)

    # What follows is called by paho while it moves bytes.

    def _on_socket_close(self, _client: Client, _userdata: Any, connection: Any) -> None:
        if connection.fileno() in self._around.selector.get_map():
            self._around.selector.unregister(connection)

    def _on_connect(
        self, client: Client, _userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._books.refused += 1
            return
        client.subscribe(receipt_topic(self.device_id), qos=1)
        self.is_connected, self._connected_at_s = True, self._now_s
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT))
        if not flags.session_present:
            self._send_again(list(self._kept.values()))

    def _on_disconnect(self, client: Client, *_: Any) -> None:
        if client is self._client:
            self._offline()

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        sequence, _ = self._unacknowledged.pop(mid)
        kept = self._kept.get(sequence)
        if reason.is_failure:
            self._books.refused += 1
        elif kept is not None:
            if not kept.is_acknowledged:
                self._note_acknowledged(kept)
            kept.again_s = self._now_s + kept.patience_s
            kept.patience_s *= 2

    def _note_acknowledged(self, kept: _Kept) -> None:
        kept.is_acknowledged = True
        self._books.acknowledged += 1
        self._books.ack_s.append(self._now_s - kept.captured_s)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            receipt = verify_receipt(bytes(message.payload), self._around.receipt_key, self.device_id)
        except DocumentRejected:
            self._books.refused += 1
            return
        self._books.receipts += 1
        newest = self._first_sequence + self.captured - 1
        for low, high in receipt.ranges:
            oldest = next(iter(self._kept), newest + 1)
            for sequence in range(max(low, oldest), min(high, newest) + 1):
                self._confirm(sequence)

    def _confirm(self, sequence: int) -> None:
        kept = self._kept.pop(sequence, None)
        if kept is None:
            return
        self._leave_way(kept)
        if not kept.is_acknowledged:  # the receipt has overtaken the acknowledgement
            self._note_acknowledged(kept)
        self._books.confirmed += 1
        self._books.confirm_s.append(self._now_s - kept.captured_s)


def _has_pending(connection: object) -> bool:
    """Say whether TLS holds bytes that no selector can see."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0

"""The receiver's session with the broker: messages in, receipts out, acknowledged by hand after the store's commit.

One thread, the caller's. As on a unit, a paho client lives for one connection and is then thrown away; the session
itself lives at the broker, which keeps what comes while no receiver is there.
"""

import contextlib
import hmac
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.broker_files import RECEIVER_USER
from firmware.board.mqtt_loop import move_bytes, new_client, properties_of
from firmware.board.tls import unreachable
from firmware.faults import KestrelError
from firmware.records import Lost, Refused
from firmware.topics import ALL_NOTICES, ALL_READS, ALL_STATUSES, receipt_topic

SESSION_EXPIRY_S: Final = 30 * 86_400  # the longest retention time of a unit
RECEIPT_EXPIRY_S: Final = 86_400  # a later receipt says the same and more
RECEIVE_MAXIMUM: Final = 100
KEEPALIVE_S: Final = 30
CONNECT_LIMIT_S: Final = 10.0
PACKET_BYTES_MAX: Final = 131_072  # the broker's own limit
RECEIVE_MAXIMUM_DEFAULT: Final = 65_535  # of the broker, if its CONNACK does not say (MQTT 5, section 3.2.2.3.3)


class BrokerRefused(KestrelError):
    """The broker, or this end's check of it, refuses for a reason that does not go away by waiting."""


class BrokerLost(KestrelError):
    """There is no connection to the broker; a later attempt may succeed."""


def share_group(receipt_key: Ed25519PrivateKey) -> str:
    """Return the name under which the receivers of this fleet share what its units say (MQTT 5, section 4.8.2).

    Nobody else can know it. Mosquitto lets everybody into every group, and hands a share of the messages to a client
    that may not read them, which is to nobody: a single unit that was taken over could hold up half of a fleet's reads.
    """
    return hmac.digest(receipt_key.private_bytes_raw(), b"kestrel/share-group/v1", "sha256").hex()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, and the number by which it is acknowledged."""

    topic: str
    payload: bytes = field(repr=False)
    number: int
    qos: int


class Subscription:
    """One connection that hears what all units say. A context manager; `take` gets what has arrived together."""

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        tls: ssl.SSLContext,
        *,
        group: str,
        take: Callable[[Sequence[Message]], None],
    ) -> None:
        self._host = host
        self._port = port
        self._name = name
        self._group = group
        self._take = take
        self._is_subscribed = False
        self._refusal = ""
        self._arrived: list[Message] = []
        self._unconfirmed: set[int] = set()  # receipts and requests that the broker has not acknowledged
        self._receipts_at_most = RECEIVE_MAXIMUM_DEFAULT
        self._client = new_client(name, tls, connect_limit_s=CONNECT_LIMIT_S, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        """Connect and subscribe. Raises BrokerRefused or BrokerLost."""
        properties = properties_of(PacketTypes.CONNECT)
        # One session keeps what comes while nobody is there. A further receiver that has gone must be dealt no share:
        # what lay there would wait for it, as would half of what the units send again.
        properties.SessionExpiryInterval = SESSION_EXPIRY_S if self._name == RECEIVER_USER else 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = PACKET_BYTES_MAX
        try:
            self._client.connect(
                self._host, self._port, keepalive=KEEPALIVE_S, clean_start=False, properties=properties
            )
        except (OSError, UnicodeError) as error:
            match unreachable(self._host, self._port, error):
                case Refused(reason=reason):
                    raise BrokerRefused(reason) from error
                case Lost(reason=reason):
                    raise BrokerLost(reason) from error
        deadline_s = time.monotonic() + CONNECT_LIMIT_S
        while not self._is_subscribed:
            self.serve(0.2)
            if time.monotonic() > deadline_s:
                self._close()
                raise BrokerLost(f"{self._host} took the connection and then said nothing")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._client.disconnect()
        self._close()

    def serve(self, wait_s: float) -> None:
        """Wait for up to `wait_s`, then take in one group what is there already. Raises BrokerRefused or BrokerLost.

        A group never waits for another message, and holds about RECEIVE_MAXIMUM at most.
        """
        status, before = move_bytes(self._client, wait_s, packet_bytes_max=PACKET_BYTES_MAX), 0
        while status == MQTTErrorCode.MQTT_ERR_SUCCESS and before < len(self._arrived) < RECEIVE_MAXIMUM:
            before = len(self._arrived)
            status = move_bytes(self._client, 0.0, packet_bytes_max=PACKET_BYTES_MAX)
        if self._arrived:
            group, self._arrived = self._arrived, []
            self._take(group)
        if self._refusal:
            self._close()
            raise BrokerRefused(self._refusal)
        if status != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._close()
            if not self._is_subscribed:
                raise BrokerRefused(
                    f"{self._host} closed the connection before it let the receiver in; "
                    "check that the receiver's certificate is of this fleet and valid today"
                )
            raise BrokerLost(f"the connection to {self._host} is gone")

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that it may forget this message."""
        self._client.ack(message.number, message.qos)

    def receipts_room(self) -> int:
        """Return how many receipts the broker takes now: its Receive Maximum less what it has not acknowledged."""
        return self._receipts_at_most - len(self._unconfirmed)

    def send(self, device_id: str, document: bytes, expiry_s: int = RECEIPT_EXPIRY_S) -> None:
        """Publish a receipt, or a request for a picture, to its unit; both go on the topic of receipts."""
        properties = properties_of(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = expiry_s
        sent = self._client.publish(receipt_topic(device_id), document, qos=1, properties=properties)
        self._unconfirmed.add(sent.mid)

    def flush(self, limit_s: float) -> None:
        """Serve until the broker has all receipts, or `limit_s` have passed. Raises BrokerRefused or BrokerLost."""
        deadline_s = time.monotonic() + limit_s
        while self._unconfirmed and time.monotonic() < deadline_s:
            self.serve(0.1)

    def _close(self) -> None:
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _on_connect(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self._refusal = f"{self._host} does not let the receiver in ({reason}); check the broker's configuration"
            return
        self._receipts_at_most = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT)
        # a broker that cannot share says so (MQTT 5, section 3.2.2.3.13): its one receiver hears all
        can_share = getattr(properties, "SharedSubscriptionAvailable", 1)
        shared = f"$share/{self._group}/" if can_share else ""
        wanted = (ALL_READS, ALL_NOTICES, ALL_STATUSES)
        client.subscribe([(shared + topic, SubscribeOptions(qos=1)) for topic in wanted])

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = f"{self._host} lets the receiver hear no reads; check the broker's access list"
        self._is_subscribed = True

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, _reason: ReasonCode, _properties: Any) -> None:
        self._unconfirmed.discard(mid)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._arrived.append(
            Message(topic=message.topic, payload=bytes(message.payload), number=message.mid, qos=message.qos)
        )

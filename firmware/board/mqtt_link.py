"""The link to the broker: paho-mqtt, MQTT 5, QoS 1, TLS 1.3 with the unit's certificate. Translates and nothing else.

One session = one paho client = one thread, which ends with the session; no other thread ever touches the client. A
client is never used twice: on a reconnect paho sends its whole backlog at once, whatever the broker allows, and its
own thread hangs in `loop_stop` while messages are unacknowledged (both seen with 2.1 and 2.2). So its external-loop
interface is used, and the outbox stays the only queue.
"""

import contextlib
import re
import select
import socket
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from firmware.board.mqtt_loop import move_bytes, properties_of, send_at_once
from firmware.board.tls import tls_context, unreachable
from firmware.config import UplinkConfig
from firmware.identity import Identity
from firmware.receipts import MAX_RECEIPT_BYTES
from firmware.records import Acked, Connected, LinkEvent, Lost, Received, Refused
from firmware.stage import drained
from firmware.topics import command_topic, receipt_topic

SESSION_EXPIRY_S: Final = 86_400
"""How long the broker keeps receipts for a unit that sleeps. What it forgets after that, the next receipt repeats."""

CONNECT_LIMIT_S: Final = 15.0  # each of TCP and TLS; a cellular link in a bad cell needs more than paho's 5 s
IDLE_LIMIT_S: Final = 5.0  # how often paho looks at its keep-alive; publishing wakes the thread at once
GOODBYE_LIMIT_S: Final = 1.0
PACKET_BYTES_MAX: Final = 2 * MAX_RECEIPT_BYTES
"""Asked of the broker: a unit hears receipts and nothing else."""

DISCONNECT_LIMIT_S: Final = 5.0

# MQTT 5, section 3.2.2.3: what holds if CONNACK does not say
RECEIVE_MAXIMUM_DEFAULT: Final = 65_535
PACKET_BYTES_DEFAULT: Final = 268_435_455

_ALERT: Final = re.compile(r"alert ([a-z][a-z ]{0,39})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Publication:
    topic: str
    payload: bytes = field(repr=False)
    token: int
    expiry_s: int


class MqttLink:
    """The Link port over a real broker. Its world is one host; the unit's name is user, client and topic."""

    def __init__(self, config: UplinkConfig, identity: Identity) -> None:
        """Prepare; nothing is sent. Raises ConfigRejected."""
        self._config = config
        self._device_id = identity.device_id
        self._tls = tls_context(identity.authority_path, identity.certificate_path, identity.key_path)
        self._events: deque[LinkEvent] = deque()
        self._wake = threading.Event()
        self._session: _Session | None = None

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every new event from now on."""
        self._wake = wake

    def connect(self) -> None:
        """Begin a new session; one that was there is ended. The outcome is an event."""
        self.disconnect()
        self._session = _Session(self._config, self._device_id, self._tls, self._events, self._wake)
        self._session.start()

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand one QoS 1 message to the session; False when offline. Acked(token) or Refused(token, ...) follows."""
        publication = _Publication(topic=topic, payload=payload, token=token, expiry_s=expiry_s)
        session = self._session  # another stage may end it meanwhile; then the message is lost, as when offline
        return session is not None and session.publish(publication)

    def events(self) -> list[LinkEvent]:
        """Return and forget the events since the last call, oldest first."""
        return drained(self._events)

    def disconnect(self) -> None:
        """End the session within DISCONNECT_LIMIT_S, whatever is unacknowledged, and forget its events.

        A thread that is just looking up a name or making the TLS connection ends by itself when that does.
        """
        if self._session is not None:
            self._session.stop()
            self._session = None
        self._events.clear()


class _Session:
    """One connection, from the first packet to the last, on a thread of its own."""

    def __init__(
        self,
        config: UplinkConfig,
        device_id: str,
        tls: ssl.SSLContext,
        events: deque[LinkEvent],
        wake: threading.Event,
    ) -> None:
        self._config = config
        self._device_id = device_id
        self._events = events
        self._wake = wake
        self._publications: deque[_Publication] = deque()
        self._tokens: dict[int, int] = {}  # paho's message number -> our token
        self._is_connected = False
        self._is_over = False  # an outcome that ends the session has been told
        self._alert = ""
        self._stopping = threading.Event()
        self._doorbell, self._bell_push = socket.socketpair()
        self._bell_push.setblocking(False)  # noqa: FBT003  the socket module's own signature
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=False)
        self._client = self._new_client(tls)

    def start(self) -> None:
        """Start connecting."""
        self._thread.start()

    def publish(self, publication: _Publication) -> bool:
        """Queue one message for the session's thread; False when not connected."""
        if not self._is_connected:
            return False
        self._publications.append(publication)
        self._ring()
        return True

    def stop(self) -> None:
        """End the session; it tells no event from now on."""
        self._stopping.set()
        self._ring()
        self._thread.join(DISCONNECT_LIMIT_S)

    def _new_client(self, tls: ssl.SSLContext) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._device_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.tls_set_context(tls)
        client.connect_timeout = CONNECT_LIMIT_S
        client.max_inflight_messages_set(0)  # no limit of paho's own: the uplink counts
        client.on_socket_open = send_at_once
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        return client

    def _run(self) -> None:
        try:
            if self._open():
                self._serve()
                self._say_goodbye()
        finally:
            self._is_connected = False
            self._end(Lost("the connection was closed"))
            self._doorbell.close()
            self._bell_push.close()

    def _open(self) -> bool:
        """Make the TCP and TLS connection and send CONNECT; return whether that went well."""
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = PACKET_BYTES_MAX
        host, port = self._config.host, self._config.port
        try:
            # Not a clean start, so that receipts wait at the broker. That the message numbers of the old session are
            # not kept here is harmless with QoS 1: the broker keeps no state about what it has acknowledged.
            self._client.connect(
                host, port, keepalive=self._config.keepalive_s, clean_start=False, properties=properties
            )
        except (OSError, UnicodeError) as error:
            self._end(unreachable(host, port, error))
            return False
        return True

    def _serve(self) -> None:
        """Move bytes until the session is over or is to stop."""
        status = MQTTErrorCode.MQTT_ERR_SUCCESS
        while status == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._stopping.is_set() and not self._is_over:
            self._hand_over_publications()
            status = move_bytes(self._client, IDLE_LIMIT_S, self._doorbell)
        if status == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._end(Lost("the broker sent what is no MQTT 5; check uplink.host and the broker"))

    def _hand_over_publications(self) -> None:
        while self._publications:
            publication = self._publications.popleft()
            properties = properties_of(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = publication.expiry_s
            sent = self._client.publish(publication.topic, publication.payload, qos=1, properties=properties)
            self._tokens[sent.mid] = publication.token

    def _say_goodbye(self) -> None:
        """Send DISCONNECT if there is still somebody to hear it, so that the broker knows at once."""
        self._client.disconnect()
        connection = self._client.socket()
        while connection is not None and self._client.want_write():
            if not select.select([], [connection], [], GOODBYE_LIMIT_S)[1]:
                break
            if self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
            connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _tell(self, event: LinkEvent) -> None:
        if not self._stopping.is_set():
            self._events.append(event)
            self._wake.set()

    def _end(self, outcome: LinkEvent) -> None:
        """Tell the outcome that ends the session, once."""
        self._is_connected = False
        if not self._is_over:
            self._is_over = True
            self._tell(outcome)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it rings already; closed: the thread has gone
            self._bell_push.send(b"!")

    def _on_connect(
        self, client: Client, _userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._end(Refused(None, f"the broker does not let this unit in ({reason}); check its registration there"))
            return
        own_topics = (receipt_topic(self._device_id), command_topic(self._device_id))
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in own_topics])
        self._is_connected = True
        self._tell(
            Connected(
                session_present=flags.session_present,
                receive_maximum=getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT),
                maximum_packet_bytes=getattr(properties, "MaximumPacketSize", PACKET_BYTES_DEFAULT),
            )
        )

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._end(
                Refused(
                    None, "the broker lets this unit hear no receipts or commands; check the access list of the broker"
                )
            )

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        token = self._tokens.pop(mid)
        if reason.is_failure:
            self._tell(
                Refused(token, f"the broker did not take a read ({reason}); check the access list of the broker")
            )
        else:
            self._tell(Acked(token))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._tell(Received(message.topic, bytes(message.payload)))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._is_connected:
            self._end(Lost(f"the connection to the broker ended ({reason})"))
            return
        # With TLS 1.3 a broker judges our certificate after our side of the handshake is done: its refusal comes as an
        # alert, or as a closed connection, where CONNACK should be (RFC 8446, section 4.4.2.4 and appendix E.1).
        detail = f" ({self._alert})" if self._alert else ""
        self._end(
            Refused(
                None,
                f"the broker closed the connection before it let this unit in{detail}; "
                "check that the unit's certificate is of this fleet, valid today and not revoked",
            )
        )

    def _on_log(self, _client: Client, _userdata: Any, _level: int, text: str) -> None:
        """Keep the name of a TLS alert: paho tells it nowhere but in its log."""
        if not self._alert and (found := _ALERT.search(text)):
            self._alert = found[1].strip()

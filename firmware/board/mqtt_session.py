"""One session with the broker, over paho-mqtt: MQTT 5, QoS 1, TLS 1.3 with the unit's certificate. Translates only.

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
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from firmware.board import session_terms
from firmware.board.mqtt_loop import move_bytes, new_client, properties_of
from firmware.board.session_terms import Terms
from firmware.board.tls import FleetContext, unreachable
from firmware.config import UplinkConfig
from firmware.link_causes import TREATMENTS, LinkCause, cause_of
from firmware.receipts import MAX_RECEIPT_BYTES
from firmware.records import Acked, Connected, LinkEvent, Lost, Received, Refused
from firmware.topics import command_topic, read_topic, receipt_topic, status_topic

SESSION_EXPIRY_S: Final = 86_400
"""How long the broker keeps receipts for a unit that sleeps. What it forgets after that, the next receipt repeats."""

CONNECT_LIMIT_S: Final = 15.0  # each of TCP and TLS; a cellular link in a bad cell needs more than paho's 5 s
IDLE_LIMIT_S: Final = 5.0  # how often paho looks at its keep-alive; publishing wakes the thread at once
GOODBYE_LIMIT_S: Final = 1.0
PACKET_BYTES_MAX: Final = 2 * MAX_RECEIPT_BYTES
"""Asked of the broker: a unit hears receipts and nothing else."""

DISCONNECT_LIMIT_S: Final = 5.0

STATUS_EXPIRY_S: Final = 30 * 86_400
"""How long the broker keeps a status for a receiver that is away: as long as it keeps the reads."""

STATUS_TOKEN: Final = -2
"""Names the birth to ourselves; no read has it."""

READ_ALIAS: Final = 1
"""There is one topic that is sent again and again (MQTT 5, section 3.3.2.3.4)."""

DISCONNECT_WITH_WILL: Final = 0x04

_LOCAL_CAUSES: Final = {0x82: LinkCause.NO_MQTT, 0x8D: LinkCause.SILENT}
"""What paho itself says of a connection that it gives up, in MQTT's reason codes."""

_ALERT: Final = re.compile(r"alert ([a-z][a-z ]{0,39})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One QoS 1 message; `token` names it to whoever publishes it, and it is of use for `expiry_s`."""

    topic: str
    payload: bytes = field(repr=False)
    token: int
    expiry_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSigns:
    """What the broker tells others of one session: at once that the unit is here, and later that it has vanished."""

    birth: bytes = field(repr=False)
    will: bytes = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Sessions:
    """What the sessions of one link have in common, and what one has learnt for the next."""

    config: UplinkConfig
    device_id: str
    tls: FleetContext
    events: deque[LinkEvent] = field(default_factory=deque)
    wake: threading.Event = field(default_factory=threading.Event)
    is_subscribed: bool = False  # the broker has heard, from this process, what the unit wants to hear
    shuns_alias: bool = False  # the broker did not know the alias that it had offered


class Session:
    """One connection, from the first packet to the last, on a thread of its own."""

    def __init__(self, sessions: Sessions, life_signs: LifeSigns | None) -> None:
        self._sessions = sessions
        self._life_signs = life_signs
        self._publications: deque[Publication] = deque()
        self._tokens: dict[int, int] = {}  # paho's message number -> our token
        self._is_connected = False
        self._is_over = False  # an outcome that ends the session has been told
        self._is_resumed = False  # in TLS: the broker has not looked at our certificate again
        self._receive_maximum = session_terms.RECEIVE_MAXIMUM_DEFAULT
        self._has_alias = False  # the broker takes one for the topic of reads
        self._is_alias_known = False  # and has heard what it stands for
        self._alert = ""
        self._stopping = threading.Event()
        self._doorbell, self._bell_push = socket.socketpair()
        self._bell_push.setblocking(False)  # noqa: FBT003  the socket module's own signature
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=False)
        self._client = self._new_client()

    def start(self) -> None:
        """Start connecting."""
        self._thread.start()

    def publish(self, publication: Publication) -> bool:
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

    def _new_client(self) -> Client:
        client = new_client(self._sessions.device_id, self._sessions.tls, connect_limit_s=CONNECT_LIMIT_S)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        if self._life_signs is not None:
            properties = properties_of(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = self._sessions.config.keepalive_s
            properties.MessageExpiryInterval = STATUS_EXPIRY_S
            topic = status_topic(self._sessions.device_id)
            client.will_set(topic, self._life_signs.will, qos=1, properties=properties)
        return client

    def _run(self) -> None:
        try:
            if self._open():
                self._serve()
                self._say_goodbye()
        finally:
            self._is_connected = False
            self._end(Lost("the connection was closed; wait, this unit calls again"))
            self._doorbell.close()
            self._bell_push.close()

    def _open(self) -> bool:
        """Make the TCP and TLS connection and send CONNECT; return whether that went well."""
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = PACKET_BYTES_MAX
        host, port = self._sessions.config.host, self._sessions.config.port
        # Not a clean start, so that receipts wait at the broker. That the message numbers of the old session are not
        # kept here is harmless with QoS 1: the broker keeps no state about what it has acknowledged.
        keepalive_s = self._sessions.config.keepalive_s
        try:
            try:
                self._client.connect(host, port, keepalive=keepalive_s, clean_start=False, properties=properties)
            except (ssl.SSLError, ConnectionResetError):
                # a broker that trips over a session to be resumed must not cost the connection
                if not self._sessions.tls.forget():
                    raise
                self._client.connect(host, port, keepalive=keepalive_s, clean_start=False, properties=properties)
        except (OSError, UnicodeError) as error:
            self._end(unreachable(host, port, error))
            return False
        connection = self._client.socket()
        self._is_resumed = isinstance(connection, ssl.SSLSocket) and bool(connection.session_reused)
        return True

    def _serve(self) -> None:
        """Move bytes until the session is over or is to stop."""
        status = MQTTErrorCode.MQTT_ERR_SUCCESS
        while status == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._stopping.is_set() and not self._is_over:
            self._hand_over_publications()
            status = move_bytes(self._client, IDLE_LIMIT_S, self._doorbell, packet_bytes_max=PACKET_BYTES_MAX)
        if status == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._end(_no_mqtt())

    def _hand_over_publications(self) -> None:
        """Give paho, which holds none back, no more than the broker wants unacknowledged, whoever publishes."""
        while self._publications and len(self._tokens) < self._receive_maximum:
            publication = self._publications.popleft()
            properties = properties_of(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = publication.expiry_s
            topic = publication.topic
            if self._has_alias and topic == read_topic(self._sessions.device_id):
                properties.TopicAlias = READ_ALIAS
                topic = "" if self._is_alias_known else topic
                self._is_alias_known = True
            sent = self._client.publish(topic, publication.payload, qos=1, properties=properties)
            self._tokens[sent.mid] = publication.token

    def _say_goodbye(self) -> None:
        """Send DISCONNECT if there is still somebody to hear it, so that the broker knows at once.

        The will stays in force: a unit that does not come back is gone, however politely it went.
        """
        reason = ReasonCode(PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL)
        self._client.disconnect(reasoncode=reason if self._life_signs is not None else None)
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
            self._sessions.events.append(event)
            self._sessions.wake.set()

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
        if reason.is_failure or self._is_connected:  # or is one CONNACK too many
            self._end(session_terms.refusal(reason) if reason.is_failure else _no_mqtt())
            return
        device_id, config = self._sessions.device_id, self._sessions.config
        if (objection := session_terms.objection(properties, device_id)) is not None:
            self._end(objection)
            return
        terms = session_terms.terms_of(properties, keepalive_s=config.keepalive_s, session_expiry_s=SESSION_EXPIRY_S)
        self._agree_to(client, terms)
        # A broker that resumes TLS has not been restarted, and the session that it kept is one in which we subscribed.
        if not (flags.session_present and self._is_resumed and self._sessions.is_subscribed):
            own_topics = (receipt_topic(device_id), command_topic(device_id))
            client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in own_topics])
        self._is_connected = True
        self._tell(
            Connected(
                session_present=flags.session_present,
                receive_maximum=terms.receive_maximum,
                maximum_packet_bytes=terms.maximum_packet_bytes,
                session_expiry_s=terms.session_expiry_s,
            )
        )

    def _agree_to(self, client: Client, terms: Terms) -> None:
        """Do as the broker wants, remember how to come back with fewer bytes, and say that we are here."""
        client._keepalive = terms.keepalive_s  # paho 2.1 leaves its own, and 2.2 takes a 0 for never
        self._receive_maximum = terms.receive_maximum
        self._has_alias = terms.topic_alias_maximum >= READ_ALIAS and not self._sessions.shuns_alias
        self._sessions.tls.remember(client.socket())
        if self._life_signs is not None:
            birth = Publication(
                topic=status_topic(self._sessions.device_id),
                payload=self._life_signs.birth,
                token=STATUS_TOKEN,
                expiry_s=STATUS_EXPIRY_S,
            )
            self._publications.appendleft(birth)

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                cause = cause_of(reason.value) or LinkCause.NO_MQTT
                advice = TREATMENTS[cause].advice or "check the access list of the broker"
                said = f"the broker lets this unit hear no receipts or commands ({reason}); {advice}"
                self._end(Refused(None, said, cause))
                return
        self._sessions.is_subscribed = True

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        token = self._tokens.pop(mid)
        if reason.is_failure:
            cause = cause_of(reason.value) or LinkCause.NO_MQTT
            what = "this unit's status" if token == STATUS_TOKEN else "a read"
            advice = TREATMENTS[cause].advice or "look in the broker's log"
            self._tell(Refused(token, f"the broker did not take {what} ({reason}); {advice}", cause))
        elif token != STATUS_TOKEN:
            self._tell(Acked(token))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if len(message.payload) > PACKET_BYTES_MAX:
            self._end(_no_mqtt())
        else:
            self._tell(Received(message.topic, bytes(message.payload)))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            outcome = session_terms.ending(reason)
            self._sessions.shuns_alias |= outcome.cause is LinkCause.TOPIC_ALIAS
            self._end(outcome)
        elif _LOCAL_CAUSES.get(reason.value) is LinkCause.NO_MQTT:
            self._end(_no_mqtt())
        elif self._is_connected:
            cause = _LOCAL_CAUSES.get(reason.value, LinkCause.LOST)
            self._end(Lost("the connection to the broker is gone; check the modem's signal", cause))
        else:
            self._end(self._closed_at_the_door())

    def _closed_at_the_door(self) -> Refused | Lost:
        """Return what it means that the broker hung up where CONNACK should be.

        With TLS 1.3 a broker judges our certificate after our side of the handshake is done: its refusal comes as an
        alert, or as a closed connection (RFC 8446, section 4.4.2.4 and appendix E.1).
        """
        if self._is_resumed and self._sessions.tls.forget():
            return Lost(
                "the broker did not go on with the last TLS session; wait, this unit calls again",
                LinkCause.TLS_SESSION_REFUSED,
            )
        detail = f" ({self._alert})" if self._alert else ""
        said = f"the broker closed the connection before it let this unit in{detail}; "
        advice = "check that the unit's certificate is of this fleet, valid today and not revoked"
        return Refused(None, said + advice, LinkCause.TLS_REFUSED)

    def _on_log(self, _client: Client, _userdata: Any, _level: int, text: str) -> None:
        """Keep the name of a TLS alert: paho tells it nowhere but in its log."""
        if not self._alert and (found := _ALERT.search(text)):
            self._alert = found[1].strip()


def _no_mqtt() -> Lost:
    return Lost("the broker sent what is no MQTT 5; check uplink.host and the broker", LinkCause.NO_MQTT)

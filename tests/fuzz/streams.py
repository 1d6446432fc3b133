"""What a broker sends, as paho hands it over: the unit's session and the receiver's, on a real socket without TLS."""

import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from paho.mqtt.client import Client

from cloud.opening_keys import OpeningKeys
from cloud.receiving import Receiving
from cloud.store import ReadStore
from cloud.subscription import BrokerLost, BrokerRefused, Message, Subscription
from firmware import sealing
from firmware.board.mqtt_loop import move_bytes
from firmware.board.mqtt_session import PACKET_BYTES_MAX, LifeSigns, Publication, Session, Sessions
from firmware.board.tls import FleetContext
from firmware.receipts import sign_receipt
from firmware.records import Acked, Connected, LinkEvent, Lost, Received, Refused
from firmware.topics import read_topic, receipt_topic
from tests.fuzz.documents import (
    DEVICE,
    a_receipt,
    device_key,
    opening_key,
    registry_with,
    sealed_read,
    unit_config,
    work_folder,
)
from tests.fuzz.judging import Target
from tests.made_reads import registry_entry

PACKETS_AT_MOST = 10_000
NO_TLS = FleetContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the socket is there already


@contextmanager
def _broker_that_says(data: bytes, client: Client) -> Iterator[None]:
    """Put a socket into `client` on whose other end `data` was sent, and then nothing more."""
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.0)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(data) + 4096)
        client._sock = near
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        yield


def unit_session(data: bytes) -> list[LinkEvent]:
    """Return what a unit's session makes of a broker's bytes."""
    session = _unit_session()
    session._publications.append(_read(5))
    with session._doorbell, session._bell_push, _broker_that_says(data, session._client):
        session._serve()
        session._say_goodbye()
        session._end(Lost("the connection was closed"))
    return list(session._sessions.events)


def talk(words: list[bytes], tokens: list[int]) -> tuple[bytes, list[LinkEvent]]:
    """Return what a unit with reads of these tokens says to a broker that says one word after the other, and tells."""
    session = _unit_session()
    near, far = socket.socketpair()
    with near, far, session._doorbell, session._bell_push:
        near.settimeout(0.0)
        session._client._sock = near
        for word in words:
            far.sendall(word)
            for _ in range(3):
                move_bytes(session._client, 0.0, packet_bytes_max=PACKET_BYTES_MAX)
                while tokens and session._is_connected:
                    session._publications.append(_read(tokens.pop(0)))
                session._hand_over_publications()
        return far.recv(1_000_000), list(session._sessions.events)


def _unit_session() -> Session:
    sessions = Sessions(config=unit_config().uplink, device_id=DEVICE, tls=NO_TLS)
    return Session(sessions, LifeSigns(birth=b"birth", will=b"will"))


def _read(token: int) -> Publication:
    return Publication(topic=read_topic(DEVICE), payload=b"read", token=token, expiry_s=60)


def _unit_stream(data: bytes) -> None:
    events = unit_session(data)
    for event in events:
        match event:
            case Connected(receive_maximum=count, maximum_packet_bytes=size) if count >= 1 and size >= 1:
                pass
            case Acked() | Received() | Refused() | Lost():
                pass
            case _:
                raise AssertionError("an event that cannot be")
    reasons = [event.reason for event in events if isinstance(event, Refused | Lost)]
    if any(not reason.isprintable() or len(reason) > 300 for reason in reasons):
        raise AssertionError("a reason that is no sentence")


def _receiver_stream(data: bytes) -> None:
    with ReadStore(work_folder() / "stream.db") as store:
        receiving = Receiving(
            registry_with(registry_entry(DEVICE, device_key())), store, OpeningKeys([opening_key()]), device_key()
        )

        def take(messages: Sequence[Message]) -> None:
            receiving.take_all([(message.topic, message.payload) for message in messages], 1)
            for message in messages:
                subscription.acknowledge(message)

        subscription = Subscription("localhost", 1, "receiver", NO_TLS, group="group", take=take)
        with _broker_that_says(data, subscription._client):
            for _ in range(PACKETS_AT_MOST):
                subscription.serve(0.0)


def packet(kind: int, body: bytes) -> bytes:
    """Return an MQTT packet: first byte, length (section 1.5.5), body."""
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([kind]) + bytes(length) + body


def publication(topic: str, payload: bytes, properties: bytes = b"") -> bytes:
    name = topic.encode()
    body = struct.pack("!H", len(name)) + name + struct.pack("!H", 9) + bytes([len(properties)]) + properties + payload
    return packet(0x32, body)


CONNACK = packet(0x20, b"\x01\x00" + b"\x08" + b"\x21\x00\x0a" + b"\x27\x00\x01\x00\x00")
SUBACK = packet(0x90, b"\x00\x01\x00\x01")
NO_UTF_8 = packet(0x32, b"\x00\x01\xff\x00\x09\x00payload")  # a topic that is none
PUBACK = packet(0x40, b"\x00\x01\x00\x00")


def _unit_seeds() -> list[bytes]:
    receipt = publication(receipt_topic(DEVICE), sign_receipt(a_receipt(), device_key()))
    refused = packet(0x20, b"\x00\x87\x00")
    goodbye = packet(0xE0, b"\x8e\x00")
    return [CONNACK + SUBACK + PUBACK + receipt, refused, CONNACK + goodbye, packet(0xD0, b""), CONNACK + NO_UTF_8]


def _receiver_seeds() -> list[bytes]:
    read = publication(read_topic(DEVICE), sealing.to_wire(sealed_read()))
    expiring = publication(read_topic(DEVICE), b"", properties=b"\x02\x00\x00\x00\x3c")
    return [CONNACK + SUBACK + read, CONNACK + SUBACK + expiring, CONNACK + SUBACK + NO_UTF_8]


STREAMS = (
    Target("mqtt-unit", _unit_stream, (), _unit_seeds),
    Target("mqtt-receiver", _receiver_stream, (BrokerLost, BrokerRefused), _receiver_seeds),
)

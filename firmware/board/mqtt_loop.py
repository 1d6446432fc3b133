"""Moves the bytes of a paho client in the caller's own thread, through paho's external-loop interface.

paho's own loops are not used: its thread hangs in `loop_stop` while messages are unacknowledged, and both leave a pair
of sockets open that nothing ever closes. Unit and receiver share this.
"""

import select
import socket
import ssl
import struct
from typing import Any, Final

from paho.mqtt import MQTTException
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

NO_MQTT: Final = (MQTTException, ValueError, LookupError, TypeError, struct.error)
"""What paho raises, besides an answer of its own, for a packet that is not MQTT 5 (2.1 more than 2.2)."""


def move_bytes(client: Client, wait_s: float, doorbell: socket.socket | None = None) -> MQTTErrorCode:
    """Wait up to `wait_s` for traffic or for `doorbell`, and move what is there. Anything but success ends the session.

    A packet that is no MQTT is MQTT_ERR_PROTOCOL. So the client's callbacks may do no more than note what came: a
    bug in them would be taken for one.
    The doorbell is a socket whose other end somebody writes to when there is something new to send; it is emptied.
    """
    connection = client.socket()
    if connection is None:
        return MQTTErrorCode.MQTT_ERR_NO_CONN
    readers = [connection] if doorbell is None else [connection, doorbell]
    writers = [connection] if client.want_write() else []
    readable, writable, _ = select.select(readers, writers, [], 0.0 if _has_pending(connection) else wait_s)
    if doorbell in readable and doorbell is not None:
        doorbell.recv(4096)
    status = MQTTErrorCode.MQTT_ERR_SUCCESS
    if connection in readable or _has_pending(connection):
        status = _read(client)
    if status == MQTTErrorCode.MQTT_ERR_SUCCESS and writable:
        status = client.loop_write()
    if status == MQTTErrorCode.MQTT_ERR_SUCCESS:
        status = client.loop_misc()
    return status


def _read(client: Client) -> MQTTErrorCode:
    try:
        return client.loop_read()
    except NO_MQTT:
        return MQTTErrorCode.MQTT_ERR_PROTOCOL


def send_at_once(_client: Client, _userdata: Any, connection: Any) -> None:
    """Turn Nagle's algorithm off (a paho `on_socket_open`): with it 20 kB messages go 22 instead of 7,400 a second."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def properties_of(packet_type: int) -> Properties:
    """Return empty MQTT 5 properties for a packet of this type."""
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def _has_pending(connection: Any) -> bool:
    """Say whether TLS holds bytes that `select` cannot see."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0

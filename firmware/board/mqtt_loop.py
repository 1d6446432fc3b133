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
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties

NO_MQTT: Final = (MQTTException, ValueError, LookupError, TypeError, struct.error)
"""What paho raises, besides an answer of its own, for a packet that is not MQTT 5 (2.1 more than 2.2)."""


PATH_DEAD_S: Final = 60
"""After so long without an acknowledgement of the peer's TCP the path is dead (TCP_USER_TIMEOUT of tcp(7)): a NAT has
forgotten us, or a cell swallows all. Linux itself would try for a quarter of an hour."""

PROBE_EVERY_S: Final = 20
PROBES: Final = 3

MQTT_BYTES_MAX: Final = 268_435_455
"""The longest packet that there is (MQTT 5, section 1.5.5)."""

READS_IN_A_ROW: Final = 32
"""Then it is the turn of what is to be written: a peer that talks without end must not silence us."""


def move_bytes(
    client: Client, wait_s: float, doorbell: socket.socket | None = None, *, packet_bytes_max: int = MQTT_BYTES_MAX
) -> MQTTErrorCode:
    """Wait up to `wait_s` for traffic or for `doorbell`, and move what is there. Anything but success ends the session.

    A packet that is no MQTT is MQTT_ERR_PROTOCOL. So the client's callbacks may do no more than note what came: a
    bug in them would be taken for one. A packet larger than `packet_bytes_max`, of which the broker was told, is none
    either: paho would collect the whole of it, up to 256 MB.
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
        status = _read_on(client, connection, packet_bytes_max)
    if status == MQTTErrorCode.MQTT_ERR_SUCCESS and writable:
        status = client.loop_write()
    if status == MQTTErrorCode.MQTT_ERR_SUCCESS:
        status = client.loop_misc()
    return status


def _read_on(client: Client, connection: Any, packet_bytes_max: int) -> MQTTErrorCode:
    """Read packets as long as there are any, and for READS_IN_A_ROW at most.

    A broker that hangs up says why before it does. Whoever writes first meets a closed connection and never hears it.
    """
    for _ in range(READS_IN_A_ROW):
        status = _read(client)
        if client._in_packet["remaining_length"] > packet_bytes_max:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        is_gone = status != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None
        if is_gone or not (_has_pending(connection) or select.select([connection], [], [], 0.0)[0]):
            return status
    return MQTTErrorCode.MQTT_ERR_SUCCESS


def _read(client: Client) -> MQTTErrorCode:
    try:
        return client.loop_read()
    except NO_MQTT:
        return MQTTErrorCode.MQTT_ERR_PROTOCOL


def new_client(name: str, tls: ssl.SSLContext, *, connect_limit_s: float, manual_ack: bool = False) -> Client:
    """Return a paho client of MQTT 5 for one connection, to be moved by `move_bytes`. `name` is the certificate's."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        protocol=MQTTProtocolVersion.MQTTv5,
        reconnect_on_failure=False,
        manual_ack=manual_ack,
    )
    client.tls_set_context(tls)
    client.connect_timeout = connect_limit_s
    client.max_inflight_messages_set(0)  # no limit of paho's own: whoever sends counts
    client.on_socket_open = prepare_socket
    return client


def prepare_socket(client: Client, _userdata: Any, connection: Any) -> None:
    """Send at once, and find out when nobody is there (a paho `on_socket_open`).

    With Nagle's algorithm 20 kB messages go 22 instead of 7,400 a second. The kernel's own probes come later than those
    of MQTT, and cost nothing while these are answered.
    """
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PATH_DEAD_S * 1000),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, client.keepalive + PATH_DEAD_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES),
    ):
        connection.setsockopt(level, option, value)


def properties_of(packet_type: int) -> Properties:
    """Return empty MQTT 5 properties for a packet of this type."""
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def _has_pending(connection: Any) -> bool:
    """Say whether TLS holds bytes that `select` cannot see."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0

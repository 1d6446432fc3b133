"""A client of the broker that does as it likes, with a certificate of the fleet: for what the broker must refuse."""

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from firmware import identity
from firmware.board.linux import LinuxClock
from firmware.board.mqtt_loop import move_bytes, prepare_socket, properties_of
from firmware.board.tls import tls_context

CLOCK = LinuxClock()
LIMIT_S = 10.0
PACKET_BYTES_MAX = 1_000_000


class Visitor:
    """Connected when made, or `connack` is None. World face: publish, subscribe, leave; what it was told.

    `own` are the names of its certificate and key in its folder: a unit's, unless they are said.
    """

    def __init__(self, folder, port, *, keepalive_s=60, own=(identity.CERTIFICATE_NAME, identity.KEY_NAME)):
        self.connack = self.connack_properties = self.goodbye = None
        self.acknowledged, self.granted, self.heard = {}, [], []
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id="",  # the certificate names it
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.tls_set_context(tls_context(folder / identity.AUTHORITY_NAME, *(folder / name for name in own)))
        client.on_socket_open = prepare_socket
        client.on_connect = self._on_connect
        client.on_publish = lambda _c, _u, number, reason, _p: self.acknowledged.update({number: reason})
        client.on_subscribe = lambda _c, _u, _n, reasons, _p: self.granted.extend(reasons)
        client.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        client.on_disconnect = self._on_disconnect
        client.connect("localhost", port, keepalive=keepalive_s, clean_start=True)
        self.serve_until(lambda: self.connack is not None)

    def _on_connect(self, _client, _userdata, _flags, reason, properties):
        self.connack, self.connack_properties = str(reason), properties

    def _on_disconnect(self, _client, _userdata, _flags, reason, _properties):
        self.goodbye = str(reason)

    def serve_until(self, condition, limit_s=LIMIT_S):
        """Move bytes until `condition()` or the end of the connection; return whether it came."""
        deadline_s = CLOCK.monotonic_s() + limit_s
        while not condition() and CLOCK.monotonic_s() < deadline_s:
            if move_bytes(self._client, 0.05, packet_bytes_max=PACKET_BYTES_MAX) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        return condition()

    def publish(self, topic, payload, *, qos=1, retain=False):
        """Publish; return the reason in the acknowledgement, or None if the broker ended the connection instead."""
        number = self._client.publish(topic, payload, qos, retain, properties_of(PacketTypes.PUBLISH)).mid
        self.serve_until(lambda: number in self.acknowledged)
        return str(self.acknowledged[number]) if number in self.acknowledged else None

    def subscribe(self, *topics):
        self._client.subscribe([(topic, 1) for topic in topics])
        self.serve_until(lambda: len(self.granted) == len(topics))

    def leave(self):
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.socket().close()

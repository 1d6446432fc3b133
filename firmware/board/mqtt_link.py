"""The link to the broker: one session after the other, each a client and a thread of its own (mqtt_session.py).

Owns what outlives a session: its events, the TLS session that the next one may resume, and the signs of life.
"""

import os
import threading

from firmware.board.mqtt_session import LifeSigns, Publication, Session, Sessions
from firmware.board.tls import tls_context
from firmware.config import UplinkConfig
from firmware.faults import DeviceFault
from firmware.identity import Identity
from firmware.presence import SESSION_BYTES, Status, sign_status
from firmware.records import LinkEvent
from firmware.stage import drained


class MqttLink:
    """The Link port over a real broker. Its world is one host; the unit's name is user, client and topic.

    It says by itself that the unit is here, after each connect, and leaves a will with the broker.
    """

    def __init__(self, config: UplinkConfig, identity: Identity) -> None:
        """Prepare; nothing is sent. Raises ConfigRejected."""
        self._sign = identity.device_key.sign
        self._sessions = Sessions(
            config=config,
            device_id=identity.device_id,
            tls=tls_context(identity.authority_path, identity.certificate_path, identity.key_path),
        )
        self._session: Session | None = None

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every new event from now on."""
        self._sessions.wake = wake

    def connect(self) -> None:
        """Begin a new session; one that was there is ended. The outcome is an event."""
        self.disconnect()
        self._session = Session(self._sessions, self._life_signs())
        self._session.start()

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand one QoS 1 message to the session; False when offline. Acked(token) or Refused(token, ...) follows."""
        publication = Publication(topic=topic, payload=payload, token=token, expiry_s=expiry_s)
        session = self._session  # another stage may end it meanwhile; then the message is lost, as when offline
        return session is not None and session.publish(publication)

    def events(self) -> list[LinkEvent]:
        """Return and forget the events since the last call, oldest first."""
        return drained(self._sessions.events)

    def disconnect(self) -> None:
        """End the session within DISCONNECT_LIMIT_S, whatever is unacknowledged, and forget its events.

        A thread that is just looking up a name or making the TLS connection ends by itself when that does.
        """
        if self._session is not None:
            self._session.stop()
            self._session = None
        self._sessions.events.clear()

    def _life_signs(self) -> LifeSigns | None:
        """Return what is told of a new session; None if the key cannot sign, which whoever seals reads will say."""
        number = int.from_bytes(os.urandom(SESSION_BYTES), "big")
        birth, will = (
            Status(device_id=self._sessions.device_id, session=number, is_here=is_here) for is_here in (True, False)
        )
        try:
            return LifeSigns(birth=sign_status(birth, self._sign), will=sign_status(will, self._sign))
        except DeviceFault:
            return None  # what waits in the outbox goes all the same

"""The Link port around another one, as whoever watches a link begins: it hands on everything and changes nothing."""

import threading

from firmware.ports import Link
from firmware.records import LinkEvent


class LinkAround:
    """Hands everything on to `link`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every new event from now on."""
        self._link.listen(wake)

    def connect(self) -> None:
        """Begin to connect."""
        self._link.connect()

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand on one message; return whether the link took it."""
        return self._link.publish(topic, payload, token, expiry_s)

    def events(self) -> list[LinkEvent]:
        """Return and forget the events since the last call, oldest first."""
        return self._link.events()

    def disconnect(self) -> None:
        """End the session."""
        self._link.disconnect()

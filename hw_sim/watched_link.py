"""A link that is counted: what is unacknowledged, by how much the broker's limit is passed, and when PUBACKs come.

It stands between the uplink and its link, where MQTT can still be read: on the wire it is inside TLS.
"""

from collections.abc import Callable

from firmware.ports import Link
from firmware.records import Acked, Connected, LinkEvent, Lost, Refused
from provisioning.link_around import LinkAround


class WatchedLink(LinkAround):
    """The Link port around another one. Counters for whoever measures; it changes nothing.

    Only messages with a token of 0 or above count: a read's token is its sequence number.
    """

    def __init__(self, link: Link, monotonic_s: Callable[[], float]) -> None:
        super().__init__(link)
        self.acked_s: dict[int, float] = {}  # when the first PUBACK came, by token
        self.in_flight: set[int] = set()
        self.max_in_flight = 0
        self.over_limit = 0  # publishes beyond the broker's Receive Maximum
        self.attempts = 0  # to connect
        self.is_offline = True  # neither connected nor about to be
        self.publishes = 0
        self.sessions = 0
        self.sessions_lost = 0  # CONNACKs that said that the broker had forgotten the unit
        self._monotonic_s = monotonic_s
        self._receive_maximum = 0

    def connect(self) -> None:
        """Begin to connect."""
        self.attempts += 1
        self.is_offline = False
        self.in_flight.clear()
        super().connect()

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand one message to the link, and count it if the link took it."""
        is_taken = super().publish(topic, payload, token, expiry_s)
        if is_taken and token >= 0:
            self.publishes += 1
            self.in_flight.add(token)
            self.max_in_flight = max(self.max_in_flight, len(self.in_flight))
            self.over_limit += len(self.in_flight) > self._receive_maximum
        return is_taken

    def events(self) -> list[LinkEvent]:
        """Return the link's events, noted."""
        events = super().events()
        for event in events:
            self._note(event)
        return events

    def disconnect(self) -> None:
        """End the session."""
        self.in_flight.clear()
        self.is_offline = True
        super().disconnect()

    def _note(self, event: LinkEvent) -> None:
        match event:
            case Connected(receive_maximum=receive_maximum, session_present=session_present):
                self.sessions += 1
                self.sessions_lost += not session_present
                self._receive_maximum = receive_maximum
            case Acked(token=token):
                self.in_flight.discard(token)
                self.acked_s.setdefault(token, self._monotonic_s())
            case Refused(token=int() as token):
                self.in_flight.discard(token)
            case Lost() | Refused(token=None):
                self.in_flight.clear()
                self.is_offline = True

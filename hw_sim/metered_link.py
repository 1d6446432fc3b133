"""A link that counts what it carries, as a modem's interface would: the data plan of a simulated unit.

This machine's own interfaces carry what is not the unit's. So the messages are counted, with what they cost beside
their content (firmware.budget.MESSAGE_OVERHEAD_BYTES, measured on a real link).
"""

import threading
import uuid

from firmware.budget import MESSAGE_OVERHEAD_BYTES
from firmware.ports import Link
from firmware.records import LinkEvent, Received, Traffic
from provisioning.link_around import LinkAround


class MeteredLink(LinkAround):
    """The ports Link and TrafficMeter over another link."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._boot_id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._received_bytes = self._sent_bytes = 0

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand one message to the session, and count it if it took it."""
        is_taken = super().publish(topic, payload, token, expiry_s)
        if is_taken:
            with self._lock:
                self._sent_bytes += len(payload) + MESSAGE_OVERHEAD_BYTES
        return is_taken

    def events(self) -> list[LinkEvent]:
        """Return and forget the events since the last call, oldest first."""
        events = super().events()
        with self._lock:
            self._received_bytes += sum(len(one.payload) for one in events if isinstance(one, Received))
        return events

    def read(self) -> Traffic:
        """Return what was carried since the link was made."""
        with self._lock:
            return Traffic(
                boot_id=self._boot_id, device=1, received_bytes=self._received_bytes, sent_bytes=self._sent_bytes
            )

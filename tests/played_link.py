"""An uplink between a link that the test plays and a real outbox."""

import threading
from collections import deque

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_reads import START_UTC_MS, KernelRandom, SetClock, made_read, made_sealer

from firmware.config import UplinkConfig
from firmware.faults import FaultBook
from firmware.outbox import Outbox
from firmware.records import Acked, Connected, MessageClass, Receipt
from firmware.stage import Mailbox
from firmware.uplink import UplinkStage

DEVICE = "k-test0001"
RECEIPT_KEY = Ed25519PrivateKey.generate()
SEALER = made_sealer(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
CONNECTED = Connected(session_present=True, receive_maximum=65_535, maximum_packet_bytes=131_072)


class PlayedLink:
    """The Link port. World face: `happens`, and what was asked of it: connects, published, disconnects."""

    def __init__(self):
        self.connects = self.disconnects = self.told = 0
        self.published = []
        self.is_online = True
        self._events = deque()

    def listen(self, wake):
        self._wake = wake

    def connect(self):
        self.connects += 1

    def publish(self, topic, payload, token, expiry_s):
        if self.is_online:
            self.published.append((topic, payload, token, expiry_s))
        return self.is_online

    def events(self):
        events, self._events = list(self._events), deque()
        return events

    def disconnect(self):
        self.disconnects += 1
        self._events.clear()

    def happens(self, *events):
        self._events.extend(events)
        self._wake.set()

    def take_tokens(self):
        tokens = [token for _, _, token, _ in self.published]
        self.published.clear()
        return tokens


class Bench:
    """An uplink between a played link and a real outbox."""

    def __init__(self, folder, **config):
        self.link, self.faults = PlayedLink(), FaultBook()
        self.clock = SetClock()
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**7, retention_s=30 * 86_400, clock=self.clock, system=KernelRandom()
        )
        self.commands = Mailbox(threading.Event(), 8)
        self.stage = UplinkStage(
            self.link,
            self.outbox,
            UplinkConfig(host="localhost", **config),
            device_id=DEVICE,
            receipt_key=RECEIPT_KEY.public_key(),
            commands=self.commands,
            system=KernelRandom(),
            faults=self.faults,
        )

    def put(self, count=1, *, message_class=MessageClass.READ, picture=b"crop"):
        tokens = [self.outbox.reserve_sequence() for _ in range(count)]
        for token in tokens:
            self.outbox.put(SEALER.seal(made_read(token, picture=picture), message_class=message_class))
        return tokens

    def connect(self, now_s, connected=CONNECTED):
        """Bring it online; return when that was."""
        at_s = now_s
        while self.link.connects == self.link.told:
            at_s = max(at_s, self.stage.step(at_s))
        self.link.told = self.link.connects
        self.step(at_s, connected)
        return at_s

    def step(self, now_s, *events):
        self.link.happens(*events)
        return self.stage.step(now_s)

    def deliver(self, now_s, *tokens):
        """Let the broker take these, and the receiver confirm them."""
        self.step(now_s, *(Acked(token) for token in tokens))
        for token in tokens:
            self.outbox.confirm(Receipt(device_id=DEVICE, ranges=((token, token),), issued_utc_ms=START_UTC_MS))

    def codes(self):
        return [report.code for report in self.faults.reports()]

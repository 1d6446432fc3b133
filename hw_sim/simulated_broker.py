"""A broker of virtual time with the real receiver behind it: what happens beyond a simulated cell.

The broker keeps MQTT 5's rules of sessions, QoS 1 and Receive Maximum, and is no kinder than Mosquitto: killed, it has
forgotten what it had acknowledged. The receiver is cloud.receiving with its store; only its network is missing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from cloud.receiving import Receiving
from firmware.topics import read_topic
from hw_sim.runner import VirtualClock, VirtualTimers

PACKET_BYTES: Final = 60  # of a CONNACK, a PUBACK and the like, in TLS
HOP_S: Final = 0.02  # between broker and receiver


class Caller(Protocol):
    """One connection as the broker sees it."""

    def say(self, size_bytes: int, heard: Callable[[], None]) -> None:
        """Send so many bytes; `heard` is called if and when they arrive at the unit."""
        ...

    def hang_up(self) -> None:
        """Close the connection."""
        ...

    def on_connack(self, *, session_present: bool) -> None:
        """Hear that the session is there, at the unit."""
        ...

    def on_puback(self, token: int) -> None:
        """Hear that the broker took a message, at the unit."""
        ...

    def on_receipt(self, number: int, payload: bytes) -> None:
        """Hear a receipt, at the unit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerRules:
    """What one broker allows, and how slow it is."""

    receive_maximum: int = 100
    maximum_packet_bytes: int = 131_072
    ack_delay_s: float = 0.0  # at most, before each PUBACK
    receipt_trouble_ratio: float = 0.0  # receipts that never leave the receiver, and as many that leave it twice


class SimReceiver:
    """The receiving end without its network. World face: `is_away`."""

    def __init__(self, receiving: Receiving, clock: VirtualClock, timers: VirtualTimers) -> None:
        self.is_away = False
        self._receiving = receiving
        self._clock = clock
        self._timers = timers
        self._is_receipt_due = False

    def take(self, topic: str, payload: bytes, publish: Callable[[str, bytes], None]) -> None:
        """Store one message, and let `publish` have the receipt when that is due."""
        self._receiving.take(topic, payload, self._clock.utc_ms())
        self._plan_receipt(publish)

    def _plan_receipt(self, publish: Callable[[str, bytes], None]) -> None:
        if not self._is_receipt_due:
            self._is_receipt_due = True
            wait_s = max(0.0, self._receiving.next_receipt_s() - self._clock.monotonic_s())
            self._timers.timer(wait_s + 1e-6, lambda: self._send_receipts(publish)).start()

    def _send_receipts(self, publish: Callable[[str, bytes], None]) -> None:
        self._is_receipt_due = False
        now_s = self._clock.monotonic_s()
        for device_id, receipt in self._receiving.due_receipts(now_s, self._clock.utc_ms(), limit=1).items():
            publish(device_id, receipt)


class SimBroker:
    """One unit's broker. World face: `restart`, `receiver`; counts in `exceeded` what passed its Receive Maximum."""

    def __init__(
        self,
        device_id: str,
        receiver: SimReceiver,
        rules: BrokerRules,
        *,
        clock: VirtualClock,
        timers: VirtualTimers,
        random: Random,
    ) -> None:
        self.exceeded = 0
        self.expired = 0
        self.rules = rules
        self.receiver = receiver
        self.is_up = True
        self._topic = read_topic(device_id)
        self._clock = clock
        self._timers = timers
        self._random = random
        self._has_session = False
        self._caller: Caller | None = None
        self._unacked = 0  # of the unit's messages, in this connection
        self._for_receiver: deque[tuple[float, bytes]] = deque()  # until when, what
        self._for_unit: dict[int, bytes] = {}  # receipts that the unit has not acknowledged
        self._numbers = 0

    def restart(self, down_s: float, *, forgets: bool) -> None:
        """Be gone for so long; what was not on the disk, sessions and queues, is forgotten."""
        self.is_up = False
        if self._caller is not None:
            self._caller.hang_up()
            self._caller = None
        if forgets:
            self._has_session = False
            self._for_receiver.clear()
            self._for_unit.clear()

        def come_back() -> None:
            self.is_up = True
            self.wake_receiver()

        self._timers.timer(down_s, come_back).start()

    def connect(self, caller: Caller) -> None:
        """Take a CONNECT without a clean start; the unit's connection that was there is taken over."""
        if self._caller is not None:
            self._caller.hang_up()
        self._caller = caller
        self._unacked = 0
        session_present, self._has_session = self._has_session, True
        caller.say(PACKET_BYTES, lambda: caller.on_connack(session_present=session_present))
        for number, receipt in self._for_unit.items():  # they were never acknowledged: MQTT 5, section 4.4
            self._say_receipt(caller, number, receipt)

    def publish(self, caller: Caller, token: int, payload: bytes, expiry_s: int) -> None:
        """Take a PUBLISH. More than Receive Maximum at a time ends the connection (MQTT 5, section 3.3.4)."""
        if caller is not self._caller:
            return
        self._unacked += 1
        if self._unacked > self.rules.receive_maximum:
            self.exceeded += 1
            caller.hang_up()
            self._caller = None
            return
        self._for_receiver.append((self._clock.monotonic_s() + expiry_s, payload))
        self._timers.timer(HOP_S, self.wake_receiver).start()
        self._timers.timer(
            self._random.uniform(0.0, self.rules.ack_delay_s), lambda: self._acknowledge(caller, token)
        ).start()

    def hear_puback(self, number: int) -> None:
        """Forget a receipt that the unit has."""
        self._for_unit.pop(number, None)

    def lose(self, caller: Caller) -> None:
        """Notice that a connection is gone; its session stays."""
        if caller is self._caller:
            self._caller = None

    def wake_receiver(self) -> None:
        """Hand on what waits, if somebody is there to hear it."""
        while self.is_up and not self.receiver.is_away and self._for_receiver:
            until_s, payload = self._for_receiver.popleft()
            if self._clock.monotonic_s() > until_s:  # message expiry: MQTT 5, section 3.3.2.3.3
                self.expired += 1
            else:
                self.receiver.take(self._topic, payload, self._take_receipt)

    def _acknowledge(self, caller: Caller, token: int) -> None:
        if caller is self._caller:
            self._unacked -= 1
            caller.say(PACKET_BYTES, lambda: caller.on_puback(token))

    def _take_receipt(self, _device_id: str, receipt: bytes) -> None:
        """Take a receipt for the unit: once, or by mishap never or twice."""
        luck = self._random.random()
        if not self.is_up or luck < self.rules.receipt_trouble_ratio:
            return
        for _ in range(2 if luck > 1.0 - self.rules.receipt_trouble_ratio else 1):
            if not self._has_session:
                return  # nobody has subscribed
            self._numbers += 1
            self._for_unit[self._numbers] = receipt
            if self._caller is not None:
                self._say_receipt(self._caller, self._numbers, receipt)

    def _say_receipt(self, caller: Caller, number: int, receipt: bytes) -> None:
        caller.say(PACKET_BYTES + len(receipt), lambda: caller.on_receipt(number, receipt))

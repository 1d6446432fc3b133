"""A simulated cell in virtual time: the Link port of a unit, with a broker behind coverage, delay, loss and faults.

Messages travel as TCP would carry them: in order, late where packets were lost, hanging where there is no coverage, and
gone with their connection. Whether a connection still lives each end finds out for itself. Days run in seconds.
"""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from threading import Event
from typing import Final

from firmware.records import Acked, Connected, LinkEvent, Lost, Received, Refused
from firmware.stage import drained
from firmware.topics import receipt_topic
from hw_sim.cell import Conditions, Coverage, OneWay, Spell, conditions_at
from hw_sim.runner import VirtualClock, VirtualTimers
from hw_sim.simulated_broker import PACKET_BYTES, SimBroker

SEGMENT_BYTES: Final = 1348
SEGMENT_HEADER_BYTES: Final = 52
PUBLISH_BYTES: Final = 100  # topic, properties, headers of MQTT and TLS
HANDSHAKE_BYTES: Final = 3000  # of TLS with certificates, each way
RTO_LEAST_S: Final = 0.2
RTO_LONGEST_S: Final = 60.0
CONNECT_LIMIT_S: Final = 30.0  # as the real link: 15 s each of TCP and TLS
KEEPALIVE_S: Final = 300.0  # the default of uplink.keepalive_s


class _Pipe:
    """One direction of one connection: in order, whole, and late."""

    def __init__(self, cell: "SimulatedCell", way: OneWay) -> None:
        self._cell, self._way = cell, way
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def send(self, size_bytes: int, arrive: Callable[[], None]) -> None:
        """Let `arrive` be called when so many bytes have come out at the other end."""
        due_s = self._cell.now_s()
        for begin in range(0, size_bytes, SEGMENT_BYTES):
            segment_bytes = min(SEGMENT_BYTES, size_bytes - begin) + SEGMENT_HEADER_BYTES
            due_s = max(due_s, self._segment_due_s(segment_bytes))
        if self._waiting:
            due_s = max(due_s, self._waiting[-1][0])
        self._waiting.append((due_s, arrive))
        self._cell.call_at(due_s, self.pump)

    def pump(self) -> None:
        """Deliver what is due, unless there is nobody to carry it: then it waits for the coverage."""
        while self._waiting and self._waiting[0][0] <= self._cell.now_s() and self._cell.is_served():
            self._waiting.popleft()[1]()

    def resume(self, after_s: float) -> None:
        """Send again what has waited, `after_s` from now: that is how long TCP's timer still runs."""
        again_s = self._cell.now_s() + after_s
        self._waiting = deque((max(due_s, again_s), arrive) for due_s, arrive in self._waiting)
        self._cell.call_at(again_s, self.pump)
        if self._waiting:
            self._cell.call_at(self._waiting[-1][0], self.pump)

    def _segment_due_s(self, size_bytes: int) -> float:
        at_s, rto_s, conditions = self._cell.now_s(), RTO_LEAST_S, self._cell.conditions()
        while (due_s := self._way.admit(size_bytes, at_s, conditions)) is None:
            at_s += 2 * conditions.delay_s + rto_s
            rto_s = min(RTO_LONGEST_S, 2 * rto_s)
        return due_s


class _Connection:
    """One connection as both ends see it. The broker's side of it is simulated_broker.Caller."""

    def __init__(self, cell: "SimulatedCell", up: OneWay, down: OneWay) -> None:
        self.is_established = False
        self.heard_s = self.spoke_s = cell.now_s()
        self.pinged_s: float | None = None
        self._cell = cell
        self._pipes = (_Pipe(cell, up), _Pipe(cell, down))
        self._is_carried = True  # the NAT knows it, and nobody has swallowed a part of it
        self._is_reset_told = False

    def forget(self, *, silent: bool) -> None:
        """Let nothing of it arrive any more; unless `silent`, whoever sends at the unit is told by a reset."""
        self._is_carried, self._is_reset_told = False, not silent

    def resume(self, after_s: float) -> None:
        """Go on after a time without coverage."""
        for pipe in self._pipes:
            pipe.resume(after_s)

    def send(self, size_bytes: int, heard: Callable[[], None]) -> None:
        """Send to the broker."""
        self.spoke_s = self._cell.now_s()
        if self._is_carried:
            self._pipes[0].send(size_bytes, lambda: self._arrive(heard))
        elif self._is_reset_told:
            self._pipes[1].send(PACKET_BYTES, lambda: self._cell.end(self, Lost("the connection was reset")))

    def say(self, size_bytes: int, heard: Callable[[], None]) -> None:
        """Send to the unit."""
        if self._is_carried:
            self._pipes[1].send(size_bytes, lambda: self._arrive(lambda: self._cell.hear(self, heard)))

    def hang_up(self) -> None:
        """Close it from the broker's side."""
        self.say(PACKET_BYTES, lambda: self._cell.end(self, Lost("the broker closed the connection")))

    def on_connack(self, *, session_present: bool) -> None:
        """Begin the session, at the unit."""
        self._cell.begin(self, session_present=session_present)

    def on_puback(self, token: int) -> None:
        """Note an acknowledgement, at the unit."""
        self._cell.tell(self, Acked(token))

    def on_receipt(self, number: int, payload: bytes) -> None:
        """Take a receipt, at the unit, and acknowledge it."""
        self._cell.take_receipt(self, number, payload)

    def _arrive(self, heard: Callable[[], None]) -> None:
        if self._is_carried:
            heard()


class SimulatedCell:
    """A unit's link through one cell. Device face: the Link port. World face: `spells`, `reset_nat`."""

    def __init__(
        self,
        device_id: str,
        spells: Sequence[Spell],
        broker: SimBroker,
        *,
        clock: VirtualClock,
        timers: VirtualTimers,
        random: Random,
    ) -> None:
        self.up, self.down = OneWay(random), OneWay(random)
        self._topic = receipt_topic(device_id)
        self._spells = sorted(spells, key=lambda spell: spell.from_s)
        self._broker = broker
        self._clock = clock
        self._timers = timers
        self._random = random
        self._events: deque[LinkEvent] = deque()
        self._wake = Event()
        self._connection: _Connection | None = None
        self._orphans: list[_Connection] = []  # the broker may still think that they live
        self._unserved_s: float | None = clock.monotonic_s()
        for spell in self._spells:
            self.call_at(spell.from_s, self._change)

    def listen(self, wake: Event) -> None:
        """Set `wake` at every new event from now on."""
        self._wake = wake

    def connect(self) -> None:
        """Begin to connect. The outcome is an event."""
        self.disconnect()
        connection = self._connection = _Connection(self, self.up, self.down)
        conditions = self.conditions()
        match conditions.coverage:
            case Coverage.NONE:
                self._after(0.01, lambda: self.end(connection, Lost("there is no network")))
            case Coverage.CAPTIVE:
                refusal = Refused(None, "the certificate of the broker was not accepted")
                self._after(3 * conditions.delay_s + 0.1, lambda: self.end(connection, refusal))
            case Coverage.SERVED | Coverage.SILENT | Coverage.BLACK_HOLE:
                if conditions.coverage is Coverage.BLACK_HOLE:
                    connection.forget(silent=True)
                connection.send(PACKET_BYTES, lambda: self._on_syn(connection))
        self._after(CONNECT_LIMIT_S, lambda: self._give_up(connection))

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand one message to the session; False when offline."""
        connection = self._connection
        if connection is None or not connection.is_established:
            return False
        connection.send(
            len(payload) + len(topic) + PUBLISH_BYTES,
            lambda: self._broker.publish(connection, token, payload, expiry_s),
        )
        return True

    def events(self) -> list[LinkEvent]:
        """Return and forget the events since the last call, oldest first."""
        return drained(self._events)

    def disconnect(self) -> None:
        """End the session; the broker hears of it if the way is open."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.send(PACKET_BYTES, lambda: self._broker.lose(connection))
            self._orphans = [*self._orphans[-3:], connection]
        self._events.clear()

    def reset_nat(self, *, silent: bool) -> None:
        """Forget the connection, as a carrier's NAT does."""
        for connection in self._all():
            connection.forget(silent=silent)

    def now_s(self) -> float:
        """Return the virtual time."""
        return self._clock.monotonic_s()

    def conditions(self) -> Conditions:
        """Return what holds now."""
        return conditions_at(self._spells, self.now_s())

    def is_served(self) -> bool:
        """Say whether anything is carried now."""
        return self.conditions().coverage is Coverage.SERVED

    def call_at(self, at_s: float, call: Callable[[], None]) -> None:
        """Let `call` be called at a moment, now at the earliest."""
        self._after(max(0.0, at_s - self.now_s()), call)

    def begin(self, connection: _Connection, *, session_present: bool) -> None:
        """Tell that a session is there, and keep it alive."""
        connection.is_established = True
        rules = self._broker.rules
        event = Connected(
            session_present=session_present,
            receive_maximum=rules.receive_maximum,
            maximum_packet_bytes=rules.maximum_packet_bytes,
        )
        self.tell(connection, event)
        self._keep_alive(connection)

    def hear(self, connection: _Connection, heard: Callable[[], None]) -> None:
        """Let something from the broker be heard if the unit still listens to that connection."""
        connection.heard_s = self.now_s()
        connection.pinged_s = None
        if connection is self._connection:
            heard()

    def take_receipt(self, connection: _Connection, number: int, payload: bytes) -> None:
        """Tell of a receipt and acknowledge it."""
        self.tell(connection, Received(self._topic, payload))
        connection.send(PACKET_BYTES, lambda: self._broker.hear_puback(number))

    def tell(self, connection: _Connection, event: LinkEvent) -> None:
        """Tell an event of the connection that the unit listens to."""
        if connection is self._connection:
            self._events.append(event)
            self._wake.set()

    def end(self, connection: _Connection, outcome: LinkEvent) -> None:
        """Tell the outcome that ends the unit's connection."""
        if connection is self._connection:
            self.tell(connection, outcome)
            self._connection = None
            self._orphans = [*self._orphans[-3:], connection]

    def _after(self, delay_s: float, call: Callable[[], None]) -> None:
        self._timers.timer(delay_s, call).start()

    def _all(self) -> list[_Connection]:
        return [*self._orphans, *([self._connection] if self._connection else [])]

    def _on_syn(self, connection: _Connection) -> None:
        """Answer a SYN, then let TLS and CONNECT follow: two round trips more."""
        if not self._broker.is_up:
            connection.say(PACKET_BYTES, lambda: self.end(connection, Lost("nothing listens there")))
            return
        connection.say(
            PACKET_BYTES,
            lambda: connection.send(
                HANDSHAKE_BYTES,
                lambda: connection.say(
                    HANDSHAKE_BYTES, lambda: connection.send(PACKET_BYTES, lambda: self._on_connect(connection))
                ),
            ),
        )

    def _on_connect(self, connection: _Connection) -> None:
        if self._broker.is_up:
            self._broker.connect(connection)

    def _give_up(self, connection: _Connection) -> None:
        if not connection.is_established:
            self.end(connection, Lost("the broker does not answer"))

    def _keep_alive(self, connection: _Connection) -> None:
        """Ping after a quiet time and give up when nothing comes back, as paho does."""
        if connection is not self._connection:
            return
        now_s = self.now_s()
        if connection.pinged_s is not None and now_s - connection.pinged_s >= KEEPALIVE_S:
            self.end(connection, Lost("keep-alive timed out"))
            return
        if connection.pinged_s is None and now_s - min(connection.spoke_s, connection.heard_s) >= KEEPALIVE_S:
            connection.pinged_s = now_s
            connection.send(PACKET_BYTES, lambda: connection.say(PACKET_BYTES, lambda: None))
        self._after(KEEPALIVE_S / 4, lambda: self._keep_alive(connection))

    def _change(self) -> None:
        """Take over new conditions: what was swallowed is lost, what hung goes on when TCP's timer says so."""
        coverage, now_s = self.conditions().coverage, self.now_s()
        if coverage in (Coverage.BLACK_HOLE, Coverage.CAPTIVE):
            self.reset_nat(silent=coverage is Coverage.BLACK_HOLE)
        if coverage is not Coverage.SERVED:
            self._unserved_s = now_s if self._unserved_s is None else self._unserved_s
        elif self._unserved_s is not None:
            longest_s = min(RTO_LONGEST_S, max(RTO_LEAST_S, now_s - self._unserved_s))
            self._unserved_s = None
            for connection in self._all():
                connection.resume(self._random.uniform(RTO_LEAST_S, longest_s))

"""A cell for real sockets without root: a TCP relay on loopback between the unit and the broker.

It sees a stream and not packets, so a lost packet is what TCP makes of it: the stream stands still for a round trip and
the least time that Linux waits before it sends again. Counted are the bytes of the streams and an estimate of headers.
"""

import contextlib
import math
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Final, Self

from hw_sim.broker import ADDRESS, free_port
from hw_sim.cell import Conditions, Coverage, OneWay

SEGMENT_BYTES: Final = 1348
HEADER_BYTES: Final = 52
"""IPv4 and TCP with timestamps. The estimate: each segment costs one header, and one of an acknowledgement back."""

RTO_LEAST_S: Final = 0.2  # Linux, TCP_RTO_MIN
WAITING_BYTES_MAX: Final = 256_000
DIAL_LIMIT_S: Final = 2.0
LOOK_EVERY_S: Final = 0.5
SILENT_KEPT: Final = 64
PORTAL: Final = b"HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/\r\nConnection: close\r\n\r\n"
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER of socket(7): closing tells the other end with an RST


class _Stream:
    """One direction of one connection: what waits for its time, and where it goes."""

    def __init__(self, source: socket.socket, target: socket.socket, way: OneWay, back: OneWay) -> None:
        self.source, self.target, self.way, self.back = source, target, way, back
        self.waiting: deque[tuple[float, bytes]] = deque()  # due, bytes; an empty one is the end
        self.waiting_bytes = 0
        self.passed_bytes = 0
        self.cut_at_bytes = math.inf
        self.is_over = False

    def next_s(self) -> float:
        return self.waiting[0][0] if self.waiting else math.inf


class TcpRelay:
    """The cell of a run without root. A context manager; what it does runs on one thread of its own.

    World face besides the cell's own: `cut_after`, which the tests of random disconnects use.
    """

    name = "relay"
    host = "localhost"
    broker_address = ADDRESS

    def __init__(self, seed: int) -> None:
        self.cuts = 0
        self._random = Random(seed)
        self._up, self._down = OneWay(self._random), OneWay(self._random)
        self._conditions = Conditions(coverage=Coverage.NONE)
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._orders: deque[Callable[[], None]] = deque()
        self._bell, self._bell_push = socket.socketpair()
        self._streams: list[_Stream] = []
        self._silent: list[socket.socket] = []  # kept open, neither heard nor spoken to
        self._cut_up_bytes = self._cut_down_bytes = math.inf
        self._is_cut_silent = False
        self._listener: socket.socket | None = None
        self._broker_port = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tcp-relay")

    def __enter__(self) -> Self:
        """Start; there is no coverage yet."""
        self.port = free_port()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._tell(lambda: None)
        self._thread.join()
        for stream in self._streams:
            stream.source.close()
        for lone in (*self._silent, self._bell, self._bell_push, *([self._listener] if self._listener else [])):
            lone.close()
        self._selector.close()

    def at_unit(self) -> contextlib.AbstractContextManager[None]:
        """Stay where everybody is: on loopback."""
        return contextlib.nullcontext()

    def at_broker(self) -> contextlib.AbstractContextManager[None]:
        """Stay where everybody is: on loopback."""
        return contextlib.nullcontext()

    def begin(self, broker_port: int) -> int:
        """Relay to this port of loopback; return the port that the unit calls."""
        self._broker_port = broker_port
        return self.port

    def apply(self, conditions: Conditions) -> None:
        """Let these conditions hold from now on."""
        self._ask(lambda: self._change(conditions))

    def reset_nat(self, *, silent: bool) -> None:
        """Forget all connections."""
        self._ask(lambda: self._forget_connections(silent=silent))

    def counted(self) -> tuple[int, int]:
        """Return the bytes up and down: the streams' own and the estimate of headers."""
        return self._up.bytes, self._down.bytes

    def cut_after(self, *, up_bytes: float = math.inf, down_bytes: float = math.inf, silent: bool) -> None:
        """Cut the next connection when so many bytes of it have gone one way or the other, in silence or by reset.

        If it ends before, the one after it is cut, until one is.
        """

        def note() -> None:
            self._cut_up_bytes, self._cut_down_bytes, self._is_cut_silent = up_bytes, down_bytes, silent

        self._ask(note)

    def _ask(self, order: Callable[[], None]) -> None:
        """Let the relay's thread do something, and wait until it has."""
        done = threading.Event()

        def whole() -> None:
            order()
            done.set()

        self._tell(whole)
        while not done.wait(LOOK_EVERY_S) and self._thread.is_alive():
            continue

    def _tell(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self._bell_push.send(b"!")

    def _run(self) -> None:
        while not self._stopping.is_set():
            soonest_s = min((stream.next_s() for stream in self._streams), default=math.inf)
            wait_s = None if math.isinf(soonest_s) else max(0.0, soonest_s - time.monotonic())
            for key, _ in self._selector.select(wait_s):
                self._hear(key)
            while self._orders:
                self._orders.popleft()()
            self._deliver(time.monotonic())

    def _hear(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._bell:
            self._bell.recv(4096)
        elif key.fileobj is self._listener:
            self._accept(self._listener)
        elif isinstance(key.data, _Stream) and not key.data.is_over:
            self._take(key.data)

    def _change(self, conditions: Conditions) -> None:
        self._conditions = conditions
        if conditions.coverage is Coverage.NONE:
            if self._listener is not None:  # whoever connects is refused at once
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
        elif self._listener is None:
            self._listener = socket.create_server((ADDRESS, self.port))
            self._selector.register(self._listener, selectors.EVENT_READ)
        if conditions.coverage in (Coverage.BLACK_HOLE, Coverage.CAPTIVE):
            self._forget_connections(silent=conditions.coverage is Coverage.BLACK_HOLE)
        self._watch_sources()

    def _accept(self, listener: socket.socket) -> None:
        unit, _ = listener.accept()
        if self._conditions.coverage is Coverage.CAPTIVE:
            with contextlib.suppress(OSError):
                unit.sendall(PORTAL)
            unit.close()
            return
        if self._conditions.coverage is not Coverage.SERVED:
            self._keep_silent(unit)
            return
        try:
            broker = socket.create_connection((ADDRESS, self._broker_port), DIAL_LIMIT_S)
        except OSError:
            _reset(unit)
            return
        for end in (unit, broker):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = _Stream(unit, broker, self._up, self._down), _Stream(broker, unit, self._down, self._up)
        up.cut_at_bytes, down.cut_at_bytes = self._cut_up_bytes, self._cut_down_bytes
        self._streams += [up, down]
        self._watch_sources()

    def _watch_sources(self) -> None:
        """Listen to those that may speak: what has no coverage or too much waiting is left in the sender's kernel."""
        for stream in self._streams:
            is_heard = (
                self._conditions.coverage is Coverage.SERVED
                and stream.waiting_bytes < WAITING_BYTES_MAX
                and not stream.is_over
            )
            is_watched = stream.source.fileno() in self._selector.get_map()
            if is_heard and not is_watched:
                self._selector.register(stream.source, selectors.EVENT_READ, stream)
            elif is_watched and not is_heard:
                self._selector.unregister(stream.source)

    def _take(self, stream: _Stream) -> None:
        """Take what one end sends, up to a segment or the place of a cut, and find when it comes out."""
        room = min(SEGMENT_BYTES, stream.cut_at_bytes - stream.passed_bytes)
        try:
            data = stream.source.recv(int(room)) if room >= 1 else b""
        except OSError:
            self._end(stream)
            return
        stream.passed_bytes += len(data)
        now_s = time.monotonic()
        if data:
            stream.back.bytes += HEADER_BYTES
        stream.waiting.append((self._due_s(stream, len(data), now_s), data))
        stream.waiting_bytes += len(data)
        stream.is_over = not data
        self._watch_sources()
        if stream.passed_bytes >= stream.cut_at_bytes:
            self.cuts += 1
            self._cut_up_bytes = self._cut_down_bytes = math.inf
            for other in self._streams:
                other.cut_at_bytes = math.inf
            while stream.waiting and stream.waiting[0][1]:
                self._hand_over(stream)  # the bytes before the cut arrive
            self._part(stream, silent=self._is_cut_silent)

    def _due_s(self, stream: _Stream, size_bytes: int, now_s: float) -> float:
        """Return when a segment comes out; a lost one comes out later, and all behind it wait."""
        while (due_s := stream.way.admit(size_bytes + HEADER_BYTES, now_s, self._conditions)) is None:
            now_s += 2 * self._conditions.delay_s + RTO_LEAST_S
        return max(due_s, stream.waiting[-1][0] if stream.waiting else due_s)

    def _deliver(self, now_s: float) -> None:
        if self._conditions.coverage is not Coverage.SERVED:
            for stream in self._streams:  # it waits for the bearer, and then goes
                stream.waiting = deque((max(due_s, now_s + LOOK_EVERY_S), data) for due_s, data in stream.waiting)
            return
        for stream in list(self._streams):
            while stream.waiting and stream.waiting[0][0] <= now_s:
                self._hand_over(stream)
        self._watch_sources()

    def _hand_over(self, stream: _Stream) -> None:
        _, data = stream.waiting.popleft()
        stream.waiting_bytes -= len(data)
        if not data:
            self._end(stream)
            return
        with contextlib.suppress(OSError):  # gone already: its own direction notices
            stream.target.sendall(data)

    def _end(self, stream: _Stream) -> None:
        """Close both directions of a connection of which one has ended."""
        self._part(stream, silent=False, is_orderly=True)

    def _forget_connections(self, *, silent: bool) -> None:
        while self._streams:
            self._part(self._streams[0], silent=silent)

    def _part(self, stream: _Stream, *, silent: bool, is_orderly: bool = False) -> None:
        """Take a connection out: its ends are kept and never heard again, or closed, by reset or in order."""
        pair = [one for one in self._streams if stream.source in (one.source, one.target)]
        self._streams = [one for one in self._streams if one not in pair]
        for one in pair:
            one.is_over = True
            one.waiting.clear()
            if one.source.fileno() in self._selector.get_map():
                self._selector.unregister(one.source)
            if silent:
                self._keep_silent(one.source)
            elif is_orderly:
                one.source.close()
            else:
                _reset(one.source)

    def _keep_silent(self, end: socket.socket) -> None:
        """Keep a socket open and be silent; the oldest is let go when nobody can be waiting for it any more."""
        self._silent.append(end)
        if len(self._silent) > SILENT_KEPT:
            self._silent.pop(0).close()


def _reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    end.close()

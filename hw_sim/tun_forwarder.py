"""The process between two TUN devices: carries IP packets as a cell does, and counts them.

Started by hw_sim.tun_cell, which owns the devices; it ends when the other end of its control line does, so that nothing
stays behind whatever becomes of who started it. One order a line in, one count a line out.
"""

import heapq
import itertools
import os
import select
import socket
import sys
import time
from random import Random
from typing import Final

import msgspec

from hw_sim.cell import Conditions, Coverage, OneWay
from hw_sim.ip_packets import Flag, Segment

PACKET_BYTES_MAX: Final = 65_536
ORDER_BYTES_MAX: Final = 4096


class Order(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the forwarder is told: each part that is not None."""

    conditions: Conditions | None = None
    nat_reset: str | None = None  # "silent", or "reset": what later packets of the old connections meet


class Counted(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The answer to each order: bytes of IP packets that went on the air since the start."""

    up_bytes: int
    down_bytes: int


class Forwarder:
    """Carries packets between the unit's device and the broker's, through a NAT that the unit's SYNs open."""

    def __init__(self, unit_tun: int, broker_tun: int, seed: int) -> None:
        random = Random(seed)
        self._unit_tun, self._broker_tun = unit_tun, broker_tun
        self._up, self._down = OneWay(random), OneWay(random)
        self._conditions = Conditions(coverage=Coverage.NONE)
        self._flows: set[int] = set()  # the unit's ports that the NAT knows
        self._is_reset_told = False
        self._on_way: list[tuple[float, int, int, bytes]] = []  # due, order, device, packet
        self._order = itertools.count()

    def run(self, control: socket.socket) -> None:
        """Carry until the control line ends."""
        while True:
            wait_s = max(0.0, self._on_way[0][0] - time.monotonic()) if self._on_way else None
            lines = [control.fileno(), self._unit_tun, self._broker_tun]
            readable, _, _ = select.select(lines, [], [], wait_s)
            if control.fileno() in readable:
                line = control.recv(ORDER_BYTES_MAX)
                if not line:
                    return
                control.send(msgspec.json.encode(self._obey(msgspec.json.decode(line, type=Order))))
            now_s = time.monotonic()
            self._deliver(now_s)
            if self._unit_tun in readable:
                self._take_from_unit(os.read(self._unit_tun, PACKET_BYTES_MAX), now_s)
            if self._broker_tun in readable:
                self._take_from_broker(os.read(self._broker_tun, PACKET_BYTES_MAX), now_s)

    def _obey(self, order: Order) -> Counted:
        if order.conditions is not None:
            self._conditions = order.conditions
            if order.conditions.coverage is not Coverage.SERVED:
                self._forget_packets()
        if order.nat_reset is not None:
            self._flows.clear()
            self._is_reset_told = order.nat_reset == "reset"
        return Counted(up_bytes=self._up.bytes, down_bytes=self._down.bytes)

    def _forget_packets(self) -> None:
        self._on_way.clear()
        self._up.flush()
        self._down.flush()

    def _take_from_unit(self, packet: bytes, now_s: float) -> None:
        segment = Segment.parse(packet)
        if segment is None or self._conditions.coverage in (Coverage.NONE, Coverage.SILENT, Coverage.CAPTIVE):
            return
        if self._conditions.coverage is Coverage.BLACK_HOLE:
            self._swallow(segment)
            return
        if segment.flags & Flag.SYN:
            self._flows.add(segment.source_port)
        if segment.source_port in self._flows:
            self._send(self._up, self._broker_tun, packet, now_s)
        elif self._is_reset_told and not segment.flags & Flag.RST:
            refusal = segment.answer(Flag.RST | Flag.ACK, sequence=segment.acknowledged)
            self._send(self._down, self._unit_tun, refusal.to_packet(), now_s)

    def _take_from_broker(self, packet: bytes, now_s: float) -> None:
        segment = Segment.parse(packet)
        if segment and segment.destination_port in self._flows and self._conditions.coverage is Coverage.SERVED:
            self._send(self._down, self._unit_tun, packet, now_s)

    def _swallow(self, segment: Segment) -> None:
        """Acknowledge to the unit whatever it sends, connections too, as a proxy does that has lost its other side."""
        self._flows.discard(segment.source_port)  # what has been swallowed no stream recovers from
        if segment.length and not segment.flags & Flag.RST:
            is_first = segment.flags & Flag.SYN
            flags = Flag.SYN | Flag.ACK if is_first else Flag.ACK
            answer = segment.answer(flags, sequence=0 if is_first else segment.acknowledged)
            os.write(self._unit_tun, answer.to_packet())

    def _send(self, way: OneWay, device: int, packet: bytes, now_s: float) -> None:
        due_s = way.admit(len(packet), now_s, self._conditions)
        if due_s is not None:
            heapq.heappush(self._on_way, (due_s, next(self._order), device, packet))

    def _deliver(self, now_s: float) -> None:
        while self._on_way and self._on_way[0][0] <= now_s:
            _, _, device, packet = heapq.heappop(self._on_way)
            try:
                os.write(device, packet)
            except OSError:  # the device is switched off: as good as lost
                continue


def main(arguments: list[str]) -> int:
    """Carry between the devices and under the control line whose descriptors are given."""
    unit_tun, broker_tun, control, seed = map(int, arguments)
    with socket.socket(fileno=control) as line:
        Forwarder(unit_tun, broker_tun, seed).run(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

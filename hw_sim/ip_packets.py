"""IPv4 packets of TCP, as far as something between two ends must read and write them (RFC 791, RFC 9293)."""

import enum
import struct
from dataclasses import dataclass, field
from typing import Final, Self

TCP: Final = 6
WINDOW: Final = 65_535


class Flag(enum.IntFlag):
    """The control bits of a TCP segment."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    ACK = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One TCP segment in an IPv4 packet. Addresses are 4 bytes; `length` is what it adds to the sequence number."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int
    acknowledged: int
    flags: Flag
    length: int = field(default=0)

    @classmethod
    def parse(cls, packet: bytes) -> Self | None:
        """Return the segment in a packet; None if that is no whole TCP over IPv4."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != TCP:
            return None
        header = 4 * (packet[0] & 0x0F)
        if len(packet) < header + 20:
            return None
        source_port, destination_port, sequence, acknowledged, offset, bits = struct.unpack_from(
            "!HHIIBB", packet, header
        )
        flags = Flag(bits & 0x17)
        payload = len(packet) - header - 4 * (offset >> 4)
        return cls(
            source=packet[12:16],
            destination=packet[16:20],
            source_port=source_port,
            destination_port=destination_port,
            sequence=sequence,
            acknowledged=acknowledged,
            flags=flags,
            length=payload + bool(flags & Flag.SYN) + bool(flags & Flag.FIN),
        )

    def answer(self, flags: Flag, *, sequence: int) -> "Segment":
        """Return what the other end would say to this: all of it acknowledged, and nothing else."""
        return Segment(
            source=self.destination,
            destination=self.source,
            source_port=self.destination_port,
            destination_port=self.source_port,
            sequence=sequence,
            acknowledged=(self.sequence + self.length) % 2**32,
            flags=flags,
        )

    def to_packet(self) -> bytes:
        """Return the packet, with an empty payload and right checksums."""
        segment = struct.pack(
            "!HHIIBBHHH",
            self.source_port,
            self.destination_port,
            self.sequence,
            self.acknowledged,
            5 << 4,
            self.flags,
            WINDOW,
            0,
            0,
        )
        pseudo_header = self.source + self.destination + struct.pack("!BBH", 0, TCP, len(segment))
        segment = segment[:16] + _checksum(pseudo_header + segment) + segment[18:]
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, TCP, 0)
        header += self.source + self.destination
        return header[:10] + _checksum(header) + header[12:] + segment


def _checksum(data: bytes) -> bytes:
    """Return the Internet checksum of an even number of bytes (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    return struct.pack("!H", ~total & 0xFFFF)

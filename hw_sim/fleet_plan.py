"""What a large fleet needs, worked out on paper from what one broker and one receiver were measured to cost. Pure.

Every line of the table is a product of figures that stand in it or in the sweep, so that a new sweep renews it. CPU
seconds are taken over from one machine to another of the same kind; they say nothing of memory bandwidth, disks or
networks, which a large fleet has to be measured for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from firmware.link_causes import TREATMENTS, LinkCause
from hw_sim.traffic import HOUR_SHARES

READS_A_DAY: Final = 2400
MEASURED_RATE_A_MINUTE: Final = 50.0
DAYS_KEPT: Final = 30
BUSY_RATIO: Final = 0.6
"""How busy a core may be for queues to stay short: at 0.6 a random arrival waits 1.5 services (M/M/1)."""

TCP_IP_BYTES: Final = 52  # IPv4 20, TCP 20, timestamps 12 (RFC 7323)
SEGMENT_BYTES: Final = 1448  # of an Ethernet frame of 1,500, without them
TLS_RECORD_BYTES: Final = 22  # header 5, content type 1, AES-GCM tag 16 (RFC 8446, section 5.2)
PUBLISH_BYTES: Final = (
    40  # MQTT 5, section 3.3: fixed header 3, topic 2 + 26, packet identifier 2, message expiry 1 + 5, rounded
)
PUBACK_BYTES: Final = 4  # section 3.4
RECEIPT_BYTES: Final = 160  # a receipt without gaps, its topic and header
RETRY_LIMIT_S: Final = TREATMENTS[LinkCause.LOST].limit_s
"""Units that cannot reach their broker try again within this time."""


Row = tuple[str, str, str]
"""What is asked, the figure, and where it comes from."""

LEAST_READS: Final = 1000
"""A load of fewer reads says too little of what a thousand cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a sweep says that the plan needs. CPU is of one core of the machine that was measured."""

    broker_s_per_1000: float
    receiver_s_per_1000: float
    receipts_per_read: float
    connection_ms: float  # broker's CPU for TCP, TLS 1.3 with both certificates, CONNECT and SUBSCRIBE
    connection_kb: float  # broker's memory, KB of 1,000 bytes
    read_bytes: float
    row_bytes: float  # of the receiver's store

    @classmethod
    def of(cls, sweep: dict[str, Any]) -> Self:
        """Return what a sweep says, weighed by its reads. Raises KeyError, TypeError or ValueError for no sweep."""
        loads = [load for load in sweep["loads"] if load["stored"] >= LEAST_READS]
        if len(loads) < 2:
            raise ValueError("no two loads of a thousand reads")
        first, last = loads[0], loads[-1]
        cameras = last["cameras"] - first["cameras"]
        if cameras <= 0:
            raise ValueError("the loads do not grow")
        return cls(
            broker_s_per_1000=_mean(loads, "broker_cpu_s_per_1000_reads"),
            receiver_s_per_1000=_mean(loads, "receiver_cpu_s_per_1000_reads"),
            receipts_per_read=sum(load["receipts"] for load in loads) / sum(load["stored"] for load in loads),
            connection_ms=_mean(loads, "broker_cpu_ms_per_connection"),
            connection_kb=(last["broker_connected_rss_mb"] - first["broker_connected_rss_mb"]) * 1000 / cameras,
            read_bytes=_mean(loads, "read_bytes"),
            row_bytes=_mean(loads, "row_bytes"),
        )


def _mean(loads: Sequence[dict[str, Any]], key: str) -> float:
    reads = [float(load["stored"]) for load in loads]
    return sum(float(load[key]) * weight for load, weight in zip(loads, reads, strict=True)) / sum(reads)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """The paper calculation for so many cameras at READS_A_DAY each."""

    cameras: int
    measured: Measured

    @property
    def mean_per_s(self) -> float:
        """Return reads a second over the day."""
        return self.cameras * READS_A_DAY / 86_400

    @property
    def peak_per_s(self) -> float:
        """Return reads a second in a weekday's busiest hour."""
        return self.cameras * READS_A_DAY * max(HOUR_SHARES) / sum(HOUR_SHARES) / 3600

    @property
    def extreme_per_s(self) -> float:
        """Return reads a second if every camera saw what the load test lets it see."""
        return self.cameras * MEASURED_RATE_A_MINUTE / 60

    @property
    def bytes_up(self) -> float:
        """Return the bytes of a read on its way to the broker, with all headers, and of the acknowledgement back."""
        message = self.measured.read_bytes + PUBLISH_BYTES + TLS_RECORD_BYTES
        return message + TCP_IP_BYTES * math.ceil(message / SEGMENT_BYTES)

    @property
    def bytes_down(self) -> float:
        """Return the bytes that come back for a read: PUBACK, a receipt of its own, and a bare TCP acknowledgement."""
        each = TLS_RECORD_BYTES + TCP_IP_BYTES
        return PUBACK_BYTES + RECEIPT_BYTES + 2 * each + TCP_IP_BYTES

    def cores(self, per_s: float, s_per_1000: float) -> float:
        """Return the cores that `per_s` reads a second keep busy at BUSY_RATIO."""
        return per_s * s_per_1000 / 1000 / BUSY_RATIO

    @property
    def connect_core_s(self) -> float:
        """Return the broker's CPU seconds for all cameras to connect once."""
        return self.cameras * self.measured.connection_ms / 1000

    @property
    def return_per_s(self) -> float:
        """Return connections a second just after a long outage, the most there are.

        Each unit waits random(0, RETRY_LIMIT_S) between attempts. Seen from a moment that they do not know of, the time
        to the next attempt has the density 2/L (1 - x/L): the residual life of a uniform interval (renewal theory).
        """
        return 2 * self.cameras / RETRY_LIMIT_S

    def spread_s(self, cores: float) -> float:
        """Return over how many seconds the back-off must have spread the units before `cores` can let all of them in.

        After a short outage all try within a second; each failure doubles the window: 1, 2, 4 ... RETRY_LIMIT_S.
        """
        needed_s = self.connect_core_s / cores
        return min(RETRY_LIMIT_S, 2.0 ** max(0, math.ceil(math.log2(needed_s))))

    def rows(self) -> list[Row]:
        """Return what is asked, the figure, and where it comes from."""
        return [*self._rates(), *self._parts(), *self._connections(), *self._volumes()]

    def _rates(self) -> list[Row]:
        return [
            ("reads a second, mean", f"{self.mean_per_s:,.0f}", f"{self.cameras:,} x {READS_A_DAY:,} a day"),
            (
                "reads a second, busiest hour",
                f"{self.peak_per_s:,.0f}",
                f"{max(HOUR_SHARES) / sum(HOUR_SHARES):.1%} of a weekday's traffic in it",
            ),
            (
                "reads a second, all at 50 a minute",
                f"{self.extreme_per_s:,.0f}",
                "the load test's rate on every camera at once; no road network does that",
            ),
        ]

    def _parts(self) -> list[Row]:
        measured = self.measured
        return [
            (
                "receiver cores: mean / busiest hour / 50 a minute",
                self._cores_by_rate(measured.receiver_s_per_1000),
                f"{measured.receiver_s_per_1000:.2f} CPU s per 1,000 reads and their "
                f"{1000 * measured.receipts_per_read:.0f} receipts measured, cores {BUSY_RATIO:.0%} busy",
            ),
            (
                "broker cores: mean / busiest hour / 50 a minute",
                self._cores_by_rate(measured.broker_s_per_1000),
                f"{measured.broker_s_per_1000:.2f} CPU s per 1,000 reads measured (Mosquitto, in and out)",
            ),
            (
                "broker memory for connections",
                f"{self.cameras * measured.connection_kb / 1e6:,.1f} GB",
                f"{measured.connection_kb:.0f} KB a connection measured; nothing queued",
            ),
        ]

    def _connections(self) -> list[Row]:
        connection_ms = self.measured.connection_ms
        cores = max(1, math.ceil(self.cores(self.peak_per_s, self.measured.broker_s_per_1000)))
        return [
            (
                "connecting all once",
                f"{self.connect_core_s:,.0f} core s",
                f"{connection_ms:.1f} ms of the broker's CPU a connection measured (TLS 1.3, certificates both ways)",
            ),
            (
                "handshakes a second after a long outage",
                f"{self.return_per_s:,.0f}, falling to 0 in {RETRY_LIMIT_S:.0f} s",
                f"2 x {self.cameras:,} / {RETRY_LIMIT_S:.0f} s, the residual life of a uniform wait; "
                f"{self.return_per_s * connection_ms / 1000:.1f} cores",
            ),
            (
                "after a short one, all are in within about",
                f"{self.spread_s(cores):.0f} s, with {cores} broker {'core' if cores == 1 else 'cores'}",
                f"all try within 1 s and most fail; the window doubles until {1000 * cores / connection_ms:,.0f} "
                "handshakes a second suffice",
            ),
        ]

    def _volumes(self) -> list[Row]:
        measured, a_day = self.measured, self.cameras * READS_A_DAY
        up, down = self.bytes_up, self.bytes_down
        return [
            (
                "bandwidth into the brokers: mean / busiest hour",
                f"{self.mean_per_s * up * 8 / 1e6:,.0f} / {self.peak_per_s * up * 8 / 1e6:,.0f} Mbit/s",
                f"{up:,.0f} bytes a read with MQTT, TLS and TCP/IP; as much again to the receivers",
            ),
            (
                "bandwidth back to the units, mean",
                f"{self.mean_per_s * down * 8 / 1e6:,.0f} Mbit/s",
                f"{down:.0f} bytes a read: PUBACK, a receipt each, TCP acknowledgement",
            ),
            (
                "mobile data a month: a camera / the fleet",
                f"{READS_A_DAY * 30 * (up + down) / 1e6:,.0f} MB / {a_day * 30 * (up + down) / 1e12:,.1f} TB",
                "reads with plate crops and their answers; the plan of a camera is 500 MB",
            ),
            (
                f"storage: a day / {DAYS_KEPT} days",
                f"{a_day * measured.row_bytes / 1e12:,.2f} / {a_day * measured.row_bytes * DAYS_KEPT / 1e12:,.1f} TB",
                f"{measured.row_bytes:,.0f} bytes a row measured, indexes included; one copy",
            ),
            (
                "queue for receivers that are away: an hour / a day",
                f"{a_day * measured.read_bytes / 24 / 1e9:,.0f} / {a_day * measured.read_bytes / 1e9:,.0f} GB",
                f"{measured.read_bytes:,.0f} bytes a message; what a broker does not keep, the units do",
            ),
        ]

    def _cores_by_rate(self, s_per_1000: float) -> str:
        rates = (self.mean_per_s, self.peak_per_s, self.extreme_per_s)
        return " / ".join(f"{math.ceil(self.cores(rate, s_per_1000)):,}" for rate in rates)


def plan_table(plan: FleetPlan) -> str:
    """Return the calculation as a Markdown table, as README has it."""
    lines = [f"| {plan.cameras:,} cameras, {READS_A_DAY:,} reads a day each | | from |", "|---|---|---|"]
    lines += [f"| {asked} | {figure} | {origin} |" for asked, figure, origin in plan.rows()]
    return "\n".join(lines) + "\n"

"""What a load came to, as numbers: counts, latencies, and what a thousand reads cost each part. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from hw_sim.fleet_cameras import Books
from hw_sim.fleet_reads import plate_of
from hw_sim.part_processes import Cost

HELD_P95_S: Final = 2.0
"""Capture to acknowledgement and to the store, for 95 of 100 reads: what a unit online may take."""

ReadName = tuple[str, str]
"""A read of a simulated fleet: its camera and its made-up plate, of which a camera has each once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the parts had used at one moment. `machine_cpu_s` is what all processes of the machine had."""

    broker: Cost
    receiver: Cost
    generator_cpu_s: float
    machine_cpu_s: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that was seen of one load."""

    cameras: int
    receivers: int
    reads_per_minute: float
    minutes: float
    seed: int
    connect_s: float
    books: Books
    captured: dict[str, int]  # reads by camera
    unconfirmed: dict[str, tuple[int, ...]]  # numbers of reads that the cameras still keep
    stored: Sequence[tuple[ReadName, int]] = field(repr=False)  # each row of the stores, and its moment in UTC ms
    shown_utc_ms: dict[ReadName, int] = field(repr=False)  # when the receiver showed it, just after its commit
    repeated: int  # what came again and was known
    rejected: int
    store_bytes: int
    before: Costs  # no camera connected yet
    loaded: Costs  # all connected, nothing captured yet
    after: Costs  # all delivered, or given up


def figures(account: Account) -> dict[str, Any]:
    """Return the answer of `python -m hw_sim fleet` for one load."""
    books, after = account.books, account.after
    captured = {
        (device_id, plate_of(number)) for device_id, count in account.captured.items() for number in range(1, count + 1)
    }
    kept = {(device_id, plate_of(number)) for device_id, numbers in account.unconfirmed.items() for number in numbers}
    rows = Counter(name for name, _ in account.stored)
    stored_s = [
        (account.shown_utc_ms[name] - utc_ms) / 1000 for name, utc_ms in account.stored if name in account.shown_utc_ms
    ]
    return {
        "cameras": account.cameras,
        "receivers": account.receivers,
        "reads_per_minute": account.reads_per_minute,
        "minutes": account.minutes,
        "seed": account.seed,
        "connect_s": round(account.connect_s, 3),
        "sent": len(captured),
        "acknowledged": books.acknowledged,
        "stored": len(rows),
        "confirmed": books.confirmed,
        "waiting": len(kept - rows.keys()),
        "lost": len(captured - rows.keys() - kept),
        "duplicates": rows.total() - len(rows),
        "repeated": account.repeated,
        "rejected": account.rejected,
        "sent_again": books.sent_again,
        "connections_lost": books.connections_lost,
        "refused": books.refused,
        "receipts": books.receipts,
        "read_bytes": round(books.bytes_sealed / max(1, books.captured)),
        **percentiles("latency", books.ack_s),
        **percentiles("stored", stored_s),
        **percentiles("confirmed", books.confirm_s),
        **percentiles("generator_late", books.late_s),
        **_costs(account),
        "row_bytes": round(account.store_bytes / max(1, rows.total())),
        "broker_connected_rss_mb": round(account.loaded.broker.peak_rss_mb, 1),
        "broker_peak_rss_mb": round(after.broker.peak_rss_mb, 1),
        "receiver_peak_rss_mb": round(after.receiver.peak_rss_mb, 1),
    }


def _costs(account: Account) -> dict[str, float]:
    before, loaded, after = account.before, account.loaded, account.after
    wall_s = max(1e-9, after.at_s - loaded.at_s)
    used_s = {
        "broker": after.broker.cpu_s - loaded.broker.cpu_s,
        "receiver": after.receiver.cpu_s - loaded.receiver.cpu_s,
        "generator": after.generator_cpu_s - loaded.generator_cpu_s,
    }
    thousands = max(1e-9, account.books.captured / 1000)
    others_s = after.machine_cpu_s - loaded.machine_cpu_s - sum(used_s.values())
    return {
        "wall_s": round(wall_s, 2),
        **{f"{part}_cpu_s": round(cpu_s, 2) for part, cpu_s in used_s.items()},
        **{f"{part}_cpu_share": round(cpu_s / wall_s, 3) for part, cpu_s in used_s.items()},
        "others_cpu_share": round(max(0.0, others_s) / wall_s, 3),
        **{f"{part}_cpu_s_per_1000_reads": round(used_s[part] / thousands, 3) for part in ("broker", "receiver")},
        "broker_cpu_ms_per_connection": round(
            (loaded.broker.cpu_s - before.broker.cpu_s) / max(1, account.cameras) * 1000, 2
        ),
    }


def percentiles(name: str, taken_s: Iterable[float]) -> dict[str, float | None]:
    """Return p50, p95 and p99 of seconds as `{name}_p50_s`, ...; None of nothing."""
    values = list(taken_s)
    ranks = (50, 95, 99)
    if not values:
        return {f"{name}_p{rank}_s": None for rank in ranks}
    found = np.percentile(values, ranks)
    return {f"{name}_p{rank}_s": round(float(value), 4) for rank, value in zip(ranks, found, strict=True)}


def is_held(answer: dict[str, Any]) -> bool:
    """Say whether broker and receiver kept up: all confirmed, and 95 of 100 reads acknowledged and stored in time."""
    latencies = (answer["latency_p95_s"], answer["stored_p95_s"])
    is_whole = answer["confirmed"] == answer["sent"] and answer["lost"] == answer["duplicates"] == 0
    return is_whole and all(latency is not None and latency <= HELD_P95_S for latency in latencies)


_COLUMNS: Final = (
    ("cameras", "cameras", "{:d}"),
    ("reads/s", "", "{:.1f}"),
    ("sent", "sent", "{:d}"),
    ("stored", "stored", "{:d}"),
    ("lost", "lost", "{:d}"),
    ("twice", "duplicates", "{:d}"),
    ("acked p50", "latency_p50_s", "{:.3f} s"),
    ("p95", "latency_p95_s", "{:.3f} s"),
    ("p99", "latency_p99_s", "{:.3f} s"),
    ("stored p95", "stored_p95_s", "{:.3f} s"),
    ("broker", "broker_cpu_share", "{:.0%}"),
    ("receiver", "receiver_cpu_share", "{:.0%}"),
    ("cameras'", "generator_cpu_share", "{:.0%}"),
    ("others'", "others_cpu_share", "{:.0%}"),
)
"""Heading, key of the answer, and how it is written. The last four are shares of one core."""


def table(answers: Sequence[dict[str, Any]]) -> str:
    """Return loads for people, one line each; CPU as shares of one core."""
    rows = [[heading for heading, _, _ in _COLUMNS] + ["kept up"]]
    for answer in answers:
        known = answer | {"": answer["cameras"] * answer["reads_per_minute"] / 60}
        cells = ["--" if known[key] is None else form.format(known[key]) for _, key, form in _COLUMNS]
        rows.append([*cells, "yes" if is_held(answer) else "no"])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines) + "\n"

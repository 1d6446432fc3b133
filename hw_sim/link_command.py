"""`python -m hw_sim link`: what comes through a bad cellular link, how soon, at how many bytes."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from firmware.board.log_output import LogFormat
from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from hw_sim import link_run
from hw_sim.cell import Conditions
from hw_sim.demonstration import stop_requests
from hw_sim.link_plot import drawn
from hw_sim.link_run import Measured
from hw_sim.link_scenarios import DEFAULT_S, Scenario
from hw_sim.network_space import TUN
from hw_sim.option_types import EXIT_INTERRUPTED
from hw_sim.tcp_relay import TcpRelay
from hw_sim.tun_cell import TunCell

CURVE_POINTS: Final = 400
LATENCY_PERCENTS: Final = (50, 95, 99)
DECIMALS: Final = 3

DESCRIPTION: Final = """A unit's real link, uplink and outbox, a real Mosquitto over TLS and the real receiver,
with a bad cell between them, in real time.

  outage72h   --reads reads of the last 72 hours, peaks and alerts among them, wait in the outbox when the bearer comes
              back; then --seconds of a peak of 50 reads a minute
  flaky       --seconds of that peak while the bearer goes, falls silent, trickles and its NAT forgets, by chance
  blackhole   the same, but for half of the time a proxy takes everything, acknowledges it and forgets it
  throttle    the same, at 64 kbit/s for half of the time
  natreset    the same, while the carrier's NAT forgets all connections six times, in silence and by reset in turn"""

EPILOG: Final = """the answer (JSON, and as a table):
  sent            reads sealed by the unit
  acknowledged    of them, those for which the broker's PUBACK came
  lost            sealed, and not in the receiver's store at the end
  duplicates      rows of the receiver's store beyond one for each read: stored twice in spite of de-duplication
  out_of_order    first arrivals at the store with a lower sequence number than one before them; alerts, of which the
                  newest may go first, do not count
  max_in_flight   most reads published and not acknowledged at one moment, counted at the unit's link port, before TLS
  drain_s         outage72h: from the bearer's return, waiting out the back-off, to the last receipt of the backlog;
                  else from the end of the last fault until nothing waits for a receipt, for the first time
  latency_p95_s   from capture to PUBACK, of the reads of the peak; what waits out a fault is among them
  bytes_up, bytes_down   of IP packets on the TUN link, retransmissions and all; with --link relay the bytes of the TCP
                  streams and an estimate of 104 a segment of 1,348 for headers and acknowledgements
  more: latency_p50_s, latency_p99_s, alert_latency_p95_s (alerts captured while the backlog drains), over_limit
  (publishes beyond the broker's Receive Maximum), publishes, sessions, repetitions (deliveries that the receiver knew
  already), rejected, curve ([seconds, reads that wait]), latencies_s (ascending), and what was asked for

exit codes: 0 nothing is lost, doubled or out of order; 1 something is; 2 usage; 130 interrupted"""


def add_to(commands: Any) -> None:
    """Add the command to those of `python -m hw_sim`."""
    link = commands.add_parser(
        "link",
        help="what comes through a bad cellular link, and how soon, in real time",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    link.add_argument("--scenario", type=Scenario, choices=list(Scenario), required=True)
    link.add_argument("--json", type=Path, metavar="OUT", help="write the answer there")
    link.add_argument("--svg", type=Path, metavar="OUT", help="draw the curves of drain and latency there")
    link.add_argument("--reads", type=int, default=7200, help="of the backlog of outage72h (default: 7200)")
    link.add_argument("--seconds", type=float, help="of the peak of 50 reads a minute (default: 240 to 600)")
    link.add_argument("--seed", type=int, default=1, help="the same seed, the same troubles (default: 1)")
    link.add_argument("--delay-ms", type=float, default=200.0, help="each way (default: 200)")
    link.add_argument("--jitter-ms", type=float, default=20.0, help="on top, at most (default: 20)")
    link.add_argument("--rate-kbit", type=float, default=1000.0, help="a second, each way (default: 1000)")
    link.add_argument("--loss", type=float, default=2.0, help="per cent of packets, each way (default: 2)")
    link.add_argument(
        "--vain-attempts", type=int, default=12, help="to connect in the outage: the back-off's length (default: 12)"
    )
    link.add_argument("--link", choices=["tun", "relay"], help="default: tun if root, else relay")
    link.set_defaults(command=command, check=link.error, log_level="error", log_format=LogFormat.TEXT)


def command(options: argparse.Namespace) -> int:
    """Run one scenario and tell what it came to; return the exit code."""
    _check(options)
    for path in filter(None, (options.json, options.svg)):
        path.open("a").close()  # what cannot be written is said before the work and not after it
    good = Conditions(
        delay_s=options.delay_ms / 1000,
        jitter_s=options.jitter_ms / 1000,
        loss_ratio=options.loss / 100,
        rate_bit_s=options.rate_kbit * 1000,
    )
    scenario: Scenario = options.scenario
    with (
        stop_requests() as stopping,
        _cell(options) as cell,
        tqdm(unit="read", desc=str(scenario), dynamic_ncols=True) as bar,
    ):

        def told(sealed: int, confirmed: int) -> None:
            bar.total, bar.n = sealed, confirmed
            bar.refresh()

        measured = link_run.run(
            scenario,
            cell,
            good,
            reads=options.reads,
            vain_attempts=options.vain_attempts,
            seconds=options.seconds or DEFAULT_S[scenario],
            seed=options.seed,
            stopping=stopping,
            told=told,
        )
        told(measured.sent, measured.sent - measured.verdict.lost)
    if stopping.is_set():
        sys.stderr.write("kestrel-sim: the run was interrupted; it has no answer\n")
        return EXIT_INTERRUPTED
    found = answer(measured) | {
        "scenario": str(scenario),
        "link": cell.name,
        "seed": options.seed,
        "asked": _asked(options),
    }
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.svg is not None:
        options.svg.write_text(drawn(found), encoding="utf-8")
    sys.stdout.write(table(found))
    return EXIT_STOPPED if is_good(found) else EXIT_FAULT


def answer(measured: Measured) -> dict[str, Any]:
    """Return what a run came to as it is written to JSON; the first ten keys are the ones that stay."""
    p50_s, p95_s, p99_s = (percentile(measured.latencies_s, percent) for percent in LATENCY_PERCENTS)
    step = max(1, len(measured.curve) // CURVE_POINTS)
    return {
        "sent": measured.sent,
        "acknowledged": measured.acknowledged,
        "lost": measured.verdict.lost,
        "duplicates": measured.verdict.duplicates,
        "out_of_order": measured.verdict.out_of_order,
        "max_in_flight": measured.max_in_flight,
        "drain_s": round(measured.drain_s, DECIMALS),
        "latency_p95_s": p95_s,
        "bytes_up": measured.bytes_up,
        "bytes_down": measured.bytes_down,
        "latency_p50_s": p50_s,
        "latency_p99_s": p99_s,
        "alert_latency_p95_s": percentile(measured.alert_latencies_s, 95),
        "over_limit": measured.over_limit,
        "publishes": measured.publishes,
        "sessions": measured.sessions,
        "repetitions": measured.repetitions,
        "rejected": measured.rejected,
        "curve": [list(point) for point in measured.curve[::step]],
        "latencies_s": [round(one, DECIMALS) for one in measured.latencies_s],
    }


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that so many per cent do not exceed (nearest rank); None of nothing."""
    if not ascending:
        return None
    rank = -(-len(ascending) * percent // 100)
    return round(ascending[max(1, int(rank)) - 1], DECIMALS)


def is_good(found: dict[str, Any]) -> bool:
    """Say whether nothing is lost, doubled or out of order, and the broker's limit was kept."""
    troubles = ("lost", "duplicates", "out_of_order", "over_limit", "rejected")
    return not any(found[name] for name in troubles)


def table(found: dict[str, Any]) -> str:
    """Return an answer for people."""
    rows = {
        "reads": f"{found['sent']} sealed, {found['acknowledged']} acknowledged, {found['lost']} lost, "
        f"{found['duplicates']} doubled, {found['out_of_order']} out of order",
        "on the way": f"{found['max_in_flight']} unacknowledged at most; {found['publishes']} publishes in "
        f"{found['sessions']} sessions, {found['repetitions']} repetitions",
        "drained in": f"{found['drain_s']:.1f} s",
        "capture to PUBACK": f"median {_seconds(found['latency_p50_s'])}, p95 {_seconds(found['latency_p95_s'])}, "
        f"p99 {_seconds(found['latency_p99_s'])} of {len(found['latencies_s'])} reads",
        "bytes": f"{found['bytes_up']:,} up, {found['bytes_down']:,} down ({found['link']})",
    }
    return f"{found['scenario']}\n" + "".join(f"  {name:<20}{value}\n" for name, value in rows.items())


def _seconds(value_s: float | None) -> str:
    return "none" if value_s is None else f"{value_s:.2f} s"


def _asked(options: argparse.Namespace) -> dict[str, float]:
    names = ("reads", "seconds", "delay_ms", "jitter_ms", "rate_kbit", "loss", "vain_attempts")
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _check(options: argparse.Namespace) -> None:
    """End with exit code 2 and a sentence if an option makes no sense."""
    if options.reads < 1 or (options.seconds is not None and options.seconds <= 0) or options.rate_kbit <= 0:
        options.check("--reads, --seconds and --rate-kbit must be above zero")
    if not 0 <= options.loss <= 50 or options.delay_ms < 0 or options.jitter_ms < 0:
        options.check("--loss must be 0 to 50 per cent, and --delay-ms and --jitter-ms not below zero")


def _cell(options: argparse.Namespace) -> TunCell | TcpRelay:
    can_tun = os.geteuid() == 0 and os.access(TUN, os.W_OK)
    return (
        TunCell(options.seed) if (options.link or ("tun" if can_tun else "relay")) == "tun" else TcpRelay(options.seed)
    )

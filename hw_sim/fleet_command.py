"""`python -m hw_sim fleet` and `fleet-plan`: how many cameras broker and receiver hold, and what more need."""

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from firmware.board.log_output import LogFormat
from firmware.command_line import EXIT_STOPPED
from firmware.faults import ConfigRejected
from hw_sim.demonstration import stop_requests
from hw_sim.fleet_figures import table
from hw_sim.fleet_plan import FleetPlan, Measured, plan_table
from hw_sim.fleet_plot import curves
from hw_sim.fleet_run import FleetLoad, run_load
from hw_sim.option_types import EXIT_INTERRUPTED, number, whole

"""128 and the number of SIGINT: a load that was cut short must not pass for one."""

MEASURED: Final = Path("docs/fleet.json")
READS_AT_MOST: Final = 5_000_000  # of one load: their latencies and names are kept in memory
FILES_BESIDE: Final = 200  # that a process has open besides its cameras' sockets


class FleetRefused(ConfigRejected):
    """The load cannot be run as asked; the message says what to change."""


def add_to(commands: Any) -> None:
    """Add both commands to the parser's."""
    fleet = commands.add_parser("fleet", help="a load: many cameras on a real broker and a real receiver")
    size = fleet.add_mutually_exclusive_group()
    size.add_argument("--cameras", type=whole(1, 20_000), default=20, metavar="N", help="default: 20")
    size.add_argument("--sweep", type=_sizes, metavar="N,N,...", help="one load after the other, as 10,50,200")
    fleet.add_argument("--reads-per-minute", type=number(0.1, 600.0), default=50.0, metavar="M", help="default: 50")
    fleet.add_argument("--minutes", type=number(0.05, 1440.0), default=1.0, metavar="T", help="default: 1")
    fleet.add_argument("--json", type=Path, metavar="OUT", help="write the answer there, as it grows")
    fleet.add_argument("--seed", type=whole(0, 2**32), default=1, help="the same seed, the same moments (default: 1)")
    fleet.add_argument("--processes", type=whole(1, 64), default=1, help="processes that are the cameras (default: 1)")
    fleet.add_argument("--receivers", type=whole(1, 16), default=1, help="receivers on one store (default: 1)")
    fleet.add_argument("--kill-broker-at", type=number(0.1, 86_400.0), metavar="S", help="kill -9 and start it again")
    fleet.add_argument("--folder", type=Path, help="where fleet, cameras and stores are kept (default: nowhere)")
    fleet.set_defaults(command=_fleet, log_level="warning", log_format=LogFormat.TEXT)

    plan = commands.add_parser("fleet-plan", help="what a large fleet needs, worked out from a measured sweep")
    plan.add_argument("--measured", type=Path, default=MEASURED, metavar="JSON", help="default: %(default)s")
    plan.add_argument("--cameras", type=whole(1, 100_000_000), default=100_000, metavar="N", help="default: 100000")
    plan.add_argument("--plot", type=Path, metavar="SVG", help="draw the measured curves there")
    plan.set_defaults(command=_plan, log_level="warning", log_format=LogFormat.TEXT)


def _fleet(options: argparse.Namespace) -> int:
    """Run each load, write what is known after each, and print the table."""
    sizes: list[int] = options.sweep or [options.cameras]
    _refuse_nonsense(options, sizes)
    if options.json is not None:
        options.json.open("a").close()  # what cannot be written is said before the work and not after it
    answers: list[dict[str, Any]] = []
    with stop_requests() as stopping, _folder(options.folder) as folder:
        for size in sizes:
            load = FleetLoad(
                cameras=size,
                reads_per_minute=options.reads_per_minute,
                minutes=options.minutes,
                seed=options.seed,
                processes=options.processes,
                receivers=options.receivers,
                kill_broker_at_s=options.kill_broker_at,
            )
            answers.append(run_load(load, folder / f"load-{size}", stopping))
            if options.json is not None:
                answer = answers[0] if options.sweep is None else {"cores": os.cpu_count(), "loads": answers}
                options.json.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
            if stopping.is_set():
                break
    sys.stdout.write(table(answers))
    if stopping.is_set():
        sys.stderr.write("kestrel-sim: the load was interrupted; what had happened until then is above\n")
        return EXIT_INTERRUPTED
    return EXIT_STOPPED


def _refuse_nonsense(options: argparse.Namespace, sizes: list[int]) -> None:
    """Return if the loads can be run here, with enough files to open for this process. Raises FleetRefused."""
    if options.kill_broker_at is not None and options.kill_broker_at >= 60 * options.minutes:
        raise FleetRefused("--kill-broker-at lies behind the end of --minutes; kill the broker earlier")
    reads = max(sizes) * options.reads_per_minute * options.minutes
    if reads > READS_AT_MOST:
        raise FleetRefused(f"{reads:,.0f} reads are more than one load can hold; ask for {READS_AT_MOST:,} at most")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(sizes) + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise FleetRefused(
            f"{max(sizes)} cameras need {needed} open files, and this account may have {hard}; "
            "raise the limit (ulimit -Hn) or ask for fewer cameras"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.folder is not None:
        for size in sizes:
            if (options.folder / f"load-{size}").exists():
                raise FleetRefused(f"{options.folder}: holds a load of {size} cameras already; choose another folder")


@contextmanager
def _folder(asked: Path | None) -> Iterator[Path]:
    """Yield the folder that was asked for, or one that is gone afterwards."""
    if asked is not None:
        yield asked
        return
    with tempfile.TemporaryDirectory(prefix="kestrel-fleet-") as folder:
        yield Path(folder)


def _plan(options: argparse.Namespace) -> int:
    try:
        sweep = json.loads(options.measured.read_text(encoding="utf-8"))
        measured = Measured.of(sweep)
    except (OSError, ValueError, KeyError, TypeError):
        raise FleetRefused(
            f"{options.measured}: not the answer of a sweep; make it with `python -m hw_sim fleet --sweep ... --json`"
        ) from None
    sys.stdout.write(plan_table(FleetPlan(cameras=options.cameras, measured=measured)))
    if options.plot is not None:
        options.plot.write_text(curves(sweep["loads"]), encoding="utf-8")
        sys.stdout.write(f"The measured curves: {options.plot}\n")
    return EXIT_STOPPED


def _sizes(text: str) -> list[int]:
    """Return the loads of a sweep, each once, as they are given. Raises ArgumentTypeError."""
    sizes = [whole(1, 20_000)(part) for part in text.split(",")]
    if len(set(sizes)) < len(sizes):
        raise argparse.ArgumentTypeError("names a number of cameras twice")
    return sizes

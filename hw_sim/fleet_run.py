"""One load on a real broker and a real receiver: starts all parts, ends them in order, and accounts for each read.

The broker is Mosquitto with the product's own configuration, the receiver `python -m cloud receive`; all on loopback.
The cameras are processes of hw_sim/fleet_load.py. A read counts from the moment at which it was to be captured, so that
a generator that comes late makes the answer worse and not better.
"""

import datetime as dt
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Final

from tqdm import tqdm

from cloud import fleet_folder
from cloud.store import Outcome, ReadStore
from firmware.config import SealConfig
from firmware.outbox import RECEIPT_WAIT_S
from hw_sim.broker import Broker, free_port
from hw_sim.fleet_cameras import Books, CameraFiles
from hw_sim.fleet_enrolment import enrol_many
from hw_sim.fleet_figures import Account, Costs, ReadName, figures
from hw_sim.fleet_load import Finish, LoadPlan, LoadProcess, Start, Told, spread
from hw_sim.part_processes import Cost, PartEnded, child, cost_of, machine_cpu_s, stop
from provisioning import durable_files, fleet
from provisioning import receivers as more_receivers

LOOK_EVERY_S: Final = 0.1
LEAD_S: Final = 0.5  # from the word to start to the first moment at which a read may be captured
CONNECT_LIMIT_S: Final = 60.0
CONNECT_LIMIT_PER_CAMERA_S: Final = 0.5
DRAIN_SILENCE_S: Final = 20.0  # nothing confirmed for so long after the cameras' patience: the rest will not come
DRAIN_LIMIT_S: Final = 300.0
DRAIN_LIMIT_STOPPED_S: Final = 5.0  # after Ctrl-C
RECEIVER_STOP_LIMIT_S: Final = 30.0
STORE_NAME: Final = "reads.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLoad:
    """What is asked of one run. `kill_broker_at_s` after the first capture the broker is killed and started again."""

    cameras: int
    reads_per_minute: float
    minutes: float
    seed: int = 1
    processes: int = 1
    receivers: int = 1  # on one store
    kill_broker_at_s: float | None = None
    patience_s: float = RECEIPT_WAIT_S  # after so long without a receipt a camera sends again


def prepare(folder: Path, cameras: int, receivers: int) -> tuple[Path, list[CameraFiles]]:
    """Return a fleet in `folder` and so many of its units, made if they are not there. Raises ConfigRejected."""
    fleet_path, now = folder / "fleet", dt.datetime.now(dt.UTC)
    durable_files.make_folder(folder)
    if not (fleet_path / fleet_folder.FLEET_NAME).exists():
        fleet.init(fleet_path, host="localhost", port=free_port(), now=now)
    while len(fleet_folder.receivers(fleet_path)) < receivers:
        more_receivers.add(fleet_path, now)
    return fleet_path, enrol_many(fleet_path, folder, cameras, now)


def run_load(load: FleetLoad, folder: Path, stopping: threading.Event) -> dict[str, Any]:
    """Return what one load came to (fleet_figures.figures); `folder` gets its files and holds no earlier load.

    Raises BrokerAbsent, PartEnded, ConfigRejected and StoreRefused, each with one sentence. Once `stopping` is set, all
    parts end within some seconds and what there is is returned.
    """
    fleet_path, cameras = prepare(folder.parent, load.cameras, load.receivers)
    durable_files.make_folder(folder)
    with ExitStack() as parts:
        broker = parts.enter_context(Broker(fleet_path, folder))
        receivers = [
            parts.enter_context(_receiving(fleet_path, name, folder / STORE_NAME))
            for name in fleet_folder.receivers(fleet_path)[: load.receivers]
        ]
        crowd = parts.enter_context(_crowd(load, fleet_path, cameras))
        course = _Course(load, broker, receivers, crowd, stopping)
        course.run()
        told = crowd.end()
        for receiver in receivers:
            stop(receiver.process, RECEIVER_STOP_LIMIT_S)
    return figures(course.account(told, folder / STORE_NAME))


@dataclass(slots=True)
class _Receiver:
    """The receiver's process, and when it showed each read."""

    process: subprocess.Popen[str]
    shown_utc_ms: dict[ReadName, int] = field(default_factory=dict)

    def note(self, lines: IO[str]) -> None:
        """Note the moment of each line that shows a read: time, site, unit, plate, ... (cloud.receiver.line)."""
        for line in lines:
            words = line.split()
            if len(words) > 4 and words[2].startswith("k-"):
                self.shown_utc_ms.setdefault((words[2], words[3]), time.time_ns() // 1_000_000)


class _Crowd:
    """All camera processes as one."""

    def __init__(self, plans: list[LoadPlan]) -> None:
        self.processes = [LoadProcess(plan) for plan in plans]

    def told(self) -> list[Told]:
        """Return what each process told last. Raises PartEnded if one is gone."""
        if not all(process.is_alive for process in self.processes):
            raise PartEnded("a process of cameras ended; what it said is above")
        return [told for process in self.processes if (told := process.hear()) is not None]

    def tell(self, word: Start | Finish) -> None:
        """Say something to every process."""
        for process in self.processes:
            process.tell(word)

    def end(self) -> list[Told]:
        """End every process; return the last word of each."""
        return [told for process in self.processes if (told := process.end()) is not None]


@contextmanager
def _crowd(load: FleetLoad, fleet_path: Path, cameras: list[CameraFiles]) -> Iterator[_Crowd]:
    shared = fleet_folder.load(fleet_path)
    seal = SealConfig(
        agency_keys=shared.agency_keys, receipt_key=shared.receipt_key, retirement_key=shared.retirement_key
    )
    plans = [
        LoadPlan(
            host=shared.host,
            port=shared.port,
            authority=fleet_path / fleet_folder.AUTHORITY_CERTIFICATE,
            seal=seal,
            cameras=share,
            reads_per_minute=load.reads_per_minute,
            patience_s=load.patience_s,
            seed=load.seed,
        )
        for share in spread(cameras, load.processes)
    ]
    crowd = _Crowd(plans)
    try:
        yield crowd
    finally:
        crowd.end()


@contextmanager
def _receiving(fleet_path: Path, name: str, store_path: Path) -> Iterator[_Receiver]:
    """Run the receiver, and note what it shows, from when it hears the broker. Raises PartEnded if it does not."""
    command = [sys.executable, "-m", "cloud", "receive", "--folder", str(fleet_path), "--name", name]
    command += ["--store", str(store_path)]
    with child(command, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not process.stdout.readline():
            raise PartEnded("the receiver did not start; its own sentence is above")
        receiver = _Receiver(process)
        noting = threading.Thread(target=receiver.note, args=(process.stdout,), name="receiver-lines")
        noting.start()
        try:
            yield receiver
        finally:
            stop(process, RECEIVER_STOP_LIMIT_S)
            noting.join()


class _Course:
    """The course of one load: connect, capture, deliver the rest; with what the parts had used in between."""

    def __init__(
        self, load: FleetLoad, broker: Broker, receivers: list[_Receiver], crowd: _Crowd, stopping: threading.Event
    ) -> None:
        self._load = load
        self._broker = broker
        self._receivers = receivers
        self._crowd = crowd
        self._stopping = stopping
        self._killed = Cost()  # what brokers that were killed had used
        self._connect_s = 0.0
        self._before = self._loaded = self._after = self._costs()

    def run(self) -> None:
        """Let it all happen. Raises PartEnded."""
        expected = round(self._load.cameras * self._load.reads_per_minute * self._load.minutes)
        with tqdm(total=expected, unit="read", desc=f"{self._load.cameras} cameras", dynamic_ncols=True) as bar:
            self._connect(bar)
            self._loaded = self._after = self._costs()
            if not self._stopping.is_set():
                self._capture(bar)
            self._drain(bar)
            bar.total = bar.n = self._books().confirmed
        self._after = self._costs()

    def account(self, told: list[Told], store_path: Path) -> Account:
        """Return all that was seen, with the last words of the cameras. The receiver must have ended."""
        with ReadStore(store_path) as store:
            stored = [((read.device_id, read.plate or ""), read.last_utc_ms) for read in store.reads(sys.maxsize >> 1)]
            counters = store.counters()
        repeated = counters.pop(Outcome.DUPLICATE, 0)
        return Account(
            cameras=self._load.cameras,
            receivers=self._load.receivers,
            reads_per_minute=self._load.reads_per_minute,
            minutes=self._load.minutes,
            seed=self._load.seed,
            connect_s=self._connect_s,
            books=_sum([one.books for one in told]),
            captured={name: count for one in told for name, count in one.captured.items()},
            unconfirmed={name: numbers for one in told for name, numbers in one.unconfirmed.items()},
            stored=stored,
            shown_utc_ms={name: at for one in self._receivers for name, at in one.shown_utc_ms.items()},
            repeated=repeated,
            rejected=sum(counters.values()),
            store_bytes=store_path.stat().st_size,
            before=self._before,
            loaded=self._loaded,
            after=self._after,
        )

    def _connect(self, bar: Any) -> None:
        """Wait until every camera is connected. Raises PartEnded if they do not get in."""
        begun_s = time.monotonic()
        limit_s = CONNECT_LIMIT_S + CONNECT_LIMIT_PER_CAMERA_S * self._load.cameras
        while not self._stopping.wait(LOOK_EVERY_S):
            self._watch()
            told = self._crowd.told()
            connected = sum(one.connected for one in told)
            bar.set_postfix_str(f"{connected} connected")
            if connected == self._load.cameras:
                self._connect_s = max(one.connected_after_s for one in told)
                return
            if time.monotonic() - begun_s > limit_s:
                raise PartEnded(
                    f"only {connected} of {self._load.cameras} cameras got in; {self._broker.log_path} says why"
                )

    def _capture(self, bar: Any) -> None:
        """Let the cameras capture for as long as was asked, and kill the broker if that was."""
        start_s = time.monotonic() + LEAD_S
        end_s = start_s + 60.0 * self._load.minutes
        kill_at_s = None if self._load.kill_broker_at_s is None else start_s + self._load.kill_broker_at_s
        self._crowd.tell(Start(start_s=start_s, end_s=end_s))
        while time.monotonic() < end_s and not self._stopping.wait(LOOK_EVERY_S):
            self._show(bar)
            if kill_at_s is not None and time.monotonic() >= kill_at_s:
                kill_at_s = None
                self._kill_broker()
        self._crowd.tell(Finish())

    def _drain(self, bar: Any) -> None:
        """Wait until receipts have named all reads, or until no more come."""
        begun_s = changed_s = time.monotonic()
        confirmed, silence_s = -1, self._load.patience_s + DRAIN_SILENCE_S
        while self._crowd.told() and time.monotonic() - changed_s < silence_s:
            limit_s = DRAIN_LIMIT_STOPPED_S if self._stopping.is_set() else DRAIN_LIMIT_S
            books = self._show(bar)
            if time.monotonic() - begun_s > limit_s or (
                time.monotonic() - begun_s > 2 * LEAD_S and books.confirmed == books.captured
            ):
                return
            if books.confirmed != confirmed:
                confirmed, changed_s = books.confirmed, time.monotonic()
            time.sleep(LOOK_EVERY_S)

    def _show(self, bar: Any) -> Books:
        self._watch()
        books = self._books()
        bar.set_postfix_str(f"{books.captured} captured, {books.acknowledged} acknowledged", refresh=False)
        bar.update(books.confirmed - bar.n)
        return books

    def _books(self) -> Books:
        return _sum([one.books for one in self._crowd.told()])

    def _watch(self) -> None:
        """Raise PartEnded if a receiver has ended."""
        if any(receiver.process.poll() is not None for receiver in self._receivers):
            raise PartEnded("a receiver ended; its own sentence is above")

    def _kill_broker(self) -> None:
        """End the broker as a power cut does, and start it again."""
        self._killed = self._costs().broker
        self._broker.kill()
        self._broker.start()

    def _costs(self) -> Costs:
        receivers = [cost_of(receiver.process.pid) for receiver in self._receivers]
        broker = Cost() if self._broker.pid is None else cost_of(self._broker.pid)
        return Costs(
            broker=Cost(
                cpu_s=self._killed.cpu_s + broker.cpu_s,
                peak_rss_mb=max(self._killed.peak_rss_mb, broker.peak_rss_mb),
            ),
            receiver=Cost(
                cpu_s=sum(cost.cpu_s for cost in receivers), peak_rss_mb=max(cost.peak_rss_mb for cost in receivers)
            ),
            generator_cpu_s=sum(one.cpu_s for one in self._crowd.told()),
            machine_cpu_s=machine_cpu_s(),
            at_s=time.monotonic(),
        )


def _sum(all_books: list[Books]) -> Books:
    """Return the books of several processes as one."""
    total = Books()
    for books in all_books:
        for one in fields(Books):
            setattr(total, one.name, getattr(total, one.name) + getattr(books, one.name))
    return total
